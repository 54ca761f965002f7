package main

// neonVector writes the operators that are a small part of the work.
func neonVector(a *arm) {
	neonPause(a)
	neonPrefetch(a)
	neonLargest(a)
	neonEncode(a)
	neonSumSquares(a)
	neonNormalise(a)
	neonSwiGLU(a)
	neonAdd(a)
	neonRotate(a)
	neonSoftmax(a)
	neonAccumulate(a)
	neonScale(a)
	neonToF16(a)
}

// General registers of these functions.
const (
	vecDst   = greg(0)
	vecA     = greg(1)
	vecB     = greg(2)
	vecCount = greg(3)
	vecThird = greg(4)
)

// vecEight loads eight numbers into registers 0 and 1, lets body change them, and writes them to dst, until n are done.
// All pointers move on.
func (a *arm) vecEight(from greg, moving []greg, body func()) {
	a.loop("loop", func() {
		a.loadPair(from, 0, 0)
		body()
		a.storePair(0, vecDst, 0)
		for _, p := range moving {
			a.advance(p, 32)
		}
		a.step(vecCount, 8)
	})
	a.op("RET")
}

// spreadParam puts a float argument into every lane.
func (a *arm) spreadParam(name string, v vreg) {
	a.op("FMOVS", a.fp(name), v.f())
	a.spread(lane{v, 0}, v)
}

func neonPause(a *arm) {
	a.function("pause", "lets the processor rest for n short moments.", "func(n uint64)")
	a.params(map[greg]string{vecCount: "n"})
	a.loop("loop", func() {
		a.op("ISB", "$15")
		a.step(vecCount, 1)
	})
	a.op("RET")
}

func neonPrefetch(a *arm) {
	const line = 64
	a.function("prefetch", "asks for n bytes of memory, a positive multiple of 64, to be brought near.", "func(p *byte, n uint64)")
	a.params(map[greg]string{vecA: "p", vecCount: "n"})
	a.loop("line", func() {
		a.op("PRFM", addr(vecA, 0), "PLDL1KEEP")
		a.advance(vecA, line)
		a.step(vecCount, line)
	})
	a.op("RET")
}

func neonLargest(a *arm) {
	a.function("largestNEON", "is the largest bit pattern of x without signs; n is a positive multiple of 32.", "func(x *float32, n uint64) uint32")
	a.params(map[greg]string{vecA: "x", vecCount: "n"})
	const m, mask = vreg(8), vreg(16) // m: and the next 7
	a.fill(0x7FFFFFFF, mask)
	for v := range vreg(8) {
		a.zero(m + v)
	}
	a.loop("loop", func() {
		for v := vreg(0); v < 8; v += 2 {
			a.loadPair(vecA, 16*int(v), v)
		}
		for v := range vreg(8) {
			a.op("VAND", mask.b16(), v.b16(), v.b16())
			a.op("VUMAX", v.s4(), (m + v).s4(), (m + v).s4())
		}
		a.advance(vecA, 128)
		a.step(vecCount, 32)
	})
	for h := vreg(4); h > 0; h /= 2 {
		for v := range h {
			a.op("VUMAX", (m + v).s4(), (m + v + h).s4(), (m + v).s4())
		}
	}
	a.word(umaxv(m, m))
	a.op("FMOVS", m.f(), a.fp("ret"))
	a.op("RET")
}

// neonEncode rounds as neonMagic does: a code is the lowest byte of the sum.
func neonEncode(a *arm) {
	a.function("encodeNEON", "writes rne(x*r) as codes, four of them every stride bytes, and the sums of each 16.",
		"func(codes *int8, stride uint64, sums *int32, x *float32, r float32, blocks uint64)")
	a.params(map[greg]string{vecDst: "codes", vecA: "stride", vecB: "sums", vecThird: "x", vecCount: "blocks"})
	const r, magic, ones = vreg(16), vreg(17), vreg(18)
	a.spreadParam("r", r)
	a.fill(neonMagic, magic)
	a.fillBytes(1, ones)
	a.loop("block", func() {
		for v := vreg(0); v < 8; v += 2 {
			a.loadPair(vecThird, 16*int(v), v)
		}
		for v := range vreg(8) {
			a.word(fmul(v, v, r))
			a.word(fadd(v, v, magic))
		}
		for v := range vreg(4) {
			a.op("VUZP1", (2*v + 1).h8(), (2 * v).h8(), v.h8())
		}
		for v := range vreg(2) {
			a.op("VUZP1", (2*v + 1).b16(), (2 * v).b16(), v.b16())
			a.zero(v + 4)
			a.word(sdot(v+4, v, ones))
		}
		a.op("VADDP", "V5.S4", "V4.S4", "V4.S4")
		a.op("VADDP", "V4.S4", "V4.S4", "V4.S4")
		a.op("FMOVD", "F4", addr(vecB, 0))
		for v := range vreg(2) {
			for i := range 4 {
				a.op("VST1.P", lane{v, i}.s(), "("+vecDst.String()+")("+vecA.String()+")")
			}
		}
		a.advance(vecThird, 128)
		a.advance(vecB, 8)
		a.step(vecCount, 1)
	})
	a.op("RET")
}

