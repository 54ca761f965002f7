package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// kind is a block format as kernels/cpu packs it.
type kind struct {
	name       string
	packed     bits // how weights are packed, if not as bytes or plain nibbles
	nibbles    bool // two weights a byte
	minimum    bool // a minimum beside the scale
	weightSize int  // bytes of a block of a tile: weights
	scaleSize  int  // bytes of a block of a tile: scales and minimums
}

var kinds = []kind{
	{name: "Q8", weightSize: 32 * tileRows, scaleSize: 2 * tileRows},
	{name: "Q40", nibbles: true, weightSize: 16 * tileRows, scaleSize: 2 * tileRows},
	{name: "Q41", nibbles: true, minimum: true, weightSize: 16 * tileRows, scaleSize: 4 * tileRows},
	{name: "Q50", packed: bits{low: 4, high: 1}, weightSize: 20 * tileRows, scaleSize: 2 * tileRows},
	{name: "Q51", packed: bits{low: 4, high: 1}, minimum: true, weightSize: 20 * tileRows, scaleSize: 4 * tileRows},
	{name: "IQ4NL", packed: bits{low: 4, book: true}, weightSize: 16 * tileRows, scaleSize: 2 * tileRows},
}

func blocks(g *gen) {
	w := newWords(g)
	for _, l := range []level{avx2, avx512} {
		for _, k := range kinds {
			for i, vectors := range l.blockVectors {
				f := blockFunc{columns: columns{gen: g, level: l, words: w, bits: k.packed, vectors: vectors, rows: i + 1}, kind: k}
				f.emit()
			}
		}
	}
}

// blockFunc is a function of SPEC.md section 5: vectors*lanes matrix rows times rows activation rows.
type blockFunc struct {
	columns
	kind

	y, yStride, d, sums, dx reg.GPVirtual
	sum, total              [][]reg.Register // int32 sums of a block; t of a segment; [vector][row]
	ones, mask              reg.Register
}

func (f *blockFunc) emit() {
	name := fmt.Sprintf("blocks%sx%d%s", f.kind.name, f.rows, f.level.name)
	f.text(name,
		fmt.Sprintf("%s adds the products of %d rows of %s weights and %d activation rows to y.", name, f.vectors*f.lanes, f.kind.name, f.rows),
		"func(y *float32, yStride uint64, w, d *byte, x *int8, sums *int32, dx *float32, blocks, segmentBlocks uint64)")
	f.y, f.w, f.d = f.param("y"), f.param("w"), f.param("d")
	if f.rows > 1 {
		f.yStride = f.param("yStride")
	}
	f.x, f.sums, f.dx = f.param("x"), f.param("sums"), f.param("dx")
	blocks, segment := f.param("blocks"), f.param("segmentBlocks")
	f.assign()

	segmentLoop, blockLoop := f.label("segment"), f.label("block")
	n := f.GP64()
	f.Label(segmentLoop)
	f.MOVQ(segment, n)
	f.CMPQ(blocks, n)
	f.CMOVQLT(blocks, n)
	f.SUBQ(n, blocks)
	for _, t := range flat(f.total) {
		f.zero(t)
	}
	f.Label(blockLoop)
	switch {
	case f.low > 0:
		f.sumColumns()
	case f.lanes == 16:
		f.sumVNNI()
	default:
		f.sumAVX2()
	}
	f.addBlock()
	f.ADDQ(operand.U32(f.weightSize), f.w)
	f.ADDQ(operand.U32(f.scaleSize), f.d)
	f.ADDQ(operand.U32(32*f.rows), f.x)
	f.ADDQ(operand.U32(4*f.rows), f.sums)
	f.DECQ(n)
	f.JNZ(operand.LabelRef(blockLoop))
	f.addSegment()
	f.TESTQ(blocks, blocks)
	f.JNZ(operand.LabelRef(segmentLoop))
	f.VZEROUPPER()
	f.RET()
}

