// Package canon is the scalar arithmetic of kernels/SPEC.md: the f32 fused
// multiply-add, half floats, exp, silu, fixed-shape sums, rounding, logarithms
// and the angles of rotary positions.
//
// Invariants: a result depends on the arguments' bits alone, on every
// architecture and at every GOAMD64 level. Every product is rounded by an
// explicit conversion before it meets an addition, because Go may otherwise
// fuse the two. Only math functions that IEEE-754 defines to the last bit
// (square root, bit casts) are used.
//
// The package holds no vectors of weights and no operators; those are in
// kernels/ref and the other backends.
package canon

import "math"

// Sqrt is the f32 square root, rounded to nearest even. The f64 root has more
// than twice the bits of an f32, so rounding it again is harmless.
func Sqrt(x float32) float32 { return float32(math.Sqrt(float64(x))) }

// RNE is the integer nearest to x, ties to even, for |x| <= 2^22. Beyond that
// the result is defined but meaningless.
func RNE(x float32) int32 {
	// In 1.5*2^23 + x the last bit counts units, so the addition rounds.
	const magic = 1 << 23 * 1.5
	return int32(math.Float32bits(x+magic)) - 0x4B400000
}
