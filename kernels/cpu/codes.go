package cpu

import (
	"math"

	"verbatim/kernels"
	"verbatim/kernels/ref"
)

const segmentBlocks = kernels.SegmentElements / blockElements

// activations are the inputs of a product in the order in which the functions of a level read them. Rows are cut into
// groups; in a group of n rows element i of row r lies at i*n + r, counted in codes of four (codes), blocks (sums),
// segments (dx) or elements (floats). A group that begins at row f begins at f times the row's length.
type activations struct {
	rows, cols int
	group      int

	codes           []int8
	bias8           []int32 // -128 times the block's sum of codes
	bias4           []int32 // -8 times it
	sums            []int32 // the bits of it as an f32
	dx              []float32
	floats          []float32
	workers         []rowCodes
	src             []float32 // (rows, cols)
	block, floating bool      // what is wanted
	level           *level
}

// rowCodes is a worker's scratch for the sums and scales of a row.
type rowCodes struct {
	sums []int32
	dx   []float32
}

// resize returns a slice of n elements, s if it is long enough. Its contents are undefined.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// prepare lays out the activations of src, (rows, cols), for block-quantised weights, for others, or both.
func (a *activations) prepare(p *pool, src []float32, rows, cols int, block, floating bool) {
	a.src, a.rows, a.cols, a.block, a.floating = src, rows, cols, block, floating
	blocks, segments := cols/blockElements, ref.Segments(cols)
	if block {
		a.codes = resize(a.codes, rows*cols)
		a.bias8, a.bias4, a.sums = resize(a.bias8, rows*blocks), resize(a.bias4, rows*blocks), resize(a.sums, rows*blocks)
		a.dx = resize(a.dx, rows*segments)
		for i := range a.workers {
			w := &a.workers[i]
			w.sums, w.dx = resize(w.sums, blocks), resize(w.dx, segments)
		}
	}
	if floating && a.group > 1 && rows > 1 {
		a.floats = resize(a.floats, rows*cols)
	}
	p.run(a, rows)
}

// groupOf is the first row of the group that row is in, and its number of rows.
func (a *activations) groupOf(row int) (first, n int) {
	first = row - row%a.group
	return first, min(a.group, a.rows-first)
}

// floatsOf are the inputs of the group that begins at row first.
func (a *activations) floatsOf(first, n int) []float32 {
	if n == 1 {
		return a.src[first*a.cols:]
	}
	return a.floats[first*a.cols:]
}

// run lays out one row.
func (a *activations) run(row, worker int) {
	x := a.src[row*a.cols:][:a.cols]
	first, n := a.groupOf(row)
	lane := row - first
	if a.floating && n > 1 {
		to := a.floats[first*a.cols+lane:]
		for i, v := range x {
			to[i*n] = v
		}
	}
	if !a.block {
		return
	}
	w := &a.workers[worker]
	a.level.codes(w, x, a.codes[first*a.cols+4*lane:], 4*n)
	base := first*(a.cols/blockElements) + lane
	for b, sum := range w.sums {
		a.bias8[base+b*n] = -128 * sum
		a.bias4[base+b*n] = -8 * sum
		a.sums[base+b*n] = int32(math.Float32bits(float32(sum)))
	}
	base = first*len(w.dx) + lane
	for s, dx := range w.dx {
		a.dx[base+s*n] = dx
	}
}

// codes is section 4 of SPEC.md. Four codes are written every stride bytes.
func (l *level) codes(w *rowCodes, x []float32, codes []int8, stride int) {
	if l.encode == nil {
		// Without assembly a group has one row.
		ref.Codes(codes[:len(x)], w.dx, x)
		for b := range w.sums {
			w.sums[b] = 0
			for _, code := range codes[b*blockElements:][:blockElements] {
				w.sums[b] += int32(code)
			}
		}
		return
	}
	for s := range w.dx {
		first := s * kernels.SegmentElements
		end := min(first+kernels.SegmentElements, len(x))
		w.dx[s] = l.codeSegment(codes[first/4*stride:], stride, w.sums[first/blockElements:end/blockElements], x[first:end])
	}
}

func (l *level) codeSegment(codes []int8, stride int, sums []int32, x []float32) (dx float32) {
	largest := l.largest(&x[0], uint64(len(x)))
	const infinity, tiny = 0x7F800000, 0x0F800000 // tiny: 2^-96
	r, dx := float32(0), float32(0)
	switch {
	case largest >= infinity:
		dx = math.Float32frombits(0x7FC00000)
	case largest >= tiny:
		a := math.Float32frombits(largest)
		r, dx = 127/a, a/127
	}
	l.encode(&codes[0], uint64(stride), &sums[0], &x[0], r, uint64(len(sums)))
	return dx
}
