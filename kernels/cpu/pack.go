package cpu

import (
	"encoding/binary"
	"fmt"
	"unsafe"

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

	weights, scales         []byte
	tileWeights, tileScales int // bytes of a tile
}

func (m *matrix) Rows() int        { return m.rows }
func (m *matrix) Cols() int        { return m.cols }
func (m *matrix) Type() quant.Type { return m.t }

func (m *matrix) row(i int) []byte { return m.data[i*m.rowBytes:][:m.rowBytes] }
func (m *matrix) tiles() int       { return (m.rows + tileRows - 1) / tileRows }
func (m *matrix) blocks() bool     { return m.t.BlockElements() == blockElements }

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
	if rows > 1 {
		b.pack(m)
	}
	return m, nil
}

// pack fills m.weights and m.scales, once.
func (b *Backend) pack(m *matrix) {
	if !b.level.packs() || m.weights != nil {
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
	m.weights = aligned(m.tiles() * m.tileWeights)
	m.scales = aligned(m.tiles() * m.tileScales)
	b.pool.run(&packing{m, b.level}, m.tiles())
}

// scaleBytesOf is the size of what precedes the weights of a block.
func scaleBytesOf(t quant.Type) int {
	if t == quant.Q4_1 {
		return 4
	}
	return 2
}

// aligned returns zeros that begin at a cache line.
func aligned(n int) []byte {
	const line = 64
	b := make([]byte, n+line)
	skip := -uintptr(unsafe.Pointer(&b[0])) % line
	return b[skip:][:n:n]
}

// packing is the task of packing a matrix, a tile an item.
type packing struct {
	m *matrix
	l *level
}

func (p *packing) run(tile, _ int) {
	m := p.m
	rows := min(tileRows, m.rows-tile*tileRows)
	weights := m.weights[tile*m.tileWeights:][:m.tileWeights]
	for r := range rows {
		row := m.row(tile*tileRows + r)
		switch {
		case m.blocks():
			flip := uint32(0)
			if m.t == quant.Q8_0 && p.l.q8Unsigned {
				flip = 0x80808080
			}
			packBlocks(m, weights, m.scales[tile*m.tileScales:][:m.tileScales], row, r, flip)
		case m.t == quant.F32:
			for c := range m.cols {
				copy(weights[4*(c*tileRows+r):][:4], row[4*c:])
			}
		default:
			for c := range m.cols {
				copy(weights[2*(c*tileRows+r):][:2], row[2*c:])
			}
		}
	}
}

func packBlocks(m *matrix, weights, scales, row []byte, r int, flip uint32) {
	le := binary.LittleEndian
	size, scaleBytes := m.t.BlockBytes(), scaleBytesOf(m.t)
	words := (size - scaleBytes) / 4
	for i := 0; len(row) > 0; i++ {
		for part := 0; part < scaleBytes; part += 2 {
			copy(scales[tileRows*(i*scaleBytes+part)+2*r:][:2], row[part:])
		}
		to := weights[i*words*4*tileRows+4*r:]
		from := row[scaleBytes:size]
		for k := range words {
			le.PutUint32(to[k*4*tileRows:], le.Uint32(from[4*k:])^flip)
		}
		row = row[size:]
	}
}
