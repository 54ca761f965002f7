package cpu

import (
	"math"

	"verbatim/kernels"
	"verbatim/kernels/ref"
)

const segmentBlocks = kernels.SegmentElements / blockElements

// activations are the inputs of a product in the order in which the functions of a level read them. Rows are cut into
// groups; in a group of n rows element i of row r lies at i*n + r, counted in codes of four (codes), blocks, segments or
// elements (floats). A group that begins at row f begins at f times the row's length.
type activations struct {
	rows, cols int
	group      int
	level      *level
	src        []float32 // (rows, cols)
	wanted     wanted

	codes  []int8
	dx     []float32          // by segment
	sums   [sumsKinds][]int32 // those that are wanted
	floats []float32

	workers []rowCodes
}

// wanted says for what weights activations are.
type wanted struct {
	codes, floats bool
	sums          [sumsKinds]bool
}

// rowCodes is a worker's scratch: a row's sums of 16 codes and its scales.
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

// prepare lays out the activations of src, (rows, cols).
func (a *activations) prepare(p *pool, src []float32, rows, cols int, w wanted) {
	a.src, a.rows, a.cols, a.wanted = src, rows, cols, w
	if w.codes {
		a.codes = resize(a.codes, rows*cols)
		a.dx = resize(a.dx, rows*ref.Segments(cols))
		for i := range a.workers {
			r := &a.workers[i]
			r.sums, r.dx = resize(r.sums, cols/16), resize(r.dx, ref.Segments(cols))
		}
	}
	for kind := range sumsKinds {
		if w.sums[kind] {
			a.sums[kind] = resize(a.sums[kind], rows*cols/sumsForms[kind].codes)
		}
	}
	if w.floats && a.group > 1 && rows > 1 {
		a.floats = resize(a.floats, rows*cols)
	}
	p.run(a, rows)
}

// groupOf is the first row of the group that row is in, and its number of rows.
func (a *activations) groupOf(row int) (first, n int) {
	first = row - row%a.group
	return first, min(a.group, a.rows-first)
}

// groups yields the first row and the number of rows of each group.
func (a *activations) groups(yield func(first, n int) bool) {
	for row := 0; row < a.rows; {
		_, n := a.groupOf(row)
		if !yield(row, n) {
			return
		}
		row += n
	}
}

// sumsOf are the sums of a kind, and how many there are in a row.
func (a *activations) sumsOf(kind sumsKind) (sums []int32, row int) {
	return a.sums[kind], a.cols / sumsForms[kind].codes
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
	if a.wanted.floats && n > 1 {
		to := a.floats[first*a.cols+lane:]
		for i, v := range x {
			to[i*n] = v
		}
	}
	if !a.wanted.codes {
		return
	}
	w := &a.workers[worker]
	a.level.codes(w, x, a.codes[first*a.cols+4*lane:], 4*n)
	base := first*len(w.dx) + lane
	for s, dx := range w.dx {
		a.dx[base+s*n] = dx
	}
	for kind := range sumsKinds {
		if a.wanted.sums[kind] {
			a.layOut(kind, w.sums, first, lane, n)
		}
	}
}

// layOut writes a row's sums, of which it gets those of 16 codes.
func (a *activations) layOut(kind sumsKind, sums []int32, first, lane, n int) {
	f := sumsForms[kind]
	to := a.sums[kind][first*(a.cols/f.codes)+lane:]
	for i := range a.cols / f.codes {
		var sum int32
		switch {
		case f.codes == 16:
			sum = sums[i] * f.factor
		case f.float:
			sum = int32(math.Float32bits(float32(sums[2*i] + sums[2*i+1])))
		case f.factor != 0:
			sum = (sums[2*i] + sums[2*i+1]) * f.factor
		case f.codes == 32:
			sum = -sums[2*i]&0xFFFF | -sums[2*i+1]<<16
		default:
			sum = -(sums[4*i]+sums[4*i+1])&0xFFFF | -(sums[4*i+2]+sums[4*i+3])<<16
		}
		to[i*n] = sum
	}
}

// codes is section 4 of SPEC.md. Four codes are written every stride bytes.
func (l *level) codes(w *rowCodes, x []float32, codes []int8, stride int) {
	if l.encode == nil {
		// Without assembly a group has one row, and products make their own sums.
		ref.Codes(codes[:len(x)], w.dx, x)
		clear(w.sums)
		return
	}
	for s := range w.dx {
		first := s * kernels.SegmentElements
		end := min(first+kernels.SegmentElements, len(x))
		w.dx[s] = l.codeSegment(codes[first/4*stride:], stride, w.sums[first/16:end/16], x[first:end])
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
	l.encode(&codes[0], uint64(stride), &sums[0], &x[0], r, uint64(len(x)/blockElements))
	return dx
}