func neonSumSquares(a *arm) {
	a.function("sumSquaresNEON", "writes the 32 partial sums of squares of x; n is a positive multiple of 32.", "func(p, x *float32, n uint64)")
	a.params(map[greg]string{vecDst: "p", vecA: "x", vecCount: "n"})
	const sum = vreg(8) // and the next 7
	for v := range vreg(8) {
		a.zero(sum + v)
	}
	a.loop("loop", func() {
		for v := vreg(0); v < 8; v += 2 {
			a.loadPair(vecA, 16*int(v), v)
		}
		for v := range vreg(8) {
			a.op("VFMLA", v.s4(), v.s4(), (sum + v).s4())
		}
		a.advance(vecA, 128)
		a.step(vecCount, 32)
	})
	for v := vreg(0); v < 8; v += 2 {
		a.storePair(sum+v, vecDst, 16*int(v))
	}
	a.op("RET")
}

func neonNormalise(a *arm) {
	a.function("normaliseNEON", "is dst = (x*r)*w; n is a positive multiple of 8.", "func(dst, x, w *float32, r float32, n uint64)")
	a.params(map[greg]string{vecDst: "dst", vecA: "x", vecB: "w", vecCount: "n"})
	a.spreadParam("r", 16)
	a.vecEight(vecA, []greg{vecDst, vecA, vecB}, func() {
		a.loadPair(vecB, 0, 2)
		for v := range vreg(2) {
			a.word(fmul(v, v, 16))
			a.word(fmul(v, v, v+2))
		}
	})
}

func neonAdd(a *arm) {
	a.function("addNEON", "is dst = dst + src; n is a positive multiple of 8.", "func(dst, src *float32, n uint64)")
	a.params(map[greg]string{vecDst: "dst", vecA: "src", vecCount: "n"})
	a.vecEight(vecDst, []greg{vecDst, vecA}, func() {
		a.loadPair(vecA, 0, 2)
		for v := range vreg(2) {
			a.word(fadd(v, v, v+2))
		}
	})
}

func neonAccumulate(a *arm) {
	a.function("accumulateNEON", "is dst = fma(o, w, dst); n is a positive multiple of 8.", "func(dst, o *float32, w float32, n uint64)")
	a.params(map[greg]string{vecDst: "dst", vecA: "o", vecCount: "n"})
	a.spreadParam("w", 16)
	a.vecEight(vecDst, []greg{vecDst, vecA}, func() {
		a.loadPair(vecA, 0, 2)
		for v := range vreg(2) {
			a.op("VFMLA", "V16.S4", (v + 2).s4(), v.s4())
		}
	})
}

func neonScale(a *arm) {
	a.function("scaleNEON", "is dst = x*r; n is a positive multiple of 8.", "func(dst, x *float32, r float32, n uint64)")
	a.params(map[greg]string{vecDst: "dst", vecA: "x", vecCount: "n"})
	a.spreadParam("r", 16)
	a.vecEight(vecA, []greg{vecDst, vecA}, func() {
		for v := range vreg(2) {
			a.word(fmul(v, v, 16))
		}
	})
}

func neonToF16(a *arm) {
	a.function("toF16NEON", "rounds x to f16; n is a positive multiple of 8.", "func(dst *uint16, x *float32, n uint64)")
	a.params(map[greg]string{vecDst: "dst", vecA: "x", vecCount: "n"})
	a.loop("loop", func() {
		a.loadPair(vecA, 0, 0)
		a.word(fcvtn(false, 2, 0))
		a.word(fcvtn(true, 2, 1))
		a.op("FMOVQ", "F2", addr(vecDst, 0))
		a.advance(vecA, 32)
		a.advance(vecDst, 16)
		a.step(vecCount, 8)
	})
	a.op("RET")
}

// neonRotate loads pairs apart: registers 0 and 2 have the first of each, 1 and 3 the second.
func neonRotate(a *arm) {
	a.function("rotateNEON", "turns the pairs of x by the cosines and sines; n is a positive multiple of 8.", "func(x, cosSin *float32, n uint64)")
	a.params(map[greg]string{vecDst: "x", vecA: "cosSin", vecCount: "n"})
	a.loop("loop", func() {
		a.op("VLD2", addr(vecDst, 0), "[V0.S4, V1.S4]")
		a.op("VLD2.P", addr(vecA, 32), "[V2.S4, V3.S4]")
		a.word(fmul(4, 0, 2))
		a.word(fmul(5, 1, 3))
		a.word(fmul(6, 0, 3))
		a.word(fmul(7, 1, 2))
		a.word(fsub(0, 4, 5))
		a.word(fadd(1, 6, 7))
		a.op("VST2.P", "[V0.S4, V1.S4]", addr(vecDst, 32))
		a.step(vecCount, 8)
	})
	a.op("RET")
}
