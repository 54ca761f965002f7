package cu

import (
	"context"
	"fmt"
	"math"
	"runtime/debug"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/cron"
	"verbatim/cu/eval"
	"verbatim/cu/replay"
)

// process is a process whose memory is at hand. At most one flight at a time moves it on. Unit.mu guards every field; what
// actor and tip point to never changes.
type process struct {
	id        ao.ID
	flight    *flight   // under way, or nil
	used      uint64    // when it was last asked for, by Unit.clock
	current   time.Time // when the scheduler was last asked for more than the tip and had nothing
	actor     *actor    // nil until the first flight has loaded it
	tip       *tip      // nil until then
	bytes     int64     // that Unit.bytes counts for it
	saved     int64     // steps that the newest checkpoint covers; 0 if there is none. Only the flight looks at it.
	saving    pace      // of that checkpoint and the next; as saved
	published publications
}

// lacks is how many steps no checkpoint covers.
func (p *process) lacks() int64 {
	if p.tip == nil {
		return 0
	}
	return p.tip.steps - p.saved
}

// pace keeps the saving of large memories from taking more than a small part of the time.
type pace struct {
	ended time.Time
	took  time.Duration
}

// due reports whether the next may begin.
func (p pace) due() bool { return time.Since(p.ended) >= 10*p.took }

// actor is what does not change while a process lives.
type actor struct {
	meta   ao.Process
	module *module
	limits eval.Limits
	crons  cron.Schedule
}

// origin is where the time of a process begins.
func (a *actor) origin() cron.Point {
	return cron.Point{Height: a.meta.BlockHeight, Timestamp: a.meta.Timestamp}
}

// memoryOf gives a memory of the process that was read from somewhere.
func (a *actor) memoryOf(image *eval.Image) replay.Memory {
	return replay.MemoryOf(a.module.compiled.Share(image))
}

// tip is how far the steps of a process are done, and what they left.
type tip struct {
	steps    int64    // how many, which is also how many the log holds
	at       Position // after the last assignment
	booted   bool     // the step at receipt.BootNonce was done
	memory   replay.Memory
	time     moment     // of the last step's message
	assigned cron.Point // of the last assignment; before the first the process's own
	cron     cronDone   // after the last assignment
}

// cronDone is the last cron message that was done after an assignment, and the time before which all are done.
type cronDone struct {
	name      string // "": none
	timestamp int64
	until     int64
}

// reached tells how far a tip is.
func (t *tip) reached() place { return place{t.at.Nonce, t.cron.until} }

// moment is what a message says about when it was assigned.
type moment struct{ timestamp, blockHeight int64 }

// place is how far the steps of a process are done, or are to be done: the assignment with this nonce, and the cron messages
// that follow it before a time.
type place struct{ nonce, until int64 }

// covers reports whether whoever is at p has done what wanted asks for. A later assignment comes after all cron messages
// that follow an earlier one.
func (p place) covers(wanted place) bool {
	return p.nonce > wanted.nonce || (p.nonce == wanted.nonce && p.until >= wanted.until)
}

// flight is a run of steps of one process up to a target, which may be raised while it is under way. Everyone who wants a
// step that it will do waits for it: a step is never done twice at the same time. Unit.mu guards all but done.
type flight struct {
	target   place
	reached  place // what is done and in the log
	moved    chan struct{}
	evicting bool  // it only saves the process; unless someone boards, the process goes with it
	err      error // why it ended before its target
	done     chan struct{}
	ended    bool // done is closed
}

// nowhere is the target of a flight that has no step to do.
var nowhere = place{nonce: math.MinInt64}

func newFlight(target place) *flight {
	return &flight{target: target, reached: nowhere, moved: make(chan struct{}), done: make(chan struct{})}
}

// fold makes sure that the steps up to target are done, and gives the process as it was at some moment after that. The
// error is that of the flight that was asked to do it. When ctx ends, the flight goes on without this caller.
func (u *Unit) fold(ctx context.Context, id ao.ID, target place) (*actor, *tip, error) {
	p, f, err := u.board(id, target)
	if err != nil {
		return nil, nil, err
	}
	for {
		u.mu.Lock()
		moved, reached, actor, tip, ended, err := f.moved, f.reached, p.actor, p.tip, f.ended, f.err
		u.mu.Unlock()
		switch {
		case reached != nowhere && reached.covers(target):
			return actor, tip, nil
		case ended:
			return nil, nil, err
		}
		select {
		case <-moved:
		case <-f.done:
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
	}
}

// board gives the flight of a process that will do the steps up to target, and starts it if there is none.
func (u *Unit) board(id ao.ID, target place) (*process, *flight, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, nil, ErrClosed
	}
	p := u.processes[id]
	if p == nil {
		p = &process{id: id}
		u.processes[id] = p
	}
	u.clock++
	p.used = u.clock
	if p.flight != nil {
		if left := target.nonce - p.flight.reached.nonce; u.config.BehindMax > 0 && p.flight.reached.nonce > 0 && left > u.config.BehindMax {
			return nil, nil, fmt.Errorf("%w: Nonce limit exceeded: process %s is currently hydrating with >%d nonces remaining (%d remaining). Please try again later.",
				ErrBehind, id, u.config.BehindMax, left)
		}
		if !p.flight.target.covers(target) {
			p.flight.target = target
		}
		return p, p.flight, nil
	}
	return p, u.start(p, newFlight(target)), nil
}

