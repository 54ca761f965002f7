package cpu

import (
	"sync/atomic"
	"testing"
	"time"
)

// tally counts how often each item runs.
type tally struct {
	counts  []atomic.Int32
	inside  atomic.Int32
	workers int
	t       *testing.T
}

func (c *tally) run(item, worker int) {
	if worker < 0 || worker >= c.workers {
		c.t.Errorf("worker %d of %d", worker, c.workers)
	}
	c.inside.Add(1)
	c.counts[item].Add(1)
	c.inside.Add(-1)
}

// TestPool: every item runs exactly once, and none after run has returned; also with more threads than processors.
func TestPool(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 8} {
		p := newPool(threads)
		for job := range 500 {
			if job%100 == 99 {
				time.Sleep(2 * time.Millisecond) // the workers go to sleep
			}
			items := job % 23
			c := &tally{counts: make([]atomic.Int32, items), workers: threads, t: t}
			p.run(c, items)
			for i := range c.counts {
				if n := c.counts[i].Load(); n != 1 {
					t.Fatalf("%d threads, job %d: item %d ran %d times, want once", threads, job, i, n)
				}
			}
			if n := c.inside.Load(); n != 0 {
				t.Fatalf("%d threads, job %d: %d items still run", threads, job, n)
			}
		}
		p.close()
		p.close()
	}
}
