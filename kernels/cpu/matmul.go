package cpu

import (
	"fmt"

	"verbatim/kernels"
	"verbatim/kernels/quant"
	"verbatim/kernels/ref"
)

// Cache sizes that shape the loops. They change the speed only.
const (
	inputsBytesMax  = 512 << 10 // activations that stay in the second-level cache while weights pass by
	weightsBytesMax = 24 << 10  // part of a tile that stays in the first-level cache while activations pass by
	itemBytes       = 48 << 10  // weights that a thread takes at once
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
	ragged  [][]float32 // by worker: a tile's results, (group, tileRows)
	plains  []plainRow  // by worker
}

func (p *product) init(threads int) {
	p.inputs.level = p.level
	p.inputs.group = max(p.level.group, 1)
	p.inputs.workers = make([]rowCodes, threads)
	p.ragged = make([][]float32, threads)
	p.plains = make([]plainRow, threads)
	for i := range p.ragged {
		p.ragged[i] = make([]float32, p.inputs.group*tileRows)
	}
}

// MatMul is section 5 of SPEC.md.
func (b *Backend) MatMul(dst []kernels.Buffer, weights []kernels.Matrix, src kernels.Buffer, rows int) {
	p := &b.product
	p.dst, p.weights, p.first, p.step = p.dst[:0], p.weights[:0], p.first[:0], p.step[:0]
	cols := weights[0].Cols()
	block, floating := false, false
	items := 0
	for i, w := range weights {
		m := w.(*matrix)
		if m.cols != cols {
			panic(fmt.Sprintf("cpu: internal error: a matrix of %d columns beside one of %d", m.cols, cols))
		}
		b.pack(m)
		block, floating = block || m.blocks(), floating || !m.blocks()
		p.dst, p.weights = append(p.dst, dst[i].(*buffer).x[:rows*m.rows]), append(p.weights, m)
		step := max(1, itemBytes/(tileRows*m.rowBytes))
		p.first, p.step = append(p.first, items), append(p.step, step)
		items += (m.tiles() + step - 1) / step
	}
	rowBytes := cols
	if floating {
		rowBytes += 4 * cols
	}
	chunk := max(1, inputsBytesMax/(rowBytes*p.inputs.group)) * p.inputs.group
	x := src.(*buffer).x
	for p.row = 0; p.row < rows; p.row += chunk {
		n := min(chunk, rows-p.row)
		p.inputs.prepare(b.pool, x[p.row*cols:][:n*cols], n, cols, block, floating)
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
	if !p.level.packs(m.t) {
		p.plain(m, out, first, n, worker)
		return
	}
	for row := range p.inputs.rows {
		clear(out[row*m.rows+first:][:n])
	}
	if n < tileRows {
		// The functions write whole registers, so the rest of the tile goes through a scratch.
		y := p.ragged[worker]
		for row := 0; row < p.inputs.rows; row += p.inputs.group {
			clear(y)
			p.part(m, y, tileRows, n, row, tile, 0, m.cols)
			_, rows := p.inputs.groupOf(row)
			for r := range rows {
				copy(out[(row+r)*m.rows+first:][:n], y[r*tileRows:])
			}
		}
		return
	}
	step := m.cols
	if p.inputs.rows > p.inputs.group {
		segmentBytes := kernels.SegmentElements * tileRows * m.rowBytes / m.cols
		step = max(1, weightsBytesMax/segmentBytes) * kernels.SegmentElements
	}
	for col := 0; col < m.cols; col += step {
		for row := 0; row < p.inputs.rows; row += p.inputs.group {
			p.part(m, out[row*m.rows+first:], m.rows, n, row, tile, col, min(step, m.cols-col))
		}
	}
}

// part adds the product of n rows of a tile, cols columns from col, and one group of activations to y.
func (p *product) part(m *matrix, y []float32, yStride, n, row, tile, col, cols int) {
	first, rows := p.inputs.groupOf(row)
	a := &p.inputs
	w := m.weights[tile*m.tileWeights:]
	if !m.blocks() {
		f := p.level.floatFuncs(m.t)
		size := m.t.BlockBytes()
		x := &a.floatsOf(first, rows)[col*rows]
		w = w[col*tileRows*size:]
		for r := 0; r < n; r += f.matrixRows[rows-1] {
			f.funcs[rows-1](&y[r], uint64(4*yStride), &w[r*size], x, uint64(cols), kernels.SegmentElements)
		}
		return
	}
	f, sums := p.level.blockFuncs(m.t, a)
	blocks, block := m.cols/blockElements, col/blockElements
	d := m.scales[tile*m.tileScales+block*scaleBytesOf(m.t)*tileRows:]
	w = w[col/blockElements*(m.tileWeights/blocks):]
	x := &a.codes[first*m.cols+col*rows]
	s := &sums[first*blocks+block*rows]
	dx := &a.dx[first*ref.Segments(m.cols)+col/kernels.SegmentElements*rows]
	for r := 0; r < n; r += f.matrixRows[rows-1] {
		f.funcs[rows-1](&y[r], uint64(4*yStride), &w[4*r], &d[2*r], x, s, dx, uint64(cols/blockElements), segmentBlocks)
	}
}

func (l *level) floatFuncs(t quant.Type) *tileFuncs[floatFunc] {
	switch t {
	case quant.F32:
		return &l.f32
	case quant.F16:
		return &l.f16
	case quant.BF16:
		return &l.bf16
	}
	panic(fmt.Sprintf("cpu: internal error: no product for %v", t))
}

// blockFuncs are the functions of a format and what they want for each block and row beside the codes.
func (l *level) blockFuncs(t quant.Type, a *activations) (f *tileFuncs[blockFunc], sums []int32) {
	switch t {
	case quant.Q8_0:
		return &l.q8, a.bias8
	case quant.Q4_0:
		return &l.q40, a.bias4
	case quant.Q4_1:
		return &l.q41, a.sums
	}
	panic(fmt.Sprintf("cpu: internal error: no product for %v", t))
}
