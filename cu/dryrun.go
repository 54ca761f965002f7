package cu

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/eval"
)

// DryRunOptions say on which memory a dry run is done.
type DryRunOptions struct {
	After ao.ID         // the memory after this message; zero: after the latest
	Age   time.Duration // how old the latest may be: the scheduler is not asked again within that time
}

// DryRun evaluates a message that nobody assigned, on the memory of a process, and forgets everything but the result. Body
// is the message's JSON as clients send it. There is no receipt: nobody could find the message again to check one. Known
// says that the same was asked of the same memory before, and was not evaluated again. An evaluation ends when nobody waits
// for it any more.
func (u *Unit) DryRun(ctx context.Context, process ao.ID, body []byte, options DryRunOptions) (result ao.Result, known bool, err error) {
	if err := u.serves(process); err != nil {
		return result, false, err
	}
	message, err := parseDryRun(body)
	if err != nil {
		return result, false, fmt.Errorf("dry run on process %s: %w: %w", process, ErrInput, err)
	}
	actor, tip, err := u.dryRunOn(ctx, process, options)
	if err != nil {
		return result, false, err
	}
	if message.Target == "" {
		message.Target = process.String()
	}
	if message.Timestamp < 0 {
		message.Timestamp = tip.time.timestamp
	}
	if message.BlockHeight < 0 {
		message.BlockHeight = tip.time.blockHeight
	}
	step := eval.NewStep(actor.module.compiled, actor.module.meta, actor.meta, tip.memory.Image, message, actor.limits)
	step.DryRun = true
	key := answerKey{process, tip.steps, sha256.Sum256(step.Message)}
	result, known, err = u.answers.get(ctx, key, func() (*answering, error) { return u.answer(key, step) })
	if err != nil {
		return result, false, fmt.Errorf("dry run on process %s: %w", process, err)
	}
	return result, known, nil
}

// answer begins a dry run. It goes on until it is done, or nobody waits for it, or the unit closes. Unit.answers.mu is held.
func (u *Unit) answer(key answerKey, step eval.Step) (*answering, error) {
	if begun := len(u.answers.running); u.config.DryRunsMax > 0 && begun >= u.config.DryRunsMax {
		return nil, fmt.Errorf("%w: %d dry runs wait already", ErrCrowded, begun)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil, ErrClosed
	}
	ctx, cancel := context.WithCancel(u.running)
	a := &answering{done: make(chan struct{}), cancel: cancel}
	u.flights.Go(func() {
		defer cancel()
		outcome, err := u.dryEvaluate(ctx, key.process, step)
		if u.running.Err() != nil {
			err = ErrClosed
		}
		u.answers.put(key, a, outcome.Result, err)
	})
	return a, nil
}

// dryEvaluate evaluates a dry run. A bug in it must not take the others down with it.
func (u *Unit) dryEvaluate(ctx context.Context, process ao.ID, step eval.Step) (outcome eval.Outcome, err error) {
	defer func() {
		if bug := recover(); bug != nil {
			u.config.Logger.Error("bug", "process", process, "panic", bug, "stack", string(debug.Stack()))
			err = fmt.Errorf("cu: internal error: %v", bug)
		}
	}()
	return u.evaluate(ctx, u.dryRuns, step, Observation{DryRun: true})
}

// dryRunOn gives the process on whose memory a dry run is done.
func (u *Unit) dryRunOn(ctx context.Context, process ao.ID, options DryRunOptions) (*actor, *tip, error) {
	if !options.After.IsZero() {
		entry, err := u.Result(ctx, process, options.After)
		if err != nil {
			return nil, nil, err
		}
		step, err := u.config.Log.StepOf(process, entry.Receipt.Nonce)
		if err != nil {
			return nil, nil, err
		}
		return u.past(ctx, process, step.Number+1)
	}
	if options.Age > 0 {
		u.mu.Lock()
		p := u.processes[process]
		if p != nil && p.tip != nil && !p.current.IsZero() && time.Since(p.current) <= options.Age {
			actor, tip := p.actor, p.tip
			u.clock++
			p.used = u.clock
			u.mu.Unlock()
			return actor, tip, nil
		}
		u.mu.Unlock()
	}
	return u.tip(ctx, process)
}

// parseDryRun reads the message of a dry run. Times that it does not name are -1. Keys that a message does not have are
// ignored, as the reference does.
func parseDryRun(body []byte) (ao.Message, error) {
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(body, &parts); err != nil {
		return ao.Message{}, fmt.Errorf("the body is not a JSON object: %w", err)
	}
	message := ao.Message{Timestamp: -1, BlockHeight: -1, ReadOnly: true}
	for _, field := range [...]struct {
		name string
		into *ao.Optional[string]
	}{
		{"Id", &message.ID}, {"Signature", &message.Signature}, {"Data", &message.Data}, {"Anchor", &message.Anchor},
		{"Forwarded-By", &message.ForwardedBy},
	} {
		raw, ok := parts[field.name]
		if !ok {
			continue
		}
		var value *string
		if err := json.Unmarshal(raw, &value); err != nil {
			return message, fmt.Errorf("%s is %.60s: want a string", field.name, raw)
		}
		*field.into = ao.NullOf[string]()
		if value != nil {
			*field.into = ao.Some(*value)
		}
	}
	for _, field := range [...]struct {
		name string
		into any
		want string
	}{
		{"Owner", &message.Owner, "a string"}, {"Target", &message.Target, "a string"}, {"Cron", &message.Cron, "true or false"},
		{"Timestamp", &message.Timestamp, "a whole number"}, {"Block-Height", &message.BlockHeight, "a whole number"},
		{"Tags", &message.Tags, "a list of {name, value}"},
	} {
		if raw, ok := parts[field.name]; ok && json.Unmarshal(raw, field.into) != nil {
			return message, fmt.Errorf("%s is %.60s: want %s", field.name, raw, field.want)
		}
	}
	message.From, _ = ao.Sender(message.Tags, message.Owner)
	return message, nil
}
