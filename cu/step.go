package cu

import (
	"context"
	"fmt"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/checkpoint"
	"verbatim/cu/cron"
	"verbatim/cu/eval"
	"verbatim/cu/receipt"
	"verbatim/cu/replay"
)

const (
	aheadMax    = 32 // steps that may be evaluated while the receipts of those before are on their way to the disk
	contentsMax = 4096
)

// run does steps of one process. It evaluates ahead of what is in the log; what it has evaluated is shown to nobody before
// its receipt is on stable storage.
type run struct {
	u     *Unit
	p     *process
	f     *flight
	actor *actor
	ahead tip

	stop     context.CancelCauseFunc
	recent   []*receipt.Pending
	contents map[receipt.Content]int64 // nonces of what may not be in the log yet
	written  chan written
	shown    chan struct{}
	failed   error // of the log; set before shown is closed
}

type written struct {
	pending *receipt.Pending // nil: nothing was written
	after   *tip
}

// steps does the steps of a process from its tip up to the target.
func (u *Unit) steps(ctx context.Context, p *process, f *flight, target place) (err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := &run{
		u: u, p: p, f: f, actor: p.actor, ahead: *p.tip, stop: stop, contents: map[receipt.Content]int64{},
		written: make(chan written, aheadMax), shown: make(chan struct{}),
	}
	go r.show()
	defer func() {
		close(r.written)
		<-r.shown
		if r.failed != nil {
			err = r.failed
		}
	}()
	return r.toward(ctx, target)
}

// show moves the process on as receipts reach the disk.
func (r *run) show() {
	defer close(r.shown)
	for w := range r.written {
		if r.failed != nil {
			continue
		}
		if w.pending == nil {
			r.u.move(r.p, r.f, r.actor, w.after) // only how far crons are done, of which nothing is written
			continue
		}
		if _, err := w.pending.Wait(); err != nil {
			r.failed = fmt.Errorf("process %s, nonce %d: %w", r.p.id, w.after.at.Nonce, err)
			r.stop(r.failed)
			continue
		}
		// A crash from here on loses nothing: the receipt is in the log, and the memory follows from it.
		r.u.move(r.p, r.f, r.actor, w.after)
		if w.after.steps-r.p.saved >= checkpointSteps && r.p.saving.due() {
			r.u.save(r.p)
		}
		r.u.maybePublish(r.p)
	}
}

func (r *run) toward(ctx context.Context, target place) error {
	for assignment, err := range r.u.config.Scheduler.Assignments(ctx, r.actor.meta, r.ahead.at, target.nonce) {
		if err != nil {
			return upstream(err)
		}
		if assignment.Nonce != r.ahead.at.Nonce+1 {
			return fmt.Errorf("%w: process %s: nonce %d follows nonce %d", ErrUpstream, r.p.id, assignment.Nonce, r.ahead.at.Nonce)
		}
		if assignment.Nonce == 0 && !spawns(r.actor.meta, assignment) {
			if err := r.boot(ctx); err != nil {
				return err
			}
		}
		if err := r.crons(ctx, assignment.Timestamp); err != nil {
			return err
		}
		if err := r.assigned(ctx, assignment); err != nil {
			return err
		}
	}
	if r.ahead.at.Nonce < target.nonce {
		return fmt.Errorf("%w: process %s: the scheduler has assigned nonce %d, and lists only up to %d", ErrUpstream, r.p.id, target.nonce, r.ahead.at.Nonce)
	}
	if r.ahead.at.Nonce > target.nonce || target.until == 0 {
		return nil
	}
	if r.ahead.at.Nonce < 0 {
		if err := r.boot(ctx); err != nil {
			return err
		}
	}
	if err := r.crons(ctx, target.until); err != nil {
		return err
	}
	r.ahead.cron.until = target.until
	after := r.ahead
	r.written <- written{nil, &after}
	return nil
}

// drain waits until everything that was evaluated is in the log, or failed to get there.
func (r *run) drain() {
	if n := len(r.recent); n > 0 {
		<-r.recent[n-1].Ended()
	}
	r.recent = nil
	clear(r.contents)
}

// spawns reports whether an assignment is that of the process item itself, as newer schedulers begin.
func spawns(process ao.Process, assignment ao.Assignment) bool {
	return assignment.MessageID == process.ID || assignment.Message.Tags.Has("Type", "Process")
}

