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
				scores(g, l, vectors, queries+1)
				values(g, l, vectors, queries+1)
			}
		}
	}
}

// scores has positions in the lanes: score = fma(q[i], k[i], score) for i in order.
func scores(g *gen, l level, vectors, queries int) {
	name := fmt.Sprintf("scores%dx%d%s", vectors*l.lanes, queries, l.name)
	g.text(name,
		fmt.Sprintf("%s computes the scores of %d positions for %d queries. k and q hold one group an element of the head.", name, vectors*l.lanes, queries),
		"func(scores *float32, scoresStride uint64, k *byte, kStride uint64, q *float32, headDim uint64)")
	out, k, kStride, q, n := g.param("scores"), g.param("k"), g.param("kStride"), g.param("q"), g.param("headDim")
	r := &registers{level: l}
	sum, key := r.grid(vectors, queries), r.grid(1, vectors)[0]
	for _, s := range flat(sum) {
		g.zero(s)
	}
	loop := g.label("element")
	g.Label(loop)
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
func values(g *gen, l level, vectors, queries int) {
	name := fmt.Sprintf("values%dx%d%s", vectors*l.lanes, queries, l.name)
	g.text(name,
		fmt.Sprintf("%s sums %d elements of the values of n positions for %d queries, with weights e.", name, vectors*l.lanes, queries),
		"func(o *float32, oStride uint64, v *byte, vStride uint64, e *float32, eStride uint64, n uint64)")
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
	g.Label(loop)
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
