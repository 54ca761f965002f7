package cu

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"verbatim/cu/ao"
	"verbatim/cu/eval"
	"verbatim/cu/receipt"
)

// Delivered is a Scheduler that is told what was assigned, by a HyperBEAM node that asks for one result after the other, and
// does not ask anyone. What the node says is believed: it keeps the schedule, and its items carry no signatures that could be
// checked here. Only the order and the hash chain are checked.
type Delivered struct {
	log   *receipt.Log
	inner Scheduler // asked about processes of which nothing was delivered; nil: nobody is

	mu        sync.Mutex
	processes map[ao.ID]*delivery
}

// delivery is what was delivered of a process and not yet taken.
type delivery struct {
	meta        *ao.Process // nil until the process's own assignment came
	assignments map[int64]ao.Assignment
	now         int64
}

// deliveriesMax is how many assignments of a process may wait.
const deliveriesMax = 4096

// NewDelivered gives a scheduler that knows what is in the log, and has inner, or nobody, asked about anything else.
func NewDelivered(log *receipt.Log, inner Scheduler) *Delivered {
	return &Delivered{log: log, inner: inner, processes: map[ao.ID]*delivery{}}
}

// Deliver takes assignments of a process in. Now is the node's clock, in milliseconds since 1970.
func (d *Delivered) Deliver(process ao.ID, assignments []ao.Assignment, now int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	known := d.processes[process]
	if known == nil {
		known = &delivery{assignments: map[int64]ao.Assignment{}}
		d.processes[process] = known
	}
	known.now = max(known.now, now)
	for _, assignment := range assignments {
		if assignment.Process != process {
			return fmt.Errorf("%w: slot %d is of process %s", ErrInput, assignment.Nonce, assignment.Process)
		}
		if assignment.Nonce == 0 && assignment.Message.Tags.Has("Type", "Process") {
			meta, err := ao.NewProcess(process, assignment.Message.Owner, assignment.Message.Tags)
			if err != nil {
				return fmt.Errorf("%w: slot 0: %w", ErrInput, err)
			}
			meta.Timestamp, meta.BlockHeight, meta.Verified = assignment.Timestamp, assignment.BlockHeight, true
			known.meta = &meta
		}
		if len(known.assignments) >= deliveriesMax {
			return fmt.Errorf("%w: %d slots of process %s wait already", ErrCrowded, deliveriesMax, process)
		}
		known.assignments[assignment.Nonce] = assignment
		known.now = max(known.now, assignment.Timestamp)
	}
	return nil
}

// delivered reports what is known of a process, and whether anything is.
func (d *Delivered) delivered(process ao.ID) (delivery, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if known := d.processes[process]; known != nil {
		return *known, true
	}
	return delivery{}, false
}

// Process implements Scheduler.
func (d *Delivered) Process(ctx context.Context, id ao.ID) (ao.Process, error) {
	if known, ok := d.delivered(id); ok && known.meta != nil {
		return *known.meta, nil
	}
	if entry, err := d.log.At(id, 0); err == nil {
		return recorded(entry)
	}
	if d.inner != nil {
		return d.inner.Process(ctx, id)
	}
	return ao.Process{}, fmt.Errorf("%w: slot 0 of process %s was not delivered", ErrNotFound, id)
}

// recorded gives a process as the log has it.
func recorded(entry *receipt.Entry) (ao.Process, error) {
	env, err := eval.ParseEnv(entry.Env)
	if err != nil {
		return ao.Process{}, err
	}
	message, err := eval.ParseMessage(entry.Message)
	if err != nil {
		return ao.Process{}, err
	}
	process, err := ao.NewProcess(entry.Receipt.Process, env.Process.Owner, env.Process.Tags)
	process.Timestamp, process.BlockHeight, process.Verified = message.Timestamp, message.BlockHeight, true
	return process, err
}

// Message implements Scheduler.
func (d *Delivered) Message(ctx context.Context, process, message ao.ID) (ao.Assignment, error) {
	d.mu.Lock()
	if known := d.processes[process]; known != nil {
		for _, assignment := range known.assignments {
			if assignment.MessageID == message {
				d.mu.Unlock()
				return assignment, nil
			}
		}
	}
	d.mu.Unlock()
	if d.inner != nil {
		return d.inner.Message(ctx, process, message)
	}
	return ao.Assignment{}, fmt.Errorf("%w: message %s was not delivered", ErrNotFound, message)
}

// Latest implements Scheduler: the last assignment that was delivered or is in the log.
func (d *Delivered) Latest(ctx context.Context, process ao.ID) (ao.Assignment, error) {
	history, err := d.log.Steps(process)
	if err != nil {
		return ao.Assignment{}, err
	}
	latest := ao.Assignment{Process: process, Nonce: -1}
	if history.Steps > 0 {
		latest.Nonce = history.Last
	}
	d.mu.Lock()
	if known := d.processes[process]; known != nil {
		for known.assignments[latest.Nonce+1].Process == process {
			latest = known.assignments[latest.Nonce+1]
		}
	}
	d.mu.Unlock()
	if latest.Nonce >= 0 {
		return latest, nil
	}
	if d.inner != nil {
		return d.inner.Latest(ctx, process)
	}
	return latest, fmt.Errorf("%w: no slot of process %s was delivered", ErrNotFound, process)
}

// Now implements Scheduler.
func (d *Delivered) Now(ctx context.Context, process ao.ID) (int64, error) {
	if known, ok := d.delivered(process); ok || d.inner == nil {
		return known.now, nil
	}
	return d.inner.Now(ctx, process)
}

// Assignments implements Scheduler. What was taken is forgotten.
func (d *Delivered) Assignments(ctx context.Context, process ao.Process, after Position, last int64) iter.Seq2[ao.Assignment, error] {
	if _, ok := d.delivered(process.ID); !ok && d.inner != nil {
		return d.inner.Assignments(ctx, process, after, last)
	}
	return func(yield func(ao.Assignment, error) bool) {
		for at := after; at.Nonce < last; {
			d.mu.Lock()
			next, ok := d.processes[process.ID].take(at.Nonce + 1)
			d.mu.Unlock()
			var err error
			switch want := at.HashChain.Next(at.Assignment); {
			case !ok:
				err = fmt.Errorf("%w: slot %d of process %s was not delivered", ErrInput, at.Nonce+1, process.ID)
			case at.Nonce >= 0 && next.HashChain != want:
				err = fmt.Errorf("%w: the hash chain of slot %d is %s, want %s", ErrInput, next.Nonce, next.HashChain, want)
			}
			if !yield(next, err) || err != nil {
				return
			}
			at = Position{next.Nonce, next.ID, next.HashChain}
		}
	}
}

// take gives an assignment, and forgets those before it.
func (k *delivery) take(nonce int64) (assignment ao.Assignment, ok bool) {
	if k == nil {
		return assignment, false
	}
	for earlier := range k.assignments {
		if earlier < nonce {
			delete(k.assignments, earlier)
		}
	}
	assignment, ok = k.assignments[nonce]
	return assignment, ok
}
