package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/spf13/cobra"

	"verbatim/inference"
	"verbatim/kernels/cpu"
	"verbatim/models"
	"verbatim/models/embedded"
)

// device says where engines compute. It changes speed, never a result.
type device struct {
	name         string // auto, cpu or cuda
	threads      int    // 0: one for each processor
	prefillChunk int    // tokens; 0: the engine's default
}

func (d *device) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.name, "device", "auto", "where to compute: auto, cpu or cuda")
	cmd.Flags().IntVar(&d.threads, "threads", 0, "threads to compute with; 0 is one for each processor")
	cmd.Flags().IntVar(&d.prefillChunk, "prefill-chunk", 0, "prompt tokens to evaluate at once; 0 is the default")
}

func (d *device) backend() (*cpu.Backend, error) {
	switch d.name {
	case "auto", "cpu":
		return cpu.New(cpu.Options{Threads: d.threads, Level: os.Getenv("VERBATIM_CPU")})
	case "cuda":
		return nil, errors.New("device cuda: this build has no CUDA backend; use --device cpu or auto")
	}
	return nil, fmt.Errorf("device %q: it must be auto, cpu or cuda", d.name)
}

// library keeps one engine for each model that was asked for.
type library struct {
	store  models.Store
	device device

	mu      sync.Mutex
	engines map[string]*loaded
}

type loaded struct {
	once    sync.Once
	engine  *inference.Engine
	err     error
	closers []io.Closer
}

func newLibrary(d device, folder string, fetch func(ctx context.Context, id string, w io.Writer) error) *library {
	return &library{
		store:  models.Store{Embedded: embedded.GGUF, Fetch: fetch, Folder: folder},
		device: d, engines: map[string]*loaded{},
	}
}

// engine opens the model of that name, once. A failure is not kept: the next call tries again.
func (l *library) engine(ctx context.Context, name string) (*inference.Engine, error) {
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

func (l *library) open(ctx context.Context, name string) (*inference.Engine, []io.Closer, error) {
	model, err := l.store.Open(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	backend, err := l.device.backend()
	if err != nil {
		return nil, nil, errors.Join(err, model.Close())
	}
	engine, err := inference.NewEngine(model, backend, inference.Options{PrefillChunkTokens: l.device.prefillChunk})
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("load model %s: %w", name, err), backend.Close(), model.Close())
	}
	return engine, []io.Closer{backend, model}, nil
}

// Close frees every engine. No inference may be running.
func (l *library) Close() error {
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
