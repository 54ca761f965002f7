package wasmbin_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	. "verbatim/wasmhost/wasmtest"
)

// A branch on a comparison of 0 with a & b, in each order and through locals, goes where the standard says.
func TestBranchOnMask(t *testing.T) {
	// Whether 0 op x holds, in the order of the opcodes: lt_s, lt_u, gt_s, ..., ge_u.
	holds := []func(s int64, u uint64) bool{
		func(s int64, _ uint64) bool { return 0 < s }, func(_ int64, u uint64) bool { return 0 < u },
		func(s int64, _ uint64) bool { return 0 > s }, func(_ int64, u uint64) bool { return u < 0 },
		func(s int64, _ uint64) bool { return 0 <= s }, func(_ int64, u uint64) bool { return u >= 0 },
		func(s int64, _ uint64) bool { return 0 >= s }, func(_ int64, u uint64) bool { return u == 0 }}
	mirror := []int{2, 3, 0, 1, 6, 7, 4, 5} // x op 0 is 0 mirrored-op x
	ctx := context.Background()
	rt := engine(t, wazero.NewRuntimeConfig())
	for _, bits := range []int{32, 64} {
		base, and, zero, get := 0x48, 0x71, I32(0), Code(0x20, 0, 0xa7, 0x20, 1, 0xa7)
		local := 2
		if bits == 64 {
			base, and, zero, get, local = 0x53, 0x83, I64(0), Code(0x20, 0, 0x20, 1), 3
		}
		x := Code(get, and)
		var m Module
		var want []func(s int64, u uint64) bool
		add := func(condition []byte, holds func(int64, uint64) bool) {
			branch := Code(0x02, 0x40, condition, 0x0d, 0, I64(0), 0x0f, 0x0b, I64(1))
			choice := Code(condition, 0x04, 0x7e, I64(1), 0x05, I64(0), 0x0b)
			for _, code := range [][]byte{branch, choice} {
				m.Functions = append(m.Functions, Function{Export: fmt.Sprint(len(want)), Params: "jj", Results: "j", Locals: "ijij", Code: code})
				want = append(want, holds)
			}
		}
		for i, h := range holds {
			add(Code(zero, x, base+i), h)
			add(Code(x, zero, base+i), holds[mirror[i]])
			add(Code(x, 0x21, local, zero, 0x20, local, base+i), h)
			add(Code(x, 0x21, local, 0x20, local+2, 0x20, local, base+i), h) // a local that was never set
		}
		mod, err := rt.InstantiateWithConfig(ctx, instrument(t, m.Bytes()), wazero.NewModuleConfig().WithName(""))
		if err != nil {
			t.Fatal(err)
		}
		for i, h := range want {
			for _, a := range [][2]uint64{{0, 0}, {5, 2}, {5, 4}, {1 << 31, 1 << 31}, {1 << 63, 1 << 63}, {^uint64(0), ^uint64(0)}} {
				refill(ctx, mod, nil)
				got, err := mod.ExportedFunction(fmt.Sprint(i)).Call(ctx, a[0], a[1])
				if err != nil {
					t.Fatal(err)
				}
				s := int64(a[0] & a[1])
				u := uint64(s)
				if bits == 32 {
					s, u = int64(int32(s)), uint64(uint32(s))
				}
				if (got[0] == 1) != h(s, u) {
					t.Errorf("%d bits, function %d, x = %#x: got %d, want %v; code % x", bits, i, u, got[0], h(s, u), m.Functions[i].Code)
				}
			}
		}
	}
}

// unbroken is code between a mask and a branch at which the engine sees no break.
func unbroken() [][2][]byte {
	return [][2][]byte{
		{Code(0x43, 0, 0, 0x80, 0x3f, 0x1a)},                      // f32.const
		{Code(0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0xfc, 2, 0x1a)}, // f64.const, i32.trunc_sat_f64_s
		{Code(0x3f, 0, 0x1a)},                                     // memory.size
		{Code(0x20, 0, 0x20, 1, 0x20, 3, 0x1c, 1, 0x7e, 0x1a)},    // select with a type
		{Code(I32(0), 0x20, 2, 0x48, 0x21, 2)},                    // the comparison's result is what is compared next
		{Code(I32(0), 0x20, 2, 0x4c, 0x21, 2, I32(0), 0x20, 2, 0x48, 0x21, 2)},
	}
}

