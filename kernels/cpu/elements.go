package cpu

import (
	"verbatim/kernels"
	"verbatim/kernels/canon"
	"verbatim/kernels/quant"
)

// The operators on single vectors. They share threads only when there is enough to do.

const (
	parallelElements = 16 << 10 // below this one thread is faster
	chunkElements    = 4 << 10
)

// operator tells elements what to do.
type operator int

const (
	opAdd operator = iota
	opAddRow
	opSwiGLU
	opRMSNorm
	opRoPE
)

// elements is the task of an operator on vectors. Its items are chunks of elements, or rows.
type elements struct {
	level        *level
	op           operator
	dst, a, b    []float32
	weight       []float32 // a row for all rows
	eps          float32
	heads, width int // of RoPE: heads of width elements
	rotated      int
	partials     [][canon.Lanes]float32 // by worker
}

// share runs the items on the pool when there are many elements.
func (e *elements) share(p *pool, items, total int) {
	if total >= parallelElements {
		p.run(e, items)
		return
	}
	for item := range items {
		e.run(item, 0)
	}
}

func (e *elements) run(item, worker int) {
	switch e.op {
	case opAdd, opSwiGLU:
		first := item * chunkElements
		end := min(first+chunkElements, len(e.dst))
		if e.op == opAdd {
			e.level.addVector(e.dst[first:end], e.a[first:end])
		} else {
			e.level.swigluVector(e.dst[first:end], e.a[first:end], e.b[first:end])
		}
	case opAddRow:
		n := len(e.weight)
		e.level.addVector(e.dst[item*n:][:n], e.weight)
	case opRMSNorm:
		n := len(e.weight)
		e.level.normaliseVector(e.dst[item*n:][:n], e.a[item*n:][:n], e.weight, e.eps, &e.partials[worker])
	case opRoPE:
		angles := e.b[item*e.rotated:][:e.rotated]
		for h := range e.heads {
			e.level.rotateHead(e.dst[(item*e.heads+h)*e.width:][:e.width], angles)
		}
	}
}

func chunks(n int) int { return (n + chunkElements - 1) / chunkElements }

// Add is section 9 of SPEC.md.
func (b *Backend) Add(dst, src kernels.Buffer, n int) {
	e := &b.each
	e.op, e.dst, e.a = opAdd, dst.(*buffer).x[:n], src.(*buffer).x[:n]
	e.share(b.pool, chunks(n), n)
}

// AddRow is the bias of section 9 of SPEC.md.
func (b *Backend) AddRow(dst kernels.Buffer, row kernels.Matrix, rows int) {
	e := &b.each
	m := row.(*matrix)
	e.op, e.weight, e.dst = opAddRow, m.norm, dst.(*buffer).x[:rows*m.cols]
	e.share(b.pool, rows, rows*m.cols)
}

// SwiGLU is section 9 of SPEC.md.
func (b *Backend) SwiGLU(dst, gate, up kernels.Buffer, n int) {
	e := &b.each
	e.op, e.dst, e.a, e.b = opSwiGLU, dst.(*buffer).x[:n], gate.(*buffer).x[:n], up.(*buffer).x[:n]
	e.share(b.pool, chunks(n), n)
}

// RMSNorm is section 6 of SPEC.md.
func (b *Backend) RMSNorm(dst, src kernels.Buffer, weight kernels.Matrix, eps float32, rows int) {
	e := &b.each
	m := weight.(*matrix)
	e.op, e.weight, e.eps = opRMSNorm, m.norm, eps
	e.dst, e.a = dst.(*buffer).x[:rows*m.cols], src.(*buffer).x[:rows*m.cols]
	e.share(b.pool, rows, rows*m.cols)
}

// RoPE is section 7 of SPEC.md.
func (b *Backend) RoPE(x, cosSin kernels.Buffer, heads, headDim, rotated, rows int) {
	e := &b.each
	e.op, e.dst, e.b = opRoPE, x.(*buffer).x, cosSin.(*buffer).x
	e.heads, e.width, e.rotated = heads, headDim, rotated
	e.share(b.pool, rows, rows*heads*headDim)
}

// Embed is section 9 of SPEC.md.
func (b *Backend) Embed(dst kernels.Buffer, table kernels.Matrix, tokens []int32) {
	m := table.(*matrix)
	for i, token := range tokens {
		quant.Dequantise(m.t, dst.(*buffer).x[i*m.cols:][:m.cols], m.row(int(token)))
	}
}
