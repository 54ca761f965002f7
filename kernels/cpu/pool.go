package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// task is work cut into items that write to different places. The items may run in any order on any worker, but a worker
// mostly runs neighbours, one after the other.
type task interface {
	run(item, worker int)
}

// pool is a fixed set of goroutines, the caller of run being worker 0. A task costs about a microsecond to share out:
// idle workers spin for a moment before they sleep, and a worker that comes late is not waited for.
type pool struct {
	threads int

	// state is the number of the job (upper half), whether workers may join it (open), and how many are inside. Only
	// run changes the fields below, and only while nobody is inside and the job is closed.
	state  atomic.Uint64
	task   task
	shares []share // of the items, by worker
	parked atomic.Int32
	wake   chan struct{}
	closed atomic.Bool
	done   sync.WaitGroup
}

// share is a range of items. Who is done with their own takes from those of others.
type share struct {
	next atomic.Int64 // first item that nobody has taken
	end  int64
	_    [48]byte // shares lie in different cache lines
}

const (
	jobShift  = 32
	open      = 1 << 31
	spinsPark = 400 // looks at the state before a worker sleeps, about 100 microseconds
)

func newPool(threads int) *pool {
	p := &pool{threads: threads, wake: make(chan struct{}, threads), shares: make([]share, threads)}
	for worker := 1; worker < threads; worker++ {
		p.done.Go(func() { p.work(worker) })
	}
	return p
}

// run runs the items 0..items-1 of t and returns when all have ended.
func (p *pool) run(t task, items int) {
	if p.threads == 1 || items <= 1 {
		for item := range items {
			t.run(item, 0)
		}
		return
	}
	p.task = t
	for worker := range p.shares {
		s := &p.shares[worker]
		s.next.Store(int64(worker * items / p.threads))
		s.end = int64((worker + 1) * items / p.threads)
	}
	job := p.state.Load()>>jobShift + 1
	p.state.Store(job<<jobShift | open)
	for range p.parked.Load() {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	p.take(0)
	p.state.And(^uint64(open))
	for spins := 0; p.state.Load() != job<<jobShift; spins++ {
		rest(spins)
	}
}

// take runs items until none is left.
func (p *pool) take(worker int) {
	for i := range p.shares {
		s := &p.shares[(worker+i)%len(p.shares)]
		for {
			item := s.next.Add(1) - 1
			if item >= s.end {
				break
			}
			p.task.run(int(item), worker)
		}
	}
}

// work joins one job after the other.
func (p *pool) work(worker int) {
	last := uint64(0)
	spins := 0
	for !p.closed.Load() {
		state := p.state.Load()
		if p.fresh(state, last) {
			if p.state.CompareAndSwap(state, state+1) {
				last = state >> jobShift
				p.take(worker)
				p.state.Add(^uint64(0))
			}
			spins = 0
			continue
		}
		spins++
		if spins < spinsPark {
			rest(spins)
			continue
		}
		// run first publishes the job and then counts the parked; here it is the other way round, so one sees the other.
		p.parked.Add(1)
		if !p.fresh(p.state.Load(), last) && !p.closed.Load() {
			<-p.wake
		}
		p.parked.Add(-1)
		spins = 0
	}
}

// fresh says whether a state shows a job that a worker who was in job last may join.
func (p *pool) fresh(state, last uint64) bool {
	return state&open != 0 && state>>jobShift != last
}

// rest waits a moment, and now and then lets other goroutines run.
func rest(spins int) {
	if spins%8 == 7 {
		runtime.Gosched()
		return
	}
	pauseShort()
}

func (p *pool) close() {
	if p.closed.Swap(true) {
		return
	}
	for range p.threads {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
	p.done.Wait()
}
