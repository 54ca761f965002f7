package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// unit is a compute unit under test: a daemon that is started again and again in one folder, on one address.
type unit struct {
	binary, data, gateway string
	address, url          string
	arguments             []string
	log                   *os.File

	mu    sync.Mutex
	cmd   *exec.Cmd
	done  chan struct{} // closed when the daemon has ended
	lives []*life
	alive atomic.Pointer[life]
}

// life is one run of the daemon.
type life struct {
	began       time.Time
	answering   time.Duration // until /health answered; 0: never
	firstAnswer atomic.Int64  // until the first result, nanoseconds; 0: none
	answers     atomic.Int64
	rssMax      int64
	filesMax    int64
	goroutines  int64
	ended       string
}

func newUnit(binary, data, gateway string, logPath string, arguments ...string) (*unit, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	listener.Close()
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	return &unit{binary: binary, data: data, gateway: gateway, address: address, url: "http://" + address, log: log, arguments: arguments}, nil
}

func (u *unit) command(address string) *exec.Cmd {
	return exec.Command(u.binary, append([]string{"serve", "--listen", address, "--gateway", u.gateway, "--data", u.data}, u.arguments...)...)
}

// start begins a life. It does not wait until the daemon answers.
func (u *unit) start() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	cmd := u.command(u.address)
	cmd.Stderr, cmd.Stdout = u.log, u.log
	l := &life{began: time.Now()}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	u.cmd, u.done = cmd, done
	u.lives = append(u.lives, l)
	u.alive.Store(l)
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	return nil
}

// await waits until the daemon answers.
func (u *unit) await(limit time.Duration) error {
	l := u.alive.Load()
	for time.Since(l.began) < limit {
		if response, err := http.Get(u.url + "/health"); err == nil {
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
			l.answering = time.Since(l.began)
			return nil
		}
		select {
		case <-u.done:
			return fmt.Errorf("the unit ended with %s instead of answering; its log is %s", u.cmd.ProcessState, u.log.Name())
		case <-time.After(2 * time.Millisecond):
		}
	}
	return fmt.Errorf("the unit does not answer after %v; its log is %s", limit, u.log.Name())
}

// stop ends the life with a signal, and gives its exit code: -1 if the signal ended it.
func (u *unit) stop(signal syscall.Signal, limit time.Duration) (code int, took time.Duration, err error) {
	u.mu.Lock()
	cmd, done := u.cmd, u.done
	u.mu.Unlock()
	begin := time.Now()
	if err := cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, 0, err
	}
	select {
	case <-done:
	case <-time.After(limit):
		_ = cmd.Process.Signal(syscall.SIGQUIT) // what it does is in its log then
		<-done
		err = fmt.Errorf("the unit goes on %v after %v", limit, signal)
	}
	u.alive.Load().ended = signal.String()
	return cmd.ProcessState.ExitCode(), time.Since(begin), err
}

// second starts another daemon in the same folder, which must be refused.
func (u *unit) second() error {
	cmd := u.command("127.0.0.1:0")
	said, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		return err
	}
	if code := cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(string(said), "another daemon") {
		return fmt.Errorf("a second daemon in one folder ended with code %d, want 2, and said %.300q", code, said)
	}
	return nil
}

// memory gives what the daemon has resident, in bytes; 0 if there is none.
func (u *unit) memory() int64 {
	u.mu.Lock()
	pid := u.cmd.Process.Pid
	u.mu.Unlock()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, is := strings.CutPrefix(line, "VmRSS:"); is {
			kilobytes, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kilobytes << 10
		}
	}
	return 0
}

// metrics reads numbers without labels from /metrics.
func (u *unit) metrics(names ...string) (map[string]float64, error) {
	client := &http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(u.url + "/metrics")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	found := map[string]float64{}
	for line := range strings.Lines(string(body)) {
		for _, name := range names {
			if rest, is := strings.CutPrefix(line, name+" "); is {
				found[name], _ = strconv.ParseFloat(strings.TrimSpace(rest), 64)
			}
		}
	}
	return found, nil
}
