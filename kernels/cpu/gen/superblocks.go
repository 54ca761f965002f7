package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// segmentElements is the length of a segment; kernels.SegmentElements is the same number.
const segmentElements = 128

// superKind is a format of superblocks as kernels/cpu packs it. Sub-blocks come in pairs, since the scales of a pair lie
// side by side.
type superKind struct {
	name    string
	packed  bits
	biased  bool // the weights have a sign in the format, none here: dot products start with a correction
	minimum bool // minimums beside the scales
	joined  bool // in the same byte: scales in its lower half
	sub     int  // elements of a sub-block
	fold    int  // elements of a fold: a pair or a segment
}

var superKinds = []superKind{
	{name: "Q4K", packed: bits{low: 4}, minimum: true, sub: 32, fold: 128},
	{name: "Q5K", packed: bits{low: 4, high: 1}, minimum: true, sub: 32, fold: 64},
	{name: "Q6K", packed: bits{low: 4, high: 2}, biased: true, sub: 16, fold: 32},
	{name: "Q3K", packed: bits{low: 2, high: 1}, biased: true, sub: 16, fold: 128},
	{name: "Q2K", packed: bits{low: 2}, minimum: true, joined: true, sub: 16, fold: 128},
	{name: "IQ4XS", packed: bits{low: 4, book: true}, biased: true, sub: 16, fold: 32},
}

// pairs is the number of pairs of sub-blocks in a segment.
func (k superKind) pairs() int { return segmentElements / (2 * k.sub) }

// folds says whether a fold ends before its segment, so that it needs registers of its own.
func (k superKind) folds() bool { return k.fold < segmentElements }

// head is the size of the f16 numbers of a superblock of a tile: d and dmin.
func (k superKind) head() int {
	if k.minimum {
		return 4 * tileRows
	}
	return 2 * tileRows
}

// superVectors are the registers of matrix rows for 1, 2, ... activation rows.
func (l level) superVectors(k superKind) []int {
	switch {
	case l.lanes == 8:
		return []int{4, 2, 1, 1}
	case k.folds():
		return []int{2, 2, 2, 2, 1, 1}
	}
	return []int{2, 2, 2, 2, 2, 2}
}

func superblocks(g *gen) {
	w := newWords(g)
	for _, l := range []level{avx2, avx512} {
		for _, k := range superKinds {
			for i, vectors := range l.superVectors(k) {
				f := superFunc{columns: columns{gen: g, level: l, words: w, bits: k.packed, vectors: vectors, rows: i + 1}, superKind: k}
				f.emit()
			}
		}
	}
}

// superFunc is a function of SPEC.md section 5 for superblocks. Sums of folds are formed in f32, which is exact.
type superFunc struct {
	columns
	superKind

	y, yStride, d, scales, sums, dx reg.GPVirtual
	dot, folded, total              [][]reg.Register // [vector][row]: of a sub-block (int32), of a fold, t
}

func (f *superFunc) emit() {
	name := fmt.Sprintf("super%sx%d%s", f.superKind.name, f.rows, f.level.name)
	f.text(name,
		fmt.Sprintf("%s adds the products of %d rows of %s weights and %d activation rows to y.", name, f.vectors*f.lanes, f.superKind.name, f.rows),
		"func(y *float32, yStride uint64, w, d *byte, x *int8, sums *int32, dx *float32, superblocks uint64)")
	f.y, f.w, f.d = f.param("y"), f.param("w"), f.param("d")
	if f.rows > 1 {
		f.yStride = f.param("yStride")
	}
	f.x, f.sums, f.dx = f.param("x"), f.param("sums"), f.param("dx")
	superblocks := f.param("superblocks")
	r := &registers{level: f.level}
	f.dot, f.folded = r.grid(f.vectors, f.rows), r.grid(f.vectors, f.rows)
	f.total = f.folded
	if f.folds() {
		f.total = r.grid(f.vectors, f.rows)
	}
	f.take(r)
	f.scales = f.GP64()
	n, segments := f.GP64(), f.GP64()

	superLoop, segmentLoop, pairLoop := f.label("superblock"), f.label("segment"), f.label("pair")
	f.Label(superLoop)
	f.LEAQ(mem(f.d, f.head()), f.scales)
	f.MOVQ(operand.U32(2), segments)
	f.Label(segmentLoop)
	for _, t := range flat(f.total) {
		f.zero(t)
	}
	f.MOVQ(operand.U32(f.pairs()), n)
	f.Label(pairLoop)
	f.pair()
	f.DECQ(n)
	f.JNZ(operand.LabelRef(pairLoop))
	if !f.folds() {
		f.scaleSegment()
	}
	if f.minimum {
		f.addMinimums()
	}
	f.addSegment()
	f.DECQ(segments)
	f.JNZ(operand.LabelRef(segmentLoop))
	f.MOVQ(f.scales, f.d)
	f.DECQ(superblocks)
	f.JNZ(operand.LabelRef(superLoop))
	f.VZEROUPPER()
	f.RET()
}

