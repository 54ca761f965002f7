package wasmbin_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	"github.com/tetratelabs/wazero"

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
