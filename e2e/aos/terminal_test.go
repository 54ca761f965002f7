//go:build e2e

package aos

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a program in a pseudo-terminal.
type terminal struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd

	mu      sync.Mutex
	raw     bytes.Buffer
	matched int // how much of what was shown has been matched
	ended   bool
}

// control are the sequences that colour text and move the cursor; spinner is what is shown while the program works.
var (
	control = regexp.MustCompile("\x1b\\[[0-9;?]*[a-zA-Z]|\x1b[78]|\x07|[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] ?")
	spinner = regexp.MustCompile(` *\[(Starting AOS|Spawning New Process|Connecting To Process|Dispatching Message|Processing|Computing (\[object Object\]|[\w-]*) ?|Signing Message and Sequencing)\.*\]`)
)

func clean(shown string) string {
	return spinner.ReplaceAllString(control.ReplaceAllString(shown, ""), "")
}

// open starts a program in a terminal of 120 columns.
func open(t *testing.T, cmd *exec.Cmd) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 120})
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &terminal{t: t, master: master, cmd: cmd}
	go s.read()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		master.Close()
	})
	return s
}

func (s *terminal) read() {
	buffer := make([]byte, 4096)
	for {
		n, err := s.master.Read(buffer)
		s.mu.Lock()
		s.raw.Write(buffer[:n])
		s.ended = err != nil
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// shown is what came since the last match, without colours.
func (s *terminal) shown() (text string, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := clean(s.raw.String())
	return strings.ReplaceAll(all[min(s.matched, len(all)):], "\r", ""), s.ended
}

// expect waits until what comes matches, and gives what was matched.
func (s *terminal) expect(pattern string) []string {
	s.t.Helper()
	wanted := regexp.MustCompile(pattern)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		text, ended := s.shown()
		if at := wanted.FindStringSubmatchIndex(text); at != nil {
			s.skip(text[:at[1]])
			return wanted.FindStringSubmatch(text)
		}
		if ended || time.Now().After(end) {
			s.t.Fatalf("no %s in what the program showed (ended: %v):\n%s", pattern, ended, text)
		}
	}
}

// skip counts what was matched as seen: the bytes before it, carriage returns too.
func (s *terminal) skip(seen string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := clean(s.raw.String())
	for want := len(seen); want > 0 && s.matched < len(all); s.matched++ {
		if all[s.matched] != '\r' {
			want--
		}
	}
}

// line types a line.
func (s *terminal) line(text string) {
	s.t.Helper()
	if _, err := s.master.WriteString(text + "\r"); err != nil {
		s.t.Fatal(err)
	}
}

// exits waits for the program's end and its exit code.
func (s *terminal) exits(code int) {
	s.t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.cmd.Wait() }()
	select {
	case <-done:
		if got := s.cmd.ProcessState.ExitCode(); got != code {
			s.t.Errorf("exit code %d, want %d", got, code)
		}
	case <-time.After(15 * time.Second):
		text, _ := s.shown()
		s.t.Errorf("it does not end: %s", text)
	}
}
