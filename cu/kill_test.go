package cu_test

// A daemon that is killed must lose nothing that it acknowledged. The method: this test binary starts itself again as a
// daemon that evaluates messages and prints each receipt's digest when it is acknowledged, kills it at a random moment, and
// looks at what it left: the log verifies, holds every printed receipt, and the next daemon goes on.

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"verbatim/cu"
	"verbatim/cu/cutest"
	"verbatim/cu/eval"
	"verbatim/cu/eval/evaltest"
	"verbatim/cu/receipt"
	"verbatim/cu/replay"
)

const (
	folderVariable = "VERBATIM_TEST_KILL_FOLDER"
	killsDefault   = 20
)

func TestMain(m *testing.M) {
	if folder := os.Getenv(folderVariable); folder != "" {
		daemon(folder)
		return
	}
	os.Exit(m.Run())
}

// killNetwork is the same network in every daemon: two processes with a long schedule each.
func killNetwork() *cutest.Network {
	network := cutest.NewNetwork()
	for _, name := range []string{"p", "q"} {
		process := network.Spawn(name, true)
		for i := range 2000 {
			network.Send(process, fmt.Sprint("@", []string{"c", "i3", "e", "j5"}[i%4]))
		}
	}
	return network
}

// daemon evaluates both schedules side by side until it is killed.
func daemon(folder string) {
	t := &testing.T{} // NewRig reports by it; a failure ends the daemon, and the parent sees no output
	network := killNetwork()
	rig := cutest.NewRig(t, folder, network, cutest.Host(t), &evaltest.Provider{}, nil)
	done := make(chan error)
	for _, name := range []string{"p", "q"} {
		go func() {
			process, err := network.Process(context.Background(), cutest.ID(name))
			for assignment := range network.Assignments(context.Background(), process, cu.Position{Nonce: -1}, 2000) {
				var entry *receipt.Entry
				if entry, err = rig.Unit.Result(context.Background(), process.ID, assignment.MessageID); err != nil {
					break
				}
				fmt.Println(name, assignment.Nonce, entry.Receipt.Digest())
			}
			done <- err
		}()
	}
	fmt.Println("end", <-done, <-done)
}

func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills many daemons")
	}
	folder, seed := t.TempDir(), uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	host := cutest.Host(t)
	acknowledged := map[string]bool{}
	torn := 0
	for kill := range killsDefault {
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), folderVariable+"="+folder)
		var complaint bytes.Buffer
		command.Stderr = &complaint
		output, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		killAfter := 1 + random.IntN(60)
		lines := bufio.NewScanner(output)
		news := 0
		for lines.Scan() {
			line := lines.Text()
			if strings.HasPrefix(line, "end") {
				t.Fatalf("seed %d, kill %d: the daemon ended: %s", seed, kill, line)
			}
			if !acknowledged[line] {
				acknowledged[line] = true
				news++
			}
			if news == killAfter {
				time.Sleep(time.Duration(random.IntN(3000)) * time.Microsecond)
				command.Process.Kill()
			}
		}
		command.Wait()
		if news < killAfter {
			t.Fatalf("seed %d, kill %d: the daemon came no further than %d new receipts: %s", seed, kill, news, &complaint)
		}
		torn += afterKill(t, fmt.Sprintf("seed %d, kill %d", seed, kill), folder, host, acknowledged)
	}
	t.Logf("%d kills, %d receipts acknowledged, %d torn tails", killsDefault, len(acknowledged), torn)
}

// afterKill opens what a killed daemon left, and compares it with what it had acknowledged.
func afterKill(t *testing.T, when, folder string, host *eval.Host, acknowledged map[string]bool) (torn int) {
	t.Helper()
	rig := cutest.NewRig(t, folder, killNetwork(), host, &evaltest.Provider{}, nil)
	defer rig.Close()
	if rig.Recovery.TornBytes > 0 {
		torn = 1
	}
	held := map[string]bool{}
	for _, name := range []string{"p", "q"} {
		_, last, err := rig.Log.Nonces(cutest.ID(name))
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		for nonce := range last + 1 {
			entry, err := rig.Log.At(cutest.ID(name), nonce)
			if err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			held[fmt.Sprintln(name, nonce, entry.Receipt.Digest())] = true
		}
	}
	for line := range acknowledged {
		if !held[line+"\n"] {
			t.Fatalf("%s: acknowledged and lost: %s", when, line)
		}
	}
	log, err := os.ReadFile(filepath.Join(folder, receipt.LogName))
	if err != nil {
		t.Fatal(err)
	}
	report, err := replay.Verify(context.Background(), bytes.NewReader(log), int64(len(log)), replay.Options{Host: host})
	if err != nil || report.Verdict != replay.Verified {
		t.Fatalf("%s: %+v, %v", when, report, err)
	}
	return torn
}
