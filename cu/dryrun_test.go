package cu_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"verbatim/cu"
	"verbatim/cu/ao"
	"verbatim/cu/cutest"
	"verbatim/cu/eval"
	"verbatim/cu/eval/evaltest"
)

// stuck is a provider that answers when it is told to, and says when it was asked and when it was given up.
type stuck struct {
	*evaltest.Provider
	entered, left, release chan struct{}
}

func newStuck() stuck {
	s := stuck{&evaltest.Provider{}, make(chan struct{}, 9), make(chan struct{}, 9), make(chan struct{})}
	s.Before = func(ctx context.Context, _ eval.Question) error {
		s.entered <- struct{}{}
		select {
		case <-s.release:
			return nil
		case <-ctx.Done():
			s.left <- struct{}{}
			return ctx.Err()
		}
	}
	return s
}

func dryRun(ctx context.Context, rig *cutest.Rig, process ao.ID, data string) (string, bool, error) {
	result, known, err := rig.Unit.DryRun(ctx, process, fmt.Appendf(nil, `{"Data":%q}`, data), cu.DryRunOptions{})
	return string(result.Output), known, err
}

// Who asks the same at the same time gets the same evaluation, also when the one who asked first has left.
func TestDryRunsAreJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, provider := cutest.NewNetwork(), newStuck()
		rig := cutest.NewRig(t, t.TempDir(), network, cutest.Host(t), provider, nil)
		defer rig.Close()
		process := network.Spawn("p", true)
		first, leave := context.WithCancel(background)
		go func() {
			if _, _, err := dryRun(first, rig, process, "@i1"); !errors.Is(err, context.Canceled) {
				t.Errorf("the first left with %v, want %v", err, context.Canceled)
			}
		}()
		<-provider.entered
		for range 3 {
			go func() {
				if got, known, err := dryRun(background, rig, process, "@i1"); err != nil || !known || got == "" {
					t.Errorf("joined: %q, known %v, %v", got, known, err)
				}
			}()
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		close(provider.release)
		synctest.Wait()
		if provider.Asked() != 1 {
			t.Errorf("the model was asked %d times, want once", provider.Asked())
		}
	})
}

// A dry run ends when nobody waits for it, and is begun anew for whoever asks later.
func TestDryRunEndsWithItsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, provider := cutest.NewNetwork(), newStuck()
		rig := cutest.NewRig(t, t.TempDir(), network, cutest.Host(t), provider, func(c *cu.Config) { c.DryRunsMax = 1 })
		defer rig.Close()
		process := network.Spawn("p", true)
		ctx, leave := context.WithCancel(background)
		for range 2 {
			go dryRun(ctx, rig, process, "@i1")
		}
		synctest.Wait()
		if got := rig.Unit.Load(); got.DryRuns != 1 || got.Processes != 1 || got.Evaluating != 0 || got.MemoryBytes == 0 {
			t.Errorf("%+v, want one dry run on one process whose memory is at hand", got)
		}
		if _, _, err := dryRun(background, rig, process, "@i2"); !errors.Is(err, cu.ErrCrowded) {
			t.Errorf("a second dry run: %v, want %v", err, cu.ErrCrowded)
		}
		leave()
		<-provider.left
		synctest.Wait()
		close(provider.release)
		if _, known, err := dryRun(background, rig, process, "@i1"); err != nil || known || provider.Asked() != 2 {
			t.Errorf("asked again: known %v, %v; the model was asked %d times, want 2", known, err, provider.Asked())
		}
	})
}

// A unit that closes ends its dry runs, and waits for their end.
func TestDryRunEndsWithTheUnit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, provider := cutest.NewNetwork(), newStuck()
		rig := cutest.NewRig(t, t.TempDir(), network, cutest.Host(t), provider, nil)
		process := network.Spawn("p", true)
		go func() {
			if _, _, err := dryRun(background, rig, process, "@i1"); !errors.Is(err, cu.ErrClosed) {
				t.Errorf("got %v, want %v", err, cu.ErrClosed)
			}
		}()
		<-provider.entered
		rig.Close()
		if len(provider.left) != 1 {
			t.Error("the unit is closed, and the dry run goes on")
		}
		if _, _, err := dryRun(background, rig, process, "@c"); !errors.Is(err, cu.ErrClosed) {
			t.Errorf("after Close: %v, want %v", err, cu.ErrClosed)
		}
	})
}
