package ref

import (
	"encoding/binary"
	"fmt"
	"math"

	"verbatim/kernels"
	"verbatim/kernels/canon"
	"verbatim/kernels/quant"
)

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
	size, elements := t.BlockBytes(), t.BlockElements()
	var b quant.Block
	y := float32(0)
	for s, d := range dx {
		first := s * kernels.SegmentElements
		end := min(first+kernels.SegmentElements, len(codes))
		total := float32(0)
		if elements > kernels.SegmentElements {
			quant.UnpackBlock(t, &b, weights[first/elements*size:][:size])
			total = dotSegment(t, &b, first%elements, codes[first:end])
		} else {
			for i := first; i < end; i += elements {
				quant.UnpackBlock(t, &b, weights[i/elements*size:][:size])
				total = dotBlock(total, t, &b, codes[i:i+elements])
			}
		}
		y = canon.FMA(total, d, y)
	}
	return y
}

// dotBlock adds one block's product to total.
func dotBlock(total float32, t quant.Type, b *quant.Block, codes []int8) float32 {
	isum, xsum := dot(b.Weights[:], codes), sum(codes)
	total = canon.FMA(float32(isum), b.D, total)
	if t.HasMinimums() {
		total = canon.FMA(float32(xsum), b.M, total)
	}
	return total
}

// dotSegment is the product of a segment that is part of a superblock, from its
// element first on.
func dotSegment(t quant.Type, b *quant.Block, first int, codes []int8) float32 {
	sub, fold := t.SubBlockElements(), t.FoldElements()
	total, msum := float32(0), int32(0)
	for f := 0; f < len(codes); f += fold {
		isum := int32(0)
		for i := f; i < f+fold; i += sub {
			j, part := (first+i)/sub, codes[i:i+sub]
			isum += int32(b.Scales[j]) * dot(b.Weights[first+i:], part)
			msum += int32(b.Minimums[j]) * sum(part)
		}
		total = canon.FMA(float32(isum), b.D, total)
	}
	if t.HasMinimums() {
		total = canon.FMA(float32(-msum), b.M, total)
	}
	return total
}

func dot(weights, codes []int8) int32 {
	s := int32(0)
	for i, code := range codes {
		s += int32(weights[i]) * int32(code)
	}
	return s
}

func sum(codes []int8) int32 {
	s := int32(0)
	for _, code := range codes {
		s += int32(code)
	}
	return s
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
