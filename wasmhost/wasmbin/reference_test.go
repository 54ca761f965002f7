package wasmbin_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tetratelabs/wazero"

	"verbatim/wasmhost/wasmbin"
	. "verbatim/wasmhost/wasmtest"
)

// used runs "run" of a module and gives the reference's gas.
func used(t *testing.T, m Module, reference bool) uint64 {
	t.Helper()
	ctx := context.Background()
	decoded, err := wasmbin.Decode(m.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	n := names()
	n.Used, n.Reference = "used", reference
	wasm, _, err := wasmbin.Instrument(decoded, n)
	if err != nil {
		t.Fatal(err)
	}
	rt := engine(t, wazero.NewRuntimeConfigInterpreter())
	if len(m.Imports) > 0 {
		_, err := rt.NewHostModuleBuilder("metering").NewFunctionBuilder().
			WithFunc(func(int32) { t.Error("the host was called") }).Export("usegas").Instantiate(ctx)
		if err != nil {
			t.Fatal(err)
		}
	}
	mod, err := rt.Instantiate(ctx, wasm)
	if err != nil {
		t.Fatal(err)
	}
	refill(ctx, mod, nil)
	if _, err := mod.ExportedFunction("run").Call(ctx); err != nil {
		t.Fatal(err)
	}
	return mod.ExportedGlobal("used").Get()
}

// The sums are by hand from the table of @permaweb/wasm-metering 0.2.2; that whole modules agree is for the
// comparison with ao-loader to show.
func TestReferenceGas(t *testing.T) {
	float := []byte{0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f}
	for _, c := range []struct {
		name string
		code []byte
		want uint64
	}{
		{"nothing", nil, 0},
		{"const drop", Code(I32(1), 0x1a), 1 + 120 + 91},
		{"block is a stretch of its own when it ends", Code(0x02, 0x40, 0x0b, I32(1), 0x1a), 1 + 91 + 121 + 91},
		{"if with a branch taken", Code(I32(1), 0x04, 0x40, I32(2), 0x1a, 0x05, I32(3), 0x1a, 0x0b), 1 + 1 + 91 + 121 + 90 + 91},
		{"if with the other", Code(I32(0), 0x04, 0x40, I32(2), 0x1a, 0x05, I32(3), 0x1a, 0x0b), 1 + 1 + 91 + 121 + 91},
		{"add of floats costs, division does not", Code(float, float, 0xa0, float, 0xa3, 0x1a), 3 + 45 + 120 + 91},
		{"division of integers", Code(I32(6), I32(3), 0x6d, 0x1a), 2 + 36000 + 120 + 91},
		{"growth ends a stretch", Code(I32(0), 0x40, 0, 0x1a, 0x3f, 0, 0x1a), 1 + 10000 + 91 + 120 + 100 + 120 + 91},
		{"three turns", Code(I32(3), 0x21, 0, 0x03, 0x40, 0x20, 0, I32(1), 0x6b, 0x22, 0, 0x0d, 0, 0x0b),
			1 + 120 + 1 + 91 + 3*(120+1+45+120+90+91)},
		{"conversion and sign extension", Code(I32(1), 0xac, 0xa7, 0xc0, 0x1a), 1 + 120 + 91},
		{"return", Code(0x0f), 90 + 91},
	} {
		m := Module{PagesMin: 1, Functions: []Function{{Export: "run", Locals: "i", Code: c.code}}}
		if got := used(t, m, true); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

// What the module counts itself is added up without a call of the host.
func TestUseGasOfTheModule(t *testing.T) {
	m := Module{PagesMin: 1, Imports: ImportOf("metering", "usegas", "i", ""),
		Functions: []Function{{Export: "run", Code: Code(I32(5), 0x10, 0, I32(1<<30), 0x10, 0, I32(1<<30), 0x10, 0)}}}
	if got := used(t, m, false); got != 5+1<<31 {
		t.Errorf("got %d, want %d", got, 5+1<<31)
	}
}

func TestReferenceRefuses(t *testing.T) {
	for name, code := range map[string][]byte{"bulk memory": Code(I32(0), I32(0), I32(0), 0xfc, 11, 0), "SIMD": Code(I32(0), 0xfd, 15, 0x1a),
		"references": Code(0xd0, 0x70, 0x1a)} {
		m, err := wasmbin.Decode(Module{PagesMin: 1, Functions: []Function{{Code: code}}}.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		n := names()
		n.Used, n.Reference = "used", true
		if _, _, err := wasmbin.Instrument(m, n); !errors.Is(err, wasmbin.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
		n.Reference = false
		if _, _, err := wasmbin.Instrument(m, n); err != nil {
			t.Errorf("%s without metering: %v", name, err)
		}
	}
}
