package cu

import (
	"context"
	"errors"
	"fmt"

	"verbatim/cu/ao"
	"verbatim/cu/eval"
)

// module is a compiled module and what its tags say.
type module struct {
	meta     ao.Module
	compiled *eval.Module
	wasm     []byte
	bytes    int64 // that memories share and Unit.bytes counts; Unit.mu guards it
}

// loading is a module that somebody gets ready; the others wait for that one only.
type loading struct {
	done   chan struct{}
	module *module
	err    error
}

// module gives a module, compiled once. There are few of them, and most processes share one: all are kept.
func (u *Unit) module(ctx context.Context, id ao.ID) (*module, error) {
	u.mu.Lock()
	l := u.modules[id]
	if l == nil {
		l = &loading{done: make(chan struct{})}
		u.modules[id] = l
		u.mu.Unlock()
		u.loadModule(ctx, id, l)
	} else {
		u.mu.Unlock()
	}
	select {
	case <-l.done:
		return l.module, l.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// loadModule gets a module ready. One that could not be had is forgotten, and may be had later.
func (u *Unit) loadModule(ctx context.Context, id ao.ID, l *loading) {
	defer close(l.done)
	if l.module, l.err = u.compile(ctx, id); l.err != nil {
		u.mu.Lock()
		delete(u.modules, id)
		u.mu.Unlock()
	}
}

func (u *Unit) compile(ctx context.Context, id ao.ID) (*module, error) {
	meta, wasm, err := u.config.Archive.Module(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("fetch module %s: %w", id, upstream(err))
	}
	compiled, err := u.config.Host.Compile(ctx, wasm, meta.Format)
	if errors.Is(err, eval.ErrModule) {
		err = fmt.Errorf("%w: %w", ErrModule, err)
	}
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", id, err)
	}
	return &module{meta: meta, compiled: compiled, wasm: wasm}, nil
}
