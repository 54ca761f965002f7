package inference_test

import (
	"context"
	"strings"
	"sync"
	"testing"

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
	engine, n := newNarrow(t, 3, -1)
	if got, want := engine.Load(), (inference.Load{}); got != want {
		t.Errorf("a new engine: %+v, want %+v", got, want)
	}
	session, err := engine.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	prompt, err := engine.Question(lively(strings.Repeat("b", 130), 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Prefill(context.Background(), prompt.Prompt); err != nil {
		t.Fatal(err)
	}
	chunks := (len(prompt.Prompt) + 47) / 48
	want := inference.Load{Sessions: 1, Passes: uint64(chunks), Rows: uint64(len(prompt.Prompt)), MemoryUsed: 2, MemoryBudget: 3}
	if got := engine.Load(); got != want {
		t.Errorf("after a prompt of %d tokens: %+v, want %+v", len(prompt.Prompt), got, want)
	}
	session.Close()
	session.Close()
	if got := engine.Load(); got.Sessions != 0 || got.Waiting != 0 || got.Rows != want.Rows || got.MemoryUsed != 0 {
		t.Errorf("after the session: %+v, want none open, no memory and %d rows", got, want.Rows)
	}
	for range 100 { // who is set back, and whether, depends on who comes when
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				if _, err := engine.Generate(context.Background(), lively(strings.Repeat("b", 100), 60, uint64(i)), nil); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if engine.Load().SetBacks > 0 {
			break
		}
	}
	if got := engine.Load(); got.SetBacks == 0 || n.spent == 0 || got.Sessions != 0 || got.Rows <= want.Rows || got.MemoryUsed != 0 {
		t.Errorf("after a crowd in little memory: %+v; there was none left %d times", got, n.spent)
	}
}
