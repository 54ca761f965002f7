package ref

import (
	"encoding/binary"
	"fmt"
	"math"

	"verbatim/kernels"
	"verbatim/kernels/canon"
	"verbatim/kernels/quant"
)

// blockElements is the length of a block of all supported block formats.
const blockElements = 32

// MatMul is section 5 of SPEC.md.
func (Backend) MatMul(dst []kernels.Buffer, weights []kernels.Matrix, src kernels.Buffer, rows int) {
	for r := range rows {
		x := row(src, r, weights[0].Cols())
		codes := make([]int8, len(x))
		dx := make([]float32, Segments(len(x)))
		Codes(codes, dx, x)
		for i, w := range weights {
			w := w.(*matrix)
			if w.cols != len(x) {
				panic(fmt.Sprintf("ref: internal error: a matrix of %d columns beside one of %d", w.cols, len(x)))
			}
			y := row(dst[i], r, w.rows)
			for j := range y {
				if w.t.BlockElements() == 1 {
					y[j] = DotFloats(w.t, w.row(j), x)
				} else {
					y[j] = DotBlocks(w.t, w.row(j), codes, dx)
				}
			}
		}
	}
}

// DotBlocks is the product of a row of block-quantised weights with the
// activation codes of a vector.
func DotBlocks(t quant.Type, weights []byte, codes []int8, dx []float32) float32 {
	const segmentBlocks = kernels.SegmentElements / blockElements
	size := t.BlockBytes()
	blocks := len(codes) / blockElements
	y := float32(0)
	for s := range dx {
		total := float32(0)
		for b := s * segmentBlocks; b < min((s+1)*segmentBlocks, blocks); b++ {
			total = dotBlock(total, t, weights[b*size:][:size], codes[b*blockElements:][:blockElements])
		}
		y = canon.FMA(total, dx[s], y)
	}
	return y
}

// dotBlock adds one block's product to total.
func dotBlock(total float32, t quant.Type, block []byte, codes []int8) float32 {
	var q [blockElements]int8
	d, m := quant.UnpackBlock(t, &q, block)
	isum, xsum := int32(0), int32(0)
	for i, code := range codes {
		isum += int32(q[i]) * int32(code)
		xsum += int32(code)
	}
	total = canon.FMA(float32(isum), d, total)
	if t == quant.Q4_1 {
		total = canon.FMA(float32(xsum), m, total)
	}
	return total
}

// DotFloats is the product of a row of F32, F16 or BF16 weights with x.
func DotFloats(t quant.Type, weights []byte, x []float32) float32 {
	y := float32(0)
	for first := 0; first < len(x); first += kernels.SegmentElements {
		total := float32(0)
		for i := first; i < min(first+kernels.SegmentElements, len(x)); i++ {
			total = canon.FMA(weight(t, weights, i), x[i], total)
		}
		y += total
	}
	return y
}

// weight is element i of a row of F32, F16 or BF16 weights.
func weight(t quant.Type, weights []byte, i int) float32 {
	switch t {
	case quant.F32:
		return math.Float32frombits(binary.LittleEndian.Uint32(weights[4*i:]))
	case quant.F16:
		return canon.FromF16(binary.LittleEndian.Uint16(weights[2*i:]))
	case quant.BF16:
		return canon.FromBF16(binary.LittleEndian.Uint16(weights[2*i:]))
	}
	panic(fmt.Sprintf("ref: internal error: %v has no float weights", t))
}
