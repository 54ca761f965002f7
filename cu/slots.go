package cu

import (
	"context"
	"time"
)

// patience is how long an evaluation has its slot. Who takes longer goes on without one, so that slow processes do not keep
// quick ones waiting; the operating system shares the cores among them.
const patience = 100 * time.Millisecond

// slots limit how many evaluations begin at a time.
type slots chan struct{}

// take waits for a slot. Giving it back, which may be done at any time and again, frees it for the next.
func (s slots) take(ctx context.Context) (giveBack func(), err error) {
	select {
	case s <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	released := make(chan struct{}, 1)
	release := func() {
		select {
		case released <- struct{}{}:
			<-s
		default:
		}
	}
	timer := time.AfterFunc(patience, release)
	return func() {
		timer.Stop()
		release()
	}, nil
}
