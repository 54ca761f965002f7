// Package cpu is the Backend for processors: Go assembly for AVX2, AVX-512 and, on arm64, NEON with dot products; plain Go
// elsewhere.
//
// Invariants: the bits of kernels/SPEC.md on every level and for every number of threads. Rows of a matrix, positions of
// a page and elements of a vector lie in the lanes of registers, so a reduction is never cut into lanes, and threads
// share outputs only. Operators allocate nothing once buffers have their size.
//
// The assembly is written by the generator in gen and committed; the build tag purego leaves it out. The package reads
// no environment: the caller chooses the level, and a folder if packed weights are to be kept. It does not check weights for NaN; models does when it loads them.
package cpu

//go:generate go -C gen run . -dir ..

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"verbatim/kernels"
	"verbatim/kernels/canon"
)

// Options say how fast a backend runs, never what it computes.
type Options struct {
	Threads int    // goroutines that compute; 0 means as many as Go runs at once
	Level   string // one of Levels; "" means the last, the fastest

	// CacheFolder keeps packed weights (SaveCache); "" means that every start packs. Model is the SHA-256 of the file that
	// all matrices come from, whatever it is, and Sketch that of a sample of it. Packed is what FindPacked found there, if
	// anything; New closes it when it is not needed.
	CacheFolder   string
	Model, Sketch [sha256.Size]byte
	Packed        *Packed
}

// Backend implements kernels.Backend.
type Backend struct {
	level   *level
	pool    *pool
	memory  memory
	cache   cache
	product product // the MatMul in progress
	attend  attend  // the Attention in progress
	each    elements
}

// threadsMax bounds Options.Threads.
const threadsMax = 1024

// New starts a backend's threads. Close stops them.
func New(o Options) (*Backend, error) {
	if o.Threads < 0 || o.Threads > threadsMax {
		return nil, fmt.Errorf("start the cpu backend: %d threads; the limit is %d", o.Threads, threadsMax)
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	chosen := choose(o.Level)
	if chosen == nil {
		return nil, fmt.Errorf("start the cpu backend: level %q is not available here; available: %s", o.Level, strings.Join(Levels(), ", "))
	}
	b := &Backend{level: chosen, pool: newPool(o.Threads)}
	b.product.level, b.attend.level, b.each.level = chosen, chosen, chosen
	b.product.init(o.Threads)
	b.attend.init(o.Threads)
	b.each.partials = make([][canon.Lanes]float32, o.Threads)
	if err := b.cache.open(b.pool, &b.memory, o, chosen); err != nil {
		return nil, errors.Join(fmt.Errorf("start the cpu backend: %w", err), b.Close())
	}
	return b, nil
}

// choose finds a level by name, the fastest if it is ""; nil if there is none.
func choose(name string) *level {
	available := levels()
	for _, l := range available {
		if l.name == name {
			return l
		}
	}
	if name == "" {
		return available[len(available)-1]
	}
	return nil
}

// Levels names what this machine and this build can run, slowest first.
func Levels() []string {
	var names []string
	for _, l := range levels() {
		names = append(names, l.name)
	}
	return names
}

// Threads is the number of goroutines that compute.
func (b *Backend) Threads() int { return b.pool.threads }

// Info names the level.
func (b *Backend) Info() kernels.Info {
	return kernels.Info{Name: "cpu", Level: b.level.name, Device: fmt.Sprintf("%s/%s, %d threads", runtime.GOOS, runtime.GOARCH, b.pool.threads)}
}

// Close stops the threads and frees the packed weights: no operator may follow.
func (b *Backend) Close() error {
	b.pool.close()
	return errors.Join(b.cache.making.abandon(), b.cache.making.free(), b.memory.free())
}

// buffer holds activations.
type buffer struct{ x []float32 }

func (b *buffer) Len() int { return len(b.x) }

// NewBuffer returns zeros.
func (b *Backend) NewBuffer(elements int) (kernels.Buffer, error) {
	if elements < 0 {
		return nil, fmt.Errorf("make a buffer: %d elements", elements)
	}
	return &buffer{make([]float32, elements)}, nil
}

// Write copies src to the start of dst.
func (b *Backend) Write(dst kernels.Buffer, src []float32) {
	copy(dst.(*buffer).x[:len(src)], src)
}

// Read never fails.
func (b *Backend) Read(dst []float32, src kernels.Buffer, first int) error {
	copy(dst, src.(*buffer).x[first:first+len(dst)])
	return nil
}
