package main

import (
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// limits writes loops that do nothing but one thing, to measure what a processor can do at best.
func limits(g *gen) {
	g.text("readAVX2", "readAVX2 loads n bytes, a positive multiple of 256.", "func(p *byte, n uint64)")
	p, n := g.param("p"), g.param("n")
	loop := g.label("loop")
	g.Label(loop)
	for i := range 8 {
		g.PREFETCHT0(mem(p, 4096+64*(i/2)))
		g.VMOVDQU(mem(p, 32*i), avx2.v[i])
	}
	g.ADDQ(operand.U32(256), p)
	g.SUBQ(operand.U32(256), n)
	g.JNZ(operand.LabelRef(loop))
	g.VZEROUPPER()
	g.RET()

	peak(g, "multiplyBytesAVX2", "does n rounds of 4 times 32 products of bytes.", avx2.v[:4], func(v reg.Register) {
		x, ones, t := reg.Y13, reg.Y14, avx2.v[4+indexOf(avx2.v, v)]
		g.VPMADDUBSW(x, x, t)
		g.VPMADDWD(t, ones, t)
		g.VPADDD(t, v, v)
	})
	peak(g, "multiplyBytesAVX512", "does n rounds of 16 times 64 products of bytes.", avx512.v[:16], func(v reg.Register) {
		g.VPDPBUSD(reg.Z30, reg.Z31, v)
	})
	peak(g, "multiplyFloatsAVX2", "does n rounds of 12 times 8 products of floats.", avx2.v[:12], func(v reg.Register) {
		g.VFMADD231PS(reg.Y14, reg.Y15, v)
	})
	peak(g, "multiplyFloatsAVX512", "does n rounds of 16 times 16 products of floats.", avx512.v[:16], func(v reg.Register) {
		g.VFMADD231PS(reg.Z30, reg.Z31, v)
	})
}

// peak repeats an instruction on registers that do not wait for each other.
func peak(g *gen, name, doc string, v []reg.Register, one func(v reg.Register)) {
	g.text(name, name+" "+doc, "func(n uint64)")
	n := g.param("n")
	all := avx2.v
	if v[0].Size() == 64 {
		all = avx512.v
	}
	for _, r := range all {
		g.zero(r)
	}
	loop := g.label("loop")
	g.Label(loop)
	for _, r := range v {
		one(r)
	}
	g.DECQ(n)
	g.JNZ(operand.LabelRef(loop))
	g.VZEROUPPER()
	g.RET()
}

func indexOf(list []reg.Register, r reg.Register) int {
	for i, v := range list {
		if v == r {
			return i
		}
	}
	panic("gen: internal error: no such register")
}
