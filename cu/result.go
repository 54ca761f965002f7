package cu

import (
	"context"
	"errors"
	"fmt"
	"io"

	"verbatim/cu/ao"
	"verbatim/cu/receipt"
)

// Result gives the entry of a message's first assignment to a process, which it evaluates first if nobody has asked yet.
func (u *Unit) Result(ctx context.Context, process, message ao.ID) (*receipt.Entry, error) {
	entry, err := u.config.Log.Find(process, message)
	if !errors.Is(err, receipt.ErrAbsent) {
		return entry, err
	}
	assignment, err := u.config.Scheduler.Message(ctx, process, message)
	if err != nil {
		return nil, fmt.Errorf("find message %s of process %s: %w", message, process, upstream(err))
	}
	if _, _, err := u.fold(ctx, process, assignment.Nonce); err != nil {
		return nil, err
	}
	if entry, err = u.config.Log.At(process, assignment.Nonce); err != nil {
		return nil, err
	}
	if r := entry.Receipt; r.Message != message || r.Assignment != assignment.ID {
		return nil, fmt.Errorf("%w: process %s, nonce %d: the scheduler now says message %s, and said message %s before",
			ErrUpstream, process, assignment.Nonce, message, r.Message)
	}
	return entry, nil
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

// State is the memory of a process after its latest message.
type State struct {
	Memory      []byte
	Nonce       int64
	Timestamp   int64 // of the message, milliseconds since 1970
	BlockHeight int64
}

// Memory evaluates everything that is assigned to a process and gives its memory.
func (u *Unit) Memory(ctx context.Context, process ao.ID) (State, error) {
	_, tip, err := u.tip(ctx, process)
	if err != nil {
		return State{}, err
	}
	return State{Memory: tip.memory.Image, Nonce: tip.at.Nonce, Timestamp: tip.time.timestamp, BlockHeight: tip.time.blockHeight}, nil
}

// tip evaluates everything that is assigned to a process at the time of the call.
func (u *Unit) tip(ctx context.Context, process ao.ID) (*actor, *tip, error) {
	last, err := u.config.Scheduler.Latest(ctx, process)
	if err != nil {
		return nil, nil, fmt.Errorf("find the latest message of process %s: %w", process, upstream(err))
	}
	return u.fold(ctx, process, last.Nonce)
}
