package canon

import "math"

// FMA is a*b + c with one rounding, to f32, ties to even.
//
// The f64 product of two f32 is exact. Adding c rounds to 53 bits, and the
// conversion rounds to 24: twice, which differs from once only when the first
// rounding landed exactly halfway between two f32. In the normal range such a
// sum ends in a one and 28 zeros; those, and all results below the normal
// range, take the careful path.
func FMA(a, b, c float32) float32 {
	s := float64(float64(a)*float64(b)) + float64(c)
	u := math.Float64bits(s)
	const normalMin = (1023 - 126) << 52 // 2^-126
	if u&(1<<29-1) != 1<<28 && u<<1 >= normalMin<<1 {
		return float32(s)
	}
	return fmaOdd(a, b, c)
}

// fmaOdd rounds the sum to odd: when it is inexact, the last bit becomes one,
// so that the conversion sees on which side of a tie the exact value lies.
func fmaOdd(a, b, c float32) float32 {
	p, z := float64(float64(a)*float64(b)), float64(c)
	s := p + z
	// TwoSum (Knuth): s + e is exactly p + z.
	zz := s - p
	e := (p - (s - zz)) + (z - zz)
	if u := math.Float64bits(s); e != 0 && u&1 == 0 {
		if (e > 0) == (s > 0) {
			u++
		} else {
			u--
		}
		s = math.Float64frombits(u)
	}
	return float32(s)
}
