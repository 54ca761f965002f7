package canon

import "math"

// ln 2 and its parts: the upper one has 32 significant bits, so that its
// product with an exponent is exact.
const (
	ln2   = 0.693147180559945309417232121458176568075500134360255254120680009
	ln2Up = 0xB17217F7p-32
	ln2Dn = ln2 - ln2Up
)

// Log is the natural logarithm of x, computed in f64 and rounded to f32:
// NaN for x < 0 and NaN, -Inf for ±0, +Inf for +Inf.
func Log(x float32) float32 {
	switch {
	case x != x || x < 0:
		return math.Float32frombits(0x7FC00000)
	case x == 0:
		return math.Float32frombits(0xFF800000)
	case x > math.MaxFloat32:
		return x
	}
	return float32(ln(float64(x)))
}

// ln is the natural logarithm of a positive, finite, normal f64, section 2 of
// SPEC.md: x = m * 2^e with m in [√½, √2), s = (m-1)/(m+1),
// ln m = 2 (s + s³/3 + s⁵/5 + ...).
func ln(x float64) float64 {
	u := math.Float64bits(x)
	e := int(u>>52) - 1023
	m := math.Float64frombits(u&(1<<52-1) | 1023<<52)
	if m > math.Sqrt2 {
		m /= 2
		e++
	}
	s := (m - 1) / (m + 1)
	z := float64(s * s)
	p := 1.0 / 23
	for k := 21; k >= 3; k -= 2 {
		p = float64(p*z) + 1/float64(k)
	}
	tail := float64(float64(2*s)*float64(z*p)) + float64(float64(e)*ln2Dn)
	return float64(float64(e)*ln2Up) + (float64(2*s) + tail)
}
