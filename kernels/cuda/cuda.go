// Package cuda is the Backend on NVIDIA graphics cards: kernels as PTX text in the binary, compiled by the card's own
// driver, which is loaded at run time. A machine without one only gets an error from New.
//
// Invariants: the bits of kernels/SPEC.md on every card, for every batch and grid. Operators only record what is to be
// done; Read does it, and reports whatever failed since the last Read. Everything that changes from one decoding step to the
// next lies in device memory at addresses that stay, so that a list of launches seen twice is replayed as a CUDA graph.
// Every byte on the card is counted against a budget: when it is spent, NewMatrix, NewBuffer, NewKV and Reserve say so, and
// nothing else needs memory. After an error that leaves the card's memory in doubt a backend does nothing any more.
//
// The package reads no environment and no files; it does not check weights for NaN, models does when it loads them.
package cuda

import (
	"fmt"
	"runtime"

	"verbatim/kernels"
)

// Options say where and how a backend runs, never what it computes.
type Options struct {
	Library     string // path of the driver's library; "": libcuda.so.1, as the loader finds it
	Device      int    // which card, counted from 0
	MemoryBytes int64  // of device memory at most; 0: what is free, less a reserve for other programs
	Dependent   bool   // launches begin before the one in front has ended; from sm_90 and driver 12.3 on, not measured on a card yet
}

// Backend implements kernels.Backend.
type Backend struct {
	driver  driver
	device  int    // the driver's handle
	context uint64 // the device's primary context
	stream  uint64
	info    kernels.Info
	limits  limits

	memory  memory
	staging staging
	fetched fetched
	list    commands
	graphs  graphs
	modules []*module
	err     error // of an operator since the last Read
	dead    error // nothing works any more
	closed  bool

	dependent bool // launches begin early
	profile   profile

	rowTable  rowTable
	small     smallState // embed, norms, codes, rotation, elements
	matmul    matmulState
	attention attentionState
	limit     limitState
}

// limits of a card that launches depend on.
type limits struct {
	arch            int // 80 for sm_80; the newest PTX in the binary that the card runs is at most this
	multiprocessors int
	sharedBytesMax  int // dynamic shared memory of a thread block
}

// buffer holds float32 activations at a device address that is a multiple of 256.
type buffer struct {
	address  uint64
	elements int
}

func (b *buffer) Len() int { return b.elements }

// New starts a backend on a card.
func New(o Options) (*Backend, error) {
	d, err := openDriver(o.Library)
	if err != nil {
		return nil, fmt.Errorf("start the cuda backend: %w", err)
	}
	b, err := newBackend(d, o)
	if err != nil {
		return nil, fmt.Errorf("start the cuda backend: %w", err)
	}
	return b, nil
}

// Info names the card and its level.
func (b *Backend) Info() kernels.Info { return b.info }

// enter makes the device's context current in the goroutine's thread until the returned function is called. Every method
// that calls the driver begins with it: a goroutine changes threads at will, and one context at a time is current in each.
func (b *Backend) enter() (leave func(), err error) {
	if b.dead != nil {
		return func() {}, b.dead
	}
	runtime.LockOSThread()
	if err := b.driver.setCurrent(b.context); err != nil {
		runtime.UnlockOSThread()
		return func() {}, b.failed(err)
	}
	return runtime.UnlockOSThread, nil
}

// NewBuffer returns zeros.
func (b *Backend) NewBuffer(elements int) (kernels.Buffer, error) {
	if elements < 0 {
		return nil, fmt.Errorf("make a buffer: %d elements", elements)
	}
	address, err := b.allocate(4 * max(elements, 1))
	if err != nil {
		return nil, fmt.Errorf("make a buffer of %d elements: %w", elements, err)
	}
	b.zero(address, 4*elements)
	return &buffer{address, elements}, nil
}

// Write copies src to the start of dst.
func (b *Backend) Write(dst kernels.Buffer, src []float32) {
	b.upload(dst.(*buffer).address, bytesOf(src))
}

// Read runs all that was recorded and copies len(dst) elements of src, from element first.
func (b *Backend) Read(dst []float32, src kernels.Buffer, first int) error {
	return b.download(bytesOf(dst), src.(*buffer).address+4*uint64(first))
}
