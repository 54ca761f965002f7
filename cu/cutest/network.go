// Package cutest holds what tests of a compute unit share: a network in memory with one module, and a unit on top of it.
package cutest

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"verbatim/cu"
	"verbatim/cu/ao"
	"verbatim/cu/checkpoint"
	"verbatim/cu/cron"
	"verbatim/cu/eval"
	"verbatim/cu/eval/evaltest"
	"verbatim/cu/index"
	"verbatim/cu/receipt"
)

// ErrDown is what a network that is down answers.
var ErrDown = errors.New("connection refused")

// Network is a scheduler and an archive in memory. Its module is that of package evaltest.
type Network struct {
	mu        sync.Mutex
	down      bool
	loads     int
	processes map[ao.ID]ao.Process
	schedules map[ao.ID][]ao.Assignment
	items     map[ao.ID]ao.Message
	now       int64 // what the scheduler's clock says; 0: the time of the last assignment
	blocks    []cron.Point
}

// NewNetwork gives a network without processes.
func NewNetwork() *Network {
	return &Network{processes: map[ao.ID]ao.Process{}, schedules: map[ao.ID][]ao.Assignment{}, items: map[ao.ID]ao.Message{}}
}

// ID gives an identifier by name.
func ID(name string) ao.ID { return sha256.Sum256([]byte(name)) }

// ModuleID is the identifier of the network's module.
func ModuleID() ao.ID { return ID("module") }

// Down lets every request fail, or not any more.
func (n *Network) Down(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = down
}

// Loads is how often a unit has asked what a process is, which it does when it gets one ready.
func (n *Network) Loads() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.loads
}

// Spawn makes a process. Assigned says that its schedule begins with the process itself, as newer schedulers do.
func (n *Network) Spawn(name string, assigned bool, tags ...ao.Tag) ao.ID {
	all := append(ao.Tags{{Name: "Data-Protocol", Value: "ao"}, {Name: "Type", Value: "Process"},
		{Name: "Module", Value: ModuleID().String()}, {Name: "Scheduler", Value: ID("scheduler").String()}}, tags...)
	process, err := ao.NewProcess(ID(name), ID("owner").String(), all)
	if err != nil {
		panic(err)
	}
	process.Data = ao.Some("the process " + name)
	n.mu.Lock()
	process.Timestamp, process.BlockHeight = max(1000, n.now), 100
	n.processes[process.ID] = process
	n.mu.Unlock()
	if assigned {
		n.assign(process.ID, process.ID, process.BootMessage())
	}
	return process.ID
}

// Send assigns a message with these data to a process, and gives its id.
func (n *Network) Send(process ao.ID, data string) ao.ID {
	n.mu.Lock()
	id := ID(fmt.Sprintf("message %d of %s: %s", len(n.schedules[process]), process, data))
	n.mu.Unlock()
	n.assign(process, id, message(process, id, data))
	return id
}

// Assign assigns an item that already lies in the archive.
func (n *Network) Assign(process ao.ID, data string) ao.ID {
	id := ID("item: " + data)
	n.mu.Lock()
	n.items[id] = message(process, id, data)
	n.mu.Unlock()
	n.assign(process, id, ao.Message{ID: ao.Some(id.String())})
	return id
}

// Distort lets the scheduler show the last message of a process with other data than its owner signed, and say that it could
// not verify it. Archived says whether the archive has what was signed.
func (n *Network) Distort(process ao.ID, data string, archived bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	schedule := n.schedules[process]
	last := &schedule[len(schedule)-1]
	if archived {
		n.items[last.MessageID] = last.Message
	}
	last.Message.Data = ao.Some(data)
	last.Verified = false
}

// Replace lets the scheduler put another message at the last nonce of a process, and gives its id.
func (n *Network) Replace(process ao.ID, data string) ao.ID {
	n.mu.Lock()
	n.schedules[process] = n.schedules[process][:len(n.schedules[process])-1]
	n.mu.Unlock()
	return n.Send(process, data)
}