// boot gives a process its own item as first message, where the schedule does not.
func (r *run) boot(ctx context.Context) error {
	if r.ahead.booted {
		return nil
	}
	message := r.actor.meta.BootMessage()
	after := r.ahead
	after.booted, after.time = true, moment{message.Timestamp, message.BlockHeight}
	return r.step(ctx, message, receipt.Receipt{Message: r.p.id, Nonce: receipt.BootNonce}, after, Observation{})
}

// crons does what the crons of the process send from the last assignment on and before a time, but for what is done.
func (r *run) crons(ctx context.Context, right int64) error {
	if r.actor.crons.Empty() || right <= r.ahead.assigned.Timestamp {
		return nil
	}
	left, done := r.ahead.assigned, r.ahead.cron
	blocks, err := r.u.blocksBetween(ctx, left.Height, right)
	if err != nil {
		return err
	}
	events := r.actor.crons.Between(left, right, blocks)
	found := done.name == ""
	for e := range events {
		found = found || (e.Name == done.name && e.Timestamp == done.timestamp)
	}
	skipping := found && done.name != ""
	for e := range events {
		switch {
		case skipping:
			skipping = e.Name != done.name || e.Timestamp != done.timestamp
			continue
		case !found && e.Timestamp <= done.timestamp:
			continue // the blocks have changed since; what was signed stays
		}
		if err := r.cron(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) cron(ctx context.Context, e cron.Event) error {
	after := r.ahead
	after.time = moment{e.Timestamp, e.Height}
	after.cron = cronDone{e.Name, e.Timestamp, 0}
	return r.step(ctx, e.Message(r.actor.meta), receipt.Receipt{Nonce: r.ahead.at.Nonce, Cron: e.Name}, after, Observation{Cron: true})
}

// assigned does the step of one assignment.
func (r *run) assigned(ctx context.Context, assignment ao.Assignment) error {
	input, err := r.u.input(ctx, assignment)
	if err != nil {
		return err
	}
	after := r.ahead
	after.at = Position{assignment.Nonce, assignment.ID, assignment.HashChain}
	after.assigned = cron.Point{Height: assignment.BlockHeight, Timestamp: assignment.Timestamp}
	after.cron = cronDone{}
	where := receipt.Receipt{
		Message: assignment.MessageID, Assignment: assignment.ID, Epoch: assignment.Epoch, Nonce: assignment.Nonce,
	}
	known, again, err := content(assignment, input)
	if err != nil {
		return err
	}
	if again {
		original, ok, err := r.original(known)
		if err != nil {
			return err
		}
		if ok {
			return r.repeat(ctx, input, original, where, after)
		}
	}
	if len(r.contents) >= contentsMax {
		r.drain()
	}
	if _, ok := r.contents[known]; !ok {
		r.contents[known] = assignment.Nonce
	}
	after.time = moment{input.Timestamp, input.BlockHeight}
	return r.step(ctx, input, where, after, Observation{Assigned: assignment.Hydrate})
}

// original gives the nonce with which a content came first.
func (r *run) original(known receipt.Content) (nonce int64, ok bool, err error) {
	if nonce, ok, err = r.u.config.Log.Original(r.p.id, known); ok || err != nil {
		return nonce, ok, err
	}
	nonce, ok = r.contents[known]
	return nonce, ok, nil
}

// repeat answers a message that came before with what came of it then. Nothing is evaluated.
func (r *run) repeat(ctx context.Context, input ao.Message, original int64, where receipt.Receipt, after tip) error {
	r.drain() // the first time may still be on its way to the log
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	first, err := r.u.config.Log.At(r.p.id, original)
	if err != nil {
		return err
	}
	result, err := ao.ParseResult(first.Result)
	if err != nil {
		return err
	}
	where.Duplicate, where.Original = true, original
	is := r.ahead.memory.Is(receipt.Version)
	where.Process, where.MemoryBefore, where.MemoryAfter = r.p.id, is, is
	step := eval.NewStep(r.actor.module.compiled, r.actor.module.meta, r.actor.meta, nil, input, r.actor.limits)
	return r.write(where, step, eval.Outcome{Result: result}, after)
}

// step evaluates one message, and has its receipt written. Where says which assignment it is; after is the tip that follows,
// but for its memory and number.
func (r *run) step(ctx context.Context, message ao.Message, where receipt.Receipt, after tip, about Observation) error {
	step := eval.NewStep(r.actor.module.compiled, r.actor.module.meta, r.actor.meta, r.ahead.memory.Image, message, r.actor.limits)
	outcome, err := r.u.evaluate(ctx, r.u.evaluations, step, about)
	if err != nil {
		return fmt.Errorf("process %s, nonce %d: %w", r.p.id, where.Nonce, err)
	}
	after.memory = r.ahead.memory.After(outcome)
	where.Process, where.MemoryBefore, where.MemoryAfter = r.p.id, r.ahead.memory.Is(receipt.Version), after.memory.Is(receipt.Version)
	return r.write(where, step, outcome, after)
}

// write completes the receipt of a step and sends it on its way to the log.
func (r *run) write(where receipt.Receipt, step eval.Step, outcome eval.Outcome, after tip) error {
	if err := r.u.complete(&where, r.actor, step, outcome); err != nil {
		return fmt.Errorf("process %s, nonce %d: %w", r.p.id, where.Nonce, err)
	}
	after.steps = r.ahead.steps + 1
	pending := r.u.config.Log.Begin(where, step.Message, step.Env, outcome.Result.AppendJSON(nil))
	r.written <- written{pending, &after}
	r.ahead = after
	r.recent = append(r.recent, pending)
	if late := len(r.recent) - aheadMax; late >= 0 {
		<-r.recent[late].Ended()
		r.recent = r.recent[late+1:]
	}
	return nil
}

// evaluate does a step live, when it gets a slot.
func (u *Unit) evaluate(ctx context.Context, slots slots, step eval.Step, about Observation) (eval.Outcome, error) {
	giveBack, err := slots.take(ctx)
	if err != nil {
		return eval.Outcome{}, err
	}
	defer giveBack()
	start := time.Now()
	outcome, err := eval.Evaluate(ctx, step, u.config.Provider)
	if err == nil {
		about.Duration = time.Since(start)
		u.observe(outcome, about)
	}
	return outcome, err
}

// complete fills in a receipt. The module's wasm is in the log when it returns.
func (u *Unit) complete(r *receipt.Receipt, actor *actor, step eval.Step, outcome eval.Outcome) error {
	r.Version, r.Module = receipt.Version, actor.module.meta.ID
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
	for _, read := range outcome.Reads {
		r.Reads = append(r.Reads, replay.ReadOf(read))
	}
	if u.config.Log.HasModule(r.ModuleDigest) {
		return nil
	}
	return u.config.Log.AppendModule(actor.module.wasm)
}

// save writes a checkpoint of the tip, if there is anything new. Only the process's flight calls it, or Close, when there are
// no flights.
func (u *Unit) save(p *process) {
	if p.lacks() <= 0 {
		return
	}
	p.saved, p.saving = p.tip.steps, u.keep(p.id, p.tip.steps, p.tip.memory)
}

// keep writes a checkpoint. One that cannot be written costs time after a restart and nothing else.
func (u *Unit) keep(process ao.ID, steps int64, memory replay.Memory) pace {
	begin := time.Now()
	err := u.config.Checkpoints.Save(checkpoint.Checkpoint{Process: process, Steps: steps, Memory: memory.Image})
	if err != nil {
		u.config.Logger.Warn("checkpoint not saved", "process", process, "steps", steps, "error", err)
	}
	return pace{time.Now(), time.Since(begin)}
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

// actorOf gets ready what does not change of a process.
func (u *Unit) actorOf(ctx context.Context, id ao.ID) (*actor, error) {
	meta, err := u.meta(ctx, id)
	if err != nil {
		return nil, err
	}
	module, err := u.module(ctx, meta.Module)
	if err != nil {
		return nil, fmt.Errorf("process %s: %w", id, err)
	}
	limited, err := module.meta.WithProcess(meta)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModule, err)
	}
	crons, err := cron.Parse(meta.Tags)
	if err != nil {
		return nil, fmt.Errorf("%w: process %s: %w", ErrModule, id, err)
	}
	loaded := &actor{meta: meta, module: module, limits: eval.LimitsOf(limited, u.config.Limits)}
	loaded.crons = cron.NewSchedule(crons, loaded.origin())
	return loaded, nil
}

// load gets a process ready: what it is, its module, its memory after the last step that the log knows, and how many steps
// the checkpoint behind that covers.
func (u *Unit) load(ctx context.Context, id ao.ID, target place) (*actor, *tip, int64, error) {
	loaded, err := u.actorOf(ctx, id)
	if err != nil {
		return nil, nil, 0, err
	}
	history, err := u.config.Log.Steps(id)
	if err != nil {
		return nil, nil, 0, err
	}
	if history.Steps == 0 {
		return loaded, u.begin(ctx, loaded, target), 0, nil
	}
	recovered, saved, err := u.recover(ctx, loaded, history, history.Steps)
	return loaded, recovered, saved, err
}
