package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// vector writes the operators that are a small part of the work. Those for AVX2 serve AVX-512 too, except where exp makes them
// slow.
func vector(g *gen) {
	c := constants(g)
	pause(g)
	prefetch(g)
	largest(g, c)
	encode(g)
	sumSquares(g)
	normalise(g)
	swiglu(g, c)
	swiglu512(g, c)
	add(g)
	rotate(g)
	softmax(g, c)
	softmax512(g, c)
	accumulate(g)
	scale(g)
	toF16(g)
}

// constants puts each constant of SPEC.md section 2 into memory, once a lane.
func constants(g *gen) map[string]operand.Mem {
	c := map[string]operand.Mem{}
	for _, k := range []struct {
		name string
		bits uint32
	}{
		{"log2e", 0x3FB8AA3B}, {"ln2Hi", 0xBF317200}, {"ln2Lo", 0xB5BFBE8E},
		{"c6", 0x3AB511E8}, {"c5", 0x3C091D10}, {"c4", 0x3D2AAC79}, {"c3", 0x3E2AAA49}, {"c2", 0x3EFFFFFE}, {"one", 0x3F800000},
		{"expMax", 0x42B00000}, {"expMin", 0xC2AE0000}, {"infinity", 0x7F800000}, {"bias", 127},
		{"noSign", 0x7FFFFFFF}, {"sign", 0x80000000},
	} {
		c[k.name] = g.StaticGlobal(k.name)
		g.DataAttributes(attr.RODATA | attr.NOPTR)
		for lane := range avx2.lanes {
			g.AddDatum(4*lane, operand.U32(k.bits))
		}
	}
	return c
}

// loop8 runs body for each register of 8 elements. The function's n is a positive multiple of 8; body gets the
// byte offset as an index register.
func loop8(g *gen, n reg.Register, elements int, body func(i reg.Register)) {
	i := g.GP64()
	g.XORQ(i, i)
	loop := g.label("loop")
	g.Label(loop)
	body(i)
	g.ADDQ(operand.U32(elements), i)
	g.CMPQ(i, n)
	g.JB(operand.LabelRef(loop))
}

// at is element i + disp of a float32 array.
func at(base, i reg.Register, disp int) operand.Mem {
	return operand.Mem{Base: base, Index: i, Scale: 4, Disp: 4 * disp}
}

func pause(g *gen) {
	g.text("pause", "pause lets the processor rest for n short moments.", "func(n uint64)")
	n := g.param("n")
	loop := g.label("loop")
	g.Label(loop)
	g.PAUSE()
	g.DECQ(n)
	g.JNZ(operand.LabelRef(loop))
	g.RET()
}

func prefetch(g *gen) {
	const line = 64
	g.text("prefetch", "prefetch asks for n bytes of memory, a positive multiple of 64, to be brought near.", "func(p *byte, n uint64)")
	p, n := g.param("p"), g.param("n")
	loop := g.label("line")
	g.Label(loop)
	g.PREFETCHT0(mem(p, 0))
	g.ADDQ(operand.U32(line), p)
	g.SUBQ(operand.U32(line), n)
	g.JNZ(operand.LabelRef(loop))
	g.RET()
}

func largest(g *gen, c map[string]operand.Mem) {
	g.text("largestAVX2", "largestAVX2 is the largest bit pattern of x without signs; n is a positive multiple of 32.", "func(x *float32, n uint64) uint32")
	x, n := g.param("x"), g.param("n")
	mask, m := reg.Y15, []reg.Register{reg.Y0, reg.Y1, reg.Y2, reg.Y3}
	g.VMOVDQU(c["noSign"], mask)
	for _, v := range m {
		g.zero(v)
	}
	loop8(g, n, 32, func(i reg.Register) {
		for k, v := range m {
			g.VPAND(at(x, i, 8*k), mask, reg.Y4)
			g.VPMAXSD(reg.Y4, v, v)
		}
	})
	g.VPMAXSD(reg.Y1, reg.Y0, reg.Y0)
	g.VPMAXSD(reg.Y3, reg.Y2, reg.Y2)
	g.VPMAXSD(reg.Y2, reg.Y0, reg.Y0)
	g.VEXTRACTI128(operand.U8(1), reg.Y0, reg.X1)
	g.VPMAXSD(reg.X1, reg.X0, reg.X0)
	g.VPSHUFD(operand.U8(0x4E), reg.X0, reg.X1)
	g.VPMAXSD(reg.X1, reg.X0, reg.X0)
	g.VPSHUFD(operand.U8(0xB1), reg.X0, reg.X1)
	g.VPMAXSD(reg.X1, reg.X0, reg.X0)
	out := g.GP32()
	g.VMOVD(reg.X0, out)
	g.VZEROUPPER()
	g.Store(out, g.ReturnIndex(0))
	g.RET()
}

