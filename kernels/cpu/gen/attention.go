package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// queriesMax is the number of query heads that attention handles at once; kernels/cpu's attention.go has the same number.
const queriesMax = 4

func attention(g *gen) {
	for _, l := range []level{avx2, avx512} {
		for _, vectors := range l.attentionVectors {
			for queries := range queriesMax {
				scores(g, l, vectors, queries+1, false)
				values(g, l, vectors, queries+1, false)
			}
		}
	}
	c := constants(g)
	for queries := range queriesMax {
		scores(g, avx512, farVectors, queries+1, true)
		values(g, avx512, farVectors, queries+1, true)
		softmaxes512(g, c, queries+1)
	}
}

// farVectors are the registers of positions or elements of the functions that ask memory ahead: 128 bytes of f16.
const farVectors = 4

// askFar asks for as much as a step reads, at far, and moves far on.
func askFar(g *gen, far, stride reg.Register) {
	g.PREFETCHT0(mem(far, 0))
	g.PREFETCHT0(mem(far, 64))
	g.ADDQ(stride, far)
}

// scores has positions in the lanes: score = fma(q[i], k[i], score) for i in order.
func scores(g *gen, l level, vectors, queries int, asks bool) {
	suffix, doc, param := ahead(asks)
	name := fmt.Sprintf("scores%dx%d%s%s", vectors*l.lanes, queries, suffix, l.name)
	g.text(name,
		fmt.Sprintf("%s computes the scores of %d positions for %d queries. k and q hold one group an element of the head.%s", name, vectors*l.lanes, queries, doc),
		"func(scores *float32, scoresStride uint64, k *byte, kStride uint64, q *float32, headDim uint64"+param+")")
	out, k, kStride, q, n := g.param("scores"), g.param("k"), g.param("kStride"), g.param("q"), g.param("headDim")
	r := &registers{level: l}
	sum, key := r.grid(vectors, queries), r.grid(1, vectors)[0]
	for _, s := range flat(sum) {
		g.zero(s)
	}
	var far reg.Register
	if asks {
		far = g.param("far")
	}
	loop := g.label("element")
	g.Label(loop)
	if asks {
		askFar(g, far, kStride)
	}
	for v := range vectors {
		g.VCVTPH2PS(mem(k, 2*l.lanes*v), key[v])
	}
	multiply(g, l, sum, key, func(query int) operand.Mem { return mem(q, 4*query) }, r)
	g.ADDQ(kStride, k)
	g.ADDQ(operand.U32(4*queries), q)
	g.DECQ(n)
	g.JNZ(operand.LabelRef(loop))
	stride := g.param("scoresStride")
	store(g, l, sum, out, stride)
}

// values has elements of the head in the lanes: o = fma(e[j], v[j], o) for positions j in order.
func values(g *gen, l level, vectors, queries int, asks bool) {
	suffix, doc, param := ahead(asks)
	name := fmt.Sprintf("values%dx%d%s%s", vectors*l.lanes, queries, suffix, l.name)
	g.text(name,
		fmt.Sprintf("%s sums %d elements of the values of n positions for %d queries, with weights e.%s", name, vectors*l.lanes, queries, doc),
		"func(o *float32, oStride uint64, v *byte, vStride uint64, e *float32, eStride uint64, n uint64"+param+")")
	out, value, vStride, n := g.param("o"), g.param("v"), g.param("vStride"), g.param("n")
	e := []reg.GPVirtual{g.param("e")}
	eStride := g.param("eStride")
	for range queries - 1 {
		next := g.GP64()
		g.MOVQ(e[len(e)-1], next)
		g.ADDQ(eStride, next)
		e = append(e, next)
	}
	r := &registers{level: l}
	sum, v := r.grid(vectors, queries), r.grid(1, vectors)[0]
	for _, s := range flat(sum) {
		g.zero(s)
	}
	loop := g.label("position")
	j := g.GP64()
	g.XORQ(j, j)
	var far reg.Register
	if asks {
		far = g.param("far")
	}
	g.Label(loop)
	if asks {
		askFar(g, far, vStride)
	}
	for i := range vectors {
		g.VCVTPH2PS(mem(value, 2*l.lanes*i), v[i])
	}
	multiply(g, l, sum, v, func(query int) operand.Mem {
		return operand.Mem{Base: e[query], Index: j, Scale: 4}
	}, r)
	g.ADDQ(vStride, value)
	g.INCQ(j)
	g.CMPQ(j, n)
	g.JNE(operand.LabelRef(loop))
	stride := g.param("oStride")
	store(g, l, sum, out, stride)
}

