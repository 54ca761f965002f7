package wasmhost

import (
	"context"
	"errors"
	"sync"

	"verbatim/wasmhost/wasmbin"
)

// A module that was compiled with asyncify gets a second form, which runs twice as fast and cannot wait for the host; see
// wasmbin/running.go. A message is evaluated with it first. Where it has to wait, or ends in a fault, all that it did is
// undone, and the whole module evaluates it again: until then it can have done nothing but change its memory, since
// whatever else there is comes from files that it opens, which is waiting.
//
// So it takes twice as long to find out that a message faults. Results, gas and memory are the same in any case.

// errWaits ends an evaluation that has to wait for the host in the form that cannot.
var errWaits = errors.New("the running form of a module cannot wait")

// runningForm is a module's second form. It is compiled when a message first needs it.
type runningForm struct {
	once   sync.Once
	build  func(context.Context) (*Module, error) // nil: there is none
	module *Module
}

// prepareRunning says how to compile the second form, if the module may have one.
func (m *Module) prepareRunning(bin *wasmbin.Module, names wasmbin.Names) {
	if _, ok := bin.ExportOf("asyncify_get_state"); !ok || !m.emscripten {
		return
	}
	for _, im := range bin.Imports {
		if im.Module == moduleVerbatim {
			return // it asks for inferences without waiting
		}
	}
	names.Running = true
	m.twoForms.Store(true)
	m.running.build = func(ctx context.Context) (*Module, error) {
		metered, _, err := wasmbin.Instrument(bin, names)
		if err != nil {
			return nil, err
		}
		compiled, err := m.runtime.CompileModule(ctx, metered)
		if err != nil {
			return nil, err
		}
		return &Module{format: m.format, conventions: m.conventions, runtime: m.runtime, compiled: compiled, pagesMin: m.pagesMin, pagesMax: m.pagesMax,
			globals: m.globals, exports: m.exports, dataEnd: m.dataEnd, onlyMemory: m.onlyMemory, store: m.store, pagemap: m.pagemap,
			base: m.base, cannotWait: true}, nil
	}
}

// formFor is the second form, if it is worth trying on an image: what starts a process opens a file, and what waited last
// time may do so again. A module that has no such form, or one that cannot be compiled, does without.
func (m *Module) formFor(ctx context.Context, image *Image) *Module {
	if image == nil || image.waited {
		return nil
	}
	m.running.once.Do(func() {
		if m.running.build != nil {
			m.running.module, _ = m.running.build(context.WithoutCancel(ctx))
			m.twoForms.Store(m.running.module != nil)
			m.running.build = nil
		}
	})
	return m.running.module
}

// needsWhole reports whether an evaluation with the second form has to be done again.
func needsWhole(err error) bool {
	return errors.Is(err, errWaits) || errors.As(err, new(*Fault))
}
