package cpu

import (
	"fmt"

	"verbatim/kernels"
	"verbatim/kernels/ref"
)

// Cache sizes that shape the loops. They change the speed only.
const (
	inputsBytesMax = 512 << 10 // activations that stay in the second-level cache while weights pass by
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
	results [][]float32 // by worker: results of a tile and a group, (rows, tileRows)
	plains  []plainRow  // by worker
}

func (p *product) init(threads int) {
	p.inputs.level = p.level
	p.inputs.group = max(p.level.group, 1)
	p.inputs.workers = make([]rowCodes, threads)
	p.results = make([][]float32, threads)
	p.plains = make([]plainRow, threads)
	for i := range p.results {
		p.results[i] = make([]float32, p.inputs.group*tileRows)
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
			want.sums[m.sums] = m.blocks()
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
	// Passes are about equally long: each reads all weights.
	passes := max(1, (rows*rowBytes+inputsBytesMax-1)/inputsBytesMax)
	chunk := (rows + passes - 1) / passes
	chunk = (chunk + p.inputs.group - 1) / p.inputs.group * p.inputs.group
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
	ahead := p.nextTile(m, tile)
	for row, rows := range p.inputs.groups {
		y := p.results[worker][:rows*tileRows]
		clear(y)
		ahead.ask(p.level)
		switch {
		case !m.blocks():
			p.floats(m, y, n, tile, row, rows)
		case m.t.BlockElements() == superElements:
			p.superblocks(m, y, n, tile, row, rows)
		default:
			p.blocks(m, y, n, tile, row, rows)
		}
		for i := range rows {
			to, from := out[(row+i)*m.rows+first:][:n], y[i*tileRows:]
			if n == tileRows {
				*(*[tileRows]float32)(to) = *(*[tileRows]float32)(from)
			} else {
				copy(to, from)
			}
		}
	}
}

// ahead is memory that is asked for piece by piece while something else is computed.
type ahead struct {
	weights, scales           []byte
	weightsPiece, scalesPiece int
}

// nextTile is the tile that this worker most likely takes next, in as many pieces as there are groups. Few groups are done so
// soon that asking takes longer than it saves.
func (p *product) nextTile(m *matrix, tile int) ahead {
	const line, groupsMin = 64, 8
	groups := (p.inputs.rows + p.inputs.group - 1) / p.inputs.group
	if groups < groupsMin || p.level.prefetch == nil || tile+1 == m.tiles() {
		return ahead{}
	}
	piece := func(n int) int { return (n/line + groups - 1) / groups * line }
	return ahead{m.weights[(tile+1)*m.tileWeights:][:m.tileWeights], m.scales[(tile+1)*m.tileScales:][:m.tileScales],
		piece(m.tileWeights), piece(m.tileScales)}
}

// ask asks for the next piece.
func (a *ahead) ask(l *level) {
	if n := min(a.weightsPiece, len(a.weights)); n > 0 {
		l.prefetch(&a.weights[0], uint64(n))
		a.weights = a.weights[n:]
	}
	if n := min(a.scalesPiece, len(a.scales)); n > 0 {
		l.prefetch(&a.scales[0], uint64(n))
		a.scales = a.scales[n:]
	}
}

// floats, blocks and superblocks add the products of n rows of a tile and a group of activations to y, (rows, tileRows).
func (p *product) floats(m *matrix, y []float32, n, tile, row, rows int) {
	f, size := m.floatFuncs, m.t.BlockBytes()
	w, x := m.weights[tile*m.tileWeights:], &p.inputs.floatsOf(row, rows)[0]
	for r := 0; r < n; r += f.matrixRows[rows-1] {
		f.funcs[rows-1](&y[r], 4*tileRows, &w[r*size], x, uint64(m.cols), kernels.SegmentElements)
	}
}

func (p *product) blocks(m *matrix, y []float32, n, tile, row, rows int) {
	f, a := m.blockFuncs, &p.inputs
	w, d := m.weights[tile*m.tileWeights:], m.scales[tile*m.tileScales:]
	sums, rowSums := a.sumsOf(m.sums)
	x, s, dx := &a.codes[row*m.cols], &sums[row*rowSums], &a.dx[row*ref.Segments(m.cols)]
	for r := 0; r < n; r += f.matrixRows[rows-1] {
		f.funcs[rows-1](&y[r], 4*tileRows, &w[4*r], &d[2*r], x, s, dx, uint64(m.cols/blockElements), segmentBlocks)
	}
}

func (p *product) superblocks(m *matrix, y []float32, n, tile, row, rows int) {
	f, a := m.superFuncs, &p.inputs
	w, d := m.weights[tile*m.tileWeights:], m.scales[tile*m.tileScales:]
	sums, rowSums := a.sumsOf(m.sums)
	x, s, dx := &a.codes[row*m.cols], &sums[row*rowSums], &a.dx[row*ref.Segments(m.cols)]
	for r := 0; r < n; r += f.matrixRows[rows-1] {
		f.funcs[rows-1](&y[r], 4*tileRows, &w[4*r], &d[2*r], x, s, dx, uint64(m.cols/superElements))
	}
}
