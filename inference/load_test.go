package inference_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"verbatim/inference"
	"verbatim/kernels"
)

// Memory lets narrow pass as a device with memory of its own.
func (n *narrow) Memory() (used, budget int64) {
	for _, pages := range n.pages {
		used += int64(pages)
	}
	return used, int64(n.pagesMax)
}

var _ kernels.Metered = (*narrow)(nil)

func TestLoad(t *testing.T) {
	engine, _ := newNarrow(t, 3, -1)
	if got, want := engine.Load(), (inference.Load{}); got != want {
		t.Errorf("a new engine: %+v, want %+v", got, want)
	}
	s, err := engine.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	prompt, err := engine.Question(lively(strings.Repeat("b", 130), 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prefill(context.Background(), prompt.Prompt[:130]); err != nil {
		t.Fatal(err)
	}
	want := inference.Load{Sessions: 1, Passes: 3, Rows: 130, MemoryUsed: 2, MemoryBudget: 3} // 48 rows at a time, 128 positions a page
	if got := engine.Load(); got != want {
		t.Errorf("after a prompt of 130 tokens: %+v, want %+v", got, want)
	}
	s.Close()
	s.Close()
	want.Sessions, want.MemoryUsed = 0, 0
	if got := engine.Load(); got != want {
		t.Errorf("after the session: %+v, want %+v", got, want)
	}
}

// Who has too little memory while a later session is busy with a token waits for it, unless its caller has left.
func TestSessionsWaitForMemory(t *testing.T) {
	for _, cancelled := range []bool{false, true} {
		engine, n := newNarrow(t, 3, -1)
		ctx, cancel := context.WithCancel(context.Background())
		first := make(chan error)
		begin, held := make(chan struct{}), make(chan struct{})
		go func() {
			var once sync.Once
			_, err := engine.Generate(ctx, lively(strings.Repeat("b", 100), 60, 2), func(inference.Event) { once.Do(func() { close(begin); <-held }) })
			first <- err
		}()
		<-begin
		var once sync.Once
		_, err := engine.Generate(context.Background(), lively(strings.Repeat("b", 200), 50, 2), func(inference.Event) {
			once.Do(func() { // two pages of three are taken; the first comes as far as the end of its one
				close(held)
				for engine.Load().Rows < 102+25+202 {
					time.Sleep(time.Millisecond)
				}
				time.Sleep(10 * time.Millisecond)
				if cancelled {
					cancel()
					if err := <-first; !errors.Is(err, context.Canceled) {
						t.Errorf("the first ended with %v, want %v", err, context.Canceled)
					}
				}
			})
		})
		if err != nil {
			t.Errorf("cancelled %v: the second: %v", cancelled, err)
		}
		if !cancelled {
			if err := <-first; err != nil {
				t.Errorf("the first: %v", err)
			}
		}
		if n.spent == 0 {
			t.Error("there was always room; the test tests nothing")
		}
		cancel()
	}
}

// A session that takes its memory from a later one is counted.
func TestLoadCountsSetBacks(t *testing.T) {
	engine, _ := newNarrow(t, 3, -1)
	var group sync.WaitGroup
	generate := func(prompt, tokens int, atFirst func()) {
		group.Go(func() {
			var once sync.Once
			_, err := engine.Generate(context.Background(), lively(strings.Repeat("b", prompt), tokens, 2), func(inference.Event) { once.Do(atFirst) })
			if err != nil {
				t.Error(err)
			}
		})
	}
	// The first has one page of three and will want another; meanwhile the second takes the other two. Where the first is late, the
	// second is done by then, and nobody is set back.
	for attempt := 0; attempt < 100 && engine.Load().SetBacks == 0; attempt++ {
		ready := make(chan struct{})
		generate(100, 60, func() {
			generate(200, 50, func() { ready <- struct{}{} })
			<-ready
		})
		group.Wait()
	}
	if got := engine.Load(); got.SetBacks != 1 || got.Sessions != 0 {
		t.Errorf("%+v, want one set back and no session", got)
	}
}
