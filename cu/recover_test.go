package cu_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"verbatim/cu"
	"verbatim/cu/ao"
	"verbatim/cu/cutest"
	"verbatim/cu/eval/evaltest"
)

// A unit that is stopped while it evaluates again what its log holds goes on from there, and not from the beginning.
func TestRecoveryGetsOn(t *testing.T) {
	const messages, stopAfter = 500, 150
	network, folder, host := cutest.NewNetwork(), t.TempDir(), cutest.Host(t)
	process := network.Spawn("p", true)
	var last ao.ID
	for range messages {
		last = network.Send(process, "@c")
	}
	rig := cutest.NewRig(t, folder, network, host, &evaltest.Provider{}, nil)
	want := output(t, rig, process, last)
	rig.Close()
	if err := os.RemoveAll(filepath.Join(folder, "checkpoints")); err != nil {
		t.Fatal(err)
	}
	var recovered atomic.Int64
	stop := make(chan struct{})
	rig = cutest.NewRig(t, folder, network, host, &evaltest.Provider{}, func(c *cu.Config) {
		c.Observe = func(o cu.Observation) {
			if o.Recovery && recovered.Add(1) == stopAfter {
				close(stop)
			}
		}
	})
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		<-stop
		rig.Close()
	}()
	if _, err := rig.Unit.Memory(background, process, 0); !errors.Is(err, cu.ErrClosed) {
		t.Fatalf("got %v, want %v", err, cu.ErrClosed)
	}
	<-closed
	first := recovered.Swap(-messages) // no second stop
	rig = cutest.NewRig(t, folder, network, host, &evaltest.Provider{}, func(c *cu.Config) {
		c.Observe = func(o cu.Observation) {
			if o.Recovery {
				recovered.Add(1)
			}
		}
	})
	defer rig.Close()
	if got := output(t, rig, process, network.Send(process, "@c")); got <= want {
		t.Errorf("after both: %s, before %s", got, want)
	}
	// How often a checkpoint is due depends on how long they take; the first always is.
	if second := recovered.Load() + messages; first < stopAfter || second > messages+1-64 {
		t.Errorf("%d steps were evaluated again, and then %d of %d", first, second, messages)
	}
}