// assign hands out the registers and sets the constants.
func (f *blockFunc) assign() {
	r := &registers{level: f.level}
	f.sum, f.total = r.grid(f.vectors, f.rows), r.grid(f.vectors, f.rows)
	if f.low > 0 {
		f.take(r)
		return
	}
	if f.nibbles {
		f.mask = r.next()
		f.fill(0x0F0F0F0F, f.level, f.mask)
	}
	if f.lanes == 8 {
		f.ones = r.next()
		f.fill(0x00010001, f.level, f.ones)
	}
	f.free = r.v[r.used:]
}

// fill puts a constant into every lane.
func (g *gen) fill(c uint32, l level, v reg.Register) {
	t := g.GP32()
	g.MOVL(operand.U32(c), t)
	if l.lanes == 16 {
		g.VPBROADCASTD(t, v)
		return
	}
	x := v.(reg.Vec).AsX()
	g.VMOVD(t, x)
	g.VPBROADCASTD(x, v)
}

func (g *gen) zero(v reg.Register) {
	if v.Size() == 64 {
		g.VPXORD(v, v, v)
		return
	}
	g.VPXOR(v, v, v)
}

// weights is the address of the 4-byte column k of matrix rows vector*lanes... of the block.
func (f *blockFunc) weights(k, vector int) operand.Mem {
	return mem(f.w, k*4*tileRows+vector*f.bytes())
}

// sumColumns multiplies numbers without a sign.
func (f *blockFunc) sumColumns() {
	var corrections []operand.Mem
	if !f.minimum && !f.signs() {
		for row := range f.rows {
			corrections = append(corrections, mem(f.sums, 4*row))
		}
	}
	f.multiply(0, 8, f.sum, corrections)
}

// sumVNNI multiplies unsigned weights (Q8: w + 128) by codes. The sums start with the correction; with minimums there is
// none.
func (f *blockFunc) sumVNNI() {
	for row := range f.rows {
		for v := range f.vectors {
			if f.minimum {
				f.zero(f.sum[v][row])
			} else {
				f.VPBROADCASTD(mem(f.sums, 4*row), f.sum[v][row])
			}
		}
	}
	if !f.nibbles {
		w, x := f.free[:f.vectors], f.free[f.vectors]
		for k := range 8 {
			for v := range f.vectors {
				f.VMOVDQU32(f.weights(k, v), w[v])
			}
			for row := range f.rows {
				f.VPBROADCASTD(f.codes(k, row), x)
				for v := range f.vectors {
					f.VPDPBUSD(x, w[v], f.sum[v][row])
				}
			}
		}
		return
	}
	low, high, x := f.free[:f.vectors], f.free[f.vectors:2*f.vectors], f.free[2*f.vectors]
	for k := range 4 {
		for v := range f.vectors {
			f.VMOVDQU32(f.weights(k, v), low[v])
			f.VPSRLD(operand.U8(4), low[v], high[v])
			f.VPANDD(low[v], f.mask, low[v])
			f.VPANDD(high[v], f.mask, high[v])
		}
		for row := range f.rows {
			f.VPBROADCASTD(f.codes(k, row), x)
			for v := range f.vectors {
				f.VPDPBUSD(x, low[v], f.sum[v][row])
			}
			f.VPBROADCASTD(f.codes(k+4, row), x)
			for v := range f.vectors {
				f.VPDPBUSD(x, high[v], f.sum[v][row])
			}
		}
	}
}

