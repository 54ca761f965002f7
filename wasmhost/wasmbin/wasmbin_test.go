package wasmbin_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"verbatim/wasmhost/wasmbin"
	. "verbatim/wasmhost/wasmtest"
)

func names() wasmbin.Names {
	return wasmbin.Names{RefillModule: "gas", RefillName: "refill", Fuel: "fuel", Stack: "stack", GlobalPrefix: "g"}
}

// every has at least one instruction of each kind of immediate, so that a wrong length throws the rest out of step.
func every() []byte {
	memArg := Code(2, 16)
	vector16 := make([]byte, 16)
	code := Code(
		0x02, 0x40, 0x01, 0x0b, // block nop
		0x02, 0x7f, I32(-123456), 0x0b, 0x1a, // block (result i32)
		I64(-1<<62), 0x1a, 0x43, 1, 2, 3, 4, 0x1a, 0x44, 1, 2, 3, 4, 5, 6, 7, 8, 0x1a,
		I32(0), 0x28, memArg, 0x1a, I32(0), I64(3), 0x37, 3, 0,
		0x3f, 0, 0x1a, I32(0), 0x40, 0, 0x1a,
		I32(1), I32(2), I32(0), 0x1b, 0x1a, I32(1), I32(2), I32(0), 0x1c, 1, 0x7f, 0x1a,
		0x02, 0x40, 0x02, 0x40, I32(0), 0x0e, 1, 0, 1, 0x0b, 0x0b, // br_table
		0x03, 0x40, I32(0), 0x0d, 0, 0x0b, // loop br_if
		I32(0), 0x04, 0x40, 0x05, 0x0b, // if else
		0x10, 1, I32(0), 0x11, 2, 0, // call, call_indirect
		0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0xfc, 2, 0x1a, // i32.trunc_sat_f64_s
		I32(0), I32(0), I32(0), 0xfc, 10, 0, 0, I32(0), I32(0), I32(0), 0xfc, 11, 0,
		0xfd, 12, vector16, 0xfd, 12, vector16, 0xfd, 13, vector16, 0x1a, // v128.const, shuffle
		I32(0), 0xfd, 0, 4, 0, 0xfd, 21, 3, 0x1a, // v128.load, extract_lane
		I32(0), 0xfd, 12, vector16, 0xfd, 84, 0, 0, 5, 0x1a, // v128.load8_lane
		I32(0), 0xfd, 92, 2, 0, 0xfd, U32(99), 0x1a, // load32_zero, i8x16.all_true
		I32(7), 0x45, 0xc0, 0x1a, // eqz, extend8_s
		0xd2, 1, 0xd1, 0x1a, 0xd0, 0x70, 0x1a, // ref.func, ref.is_null, ref.null
		I32(0), 0x25, 0, 0x1a, 0xfc, 16, 0, 0x1a, // table.get, table.size
		0x0f, // return
	)
	return Module{PagesMin: 1, PagesMax: 3, Table: []uint32{1, 0}, Globals: []Global{Mutable('i', 5), {Init: 7}},
		Imports:   ImportOf("host", "f", "", ""),
		Functions: []Function{{Export: "run", Code: nil}, {Export: "all", Locals: "ijv", Code: code}},
		Data:      []Data{DataAt(8, "text")}}.Bytes()
}

