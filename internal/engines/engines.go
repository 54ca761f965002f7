// Package engines opens models by name and keeps one engine for each: what every program of this module does before it
// can ask a model something. It chooses the backend; it computes nothing.
package engines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"verbatim/inference"
	"verbatim/kernels"
	"verbatim/kernels/cpu"
	"verbatim/models"
	"verbatim/models/embedded"
)

// Loaded is an engine with what it stands on.
type Loaded struct {
	Engine  *inference.Engine
	Model   *models.Model
	Warning error // why the engine is slower than it could be, or starts slower; nil if there is no reason
	backend kernels.Backend
	card    bool // computes on a graphics card
}

// Backend is where the engine computes; it is the engine's, to be asked and not to be used.
func (l *Loaded) Backend() kernels.Backend { return l.backend }

// Close frees all of it. No inference may be running.
func (l *Loaded) Close() error { return errors.Join(l.backend.Close(), l.Model.Close()) }

// Open opens the model of that name and puts its weights into a new backend. The store's Meanwhile is taken: while the
// model's digest is computed, packed weights that are likely its own are checked.
func (d *Device) Open(ctx context.Context, store models.Store, name string) (*Loaded, error) {
	var packed *cpu.Packed
	var closing error
	if !d.wantsCard() {
		store.Meanwhile = func(sketch models.Sketch, known <-chan struct{}) {
			closing = errors.Join(closing, packed.Close())
			packed = cpu.FindPacked(d.CacheFolder, d.Level, sketch)
			packed.Check(known)
		}
	}
	model, err := store.Open(ctx, name)
	if err = errors.Join(err, closing); err != nil {
		return nil, errors.Join(err, packed.Close())
	}
	loaded, err := d.load(ctx, model, packed)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("load model %s: %w", name, err), model.Close())
	}
	return loaded, nil
}

// load puts a model where the device says. It takes packed over.
func (d *Device) load(ctx context.Context, model *models.Model, packed *cpu.Packed) (*Loaded, error) {
	if !d.wantsCard() {
		return d.loadCPU(model, packed)
	}
	loaded, err := d.loadCard(ctx, model, false)
	for errors.Is(err, kernels.ErrMemory) && d.room != nil && d.room() {
		loaded, err = d.loadCard(ctx, model, false)
	}
	if errors.Is(err, kernels.ErrMemory) && d.spread() > 1 {
		loaded, err = d.loadCard(ctx, model, true)
	}
	if err == nil || d.Name != "auto" {
		return loaded, errors.Join(err, packed.Close())
	}
	if loaded, fallback := d.loadCPU(model, packed); fallback == nil {
		loaded.Warning = errors.Join(fmt.Errorf("it computes on the CPU: %w", err), loaded.Warning)
		return loaded, nil
	}
	return nil, err
}

// loadCPU takes packed over.
func (d *Device) loadCPU(model *models.Model, packed *cpu.Packed) (*Loaded, error) {
	o := cpu.Options{Threads: d.Threads, Level: d.Level, Model: model.Digest, Sketch: model.Sketch, Packed: packed}
	if model.FileBytes >= cacheMinBytes {
		o.CacheFolder = d.CacheFolder
	}
	b, err := cpu.New(o)
	if err != nil {
		return nil, errors.Join(err, packed.Close())
	}
	engine, err := inference.NewEngine(model, b, inference.Options{PrefillChunkTokens: d.PrefillChunk})
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return &Loaded{Engine: engine, Model: model, backend: b, Warning: errors.Join(model.Release(), b.SaveCache())}, nil
}

// Library keeps one engine for each model that was asked for. When a card's memory is spent, the model on a card that was used
// longest ago, and that nobody uses, makes room for another.
type Library struct {
	Store  models.Store
	Warn   func(error) // of what makes starts or engines slow; may be nil
	device Device

	mu      sync.Mutex
	clock   uint64
	engines map[string]*entry
}

// entry is a model, opened or about to be.
type entry struct {
	once   sync.Once
	err    error
	loaded *Loaded // guarded by Library.mu, as is what follows
	users  int
	pinned bool   // somebody may use it for ever
	used   uint64 // the clock when it was asked for last
}