// ahead is what tells the functions that ask memory ahead from the others.
func ahead(asks bool) (suffix, doc, param string) {
	if !asks {
		return "", "", ""
	}
	return "Far", " It asks for as much memory from far on as it reads.", ", far *byte"
}

// softmaxes512 does what softmaxAVX512 does for several rows: the latencies of one row are hidden behind the others.
func softmaxes512(g *gen, c map[string]operand.Mem, queries int) {
	name := fmt.Sprintf("softmaxes%dAVX512", queries)
	g.text(name,
		fmt.Sprintf("%s does for %d rows of e, %d bytes apart, what softmaxAVX512 does for one. ml gets their m, and %d elements on their l.", name, queries, softmaxStride, queriesMax),
		"func(e *float32, n uint64, ml *float32)")
	e, n, ml := g.param("e"), g.param("n"), g.param("ml")
	row := func(i reg.Register, query, k int) operand.Mem { return at(e, i, query*softmaxStride/4+16*k) }
	r := &registers{level: avx512}
	m, t := r.grid(1, queries)[0], r.grid(1, queries)[0]
	sums := r.grid(queries, 2)
	for query := range queries {
		g.VMOVUPS(mem(e, query*softmaxStride), m[query])
	}
	loop8(g, n, 16, func(i reg.Register) {
		for query := range queries {
			g.VMAXPS(row(i, query, 0), m[query], m[query])
		}
	})
	reduce(g, m, t, func(a, b, to reg.Register) { g.VMAXPS(a, b, to) })
	for query := range queries {
		x := m[query].(reg.Vec).AsX()
		g.VMOVSS(x, mem(ml, 4*query))
		g.VBROADCASTSS(x, m[query])
	}
	for _, s := range flat(sums) {
		g.zero(s)
	}
	v := r.v[r.used:]
	loop8(g, n, 32, func(i reg.Register) {
		for query := range queries {
			for k, s := range sums[query] {
				g.VMOVUPS(row(i, query, k), v[0])
				g.VSUBPS(m[query], v[0], v[0])
				exp512(g, c, v[0], v[1], v[2], v[3], reg.K1)
				g.VMOVUPS(v[2], row(i, query, k))
				g.VADDPS(v[2], s, s)
			}
		}
	})
	for query := range queries {
		g.VADDPS(sums[query][1], sums[query][0], m[query])
	}
	reduce(g, m, t, func(a, b, to reg.Register) { g.VADDPS(a, b, to) })
	for query := range queries {
		g.VMOVSS(m[query].(reg.Vec).AsX(), mem(ml, 4*(queriesMax+query)))
	}
	g.VZEROUPPER()
	g.RET()
}

// softmaxStride is the distance of rows of scores in bytes: kernels.SplitPositions of them.
const softmaxStride = 4 * 128

// reduce combines the 16 lanes of each of v into the first, in the order of the tree of SPEC.md section 1.
func reduce(g *gen, v, t []reg.Register, combine func(a, b, to reg.Register)) {
	y := func(r reg.Register) reg.Register { return r.(reg.Vec).AsY() }
	x := func(r reg.Register) reg.Register { return r.(reg.Vec).AsX() }
	for i := range v {
		g.VEXTRACTF64X4(operand.U8(1), v[i], y(t[i]))
		combine(y(t[i]), y(v[i]), y(v[i]))
	}
	for i := range v {
		g.VEXTRACTF128(operand.U8(1), y(v[i]), x(t[i]))
		combine(x(t[i]), x(v[i]), x(v[i]))
	}
	for _, lanes := range []uint8{0x4E, 0xB1} {
		for i := range v {
			g.VPERMILPS(operand.U8(lanes), x(v[i]), x(t[i]))
			combine(x(t[i]), x(v[i]), x(v[i]))
		}
	}
}

// multiply is sum[v][query] = fma(x(query), a[v], sum[v][query]).
func multiply(g *gen, l level, sum [][]reg.Register, a []reg.Register, x func(query int) operand.Mem, r *registers) {
	t := r.v[len(r.v)-1]
	for query := range sum[0] {
		g.VBROADCASTSS(x(query), t)
		for v := range a {
			g.VFMADD231PS(t, a[v], sum[v][query])
		}
	}
}

// store writes sum[v][query] to out + query*stride and ends the function.
func store(g *gen, l level, sum [][]reg.Register, out, stride reg.Register) {
	for query := range sum[0] {
		for v := range sum {
			g.VMOVUPS(sum[v][query], mem(out, v*l.bytes()))
		}
		if query+1 < len(sum[0]) {
			g.ADDQ(stride, out)
		}
	}
	g.VZEROUPPER()
	g.RET()
}
