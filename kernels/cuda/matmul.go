package cuda

import (
	"math"
	"slices"
	"strings"

	"verbatim/kernels"
	"verbatim/kernels/quant"
)

// matmulState is what weights and products keep.
type matmulState struct {
	of          map[quant.Type]*formatKernels
	packFloats  *kernel
	raw, tokens scratch
}

// formatKernels are the kernels of a format: src/matmul.cuh, src/floats.cuh. Floats have embed and few alone.
type formatKernels struct {
	pack, embed *kernel
	few         [3]*kernel // 1, up to 8 and up to 32 columns; floats: 1 and up to 8
	many        [2]*kernel // in blocks of 64 x 64 and of 128 x 128
}

func (s *matmulState) find(f finder) {
	s.of = map[quant.Type]*formatKernels{}
	s.packFloats = f.find("pack_floats")
	for t := range forms {
		name := strings.ToLower(t.String())
		s.of[t] = &formatKernels{
			pack: f.find("pack_" + name), embed: f.find("embed_" + name),
			few:  [3]*kernel{f.find("gemv_" + name + "_1"), f.find("gemv_" + name + "_8"), f.find("gemv_" + name + "_32")},
			many: [2]*kernel{f.find("gemm_" + name + "_64"), f.find("gemm_" + name + "_128")},
		}
	}
	for _, t := range []quant.Type{quant.F32, quant.F16, quant.BF16} {
		name := strings.ToLower(t.String())
		s.of[t] = &formatKernels{embed: f.find("embed_" + name), few: [3]*kernel{f.find("products_" + name + "_1"), f.find("products_" + name + "_8")}}
	}
}

// target is struct Target of src/products.cuh.
type target struct {
	weights, y  uint64
	rows, first int32
}

const targetsMax = 4

type productArgs struct {
	codes, dx, sums                     uint64
	targets                             [targetsMax]target
	columns, stride, scaleStride, pairs int32
	chunk, columnBlocks                 int32
}

type floatArgs struct {
	x                                      uint64
	targets                                [targetsMax]target
	columns, cols, groups, tileRows, chunk int32
	_                                      int32
}

// MatMul multiplies the rows of src with each matrix. Codes are made once; matrices of one type share launches.
func (b *Backend) MatMul(dst []kernels.Buffer, weights []kernels.Matrix, src kernels.Buffer, rows int) {
	if rows == 0 {
		return
	}
	x := addressOf(src)
	var c codes
	if slices.ContainsFunc(weights, func(w kernels.Matrix) bool { return !w.(*matrix).floats() }) {
		c = b.encode(x, rows, weights[0].Cols())
	}
	for i := 0; i < len(weights); {
		g := group{columns: rows}
		first := weights[i].(*matrix)
		for ; i < len(weights) && g.adds(first, weights[i].(*matrix)); i++ {
			g.add(weights[i].(*matrix), addressOf(dst[i]))
		}
		if first.floats() {
			b.multiplyFloats(&g, x)
		} else {
			b.multiply(&g, c, b.chooseProduct(&g))
		}
	}
}

// group is matrices of one type that share a launch.
type group struct {
	matrices [targetsMax]*matrix
	y        [targetsMax]uint64
	count    int
	columns  int
}

func (g *group) adds(first, m *matrix) bool {
	return g.count < targetsMax && m.t == first.t && m.tileRows == first.tileRows
}

func (g *group) add(m *matrix, y uint64) {
	g.matrices[g.count], g.y[g.count] = m, y
	g.count++
}

// targets numbers blocks of so many tiles through all matrices; there are units.
func (g *group) targets(tiles int) (all [targetsMax]target, units int) {
	for i := range all {
		all[i].first = math.MaxInt32
		if i < g.count {
			m := g.matrices[i]
			all[i] = target{m.weights, g.y[i], int32(m.rows), int32(units)}
			units += ceilDiv(m.tiles(), tiles)
		}
	}
	return all, units
}

// product is a way to multiply; which one never changes a bit. The numbers are those of src/matmul.cuh.
type product struct {
	many    bool
	which   int // in formatKernels
	columns int // that a block of threads takes
}

var (
	few1    = product{which: 0, columns: 1}
	few8    = product{which: 1, columns: 8}
	few32   = product{which: 2, columns: 32}
	many64  = product{many: true, which: 0, columns: 64}
	many128 = product{many: true, which: 1, columns: 128}
)

// oneBytes is the shared memory of a product with one column: totals of 16 rows and a scale for each segment.
func oneBytes(m *matrix) int { return 4 * (tileRows + 1) * ceilDiv(m.units, 2) }

