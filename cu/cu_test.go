package cu_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"verbatim/cu"
	"verbatim/cu/ao"
	"verbatim/cu/checkpoint"
	"verbatim/cu/cutest"
	"verbatim/cu/eval"
	"verbatim/cu/eval/evaltest"
	"verbatim/cu/receipt"
	"verbatim/cu/replay"
)

var background = context.Background()

func output(t *testing.T, rig *cutest.Rig, process, message ao.ID) string {
	t.Helper()
	entry, err := rig.Unit.Result(background, process, message)
	if err != nil {
		t.Fatal(err)
	}
	result, err := ao.ParseResult(entry.Result)
	if err != nil {
		t.Fatal(err)
	}
	if result.Error != nil {
		return "error " + string(result.Error)
	}
	return string(result.Output)
}

func TestFold(t *testing.T) {
	network, provider := cutest.NewNetwork(), &evaltest.Provider{}
	rig := cutest.NewRig(t, t.TempDir(), network, cutest.Host(t), provider, nil)
	defer rig.Close()
	process := network.Spawn("p", true)
	var messages []ao.ID
	for _, data := range []string{"@c", "@e", "@i3", "@l", "@c"} {
		messages = append(messages, network.Send(process, data))
	}
	// Asked out of order: a later result does the earlier steps first, and none twice.
	for _, test := range []struct {
		at   int
		want string
	}{{2, `"text":"answer to \"question 3\""`}, {0, `"0002"`}, {4, `"0004"`}, {1, `error "as asked"`}, {3, `error "process fault: out of gas`}, {2, "answer"}} {
		if got := output(t, rig, process, messages[test.at]); !strings.Contains(got, test.want) {
			t.Errorf("message %d: %s, want %s", test.at, got, test.want)
		}
	}
	if head := rig.Log.Head(); head.Receipts != 6 || provider.Asked() != 1 {
		t.Errorf("%d receipts, %d questions", head.Receipts, provider.Asked())
	}
	entry, err := rig.Unit.Receipt(process, messages[2])
	if err != nil || len(entry.Receipt.Inferences) != 1 || entry.Receipt.Verify() != nil {
		t.Errorf("receipt: %+v, %v", entry, err)
	}
	state, err := rig.Unit.Memory(background, process, 0)
	if err != nil || state.Nonce != 5 || state.Timestamp != 6000 || state.BlockHeight != 105 ||
		replay.MemoryOf(state.Memory).Is(receipt.Version) != mustAt(t, rig, process, 5).Receipt.MemoryAfter {
		t.Errorf("memory: nonce %d, time %d, height %d, %d bytes, %v", state.Nonce, state.Timestamp, state.BlockHeight, state.Memory.Size(), err)
	}
}

