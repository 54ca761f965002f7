package quant

import (
	"fmt"
	"math"

	"verbatim/kernels/canon"
)

// Dequantise writes the values of a row, section 3 of SPEC.md. row holds
// exactly len(dst) values of type t; a wrong length panics.
func Dequantise(t Type, dst []float32, row []byte) {
	if size, err := RowBytes(t, len(dst)); err != nil || size != len(row) {
		panic(fmt.Sprintf("quant: internal error: %d bytes for %d values of %v", len(row), len(dst), t))
	}
	switch t {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(le.Uint32(row[4*i:]))
		}
	case F16:
		for i := range dst {
			dst[i] = canon.FromF16(le.Uint16(row[2*i:]))
		}
	case BF16:
		for i := range dst {
			dst[i] = canon.FromBF16(le.Uint16(row[2*i:]))
		}
	default:
		l := t.layoutOf()
		size := t.BlockBytes()
		var b Block
		for i := range len(dst) / l.elements {
			UnpackBlock(t, &b, row[i*size:][:size])
			l.values(dst[i*l.elements:][:l.elements], &b)
		}
	}
}
