package cuda_test

import (
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/cuda"
	"verbatim/kernels/cuda/cudatest"
	"verbatim/kernels/kerneltest"
	"verbatim/kernels/quant"
)

// scattered puts every other matrix on the second card, so that operands of all operators have to move.
type scattered struct {
	*cuda.Split
	matrices int
}

func (s *scattered) NewMatrix(t quant.Type, rows, cols int, data []byte) (kernels.Matrix, error) {
	s.Place(s.matrices%2, 2)
	s.matrices++
	return s.Split.NewMatrix(t, rows, cols, data)
}

// TestSplitConformance compares every operator, spread over two cards, with the reference.
func TestSplitConformance(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "devices=2")
	kerneltest.Run(t, func() kernels.Backend {
		return &scattered{Split: cuda.NewSplit(open(t, d, cuda.Options{}), open(t, d, cuda.Options{Device: 1}))}
	})
	if r := d.Report(); r.Live != 0 || r.Leaked != 0 {
		t.Errorf("after all were closed %d live, %d leaked objects", r.Live, r.Leaked)
	}
}
