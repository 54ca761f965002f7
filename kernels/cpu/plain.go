package cpu

import (
	"verbatim/kernels"
	"verbatim/kernels/canon"
	"verbatim/kernels/quant"
	"verbatim/kernels/ref"
)

// plainRow is a row of weights taken apart, for levels without assembly: that costs as much as a product with
// one row of activations, and is done once for all of them.
type plainRow struct {
	blocks []quant.Block
	values []float32
}

// plain computes n matrix rows from first. Without assembly a group of activations has one row.
func (p *product) plain(m *matrix, out []float32, first, n, worker int) {
	a, w := &p.inputs, &p.plains[worker]
	segments := ref.Segments(a.cols)
	for r := first; r < first+n; r++ {
		w.unpack(m, m.row(r))
		for row := range a.rows {
			y := &out[row*m.rows+r]
			if m.blocks() {
				*y = w.dotBlocks(m.t, a.codes[row*a.cols:][:a.cols], a.dx[row*segments:][:segments])
			} else {
				*y = w.dotFloats(a.src[row*a.cols:][:a.cols])
			}
		}
	}
}

func (w *plainRow) unpack(m *matrix, row []byte) {
	if !m.blocks() {
		w.values = resize(w.values, m.cols)
		quant.Dequantise(m.t, w.values, row)
		return
	}
	size := m.t.BlockBytes()
	w.blocks = resize(w.blocks, m.cols/m.t.BlockElements())
	for i := range w.blocks {
		quant.UnpackBlock(m.t, &w.blocks[i], row[i*size:][:size])
	}
}

// dotBlocks is section 5 of SPEC.md for one row of activations.
func (w *plainRow) dotBlocks(t quant.Type, codes []int8, dx []float32) float32 {
	elements, fold, sub, minimums := t.BlockElements(), t.FoldElements(), t.SubBlockElements(), t.HasMinimums()
	super := elements > kernels.SegmentElements
	y := float32(0)
	for s, d := range dx {
		total, msum := float32(0), int32(0)
		for first := s * kernels.SegmentElements; first < min((s+1)*kernels.SegmentElements, len(codes)); first += fold {
			b := &w.blocks[first/elements]
			at := first % elements
			isum := int32(0)
			for i := 0; i < fold; i += sub {
				part := codes[first+i:][:sub]
				dot, j := dotCodes(b.Weights[at+i:][:sub], part), (at+i)/sub
				if super {
					dot *= int32(b.Scales[j])
				}
				isum += dot
				if super && minimums {
					msum += int32(b.Minimums[j]) * sumCodes(part)
				}
			}
			total = canon.FMA(float32(isum), b.D, total)
			if !super && minimums {
				total = canon.FMA(float32(sumCodes(codes[first:][:fold])), b.M, total)
			}
		}
		if super && minimums {
			total = canon.FMA(float32(-msum), w.blocks[s*kernels.SegmentElements/elements].M, total)
		}
		y = canon.FMA(total, d, y)
	}
	return y
}

// dotCodes is exact in any order; four sums don't wait for each other. The length is a multiple of 4.
func dotCodes(weights, codes []int8) int32 {
	var s0, s1, s2, s3 int32
	for len(codes) >= 4 && len(weights) >= 4 {
		s0 += int32(weights[0]) * int32(codes[0])
		s1 += int32(weights[1]) * int32(codes[1])
		s2 += int32(weights[2]) * int32(codes[2])
		s3 += int32(weights[3]) * int32(codes[3])
		weights, codes = weights[4:], codes[4:]
	}
	return s0 + s1 + s2 + s3
}

func sumCodes(codes []int8) int32 {
	s := int32(0)
	for _, code := range codes {
		s += int32(code)
	}
	return s
}

// dotFloats is the same for weights without blocks.
func (w *plainRow) dotFloats(x []float32) float32 {
	y := float32(0)
	for first := 0; first < len(x); first += kernels.SegmentElements {
		end := min(first+kernels.SegmentElements, len(x))
		t := float32(0)
		values := w.values[first:end]
		for i, v := range x[first:end] {
			t = canon.FMA(values[i], v, t)
		}
		y += t
	}
	return y
}
