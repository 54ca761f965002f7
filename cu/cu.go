// Package cu is the compute unit: it answers what the result of a message on a process is.
//
// A Unit folds the assignments of a process in nonce order over the process's memory, each step once, and writes a signed
// receipt of every step to its log before anyone hears of the result. Steps of one process follow one another; processes
// run side by side. What it has evaluated it never evaluates again to answer, only to get a memory back after a restart,
// from the log's own record and compared with it.
//
// Invariants: an answer about an assignment is in the log, on stable storage, before it is given; no assignment is signed
// twice; a failure of the network, a device or the log is an error and never a result.
//
// The package does not speak HTTP, to anyone: package api does on one side, and Scheduler and Archive, which cmd satisfies,
// on the other.
package cu

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/checkpoint"
	"verbatim/cu/cron"
	"verbatim/cu/eval"
	"verbatim/cu/receipt"
	"verbatim/cu/replay"
)

// Position is a place in the schedule of a process: right after the assignment that it describes.
type Position struct {
	Nonce      int64 // -1 before the first assignment
	Assignment ao.ID
	HashChain  ao.HashChain
}

// Scheduler tells what was assigned to a process. What it gives must be verified. An error that wraps ErrNotFound says that
// the scheduler does not know the thing; every other error says that it could not be asked.
type Scheduler interface {
	Process(ctx context.Context, process ao.ID) (ao.Process, error)
	Message(ctx context.Context, process, message ao.ID) (ao.Assignment, error)
	Latest(ctx context.Context, process ao.ID) (ao.Assignment, error)
	// Now gives the scheduler's clock, in milliseconds since 1970. What it assigns later has no earlier time.
	Now(ctx context.Context, process ao.ID) (int64, error)
	// Assignments gives what follows after, in nonce order without a gap, up to nonce last inclusive.
	Assignments(ctx context.Context, process ao.Process, after Position, last int64) iter.Seq2[ao.Assignment, error]
}

// Archive gives what lies on Arweave, verified. ErrNotFound as in Scheduler.
type Archive interface {
	Module(ctx context.Context, module ao.ID) (meta ao.Module, wasm []byte, err error)
	// Message gives the message of an assignment whose Hydrate is set.
	Message(ctx context.Context, assignment ao.Assignment) (ao.Message, error)
	// Blocks gives the blocks from a height on, in order, up to the first that is later than until or to the newest. Times are in
	// milliseconds since 1970.
	Blocks(ctx context.Context, height, until int64) ([]cron.Point, error)
}

// Access says who is served. An empty list of what is allowed allows everyone.
type Access struct {
	Processes, Denied []ao.ID
	Owners            []string // of processes
}

// Config is what a Unit is made of. The unit uses all of it and closes none of it.
type Config struct {
	Scheduler   Scheduler
	Archive     Archive
	Host        *eval.Host
	Provider    eval.Provider
	Contents    replay.Contents // what recovery reads from the drive; nil: nothing
	Log         *receipt.Log
	Checkpoints *checkpoint.Store
	Logger      *slog.Logger

	Limits         eval.Limits // highest of an evaluation; also where a process's tags say nothing
	EvaluationsMax int         // evaluations at a time; dry runs have as many of their own
	MemoryBytesMax int64       // of the memories that are kept at hand, together; what processes share counts once
	BehindMax      int64       // assignments that a process may lack before others who ask are turned away; 0: any
	DryRunsMax     int         // dry runs that may wait; 0: any number
	Access         Access
	Shared         Shared // nil: checkpoints are neither published nor taken from others
	PublishSteps   int64  // steps after which a checkpoint is published; 0: never
	Device, Build  string // stated in receipts, for information

	// Observe, if not nil, hears of every evaluation after it is done. It must not block.
	Observe func(Observation)
}

// Observation tells of one evaluation.
type Observation struct {
	DryRun     bool
	Recovery   bool // done again from the log, to get a memory back
	Cron       bool
	Assigned   bool // the message was on the network before it was assigned
	Failed     bool // the result has an Error
	Duration   time.Duration
	Inferences int
	Tokens     int // output tokens of all inferences
	Gas        uint64
}