// In the running form the mask and the branch may meet where the whole form has other code between them.
func TestBranchOnMaskWhileRunning(t *testing.T) {
	ctx := context.Background()
	m := Module{PagesMin: 1, PagesMax: 1, Globals: []Global{{Letter: 'j', Mutable: true, Init: 8}, {Letter: 'i', Mutable: true}}}
	set := func(state int32) []byte { return Code(I32(state), 0x24, 1) }
	m.Functions = []Function{{Export: "asyncify_get_state", Results: "i", Code: Code(0x23, 1)},
		{Export: "asyncify_start_unwind", Params: "i", Code: set(1)}, {Export: "asyncify_stop_unwind", Code: set(0)},
		{Export: "asyncify_start_rewind", Params: "i", Code: set(2)}, {Export: "asyncify_stop_rewind", Code: set(0)}}
	change := Code(I32(5), 0x21, 2)
	between := [][2][]byte{ // before the branch, after it
		{Code(0x23, 1, I32(2), 0x46, 0x04, 0x40, change, 0x0b)},                // a dead if
		{Code(0x23, 1, 0x45, 0x04, 0x40), Code(0x0b)},                          // an if that holds
		{Code(0x23, 1, 0x45, 0x04, 0x40), Code(0x05, change, 0x0b)},            // the same with an else
		{Code(0x23, 1, 0x45, 0x04, 0x40, 0x01, 0x05, change, 0x0b)},            // ended before
		{Code(0x23, 1, 0x0d, 0)},                                               // a branch that is not taken
		{Code(0x02, 0x40, 0x23, 1, 0x0d, 0, 0x0b)},                             // out of a block
		{Code(0x23, 1, 0x04, 0x40, change, 0x0b, 0x23, 1, 0x0d, 0)},            // both
		{Code(0x02, 0x40, 0x23, 1, I32(1), 0x46, 0x0d, 1, 0x01, 0x0b), Code()}, // two blocks
	}
	var codes [][]byte
	for _, part := range append(between, unbroken()...) {
		for op := 0x48; op <= 0x4f; op++ {
			for _, condition := range [][]byte{Code(I32(0), 0x20, 2, op), Code(0x20, 2, I32(0), op), Code(0x20, 3, 0x20, 2, op)} {
				code := Code(0x20, 0, 0xa7, 0x20, 1, 0xa7, 0x71, 0x21, 2, 0x02, 0x40, part[0], condition, 0x04, 0x40, I64(1), 0x0f, 0x0b, part[1], 0x0b, I64(0))
				m.Functions = append(m.Functions, Function{Export: fmt.Sprint(len(codes)), Params: "jj", Results: "j", Locals: "ii", Code: code})
				codes = append(codes, code)
			}
		}
	}
	var forms [3]api.Module // the whole one under the engine's interpreter, both under its compiler
	for i := range forms {
		var err error
		config := wazero.NewRuntimeConfigCompiler()
		if i == 0 {
			config = wazero.NewRuntimeConfigInterpreter()
		}
		if forms[i], err = engine(t, config).InstantiateWithConfig(ctx, formOf(t, m.Bytes(), i == 2, false), wazero.NewModuleConfig().WithName("")); err != nil {
			t.Fatal(err)
		}
	}
	for i, code := range codes {
		for _, a := range [][2]uint64{{0, 0}, {5, 2}, {5, 4}, {1 << 31, 1 << 31}, {1<<32 - 1, 1<<32 - 1}} {
			var results [3]uint64
			for form, mod := range forms {
				refill(ctx, mod, nil)
				got, err := mod.ExportedFunction(fmt.Sprint(i)).Call(ctx, a[0], a[1])
				if err != nil {
					t.Fatal(err)
				}
				results[form] = got[0]
			}
			if results[1] != results[0] || results[2] != results[0] {
				t.Errorf("function %d, x = %#x: got %d, and %d while running, want %d; code % x", i, a[0]&a[1], results[1], results[2], results[0], code)
			}
		}
	}
}

// The engine's compiler and its interpreter do the same with random modules, in both forms.
func TestCompilerAndInterpreter(t *testing.T) {
	for seed := range uint64(60) {
		for _, running := range []bool{false, true} {
			wasm := formOf(t, RandomAsync(seed).Bytes(), running, false)
			got, want := watch(t, wazero.NewRuntimeConfigCompiler(), wasm, false), watch(t, wazero.NewRuntimeConfigInterpreter(), wasm, false)
			for i := range got {
				if !reflect.DeepEqual(got[i], want[i]) {
					t.Fatalf("seed %d, running %v, call %d: compiled %d, trap %v, gas %v; interpreted %d, trap %v, gas %v", seed, running, i,
						got[i].result, got[i].trapped, got[i].gas, want[i].result, want[i].trapped, want[i].gas)
				}
			}
		}
	}
}
