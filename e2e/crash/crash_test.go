//go:build e2e

// Package crash kills a compute unit in the middle of evaluations, again and again. After each restart the log must
// verify, no acknowledged receipt may be missing, and every acknowledged result must read the same.
package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/receipt"
	"verbatim/examples/storyteller/module"
	"verbatim/internal/localnet"
)

const (
	rounds           = 20
	messagesPerRound = 3
)

// daemon is one life of a compute unit.
type daemon struct {
	cmd *exec.Cmd
	url string
}

type scene struct {
	t        *testing.T
	binary   string
	data     string
	gateway  string
	net      *localnet.Network
	process  ao.ID
	mu       sync.Mutex
	answered map[ao.ID][]byte // acknowledged results by message
}

func TestKilledInTheMiddleOfEvaluations(t *testing.T) {
	s := newScene(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var pending []ao.ID
	for round := range rounds {
		d := s.start()
		s.checkAcknowledged(d)
		for i := range messagesPerRound {
			pending = append(pending, s.send(round*messagesPerRound+i))
		}
		var asking sync.WaitGroup
		for _, message := range pending {
			asking.Add(1)
			go func() { defer asking.Done(); s.ask(d, message) }()
		}
		s.await(s.acknowledged() + random.IntN(messagesPerRound))
		time.Sleep(time.Duration(random.IntN(150)) * time.Millisecond)
		d.kill()
		asking.Wait()
		s.checkLog()
	}
	d := s.start()
	for _, message := range pending {
		s.ask(d, message)
	}
	s.checkAcknowledged(d)
	if got, want := len(s.answered), rounds*messagesPerRound; got != want {
		t.Errorf("%d of %d messages have a result after the last restart", got, want)
	}
	d.kill()
	s.checkLog()
	s.verify("recompute")
}

func newScene(t *testing.T) *scene {
	ctx := context.Background()
	binary, err := filepath.Abs(os.Getenv("VERBATIM_BINARY"))
	if err != nil || os.Getenv("VERBATIM_BINARY") == "" {
		t.Fatal("VERBATIM_BINARY must name the binary to kill")
	}
	network, err := localnet.Open(localnet.Options{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { network.Close() })
	urls, err := network.Listen("127.0.0.1", localnet.Ports{})
	if err != nil {
		t.Fatal(err)
	}
	wasm, err := network.PublishModule(ctx, module.Wasm(), module.Format, nil)
	if err != nil {
		t.Fatal(err)
	}
	process, err := network.Spawn(ctx, wasm, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &scene{t: t, binary: binary, data: t.TempDir(), gateway: urls.Gateway, net: network, process: process, answered: map[ao.ID][]byte{}}
}

func (s *scene) send(n int) ao.ID {
	tags := ao.Tags{{Name: "Max-Tokens", Value: "24"}, {Name: "Action", Value: "Ask"}}
	id, err := s.net.Send(context.Background(), s.process, tags, fmt.Appendf(nil, "Tell me story number %d.", n))
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

// start begins a life and waits until it answers.
func (s *scene) start() *daemon {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	d := &daemon{cmd: exec.Command(s.binary, "serve", "--listen", address, "--gateway", s.gateway, "--data", s.data), url: "http://" + address}
	var stderr bytes.Buffer
	d.cmd.Stderr = &stderr
	if err := d.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for range 200 {
		if response, err := http.Get(d.url + "/health"); err == nil {
			response.Body.Close()
			return d
		}
		time.Sleep(50 * time.Millisecond)
	}
	d.kill()
	s.t.Fatalf("the unit does not answer:\n%s", stderr.String())
	return nil
}

func (d *daemon) kill() {
	_ = d.cmd.Process.Kill() // SIGKILL
	_ = d.cmd.Wait()
}

func (d *daemon) result(process, message ao.ID) ([]byte, error) {
	response, err := http.Get(fmt.Sprintf("%s/result/%s?process-id=%s", d.url, message, process))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return body, err
}

// ask notes a result only if the whole answer arrived: then it is acknowledged.
func (s *scene) ask(d *daemon, message ao.ID) {
	body, err := d.result(s.process, message)
	if err != nil || !json.Valid(body) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, ok := s.answered[message]; ok && !bytes.Equal(before, body) {
		s.t.Errorf("message %s: result changed\n before %s\n now    %s", message, before, body)
	}
	s.answered[message] = body
}

func (s *scene) acknowledged() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.answered)
}

// await waits until so many results were acknowledged, but not for ever: a killed unit compiles its module again.
func (s *scene) await(results int) {
	for begin := time.Now(); time.Since(begin) < 15*time.Second; time.Sleep(5 * time.Millisecond) {
		if s.acknowledged() >= results {
			return
		}
	}
}

func (s *scene) checkAcknowledged(d *daemon) {
	for message, before := range s.answered {
		now, err := d.result(s.process, message)
		if err != nil || !bytes.Equal(before, now) {
			s.t.Errorf("message %s after a restart: got %s, %v, want %s", message, now, err, before)
		}
	}
}

// checkLog reads the dead unit's log: all of it but a torn tail must be whole, and hold every acknowledged message.
func (s *scene) checkLog() {
	log, err := os.ReadFile(filepath.Join(s.data, "receipts", receipt.LogName))
	if errors.Is(err, os.ErrNotExist) && len(s.answered) == 0 {
		return
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if len(log) == 0 && len(s.answered) == 0 {
		return
	}
	reader, err := receipt.NewReader(bytes.NewReader(log), int64(len(log)))
	if err != nil {
		s.t.Fatal(err)
	}
	logged := map[ao.ID]bool{}
	for {
		record, err := reader.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, receipt.ErrTorn) {
			break
		}
		if err != nil {
			s.t.Fatal(err)
		}
		if record.Entry != nil {
			if err := record.Entry.Receipt.Verify(); err != nil {
				s.t.Fatal(err)
			}
			logged[record.Entry.Receipt.Message] = true
		}
	}
	for message := range s.answered {
		if !logged[message] {
			s.t.Errorf("message %s was acknowledged, its receipt is not in the log", message)
		}
	}
	s.t.Logf("%d receipts in the log, %d acknowledged", len(logged), len(s.answered))
}

func (s *scene) verify(mode string) {
	path := filepath.Join(s.data, "receipts", receipt.LogName)
	out, err := exec.Command(s.binary, "verify", path, "--mode", mode, "--gateway", s.gateway).CombinedOutput()
	if err != nil {
		s.t.Errorf("verify --mode %s: %v\n%s", mode, err, out)
	}
	s.t.Logf("%s", out)
}