func encode(g *gen) {
	g.text("encodeAVX2", "encodeAVX2 writes rne(x*r) as codes, four of them every stride bytes, and the sums of each 16.", "func(codes *int8, stride uint64, sums *int32, x *float32, r float32, blocks uint64)")
	codes, stride, sums, x, blocks := g.param("codes"), g.param("stride"), g.param("sums"), g.param("x"), g.param("blocks")
	r := reg.Y15
	g.Load(g.Param("r"), reg.X15)
	g.VBROADCASTSS(reg.X15, r)
	loop := g.label("block")
	g.Label(loop)
	v := []reg.Register{reg.Y0, reg.Y1, reg.Y2, reg.Y3}
	for k, y := range v {
		g.VMULPS(mem(x, 32*k), r, y)
		g.VCVTPS2DQ(y, y)
	}
	g.VPADDD(reg.Y0, reg.Y1, reg.Y4)
	g.VPADDD(reg.Y2, reg.Y3, reg.Y5)
	g.VPHADDD(reg.Y5, reg.Y4, reg.Y4)
	g.VEXTRACTI128(operand.U8(1), reg.Y4, reg.X5)
	g.VPADDD(reg.X5, reg.X4, reg.X4)
	g.VPHADDD(reg.X4, reg.X4, reg.X4)
	g.VMOVQ(reg.X4, mem(sums, 0))
	// Packing works on 128-bit halves: groups of four bytes come out in the order 0 2 4 6 1 3 5 7.
	g.VPACKSSDW(reg.Y1, reg.Y0, reg.Y0)
	g.VPACKSSDW(reg.Y3, reg.Y2, reg.Y2)
	g.VPACKSSWB(reg.Y2, reg.Y0, reg.Y0)
	g.VEXTRACTI128(operand.U8(1), reg.Y0, reg.X1)
	for k := range 4 {
		g.VPEXTRD(operand.U8(k), reg.X0, mem(codes, 0))
		g.VPEXTRD(operand.U8(k), reg.X1, operand.Mem{Base: codes, Index: stride, Scale: 1})
		g.LEAQ(operand.Mem{Base: codes, Index: stride, Scale: 2}, codes)
	}
	g.ADDQ(operand.U32(128), x)
	g.ADDQ(operand.U32(8), sums)
	g.DECQ(blocks)
	g.JNZ(operand.LabelRef(loop))
	g.VZEROUPPER()
	g.RET()
}

func sumSquares(g *gen) {
	g.text("sumSquaresAVX2", "sumSquaresAVX2 writes the 32 partial sums of squares of x; n is a positive multiple of 32.", "func(p, x *float32, n uint64)")
	p, x, n := g.param("p"), g.param("x"), g.param("n")
	sums := avx2.v[:4]
	for _, s := range sums {
		g.zero(s)
	}
	loop8(g, n, 32, func(i reg.Register) {
		for k, s := range sums {
			g.VMOVUPS(at(x, i, 8*k), reg.Y4)
			g.VFMADD231PS(reg.Y4, reg.Y4, s)
		}
	})
	for k, s := range sums {
		g.VMOVUPS(s, mem(p, 32*k))
	}
	g.VZEROUPPER()
	g.RET()
}

func normalise(g *gen) {
	g.text("normaliseAVX2", "normaliseAVX2 is dst = (x*r)*w; n is a positive multiple of 8.", "func(dst, x, w *float32, r float32, n uint64)")
	dst, x, w, n := g.param("dst"), g.param("x"), g.param("w"), g.param("n")
	g.Load(g.Param("r"), reg.X15)
	g.VBROADCASTSS(reg.X15, reg.Y15)
	loop8(g, n, 8, func(i reg.Register) {
		g.VMULPS(at(x, i, 0), reg.Y15, reg.Y0)
		g.VMULPS(at(w, i, 0), reg.Y0, reg.Y0)
		g.VMOVUPS(reg.Y0, at(dst, i, 0))
	})
	g.VZEROUPPER()
	g.RET()
}