// pair adds two sub-blocks to the fold.
func (f *superFunc) pair() {
	groups := f.sub / 4 // columns of four weights
	for half := range 2 {
		f.multiply(half*groups, groups, f.dot, f.corrections(half))
		f.applyScale(half)
	}
	f.ADDQ(operand.U32(f.blockBytes()*2*f.sub/32), f.w)
	f.ADDQ(operand.U32(2*f.sub*f.rows), f.x)
	f.ADDQ(operand.U32(2*tileRows), f.scales)
	if f.biased {
		f.ADDQ(operand.U32(2*4*f.rows), f.sums)
	}
	if f.folds() {
		f.addFold()
	}
}

// corrections of a sub-block of weights that have lost their sign.
func (f *superFunc) corrections(half int) []operand.Mem {
	if !f.biased || f.signs() {
		return nil
	}
	var at []operand.Mem
	for row := range f.rows {
		at = append(at, mem(f.sums, 4*(half*f.rows+row)))
	}
	return at
}

// applyScale is folded = folded + s[j] * dot.
func (f *superFunc) applyScale(half int) {
	s := f.free[0]
	for v := range f.vectors {
		at := mem(f.scales, 2*f.lanes*v)
		if f.joined {
			f.VPMOVZXBW(at, s)
			if half == 1 {
				f.VPSRLD(operand.U8(16), s, s)
			}
			f.and(0x0F, s)
		} else {
			f.VPMOVSXBW(at, s)
			if half == 0 {
				f.VPSLLD(operand.U8(16), s, s)
			}
			f.VPSRAD(operand.U8(16), s, s)
		}
		f.VCVTDQ2PS(s, s)
		for row := range f.rows {
			f.VCVTDQ2PS(f.dot[v][row], f.dot[v][row])
			if half == 0 && f.folds() {
				f.VMULPS(f.dot[v][row], s, f.folded[v][row])
			} else {
				f.VFMADD231PS(f.dot[v][row], s, f.folded[v][row])
			}
		}
	}
}

// addFold is t = fma(isum, d, t).
func (f *superFunc) addFold() {
	d := f.free[0]
	for v := range f.vectors {
		f.VCVTPH2PS(mem(f.d, 2*f.lanes*v), d)
		for row := range f.rows {
			f.VFMADD231PS(f.folded[v][row], d, f.total[v][row])
		}
	}
}

// scaleSegment is t = isum * d, which is the first fma but for the sign of a zero, which ends in y += 0.
func (f *superFunc) scaleSegment() {
	d := f.free[0]
	for v := range f.vectors {
		f.VCVTPH2PS(mem(f.d, 2*f.lanes*v), d)
		for row := range f.rows {
			f.VMULPS(f.total[v][row], d, f.total[v][row])
		}
	}
}

// addMinimums is t = fma(-msum, dmin, t). The sums of codes are negative already, 16 bits each in pairs.
func (f *superFunc) addMinimums() {
	m, x := f.free[0], f.free[1]
	for v := range f.vectors {
		for p := range f.pairs() {
			if f.joined {
				f.VPMOVZXBW(mem(f.scales, 2*tileRows*(p-f.pairs())+2*f.lanes*v), m)
				f.VPSRLW(operand.U8(4), m, m)
			} else {
				f.VPMOVZXBW(mem(f.scales, 2*tileRows*p+2*f.lanes*v), m)
			}
			for row := range f.rows {
				f.VPBROADCASTD(mem(f.sums, 4*(p*f.rows+row)), x)
				if p == 0 {
					f.VPMADDWD(x, m, f.dot[v][row])
				} else {
					f.VPMADDWD(x, m, x)
					f.VPADDD(x, f.dot[v][row], f.dot[v][row])
				}
			}
		}
		f.VCVTPH2PS(mem(f.d, 2*tileRows+2*f.lanes*v), m)
		for row := range f.rows {
			f.VCVTDQ2PS(f.dot[v][row], f.dot[v][row])
			f.VFMADD231PS(f.dot[v][row], m, f.total[v][row])
		}
	}
	f.ADDQ(operand.U32(4*f.pairs()*f.rows), f.sums)
	if !f.joined {
		f.ADDQ(operand.U32(2*tileRows*f.pairs()), f.scales)
	}
}

// addSegment is y = fma(t, dx, y).
func (f *superFunc) addSegment() {
	y := f.GP64()
	f.MOVQ(f.y, y)
	dx, sum := f.free[0], f.free[1]
	for row := range f.rows {
		f.VBROADCASTSS(mem(f.dx, 4*row), dx)
		for v := range f.vectors {
			f.VMOVUPS(mem(y, v*f.bytes()), sum)
			f.VFMADD231PS(f.total[v][row], dx, sum)
			f.VMOVUPS(sum, mem(y, v*f.bytes()))
		}
		if row+1 < f.rows {
			f.ADDQ(f.yStride, y)
		}
	}
	f.ADDQ(operand.U32(4*f.rows), f.dx)
}