func message(process, id ao.ID, data string) ao.Message {
	owner := ID("owner").String()
	return ao.Message{
		ID: ao.Some(id.String()), Data: ao.Some(data), Owner: owner, From: owner, Target: process.String(), Anchor: ao.Some(""),
		Tags: ao.Tags{{Name: "Action", Value: "Test"}},
	}
}

func (n *Network) assign(process, id ao.ID, message ao.Message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	nonce := int64(len(n.schedules[process]))
	assignment := ao.Assignment{
		ID: ID(fmt.Sprintf("assignment %d of %s", nonce, process)), Process: process, Nonce: nonce, BlockHeight: 100 + nonce,
		Timestamp: max(1000*(nonce+1), n.now), Message: message, MessageID: id, HashChain: ao.FirstHashChain(process),
		Hydrate: message.Owner == "", Verified: message.Owner != "",
	}
	if nonce > 0 {
		before := n.schedules[process][nonce-1]
		assignment.HashChain = before.HashChain.Next(before.ID)
	}
	n.schedules[process] = append(n.schedules[process], assignment)
}

// ask begins a request.
func (n *Network) ask() (unlock func(), err error) {
	n.mu.Lock()
	if n.down {
		n.mu.Unlock()
		return nil, ErrDown
	}
	return n.mu.Unlock, nil
}

// Process implements cu.Scheduler.
func (n *Network) Process(_ context.Context, id ao.ID) (ao.Process, error) {
	unlock, err := n.ask()
	if err != nil {
		return ao.Process{}, err
	}
	defer unlock()
	n.loads++
	process, ok := n.processes[id]
	if !ok {
		return process, cu.ErrNotFound
	}
	return process, nil
}

// Message implements cu.Scheduler.
func (n *Network) Message(_ context.Context, process, message ao.ID) (ao.Assignment, error) {
	unlock, err := n.ask()
	if err != nil {
		return ao.Assignment{}, err
	}
	defer unlock()
	for _, assignment := range n.schedules[process] {
		if assignment.MessageID == message {
			return assignment, nil
		}
	}
	return ao.Assignment{}, cu.ErrNotFound
}

// Latest implements cu.Scheduler.
func (n *Network) Latest(_ context.Context, process ao.ID) (ao.Assignment, error) {
	unlock, err := n.ask()
	if err != nil {
		return ao.Assignment{}, err
	}
	defer unlock()
	schedule := n.schedules[process]
	if len(schedule) == 0 {
		return ao.Assignment{}, cu.ErrNotFound
	}
	return schedule[len(schedule)-1], nil
}

// Assignments implements cu.Scheduler. It refuses a position that is not in the schedule.
func (n *Network) Assignments(_ context.Context, process ao.Process, after cu.Position, last int64) iter.Seq2[ao.Assignment, error] {
	return func(yield func(ao.Assignment, error) bool) {
		unlock, err := n.ask()
		if err != nil {
			yield(ao.Assignment{}, err)
			return
		}
		schedule := slices.Clone(n.schedules[process.ID])
		unlock()
		if at := after.Nonce; at >= 0 && (schedule[at].ID != after.Assignment || schedule[at].HashChain != after.HashChain) {
			yield(ao.Assignment{}, fmt.Errorf("nonce %d is not assignment %s with hash chain %s", at, after.Assignment, after.HashChain))
			return
		}
		for _, assignment := range schedule[after.Nonce+1 : last+1] {
			if !yield(assignment, nil) {
				return
			}
		}
	}
}

// SetNow sets the scheduler's clock, which also dates what is assigned next.
func (n *Network) SetNow(now int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = now
}

// SetBlocks sets the blocks that the archive knows.
func (n *Network) SetBlocks(blocks []cron.Point) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.blocks = blocks
}

// Now implements cu.Scheduler.
func (n *Network) Now(_ context.Context, process ao.ID) (int64, error) {
	unlock, err := n.ask()
	if err != nil {
		return 0, err
	}
	defer unlock()
	return n.clock(process), nil
}

func (n *Network) clock(process ao.ID) int64 {
	if n.now != 0 {
		return n.now
	}
	return 1000 * int64(len(n.schedules[process]))
}

