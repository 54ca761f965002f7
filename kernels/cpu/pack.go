package cpu

import (
	"fmt"

	"verbatim/kernels"
	"verbatim/kernels/quant"
)

// tileRows is the number of matrix rows that are interleaved in memory. The generator has the same number.
const tileRows = 32

const blockElements = 32

const superElements = quant.BlockElementsMax

// The functions for superblocks are written for segments of 128 elements: these constants are negative otherwise.
const (
	_ uint = kernels.SegmentElements - 128
	_ uint = 128 - kernels.SegmentElements
)

// matrix keeps the rows as they stand in the file and, for levels with assembly, packed in tiles of 32 rows:
//
//	words:  | row 0: 4 bytes | row 1: 4 bytes | ... row 31 | row 0: the next 4 bytes | ...      128 bytes a word
//	floats: | row 0 | row 1 | ... row 31 |                                                      128 or 64 bytes a column
//
// The words of 32 weights are, with column c being the elements 4c to 4c+3 and byte b of a word having what belongs to
// element 4c+b:
//
//	bytes   8 words, a column each: Q8_0
//	nibbles 4 words: word k has columns k and, in the upper nibbles, k+4: all with 4, 5 or 6 bits
//	pairs   2 words: word k has columns 4k to 4k+3 in two bits each: Q3_K, Q2_K; the high bits of Q6_K
//	bits    1 word: columns 0 to 7 in a bit each: the high bits of Q5_0, Q5_1, Q5_K, Q3_K
//
// Beside them lie the scales, again row by row within each part, two bytes a row:
//
//	block:      | d | (minimums:) m |
//	superblock: | d | (minimums:) dmin | segment | segment |
//	segment:    | s0 s1 | s2 s3 | ... | (Q4_K, Q5_K:) n0 n1 | n2 n3 |
//
// In Q2_K a minimum is the upper nibble of its scale; sub-blocks of IQ4_XS are cut into halves. Rows that the last tile
// lacks are zero. Weights and scales of a tile are contiguous each, so that a product reads two streams from end to end.
type matrix struct {
	t          quant.Type
	rows, cols int
	rowBytes   int
	data       []byte
	norm       []float32 // the values of a single row of F32

	weights, scales         []byte
	tileWeights, tileScales int // bytes of a tile

	// The level's functions for the format.
	blockFuncs tileFuncs[blockFunc]
	superFuncs tileFuncs[superFunc]
	floatFuncs tileFuncs[floatFunc]
	sums       sumsKind
}

func (m *matrix) Rows() int        { return m.rows }
func (m *matrix) Cols() int        { return m.cols }
func (m *matrix) Type() quant.Type { return m.t }

func (m *matrix) row(i int) []byte { return m.data[i*m.rowBytes:][:m.rowBytes] }
func (m *matrix) tiles() int       { return (m.rows + tileRows - 1) / tileRows }
func (m *matrix) blocks() bool     { return m.t.BlockElements() > 1 }

// NewMatrix keeps data, and packs it unless it is a single row: those are norms.
func (b *Backend) NewMatrix(t quant.Type, rows, cols int, data []byte) (kernels.Matrix, error) {
	rowBytes, err := quant.RowBytes(t, cols)
	if err != nil {
		return nil, fmt.Errorf("make a matrix: %w", err)
	}
	if rows <= 0 || len(data)/rowBytes != rows || len(data)%rowBytes != 0 {
		return nil, fmt.Errorf("make a matrix: %d bytes are not %d rows of %d bytes", len(data), rows, rowBytes)
	}
	m := &matrix{t: t, rows: rows, cols: cols, rowBytes: rowBytes, data: data}
	switch {
	case rows > 1:
		b.pack(m)
	case t == quant.F32:
		m.norm = make([]float32, cols)
		quant.Dequantise(t, m.norm, data)
	}
	return m, nil
}

// pack fills m.weights and m.scales, once.
func (b *Backend) pack(m *matrix) {
	if !b.level.packs() || m.weights != nil {
		return
	}
	f := forms[m.t]
	m.sums = f.sums
	m.blockFuncs, m.superFuncs, m.floatFuncs = b.level.blocks[m.t], b.level.superblocks[m.t], b.level.floats[m.t]
	m.tileWeights = tileRows * m.cols / f.elements * f.weights
	m.tileScales = tileRows * m.cols / f.elements * f.scales
	p := &packing{m: m, form: f}
	if b.level.unsigned && m.t == quant.Q8_0 {
		p.flip = 0x80808080
	}
	if !b.cache.find(m, p) && !b.cache.make(b.pool, m, p) {
		m.weights = b.memory.get(m.tiles() * m.tileWeights)
		m.scales = b.memory.get(m.tiles() * m.tileScales)
		b.pool.run(p, m.tiles())
	}
	b.cache.packed = append(b.cache.packed, m)
	b.cache.bytes += len(m.weights) + len(m.scales)
}

// packing is the task of packing a matrix, a tile an item.
type packing struct {
	m    *matrix
	form form
	flip uint32  // what changes four bytes with a sign to the level's form
	file *making // where the tiles go; nil: to the matrix
}

// packBytes is the part of a row of floats that is packed at once, so that its place in the tile stays in the first-level
// cache.
const packBytes = 64

func (p *packing) run(tile, worker int) {
	m := p.m
	if p.file != nil {
		p.file.tile(p, tile, worker)
		return
	}
	p.tile(m.weights[tile*m.tileWeights:][:m.tileWeights], m.scales[tile*m.tileScales:][:m.tileScales], tile)
}

// tile packs a tile into zeros.
func (p *packing) tile(weights, scales []byte, tile int) {
	m := p.m
	first := tile * tileRows
	rows := min(tileRows, m.rows-first)
	step := packBytes
	if m.blocks() {
		step = m.t.BlockBytes()
	}
	for at := 0; at < m.rowBytes; at += step {
		end := min(at+step, m.rowBytes)
		for r := range rows {
			part := m.row(first + r)[at:end]
			if m.blocks() {
				block := at / step * tileRows
				p.block(weights[block*p.form.weights+4*r:], scales[block*p.form.scales+2*r:], part)
			} else if m.t == quant.F32 {
				packWords(weights[tileRows*at+4*r:], part, 0)
			} else {
				packHalves(weights[tileRows*at+2*r:], part)
			}
		}
	}
}

// block packs a row's block.
func (p *packing) block(weights, scales, data []byte) {
	if p.form.pack == nil {
		packHalves(scales, data[:p.form.scales])
		packWords(weights, data[p.form.scales:], p.flip)
		return
	}
	var b packedBlock
	p.form.pack(&b, data)
	for i, word := range b.words[:p.form.weights/4] {
		le.PutUint32(weights[4*tileRows*i:], word)
	}
	for i, half := range b.halves[:p.form.scales/2] {
		le.PutUint16(scales[2*tileRows*i:], half)
	}
}

// packWords writes the four-byte words of a row to every tileRows-th word of to.
func packWords(to, row []byte, flip uint32) {
	for len(row) >= 4 {
		le.PutUint32(to, le.Uint32(row)^flip)
		row = row[4:]
		to = to[min(4*tileRows, len(to)):]
	}
}

// packHalves does the same with two bytes each.
func packHalves(to, row []byte) {
	for len(row) >= 2 {
		le.PutUint16(to, le.Uint16(row))
		row = row[2:]
		to = to[min(2*tileRows, len(to)):]
	}
}