func instrument(t testing.TB, wasm []byte) []byte {
	t.Helper()
	m, err := wasmbin.Decode(wasm)
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := wasmbin.Instrument(m, names())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// The engine accepts the rewritten module, so all indices and types still fit together.
func TestInstrumentedModuleCompiles(t *testing.T) {
	ctx := context.Background()
	rt := wazero.NewRuntime(ctx)
	defer rt.Close(ctx)
	if _, err := rt.CompileModule(ctx, every()); err != nil {
		t.Fatalf("the fixture itself: %v", err)
	}
	out := instrument(t, every())
	compiled, err := rt.CompileModule(ctx, out)
	if err != nil {
		t.Fatal(err)
	}
	imports := compiled.ImportedFunctions()
	if n := len(imports); n != 2 {
		t.Fatalf("%d imports", n)
	}
	if _, name, _ := imports[1].Import(); name != "refill" {
		t.Errorf("last import is %q", name)
	}
	again, err := wasmbin.Decode(out)
	if err != nil {
		t.Fatal(err)
	}
	if e, ok := again.ExportOf("all"); !ok || e.Index != 3 {
		t.Errorf("export all is %+v", e)
	}
	if e, ok := again.ExportOf("g0"); !ok || e.Kind != wasmbin.KindGlobal || e.Index != 0 {
		t.Errorf("export g0 is %+v", e)
	}
	if !bytes.Equal(out, instrument(t, every())) {
		t.Error("the same module gave different bytes")
	}
}

func TestDecodeRefuses(t *testing.T) {
	body := func(code ...any) []byte {
		return Module{Functions: []Function{{Code: Code(code...)}}}.Bytes()
	}
	replace := func(id byte, section []byte) []byte { // a module of one section
		return append([]byte{0, 'a', 's', 'm', 1, 0, 0, 0, id, byte(len(section))}, section...)
	}
	for _, c := range []struct {
		name string
		wasm []byte
		want error
		says string
	}{
		{"text", []byte("(module)"), wasmbin.ErrMalformed, "not a WebAssembly"},
		{"component", []byte{0, 'a', 's', 'm', 13, 0, 1, 0}, wasmbin.ErrMalformed, "not a WebAssembly"},
		{"64-bit memory of 4 GiB", replace(5, []byte{1, 4, 0x80, 0x80, 4}), wasmbin.ErrUnsupported, "64-bit memory of 65536 pages"},
		{"64-bit shared memory", replace(5, []byte{1, 7, 1, 2}), wasmbin.ErrUnsupported, "64-bit memory"},
		{"64-bit table", replace(4, []byte{1, 0x70, 4, 1}), wasmbin.ErrUnsupported, "64-bit table"},
		{"64-bit offset in a 32-bit memory", body(I32(0), 0x28, 2, 0x80, 0x80, 0x80, 0x80, 0x10, 0x1a), wasmbin.ErrMalformed, "32 bits"},
		{"shared memory", replace(5, []byte{1, 3, 1, 2}), wasmbin.ErrUnsupported, "shared"},
		{"two memories", replace(5, []byte{2, 0, 1, 0, 1}), wasmbin.ErrUnsupported, "2 memories"},
		{"imported memory", replace(2, []byte{1, 1, 'a', 1, 'b', 2, 0, 1}), wasmbin.ErrUnsupported, "not a function"},
		{"atomics", body(0xfe, 0), wasmbin.ErrUnsupported, "0xfe"},
		{"exceptions", body(0x06, 0x40, 0x0b), wasmbin.ErrUnsupported, "0x06"},
		{"tail call", body(0x12, 0), wasmbin.ErrUnsupported, "0x12"},
		{"relaxed SIMD", body(0xfd, U32(256)), wasmbin.ErrUnsupported, "256"},
		{"code after the end", body(0x0b), wasmbin.ErrMalformed, "after the end"},
		{"unclosed block", body(0x02, 0x40), wasmbin.ErrMalformed, "unexpected end"},
		{"huge count", replace(1, []byte{0xff, 0xff, 0xff, 0xff, 0x0f}), wasmbin.ErrMalformed, "too many"},
		{"long integer", replace(1, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0}), wasmbin.ErrMalformed, "integer"},
		{"section twice", append(replace(1, []byte{0}), 1, 1, 0), wasmbin.ErrMalformed, "out of order"},
		{"no body", replace(3, []byte{1, 0}), wasmbin.ErrMalformed, "0 function bodies"},
	} {
		m, err := wasmbin.Decode(c.wasm)
		if err == nil {
			_, _, err = wasmbin.Instrument(m, names())
		}
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v saying %q", c.name, err, c.want, c.says)
		}
	}
}

