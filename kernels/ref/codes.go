package ref

import (
	"math"

	"verbatim/kernels"
	"verbatim/kernels/canon"
)

// Codes is section 4 of SPEC.md: the activation codes of x, and one scale dx
// for each segment. codes is as long as x; dx holds Segments(len(x)).
func Codes(codes []int8, dx, x []float32) {
	for s := range dx {
		first := s * kernels.SegmentElements
		end := min(first+kernels.SegmentElements, len(x))
		dx[s] = codeSegment(codes[first:end], x[first:end])
	}
}

// Segments is the number of segments of a vector of n elements.
func Segments(n int) int {
	return (n + kernels.SegmentElements - 1) / kernels.SegmentElements
}

func codeSegment(codes []int8, x []float32) (dx float32) {
	largest := uint32(0) // of the bit patterns without their signs
	for _, v := range x {
		largest = max(largest, math.Float32bits(v)&0x7FFFFFFF)
	}
	const infinity, tiny = 0x7F800000, 0x0F800000 // tiny: 2^-96
	if largest >= infinity || largest < tiny {
		clear(codes)
		if largest >= infinity {
			return math.Float32frombits(0x7FC00000)
		}
		return 0
	}
	a := math.Float32frombits(largest)
	r := 127 / a
	for i, v := range x {
		codes[i] = int8(canon.RNE(float32(v * r)))
	}
	return a / 127
}
