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

// Loaded is an engine with what it stands on.
type Loaded struct {
	Engine  *inference.Engine
	Model   *models.Model
	Warning error // why packed weights were not read from CacheFolder or not kept there, or memory not given back
	backend io.Closer
}

// Close frees all of it. No inference may be running.
func (l *Loaded) Close() error { return errors.Join(l.backend.Close(), l.Model.Close()) }

// Open opens the model of that name and puts its weights into a new backend. The store's Meanwhile is taken: while the
// model's digest is computed, packed weights that are likely its own are checked.
func (d *Device) Open(ctx context.Context, store models.Store, name string) (*Loaded, error) {
	var packed *cpu.Packed
	var closing error
	store.Meanwhile = func(sketch models.Sketch, known <-chan struct{}) {
		closing = errors.Join(closing, packed.Close())
		packed = cpu.FindPacked(d.CacheFolder, d.Level, sketch)
		packed.Check(known)
	}
	model, err := store.Open(ctx, name)
	if err = errors.Join(err, closing); err != nil {
		return nil, errors.Join(err, packed.Close())
	}
	loaded, err := d.load(model, packed)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load model %s: %w", name, err), model.Close())
	}
	return loaded, nil
}

// load takes packed over.
func (d *Device) load(model *models.Model, packed *cpu.Packed) (*Loaded, error) {
	o := cpu.Options{Model: model.Digest, Sketch: model.Sketch, Packed: packed}
	if model.FileBytes >= cacheMinBytes {
		o.CacheFolder = d.CacheFolder
	}
	b, err := d.backend(o)
	if err != nil {
		return nil, errors.Join(err, packed.Close())
	}
	engine, err := inference.NewEngine(model, b, inference.Options{PrefillChunkTokens: d.PrefillChunk})
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return &Loaded{Engine: engine, Model: model, backend: b, Warning: errors.Join(model.Release(), b.SaveCache())}, nil
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
	once sync.Once
	*Loaded
	err error
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
		entry.once.Do(func() { l.open(ctx, name, entry) })
		if entry.err == nil {
			return entry.Engine, nil
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

func (l *Library) open(ctx context.Context, name string, entry *loaded) {
	if entry.Loaded, entry.err = l.device.Open(ctx, l.Store, name); entry.err != nil {
		return
	}
	if entry.Warning != nil && l.Warn != nil {
		l.Warn(fmt.Errorf("load model %s: %w", name, entry.Warning))
	}
}

// Close frees every engine. No inference may be running.
func (l *Library) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, entry := range l.engines {
		if entry.Loaded != nil {
			errs = append(errs, entry.Loaded.Close())
		}
	}
	l.engines = map[string]*loaded{}
	return errors.Join(errs...)
}
