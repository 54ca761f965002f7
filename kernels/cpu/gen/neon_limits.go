package main

// neonLimits writes loops that do nothing but one thing, to measure what a processor can do at best.
func neonLimits(a *arm) {
	a.function("readNEON", "loads n bytes, a positive multiple of 256.", "func(p *byte, n uint64)")
	a.params(map[greg]string{vecA: "p", vecCount: "n"})
	a.loop("loop", func() {
		for v := vreg(0); v < 16; v += 2 {
			a.loadPair(vecA, 16*int(v), v)
		}
		a.advance(vecA, 256)
		a.step(vecCount, 256)
	})
	a.op("RET")
	neonPeak(a, "multiplyBytesNEON", "does n rounds of 16 times 16 products of bytes.", func(v vreg) word { return sdotLane(v, 16, lane{17, 0}) })
	neonPeak(a, "multiplyFloatsNEON", "does n rounds of 16 times 4 products of floats.", func(v vreg) word { return fmlaLane(v, 16, lane{17, 0}) })
}

// neonPeak repeats an instruction on registers that do not wait for each other.
func neonPeak(a *arm, name, doc string, one func(v vreg) word) {
	a.function(name, doc, "func(n uint64)")
	a.params(map[greg]string{vecCount: "n"})
	for v := range vreg(18) {
		a.zero(v)
	}
	a.loop("loop", func() {
		for v := range vreg(16) {
			a.word(one(v))
		}
		a.step(vecCount, 1)
	})
	a.op("RET")
}
