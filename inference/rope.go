package inference

import (
	"verbatim/kernels"
	"verbatim/kernels/canon"
)

// rotations are the cosines and sines of the spans' positions, (rows, rotated/2, 2): section 7 of kernels/SPEC.md. They
// are computed here for every backend, so that no device evaluates them.
func (e *Engine) rotations(spans []kernels.Span) []float32 {
	a, rotated := &e.activations, 2*len(e.frequencies)
	a.rotations = a.rotations[:0]
	for _, span := range spans {
		for row := range span.Rows {
			a.rotations = append(a.rotations, make([]float32, rotated)...)
			canon.Rotation(a.rotations[len(a.rotations)-rotated:], span.Position+row, e.frequencies)
		}
	}
	return a.rotations
}
