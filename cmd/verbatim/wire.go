package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	"verbatim/cu"
	"verbatim/cu/ao"
	"verbatim/cu/arweave"
	"verbatim/cu/cron"
	"verbatim/cu/scheduler"
)

// schedulers is the cu.Scheduler of a unit. With a URL all processes are asked for there; without one, the process's
// own Scheduler-Location record says where.
type schedulers struct {
	fixed   *scheduler.Client // nil: located for each process
	archive *arweave.Client

	mu      sync.Mutex
	located map[string]location // by scheduler address
	of      map[ao.ID]string    // scheduler address, by process
}

// location is a scheduler that was found, and when it must be looked for again.
type location struct {
	client *scheduler.Client
	until  time.Time
}

// ttlDefault is for how long a Scheduler-Location is believed that does not say.
const ttlDefault = time.Hour

func newSchedulers(url string, archive *arweave.Client) (*schedulers, error) {
	s := &schedulers{archive: archive, located: map[string]location{}, of: map[ao.ID]string{}}
	if url == "" {
		return s, nil
	}
	client, err := scheduler.New(url)
	s.fixed = client
	return s, err
}

// client finds the scheduler of a process.
func (s *schedulers) client(ctx context.Context, process ao.ID) (*scheduler.Client, error) {
	if s.fixed != nil {
		return s.fixed, nil
	}
	s.mu.Lock()
	address := s.of[process]
	s.mu.Unlock()
	if address != "" {
		return s.locate(ctx, address)
	}
	item, err := s.archive.Fetch(ctx, process)
	if err != nil {
		return nil, fmt.Errorf("find the scheduler of process %s: %w", process, err)
	}
	if address = item.Tags.Get("Scheduler"); address == "" {
		return nil, fmt.Errorf("find the scheduler of process %s: it has no tag Scheduler: %w", process, cu.ErrNotFound)
	}
	client, err := s.locate(ctx, address)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of[process] = address
	return client, nil
}

// locate gives the scheduler with an address. One whose record has run out is used on while no newer record can be had.
func (s *schedulers) locate(ctx context.Context, address string) (*scheduler.Client, error) {
	s.mu.Lock()
	known := s.located[address]
	s.mu.Unlock()
	if known.client != nil && time.Now().Before(known.until) {
		return known.client, nil
	}
	found, err := s.archive.Locate(ctx, address)
	if err != nil && known.client != nil {
		return known.client, nil
	}
	if err != nil {
		return nil, err
	}
	if found.TTL == 0 {
		found.TTL = ttlDefault
	}
	client := known.client
	if client == nil || client.URL() != strings.TrimRight(found.URL, "/") {
		if client, err = scheduler.New(found.URL); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.located[address] = location{client, time.Now().Add(found.TTL)}
	return client, nil
}

// missing marks what the other side says does not exist.
func missing(err error) error {
	if errors.Is(err, scheduler.ErrNotFound) || errors.Is(err, arweave.ErrNotFound) {
		return fmt.Errorf("%w: %w", cu.ErrNotFound, err)
	}
	return err
}

func (s *schedulers) Process(ctx context.Context, process ao.ID) (ao.Process, error) {
	client, err := s.client(ctx, process)
	if err != nil {
		return ao.Process{}, missing(err)
	}
	p, err := client.Process(ctx, process)
	return p, missing(err)
}

func (s *schedulers) Message(ctx context.Context, process, message ao.ID) (ao.Assignment, error) {
	client, err := s.client(ctx, process)
	if err != nil {
		return ao.Assignment{}, missing(err)
	}
	a, err := client.Message(ctx, process, message)
	return a, missing(err)
}

func (s *schedulers) Latest(ctx context.Context, process ao.ID) (ao.Assignment, error) {
	client, err := s.client(ctx, process)
	if err != nil {
		return ao.Assignment{}, missing(err)
	}
	a, err := client.Latest(ctx, process)
	return a, missing(err)
}

func (s *schedulers) Now(ctx context.Context, process ao.ID) (int64, error) {
	client, err := s.client(ctx, process)
	if err != nil {
		return 0, missing(err)
	}
	timestamp, _, err := client.Now(ctx, process)
	return timestamp, missing(err)
}

func (s *schedulers) Assignments(ctx context.Context, process ao.Process, after cu.Position, last int64) iter.Seq2[ao.Assignment, error] {
	client, err := s.client(ctx, process.ID)
	if err != nil {
		return func(yield func(ao.Assignment, error) bool) { yield(ao.Assignment{}, missing(err)) }
	}
	return client.Assignments(ctx, process, scheduler.Position(after), last)
}

// archive is the cu.Archive of a unit.
type archive struct{ client *arweave.Client }

func (a archive) Module(ctx context.Context, module ao.ID) (ao.Module, []byte, error) {
	meta, wasm, verified, err := a.client.Module(ctx, module)
	if err == nil && !verified {
		err = fmt.Errorf("module %s: the gateway does not give what is needed to verify its signature", module)
	}
	return meta, wasm, missing(err)
}

// Message fetches the item that an assignment names.
func (a archive) Message(ctx context.Context, assignment ao.Assignment) (ao.Message, error) {
	item, err := a.client.Fetch(ctx, assignment.MessageID)
	if err != nil {
		return ao.Message{}, missing(err)
	}
	return item.Message(assignment.Exclude), nil
}

// Blocks lists blocks of Arweave.
func (a archive) Blocks(ctx context.Context, height, until int64) ([]cron.Point, error) {
	blocks, err := a.client.Blocks(ctx, height, until)
	points := make([]cron.Point, len(blocks))
	for i, block := range blocks {
		points[i] = cron.Point(block)
	}
	return points, err
}
