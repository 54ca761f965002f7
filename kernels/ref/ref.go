// Package ref is kernels/SPEC.md as plain Go: slow, readable, normative. Every
// other backend is compared with it, and falls back to its functions where it
// has nothing faster.
//
// Invariants: one operation a file, in the order of the text; a function's
// result depends on its arguments alone. There is nothing here for speed: no
// goroutines, no assembly, no repacked weights.
package ref

import (
	"fmt"

	"verbatim/kernels"
	"verbatim/kernels/quant"
)

// Backend implements kernels.Backend on Go slices.
type Backend struct{}

// New returns the reference backend.
func New() kernels.Backend { return Backend{} }

// Info says "ref".
func (Backend) Info() kernels.Info {
	return kernels.Info{Name: "ref", Level: "generic", Device: "processor"}
}

// matrix keeps the rows as they stand in the file.
type matrix struct {
	t          quant.Type
	rows, cols int
	rowBytes   int
	data       []byte
}

func (m *matrix) Rows() int        { return m.rows }
func (m *matrix) Cols() int        { return m.cols }
func (m *matrix) Type() quant.Type { return m.t }

func (m *matrix) row(i int) []byte { return m.data[i*m.rowBytes:][:m.rowBytes] }

type buffer []float32

func (b buffer) Len() int { return len(b) }

// NewMatrix keeps data.
func (Backend) NewMatrix(t quant.Type, rows, cols int, data []byte) (kernels.Matrix, error) {
	rowBytes, err := quant.RowBytes(t, cols)
	if err != nil {
		return nil, fmt.Errorf("make a matrix: %w", err)
	}
	if rows <= 0 || len(data)/rowBytes != rows || len(data)%rowBytes != 0 {
		return nil, fmt.Errorf("make a matrix: %d bytes are not %d rows of %d bytes", len(data), rows, rowBytes)
	}
	return &matrix{t, rows, cols, rowBytes, data}, nil
}

// NewBuffer returns zeros.
func (Backend) NewBuffer(elements int) (kernels.Buffer, error) {
	if elements < 0 {
		return nil, fmt.Errorf("make a buffer: %d elements", elements)
	}
	return make(buffer, elements), nil
}

// Write copies src to the start of dst.
func (Backend) Write(dst kernels.Buffer, src []float32) {
	copy(dst.(buffer)[:len(src)], src)
}

// Read never fails.
func (Backend) Read(dst []float32, src kernels.Buffer, first int) error {
	copy(dst, src.(buffer)[first:first+len(dst)])
	return nil
}

// Close has nothing to free.
func (Backend) Close() error { return nil }

// row is row i of a buffer with n elements a row.
func row(b kernels.Buffer, i, n int) []float32 { return b.(buffer)[i*n:][:n] }
