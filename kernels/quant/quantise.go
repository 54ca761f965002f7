package quant

import (
	"encoding/binary"
	"fmt"
	"math"

	"verbatim/kernels/canon"
)

// Quantise encodes a row, for tests, tools and random models. It is
// reproducible, but not normative: a model is the bytes of its file, however
// they were made. Values must be finite, and small enough for an f16 scale;
// len(row) must be a multiple of the block.
func Quantise(t Type, row []float32) []byte {
	size, err := RowBytes(t, len(row))
	if err != nil {
		panic(fmt.Sprintf("quant: internal error: %v", err))
	}
	out := make([]byte, 0, size)
	le := binary.LittleEndian
	switch t {
	case F32:
		for _, x := range row {
			out = le.AppendUint32(out, math.Float32bits(x))
		}
	case F16:
		for _, x := range row {
			out = le.AppendUint16(out, canon.ToF16(x))
		}
	case BF16:
		for _, x := range row {
			out = le.AppendUint16(out, canon.ToBF16(x))
		}
	default:
		for b := 0; b < len(row); b += blockElements {
			out = appendBlock(out, t, row[b:][:blockElements])
		}
	}
	return out
}

// appendBlock spans the block's range: Q8_0 and Q4_0 by the value farthest
// from zero, which becomes 127 or -8, Q4_1 from its minimum to its maximum.
func appendBlock(out []byte, t Type, x []float32) []byte {
	low, high := x[0], x[0]
	for _, v := range x {
		low, high = min(low, v), max(high, v)
	}
	far := high
	if -low > high {
		far = low
	}
	d, m, floor, ceiling := far/127, float32(0), int32(-127), int32(127)
	switch t {
	case Q4_0:
		d, floor, ceiling = far/-8, -8, 7
	case Q4_1:
		d, m, floor, ceiling = (high-low)/15, low, 0, 15
	}
	r := float32(0)
	if d != 0 {
		r = 1 / d
	}
	out = binary.LittleEndian.AppendUint16(out, canon.ToF16(d))
	if t == Q4_1 {
		out = binary.LittleEndian.AppendUint16(out, canon.ToF16(m))
	}
	var q [blockElements]int32
	for i, v := range x {
		// r overflows for a subnormal d; the clamp keeps such blocks legal.
		scaled := min(max(float32((v-m)*r), -128), 128)
		q[i] = min(max(canon.RNE(scaled), floor), ceiling)
	}
	for i := range blockElements {
		if t == Q8_0 {
			out = append(out, byte(q[i]))
		} else if i < blockElements/2 {
			bias := int32(0)
			if t == Q4_0 {
				bias = 8
			}
			out = append(out, byte(q[i]+bias)|byte(q[i+16]+bias)<<4)
		}
	}
	return out
}
