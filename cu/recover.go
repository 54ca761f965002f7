package cu

import (
	"context"
	"errors"
	"fmt"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/checkpoint"
	"verbatim/cu/cron"
	"verbatim/cu/eval"
	"verbatim/cu/receipt"
	"verbatim/cu/replay"
)

// recover gives the tip of a process after so many steps that are in the log: from the newest checkpoint that the log agrees
// with, and from there by evaluating again with the log's own inferences. Every step is compared with its receipt, and none
// is signed again. Saved is how many steps the newest checkpoint covers then.
func (u *Unit) recover(ctx context.Context, loaded *actor, history receipt.History, steps int64) (recovered *tip, saved int64, err error) {
	id := loaded.meta.ID
	memory, saved := u.checkpoint(loaded, steps)
	if saved == 0 && history.First > 0 {
		if memory, err = u.base(ctx, loaded, history); err != nil {
			return nil, 0, err
		}
	}
	var entry *receipt.Entry
	var saving pace
	for number := saved; number < steps; number++ {
		if entry, err = u.stepEntry(id, number); err != nil {
			return nil, 0, err
		}
		if memory, err = u.again(ctx, loaded, memory, entry); err != nil {
			return nil, 0, err
		}
		// So a unit that never lives long enough to recover at once gets there all the same.
		if done := number + 1; steps == history.Steps && done-saved >= checkpointSteps && saving.due() {
			saved, saving = done, u.keep(id, done, memory)
		}
	}
	recovered = &tip{steps: steps, at: Position{Nonce: -1}, booted: history.First == receipt.BootNonce, memory: memory, assigned: loaded.origin()}
	last, err := u.config.Log.Step(id, steps-1)
	if err != nil {
		return nil, 0, err
	}
	recovered.time = moment{last.Timestamp, last.BlockHeight}
	if last.Cron != "" {
		recovered.cron = cronDone{last.Cron, last.Timestamp, 0}
	}
	if last.Nonce == receipt.BootNonce {
		return recovered, saved, nil
	}
	assigned, err := u.config.Log.StepOf(id, last.Nonce)
	if err != nil {
		return nil, 0, err
	}
	recovered.assigned = cron.Point{Height: assigned.BlockHeight, Timestamp: assigned.Timestamp}
	if entry, err = u.config.Log.Read(assigned); err == nil {
		recovered.at, err = position(entry)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("process %s: entry of nonce %d: %w", id, last.Nonce, err)
	}
	return recovered, saved, nil
}

// stepEntry reads the entry of a step.
func (u *Unit) stepEntry(process ao.ID, number int64) (*receipt.Entry, error) {
	step, err := u.config.Log.Step(process, number)
	if err != nil {
		return nil, err
	}
	return u.config.Log.Read(step)
}

// checkpoint gives a memory and how many steps it is after: none and no memory, if there is no checkpoint to trust.
func (u *Unit) checkpoint(loaded *actor, stepsMax int64) (memory replay.Memory, steps int64) {
	id := loaded.meta.ID
	found, err := u.config.Checkpoints.Load(id, stepsMax)
	if err != nil {
		if !errors.Is(err, checkpoint.ErrNone) {
			u.config.Logger.Warn("checkpoints not read; evaluating from the start", "process", id, "error", err)
		}
		return replay.MemoryOf(nil), 0
	}
	if found.Steps == 0 {
		return replay.MemoryOf(nil), 0 // see base
	}
	memory = loaded.memoryOf(found.Memory)
	entry, err := u.stepEntry(id, found.Steps-1)
	if err != nil || memory.Is(entry.Receipt.Version) != entry.Receipt.MemoryAfter {
		u.config.Logger.Warn("checkpoint does not match its receipt; evaluating from the start", "process", id, "steps", found.Steps, "error", err)
		return replay.MemoryOf(nil), 0
	}
	return memory, found.Steps
}

// again evaluates a step that the log holds already, and gives the memory after it.
func (u *Unit) again(ctx context.Context, loaded *actor, memory replay.Memory, entry *receipt.Entry) (after replay.Memory, err error) {
	if entry.Receipt.Duplicate {
		original, err := u.config.Log.At(entry.Receipt.Process, entry.Receipt.Original)
		if err == nil {
			err = diverged(replay.Repeat(memory, entry, replay.FirstOf(original)))
		}
		return memory, err
	}
	provider, err := replay.Feed(entry, u.contents)
	if err != nil {
		return memory, err
	}
	giveBack, err := u.evaluations.take(ctx)
	if err != nil {
		return memory, err
	}
	defer giveBack()
	start := time.Now()
	outcome, after, err := replay.Step(ctx, loaded.module.compiled, memory, entry, provider)
	if err != nil {
		return memory, diverged(err)
	}
	u.observe(outcome, Observation{Recovery: true, Cron: entry.Receipt.Cron != "", Duration: time.Since(start)})
	return after, nil
}

// contents finds again what a process read.
func (u *Unit) contents(ctx context.Context, name string) (*eval.Content, error) {
	if u.config.Contents == nil {
		return nil, fmt.Errorf("%w: %s", replay.ErrNoContent, name)
	}
	content, err := u.config.Contents(ctx, name)
	if err != nil && ctx.Err() == nil {
		err = upstream(err)
	}
	return content, err
}

// diverged marks an error that says that the log and this build disagree.
func diverged(err error) error {
	var found *replay.Divergence
	if errors.As(err, &found) {
		return fmt.Errorf("%w: %w", ErrDiverged, found)
	}
	return err
}

// position gives the position after the entry of an assignment.
func position(entry *receipt.Entry) (Position, error) {
	message, err := eval.ParseMessage(entry.Message)
	if err != nil {
		return Position{}, err
	}
	chain, err := ao.ParseHashChain(message.HashChain)
	return Position{entry.Receipt.Nonce, entry.Receipt.Assignment, chain}, err
}

// past gives a process as it was after the last of its first steps that are in the log.
func (u *Unit) past(ctx context.Context, id ao.ID, steps int64) (*actor, *tip, error) {
	u.mu.Lock()
	p := u.processes[id]
	if p != nil && p.tip != nil && p.tip.steps == steps {
		actor, tip := p.actor, p.tip
		u.mu.Unlock()
		return actor, tip, nil
	}
	u.mu.Unlock()
	loaded, err := u.actorOf(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	history, err := u.config.Log.Steps(id)
	if err != nil {
		return nil, nil, err
	}
	recovered, _, err := u.recover(ctx, loaded, history, steps)
	return loaded, recovered, err
}
