package cu

import (
	"context"
	"encoding/json"
	"fmt"

	"verbatim/cu/ao"
	"verbatim/cu/eval"
)

// DryRun evaluates a message that nobody assigned, on the memory of a process after its latest message, and forgets
// everything but the result. Body is the message's JSON as clients send it. There is no receipt: nobody could find the
// message again to check one.
func (u *Unit) DryRun(ctx context.Context, process ao.ID, body []byte) (ao.Result, error) {
	message, err := parseDryRun(body)
	if err != nil {
		return ao.Result{}, fmt.Errorf("dry run on process %s: %w: %w", process, ErrInput, err)
	}
	actor, tip, err := u.tip(ctx, process)
	if err != nil {
		return ao.Result{}, err
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
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(u.running, func() { cancel(ErrClosed) })()
	step := eval.NewStep(actor.module.compiled, actor.module.meta, actor.meta, tip.memory.Image, message, actor.limits)
	outcome, err := u.evaluate(ctx, u.dryRuns, step, Observation{DryRun: true})
	if err != nil {
		return ao.Result{}, fmt.Errorf("dry run on process %s: %w", process, err)
	}
	return outcome.Result, nil
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
