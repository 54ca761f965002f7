package cuda

import (
	"verbatim/kernels"
	"verbatim/kernels/quant"
)

// matmulState is what products keep.
type matmulState struct{}

func (s *matmulState) find(f finder) {}

// matrix is a weight matrix in device memory.
type matrix struct {
	t          quant.Type
	rows, cols int
	weights    uint64
}

func (m *matrix) Rows() int        { return m.rows }
func (m *matrix) Cols() int        { return m.cols }
func (m *matrix) Type() quant.Type { return m.t }

func (b *Backend) NewMatrix(t quant.Type, rows, cols int, data []byte) (kernels.Matrix, error) {
	m := &matrix{t: t, rows: rows, cols: cols}
	var err error
	if m.weights, err = b.allocate(len(data) + 16); err == nil {
		b.upload(m.weights, data)
	}
	return m, err
}

func (b *Backend) MatMul(dst []kernels.Buffer, weights []kernels.Matrix, src kernels.Buffer, rows int) {
}
