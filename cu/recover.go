package cu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/checkpoint"
	"verbatim/cu/receipt"
	"verbatim/cu/replay"
)

// recover gives the tip of a process whose steps from nonce first to last are in the log: from the newest checkpoint that
// the log agrees with, and from there by evaluating again with the log's own inferences. Every step is compared with its
// receipt, and none is signed again. Saved is the nonce of that checkpoint, or first-1.
func (u *Unit) recover(ctx context.Context, loaded *actor, first, last int64) (recovered *tip, saved int64, err error) {
	id := loaded.meta.ID
	memory, saved := u.checkpoint(id, first, last)
	for nonce := saved + 1; nonce <= last; nonce++ {
		entry, err := u.config.Log.At(id, nonce)
		if err != nil {
			return nil, 0, err
		}
		if memory, err = u.again(ctx, loaded, memory, entry); err != nil {
			return nil, 0, err
		}
	}
	entry, err := u.config.Log.At(id, last)
	if err != nil {
		return nil, 0, err
	}
	position, time, err := describes(entry)
	if err != nil {
		return nil, 0, fmt.Errorf("process %s: entry of nonce %d: %w", id, last, err)
	}
	return &tip{at: position, booted: first == receipt.BootNonce, memory: memory, time: time}, saved, nil
}

// checkpoint gives a memory and the nonce that it is of: first-1 and no memory, if there is no checkpoint to trust.
func (u *Unit) checkpoint(id ao.ID, first, last int64) (memory replay.Memory, nonce int64) {
	found, err := u.config.Checkpoints.Load(id, last)
	if err != nil {
		if !errors.Is(err, checkpoint.ErrNone) {
			u.config.Logger.Warn("checkpoints not read; evaluating from the start", "process", id, "error", err)
		}
		return replay.MemoryOf(nil), first - 1
	}
	if len(found.Memory) == 0 {
		found.Memory = nil // no step has succeeded yet: the next one is a cold start
	}
	memory = replay.MemoryOf(found.Memory)
	entry, err := u.config.Log.At(id, found.Nonce)
	if err != nil || memory.Is != entry.Receipt.MemoryAfter {
		u.config.Logger.Warn("checkpoint does not match its receipt; evaluating from the start", "process", id, "nonce", found.Nonce, "error", err)
		return replay.MemoryOf(nil), first - 1
	}
	return memory, found.Nonce
}

// again evaluates a step that the log holds already, and gives the memory after it.
func (u *Unit) again(ctx context.Context, loaded *actor, memory replay.Memory, entry *receipt.Entry) (after replay.Memory, err error) {
	provider, err := replay.Feed(entry)
	if err != nil {
		return memory, err
	}
	if err := u.evaluations.take(ctx); err != nil {
		return memory, err
	}
	defer u.evaluations.giveBack()
	start := time.Now()
	outcome, after, err := replay.Step(ctx, loaded.module.compiled, memory, entry, provider)
	var diverged *replay.Divergence
	if errors.As(err, &diverged) {
		return memory, fmt.Errorf("%w: %w", ErrDiverged, diverged)
	}
	if err != nil {
		return memory, err
	}
	u.observe(outcome, Observation{Recovery: true, Duration: time.Since(start)})
	return after, nil
}

// describes gives the position after an entry, and when its message was assigned.
func describes(entry *receipt.Entry) (Position, moment, error) {
	var message struct {
		Timestamp   int64
		BlockHeight int64  `json:"Block-Height"`
		HashChain   string `json:"Hash-Chain"`
	}
	if err := json.Unmarshal(entry.Message, &message); err != nil {
		return Position{}, moment{}, err
	}
	at := Position{Nonce: entry.Receipt.Nonce, Assignment: entry.Receipt.Assignment}
	if at.Nonce != receipt.BootNonce {
		var err error
		if at.HashChain, err = ao.ParseHashChain(message.HashChain); err != nil {
			return Position{}, moment{}, err
		}
	}
	return at, moment{message.Timestamp, message.BlockHeight}, nil
}
