package inference_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"verbatim/inference"
	"verbatim/inference/transcript"
	"verbatim/kernels"
	"verbatim/kernels/cpu"
	"verbatim/kernels/quant"
)

// narrow is a backend with few pages of keys and values, none of them shared. What Reserve did not grant must not be stored.
type narrow struct {
	kernels.Backend
	t        *testing.T
	pagesMax int
	pages    map[kernels.KV]int
	spent    int // how often there was none
}

func (n *narrow) Reserve(kv kernels.KV, first, positions int) error {
	want, others := (first+positions+kernels.SplitPositions-1)/kernels.SplitPositions, 0
	for other, pages := range n.pages {
		if other != kv {
			others += pages
		}
	}
	if positions > 0 && others+want > n.pagesMax {
		n.spent++
		return fmt.Errorf("%w: %d pages beside %d", kernels.ErrMemory, want, others)
	}
	n.pages[kv] = want
	return n.Backend.Reserve(kv, first, positions)
}

func (n *narrow) StoreKV(layer int, k, v kernels.Buffer, spans []kernels.Span) {
	for _, s := range spans {
		if s.Position+s.Rows > n.pages[s.KV]*kernels.SplitPositions {
			n.t.Errorf("positions %d to %d are stored in %d pages", s.Position, s.Position+s.Rows-1, n.pages[s.KV])
		}
	}
	n.Backend.StoreKV(layer, k, v, spans)
}

func (n *narrow) CopyKV(dst, src kernels.KV, dstFirst, srcFirst, positions int) {
	n.pages[dst] = (dstFirst + positions + kernels.SplitPositions - 1) / kernels.SplitPositions
	n.Backend.CopyKV(dst, src, dstFirst, srcFirst, positions)
}

func newNarrow(t *testing.T, pagesMax, prefixBytes int) (*inference.Engine, *narrow) {
	t.Helper()
	backend, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { backend.Close() })
	n := &narrow{Backend: backend, t: t, pagesMax: pagesMax, pages: map[kernels.KV]int{}}
	engine, err := inference.NewEngine(smallModel(t, quant.F32), n, inference.Options{PrefixBytesMax: prefixBytes, PrefillChunkTokens: 48})
	if err != nil {
		t.Fatal(err)
	}
	return engine, n
}

// A crowd that has room for two at a time: everybody gets the answer that they get alone.
func TestCrowdInLittleMemory(t *testing.T) {
	var requests []inference.Request
	var want []transcript.Digest
	for i := range 7 {
		requests = append(requests, lively(strings.Repeat("b", 90+10*i)+"a", 60, uint64(i)))
		c := generate(t, newEngine(t, smallModel(t, quant.F32), 0), requests[i])
		want = append(want, digestOf(t, &c.Transcript))
	}
	spent := 0
	for _, pages := range []int{2, 3, 5} {
		for _, prefixBytes := range []int{-1, 0} {
			engine, n := newNarrow(t, pages, prefixBytes)
			var group sync.WaitGroup
			for i, r := range requests {
				group.Go(func() {
					c, err := engine.Generate(context.Background(), r, nil)
					if err != nil {
						t.Errorf("%d pages, request %d: %v", pages, i, err)
						return
					}
					if got, want := digestOf(t, &c.Transcript), want[i]; got != want {
						t.Errorf("%d pages, request %d: digest %v, alone %v", pages, i, got, want)
					}
				})
			}
			group.Wait()
			spent += n.spent
		}
	}
	if spent == 0 {
		t.Error("there was always room; the test tests nothing")
	}
}

// Who alone needs more than there is gets an error that says so, and the engine goes on.
func TestTooLittleMemoryForOne(t *testing.T) {
	engine, _ := newNarrow(t, 1, 0)
	_, err := engine.Generate(context.Background(), lively(strings.Repeat("b", 160), 40, 1), nil)
	if !errors.Is(err, kernels.ErrMemory) {
		t.Errorf("got %v, want an error that wraps %v", err, kernels.ErrMemory)
	}
	if c := generate(t, engine, lively("b", 20, 1)); len(c.Transcript.Output) == 0 {
		t.Errorf("no output after a session that ended for want of memory: %+v", c.Transcript)
	}
	session, err := engine.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.Snapshot(); err != nil {
		t.Fatal(err)
	}
	session.Close()
}

// Snapshots that do not fit are refused when they are restored.
func TestRestoreInLittleMemory(t *testing.T) {
	roomy, _ := newNarrow(t, 10, 0)
	session, err := roomy.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	tokens, err := roomy.Question(lively(strings.Repeat("b", 140), 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Prefill(context.Background(), tokens.Prompt); err != nil {
		t.Fatal(err)
	}
	snapshot, err := session.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	tight, _ := newNarrow(t, 1, 0)
	if _, err := tight.Restore(snapshot); !errors.Is(err, kernels.ErrMemory) {
		t.Errorf("got %v, want an error that wraps %v", err, kernels.ErrMemory)
	}
}
