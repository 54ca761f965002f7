package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// floatKinds are the formats without blocks: name and bytes of a weight.
var floatKinds = []struct {
	name string
	size int
}{{"F32", 4}, {"F16", 2}, {"BF16", 2}}

func floats(g *gen) {
	for _, l := range []level{avx2, avx512} {
		for _, k := range floatKinds {
			for i, vectors := range l.floatVectors {
				f := floatFunc{gen: g, level: l, name: k.name, size: k.size, vectors: vectors, rows: i + 1}
				f.emit()
			}
		}
	}
}

// floatFunc is a function of SPEC.md section 5 for weights without blocks.
type floatFunc struct {
	*gen
	level
	name          string
	size          int
	vectors, rows int

	y, yStride, w, x reg.GPVirtual
	total            [][]reg.Register // [vector][row]
	weight           []reg.Register
	input            []reg.Register // broadcast inputs, AVX2 only
}

func (f *floatFunc) emit() {
	name := fmt.Sprintf("floats%sx%d%s", f.name, f.rows, f.level.name)
	f.text(name,
		fmt.Sprintf("%s adds the products of %d rows of %s weights and %d activation rows to y.", name, f.vectors*f.lanes, f.name, f.rows),
		"func(y *float32, yStride uint64, w *byte, x *float32, cols, segmentCols uint64)")
	f.y, f.w, f.x = f.param("y"), f.param("w"), f.param("x")
	if f.rows > 1 {
		f.yStride = f.param("yStride")
	}
	cols, segment := f.param("cols"), f.param("segmentCols")
	r := &registers{level: f.level}
	f.total = r.grid(f.vectors, f.rows)
	f.weight = []reg.Register{r.next()}
	if f.lanes == 16 {
		f.weight = append(f.weight, r.next())
	} else {
		f.input = r.grid(1, f.rows)[0]
	}

	segmentLoop, colLoop, quadLoop, segmentEnd := f.label("segment"), f.label("col"), f.label("quad"), f.label("end")
	n := f.GP64()
	f.Label(segmentLoop)
	f.MOVQ(segment, n)
	f.CMPQ(cols, n)
	f.CMOVQLT(cols, n)
	f.SUBQ(n, cols)
	for _, t := range flat(f.total) {
		f.zero(t)
	}
	f.SUBQ(operand.U32(4), n)
	f.JL(operand.LabelRef(colLoop + "rest"))
	f.Label(quadLoop)
	f.step(4)
	f.SUBQ(operand.U32(4), n)
	f.JGE(operand.LabelRef(quadLoop))
	f.Label(colLoop + "rest")
	f.ADDQ(operand.U32(4), n)
	f.JZ(operand.LabelRef(segmentEnd))
	f.Label(colLoop)
	f.step(1)
	f.DECQ(n)
	f.JNZ(operand.LabelRef(colLoop))
	f.Label(segmentEnd)
	f.addSegment()
	f.TESTQ(cols, cols)
	f.JNZ(operand.LabelRef(segmentLoop))
	f.VZEROUPPER()
	f.RET()
}

// step is t = fma(w[i], x[i], t) for the next cols columns.
func (f *floatFunc) step(cols int) {
	for c := range cols {
		for row, x := range f.input {
			f.VBROADCASTSS(mem(f.x, 4*(c*f.rows+row)), x)
		}
		for v := range f.vectors {
			w := f.weight[v%len(f.weight)]
			f.loadFloats(f.name, mem(f.w, f.size*(c*tileRows+v*f.lanes)), w)
			for row := range f.rows {
				if f.lanes == 16 {
					f.VFMADD231PS_BCST(mem(f.x, 4*(c*f.rows+row)), w, f.total[v][row])
				} else {
					f.VFMADD231PS(f.input[row], w, f.total[v][row])
				}
			}
		}
	}
	f.ADDQ(operand.U32(cols*f.size*tileRows), f.w)
	f.ADDQ(operand.U32(cols*4*f.rows), f.x)
}

// loadFloats loads and converts a register of numbers.
func (g *gen) loadFloats(kind string, m operand.Mem, v reg.Register) {
	switch kind {
	case "F32":
		g.VMOVUPS(m, v)
	case "F16":
		g.VCVTPH2PS(m, v)
	case "BF16":
		g.VPMOVZXWD(m, v)
		g.VPSLLD(operand.U8(16), v, v)
	}
}

// addSegment is y = y + t.
func (f *floatFunc) addSegment() {
	y := f.GP64()
	f.MOVQ(f.y, y)
	for row := range f.rows {
		for v := range f.vectors {
			f.VADDPS(mem(y, v*f.bytes()), f.total[v][row], f.total[v][row])
			f.VMOVUPS(f.total[v][row], mem(y, v*f.bytes()))
		}
		if row+1 < f.rows {
			f.ADDQ(f.yStride, y)
		}
	}
}