// exp leaves exp(x) in p; n and t are scratch.
func exp(g *gen, c map[string]operand.Mem, x, n, p, t reg.Register) {
	g.VMULPS(c["log2e"], x, n)
	g.VCVTPS2DQ(n, n)
	g.VCVTDQ2PS(n, p)
	g.VMOVAPS(x, t)
	g.VFMADD231PS(c["ln2Hi"], p, t)
	g.VFMADD231PS(c["ln2Lo"], p, t)
	g.VMOVUPS(c["c6"], p)
	for _, k := range []string{"c5", "c4", "c3", "c2", "one", "one"} {
		g.VFMADD213PS(c[k], t, p)
	}
	g.VPADDD(c["bias"], n, n)
	g.VPSLLD(operand.U8(23), n, n)
	g.VMULPS(n, p, p)
	const lessThan, greaterThan = 0x11, 0x1E
	g.VCMPPS(operand.U8(greaterThan), c["expMax"], x, t)
	g.VMOVUPS(c["infinity"], n)
	g.VBLENDVPS(t, n, p, p)
	g.VCMPPS(operand.U8(lessThan), c["expMin"], x, t)
	g.VANDNPS(p, t, p)
}

// exp512 does the same; k is scratch.
func exp512(g *gen, c map[string]operand.Mem, x, n, p, t reg.Register, k reg.Register) {
	g.VMULPS_BCST(c["log2e"], x, n)
	g.VCVTPS2DQ(n, n)
	g.VCVTDQ2PS(n, p)
	g.VMOVAPS(x, t)
	g.VFMADD231PS_BCST(c["ln2Hi"], p, t)
	g.VFMADD231PS_BCST(c["ln2Lo"], p, t)
	g.VBROADCASTSS(c["c6"], p)
	for _, name := range []string{"c5", "c4", "c3", "c2", "one", "one"} {
		g.VFMADD213PS_BCST(c[name], t, p)
	}
	g.VPADDD_BCST(c["bias"], n, n)
	g.VPSLLD(operand.U8(23), n, n)
	g.VMULPS(n, p, p)
	const notLess, greaterThan = 0x15, 0x1E
	g.VCMPPS_BCST(operand.U8(greaterThan), c["expMax"], x, k)
	g.VBROADCASTSS(c["infinity"], k, p)
	g.VCMPPS_BCST(operand.U8(notLess), c["expMin"], x, k)
	g.VMOVAPS_Z(p, k, p)
}

func swiglu(g *gen, c map[string]operand.Mem) {
	g.text("swigluAVX2", "swigluAVX2 is dst = silu(gate)*up; n is a positive multiple of 8.", "func(dst, gate, up *float32, n uint64)")
	dst, gate, up, n := g.param("dst"), g.param("gate"), g.param("up"), g.param("n")
	loop8(g, n, 8, func(i reg.Register) {
		g.VMOVUPS(at(gate, i, 0), reg.Y0)
		g.VXORPS(c["sign"], reg.Y0, reg.Y1)
		exp(g, c, reg.Y1, reg.Y2, reg.Y3, reg.Y4)
		g.VADDPS(c["one"], reg.Y3, reg.Y3)
		g.VDIVPS(reg.Y3, reg.Y0, reg.Y0)
		g.VMULPS(at(up, i, 0), reg.Y0, reg.Y0)
		g.VMOVUPS(reg.Y0, at(dst, i, 0))
	})
	g.VZEROUPPER()
	g.RET()
}

func swiglu512(g *gen, c map[string]operand.Mem) {
	g.text("swigluAVX512", "swigluAVX512 is dst = silu(gate)*up; n is a positive multiple of 8.", "func(dst, gate, up *float32, n uint64)")
	dst, gate, up, n := g.param("dst"), g.param("gate"), g.param("up"), g.param("n")
	// The last register may be half full: lane i counts if i < n.
	lanes := g.GP32()
	g.MOVL(operand.U32(0xFFFF), lanes)
	g.KMOVW(lanes, reg.K2)
	i, left := g.GP64(), g.GP64()
	g.XORQ(i, i)
	loop, whole := g.label("loop"), g.label("whole")
	g.Label(loop)
	g.MOVQ(n, left)
	g.SUBQ(i, left)
	g.CMPQ(left, operand.U32(16))
	g.JAE(operand.LabelRef(whole))
	g.MOVL(operand.U32(0xFF), lanes)
	g.KMOVW(lanes, reg.K2)
	g.Label(whole)
	g.VMOVUPS_Z(at(gate, i, 0), reg.K2, reg.Z0)
	g.VPXORD_BCST(c["sign"], reg.Z0, reg.Z1)
	exp512(g, c, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.K1)
	g.VADDPS_BCST(c["one"], reg.Z3, reg.Z3)
	g.VDIVPS(reg.Z3, reg.Z0, reg.Z0)
	g.VMOVUPS_Z(at(up, i, 0), reg.K2, reg.Z1)
	g.VMULPS(reg.Z1, reg.Z0, reg.Z0)
	g.VMOVUPS(reg.Z0, reg.K2, at(dst, i, 0))
	g.ADDQ(operand.U32(16), i)
	g.CMPQ(i, n)
	g.JB(operand.LabelRef(loop))
	g.VZEROUPPER()
	g.RET()
}

