// Package engines opens models by name and keeps one engine for each: what every program of this module does before it
// can ask a model something. It chooses the backend; it computes nothing.
package engines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
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
	CacheFolder  string // of weights as kernels/cpu packs them, for the next start; "": every start packs
}

// cacheMinBytes is the size from which packed weights are kept: packing less takes no time.
const cacheMinBytes = 64 << 20

// Backend starts a backend. The caller closes it.
func (d *Device) Backend() (*cpu.Backend, error) { return d.backend(cpu.Options{}) }

func (d *Device) backend(o cpu.Options) (*cpu.Backend, error) {
	switch d.Name {
	case "auto", "cpu":
		o.Threads, o.Level = d.Threads, d.Level
		return cpu.New(o)
	case "cuda":
		return nil, errors.New("device cuda: this build has no CUDA backend; use --device cpu or auto")
	}
	return nil, fmt.Errorf("device %q: it must be auto, cpu or cuda", d.Name)
}

// Load puts a model's weights into a new backend, which the caller closes after the engine's last use. Warning, if any, tells
// why packed weights were not read from CacheFolder or not kept there, or memory not given back; the engine works all the same.
func (d *Device) Load(model *models.Model) (engine *inference.Engine, backend io.Closer, warning, err error) {
	// Opening read the whole file, and packing may read it again: meanwhile and afterwards only what is packed counts.
	warning = model.Release()
	b, err := d.backend(cpu.Options{CacheFolder: d.CacheFolder, Model: model.Digest})
	if err != nil {
		return nil, nil, nil, err
	}
	engine, err = inference.NewEngine(model, b, inference.Options{PrefillChunkTokens: d.PrefillChunk})
	if err != nil {
		return nil, nil, nil, errors.Join(err, b.Close())
	}
	warning = errors.Join(warning, model.Release())
	if b.PackedBytes() >= cacheMinBytes {
		warning = errors.Join(warning, b.SaveCache())
	}
	return engine, b, warning, nil
}

// Library keeps one engine for each model that was asked for.
type Library struct {
	Store  models.Store
	Warn   func(error) // of what makes starts slow; may be nil
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

// New gives a library. Folder keeps models that fetch, which may be nil, brought, and packed weights beside them.
func New(d Device, folder string, fetch func(ctx context.Context, id string, w io.Writer) error) *Library {
	if folder != "" && d.CacheFolder == "" {
		d.CacheFolder = filepath.Join(folder, "packed")
	}
	return &Library{
		Store:  models.Store{Embedded: embedded.GGUF, Fetch: fetch, Folder: folder},
		device: d, engines: map[string]*loaded{},
	}
}

// Engine opens the model of that name, once. A failure is not kept: the next call tries again.
func (l *Library) Engine(ctx context.Context, name string) (*inference.Engine, error) {
	for {
		entry := l.entry(name)
		entry.once.Do(func() { entry.engine, entry.closers, entry.err = l.open(ctx, name) })
		if entry.err == nil {
			return entry.engine, nil
		}
		l.mu.Lock()
		if l.engines[name] == entry {
			delete(l.engines, name)
		}
		l.mu.Unlock()
		// Whoever opened it for all may have been cancelled; that is no reason for the others to fail.
		if !errors.Is(entry.err, context.Canceled) || ctx.Err() != nil {
			return nil, entry.err
		}
	}
}

func (l *Library) entry(name string) *loaded {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.engines[name] == nil {
		l.engines[name] = &loaded{}
	}
	return l.engines[name]
}

func (l *Library) open(ctx context.Context, name string) (*inference.Engine, []io.Closer, error) {
	model, err := l.Store.Open(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	engine, backend, warning, err := l.device.Load(model)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("load model %s: %w", name, err), model.Close())
	}
	if warning != nil && l.Warn != nil {
		l.Warn(fmt.Errorf("load model %s: %w", name, warning))
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
