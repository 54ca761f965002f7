package cu

import (
	"context"
	"errors"
	"fmt"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/checkpoint"
	"verbatim/cu/eval"
	"verbatim/cu/receipt"
	"verbatim/cu/replay"
)

// steps does the steps of a process from its tip up to the nonce target.
func (u *Unit) steps(ctx context.Context, p *process, f *flight, target int64) error {
	for assignment, err := range u.config.Scheduler.Assignments(ctx, p.actor.meta, p.tip.at, target) {
		if err != nil {
			return upstream(err)
		}
		if assignment.Nonce != p.tip.at.Nonce+1 {
			return fmt.Errorf("%w: process %s: nonce %d follows nonce %d", ErrUpstream, p.id, assignment.Nonce, p.tip.at.Nonce)
		}
		if assignment.Nonce == 0 && !p.tip.booted && !spawns(p.actor.meta, assignment) {
			if err := u.boot(ctx, p, f); err != nil {
				return err
			}
		}
		input, err := u.input(ctx, assignment)
		if err != nil {
			return err
		}
		err = u.step(ctx, p, f, input, receipt.Receipt{
			Message: assignment.MessageID, Assignment: assignment.ID, Epoch: assignment.Epoch, Nonce: assignment.Nonce,
		}, tip{
			at:     Position{assignment.Nonce, assignment.ID, assignment.HashChain},
			booted: p.tip.booted, time: moment{input.Timestamp, input.BlockHeight},
		})
		if err != nil {
			return err
		}
	}
	if p.tip.at.Nonce < target {
		return fmt.Errorf("%w: process %s: the scheduler has assigned nonce %d, and lists only up to %d", ErrUpstream, p.id, target, p.tip.at.Nonce)
	}
	return nil
}

// spawns reports whether an assignment is that of the process item itself, as newer schedulers begin.
func spawns(process ao.Process, assignment ao.Assignment) bool {
	return assignment.MessageID == process.ID || assignment.Message.Tags.Has("Type", "Process")
}

// boot gives a process its own item as first message, where the schedule does not.
func (u *Unit) boot(ctx context.Context, p *process, f *flight) error {
	message := p.actor.meta.BootMessage()
	return u.step(ctx, p, f, message, receipt.Receipt{Message: p.id, Nonce: receipt.BootNonce}, tip{
		at: p.tip.at, booted: true, time: moment{message.Timestamp, message.BlockHeight},
	})
}

// step evaluates one message, writes its receipt, and moves the tip. Where says which assignment it is; after is the tip
// that follows, but for its memory.
func (u *Unit) step(ctx context.Context, p *process, f *flight, message ao.Message, where receipt.Receipt, after tip) error {
	actor := p.actor
	step := eval.NewStep(actor.module.compiled, actor.module.meta, actor.meta, p.tip.memory.Image, message, actor.limits)
	outcome, err := u.evaluate(ctx, u.evaluations, step, Observation{})
	if err != nil {
		return fmt.Errorf("process %s, nonce %d: %w", p.id, where.Nonce, err)
	}
	after.memory = p.tip.memory.After(outcome)
	where.Process, where.MemoryBefore, where.MemoryAfter = p.id, p.tip.memory.Is, after.memory.Is
	if err := u.sign(where, actor, step, outcome); err != nil {
		return fmt.Errorf("process %s, nonce %d: %w", p.id, where.Nonce, err)
	}
	// A crash from here on loses nothing: the receipt is in the log, and the memory follows from it.
	u.move(p, f, actor, &after)
	if after.at.Nonce-p.saved >= checkpointSteps {
		u.save(p)
	}
	return nil
}

