package replay

import (
	"context"
	"crypto/sha256"

	"verbatim/cu/eval"
	"verbatim/cu/receipt"
)

// modules are the modules that a log holds, compiled when a receipt asks for one.
type modules struct {
	host     *eval.Host
	wasm     map[receipt.Digest][]byte
	compiled map[compiledKey]*eval.Module
}

type compiledKey struct {
	digest receipt.Digest
	format string
}

func newModules(host *eval.Host) *modules {
	return &modules{host: host, wasm: map[receipt.Digest][]byte{}, compiled: map[compiledKey]*eval.Module{}}
}

func (m *modules) add(wasm []byte) { m.wasm[sha256.Sum256(wasm)] = wasm }

func (m *modules) get(ctx context.Context, digest receipt.Digest, format string) (*eval.Module, error) {
	key := compiledKey{digest, format}
	if module := m.compiled[key]; module != nil {
		return module, nil
	}
	wasm, ok := m.wasm[digest]
	if !ok {
		return nil, unusablef("module %s is not in the log", digest)
	}
	module, err := m.host.Compile(ctx, wasm, format)
	if err == nil {
		m.compiled[key] = module
	}
	return module, err
}

func (m *modules) close(ctx context.Context) {
	for _, module := range m.compiled {
		// A module that does not close only keeps memory; the verdict does not depend on it.
		_ = module.Close(ctx)
	}
}
