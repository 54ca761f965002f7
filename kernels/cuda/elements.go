package cuda

import (
	"unsafe"

	"verbatim/kernels"
)

// smallState is what the small operators and the activation codes keep.
type smallState struct {
	addElements, addRow, rope    *kernel
	rmsNorm, rmsNormShort        *kernel
	swiglu, swigluEncode, encode *kernel
	codes, dx, sums32, sums16    scratch
}

func (s *smallState) find(f finder) {
	s.addElements, s.addRow, s.rope = f.find("add_elements"), f.find("add_row"), f.find("rope")
	s.rmsNorm, s.rmsNormShort = f.find("rms_norm"), f.find("rms_norm_short")
	s.swiglu, s.swigluEncode, s.encode = f.find("swiglu"), f.find("swiglu_encode"), f.find("encode")
}

// The arguments below are the structs of the same names in src/*.cu.

type addArgs struct {
	dst, src uint64
	elements int64
}

type addRowArgs struct {
	dst, row [3]uint64
	n        [3]int32
	_        int32
}

type ropeArgs struct {
	x                [2]uint64
	cosSin           uint64
	heads            [2]int32
	headDim, rotated int32
}

type normArgs struct {
	dst, src, addend, weight uint64
	codes                    codes
	n                        int32
	eps                      float32
}

type shortNormArgs struct {
	dst, src, weight uint64
	n, rows          int32
	eps              float32
	_                int32
}

type swigluArgs struct {
	dst, gate, up uint64
	elements      int64
}

// Threads and what they take at once: four elements a thread, a segment or a short row a warp.
const (
	elementThreads = 256
	blockElements  = 4 * elementThreads
	blockWarps     = elementThreads / 32
)

// shortRow is the longest row that one warp normalises; longer ones have a thread block each.
const shortRow = 512

func addressOf(b kernels.Buffer) uint64 { return b.(*buffer).address }

// Add adds the first elements elements of src to dst.
func (b *Backend) Add(dst, src kernels.Buffer, elements int) {
	if elements == 0 {
		return
	}
	launch(b, b.small.addElements, grid1(ceilDiv(elements, blockElements)), elementThreads, 0,
		addArgs{addressOf(dst), addressOf(src), int64(elements)})
}

// AddRow adds row to each row of dst. Biases of queries, keys and values follow each other: up to three share a launch.
func (b *Backend) AddRow(dst kernels.Buffer, row kernels.Matrix, rows int) {
	to, from, n := addressOf(dst), row.(*matrix).weights, row.Cols()
	if rows == 0 {
		return
	}
	if args, c := last[addRowArgs](b, b.small.addRow); c != nil && int(c.grid[0]) == rows && c.grid[2] < 3 && args.dst[0] != to && args.dst[1] != to {
		args.dst[c.grid[2]], args.row[c.grid[2]], args.n[c.grid[2]] = to, from, int32(n)
		c.grid[1] = max(c.grid[1], uint32(ceilDiv(n, blockElements)))
		c.grid[2]++
		return
	}
	args := addRowArgs{dst: [3]uint64{to}, row: [3]uint64{from}, n: [3]int32{int32(n)}}
	launch(b, b.small.addRow, [3]int{rows, ceilDiv(n, blockElements), 1}, elementThreads, 0, args)
}

// RoPE rotates the heads of x in place. Keys follow their queries: two share a launch.
func (b *Backend) RoPE(x, cosSin kernels.Buffer, heads, headDim, rotated, rows int) {
	at, angles, pairs := addressOf(x), addressOf(cosSin), heads*rotated/2
	if rows == 0 || pairs == 0 {
		return
	}
	if args, c := last[ropeArgs](b, b.small.rope); c != nil && int(c.grid[0]) == rows && c.grid[2] == 1 && args.x[0] != at &&
		args.cosSin == angles && int(args.headDim) == headDim && int(args.rotated) == rotated {
		args.x[1], args.heads[1] = at, int32(heads)
		c.grid[1] = max(c.grid[1], uint32(ceilDiv(pairs, elementThreads)))
		c.grid[2] = 2
		return
	}
	launch(b, b.small.rope, [3]int{rows, ceilDiv(pairs, elementThreads), 1}, elementThreads, 0,
		ropeArgs{x: [2]uint64{at}, cosSin: angles, heads: [2]int32{int32(heads)}, headDim: int32(headDim), rotated: int32(rotated)})
}

// RMSNorm normalises rows of weight.Cols() elements. A sum into src just before it is made by the same launch.
func (b *Backend) RMSNorm(dst, src kernels.Buffer, weight kernels.Matrix, eps float32, rows int) {
	n, w := weight.Cols(), weight.(*matrix).weights
	if rows == 0 {
		return
	}
	if n <= shortRow {
		launch(b, b.small.rmsNormShort, grid1(ceilDiv(rows, blockWarps)), elementThreads, 0,
			shortNormArgs{dst: addressOf(dst), src: addressOf(src), weight: w, n: int32(n), rows: int32(rows), eps: eps})
		return
	}
	args := normArgs{dst: addressOf(dst), src: addressOf(src), weight: w, n: int32(n), eps: eps}
	if sum, c := last[addArgs](b, b.small.addElements); c != nil && sum.dst == args.src && sum.elements == int64(rows)*int64(n) {
		args.addend = sum.src
		b.dropLast()
	}
	threads := min(1024, ceilDiv(n, 128)*32)
	launch(b, b.small.rmsNorm, grid1(rows), threads, 0, args)
}

// SwiGLU combines the first elements elements of gate and up.
func (b *Backend) SwiGLU(dst, gate, up kernels.Buffer, elements int) {
	if elements == 0 {
		return
	}
	launch(b, b.small.swiglu, grid1(ceilDiv(elements, blockElements)), elementThreads, 0,
		swigluArgs{addressOf(dst), addressOf(gate), addressOf(up), int64(elements)})
}

// last gives the last recorded command and its arguments if it is a launch of k, so that an operator that may share it can
// extend it. c is nil otherwise.
func last[A any](b *Backend, k *kernel) (args *A, c *command) {
	l := &b.list
	if b.failing() || len(l.all) == 0 {
		return nil, nil
	}
	c = &l.all[len(l.all)-1]
	if c.kind != launchKernel || c.kernel != k {
		return nil, nil
	}
	return (*A)(unsafe.Pointer(&l.args[c.args])), c
}

// dropLast takes the last recorded command back.
func (b *Backend) dropLast() {
	l := &b.list
	c := l.all[len(l.all)-1]
	l.all, l.args = l.all[:len(l.all)-1], l.args[:c.args]
}