// evaluate does a step live, when it gets a slot.
func (u *Unit) evaluate(ctx context.Context, slots slots, step eval.Step, about Observation) (eval.Outcome, error) {
	if err := slots.take(ctx); err != nil {
		return eval.Outcome{}, err
	}
	defer slots.giveBack()
	start := time.Now()
	outcome, err := eval.Evaluate(ctx, step, u.config.Provider)
	if err == nil {
		about.Duration = time.Since(start)
		u.observe(outcome, about)
	}
	return outcome, err
}

// sign completes the receipt of a step and writes it. When it returns, the receipt is on stable storage.
func (u *Unit) sign(r receipt.Receipt, actor *actor, step eval.Step, outcome eval.Outcome) error {
	r.Module = actor.module.meta.ID
	r.ModuleDigest, r.ModuleFormat = actor.module.compiled.Digest, actor.module.compiled.Format
	r.GasMax, r.MemoryBytesMax = step.Limits.GasMax, step.Limits.MemoryBytesMax
	r.Input = receipt.InputDigest(step.Message, step.Env)
	r.Result, r.Gas, r.Fault = outcome.Result.Digest(), outcome.Gas, outcome.Fault
	r.Device, r.Build = u.config.Device, u.config.Build
	for i, made := range outcome.Inferences {
		encoded, err := made.Encode()
		if err != nil {
			return fmt.Errorf("inference %d: %w", i, err)
		}
		r.Inferences = append(r.Inferences, receipt.Inference{Transcript: encoded, Refusal: made.Refusal})
	}
	if !u.config.Log.HasModule(r.ModuleDigest) {
		if err := u.config.Log.AppendModule(actor.module.wasm); err != nil {
			return err
		}
	}
	_, err := u.config.Log.Append(r, step.Message, step.Env, outcome.Result.AppendJSON(nil))
	return err
}

// save writes a checkpoint of the tip, if there is anything new. One that cannot be written costs time after a restart and
// nothing else. Only the process's flight calls it, or Close, when there are no flights.
func (u *Unit) save(p *process) {
	if p.tip == nil || p.tip.at.Nonce <= p.saved {
		return
	}
	err := u.config.Checkpoints.Save(checkpoint.Checkpoint{Process: p.id, Nonce: p.tip.at.Nonce, Memory: p.tip.memory.Image})
	if err != nil {
		u.config.Logger.Warn("checkpoint not saved", "process", p.id, "nonce", p.tip.at.Nonce, "error", err)
	}
	p.saved = p.tip.at.Nonce
}

// observe completes an observation and hands it on.
func (u *Unit) observe(outcome eval.Outcome, o Observation) {
	if u.config.Observe == nil {
		return
	}
	o.Failed, o.Gas, o.Inferences = outcome.Result.Error != nil, outcome.Gas, len(outcome.Inferences)
	for _, made := range outcome.Inferences {
		if made.Transcript != nil {
			o.Tokens += len(made.Transcript.Output)
		}
	}
	u.config.Observe(o)
}

// load gets a process ready: what it is, its module, its memory after the last step that the log knows, and the nonce of
// the checkpoint behind that.
func (u *Unit) load(ctx context.Context, id ao.ID) (*actor, *tip, int64, error) {
	meta, err := u.config.Scheduler.Process(ctx, id)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("fetch process %s: %w", id, upstream(err))
	}
	module, err := u.module(ctx, meta.Module)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("process %s: %w", id, err)
	}
	limited, err := module.meta.WithProcess(meta)
	if err != nil {
		return nil, nil, 0, fmt.Errorf("%w: %w", ErrModule, err)
	}
	loaded := &actor{meta: meta, module: module, limits: eval.LimitsOf(limited, u.config.Limits)}
	first, last, err := u.config.Log.Nonces(id)
	if errors.Is(err, receipt.ErrAbsent) {
		return loaded, &tip{at: Position{Nonce: -1}, memory: replay.MemoryOf(nil)}, -1, nil
	}
	if err != nil {
		return nil, nil, 0, err
	}
	recovered, saved, err := u.recover(ctx, loaded, first, last)
	return loaded, recovered, saved, err
}
