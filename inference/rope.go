package inference

import (
	"verbatim/kernels"
	"verbatim/kernels/canon"
)

// rotations are the cosines and sines of the spans' positions, (rows, rotated/2, 2): section 7 of kernels/SPEC.md. They
// are computed here for every backend, so that no device evaluates them.
func (e *Engine) rotations(spans []kernels.Span) []float32 {
	rotated := 2 * len(e.frequencies)
	last := spans[len(spans)-1]
	all := resize(e.batch.rotations, (last.Row+last.Rows)*rotated)
	for _, span := range spans {
		for row := range span.Rows {
			canon.Rotation(all[(span.Row+row)*rotated:][:rotated], span.Position+row, e.frequencies)
		}
	}
	e.batch.rotations = all
	return all
}
