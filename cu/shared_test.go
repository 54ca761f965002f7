package cu_test

// Checkpoints that one unit publishes and another begins from: the second knows less, and what it knows is the same.

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"verbatim/cu"
	"verbatim/cu/ao"
	"verbatim/cu/checkpoint"
	"verbatim/cu/cutest"
	"verbatim/cu/eval"
	"verbatim/cu/eval/evaltest"
	"verbatim/cu/receipt"
	"verbatim/cu/replay"
)

// shelf keeps checkpoints in memory, as a gateway would.
type shelf struct {
	mu     sync.Mutex
	tags   []ao.Tags
	data   [][]byte
	broken bool // gives other memories than it was given
}

func (s *shelf) Publish(_ context.Context, about checkpoint.Published, memory *eval.Image) (ao.ID, error) {
	data, err := checkpoint.Pack(memory)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tags, s.data = append(s.tags, about.Tags("test")), append(s.data, data)
	return ao.ID{byte(len(s.tags))}, err
}

func (s *shelf) Published(context.Context, ao.ID) (found []checkpoint.Published, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, tags := range s.tags {
		about, err := checkpoint.ParsePublished(ao.ID{byte(i + 1)}, "owner", tags)
		if err != nil {
			return nil, err
		}
		found = append(found, about)
	}
	return found, nil
}

func (s *shelf) Memory(_ context.Context, about checkpoint.Published) (*eval.Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		about.SHA256[0] ^= 1
	}
	return about.Unpack(s.data[about.ID[0]-1])
}

func TestPublishedCheckpoint(t *testing.T) {
	network, host, kept := cutest.NewNetwork(), cutest.Host(t), &shelf{}
	process := network.Spawn("p", true)
	var messages []ao.ID
	for range 6 {
		messages = append(messages, network.Send(process, "@c"))
	}
	one := cutest.NewRig(t, t.TempDir(), network, host, &evaltest.Provider{}, func(c *cu.Config) { c.Shared, c.PublishSteps = kept, 4 })
	output(t, one, process, messages[5])
	one.Close() // waits for what is being published
	if len(kept.tags) != 1 || kept.tags[0].Get("Nonce") != "3" {
		t.Fatalf("published: %v", kept.tags)
	}
	folder := t.TempDir()
	two := cutest.NewRig(t, folder, network, host, &evaltest.Provider{}, func(c *cu.Config) { c.Shared = kept })
	if got := output(t, two, process, messages[4]); got != `"0006"` {
		t.Errorf("from the checkpoint: %s", got)
	}
	if first, last, err := two.Log.Nonces(process); first != 4 || last != 5 || err != nil {
		t.Errorf("nonces %d to %d, %v", first, last, err)
	}
	if _, err := two.Unit.Result(background, process, messages[0]); !errors.Is(err, cu.ErrEarlier) {
		t.Errorf("a message before the checkpoint: %v", err)
	}
	two.Close()
	two = cutest.NewRig(t, folder, network, host, &evaltest.Provider{}, nil) // nobody to ask any more
	if got := output(t, two, process, messages[5]); got != `"0007"` {
		t.Errorf("after a restart: %s", got)
	}
	two.Close()
	os.RemoveAll(filepath.Join(folder, "checkpoints"))
	two = cutest.NewRig(t, folder, network, host, &evaltest.Provider{}, func(c *cu.Config) { c.Shared = kept })
	if got := output(t, two, process, network.Send(process, "@c")); got != `"0008"` {
		t.Errorf("without its checkpoints: %s", got)
	}
	two.Close()
	log, err := os.ReadFile(filepath.Join(folder, receipt.LogName))
	if err != nil {
		t.Fatal(err)
	}
	about, _ := kept.Published(background, process)
	memory, err := kept.Memory(background, about[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, bases := range [][]*eval.Image{nil, {eval.ImageOf(make([]byte, 1<<16)), memory}} {
		report, err := replay.Verify(background, bytes.NewReader(log), int64(len(log)), replay.Options{Host: host, Checkpoints: bases})
		if want := replay.Verdict(map[bool]string{true: "unusable", false: "verified"}[bases == nil]); err != nil || report.Verdict != want {
			t.Errorf("verify: %+v, %v, want %s", report, err, want)
		}
	}
	// A checkpoint that is not what it says is not used.
	kept.broken = true
	three := cutest.NewRig(t, t.TempDir(), network, host, &evaltest.Provider{}, func(c *cu.Config) { c.Shared = kept })
	defer three.Close()
	if got := output(t, three, process, messages[4]); got != `"0006"` {
		t.Errorf("beside a broken checkpoint: %s", got)
	}
	if first, _, _ := three.Log.Nonces(process); first != 0 {
		t.Errorf("it began at nonce %d", first)
	}
}
