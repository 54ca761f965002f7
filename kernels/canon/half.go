package canon

import "math"

// FromF16 converts the bits of an f16 exactly.
//
//	f16:  s eeeee mmmmmmmmmm              exponent bias 15
//	f32:  s eeeeeeee mmmmmmmmmm0000000000000  exponent bias 127
func FromF16(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	magnitude := uint32(h&0x7FFF) << 13
	switch {
	case magnitude >= 0x7C00<<13: // infinity, NaN
		return math.Float32frombits(sign | magnitude | 0x7F800000)
	case magnitude >= 0x0400<<13: // normal
		return math.Float32frombits(sign | (magnitude + (127-15)<<23))
	}
	// Subnormals are multiples of 2^-24.
	return math.Float32frombits(sign | math.Float32bits(float32(h&0x7FFF)*(1.0/(1<<24))))
}

// ToF16 rounds x to the nearest f16, ties to even. From 65520 on it is
// infinite. NaN becomes a quiet NaN.
func ToF16(x float32) uint16 {
	u := math.Float32bits(x)
	sign, u := uint16(u>>16)&0x8000, u&0x7FFFFFFF
	switch {
	case u > 0x7F800000:
		return sign | 0x7E00
	case u >= 0x477FF000: // 65520, halfway between the largest f16 and 2^16
		return sign | 0x7C00
	case u >= 0x38800000: // 2^-14, the smallest normal f16
		u += 0x0FFF + u>>13&1
		return sign | uint16((u-(127-15)<<23)>>13)
	}
	// In 0.5 + x the last bit counts 2^-24, so the addition rounds.
	return sign | uint16(math.Float32bits(math.Float32frombits(u)+0.5)-0x3F000000)
}

// FromBF16 converts the bits of a bf16, the upper half of an f32, exactly.
func FromBF16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

// ToBF16 rounds x to the nearest bf16, ties to even. NaN becomes a quiet NaN.
func ToBF16(x float32) uint16 {
	u := math.Float32bits(x)
	if u&0x7FFFFFFF > 0x7F800000 {
		return uint16(u>>16) | 0x40
	}
	return uint16((u + 0x7FFF + u>>16&1) >> 16)
}