// sumAVX2 computes the block's sums. VPMADDUBSW adds pairs with saturation to 16 bits:
// Q8 multiplies |w| <= 128 by a code that took w's sign, a pair is at most 2*128*127 = 32512;
// nibbles add up 8 pairs, at most 8*2*15*127 = 30480. Neither saturates.
func (f *blockFunc) sumAVX2() {
	if !f.nibbles {
		w, abs, x, t := f.free[0], f.free[1], f.free[2], f.free[3]
		for k := range 8 {
			for v := range f.vectors {
				f.VMOVDQU(f.weights(k, v), w)
				f.VPABSB(w, abs)
				for row := range f.rows {
					if v == 0 || f.rows > 1 {
						f.VPBROADCASTD(f.codes(k, row), x)
					}
					f.VPSIGNB(w, x, t)
					f.VPMADDUBSW(t, abs, t)
					f.addPairs(k == 0, t, f.sum[v][row])
				}
			}
		}
		return
	}
	low, high, x, t := f.free[0], f.free[1], f.free[2], f.free[3]
	for k := range 4 {
		for v := range f.vectors {
			f.VMOVDQU(f.weights(k, v), low)
			f.VPSRLD(operand.U8(4), low, high)
			f.VPAND(low, f.mask, low)
			f.VPAND(high, f.mask, high)
			for row := range f.rows {
				f.VPBROADCASTD(f.codes(k, row), x)
				if k == 0 {
					f.VPMADDUBSW(x, low, f.sum[v][row])
				} else {
					f.VPMADDUBSW(x, low, t)
					f.VPADDW(t, f.sum[v][row], f.sum[v][row])
				}
				f.VPBROADCASTD(f.codes(k+4, row), x)
				f.VPMADDUBSW(x, high, t)
				f.VPADDW(t, f.sum[v][row], f.sum[v][row])
			}
		}
	}
	for row := range f.rows {
		if !f.minimum {
			f.VPBROADCASTD(mem(f.sums, 4*row), x)
		}
		for v := range f.vectors {
			f.VPMADDWD(f.sum[v][row], f.ones, f.sum[v][row])
			if !f.minimum {
				f.VPADDD(x, f.sum[v][row], f.sum[v][row])
			}
		}
	}
}

func (f *blockFunc) addPairs(first bool, t, sum reg.Register) {
	if first {
		f.VPMADDWD(t, f.ones, sum)
		return
	}
	f.VPMADDWD(t, f.ones, t)
	f.VPADDD(t, sum, sum)
}

// addBlock is t = fma(f32(isum), d, t) and, with minimums, t = fma(f32(xsum), m, t).
func (f *blockFunc) addBlock() {
	d := f.free[0]
	for v := range f.vectors {
		f.VCVTPH2PS(mem(f.d, 2*f.lanes*v), d)
		for row := range f.rows {
			f.VCVTDQ2PS(f.sum[v][row], f.sum[v][row])
			f.VFMADD231PS(f.sum[v][row], d, f.total[v][row])
		}
	}
	if !f.minimum {
		return
	}
	m, x := f.free[1], f.free[2]
	for v := range f.vectors {
		f.VCVTPH2PS(mem(f.d, 2*tileRows+2*f.lanes*v), m)
		for row := range f.rows {
			f.VBROADCASTSS(mem(f.sums, 4*row), x)
			f.VFMADD231PS(x, m, f.total[v][row])
		}
	}
}

// addSegment is y = fma(t, dx, y).
func (f *blockFunc) addSegment() {
	y := f.GP64()
	f.MOVQ(f.y, y)
	dx, v0 := f.free[0], f.free[1]
	for row := range f.rows {
		f.VBROADCASTSS(mem(f.dx, 4*row), dx)
		for v := range f.vectors {
			f.VMOVUPS(mem(y, v*f.bytes()), v0)
			f.VFMADD231PS(f.total[v][row], dx, v0)
			f.VMOVUPS(v0, mem(y, v*f.bytes()))
		}
		if row+1 < f.rows {
			f.ADDQ(f.yStride, y)
		}
	}
	f.ADDQ(operand.U32(4*f.rows), f.dx)
}

func flat[T any](grid [][]T) []T {
	var out []T
	for _, row := range grid {
		out = append(out, row...)
	}
	return out
}
