package canon

import "math"

// Exp is e^x, section 2 of SPEC.md. At most 0.87 ulp from the exact value.
func Exp(x float32) float32 {
	const (
		log2e  = 0x3FB8AA3B
		ln2Hi  = 0xBF317200 // negative; n*ln2Hi is exact
		ln2Lo  = 0xB5BFBE8E // negative
		c6, c5 = 0x3AB511E8, 0x3C091D10
		c4, c3 = 0x3D2AAC79, 0x3E2AAA49
		c2     = 0x3EFFFFFE
	)
	switch {
	case x != x:
		return x
	case x > 88:
		return math.Float32frombits(0x7F800000)
	case x < -87:
		return 0
	}
	n := RNE(float32(x * math.Float32frombits(log2e)))
	nf := float32(n)
	r := FMA(nf, math.Float32frombits(ln2Hi), x)
	r = FMA(nf, math.Float32frombits(ln2Lo), r)
	p := FMA(math.Float32frombits(c6), r, math.Float32frombits(c5))
	p = FMA(p, r, math.Float32frombits(c4))
	p = FMA(p, r, math.Float32frombits(c3))
	p = FMA(p, r, math.Float32frombits(c2))
	p = FMA(p, r, 1)
	p = FMA(p, r, 1)
	return float32(p * math.Float32frombits(uint32(n+127)<<23))
}

// SiLU is x / (1 + e^-x), section 2 of SPEC.md.
func SiLU(x float32) float32 { return x / (1 + Exp(-x)) }
