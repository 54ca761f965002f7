package ref

import (
	"verbatim/kernels"
	"verbatim/kernels/quant"
)

// Embed is section 9 of SPEC.md.
func (Backend) Embed(dst kernels.Buffer, table kernels.Matrix, tokens []int32) {
	m := table.(*matrix)
	for i, token := range tokens {
		quant.Dequantise(m.t, row(dst, i, m.cols), m.row(int(token)))
	}
}
