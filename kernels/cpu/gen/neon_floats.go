package main

import "fmt"

// neonFloatVectors are the registers of matrix rows for 1, 2, ... activation rows.
var neonFloatVectors = []int{8, 8, 8, 4, 2, 2, 2, 2}

func neonFloats(a *arm) {
	for _, k := range floatKinds {
		for i, vectors := range neonFloatVectors {
			f := neonFloat{arm: a, name: k.name, size: k.size, vectors: vectors, rows: i + 1}
			f.emit()
		}
	}
}

// neonFloat is a function of SPEC.md section 5 for weights without blocks.
type neonFloat struct {
	*arm
	name          string
	size          int
	vectors, rows int

	total           [][]vreg // [vector][row]
	inputs          []vreg
	loaded, weights []vreg // as they are in memory, and as f32; two each
}

func (f *neonFloat) emit() {
	name := fmt.Sprintf("floats%sx%dNEON", f.name, f.rows)
	f.function(name,
		fmt.Sprintf("adds the products of %d rows of %s weights and %d activation rows to y.", f.vectors*neonLanes, f.name, f.rows),
		"func(y *float32, yStride uint64, w *byte, x *float32, cols, segmentCols uint64)")
	f.params(map[greg]string{regY: "y", regYStride: "yStride", regW: "w", regX: "x", regBlocks: "cols", regSegment: "segmentCols"})
	r := &registerFile{}
	f.total, f.inputs, f.loaded = r.grid(f.vectors, f.rows), r.take(f.rows), r.take(2)
	f.weights = f.loaded
	if f.size == 2 {
		f.weights = r.take(2)
	}

	segment, column, rest, end := f.label("segment"), f.label("column"), f.label("rest"), f.label("end")
	f.mark(segment)
	f.takeSegment()
	for _, t := range flat(f.total) {
		f.zero(t)
	}
	f.op("SUBS", imm(4), regCount, regCount)
	f.op("BLT", rest)
	four := f.label("four")
	f.mark(four)
	f.columns(4)
	f.step(regCount, 4)
	f.op("BGE", four)
	f.mark(rest)
	f.step(regCount, -4)
	f.op("BEQ", end)
	f.mark(column)
	f.columns(1)
	f.step(regCount, 1)
	f.op("BNE", column)
	f.mark(end)
	f.addSegment()
	f.op("CBNZ", regBlocks, segment)
	f.op("RET")
}

// columns is t = fma(w[i], x[i], t) for the next n columns.
func (f *neonFloat) columns(n int) {
	inputs := f.loadLanes(regX, 0, n*f.rows, f.inputs)
	for c := range n {
		for v := 0; v < f.vectors; v += 2 {
			f.loadWeights(f.size * (c*tileRows + v*neonLanes))
			for i, w := range f.weights {
				for row, t := range f.total[v+i] {
					f.word(fmlaLane(t, w, inputs[c*f.rows+row]))
				}
			}
		}
	}
	f.advance(regW, n*f.size*tileRows)
	f.advance(regX, n*4*f.rows)
}

// loadWeights loads and converts those of eight rows.
func (f *neonFloat) loadWeights(offset int) {
	if f.size == 4 {
		f.loadAll(regW, offset, f.loaded)
		return
	}
	f.load(regW, offset, f.loaded[0])
	for i, w := range f.weights {
		if f.name == "F16" {
			f.word(fcvtl(i == 1, w, f.loaded[0]))
		} else {
			f.word(shll16(i == 1, w, f.loaded[0]))
		}
	}
}

// addSegment is y = y + t.
func (f *neonFloat) addSegment() {
	f.op("MOVD", regY, regRow)
	for row := range f.rows {
		for v := 0; v < f.vectors; v += 2 {
			f.loadAll(regRow, 16*v, f.loaded)
			for i, y := range f.loaded {
				f.word(fadd(y, y, f.total[v+i][row]))
			}
			f.storeAll(f.loaded, regRow, 16*v)
		}
		if row+1 < f.rows {
			f.op("ADD", regYStride, regRow, regRow)
		}
	}
}
