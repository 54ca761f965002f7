// Package engines opens models by name and keeps one engine for each: what every program of this module does before it
// can ask a model something. It chooses the backend; it computes nothing.
package engines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"verbatim/inference"
	"verbatim/kernels/cpu"
	"verbatim/models"
	"verbatim/models/embedded"
)

// Device says where engines compute. It changes speed, never a result.
type Device struct {
	Name         string // auto, cpu or cuda
	Level        string // of the CPU; "" is the best
	Threads      int    // 0: one for each processor
	PrefillChunk int    // tokens; 0: the engine's default
}

// Backend starts a backend. The caller closes it.
func (d *Device) Backend() (*cpu.Backend, error) {
	switch d.Name {
	case "auto", "cpu":
		return cpu.New(cpu.Options{Threads: d.Threads, Level: d.Level})
	case "cuda":
		return nil, errors.New("device cuda: this build has no CUDA backend; use --device cpu or auto")
	}
	return nil, fmt.Errorf("device %q: it must be auto, cpu or cuda", d.Name)
}

// Library keeps one engine for each model that was asked for.
type Library struct {
	Store  models.Store
	device Device

	mu      sync.Mutex
	engines map[string]*loaded
}

type loaded struct {
	once    sync.Once
	engine  *inference.Engine
	err     error
	closers []io.Closer
}

// New gives a library. Folder keeps models that fetch, which may be nil, brought.
func New(d Device, folder string, fetch func(ctx context.Context, id string, w io.Writer) error) *Library {
	return &Library{
		Store:  models.Store{Embedded: embedded.GGUF, Fetch: fetch, Folder: folder},
		device: d, engines: map[string]*loaded{},
	}
}

// Engine opens the model of that name, once. A failure is not kept: the next call tries again.
func (l *Library) Engine(ctx context.Context, name string) (*inference.Engine, error) {
	l.mu.Lock()
	entry := l.engines[name]
	if entry == nil {
		entry = &loaded{}
		l.engines[name] = entry
	}
	l.mu.Unlock()
	entry.once.Do(func() { entry.engine, entry.closers, entry.err = l.open(ctx, name) })
	if entry.err != nil {
		l.mu.Lock()
		if l.engines[name] == entry {
			delete(l.engines, name)
		}
		l.mu.Unlock()
	}
	return entry.engine, entry.err
}

func (l *Library) open(ctx context.Context, name string) (*inference.Engine, []io.Closer, error) {
	model, err := l.Store.Open(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	backend, err := l.device.Backend()
	if err != nil {
		return nil, nil, errors.Join(err, model.Close())
	}
	engine, err := inference.NewEngine(model, backend, inference.Options{PrefillChunkTokens: l.device.PrefillChunk})
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("load model %s: %w", name, err), backend.Close(), model.Close())
	}
	return engine, []io.Closer{backend, model}, nil
}

// Close frees every engine. No inference may be running.
func (l *Library) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, entry := range l.engines {
		for _, c := range entry.closers {
			errs = append(errs, c.Close())
		}
	}
	l.engines = map[string]*loaded{}
	return errors.Join(errs...)
}
