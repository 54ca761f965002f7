package ref

import "verbatim/kernels"

// RoPE is section 7 of SPEC.md.
func (Backend) RoPE(x, cosSin kernels.Buffer, heads, headDim, rotated, rows int) {
	for r := range rows {
		angles := row(cosSin, r, rotated)
		for h := range heads {
			Rotate(row(x, r*heads+h, headDim), angles)
		}
	}
}

// Rotate turns the pairs of a head by the cosines and sines, one of each a
// pair. Elements beyond the last pair stay as they are.
func Rotate(head, cosSin []float32) {
	for i := 0; i < len(cosSin); i += 2 {
		x, y := head[i], head[i+1]
		c, s := cosSin[i], cosSin[i+1]
		head[i] = float32(x*c) - float32(y*s)
		head[i+1] = float32(x*s) + float32(y*c)
	}
}
