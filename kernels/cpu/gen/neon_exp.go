package main

// neonConstants are those of exp, SPEC.md section 2, in registers of their own. Besides, one register is zero.
var neonConstants = []struct {
	v    vreg
	bits uint32
}{
	{expLog2e, 0x3FB8AA3B}, {expLn2Hi, 0xBF317200}, {expLn2Lo, 0xB5BFBE8E},
	{expC6, 0x3AB511E8}, {expC5, 0x3C091D10}, {expC4, 0x3D2AAC79}, {expC3, 0x3E2AAA49}, {expC2, 0x3EFFFFFE}, {expOne, 0x3F800000},
	{expMax, 0x42B00000}, {expMin, 0xC2AE0000}, {expInfinity, 0x7F800000}, {expBias, 127}, {expMagic, neonMagic},
}

const (
	expLog2e = vreg(iota + 16)
	expLn2Hi
	expLn2Lo
	expC6
	expC5
	expC4
	expC3
	expC2
	expOne
	expMax
	expMin
	expInfinity
	expBias
	expMagic
	expZero
)

// startExp sets the constants.
func (a *arm) startExp() {
	for _, c := range neonConstants {
		a.fill(c.bits, c.v)
	}
	a.zero(expZero)
}

// exp leaves exp(x) in p; n, t and u are scratch. n is x * log2e + neonMagic, so that its lowest bits are the integer.
func (a *arm) exp(x, n, p, t, u vreg) {
	a.word(fmul(n, x, expLog2e))
	a.word(fadd(n, n, expMagic))
	a.word(fsub(p, n, expMagic))
	a.copy(x, t)
	a.op("VFMLA", expLn2Hi.s4(), p.s4(), t.s4())
	a.op("VFMLA", expLn2Lo.s4(), p.s4(), t.s4())
	from, sums := expC6, [2]vreg{p, u}
	for i, c := range []vreg{expC5, expC4, expC3, expC2, expOne, expOne} {
		a.copy(c, sums[i%2])
		a.op("VFMLA", t.s4(), from.s4(), sums[i%2].s4())
		from = sums[i%2]
	}
	a.op("VADD", expBias.s4(), n.s4(), n.s4())
	a.op("VSHL", imm(23), n.s4(), n.s4())
	a.word(fmul(p, from, n))
	a.word(fcmgt(t, x, expMax))
	a.op("VBIT", t.b16(), expInfinity.b16(), p.b16())
	a.word(fcmgt(t, expMin, x))
	a.op("VBIT", t.b16(), expZero.b16(), p.b16())
}

func neonSwiGLU(a *arm) {
	a.function("swigluNEON", "is dst = silu(gate)*up; n is a positive multiple of 8.", "func(dst, gate, up *float32, n uint64)")
	a.params(map[greg]string{vecDst: "dst", vecA: "gate", vecB: "up", vecCount: "n"})
	a.startExp()
	a.vecEight(vecA, []greg{vecDst, vecA, vecB}, func() {
		a.loadPair(vecB, 0, 2)
		for v := range vreg(2) {
			const x, n, t = vreg(8), vreg(9), vreg(10)
			e := v + 4
			a.word(fneg(x, v))
			a.exp(x, n, e, t, 11)
			a.word(fadd(e, e, expOne))
			a.word(fdiv(v, v, e))
			a.word(fmul(v, v, v+2))
		}
	})
}

func neonSoftmax(a *arm) {
	a.function("softmaxNEON", "finds the largest of e, m, replaces e by exp(e-m) and gives the strided sum; n is a positive multiple of 32.",
		"func(e *float32, n uint64) (m, l float32)")
	a.params(map[greg]string{vecA: "e", vecCount: "n"})
	const largest = vreg(31)
	a.op("MOVD", vecA, vecB)
	a.op("MOVD", vecCount, vecThird)
	for v := range vreg(4) {
		a.load(vecA, 0, 4+v)
	}
	a.loop("max", func() {
		for v := range vreg(4) {
			if v%2 == 0 {
				a.loadPair(vecB, 16*int(v), v)
			}
		}
		for v := range vreg(4) {
			a.word(fmax(4+v, 4+v, v))
		}
		a.advance(vecB, 64)
		a.step(vecThird, 16)
	})
	a.word(fmax(4, 4, 5))
	a.word(fmax(6, 6, 7))
	a.word(fmax(4, 4, 6))
	a.word(fmaxv(largest, 4))
	a.op("FMOVS", largest.f(), a.fp("m"))
	a.spread(lane{largest, 0}, largest)
	const sum = vreg(8) // and the next 7
	for v := range vreg(8) {
		a.zero(sum + v)
	}
	a.startExp()
	a.loop("exp", func() {
		for v := range vreg(8) {
			a.load(vecA, 16*int(v), 0)
			a.word(fsub(0, 0, largest))
			a.exp(0, 1, 2, 3, 4)
			a.word(fadd(sum+v, sum+v, 2))
			a.op("FMOVQ", vreg(2).f(), addr(vecA, 16*int(v)))
		}
		a.advance(vecA, 128)
		a.step(vecCount, 32)
	})
	for h := vreg(4); h > 0; h /= 2 {
		for v := range h {
			a.word(fadd(sum+v, sum+v, sum+v+h))
		}
	}
	for _, bytes := range []int{8, 4} {
		a.op("VEXT", imm(bytes), sum.b16(), sum.b16(), "V0.B16")
		a.word(fadd(sum, sum, 0))
	}
	a.op("FMOVS", sum.f(), a.fp("l"))
	a.op("RET")
}
