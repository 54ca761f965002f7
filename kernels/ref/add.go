package ref

import (
	"verbatim/kernels"
	"verbatim/kernels/quant"
)

// Add is section 9 of SPEC.md.
func (Backend) Add(dst, src kernels.Buffer, elements int) {
	to, from := row(dst, 0, elements), row(src, 0, elements)
	for i := range to {
		to[i] += from[i]
	}
}

// AddRow is the bias of section 9 of SPEC.md.
func (Backend) AddRow(dst kernels.Buffer, bias kernels.Matrix, rows int) {
	b := make([]float32, bias.Cols())
	quant.Dequantise(quant.F32, b, bias.(*matrix).row(0))
	for r := range rows {
		to := row(dst, r, len(b))
		for i := range to {
			to[i] += b[i]
		}
	}
}
