package cpu

import (
	"encoding/binary"
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
//	bytes   block: | row 0: w0..w3 | row 1: w0..w3 | ... row 31 | row 0: w4..w7 | ...      1024 bytes
//	nibbles block: | row 0: bytes 0..3 | row 1: bytes 0..3 | ... | row 0: bytes 4..7 | ...  512 bytes
//	floats column: | row 0 | row 1 | ... row 31 |                                           128 or 64 bytes
//
// and beside them the scales, again row by row within each part:
//
//	block:   | d | (minimums:) m |
//	segment: | d | (minimums:) dmin | s0 s1 | s2 s3 | ... | (minimums:) n0 n1 | n2 n3 |
//
// A byte i of nibbles holds the weights i and i + 16 of a block. Superblocks are cut into segments, and sub-blocks of
// IQ4_XS into halves. Rows that the last tile lacks are zero. Weights and scales of a tile are contiguous each, so that a
// product reads two streams from end to end.
type matrix struct {
	t          quant.Type
	rows, cols int
	rowBytes   int
	data       []byte
	norm       []float32 // the values of a single row of F32

	weights, scales         []byte
	tileWeights, tileScales int // bytes of a tile
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
	if !b.level.packs(m.t) || m.weights != nil {
		return
	}
	f := formOf(m.t)
	m.tileWeights = tileRows * m.cols / f.elements * f.weights
	m.tileScales = tileRows * m.cols / f.elements * f.scales
	p := &packing{m: m, form: f}
	if m.blocks() {
		p.halves = m.t.Halves()
	}
	if b.level.unsigned && f.signed {
		p.flip = 0x80808080
	}
	m.weights = b.memory.get(m.tiles() * m.tileWeights)
	m.scales = b.memory.get(m.tiles() * m.tileScales)
	b.pool.run(p, m.tiles())
}

// form is what a row's block is packed to: its elements, and the bytes of its weights and scales.
type form struct {
	elements, weights, scales int
	copied                    bool // the weights are packed as they are in the file, after the scales
	signed                    bool // bytes with a sign
}

// formOf has no elements for formats that are not packed.
func formOf(t quant.Type) form {
	switch t {
	case quant.F32:
		return form{elements: 1, weights: 4, copied: true}
	case quant.F16, quant.BF16:
		return form{elements: 1, weights: 2, copied: true}
	case quant.Q8_0:
		return form{elements: blockElements, weights: 32, scales: 2, copied: true, signed: true}
	case quant.Q4_0:
		return form{elements: blockElements, weights: 16, scales: 2, copied: true}
	case quant.Q4_1:
		return form{elements: blockElements, weights: 16, scales: 4, copied: true}
	case quant.Q5_0, quant.IQ4_NL:
		return form{elements: blockElements, weights: 32, scales: 2, signed: true}
	case quant.Q5_1:
		return form{elements: blockElements, weights: 32, scales: 4}
	case quant.Q4_K:
		return form{elements: superElements, weights: superElements / 2, scales: 2 * 12}
	case quant.Q5_K:
		return form{elements: superElements, weights: superElements, scales: 2 * 12}
	case quant.Q6_K, quant.Q3_K, quant.IQ4_XS:
		return form{elements: superElements, weights: superElements, scales: 2 * 10, signed: true}
	}
	return form{}
}

// packing is the task of packing a matrix, a tile an item.
type packing struct {
	m      *matrix
	form   form
	halves []int  // offsets of the f16 numbers of a block in the file
	flip   uint32 // what changes four bytes with a sign to the level's form
}

// packBytes is the part of a row of floats that is packed at once, so that its place in the tile stays in the first-level
// cache.
const packBytes = 64

func (p *packing) run(tile, _ int) {
	m := p.m
	weights := m.weights[tile*m.tileWeights:][:m.tileWeights]
	scales := m.scales[tile*m.tileScales:][:m.tileScales]
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
	if p.form.copied {
		packHalves(scales, data[:p.form.scales])
		packWords(weights, data[p.form.scales:], p.flip)
		return
	}
	var b quant.Block
	quant.UnpackBlock(p.m.t, &b, data)
	var bytes [superElements]byte
	for i, w := range b.Weights {
		bytes[i] = byte(w)
	}
	if p.form.weights < p.form.elements {
		for i := range p.form.weights {
			j := i/16*32 + i%16
			bytes[i] = bytes[j] | bytes[j+16]<<4
		}
	}
	packWords(weights, bytes[:p.form.weights], p.flip)
	var numbers [2 * 12]byte
	packHalves(scales, p.packedScales(numbers[:0], &b, data))
}

// packedScales appends what matrix draws of a row's block or of both segments of its superblock.
func (p *packing) packedScales(out []byte, b *quant.Block, data []byte) []byte {
	t := p.m.t
	var head [4]byte
	halves := 0
	for _, at := range p.halves {
		halves += copy(head[halves:], data[at:at+2])
	}
	if t.BlockElements() == blockElements {
		return append(out, head[:halves]...)
	}
	sub := t.SubBlockElements()
	scaleSub := sub
	if !t.HasMinimums() {
		scaleSub = 16
	}
	for first := 0; first < superElements; first += kernels.SegmentElements {
		out = append(out, head[:halves]...)
		for i := first; i < first+kernels.SegmentElements; i += scaleSub {
			out = append(out, byte(b.Scales[i/sub]))
		}
		for i := first; t.HasMinimums() && i < first+kernels.SegmentElements; i += sub {
			out = append(out, b.Minimums[i/sub])
		}
	}
	return out
}

// packWords writes the four-byte words of a row to every tileRows-th word of to.
func packWords(to, row []byte, flip uint32) {
	for len(row) >= 4 {
		binary.LittleEndian.PutUint32(to, binary.LittleEndian.Uint32(row)^flip)
		row = row[4:]
		to = to[min(4*tileRows, len(to)):]
	}
}

// packHalves does the same with two bytes each.
func packHalves(to, row []byte) {
	for len(row) >= 2 {
		binary.LittleEndian.PutUint16(to, binary.LittleEndian.Uint16(row))
		row = row[2:]
		to = to[min(2*tileRows, len(to)):]
	}
}