func add(g *gen) {
	g.text("addAVX2", "addAVX2 is dst = dst + src; n is a positive multiple of 8.", "func(dst, src *float32, n uint64)")
	dst, src, n := g.param("dst"), g.param("src"), g.param("n")
	loop8(g, n, 8, func(i reg.Register) {
		g.VMOVUPS(at(dst, i, 0), reg.Y0)
		g.VADDPS(at(src, i, 0), reg.Y0, reg.Y0)
		g.VMOVUPS(reg.Y0, at(dst, i, 0))
	})
	g.VZEROUPPER()
	g.RET()
}

func rotate(g *gen) {
	g.text("rotateAVX2", "rotateAVX2 turns the pairs of x by the cosines and sines; n is a positive multiple of 8.", "func(x, cosSin *float32, n uint64)")
	x, cosSin, n := g.param("x"), g.param("cosSin"), g.param("n")
	loop8(g, n, 8, func(i reg.Register) {
		g.VMOVUPS(at(cosSin, i, 0), reg.Y0)
		g.VMOVUPS(at(x, i, 0), reg.Y1)
		g.VMOVSLDUP(reg.Y0, reg.Y2)
		g.VMOVSHDUP(reg.Y0, reg.Y3)
		g.VPERMILPS(operand.U8(0xB1), reg.Y1, reg.Y4)
		g.VMULPS(reg.Y2, reg.Y1, reg.Y1)
		g.VMULPS(reg.Y3, reg.Y4, reg.Y4)
		g.VADDSUBPS(reg.Y4, reg.Y1, reg.Y1)
		g.VMOVUPS(reg.Y1, at(x, i, 0))
	})
	g.VZEROUPPER()
	g.RET()
}

func softmax(g *gen, c map[string]operand.Mem) {
	g.text("softmaxAVX2", "softmaxAVX2 finds the largest of e, m, replaces e by exp(e-m) and gives the strided sum; n is a positive multiple of 32.",
		"func(e *float32, n uint64) (m, l float32)")
	e, n := g.param("e"), g.param("n")
	g.VMOVUPS(mem(e, 0), reg.Y0)
	loop8(g, n, 8, func(i reg.Register) { g.VMAXPS(at(e, i, 0), reg.Y0, reg.Y0) })
	g.VEXTRACTF128(operand.U8(1), reg.Y0, reg.X1)
	g.VMAXPS(reg.X1, reg.X0, reg.X0)
	g.VPERMILPS(operand.U8(0x4E), reg.X0, reg.X1)
	g.VMAXPS(reg.X1, reg.X0, reg.X0)
	g.VPERMILPS(operand.U8(0xB1), reg.X0, reg.X1)
	g.VMAXPS(reg.X1, reg.X0, reg.X0)
	g.Store(reg.X0, g.Return("m"))
	m := reg.Y15
	g.VBROADCASTSS(reg.X0, m)
	sums := avx2.v[8:12]
	for _, s := range sums {
		g.zero(s)
	}
	loop8(g, n, 32, func(i reg.Register) {
		for k, s := range sums {
			g.VMOVUPS(at(e, i, 8*k), reg.Y0)
			g.VSUBPS(m, reg.Y0, reg.Y0)
			exp(g, c, reg.Y0, reg.Y1, reg.Y2, reg.Y3)
			g.VMOVUPS(reg.Y2, at(e, i, 8*k))
			g.VADDPS(reg.Y2, s, s)
		}
	})
	g.VADDPS(reg.Y10, reg.Y8, reg.Y8)
	g.VADDPS(reg.Y11, reg.Y9, reg.Y9)
	g.VADDPS(reg.Y9, reg.Y8, reg.Y8)
	g.VEXTRACTF128(operand.U8(1), reg.Y8, reg.X9)
	g.VADDPS(reg.X9, reg.X8, reg.X8)
	g.VPERMILPS(operand.U8(0x4E), reg.X8, reg.X9)
	g.VADDPS(reg.X9, reg.X8, reg.X8)
	g.VPERMILPS(operand.U8(0xB1), reg.X8, reg.X9)
	g.VADDPS(reg.X9, reg.X8, reg.X8)
	g.Store(reg.X8, g.Return("l"))
	g.VZEROUPPER()
	g.RET()
}

