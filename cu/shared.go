package cu

import (
	"context"
	"fmt"
	"slices"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/checkpoint"
	"verbatim/cu/cron"
	"verbatim/cu/eval"
	"verbatim/cu/receipt"
	"verbatim/cu/replay"
)

// Shared is where compute units keep checkpoints for each other.
type Shared interface {
	Publish(ctx context.Context, about checkpoint.Published, memory *eval.Image) (ao.ID, error)
	// Published lists the checkpoints of a process that were signed by who is trusted.
	Published(ctx context.Context, process ao.ID) ([]checkpoint.Published, error)
	// Memory gives the memory of a checkpoint whose signature and digest verify.
	Memory(ctx context.Context, about checkpoint.Published) (*eval.Image, error)
}

// publishWait is how long a process's next checkpoint waits after the one before, as in the reference.
const publishWait = 30 * time.Minute

// publications is when checkpoints of a process were published. Only its flight looks at it.
type publications struct {
	steps int64 // that the newest covers
	at    time.Time
}

// maybePublish sends a checkpoint on its way if enough has happened since the last. After a cron message it waits for the next
// assignment: a checkpoint does not say when the assignment before the cron message was.
func (u *Unit) maybePublish(p *process) {
	every := u.config.PublishSteps
	if u.config.Shared == nil || every == 0 || p.tip.cron.name != "" || p.tip.at.Nonce < 0 ||
		p.tip.steps-p.published.steps < every || time.Since(p.published.at) < publishWait || p.tip.memory.Image == nil {
		return
	}
	p.published = publications{p.tip.steps, time.Now()}
	actor, tip := p.actor, p.tip
	u.flights.Go(func() {
		id, err := u.config.Shared.Publish(u.running, tip.describe(actor), tip.memory.Image)
		if err != nil {
			u.config.Logger.Warn("checkpoint not published", "process", p.id, "nonce", tip.at.Nonce, "error", err)
			return
		}
		u.config.Logger.Info("checkpoint published", "process", p.id, "nonce", tip.at.Nonce, "id", id)
	})
}

// describe gives what a checkpoint of a tip says about itself.
func (t *tip) describe(actor *actor) checkpoint.Published {
	return checkpoint.Published{
		Process: actor.meta.ID, Module: actor.module.meta.ID, Nonce: t.at.Nonce, Assignment: t.at.Assignment, HashChain: t.at.HashChain,
		Timestamp: t.time.timestamp, BlockHeight: t.time.blockHeight, Cron: t.cron.name, Gzip: true, SHA256: t.memory.Image.SHA256(),
	}
}

// begin gives the tip from which the steps of a process begin of which the log knows nothing: a published checkpoint before
// the target, or nothing at all.
func (u *Unit) begin(ctx context.Context, loaded *actor, target place) *tip {
	id := loaded.meta.ID
	start := &tip{at: Position{Nonce: -1}, memory: replay.MemoryOf(nil), assigned: loaded.origin()}
	u.mu.Lock()
	adopted, ok := u.adopted[id]
	u.mu.Unlock()
	if ok && adopted.Nonce < target.nonce && adopted.Module == loaded.module.meta.ID {
		if found, err := u.config.Checkpoints.Load(id, 0); err == nil && found.Memory.SHA256() == adopted.SHA256 {
			return loaded.tipOf(adopted, found.Memory)
		}
	}
	if u.config.Shared == nil {
		return start
	}
	found, err := u.config.Shared.Published(ctx, id)
	if err != nil {
		u.config.Logger.Warn("published checkpoints not found; evaluating from the start", "process", id, "error", err)
		return start
	}
	slices.SortFunc(found, func(a, b checkpoint.Published) int { return int(b.Nonce - a.Nonce) })
	for _, about := range found {
		// The result of the target itself must still be found out.
		if about.Nonce >= target.nonce || about.Cron != "" || about.Process != id || about.Module != loaded.module.meta.ID {
			continue
		}
		memory, err := u.config.Shared.Memory(ctx, about)
		if err == nil {
			err = u.config.Checkpoints.Save(checkpoint.Checkpoint{Process: id, Steps: 0, Memory: memory})
		}
		if err != nil {
			u.config.Logger.Warn("published checkpoint not used", "process", id, "checkpoint", about.ID, "error", err)
			continue
		}
		u.config.Logger.Info("beginning from a published checkpoint", "process", id, "nonce", about.Nonce, "checkpoint", about.ID, "owner", about.Owner)
		return loaded.tipOf(about, memory)
	}
	return start
}

// tipOf gives the tip that a checkpoint describes.
func (a *actor) tipOf(about checkpoint.Published, memory *eval.Image) *tip {
	return &tip{
		at: Position{about.Nonce, about.Assignment, about.HashChain}, booted: true, memory: a.memoryOf(memory),
		time: moment{about.Timestamp, about.BlockHeight}, assigned: cron.Point{Height: about.BlockHeight, Timestamp: about.Timestamp},
	}
}

// Adopt takes the memory of a process of which the log knows nothing from whoever runs this unit; its steps begin there. What
// is adopted and not gone on from is forgotten when the unit closes.
func (u *Unit) Adopt(about checkpoint.Published, memory []byte) error {
	if err := u.serves(about.Process); err != nil {
		return err
	}
	history, err := u.config.Log.Steps(about.Process)
	if err == nil && history.Steps > 0 {
		err = fmt.Errorf("%w: process %s has a history here up to nonce %d, and a history is never replaced", ErrInput, about.Process, history.Last)
	}
	if err != nil {
		return err
	}
	image := eval.ImageOf(memory)
	about.SHA256 = image.SHA256()
	if err := u.config.Checkpoints.Save(checkpoint.Checkpoint{Process: about.Process, Steps: 0, Memory: image}); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.adopted[about.Process] = about
	if p := u.processes[about.Process]; p != nil && p.flight == nil {
		u.drop(p) // it was ready to begin elsewhere
	}
	return nil
}

// base gives the memory before the first step of a history that does not begin with the process.
func (u *Unit) base(ctx context.Context, loaded *actor, history receipt.History) (replay.Memory, error) {
	id := loaded.meta.ID
	first, err := u.stepEntry(id, 0)
	if err != nil {
		return replay.Memory{}, err
	}
	version, want := first.Receipt.Version, first.Receipt.MemoryBefore
	if found, err := u.config.Checkpoints.Load(id, 0); err == nil {
		if memory := loaded.memoryOf(found.Memory); memory.Is(version) == want {
			return memory, nil
		}
	}
	if u.config.Shared != nil {
		published, err := u.config.Shared.Published(ctx, id)
		if err != nil {
			return replay.Memory{}, upstream(err)
		}
		for _, about := range published {
			if about.Nonce != history.First-1 || (version < 3 && receipt.Digest(about.SHA256) != want.Digest) {
				continue
			}
			if image, err := u.config.Shared.Memory(ctx, about); err == nil {
				if memory := loaded.memoryOf(image); memory.Is(version) == want {
					return memory, nil
				}
			}
		}
	}
	return replay.Memory{}, fmt.Errorf("%w: the log of process %s begins at nonce %d, and the memory before is neither here nor published",
		ErrUpstream, id, history.First)
}
