package ref

import (
	"verbatim/kernels"
	"verbatim/kernels/canon"
	"verbatim/kernels/quant"
)

// RMSNorm is section 6 of SPEC.md.
func (Backend) RMSNorm(dst, src kernels.Buffer, weight kernels.Matrix, eps float32, rows int) {
	w := make([]float32, weight.Cols())
	quant.Dequantise(quant.F32, w, weight.(*matrix).row(0))
	for r := range rows {
		Normalise(row(dst, r, len(w)), row(src, r, len(w)), w, eps)
	}
}

// Normalise is RMSNorm of one row; dst may be x.
func Normalise(dst, x, weight []float32, eps float32) {
	s := canon.StridedSumOfSquares(x)
	r := 1 / canon.Sqrt(s/float32(len(x))+eps)
	for i, w := range weight {
		dst[i] = float32(x[i]*r) * w
	}
}