// New gives a library. Folder keeps models that fetch, which may be nil, brought, and packed weights beside them.
func New(d Device, folder string, fetch func(ctx context.Context, id string, w io.Writer) error) *Library {
	if folder != "" && d.CacheFolder == "" {
		d.CacheFolder = filepath.Join(folder, "packed")
	}
	l := &Library{
		Store:   models.Store{Embedded: embedded.GGUF, Fetch: fetch, Folder: folder},
		engines: map[string]*entry{},
	}
	d.room = l.makeRoom
	l.device = d
	return l
}

// Engine opens the model of that name, once, and keeps it until the library is closed. A failure is not kept: the next call
// tries again.
func (l *Library) Engine(ctx context.Context, name string) (*inference.Engine, error) {
	engine, _, err := l.take(ctx, name, true)
	return engine, err
}

// Borrow is Engine for a while: after done is called another model may take its place.
func (l *Library) Borrow(ctx context.Context, name string) (engine *inference.Engine, done func(), err error) {
	engine, e, err := l.take(ctx, name, false)
	if err != nil {
		return nil, nil, err
	}
	return engine, func() { l.giveBack(name, e) }, nil
}

func (l *Library) take(ctx context.Context, name string, pin bool) (*inference.Engine, *entry, error) {
	for {
		e := l.entry(name, pin)
		e.once.Do(func() { l.open(ctx, name, e) })
		if e.err == nil {
			return e.loaded.Engine, e, nil
		}
		l.mu.Lock()
		if l.engines[name] == e {
			delete(l.engines, name)
		}
		l.mu.Unlock()
		// Whoever opened it for all may have been cancelled; that is no reason for the others to fail.
		if !errors.Is(e.err, context.Canceled) || ctx.Err() != nil {
			return nil, nil, e.err
		}
	}
}

func (l *Library) entry(name string, pin bool) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.engines[name]
	if e == nil {
		e = &entry{}
		l.engines[name] = e
	}
	l.clock++
	e.used = l.clock
	e.users++
	e.pinned = e.pinned || pin
	return e
}

// giveBack ends a use. An engine whose card has failed is closed after its last one, so that the next use starts anew.
func (l *Library) giveBack(name string, e *entry) {
	l.mu.Lock()
	e.users--
	b, canFail := e.loaded.backend.(interface{ Err() error })
	broken := e.users == 0 && !e.pinned && l.engines[name] == e && canFail && b.Err() != nil
	if broken {
		delete(l.engines, name)
	}
	l.mu.Unlock()
	if broken {
		l.warn(name, e.loaded.Close())
	}
}

func (l *Library) open(ctx context.Context, name string, e *entry) {
	loaded, err := l.device.Open(ctx, l.Store, name)
	l.mu.Lock()
	e.loaded, e.err = loaded, err
	l.mu.Unlock()
	if err == nil {
		l.warn(name, loaded.Warning)
	}
}

func (l *Library) warn(name string, err error) {
	if err != nil && l.Warn != nil {
		l.Warn(fmt.Errorf("model %s: %w", name, err))
	}
}

// Load is how busy one model is, and where.
type Load struct {
	Model   string // as it was asked for
	Backend kernels.Info
	inference.Load
}

// Loads tells of every model that is open, in order of their names.
func (l *Library) Loads() []Load {
	l.mu.Lock()
	defer l.mu.Unlock()
	var loads []Load
	for _, name := range slices.Sorted(maps.Keys(l.engines)) {
		if loaded := l.engines[name].loaded; loaded != nil {
			loads = append(loads, Load{name, loaded.backend.Info(), loaded.Engine.Load()})
		}
	}
	return loads
}

// makeRoom closes the engine on a card that nobody uses and that was used longest ago, and says whether there was one.
func (l *Library) makeRoom() bool {
	l.mu.Lock()
	oldest := ""
	for name, e := range l.engines {
		if e.loaded != nil && e.loaded.card && e.users == 0 && !e.pinned && (oldest == "" || e.used < l.engines[oldest].used) {
			oldest = name
		}
	}
	e := l.engines[oldest]
	delete(l.engines, oldest)
	l.mu.Unlock()
	if e == nil {
		return false
	}
	l.warn(oldest, e.loaded.Close())
	return true
}

// Close frees every engine. No inference may be running.
func (l *Library) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, e := range l.engines {
		if e.loaded != nil {
			errs = append(errs, e.loaded.Close())
		}
	}
	l.engines = map[string]*entry{}
	return errors.Join(errs...)
}
