package main

import "fmt"

// neonAttentionLanes are the positions or elements that attention handles at once.
var neonAttentionLanes = []int{16, 32}

// neonAttentionSums bounds the registers of sums.
const neonAttentionSums = 24

func neonAttention(a *arm) {
	for _, lanes := range neonAttentionLanes {
		for queries := range queriesMax {
			neonScores(a, lanes, queries+1)
			neonValues(a, lanes, queries+1)
		}
	}
}

// neonAttend is a function of attention, which adds products of f16 numbers side by side and of one number of each query. Where
// there are not enough registers for the sums, it makes passes over parts of the lanes.
type neonAttend struct {
	*arm
	vectors int // of a pass
	passes  int
	sum     [][]vreg // [vector][query]
	inputs  []vreg
	loaded  vreg
	numbers []vreg // two
}

func newNeonAttend(a *arm, lanes, queries int) *neonAttend {
	f := &neonAttend{arm: a, vectors: lanes / neonLanes, passes: 1}
	for f.vectors*queries > neonAttentionSums {
		f.vectors /= 2
		f.passes *= 2
	}
	r := &registerFile{}
	f.inputs, f.sum, f.loaded, f.numbers = r.take(queries), r.grid(f.vectors, queries), r.one(), r.take(2)
	return f
}

const (
	attendOut    = greg(0)
	attendStride = greg(1) // of out
	attendHalves = greg(2)
	attendNext   = greg(3) // the stride of halves
	attendInputs = greg(4) // and the next 3
	attendApart  = greg(8) // the stride of inputs
	attendCount  = greg(9)
	attendLeft   = greg(10)
	attendFrom   = greg(11) // a row of halves
	attendTo     = greg(12) // a row of out
	attendPass   = greg(13) // a pass's inputs
)

// begin starts a pass: its sums are zero.
func (f *neonAttend) begin(pass int) {
	for _, s := range flat(f.sum) {
		f.zero(s)
	}
	f.op("ADD", imm(2*pass*f.vectors*neonLanes), attendHalves, attendFrom)
}

// add is sum = fma(x, halves, sum) for a row of halves and each query's x.
func (f *neonAttend) add(x []lane) {
	for v := 0; v < f.vectors; v += 2 {
		f.load(attendFrom, 8*v, f.loaded)
		for i, number := range f.numbers {
			f.word(fcvtl(i == 1, number, f.loaded))
			for query, s := range f.sum[v+i] {
				f.word(fmlaLane(s, number, x[query]))
			}
		}
	}
	f.op("ADD", attendNext, attendFrom, attendFrom)
}

// end writes the sums of a pass.
func (f *neonAttend) end(pass int) {
	f.op("ADD", imm(4*pass*f.vectors*neonLanes), attendOut, attendTo)
	for query := range f.sum[0] {
		for v := 0; v < f.vectors; v += 2 {
			f.storeAll([]vreg{f.sum[v][query], f.sum[v+1][query]}, attendTo, 16*v)
		}
		if query+1 < len(f.sum[0]) {
			f.op("ADD", attendStride, attendTo, attendTo)
		}
	}
}

// neonScores has positions in the lanes: score = fma(q[i], k[i], score) for i in order.
func neonScores(a *arm, lanes, queries int) {
	a.function(fmt.Sprintf("scores%dx%dNEON", lanes, queries),
		fmt.Sprintf("computes the scores of %d positions for %d queries. k and q hold one group an element of the head.", lanes, queries),
		"func(scores *float32, scoresStride uint64, k *byte, kStride uint64, q *float32, headDim uint64)")
	a.params(map[greg]string{attendOut: "scores", attendStride: "scoresStride", attendHalves: "k", attendNext: "kStride", attendInputs: "q", attendCount: "headDim"})
	f := newNeonAttend(a, lanes, queries)
	for pass := range f.passes {
		f.begin(pass)
		a.op("MOVD", attendInputs, attendPass)
		a.op("MOVD", attendCount, attendLeft)
		a.loop("element", func() {
			f.add(a.loadLanes(attendPass, 0, queries, f.inputs))
			a.advance(attendPass, 4*queries)
			a.step(attendLeft, 1)
		})
		f.end(pass)
	}
	a.op("RET")
}

// neonValues has elements of the head in the lanes: o = fma(e[j], v[j], o) for positions j in order, four at a time.
func neonValues(a *arm, lanes, queries int) {
	a.function(fmt.Sprintf("values%dx%dNEON", lanes, queries),
		fmt.Sprintf("sums %d elements of the values of n positions for %d queries, with weights e.", lanes, queries),
		"func(o *float32, oStride uint64, v *byte, vStride uint64, e *float32, eStride uint64, n uint64)")
	a.params(map[greg]string{attendOut: "o", attendStride: "oStride", attendHalves: "v", attendNext: "vStride", attendApart: "eStride", attendCount: "n"})
	f := newNeonAttend(a, lanes, queries)
	for pass := range f.passes {
		f.begin(pass)
		f.positions()
		f.end(pass)
	}
	a.op("RET")
}

// positions adds the values of all positions.
func (f *neonAttend) positions() {
	four, one, rest, end := f.label("four"), f.label("one"), f.label("rest"), f.label("end")
	f.op("MOVD", f.fp("e"), attendInputs)
	for query := range greg(len(f.inputs) - 1) {
		f.op("ADD", attendApart, attendInputs+query, attendInputs+query+1)
	}
	f.op("SUBS", imm(4), attendCount, attendLeft)
	f.op("BLT", rest)
	f.mark(four)
	for query, v := range f.inputs {
		f.op("FMOVQ.P", addr(attendInputs+greg(query), 16), v.f())
	}
	for j := range 4 {
		x := make([]lane, len(f.inputs))
		for query, v := range f.inputs {
			x[query] = lane{v, j}
		}
		f.add(x)
	}
	f.step(attendLeft, 4)
	f.op("BGE", four)
	f.mark(rest)
	f.step(attendLeft, -4)
	f.op("BEQ", end)
	f.mark(one)
	x := make([]lane, len(f.inputs))
	for query, v := range f.inputs {
		f.op("FMOVS.P", addr(attendInputs+greg(query), 4), v.f())
		x[query] = lane{v, 0}
	}
	f.add(x)
	f.step(attendLeft, 1)
	f.op("BNE", one)
	f.mark(end)
}