// Blocks implements cu.Archive.
func (n *Network) Blocks(_ context.Context, height, until int64) (found []cron.Point, err error) {
	unlock, err := n.ask()
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, block := range n.blocks {
		if block.Height < height {
			continue
		}
		if found = append(found, block); block.Timestamp > until {
			break
		}
	}
	return found, nil
}

// Push assigns a message that a messenger has signed for a process, and gives its id. Two messengers sign the same message
// under two ids.
func (n *Network) Push(process ao.ID, messenger, data string) ao.ID {
	id := ID(messenger + " pushes " + data)
	pushed := message(process, id, data)
	pushed.From, pushed.ForwardedBy = ID("another process").String(), ao.Some(ID(messenger).String())
	pushed.Tags = pushed.Tags.Append("From-Process", pushed.From)
	n.assign(process, id, pushed)
	return id
}

// Again assigns a message that was assigned before.
func (n *Network) Again(process, id ao.ID) {
	n.mu.Lock()
	for _, assignment := range n.schedules[process] {
		if assignment.MessageID == id {
			n.items[id] = assignment.Message
		}
	}
	n.mu.Unlock()
	n.assign(process, id, ao.Message{ID: ao.Some(id.String())})
}

// Module implements cu.Archive.
func (n *Network) Module(_ context.Context, id ao.ID) (ao.Module, []byte, error) {
	unlock, err := n.ask()
	if err != nil {
		return ao.Module{}, nil, err
	}
	defer unlock()
	if id != ModuleID() {
		return ao.Module{}, nil, cu.ErrNotFound
	}
	module, err := ao.NewModule(id, ID("author").String(), ao.Tags{{Name: "Module-Format", Value: "wasm32-unknown-plain"},
		{Name: "Compute-Limit", Value: "1000000"}, {Name: "Memory-Limit", Value: "1-mb"}})
	return module, evaltest.Module(), err
}

// archive is a Network as cu.Archive: as cu.Scheduler it has another method of the name Message.
type archive struct{ *Network }

// Message implements cu.Archive.
func (a archive) Message(_ context.Context, assignment ao.Assignment) (ao.Message, error) {
	unlock, err := a.ask()
	if err != nil {
		return ao.Message{}, err
	}
	defer unlock()
	message, ok := a.items[assignment.MessageID]
	if !ok {
		return message, cu.ErrNotFound
	}
	return message, nil
}

// Rig is a unit over a network, with its log and checkpoints in a folder.
type Rig struct {
	Unit     *cu.Unit
	Log      *receipt.Log
	Recovery receipt.Recovery
	Store    receipt.Store
	Index    *index.Index
}

// Key is the signing key of every rig.
func Key() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

// Host gives a host that is closed with the test.
func Host(t testing.TB) *eval.Host {
	t.Helper()
	host, err := eval.NewHost(context.Background(), "", eval.InstanceBytesDefault)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close(context.Background()) })
	return host
}

// NewRig opens what lies in folder and makes a unit of it. Change, if not nil, may alter the configuration.
func NewRig(t testing.TB, folder string, network *Network, host *eval.Host, provider eval.Provider, change func(*cu.Config)) *Rig {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	store, err := receipt.OpenFolder(folder)
	if err != nil {
		t.Fatal(err)
	}
	places, _, err := index.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	log, recovery, err := receipt.OpenIndexed(store, Key(), places)
	if err != nil {
		t.Fatal(err)
	}
	checkpoints, err := checkpoint.Open(filepath.Join(folder, "checkpoints"), logger)
	if err != nil {
		t.Fatal(err)
	}
	config := cu.Config{
		Scheduler: network, Archive: archive{network}, Host: host, Provider: provider, Log: log, Checkpoints: checkpoints, Logger: logger,
		Limits: eval.Limits{GasMax: 10_000_000, MemoryBytesMax: 1 << 24}, EvaluationsMax: 4, MemoryBytesMax: 1 << 30,
		Device: "test", Build: "test",
	}
	if change != nil {
		change(&config)
	}
	return &Rig{Unit: cu.New(config), Log: log, Recovery: recovery, Store: store, Index: places}
}

// Close ends the rig as a daemon that is told to stop.
func (r *Rig) Close() {
	r.Unit.Close()
	r.Log.Close()
	r.Index.Close()
}