// chooseProduct takes large blocks where there are enough for the card's multiprocessors. Blocks of 128 x 128 give 26 where those of
// 64 x 64 give 18 (DESIGN.md section 5), less what both waste on columns that there are not.
func (b *Backend) chooseProduct(g *group) product {
	switch {
	case g.columns == 1 && oneBytes(g.matrices[0]) <= oneBytesMax:
		return few1
	case g.columns <= few8.columns:
		return few8
	case g.columns <= few32.columns || b.limits.arch < 80:
		return few32
	}
	t := g.matrices[0].t
	_, units := g.targets(many128.columns / tileRows)
	large, small := ceilDiv(g.columns, many128.columns), ceilDiv(g.columns, many64.columns)
	enough := 4*units*large >= 3*b.limits.multiprocessors
	if !forms[t].small && enough && large*many128.columns*18 <= small*many64.columns*26 && stageBytes(t, many128)*gemmStages <= b.limits.sharedBytesMax {
		return many128
	}
	return many64
}

// oneBytesMax is what every card has for every block of threads.
const oneBytesMax = 48 << 10

// Constants of src/gemv.cuh and src/gemm.cuh.
const (
	fewThreads = 256
	fewWarps   = fewThreads / 32
	gemmStages = 3
)

// stageBytes is STAGE_BYTES of struct Tiles in src/gemm.cuh; blocks have as many rows as columns.
func stageBytes(t quant.Type, p product) int {
	f := forms[t]
	column := kernels.SegmentElements + 4
	if f.sum != 0 {
		column += 4 * kernels.SegmentElements / f.sum
	}
	return p.columns/tileRows*(f.scaleBytes+tileRows*kernels.SegmentElements*f.bits/8) + p.columns*column
}

// totalsBytes is how much shared memory totals may take, so that several blocks of threads fit on a multiprocessor.
const totalsBytes = 32 << 10

// chunkSegments is how many segments' totals of some rows and columns fit; each warp gets as many cells.
func chunkSegments(segments, rows, columns, cell int) int {
	chunk := totalsBytes / (4 * rows * columns) / (cell * fewWarps) * (cell * fewWarps)
	return min(ceilDiv(segments, cell)*cell, max(chunk, cell*fewWarps))
}

// multiply records the products of codes with a group's matrices.
func (b *Backend) multiply(g *group, c codes, p product) {
	m := g.matrices[0]
	f, k := forms[m.t], b.matmul.of[m.t]
	args := productArgs{codes: c.codes, dx: c.dx, columns: int32(g.columns), stride: c.stride, scaleStride: c.rounded, pairs: int32(m.units)}
	switch f.sum {
	case 32:
		args.sums = c.sums32
	case 16:
		args.sums = c.sums16
	}
	if p.many {
		var units int
		args.targets, units = g.targets(p.columns / tileRows)
		args.columnBlocks = int32(ceilDiv(g.columns, p.columns))
		threads := p.columns / tileRows * (p.columns / 64) * 32
		launch(b, k.many[p.which], grid1(units*int(args.columnBlocks)), threads, gemmStages*stageBytes(m.t, p), args)
		return
	}
	var units int
	args.targets, units = g.targets(1)
	if p == few1 {
		launch(b, k.few[p.which], grid1(units), fewThreads, oneBytes(m), args)
		return
	}
	columns := min(p.columns, g.columns)
	chunk := chunkSegments(ceilDiv(m.units, 2), tileRows, columns, f.segments)
	args.chunk = int32(chunk)
	launch(b, k.few[p.which], [3]int{units, ceilDiv(g.columns, p.columns), 1}, fewThreads, 4*chunk*columns*tileRows, args)
}

// multiplyFloats records the products of x with a group's matrices.
func (b *Backend) multiplyFloats(g *group, x uint64) {
	m, each, which := g.matrices[0], 1, 0
	if g.columns > 1 {
		each, which = 8, 1
	}
	targets, units := g.targets(1)
	columns := min(each, g.columns)
	chunk := chunkSegments(ceilDiv(m.cols, kernels.SegmentElements), floatTileRows, columns, 1)
	args := floatArgs{x: x, targets: targets, columns: int32(g.columns), cols: int32(m.cols), groups: int32(m.units),
		tileRows: int32(m.tileRows), chunk: int32(chunk)}
	launch(b, b.matmul.of[m.t].few[which], [3]int{units, ceilDiv(g.columns, each), 1}, fewThreads, 4*chunk*columns*floatTileRows, args)
}