func mustAt(t *testing.T, rig *cutest.Rig, process ao.ID, nonce int64) *receipt.Entry {
	t.Helper()
	entry, err := rig.Log.At(process, nonce)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// A schedule that does not begin with the process gets the process as first message all the same.
func TestBoot(t *testing.T) {
	network := cutest.NewNetwork()
	folder, host := t.TempDir(), cutest.Host(t)
	rig := cutest.NewRig(t, folder, network, host, &evaltest.Provider{}, nil)
	process := network.Spawn("p", false)
	if _, err := rig.Unit.Memory(background, process, 0); !errors.Is(err, cu.ErrNotFound) {
		t.Errorf("nothing is assigned: %v", err)
	}
	first := network.Send(process, "@c")
	if got := output(t, rig, process, first); got != `"0002"` {
		t.Errorf("output %s", got)
	}
	if boot := mustAt(t, rig, process, receipt.BootNonce); boot.Receipt.Message != process || !boot.Receipt.Assignment.IsZero() {
		t.Errorf("boot: %+v", boot.Receipt)
	}
	rig.Close()
	rig = cutest.NewRig(t, folder, network, host, &evaltest.Provider{}, nil)
	defer rig.Close()
	if got := output(t, rig, process, network.Send(process, "@c")); got != `"0003"` {
		t.Errorf("after a restart: output %s", got)
	}
	if page, _, err := rig.Unit.Results(process, cu.Query{Limit: 10}); err != nil || len(page) != 2 {
		t.Errorf("%d results, %v; the boot step has none", len(page), err)
	}
}

func TestHydrate(t *testing.T) {
	network := cutest.NewNetwork()
	rig := cutest.NewRig(t, t.TempDir(), network, cutest.Host(t), &evaltest.Provider{}, nil)
	defer rig.Close()
	process := network.Spawn("p", true)
	if got := output(t, rig, process, network.Assign(process, "@i4")); !strings.Contains(got, "question 4") {
		t.Errorf("output %s", got)
	}
}

// What a scheduler could not verify is compared with the archive, if that has it.
func TestUnverified(t *testing.T) {
	network := cutest.NewNetwork()
	rig := cutest.NewRig(t, t.TempDir(), network, cutest.Host(t), &evaltest.Provider{}, nil)
	defer rig.Close()
	for _, test := range []struct {
		shown    string
		archived bool
		ok       bool
	}{{"@c", true, true}, {"@i1", false, true}, {"@i1", true, false}} {
		process := network.Spawn(fmt.Sprint("p", test), true)
		message := network.Send(process, "@c")
		network.Distort(process, test.shown, test.archived)
		_, err := rig.Unit.Result(background, process, message)
		if (err == nil) != test.ok || (err != nil && !errors.Is(err, cu.ErrUpstream)) {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

// Many callers, many processes, one evaluation of each step.
func TestEachStepOnce(t *testing.T) {
	network, provider := cutest.NewNetwork(), &evaltest.Provider{Before: func(context.Context, eval.Question) error {
		time.Sleep(time.Millisecond)
		return nil
	}}
	rig := cutest.NewRig(t, t.TempDir(), network, cutest.Host(t), provider, func(c *cu.Config) { c.MemoryBytesMax = 1 << 18 })
	defer rig.Close()
	const processes, messages, callers = 5, 6, 3
	var wait sync.WaitGroup
	for i := range processes {
		process := network.Spawn(fmt.Sprint("p", i), true)
		for j := range messages {
			message := network.Send(process, fmt.Sprint("@i", j))
			for range callers {
				wait.Go(func() {
					entry, err := rig.Unit.Result(background, process, message)
					if err != nil {
						t.Error(err)
					} else if !strings.Contains(string(entry.Result), fmt.Sprint("question ", j)) {
						t.Errorf("process %d, message %d: %s", i, j, entry.Result)
					}
				})
			}
		}
	}
	wait.Wait()
	if head := rig.Log.Head(); head.Receipts != processes*(messages+1) || provider.Asked() != processes*messages {
		t.Errorf("%d receipts, %d questions; want %d and %d", head.Receipts, provider.Asked(), processes*(messages+1), processes*messages)
	}
}

// Callers who come while flights end and begin get the process, whichever flight it was.
func TestMemoryUnderWay(t *testing.T) {
	network := cutest.NewNetwork()
	rig := cutest.NewRig(t, t.TempDir(), network, cutest.Host(t), &evaltest.Provider{}, func(c *cu.Config) { c.MemoryBytesMax = 1 })
	defer rig.Close()
	process := network.Spawn("p", true)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 20 {
				network.Send(process, "@c")
				if state, err := rig.Unit.Memory(background, process, 0); err != nil || state.Memory == nil {
					t.Errorf("%d bytes, %v", state.Memory.Size(), err)
				}
			}
		})
	}
	wait.Wait()
}

// A restart at any point, with checkpoints, without them, or with damaged ones, goes on as if nothing had happened, asks no
// question twice and signs nothing twice.
func TestRestart(t *testing.T) {
	network, host := cutest.NewNetwork(), cutest.Host(t)
	process := network.Spawn("p", true)
	for i := range 5 {
		network.Send(process, fmt.Sprint("@i", i))
	}
	straight := cutest.NewRig(t, t.TempDir(), network, host, &evaltest.Provider{}, nil)
	want, err := straight.Unit.Memory(background, process, 0)
	if err != nil {
		t.Fatal(err)
	}
	straight.Close()
	for _, damage := range []func(checkpoints string){
		func(string) {}, func(path string) { os.RemoveAll(path) },
		func(path string) {
			files, _ := filepath.Glob(filepath.Join(path, "*", "*"))
			for _, file := range files {
				os.WriteFile(file, []byte("damaged"), 0o644)
			}
		},
		func(path string) {
			store, err := checkpoint.Open(path, slog.New(slog.DiscardHandler))
			for nonce := range int64(5) {
				err = errors.Join(err, store.Save(checkpoint.Checkpoint{Process: process, Steps: nonce + 1, Memory: eval.ImageOf(make([]byte, 1<<17))}))
			}
			if err != nil {
				t.Fatal(err)
			}
		},
	} {
		folder, provider := t.TempDir(), &evaltest.Provider{}
		for _, upTo := range []int64{0, 2, 3, 5} {
			rig := cutest.NewRig(t, folder, network, host, provider, nil)
			entry := mustFold(t, rig, network, process, upTo)
			if int64(entry.Receipt.Sequence) != upTo || provider.Asked() != int(upTo) {
				t.Errorf("up to nonce %d: sequence %d, %d questions", upTo, entry.Receipt.Sequence, provider.Asked())
			}
			if upTo == 5 {
				got, err := rig.Unit.Memory(background, process, 0)
				if err != nil || got.Memory.Digest() != want.Memory.Digest() {
					t.Errorf("memory after restarts: %x, %v; want %x", got.Memory.Digest(), err, want.Memory.Digest())
				}
			}
			rig.Close()
			damage(filepath.Join(folder, "checkpoints"))
		}
	}
}

// mustFold asks for the result of the message with a nonce.
func mustFold(t *testing.T, rig *cutest.Rig, network *cutest.Network, process ao.ID, nonce int64) *receipt.Entry {
	t.Helper()
	schedule := network.Assignments(background, ao.Process{ID: process}, cu.Position{Nonce: -1}, nonce)
	var message ao.ID
	for assignment := range schedule {
		message = assignment.MessageID
	}
	entry, err := rig.Unit.Result(background, process, message)
	if err != nil {
		t.Fatal(err)
	}
	return entry
}

// A process that has done many steps is saved while it goes on: a crash must not cost them all.
func TestSavedOnTheWay(t *testing.T) {
	network, folder := cutest.NewNetwork(), t.TempDir()
	rig := cutest.NewRig(t, folder, network, cutest.Host(t), &evaltest.Provider{}, nil)
	defer rig.Close()
	process := network.Spawn("p", true)
	for range 64 {
		network.Send(process, "@c")
	}
	mustFold(t, rig, network, process, 64)
	if saved, _ := filepath.Glob(filepath.Join(folder, "checkpoints", process.String(), "6*.checkpoint")); len(saved) == 0 {
		t.Error("nothing is saved after 65 steps")
	}
}

// The memory budget only costs time.
func TestEviction(t *testing.T) {
	network, provider := cutest.NewNetwork(), &evaltest.Provider{}
	folder := t.TempDir()
	rig := cutest.NewRig(t, folder, network, cutest.Host(t), provider, func(c *cu.Config) { c.MemoryBytesMax = 1 })
	defer rig.Close()
	p, q := network.Spawn("p", true), network.Spawn("q", true)
	for i := range 4 {
		for _, process := range []ao.ID{p, q} {
			if got := output(t, rig, process, network.Send(process, "@c")); got != fmt.Sprintf(`"%04d"`, i+2) {
				t.Errorf("message %d: %s", i, got)
			}
		}
		time.Sleep(20 * time.Millisecond) // an eviction gives way to whoever comes while it saves
	}
	if head := rig.Log.Head(); head.Receipts != 10 {
		t.Errorf("%d receipts", head.Receipts)
	}
	for _, process := range []ao.ID{p, q} {
		if saved, _ := filepath.Glob(filepath.Join(folder, "checkpoints", process.String(), "*")); len(saved) == 0 {
			t.Errorf("process %s was never saved: it was not evicted", process)
		}
	}
}

// A failure is an error, nothing is signed, and a later try succeeds.
func TestFailures(t *testing.T) {
	broken := errors.New("the device is gone")
	var failing error
	network := cutest.NewNetwork()
	provider := &evaltest.Provider{Before: func(context.Context, eval.Question) error { return failing }}
	rig := cutest.NewRig(t, t.TempDir(), network, cutest.Host(t), provider, nil)
	defer rig.Close()
	process := network.Spawn("p", true)
	message := network.Send(process, "@i1")

	network.Down(true)
	if _, err := rig.Unit.Result(background, process, message); !errors.Is(err, cu.ErrUpstream) || !errors.Is(err, cutest.ErrDown) {
		t.Errorf("network down: %v", err)
	}
	network.Down(false)
	failing = broken
	if _, err := rig.Unit.Result(background, process, message); !errors.Is(err, broken) {
		t.Errorf("provider broken: %v", err)
	}
	if head := rig.Log.Head(); head.Receipts != 1 {
		t.Errorf("%d receipts, want that of the process alone", head.Receipts)
	}
	failing = nil
	output(t, rig, process, message)
	network.Down(true)
	if got := output(t, rig, process, message); !strings.Contains(got, "question 1") {
		t.Errorf("what is in the log needs no network: %s", got)
	}
	network.Down(false)
	for name, id := range map[string]ao.ID{"message": process, "process": cutest.ID("nobody")} {
		if _, err := rig.Unit.Result(background, id, cutest.ID("nothing")); !errors.Is(err, cu.ErrNotFound) {
			t.Errorf("unknown %s: %v", name, err)
		}
	}
	noModule := network.Spawn("q", true, ao.Tag{Name: "Memory-Limit", Value: "lots"})
	if _, err := rig.Unit.Result(background, noModule, noModule); !errors.Is(err, cu.ErrModule) {
		t.Errorf("bad limit: %v", err)
	}
}

// A caller that leaves does not stop the evaluation, and closing the unit does.
func TestCallersAndClose(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	network := cutest.NewNetwork()
	provider := &evaltest.Provider{Before: func(ctx context.Context, _ eval.Question) error {
		entered <- struct{}{}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	rig := cutest.NewRig(t, t.TempDir(), network, cutest.Host(t), provider, nil)
	process := network.Spawn("p", true)
	message := network.Send(process, "@i1")
	ctx, leave := context.WithCancel(background)
	left := make(chan error)
	go func() {
		_, err := rig.Unit.Result(ctx, process, message)
		left <- err
	}()
	<-entered
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	release <- struct{}{}
	if output(t, rig, process, message); provider.Asked() != 1 {
		t.Errorf("%d questions", provider.Asked())
	}
	second := network.Send(process, "@i2")
	go func() {
		_, err := rig.Unit.Result(background, process, second)
		left <- err
	}()
	<-entered
	rig.Unit.Close()
	if err := <-left; !errors.Is(err, cu.ErrClosed) {
		t.Errorf("who waited got %v", err)
	}
	if _, err := rig.Unit.Result(background, process, second); !errors.Is(err, cu.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
	if rig.Unit.Health() == nil {
		t.Error("healthy after close")
	}
	if head := rig.Log.Head(); head.Receipts != 2 {
		t.Errorf("%d receipts", head.Receipts)
	}
	rig.Log.Close()
}

// A scheduler that changes its mind about a nonce does not get the receipt of another message.
func TestSchedulerChangesItsMind(t *testing.T) {
	network := cutest.NewNetwork()
	rig := cutest.NewRig(t, t.TempDir(), network, cutest.Host(t), &evaltest.Provider{}, nil)
	defer rig.Close()
	process := network.Spawn("p", true)
	output(t, rig, process, network.Send(process, "@c"))
	if _, err := rig.Unit.Result(background, process, network.Replace(process, "@i1")); !errors.Is(err, cu.ErrUpstream) {
		t.Errorf("%v", err)
	}
}

// As many evaluations at a time as configured, and dry runs beside them.
func TestEvaluationsMax(t *testing.T) {
	entered, release := make(chan string), make(chan struct{})
	network := cutest.NewNetwork()
	provider := &evaltest.Provider{Before: func(_ context.Context, q eval.Question) error {
		entered <- q.Request.Prompt
		<-release
		return nil
	}}
	rig := cutest.NewRig(t, t.TempDir(), network, cutest.Host(t), provider, func(c *cu.Config) { c.EvaluationsMax = 1 })
	defer rig.Close()
	p, q, idle := network.Spawn("p", true), network.Spawn("q", true), network.Spawn("idle", true)
	output(t, rig, idle, idle)
	var wait sync.WaitGroup
	for _, process := range []ao.ID{p, q} {
		message := network.Send(process, "@i1")
		wait.Go(func() { rig.Unit.Result(background, process, message) })
	}
	<-entered
	select {
	case <-entered:
		t.Error("two evaluations at a time")
	case <-time.After(20 * time.Millisecond):
	}
	wait.Go(func() { rig.Unit.DryRun(background, idle, []byte(`{"Data":"@i2"}`), cu.DryRunOptions{}) })
	if got := <-entered; got != "question 2" {
		t.Errorf("beside the evaluation came %s", got)
	}
	close(release)
	<-entered
	wait.Wait()
}

func TestDryRun(t *testing.T) {
	network, provider := cutest.NewNetwork(), &evaltest.Provider{}
	rig := cutest.NewRig(t, t.TempDir(), network, cutest.Host(t), provider, nil)
	defer rig.Close()
	process := network.Spawn("p", true)
	network.Send(process, "@c")
	for range 2 {
		result, _, err := rig.Unit.DryRun(background, process, []byte(`{"Id":"1234","Owner":"1234","Data":"@c","Tags":[{"name":"Action","value":"x"}],"Anchor":"0"}`), cu.DryRunOptions{})
		if err != nil || string(result.Output) != `"0003"` {
			t.Fatalf("output %s, %v", result.Output, err)
		}
	}
	result, _, err := rig.Unit.DryRun(background, process, []byte(`{"Data":"@i5"}`), cu.DryRunOptions{})
	if err != nil || !strings.Contains(string(result.Output), "question 5") {
		t.Errorf("output %s, %v", result.Output, err)
	}
	if head := rig.Log.Head(); head.Receipts != 2 {
		t.Errorf("%d receipts", head.Receipts)
	}
	for _, bad := range []string{``, `[]`, `{"Data":5}`, `{"Tags":{"a":"b"}}`, `{"Timestamp":"soon"}`} {
		if _, _, err := rig.Unit.DryRun(background, process, []byte(bad), cu.DryRunOptions{}); !errors.Is(err, cu.ErrInput) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestResults(t *testing.T) {
	network := cutest.NewNetwork()
	rig := cutest.NewRig(t, t.TempDir(), network, cutest.Host(t), &evaltest.Provider{}, nil)
	defer rig.Close()
	process := network.Spawn("p", true)
	for _, data := range []string{"@c", "@e", "@c", "@c", "@c"} { // nonces 1 to 5, of which 2 fails
		network.Send(process, data)
	}
	if page, more, err := rig.Unit.Results(process, cu.Query{Limit: 10}); len(page) != 0 || more || err != nil {
		t.Errorf("before anything was evaluated: %v, %v, %v", page, more, err)
	}
	if _, err := rig.Unit.Memory(background, process, 0); err != nil {
		t.Fatal(err)
	}
	nonce := func(n int64) *cu.Bound { return &cu.Bound{Nonce: n} }
	at := func(ms int64) *cu.Bound { return &cu.Bound{Nonce: -1, Timestamp: ms} }
	for _, test := range []struct {
		query cu.Query
		want  string
		more  bool
	}{
		{cu.Query{Limit: 10}, "[0 1 3 4 5]", false},
		{cu.Query{Limit: 5}, "[0 1 3 4 5]", false},
		{cu.Query{Limit: 2}, "[0 1]", true},
		{cu.Query{Limit: 2, From: nonce(1)}, "[3 4]", true},
		{cu.Query{Limit: 10, From: nonce(1), To: nonce(4)}, "[3 4]", false},
		{cu.Query{Limit: 10, From: at(2000)}, "[3 4 5]", false},
		{cu.Query{Limit: 10, To: at(4500)}, "[0 1 3]", false},
		{cu.Query{Limit: 10, From: at(1)}, "[0 1 3 4 5]", false},
		{cu.Query{Limit: 10, From: nonce(5)}, "[]", false},
		{cu.Query{Limit: 10, From: nonce(99)}, "[]", false},
		{cu.Query{Limit: 1, Descending: true}, "[5]", true},
		{cu.Query{Limit: 2, Descending: true, From: nonce(4)}, "[3 1]", true},
		{cu.Query{Limit: 9, Descending: true, To: nonce(3)}, "[5 4 3]", false},
	} {
		page, more, err := rig.Unit.Results(process, test.query)
		nonces := []int64{}
		for _, found := range page {
			nonces = append(nonces, found.Nonce)
			if found.Timestamp != 1000*(found.Nonce+1) {
				t.Errorf("nonce %d: time %d", found.Nonce, found.Timestamp)
			}
		}
		if fmt.Sprint(nonces) != test.want || more != test.more || err != nil {
			t.Errorf("%+v: %v, more %v, %v; want %s, more %v", test.query, nonces, more, err, test.want, test.more)
		}
	}
}
