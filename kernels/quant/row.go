package quant

import (
	"encoding/binary"
	"fmt"
	"math"

	"verbatim/kernels/canon"
)

// The layouts of the block formats, all numbers little-endian:
//
//	Q8_0, 34 bytes    | d f16 | q0 | q1 | ... | q31 |          q int8
//	Q4_0, 18 bytes    | d f16 | q16 q0 | q17 q1 | ... | q31 q15 |
//	Q4_1, 20 bytes    | d f16 | m f16 | q16 q0 | ... | q31 q15 |
//
// In a byte of nibbles the element named first is the upper nibble: byte i
// holds element i in its lower and element i+16 in its upper nibble.

// blockElements is the length of every supported block format.
const blockElements = 32

// Dequantise writes the values of a row, section 3 of SPEC.md. row holds
// exactly len(dst) values of type t; a wrong length panics.
func Dequantise(t Type, dst []float32, row []byte) {
	if size, err := RowBytes(t, len(dst)); err != nil || size != len(row) {
		panic(fmt.Sprintf("quant: internal error: %d bytes for %d values of %v", len(row), len(dst), t))
	}
	switch t {
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(row[4*i:]))
		}
	case F16:
		for i := range dst {
			dst[i] = canon.FromF16(binary.LittleEndian.Uint16(row[2*i:]))
		}
	case BF16:
		for i := range dst {
			dst[i] = canon.FromBF16(binary.LittleEndian.Uint16(row[2*i:]))
		}
	default:
		size := t.BlockBytes()
		for b := range len(dst) / blockElements {
			dequantiseBlock(t, dst[b*blockElements:][:blockElements], row[b*size:][:size])
		}
	}
}

func dequantiseBlock(t Type, dst []float32, block []byte) {
	var q [blockElements]int8
	d, m := UnpackBlock(t, &q, block)
	for i := range dst {
		dst[i] = float32(float32(q[i]) * d)
		if t == Q4_1 {
			dst[i] += m
		}
	}
}

// UnpackBlock takes a block of Q8_0, Q4_0 or Q4_1 apart: its integers, as they
// enter the products of section 5 (Q4_0 less 8), its scale, and its minimum
// (Q4_1, else 0).
func UnpackBlock(t Type, q *[blockElements]int8, block []byte) (d, m float32) {
	d = canon.FromF16(binary.LittleEndian.Uint16(block))
	switch t {
	case Q8_0:
		for i, b := range block[2:34] {
			q[i] = int8(b)
		}
	case Q4_0:
		for i, b := range block[2:18] {
			q[i], q[i+16] = int8(b&15)-8, int8(b>>4)-8
		}
	case Q4_1:
		m = canon.FromF16(binary.LittleEndian.Uint16(block[2:]))
		for i, b := range block[4:20] {
			q[i], q[i+16] = int8(b&15), int8(b>>4)
		}
	default:
		panic(fmt.Sprintf("quant: internal error: %v has no blocks", t))
	}
	return d, m
}
