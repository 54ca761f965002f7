// Package wasmhost evaluates ao modules: WebAssembly binaries that export handle(message, env).
//
// Bytes in, bytes out: it knows nothing of processes, schedulers or models. One call of Module.Handle is a pure
// function of the module, the memory, the message, the environment, the limits and the inferencer's answers:
// it runs in an instance of its own, made for the call from the memory given to it, and gives the memory back.
// ABI.md in this folder is the contract with modules.
//
// Invariants: nothing of the machine is reachable from a module (no clock, no entropy, no files, no network,
// no environment); what a module executes is counted, and ends at a limit; a Fault is a deterministic outcome of
// the module, every other error is a failure of the host and says nothing about the process.
//
// It does not verify modules' origin, does not store memory, and does not interpret messages or results.
package wasmhost

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/tetratelabs/wazero"
)

// Options are what may differ between machines without a difference in results.
type Options struct {
	CacheDir         string // where compiled code is kept between runs; "" keeps it in this daemon's memory only
	InstanceBytesMax int64  // memory of the instances of all modules that HandleImage keeps between messages; 0 keeps none
}

// Host compiles modules. It is safe for concurrent use.
type Host struct {
	cache   wazero.CompilationCache
	store   store
	pagemap *os.File // nil: memories are copied

	mu      sync.Mutex
	modules []*Module // to close with the host
}

// New returns a host.
func New(ctx context.Context, opts Options) (*Host, error) {
	h := &Host{store: store{bytesMax: opts.InstanceBytesMax}}
	if opts.InstanceBytesMax > 0 {
		h.pagemap, _ = openPagemap()
	}
	if opts.CacheDir == "" {
		h.cache = wazero.NewCompilationCache()
		return h, nil
	}
	cache, err := wazero.NewCompilationCacheWithDir(opts.CacheDir)
	if err != nil {
		return nil, fmt.Errorf("open the cache of compiled modules in %s: %w", opts.CacheDir, err)
	}
	h.cache = cache
	return h, nil
}

// Close releases all modules of the host. No call of Handle may be running.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var first error
	for _, m := range h.modules {
		if err := m.runtime.Close(ctx); err != nil && first == nil {
			first = err
		}
	}
	h.modules = nil
	if err := h.cache.Close(ctx); err != nil && first == nil {
		first = err
	}
	if h.pagemap != nil {
		_ = h.pagemap.Close()
	}
	return first
}
