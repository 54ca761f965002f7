package ref

import (
	"verbatim/kernels"
	"verbatim/kernels/canon"
)

// SwiGLU is section 9 of SPEC.md.
func (Backend) SwiGLU(dst, gate, up kernels.Buffer, elements int) {
	GateUp(row(dst, 0, elements), row(gate, 0, elements), row(up, 0, elements))
}

// GateUp is SwiGLU on slices of one length; dst may be gate.
func GateUp(dst, gate, up []float32) {
	for i := range dst {
		dst[i] = canon.SiLU(gate[i]) * up[i]
	}
}
