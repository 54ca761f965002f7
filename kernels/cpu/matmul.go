package cpu

import (
	"fmt"

	"verbatim/kernels"
	"verbatim/kernels/ref"
)

// Cache sizes that shape the loops. They change the speed only.
const (
	inputsBytesMax = 512 << 10 // activations that stay in the second-level cache while weights pass by
	inputRowsMax   = 128       // their rows, so that their results with a tile stay in the first-level cache
	itemBytes      = 48 << 10  // weights that a thread takes at once
)

// product is the task of a MatMul: tiles of the weights, all rows of the activations.
type product struct {
	level   *level
	inputs  activations
	dst     [][]float32 // by weight, (rows, weight's rows)
	weights []*matrix
	first   []int       // by weight: its first item
	step    []int       // by weight: tiles an item
	row     int         // of dst, where the inputs begin
	results [][]float32 // by worker: a tile's results, (rows, tileRows)
	plains  []plainRow  // by worker
}

func (p *product) init(threads int) {
	p.inputs.level = p.level
	p.inputs.group = max(p.level.group, 1)
	p.inputs.workers = make([]rowCodes, threads)
	p.results = make([][]float32, threads)
	p.plains = make([]plainRow, threads)
	for i := range p.results {
		p.results[i] = make([]float32, inputRowsMax*tileRows)
	}
}

// MatMul is section 5 of SPEC.md.
func (b *Backend) MatMul(dst []kernels.Buffer, weights []kernels.Matrix, src kernels.Buffer, rows int) {
	p := &b.product
	p.dst, p.weights, p.first, p.step = p.dst[:0], p.weights[:0], p.first[:0], p.step[:0]
	cols := weights[0].Cols()
	var want wanted
	items := 0
	for i, w := range weights {
		m := w.(*matrix)
		if m.cols != cols {
			panic(fmt.Sprintf("cpu: internal error: a matrix of %d columns beside one of %d", m.cols, cols))
		}
		b.pack(m)
		want.floats = want.floats || !m.blocks()
		want.codes = want.codes || m.blocks()
		if b.level.packs() {
			want.sums[forms[m.t].sums] = m.blocks()
		}
		p.dst, p.weights = append(p.dst, dst[i].(*buffer).x[:rows*m.rows]), append(p.weights, m)
		step := max(1, itemBytes/(tileRows*m.rowBytes))
		p.first, p.step = append(p.first, items), append(p.step, step)
		items += (m.tiles() + step - 1) / step
	}
	rowBytes := cols
	if want.floats {
		rowBytes += 4 * cols
	}
	chunk := min(inputRowsMax, max(1, inputsBytesMax/rowBytes))
	chunk = max(1, chunk/p.inputs.group) * p.inputs.group
	x := src.(*buffer).x
	for p.row = 0; p.row < rows; p.row += chunk {
		n := min(chunk, rows-p.row)
		p.inputs.prepare(b.pool, x[p.row*cols:][:n*cols], n, cols, want)
		b.pool.run(p, items)
	}
}

// run computes the tiles of one item.
func (p *product) run(item, worker int) {
	i := len(p.first) - 1
	for p.first[i] > item {
		i--
	}
	m := p.weights[i]
	first := (item - p.first[i]) * p.step[i]
	for tile := first; tile < min(first+p.step[i], m.tiles()); tile++ {
		p.tile(m, p.dst[i][p.row*m.rows:], tile, worker)
	}
}

// tile computes a tile's columns of out, (rows, m.rows).
func (p *product) tile(m *matrix, out []float32, tile, worker int) {
	first := tile * tileRows
	n := min(tileRows, m.rows-first)
	if !p.level.packs() {
		p.plain(m, out, first, n, worker)
		return
	}
	// The functions write whole registers, and rows of out may lie where they evict each other: hence the scratch.
	y := p.results[worker][:p.inputs.rows*tileRows]
	clear(y)
	switch {
	case !m.blocks():
		p.floats(m, y, n, tile)
	case m.t.BlockElements() == superElements:
		p.superblocks(m, y, n, tile)
	default:
		p.blocks(m, y, n, tile)
	}
	for row := range p.inputs.rows {
		copy(out[row*m.rows+first:][:n], y[row*tileRows:])
	}
}

// floats, blocks and superblocks add the products of n rows of a tile and all rows of activations to y, (rows, tileRows).
func (p *product) floats(m *matrix, y []float32, n, tile int) {
	f, size := p.level.floats[m.t], m.t.BlockBytes()
	w := m.weights[tile*m.tileWeights:]
	for row, rows := range p.inputs.groups {
		x := &p.inputs.floatsOf(row, rows)[0]
		for r := 0; r < n; r += f.matrixRows[rows-1] {
			f.funcs[rows-1](&y[row*tileRows+r], 4*tileRows, &w[r*size], x, uint64(m.cols), kernels.SegmentElements)
		}
	}
}

func (p *product) blocks(m *matrix, y []float32, n, tile int) {
	f, a := p.level.blocks[m.t], &p.inputs
	w, d := m.weights[tile*m.tileWeights:], m.scales[tile*m.tileScales:]
	allSums, rowSums := a.sumsOf(m.t)
	for row, rows := range a.groups {
		x, sums, dx := &a.codes[row*m.cols], &allSums[row*rowSums], &a.dx[row*ref.Segments(m.cols)]
		for r := 0; r < n; r += f.matrixRows[rows-1] {
			f.funcs[rows-1](&y[row*tileRows+r], 4*tileRows, &w[4*r], &d[2*r], x, sums, dx, uint64(m.cols/blockElements), segmentBlocks)
		}
	}
}

func (p *product) superblocks(m *matrix, y []float32, n, tile int) {
	f, a := p.level.superblocks[m.t], &p.inputs
	w, d := m.weights[tile*m.tileWeights:], m.scales[tile*m.tileScales:]
	allSums, rowSums := a.sumsOf(m.t)
	for row, rows := range a.groups {
		x, sums, dx := &a.codes[row*m.cols], &allSums[row*rowSums], &a.dx[row*ref.Segments(m.cols)]
		for r := 0; r < n; r += f.matrixRows[rows-1] {
			f.funcs[rows-1](&y[row*tileRows+r], 4*tileRows, &w[4*r], &d[2*r], x, sums, dx, uint64(m.cols/superElements))
		}
	}
}
