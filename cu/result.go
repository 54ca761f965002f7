package cu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/checkpoint"
	"verbatim/cu/cron"
	"verbatim/cu/eval"
	"verbatim/cu/receipt"
)

// Result gives the entry of a message's first assignment to a process, which it evaluates first if nobody has asked yet.
func (u *Unit) Result(ctx context.Context, process, message ao.ID) (*receipt.Entry, error) {
	if err := u.serves(process); err != nil {
		return nil, err
	}
	entry, err := u.config.Log.Find(process, message)
	if !errors.Is(err, receipt.ErrAbsent) {
		return entry, err
	}
	assignment, err := u.config.Scheduler.Message(ctx, process, message)
	if err != nil {
		return nil, fmt.Errorf("find message %s of process %s: %w", message, process, upstream(err))
	}
	if _, _, err := u.fold(ctx, process, place{nonce: assignment.Nonce}); err != nil {
		return nil, err
	}
	if entry, err = u.config.Log.At(process, assignment.Nonce); err != nil {
		if history, stepsErr := u.config.Log.Steps(process); stepsErr == nil && errors.Is(err, receipt.ErrAbsent) {
			err = fmt.Errorf("%w: message at nonce %d not found cached, and earlier than latest known nonce %d", ErrEarlier, assignment.Nonce, history.Last)
		}
		return nil, err
	}
	if r := entry.Receipt; r.Message != message || r.Assignment != assignment.ID {
		return nil, fmt.Errorf("%w: process %s, nonce %d: the scheduler now says message %s, and said message %s before",
			ErrUpstream, process, assignment.Nonce, message, r.Message)
	}
	return entry, nil
}

// ResultAt gives the entry of an assignment by its nonce, which it evaluates first if nobody has asked yet. Known says that
// somebody had.
func (u *Unit) ResultAt(ctx context.Context, process ao.ID, nonce int64) (entry *receipt.Entry, known bool, err error) {
	if err := u.serves(process); err != nil {
		return nil, false, err
	}
	if entry, err = u.config.Log.At(process, nonce); !errors.Is(err, receipt.ErrAbsent) {
		return entry, err == nil, err
	}
	if _, _, err = u.fold(ctx, process, place{nonce: nonce}); err != nil {
		return nil, false, err
	}
	entry, err = u.config.Log.At(process, nonce)
	return entry, false, err
}

// Receipt gives the entry of a message that was evaluated, and ErrNotFound for others. It evaluates nothing.
func (u *Unit) Receipt(process, message ao.ID) (*receipt.Entry, error) {
	entry, err := u.config.Log.Find(process, message)
	if errors.Is(err, receipt.ErrAbsent) {
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return entry, err
}

// Contents gives the log of receipts as far as it goes now.
func (u *Unit) Contents() *io.SectionReader { return u.config.Log.Contents() }

// State is the memory of a process after a message.
type State struct {
	Memory      *eval.Image
	Nonce       int64 // of the message, or of the assignment before it if it is a cron's
	Timestamp   int64 // of the message, milliseconds since 1970
	BlockHeight int64
	Cron        string
	Position    Position
}

// Memory evaluates everything that is assigned to a process and gives its memory. With until not 0 it gives the memory
// after the last message that is not later than that time.
func (u *Unit) Memory(ctx context.Context, process ao.ID, until int64) (State, error) {
	if err := u.serves(process); err != nil {
		return State{}, err
	}
	_, tip, err := u.tip(ctx, process)
	if err != nil {
		return State{}, err
	}
	if until > 0 && tip.time.timestamp > until {
		steps, err := u.config.Log.Seek(process, func(s receipt.Step) bool { return s.Timestamp > until })
		if err != nil {
			return State{}, err
		}
		if steps == 0 {
			return State{}, fmt.Errorf("process %s: %w: it begins after time %d", process, ErrNotFound, until)
		}
		if _, tip, err = u.past(ctx, process, steps); err != nil {
			return State{}, err
		}
	}
	return tip.state(), nil
}

func (t *tip) state() State {
	return State{
		Memory: t.memory.Image, Nonce: t.at.Nonce, Timestamp: t.time.timestamp, BlockHeight: t.time.blockHeight, Cron: t.cron.name, Position: t.at,
	}
}

// tip evaluates everything that is assigned to a process at the time of the call, and what its crons have sent by then.
func (u *Unit) tip(ctx context.Context, process ao.ID) (*actor, *tip, error) {
	meta, err := u.meta(ctx, process)
	if err != nil {
		return nil, nil, err
	}
	begin := time.Now()
	target := place{}
	if crons, err := cron.Parse(meta.Tags); err == nil && len(crons) > 0 {
		// Asked before the latest assignment is: whatever is assigned after that one is later.
		if target.until, err = u.config.Scheduler.Now(ctx, process); err != nil {
			return nil, nil, fmt.Errorf("ask the scheduler of process %s for the time: %w", process, upstream(err))
		}
	}
	last, err := u.config.Scheduler.Latest(ctx, process)
	switch {
	case err == nil:
		target.nonce = last.Nonce
	case errors.Is(err, ErrNotFound) && target.until > 0:
		target.nonce = -1
	default:
		return nil, nil, fmt.Errorf("find the latest message of process %s: %w", process, upstream(err))
	}
	actor, tip, err := u.fold(ctx, process, target)
	if err == nil {
		u.mu.Lock()
		if p := u.processes[process]; p != nil {
			p.current = begin
		}
		u.mu.Unlock()
	}
	return actor, tip, err
}

// Snapshot saves the memory of a process that is at hand, and gives it; ErrNotFound for others.
func (u *Unit) Snapshot(process ao.ID) (State, ao.ID, error) {
	if err := u.serves(process); err != nil {
		return State{}, ao.ID{}, err
	}
	u.mu.Lock()
	p := u.processes[process]
	if p == nil || p.tip == nil || p.tip.memory.Image == nil {
		u.mu.Unlock()
		return State{}, ao.ID{}, fmt.Errorf("%w: No cached memory found for process %s", ErrNotFound, process)
	}
	actor, tip := p.actor, p.tip
	u.mu.Unlock()
	err := u.config.Checkpoints.Save(checkpoint.Checkpoint{Process: process, Steps: tip.steps, Memory: tip.memory.Image})
	return tip.state(), actor.module.meta.ID, err
}