func softmax512(g *gen, c map[string]operand.Mem) {
	g.text("softmaxAVX512", "softmaxAVX512 finds the largest of e, m, replaces e by exp(e-m) and gives the strided sum; n is a positive multiple of 32.",
		"func(e *float32, n uint64) (m, l float32)")
	e, n := g.param("e"), g.param("n")
	g.VMOVUPS(mem(e, 0), reg.Z0)
	loop8(g, n, 16, func(i reg.Register) { g.VMAXPS(at(e, i, 0), reg.Z0, reg.Z0) })
	g.VEXTRACTF64X4(operand.U8(1), reg.Z0, reg.Y1)
	g.VMAXPS(reg.Y1, reg.Y0, reg.Y0)
	g.VEXTRACTF128(operand.U8(1), reg.Y0, reg.X1)
	g.VMAXPS(reg.X1, reg.X0, reg.X0)
	g.VPERMILPS(operand.U8(0x4E), reg.X0, reg.X1)
	g.VMAXPS(reg.X1, reg.X0, reg.X0)
	g.VPERMILPS(operand.U8(0xB1), reg.X0, reg.X1)
	g.VMAXPS(reg.X1, reg.X0, reg.X0)
	g.Store(reg.X0, g.Return("m"))
	m := reg.Z15
	g.VBROADCASTSS(reg.X0, m)
	sums := avx512.v[8:10]
	for _, s := range sums {
		g.zero(s)
	}
	loop8(g, n, 32, func(i reg.Register) {
		for k, s := range sums {
			v := avx512.v[4*k:]
			g.VMOVUPS(at(e, i, 16*k), v[0])
			g.VSUBPS(m, v[0], v[0])
			exp512(g, c, v[0], v[1], v[2], v[3], reg.K1)
			g.VMOVUPS(v[2], at(e, i, 16*k))
			g.VADDPS(v[2], s, s)
		}
	})
	g.VADDPS(reg.Z9, reg.Z8, reg.Z8)
	g.VEXTRACTF64X4(operand.U8(1), reg.Z8, reg.Y9)
	g.VADDPS(reg.Y9, reg.Y8, reg.Y8)
	g.VEXTRACTF128(operand.U8(1), reg.Y8, reg.X9)
	g.VADDPS(reg.X9, reg.X8, reg.X8)
	g.VPERMILPS(operand.U8(0x4E), reg.X8, reg.X9)
	g.VADDPS(reg.X9, reg.X8, reg.X8)
	g.VPERMILPS(operand.U8(0xB1), reg.X8, reg.X9)
	g.VADDPS(reg.X9, reg.X8, reg.X8)
	g.Store(reg.X8, g.Return("l"))
	g.VZEROUPPER()
	g.RET()
}

func accumulate(g *gen) {
	g.text("accumulateAVX2", "accumulateAVX2 is dst = fma(o, w, dst); n is a positive multiple of 8.", "func(dst, o *float32, w float32, n uint64)")
	dst, o, n := g.param("dst"), g.param("o"), g.param("n")
	g.Load(g.Param("w"), reg.X15)
	g.VBROADCASTSS(reg.X15, reg.Y15)
	loop8(g, n, 8, func(i reg.Register) {
		g.VMOVUPS(at(dst, i, 0), reg.Y0)
		g.VFMADD231PS(at(o, i, 0), reg.Y15, reg.Y0)
		g.VMOVUPS(reg.Y0, at(dst, i, 0))
	})
	g.VZEROUPPER()
	g.RET()
}

func scale(g *gen) {
	g.text("scaleAVX2", "scaleAVX2 is dst = x*r; n is a positive multiple of 8.", "func(dst, x *float32, r float32, n uint64)")
	dst, x, n := g.param("dst"), g.param("x"), g.param("n")
	g.Load(g.Param("r"), reg.X15)
	g.VBROADCASTSS(reg.X15, reg.Y15)
	loop8(g, n, 8, func(i reg.Register) {
		g.VMULPS(at(x, i, 0), reg.Y15, reg.Y0)
		g.VMOVUPS(reg.Y0, at(dst, i, 0))
	})
	g.VZEROUPPER()
	g.RET()
}

func toF16(g *gen) {
	g.text("toF16AVX2", "toF16AVX2 rounds x to f16; n is a positive multiple of 8.", "func(dst *uint16, x *float32, n uint64)")
	dst, x, n := g.param("dst"), g.param("x"), g.param("n")
	loop8(g, n, 8, func(i reg.Register) {
		g.VMOVUPS(at(x, i, 0), reg.Y0)
		g.VCVTPS2PH(operand.U8(0), reg.Y0, operand.Mem{Base: dst, Index: i, Scale: 2})
	})
	g.VZEROUPPER()
	g.RET()
}
