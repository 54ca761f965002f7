package cu_test

// Many processes at once: none waits for a slow one, and a unit that knows a thousand of them starts at once.

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"verbatim/cu"
	"verbatim/cu/ao"
	"verbatim/cu/cutest"
	"verbatim/cu/eval"
	"verbatim/cu/eval/evaltest"
)

// With one slot, a process that takes for ever keeps it for a moment only; the others are done in order, each.
func TestSlowProcessDelaysNobody(t *testing.T) {
	release := make(chan struct{})
	network := cutest.NewNetwork()
	provider := &evaltest.Provider{Before: func(context.Context, eval.Question) error { <-release; return nil }}
	rig := cutest.NewRig(t, t.TempDir(), network, cutest.Host(t), provider, func(c *cu.Config) { c.EvaluationsMax = 1 })
	defer rig.Close()
	slow := network.Spawn("slow", true)
	stuck := network.Send(slow, "@i1")
	done := make(chan string)
	go func() { done <- output(t, rig, slow, stuck) }()
	begin := time.Now()
	var wait sync.WaitGroup
	for i := range 5 {
		process := network.Spawn(fmt.Sprint("quick", i), true)
		var last ao.ID
		for range 20 {
			last = network.Send(process, "@c")
		}
		wait.Go(func() {
			if got := output(t, rig, process, last); got != `"0021"` {
				t.Errorf("process %d: %s", i, got)
			}
		})
	}
	wait.Wait()
	select {
	case got := <-done:
		t.Errorf("the slow process is done: %s", got)
	default:
	}
	t.Logf("100 messages beside a process that is stuck: %v", time.Since(begin))
	close(release)
	<-done
}

func TestManyProcesses(t *testing.T) {
	const processes, messages = 1000, 8
	network, folder, host := cutest.NewNetwork(), t.TempDir(), cutest.Host(t)
	rig := cutest.NewRig(t, folder, network, host, &evaltest.Provider{}, nil)
	var ids, last []ao.ID
	for i := range processes {
		process := network.Spawn(fmt.Sprint("p", i), true)
		ids = append(ids, process)
		for range messages - 1 {
			network.Send(process, "@c")
		}
		last = append(last, network.Send(process, "@c"))
	}
	begin := time.Now()
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() {
			for i := worker; i < processes; i += 8 {
				output(t, rig, ids[i], last[i])
			}
		})
	}
	wait.Wait()
	t.Logf("%d steps: %v", processes*(messages+1), time.Since(begin))
	rig.Close()
	begin = time.Now()
	rig = cutest.NewRig(t, folder, network, host, &evaltest.Provider{}, nil)
	defer rig.Close()
	network.Down(true) // what is known needs nobody
	for i := range processes {
		if got := output(t, rig, ids[i], last[i]); got != fmt.Sprintf(`"%04d"`, messages+1) {
			t.Fatalf("process %d: %s", i, got)
		}
	}
	took := time.Since(begin)
	t.Logf("start and a known result of each process: %v, %d receipts read", took, rig.Recovery.Receipts-rig.Recovery.Indexed)
	if rig.Recovery.Indexed != processes*(messages+1) {
		t.Errorf("%+v", rig.Recovery)
	}
	network.Down(false)
	begin = time.Now()
	if got := output(t, rig, ids[7], network.Send(ids[7], "@c")); got != fmt.Sprintf(`"%04d"`, messages+2) {
		t.Errorf("a new message: %s", got)
	}
	t.Logf("a new message on a process that was not in memory: %v", time.Since(begin))
}
