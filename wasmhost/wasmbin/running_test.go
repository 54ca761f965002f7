package wasmbin_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"verbatim/wasmhost/wasmbin"
	. "verbatim/wasmhost/wasmtest"
)

// The goal: a module whose asyncify state is taken to be 0 does the same as the whole module while it is, and its gas is the
// same at every call of the host and of another function, and at every end without a trap.

// formOf is a module in one of its two forms.
func formOf(t testing.TB, wasm []byte, running, reference bool) []byte {
	t.Helper()
	m, err := wasmbin.Decode(wasm)
	if err != nil {
		t.Fatal(err)
	}
	n := names()
	n.Running = running
	if reference {
		n.Used, n.Reference = "used", true
	}
	out, _, err := wasmbin.Instrument(m, n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// watched is what a call of a random module did.
type watched struct {
	result  uint64
	trapped bool
	gas     [2]uint64   // own and the reference's, at the end
	seen    [][2]uint64 // the same at each call of the host
	memory  []byte
}

// watch calls all functions of a module.
func watch(t testing.TB, config wazero.RuntimeConfig, wasm []byte, reference bool) (out []watched) {
	t.Helper()
	ctx := context.Background()
	rt := engine(t, config)
	var seen [][2]uint64
	count := func(m api.Module) (gas [2]uint64) {
		gas[0] = 1<<60 - m.ExportedGlobal("fuel").Get()
		if reference {
			gas[1] = m.ExportedGlobal("used").Get()
		}
		return gas
	}
	see := func(_ context.Context, m api.Module, _ []uint64) { seen = append(seen, count(m)) }
	if _, err := rt.NewHostModuleBuilder("host").NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(see), nil, nil).Export("see").Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	var mod api.Module
	for f := range 4 {
		for _, a := range arguments() {
			if mod == nil {
				var err error
				if mod, err = rt.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithName("")); err != nil {
					t.Fatal(err)
				}
			}
			refill(ctx, mod, nil)
			seen = nil
			results, err := mod.ExportedFunction(fmt.Sprintf("f%d", f)).Call(ctx, uint64(a[0]), uint64(a[1]))
			w := watched{gas: count(mod), seen: seen}
			if err != nil { // nothing counts but that it trapped
				out, mod = append(out, watched{trapped: true, seen: seen}), nil
				continue
			}
			w.result = results[0]
			b, _ := mod.Memory().Read(0, mod.Memory().Size())
			w.memory = bytes.Clone(b)
			out = append(out, w)
		}
	}
	return out
}

func sameWhileRunning(t testing.TB, wasm []byte, reference bool) (traps, calls int) {
	t.Helper()
	want, got := watch(t, wazero.NewRuntimeConfig(), formOf(t, wasm, false, reference), reference), watch(t, wazero.NewRuntimeConfig(), formOf(t, wasm, true, reference), reference)
	for i, w := range want {
		g := got[i]
		if g.result != w.result || g.trapped != w.trapped || g.gas != w.gas || !slices.Equal(g.seen, w.seen) || !bytes.Equal(g.memory, w.memory) {
			t.Fatalf("call %d: got %d, trap %v, gas %v, at calls %v; want %d, trap %v, gas %v, at calls %v; memories equal: %v", i,
				g.result, g.trapped, g.gas, g.seen, w.result, w.trapped, w.gas, w.seen, bytes.Equal(g.memory, w.memory))
		}
		if w.trapped {
			traps++
		}
		calls += len(w.seen)
	}
	return traps, calls
}

func TestRunningFormDoesTheSame(t *testing.T) {
	traps, calls, shorter := 0, 0, 0
	const modules = 120
	for seed := range uint64(modules) {
		wasm := RandomAsync(seed).Bytes()
		a, b := sameWhileRunning(t, wasm, false)
		traps, calls = traps+a, calls+b
		if len(formOf(t, wasm, true, false)) < len(formOf(t, wasm, false, false)) {
			shorter++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d modules, %d shorter while running, %d traps, %d calls of the host", modules, shorter, traps, calls)
	if traps < modules || calls < modules || shorter < modules/2 {
		t.Error("the random modules do too little of one kind")
	}
}

func FuzzRunning(f *testing.F) {
	for seed := range uint64(3) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { sameWhileRunning(t, RandomAsync(seed).Bytes(), false) })
}

// The state is known only where nobody but the host can change it, by the names that are there for it.
func TestAsyncState(t *testing.T) {
	module := func(change func(m *Module)) []byte {
		m := RandomAsync(1)
		change(&m)
		return m.Bytes()
	}
	const imports, start = 1, 5 // the number of imports, and of the function asyncify_start_unwind among those defined
	for _, c := range []struct {
		name   string
		known  bool
		change func(m *Module)
	}{
		{"as it is", true, func(*Module) {}},
		{"not 0 at first", false, func(m *Module) { m.Globals[1].Init = 1 }},
		{"another function writes it", false, func(m *Module) { m.Functions[0].Code = Code(I32(1), 0x24, 1, m.Functions[0].Code) }},
		{"another function calls what writes it", false, func(m *Module) { m.Functions[0].Code = Code(I64(0), 0x10, imports+start, m.Functions[0].Code) }},
		{"a table has what writes it", false, func(m *Module) { m.Table = []uint32{imports + start} }},
		{"a table has something else", true, func(m *Module) { m.Table = []uint32{imports} }},
		{"no function that tells it", false, func(m *Module) { m.Functions[4].Export = "something" }},
		{"a function that computes it", false, func(m *Module) { m.Functions[4].Code = Code(I32(0), 0x23, 1, 0x6a) }},
	} {
		m, err := wasmbin.Decode(module(c.change))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if global, known := m.AsyncState(); known != c.known || known && global != 1 {
			t.Errorf("%s: got global %d, %v, want %v", c.name, global, known, c.known)
		}
		for name, index := range map[string]uint32{"malloc": imports + start, "asyncify_get_state": imports + start} {
			m.Exports = append(m.Exports, wasmbin.Export{Name: name, Kind: wasmbin.KindFunc, Index: index})
			if _, known := m.AsyncState(); known {
				t.Errorf("%s, and what writes it is exported as %s: known", c.name, name)
			}
		}
	}
}
