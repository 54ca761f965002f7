package cu

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"verbatim/cu/ao"
	"verbatim/cu/eval"
)

// module is a compiled module and what its tags say.
type module struct {
	meta     ao.Module
	compiled *eval.Module
	wasm     []byte
}

// modules keeps modules compiled. There are few of them, and most processes share one.
type modules struct {
	loading sync.Mutex // one at a time: compiling takes a whole machine's memory bandwidth anyway
	loaded  map[ao.ID]*module
}

// module gives a module, compiled once.
func (u *Unit) module(ctx context.Context, id ao.ID) (*module, error) {
	u.modules.loading.Lock()
	defer u.modules.loading.Unlock()
	if m := u.modules.loaded[id]; m != nil {
		return m, nil
	}
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
	m := &module{meta: meta, compiled: compiled, wasm: wasm}
	u.modules.loaded[id] = m
	return m, nil
}
