package wasmhost_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	. "verbatim/wasmhost/wasmtest"
)

// A float instruction whose result is a NaN gives the same bits on every machine: the first operand that is a NaN,
// made quiet, else the default NaN of x86-64. Checked for each instruction, alone and in both kinds of vectors.
func TestNaNBits(t *testing.T) {
	const (
		dflt32, dflt64 = 0xffc00000, 0xfff8000000000000
		a32, a64       = 0x7fa00001, 0x7ff4000000000001 // signalling
		b32, b64       = 0xffc00002, 0xfff8000000000002
	)
	one32, one64 := uint64(math.Float32bits(1)), math.Float64bits(1)
	inf32, inf64 := uint64(0x7f800000), uint64(0x7ff0000000000000)
	type operands struct{ x, y, want uint64 }
	nan32 := []operands{{a32, one32, a32 | 1<<22}, {one32, b32, b32}, {a32, b32, a32 | 1<<22}, {b32, a32, b32}}
	nan64 := []operands{{a64, one64, a64 | 1<<51}, {one64, b64, b64}, {a64, b64, a64 | 1<<51}, {b64, a64, b64}}
	for i, op := range []string{"add", "sub", "mul", "div", "min", "max"} {
		fresh32 := []operands{{inf32, inf32 | 1<<31, dflt32}, {inf32, inf32, dflt32}, {0, inf32, dflt32}, {0, 0, dflt32}, {}, {}}[i]
		fresh64 := []operands{{inf64, inf64 | 1<<63, dflt64}, {inf64, inf64, dflt64}, {0, inf64, dflt64}, {0, 0, dflt64}, {}, {}}[i]
		for _, c := range append(nan32[:4:4], fresh32) {
			checkFloat(t, "f32."+op, 4, Code(0x92+i), c.x, c.y, c.want)
			checkFloat(t, "f32x4."+op, 4, Code(0xfd, U32(uint32(0xe4+i))), c.x, c.y, c.want)
		}
		for _, c := range append(nan64[:4:4], fresh64) {
			checkFloat(t, "f64."+op, 8, Code(0xa0+i), c.x, c.y, c.want)
			checkFloat(t, "f64x2."+op, 8, Code(0xfd, U32(uint32(0xf0+i))), c.x, c.y, c.want)
		}
	}
	for _, c := range []struct{ x, want uint64 }{{math.Float64bits(-1), dflt64}, {a64, a64 | 1<<51}, {b64, b64}, {math.Float64bits(4), math.Float64bits(2)}} {
		checkFloat(t, "f64.sqrt", 8, Code(opDrop, 0x9f), c.x, 0, c.want)
		checkFloat(t, "f64x2.sqrt", 8, Code(opDrop, 0xfd, U32(0xef)), c.x, 0, c.want)
	}
	for _, c := range []struct{ x, want uint64 }{{uint64(math.Float32bits(-1)), dflt32}, {a32, a32 | 1<<22}, {uint64(math.Float32bits(4)), uint64(math.Float32bits(2))}} {
		checkFloat(t, "f32.sqrt", 4, Code(opDrop, 0x91), c.x, 0, c.want)
		checkFloat(t, "f32x4.sqrt", 4, Code(opDrop, 0xfd, U32(0xe3)), c.x, 0, c.want)
	}
	// Vectors keep the lanes that are numbers.
	checkFloat(t, "f32x4.add", 4, Code(0xfd, U32(0xe4)), one32|a32<<32, one32, uint64(math.Float32bits(2))|(a32|1<<22)<<32)
}

// checkFloat runs an instruction on operands from memory and compares the low 8 bytes of its result.
func checkFloat(t *testing.T, name string, width int, op []byte, x, y, want uint64) {
	t.Helper()
	load, store := Code(0x2a, 2, 0), Code(0x38, 2, 0)
	switch {
	case op[len(op)-1] == 0x9f || op[0] >= 0xa0 && op[0] <= 0xa5:
		load, store = Code(0x2b, 3, 0), Code(0x39, 3, 0)
	case op[0] == 0xfd || op[0] == opDrop && op[1] == 0xfd:
		load, store = Code(0xfd, 0, 4, 0), Code(0xfd, 11, 4, 0)
	}
	wasm := plain(Code(I32(2048), I32(2064), load, I32(2080), load, op, store), func(m *Module) {
		var data [32]byte
		binary.LittleEndian.PutUint64(data[:], x)
		binary.LittleEndian.PutUint64(data[16:], y)
		m.Data = append(m.Data, DataAt(2064, string(data[:])))
	})
	r, err := compile(t, wasm).Handle(context.Background(), call("{}"))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	got := binary.LittleEndian.Uint64(r.Memory[2048:])
	if width == 4 && want>>32 == 0 {
		got &= math.MaxUint32
	}
	if got != want {
		t.Errorf("%s of %s and %s: got %s, want %s", name, bits(x), bits(y), bits(got), bits(want))
	}
}

func bits(v uint64) string { return fmt.Sprintf("%#x", v) }