// checkpointSteps is how many steps of a process may be lost with its memory, and more where saving it takes long: see pace.
// Losing them costs their evaluation, without the inferences, whose answers are in the log.
const checkpointSteps = 64

// Unit is a compute unit. Its methods may be called by several goroutines.
type Unit struct {
	config Config
	// Evaluations go on when the caller who asked for them is gone: they end with the unit.
	running context.Context
	stop    context.CancelCauseFunc
	flights sync.WaitGroup

	evaluations, dryRuns slots
	answers              *answers
	blocks               blocks

	mu        sync.Mutex // guards what follows
	closed    bool
	processes map[ao.ID]*process
	clock     uint64 // counts uses, for the order of eviction
	bytes     int64  // that the memories of processes take
	metas     map[ao.ID]ao.Process
	adopted   map[ao.ID]checkpoint.Published
	modules   map[ao.ID]*loading
}

// New makes a unit.
func New(config Config) *Unit {
	running, stop := context.WithCancelCause(context.Background())
	return &Unit{
		config: config, running: running, stop: stop,
		evaluations: make(slots, config.EvaluationsMax), dryRuns: make(slots, config.EvaluationsMax),
		processes: map[ao.ID]*process{}, metas: map[ao.ID]ao.Process{}, adopted: map[ao.ID]checkpoint.Published{}, answers: newAnswers(), modules: map[ao.ID]*loading{},
	}
}

// Close ends evaluations that are under way, which leaves no trace of them, and saves checkpoints. The unit answers nothing
// afterwards.
func (u *Unit) Close() {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	u.stop(ErrClosed)
	u.flights.Wait()
	u.saveAll()
}

// When the unit closes: how many checkpoints are saved at a time, since most of the time is spent waiting for the disk, and
// for how long new ones are begun. Whoever stopped the daemon does not wait for ever, and what is not saved is evaluated again.
const (
	savesMax   = 16
	savingTime = 5 * time.Second
)

// saveAll saves checkpoints of all processes, first of those that lack most.
func (u *Unit) saveAll() {
	processes := slices.SortedFunc(maps.Values(u.processes), func(a, b *process) int { return cmp.Compare(b.lacks(), a.lacks()) })
	var saving sync.WaitGroup
	turns := make(chan struct{}, savesMax)
	begin := time.Now()
	for i, p := range processes {
		turns <- struct{}{}
		if time.Since(begin) > savingTime && p.lacks() > 0 {
			u.config.Logger.Warn("closed before every process had a checkpoint; the others take longer to begin", "without", len(processes)-i)
			break
		}
		saving.Go(func() {
			u.save(p)
			<-turns
		})
	}
	saving.Wait()
}

// Head tells where the log of receipts ends.
func (u *Unit) Head() receipt.Head { return u.config.Log.Head() }

// Health gives nil if the unit can answer new messages.
func (u *Unit) Health() error {
	if u.running.Err() != nil {
		return ErrClosed
	}
	return u.config.Log.Healthy()
}

// serves gives ErrDenied for a process that this unit does not serve, as far as its id tells.
func (u *Unit) serves(process ao.ID) error {
	access := &u.config.Access
	if slices.Contains(access.Denied, process) || (len(access.Processes) > 0 && !slices.Contains(access.Processes, process)) {
		return &DeniedError{Process: process}
	}
	return nil
}

// meta gives what a process is. It asks the scheduler once while the process stays known.
func (u *Unit) meta(ctx context.Context, id ao.ID) (ao.Process, error) {
	u.mu.Lock()
	known, ok := u.metas[id]
	u.mu.Unlock()
	if ok {
		return known, nil
	}
	meta, err := u.config.Scheduler.Process(ctx, id)
	if err != nil {
		return meta, fmt.Errorf("fetch process %s: %w", id, upstream(err))
	}
	if owners := u.config.Access.Owners; len(owners) > 0 && !slices.Contains(owners, meta.Owner) {
		return meta, &DeniedError{Process: id, Owner: meta.Owner}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.metas) >= metasMax {
		clear(u.metas)
	}
	if len(meta.Data.Value) <= metaDataBytesMax {
		u.metas[id] = meta
	}
	return meta, nil
}

// What is remembered of processes: how many, and how much data of each.
const (
	metasMax         = 1 << 14
	metaDataBytesMax = 1 << 16
)
