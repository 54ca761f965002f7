package cuda

import (
	"fmt"

	"verbatim/kernels"
	"verbatim/kernels/quant"
)

// matrix is a weight matrix in device memory, in the layout of src/weights.cuh or, for floats, of src/floats.cuh.
type matrix struct {
	t          quant.Type
	rows, cols int
	weights    uint64

	units    int // blocks: pairs of 32-wide blocks in a row; floats: groups of 16 bytes
	tileRows int
}

func (m *matrix) Rows() int        { return m.rows }
func (m *matrix) Cols() int        { return m.cols }
func (m *matrix) Type() quant.Type { return m.t }

func (m *matrix) floats() bool { return m.t.BlockElements() == 1 }
func (m *matrix) tiles() int   { return ceilDiv(m.rows, m.tileRows) }

// The sizes in src/weights.cuh and src/floats.cuh.
const (
	tileRows      = 16
	floatTileRows = 32
	groupBytes    = 16
	pairElements  = 64
)

// form is how a block format lies on the card: the bits of a weight, the bytes of scales in a cell of 16 rows, the segments of a
// cell, and how many codes the sums are of that its minimums multiply (0: it has none). small: products have no blocks of 128 x 128.
type form struct {
	bits, scaleBytes, segments, sum int
	small                           bool
}

var forms = map[quant.Type]form{
	quant.Q8_0:   {bits: 8, scaleBytes: 128, segments: 1},
	quant.Q4_0:   {bits: 4, scaleBytes: 128, segments: 1},
	quant.Q4_1:   {bits: 4, scaleBytes: 256, segments: 1, sum: 32},
	quant.Q5_0:   {bits: 5, scaleBytes: 128, segments: 1},
	quant.Q5_1:   {bits: 5, scaleBytes: 256, segments: 1, sum: 32},
	quant.IQ4_NL: {bits: 4, scaleBytes: 128, segments: 1},
	quant.Q2_K:   {bits: 2, scaleBytes: 320, segments: 2, sum: 16, small: true},
	quant.Q3_K:   {bits: 3, scaleBytes: 224, segments: 2, small: true},
	quant.Q4_K:   {bits: 4, scaleBytes: 320, segments: 2, sum: 32},
	quant.Q5_K:   {bits: 5, scaleBytes: 320, segments: 2, sum: 32, small: true},
	quant.Q6_K:   {bits: 6, scaleBytes: 288, segments: 2, small: true},
	quant.IQ4_XS: {bits: 4, scaleBytes: 160, segments: 2},
}

// tileBytes is the size of tileRows rows.
func (m *matrix) tileBytes() int {
	if m.floats() {
		return m.tileRows * m.units * groupBytes
	}
	f := forms[m.t]
	cells := ceilDiv(m.units, 2*f.segments)
	return cells*f.scaleBytes + m.units*tileRows*pairElements*f.bits/8
}

// slackBytes is how far behind the last tile products may read: a pair of blocks.
func (m *matrix) slackBytes() int {
	if m.floats() {
		return 0
	}
	return tileRows * pairElements * forms[m.t].bits / 8
}

// newShape is a matrix without memory.
func newShape(t quant.Type, rows, cols int) *matrix {
	m := &matrix{t: t, rows: rows, cols: cols, tileRows: tileRows, units: ceilDiv(cols, pairElements)}
	if m.floats() {
		m.tileRows, m.units = floatTileRows, ceilDiv(cols*t.BlockBytes(), groupBytes)
		if rows == 1 {
			m.tileRows = 1
		}
	}
	return m
}

type packArgs struct {
	raw, weights uint64
	rowBytes     int64
	rows, pairs  int32
}

type packFloatsArgs struct {
	raw, weights           uint64
	rowBytes               int64
	rows, groups, tileRows int32
	_                      int32
}

// packBytes is how much of a file is on the card at once in its own layout, but for at least one tile.
const packBytes = 16 << 20

// NewMatrix copies weights to the card and records their packing; data is read before it returns.
func (b *Backend) NewMatrix(t quant.Type, rows, cols int, data []byte) (kernels.Matrix, error) {
	rowBytes, err := quant.RowBytes(t, cols)
	if err != nil {
		return nil, fmt.Errorf("make a matrix: %w", err)
	}
	if rows <= 0 || len(data)/rowBytes != rows || len(data)%rowBytes != 0 {
		return nil, fmt.Errorf("make a matrix: %d bytes are not %d rows of %d bytes", len(data), rows, rowBytes)
	}
	m := newShape(t, rows, cols)
	if m.weights, err = b.allocate(m.tiles()*m.tileBytes() + m.slackBytes()); err != nil {
		return nil, fmt.Errorf("make a matrix of %d x %d %v: %w", rows, cols, t, err)
	}
	chunk := max(1, packBytes/rowBytes/m.tileRows) * m.tileRows
	raw := b.need(&b.matmul.raw, min(chunk, rows)*rowBytes)
	for first := 0; first < rows && !b.failing(); first += chunk {
		part := min(chunk, rows-first)
		b.upload(raw, data[first*rowBytes:][:part*rowBytes])
		b.pack(m, raw, m.weights+uint64(first/m.tileRows*m.tileBytes()), part, rowBytes)
	}
	return m, nil
}

// pack records the packing of rows that lie in raw.
func (b *Backend) pack(m *matrix, raw, to uint64, rows, rowBytes int) {
	tiles := ceilDiv(rows, m.tileRows)
	z := ceilDiv(tiles, 1<<15)
	grid := [3]int{0, ceilDiv(tiles, z), z}
	if m.floats() {
		grid[0] = ceilDiv(m.units, 8)
		launch(b, b.matmul.packFloats, grid, 256, 0, packFloatsArgs{raw: raw, weights: to, rowBytes: int64(rowBytes), rows: int32(rows),
			groups: int32(m.units), tileRows: int32(m.tileRows)})
		return
	}
	grid[0] = ceilDiv(m.units, 2*forms[m.t].segments)
	launch(b, b.matmul.of[m.t].pack, grid, 32, 0, packArgs{raw: raw, weights: to, rowBytes: int64(rowBytes), rows: int32(rows), pairs: int32(m.units)})
}

type embedArgs struct {
	weights, tokens, dst uint64
	cols, pairs          int32
}

type embedFloatsArgs struct {
	weights, tokens, dst   uint64
	cols, groups, tileRows int32
	_                      int32
}

// Embed looks tokens up in the table. SPEC.md section 9.
func (b *Backend) Embed(dst kernels.Buffer, table kernels.Matrix, tokens []int32) {
	if len(tokens) == 0 {
		return
	}
	m, s := table.(*matrix), &b.matmul
	at := b.need(&s.tokens, 4*len(tokens))
	b.upload(at, bytesOf(tokens))
	k, grid := s.of[m.t].embed, grid1(len(tokens))
	if m.floats() {
		launch(b, k, grid, 128, 0, embedFloatsArgs{weights: m.weights, tokens: at, dst: addressOf(dst), cols: int32(m.cols),
			groups: int32(m.units), tileRows: int32(m.tileRows)})
		return
	}
	launch(b, k, grid, 128, 0, embedArgs{m.weights, at, addressOf(dst), int32(m.cols), int32(m.units)})
}