// start lets a flight begin. Unit.mu is held.
func (u *Unit) start(p *process, f *flight) *flight {
	if p.tip != nil {
		f.reached = p.tip.reached()
	}
	p.flight = f
	u.flights.Add(1)
	go func() {
		defer u.flights.Done()
		u.fly(p, f)
	}()
	return f
}

// fly does the steps of a flight until its target is reached, also when that moves meanwhile.
func (u *Unit) fly(p *process, f *flight) {
	if f.evicting {
		u.save(p)
	}
	var err error
	for {
		u.mu.Lock()
		target := f.target
		if err != nil || target == nowhere || (f.reached != nowhere && f.reached.covers(target)) {
			break
		}
		f.evicting = false
		u.mu.Unlock()
		if err = u.advance(p, f, target); err != nil && u.running.Err() != nil {
			err = fmt.Errorf("%w: %w", ErrClosed, err)
		}
	}
	// Unit.mu is held since the target was looked at: whoever comes later starts another flight.
	p.flight, f.err, f.ended = nil, err, true
	gone := err != nil || f.evicting
	if gone {
		u.drop(p)
	}
	close(f.done)
	u.evict()
	u.mu.Unlock()
	if gone && p.tip != nil {
		p.actor.module.compiled.Release(context.WithoutCancel(u.running), p.tip.memory.Image)
	}
	if err != nil {
		u.config.Logger.Error("evaluation failed", "process", p.id, "error", err)
	}
}

// advance does steps up to target. A bug in one evaluation must not take the others down with it.
func (u *Unit) advance(p *process, f *flight, target place) (err error) {
	defer func() {
		if bug := recover(); bug != nil {
			u.config.Logger.Error("bug", "process", p.id, "panic", bug, "stack", string(debug.Stack()))
			err = fmt.Errorf("cu: internal error: process %s: %v", p.id, bug)
		}
	}()
	if p.actor == nil {
		actor, tip, saved, err := u.load(u.running, p.id, target)
		if err != nil {
			return err
		}
		p.saved = saved
		u.move(p, f, actor, tip)
	}
	if p.tip.reached().covers(target) {
		return nil
	}
	return u.steps(u.running, p, f, target)
}

// move shows what a flight has done to those who wait for it.
func (u *Unit) move(p *process, f *flight, actor *actor, tip *tip) {
	u.mu.Lock()
	defer u.mu.Unlock()
	p.actor, p.tip = actor, tip
	u.count(p)
	f.reached = tip.reached()
	close(f.moved)
	f.moved = make(chan struct{})
}

// count takes the memory of a process into account, and what it shares with others once for all of its module. Unit.mu is
// held.
func (u *Unit) count(p *process) {
	own, m := p.tip.memory.Image.OwnBytes(), p.actor.module
	u.bytes += own - p.bytes
	p.bytes = own
	if m.bytes == 0 {
		m.bytes = m.compiled.SharedBytes()
		u.bytes += m.bytes
	}
}

// drop forgets a process. Unit.mu is held.
func (u *Unit) drop(p *process) {
	u.bytes -= p.bytes
	p.bytes = 0
	delete(u.processes, p.id)
}

// evict drops the least recently used idle processes until the memories of the others fit. Each is saved first, and comes
// back the way it does after a restart. Unit.mu is held.
func (u *Unit) evict() {
	for u.bytes > u.config.MemoryBytesMax && !u.closed {
		var oldest *process
		for _, p := range u.processes {
			if p.flight == nil && p.tip != nil && (oldest == nil || p.used < oldest.used) {
				oldest = p
			}
		}
		if oldest == nil {
			return
		}
		// It counts no more: the next to be evicted is another.
		u.bytes -= oldest.bytes
		oldest.bytes = 0
		f := newFlight(nowhere)
		f.evicting = true
		u.start(oldest, f)
	}
}
