package cu

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"
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
// says that the same was asked of the same memory before, and was not evaluated again.
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
	key := answerKey{process, tip.steps, sha256.Sum256(step.Message)}
	if result, known = u.answers.get(key); known {
		return result, true, nil
	}
	if waiting := u.waiting.Add(1); u.config.DryRunsMax > 0 && waiting > int64(u.config.DryRunsMax) {
		u.waiting.Add(-1)
		return result, false, fmt.Errorf("dry run on process %s: %w: %d dry runs wait already", process, ErrCrowded, waiting-1)
	}
	defer u.waiting.Add(-1)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(u.running, func() { cancel(ErrClosed) })()
	outcome, err := u.evaluate(ctx, u.dryRuns, step, Observation{DryRun: true})
	if err != nil {
		return result, false, fmt.Errorf("dry run on process %s: %w", process, err)
	}
	u.answers.put(key, outcome.Result)
	return outcome.Result, false, nil
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

// answers remembers results of dry runs. A result depends on nothing but its key, so it is never out of date: a process
// that has moved on is asked under another key.
type answers struct {
	mu    sync.Mutex
	known map[answerKey]ao.Result
	bytes int
}

type answerKey struct {
	process ao.ID
	steps   int64
	message [sha256.Size]byte
}

// answersBytesMax is when all answers are forgotten.
const answersBytesMax = 64 << 20

func newAnswers() *answers { return &answers{known: map[answerKey]ao.Result{}} }

func (a *answers) get(key answerKey) (result ao.Result, known bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	result, known = a.known[key]
	return result, known
}

func (a *answers) put(key answerKey, result ao.Result) {
	const overhead = 512
	size := len(result.Messages) + len(result.Assignments) + len(result.Spawns) + len(result.Output) + len(result.Error) + overhead
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.bytes += size; a.bytes > answersBytesMax {
		clear(a.known)
		a.bytes = size
	}
	a.known[key] = result
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
