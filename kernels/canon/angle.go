package canon

import "math"

// roundBig added to an f64 of at most 2^51 leaves its nearest integer, ties to
// even, in the low bits.
const roundBig = 1 << 52 * 1.5

// Frequencies are the rotary frequencies base^(-2i/rotated), i in
// 0..rotated/2-1, section 7 of SPEC.md. factors, when not nil, has one divisor
// a pair. base must be positive and finite, rotated even; the model's loader
// has checked both.
func Frequencies(base float32, rotated int, factors []float32) []float64 {
	frequencies := make([]float64, rotated/2)
	lnBase := ln(float64(base))
	for i := range frequencies {
		frequencies[i] = exp64(float64(float64(-2*i) / float64(rotated) * lnBase))
		if factors != nil {
			frequencies[i] /= float64(factors[i])
		}
	}
	return frequencies
}

// Rotation writes the cosine and sine of position * frequency for each
// frequency: dst is (len(frequencies), 2), the layout of Backend.RoPE. The
// error is below 2^-30 for angles up to 2^22.
func Rotation(dst []float32, position int, frequencies []float64) {
	for i, frequency := range frequencies {
		sin, cos := sinCos(float64(float64(position) * frequency))
		dst[2*i], dst[2*i+1] = float32(cos), float32(sin)
	}
}

// exp64 is e^x for |x| < 700: n = rne(x / ln 2), e^x = 2^n * e^(x - n ln 2), the
// latter as its Taylor polynomial of degree 14.
func exp64(x float64) float64 {
	n := (float64(x*(1/ln2)) + roundBig) - roundBig
	r := (x - float64(n*ln2Up)) - float64(n*ln2Dn)
	p := 1.0
	for k := 14; k >= 1; k-- {
		p = 1 + float64(r*p)/float64(k)
	}
	return float64(p * math.Float64frombits(uint64(int64(n)+1023)<<52))
}

// π/2 in parts: the first two have 30 significant bits, so that their products
// with a quarter count below 2^23 are exact.
const (
	halfPi  = 1.57079632679489661923132169163975144209858469968755291048747229615390820314310449931
	halfPiA = 0x3243F6A8p-29
	halfPiB = 0x885A308Cp-61
	halfPiC = halfPi - halfPiA - halfPiB
)

// sinCos reduces x by n = rne(x / (π/2)) quarters to |r| <= π/4, takes the
// Taylor polynomials of degree 17 and 18, and exchanges and negates by n mod 4.
func sinCos(x float64) (sin, cos float64) {
	t := float64(x*(1/halfPi)) + roundBig
	n := t - roundBig
	r := ((x - float64(n*halfPiA)) - float64(n*halfPiB)) - float64(n*halfPiC)
	z := float64(r * r)
	s, c := 1.0, 1.0
	for k := 16; k >= 2; k -= 2 {
		s = 1 - float64(z*s)/float64(k*(k+1))
	}
	for k := 17; k >= 1; k -= 2 {
		c = 1 - float64(z*c)/float64(k*(k+1))
	}
	s = float64(r * s)
	switch math.Float64bits(t) & 3 {
	case 0:
		return s, c
	case 1:
		return c, -s
	case 2:
		return -s, -c
	}
	return -c, s
}