func TestDecodeLimits(t *testing.T) {
	locals := func(n uint32) error {
		body := Code(1, U32(n), 0x7f, 0x0b)
		code := Code(1, U32(uint32(len(body))), body)
		m, err := wasmbin.Decode(Code([]byte{0, 'a', 's', 'm', 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0}, 10, U32(uint32(len(code))), code))
		if err == nil {
			_, _, err = wasmbin.Instrument(m, names())
		}
		return err
	}
	if err := locals(wasmbin.LocalsMax); err != nil {
		t.Errorf("%d locals: %v", wasmbin.LocalsMax, err)
	}
	if err := locals(wasmbin.LocalsMax + 1); !errors.Is(err, wasmbin.ErrUnsupported) {
		t.Errorf("%d locals: %v", wasmbin.LocalsMax+1, err)
	}
	table := func(n uint32) error {
		section := Code(1, 0x70, 0, U32(n))
		_, err := wasmbin.Decode(Code([]byte{0, 'a', 's', 'm', 1, 0, 0, 0, 4, byte(len(section))}, section))
		return err
	}
	if err := table(wasmbin.TableElementsMax); err != nil {
		t.Errorf("table of %d: %v", wasmbin.TableElementsMax, err)
	}
	if err := table(wasmbin.TableElementsMax + 1); !errors.Is(err, wasmbin.ErrUnsupported) {
		t.Errorf("table of %d: %v", wasmbin.TableElementsMax+1, err)
	}
	if _, err := wasmbin.Decode(make([]byte, wasmbin.ModuleBytesMax+1)); !errors.Is(err, wasmbin.ErrUnsupported) {
		t.Errorf("module of %d bytes: %v", wasmbin.ModuleBytesMax+1, err)
	}
}

func TestDataEnd(t *testing.T) {
	for _, offset := range []uint32{0, 1, 63, 64, 127, 128, 8191, 8192, 1 << 20, 0x7fffffff, 0x80000000, 0xfffffff0} {
		m, err := wasmbin.Decode(Module{Data: []Data{DataAt(2, "x"), DataAt(offset, "four")}}.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := m.DataEnd(), max(3, int(offset)+4); got != want {
			t.Errorf("offset %d: got %d, want %d", offset, got, want)
		}
	}
}

// Every truncation of a module is an error or a module that stops at a section's end; none panics.
func TestTruncations(t *testing.T) {
	whole := every()
	for n := range len(whole) {
		m, err := wasmbin.Decode(whole[:n])
		if err == nil {
			_, _, err = wasmbin.Instrument(m, names())
		}
		if err != nil && !errors.Is(err, wasmbin.ErrMalformed) && !errors.Is(err, wasmbin.ErrUnsupported) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// FuzzInstrument: no input panics, and what the engine accepted before the rewriting it accepts after it.
func FuzzInstrument(f *testing.F) {
	f.Add(every())
	f.Add(Module{}.Bytes())
	for seed := range uint64(5) {
		f.Add(RandomWide(seed).Bytes())
	}
	ctx := context.Background()
	config := wazero.NewRuntimeConfigInterpreter()
	f.Fuzz(func(t *testing.T, wasm []byte) {
		m, err := wasmbin.Decode(wasm)
		if err != nil {
			return
		}
		m.DataEnd()
		out, _, err := wasmbin.Instrument(m, names())
		if err != nil {
			return
		}
		if len(out) > 60*len(wasm)+1000 {
			t.Errorf("%d bytes became %d", len(wasm), len(out))
		}
		if _, err := wasmbin.Decode(out); err != nil {
			t.Errorf("the result cannot be read: %v", err)
		}
		rt := wazero.NewRuntimeWithConfig(ctx, config)
		defer rt.Close(ctx)
		if _, err := rt.CompileModule(ctx, wasm); err != nil {
			return // not valid, or with a 64-bit memory, which this engine cannot check
		}
		if _, err := rt.CompileModule(ctx, out); err != nil {
			t.Errorf("valid before, not after: %v", err)
		}
	})
}
