package cpu

import (
	"math"

	"verbatim/kernels"
	"verbatim/kernels/canon"
	"verbatim/kernels/quant"
	"verbatim/kernels/ref"
)

// plainRow is a row of weights taken apart, for levels without assembly: that costs as much as a product with one row of
// activations, and is done once for all of them.
type plainRow struct {
	q      [][blockElements]int8
	d, m   []float32
	values []float32
}

// plain computes n matrix rows from first. Without assembly a group of activations has one row.
func (p *product) plain(m *matrix, out []float32, first, n, worker int) {
	a, w := &p.inputs, &p.plains[worker]
	for r := first; r < first+n; r++ {
		w.unpack(m, m.row(r))
		for row := range a.rows {
			y := &out[row*m.rows+r]
			if m.blocks() {
				*y = w.dotBlocks(a, row, m.t == quant.Q4_1)
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
	blocks, size := m.cols/blockElements, m.t.BlockBytes()
	w.q, w.d, w.m = resize(w.q, blocks), resize(w.d, blocks), resize(w.m, blocks)
	for b := range w.q {
		w.d[b], w.m[b] = quant.UnpackBlock(m.t, &w.q[b], row[b*size:][:size])
	}
}

// dotBlocks is section 5 of SPEC.md for one row of activations.
func (w *plainRow) dotBlocks(a *activations, row int, minimum bool) float32 {
	segments := ref.Segments(a.cols)
	y := float32(0)
	for s, dx := range a.dx[row*segments:][:segments] {
		t := float32(0)
		for b := s * segmentBlocks; b < min((s+1)*segmentBlocks, len(w.q)); b++ {
			at := row*len(w.q) + b
			isum := dot32(&w.q[b], (*[blockElements]int8)(a.codes[at*blockElements:]))
			t = canon.FMA(float32(isum), w.d[b], t)
			if minimum {
				t = canon.FMA(math.Float32frombits(uint32(a.sums[at])), w.m[b], t)
			}
		}
		y = canon.FMA(t, dx, y)
	}
	return y
}

// dot32 is exact in any order; four sums don't wait for each other.
func dot32(q, codes *[blockElements]int8) int32 {
	var s0, s1, s2, s3 int32
	for i := 0; i < blockElements; i += 4 {
		s0 += int32(q[i]) * int32(codes[i])
		s1 += int32(q[i+1]) * int32(codes[i+1])
		s2 += int32(q[i+2]) * int32(codes[i+2])
		s3 += int32(q[i+3]) * int32(codes[i+3])
	}
	return s0 + s1 + s2 + s3
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
