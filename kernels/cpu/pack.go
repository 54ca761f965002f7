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

// matrix keeps the rows as they stand in the file and, for levels with assembly, packed in tiles of 32 rows:
//
//	Q8_0    block: | row 0: q0..q3 | row 1: q0..q3 | ... row 31 | row 0: q4..q7 | ...     1024 bytes
//	Q4      block: | row 0: bytes 0..3 | row 1: bytes 0..3 | ... | row 0: bytes 4..7 | ...  512 bytes
//	scales  block: | d of row 0 | d of row 1 | ... | (Q4_1:) m of row 0 | ...             64 or 128 bytes
//	floats  column: | row 0 | row 1 | ... row 31 |                                        128 or 64 bytes
//
// Rows that the last tile lacks are zero. Weights and scales of a tile are contiguous each, so that a product reads two
// streams from end to end.
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
	if m.blocks() {
		blocks := m.cols / blockElements
		scaleBytes := scaleBytesOf(m.t)
		m.tileScales = tileRows * blocks * scaleBytes
		m.tileWeights = tileRows * blocks * (m.t.BlockBytes() - scaleBytes)
	} else {
		m.tileWeights = tileRows * m.rowBytes
	}
	flip := uint32(0)
	if m.t == quant.Q8_0 && b.level.q8Unsigned {
		flip = 0x80808080
	}
	m.weights = b.memory.get(m.tiles() * m.tileWeights)
	m.scales = b.memory.get(m.tiles() * m.tileScales)
	b.pool.run(&packing{m, flip}, m.tiles())
}

// scaleBytesOf is the size of what precedes the weights of a block.
func scaleBytesOf(t quant.Type) int {
	if t == quant.Q4_1 {
		return 4
	}
	return 2
}

// packing is the task of packing a matrix, a tile an item.
type packing struct {
	m    *matrix
	flip uint32 // what changes a weight of Q8_0 to the level's form, four times
}

// packBytes is the part of the rows that is packed at once, so that its place in the tile stays in the first-level cache.
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
			switch {
			case m.blocks():
				block := at / step
				scaleBytes := scaleBytesOf(m.t)
				packHalves(scales[tileRows*block*scaleBytes+2*r:], part[:scaleBytes])
				words := part[scaleBytes:]
				packWords(weights[tileRows*block*len(words)+4*r:], words, p.flip)
			case m.t == quant.F32:
				packWords(weights[tileRows*at+4*r:], part, 0)
			default:
				packHalves(weights[tileRows*at+2*r:], part)
			}
		}
	}
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
