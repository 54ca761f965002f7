package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// segmentElements is the length of a segment; kernels.SegmentElements is the same number.
const segmentElements = 128

// superKind is a format of superblocks as kernels/cpu packs it. Sub-blocks come in pairs, since the scales of a pair lie
// side by side.
type superKind struct {
	name    string
	nibbles bool // two weights a byte
	minimum bool // minimums beside the scales
	sub     int  // elements of a sub-block
	fold    int  // elements of a fold: a pair or a segment
}

var superKinds = []superKind{
	{name: "Q4K", nibbles: true, minimum: true, sub: 32, fold: 128},
	{name: "Q5K", minimum: true, sub: 32, fold: 64},
	{name: "Q6K", sub: 16, fold: 32},
	{name: "Q3K", sub: 16, fold: 128},
}

// pairs is the number of pairs of sub-blocks in a segment.
func (k superKind) pairs() int { return segmentElements / (2 * k.sub) }

// head is the size of the f16 numbers of a segment of a tile: d and dmin.
func (k superKind) head() int {
	if k.minimum {
		return 4 * tileRows
	}
	return 2 * tileRows
}

// superVectors are the registers of matrix rows for 1, 2, ... activation rows.
func (l level) superVectors() []int {
	if l.lanes == 8 {
		return []int{4, 2, 1, 1}
	}
	return []int{2, 2, 2, 2, 1, 1}
}

func superblocks(g *gen) {
	ones := g.StaticGlobal("onesOfSuperblocks")
	g.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range avx2.lanes {
		g.AddDatum(4*i, operand.U32(0x00010001))
	}
	for _, l := range []level{avx2, avx512} {
		for _, k := range superKinds {
			for i, vectors := range l.superVectors() {
				f := superFunc{gen: g, level: l, superKind: k, vectors: vectors, rows: i + 1, ones: ones}
				f.emit()
			}
		}
	}
}

// superFunc is a function of SPEC.md section 5 for superblocks. Sums of folds are formed in f32, which is exact.
type superFunc struct {
	*gen
	level
	superKind
	vectors, rows int

	y, yStride, w, d, scales, x, sums, dx reg.GPVirtual
	dot, folded, total                    [][]reg.Register // [vector][row]: of a sub-block (int32), of a fold, t
	mask                                  reg.Register
	free                                  []reg.Register
	ones                                  operand.Mem
}

func (f *superFunc) emit() {
	name := fmt.Sprintf("super%sx%d%s", f.superKind.name, f.rows, f.level.name)
	f.text(name,
		fmt.Sprintf("%s adds the products of %d rows of %s weights and %d activation rows to y.", name, f.vectors*f.lanes, f.superKind.name, f.rows),
		"func(y *float32, yStride uint64, w, d *byte, x *int8, sums *int32, dx *float32, segments uint64)")
	f.y, f.w, f.d = f.param("y"), f.param("w"), f.param("d")
	if f.rows > 1 {
		f.yStride = f.param("yStride")
	}
	f.x, f.sums, f.dx = f.param("x"), f.param("sums"), f.param("dx")
	segments := f.param("segments")
	r := &registers{level: f.level}
	f.dot, f.folded, f.total = r.grid(f.vectors, f.rows), r.grid(f.vectors, f.rows), r.grid(f.vectors, f.rows)
	if f.nibbles {
		f.mask = r.next()
		f.fill(0x0F0F0F0F, f.level, f.mask)
	}
	f.free = r.v[r.used:]
	f.scales = f.GP64()
	n := f.GP64()

	segmentLoop, pairLoop := f.label("segment"), f.label("pair")
	f.Label(segmentLoop)
	for _, t := range flat(f.total) {
		f.zero(t)
	}
	if f.fold == segmentElements {
		for _, t := range flat(f.folded) {
			f.zero(t)
		}
	}
	f.LEAQ(mem(f.d, f.head()), f.scales)
	f.MOVQ(operand.U32(f.pairs()), n)
	f.Label(pairLoop)
	f.pair()
	f.DECQ(n)
	f.JNZ(operand.LabelRef(pairLoop))
	if f.fold == segmentElements {
		f.addFold()
	}
	if f.minimum {
		f.addMinimums()
	}
	// After the pairs, scales points to the minimums; what follows them is the next segment.
	if f.minimum {
		f.LEAQ(mem(f.scales, 2*2*tileRows), f.d)
	} else {
		f.MOVQ(f.scales, f.d)
	}
	f.addSegment()
	f.DECQ(segments)
	f.JNZ(operand.LabelRef(segmentLoop))
	f.VZEROUPPER()
	f.RET()
}

// pair adds two sub-blocks to the fold.
func (f *superFunc) pair() {
	groups := f.sub / 4 // columns of four weights
	for half := range 2 {
		f.startDot(half)
		if f.nibbles {
			for k := range groups / 2 {
				f.nibbleColumn(half, k)
			}
		} else {
			for k := range groups {
				f.byteColumn(half*groups+k, k == 0)
			}
		}
		f.applyScale(half)
	}
	size := 2 * f.sub * tileRows
	if f.nibbles {
		size /= 2
	}
	f.ADDQ(operand.U32(size), f.w)
	f.ADDQ(operand.U32(2*f.sub*f.rows), f.x)
	f.ADDQ(operand.U32(2*tileRows), f.scales)
	if !f.minimum {
		f.ADDQ(operand.U32(2*4*f.rows), f.sums)
	}
	if f.fold == 2*f.sub {
		f.addFold()
	}
}

// startDot sets the sums of a sub-block to what they begin with: -128 times the sum of codes where VNNI wants weights
// without a sign that have one.
func (f *superFunc) startDot(half int) {
	if f.lanes == 8 {
		return // the first column writes them
	}
	for row := range f.rows {
		for v := range f.vectors {
			if f.minimum {
				f.zero(f.dot[v][row])
			} else {
				f.VPBROADCASTD(mem(f.sums, 4*(half*f.rows+row)), f.dot[v][row])
			}
		}
	}
}

// codes is the address of the four activation codes of column k of the pair.
func (f *superFunc) codes(k, row int) operand.Mem { return mem(f.x, 4*(k*f.rows+row)) }

// byteColumn multiplies column k of the pair.
func (f *superFunc) byteColumn(k int, first bool) {
	for v := range f.vectors {
		at := mem(f.w, k*4*tileRows+v*f.bytes())
		if f.lanes == 16 {
			w, x := f.free[v], f.free[f.vectors]
			f.VMOVDQU32(at, w)
			if v+1 == f.vectors {
				for row := range f.rows {
					f.VPBROADCASTD(f.codes(k, row), x)
					for u := range f.vectors {
						f.VPDPBUSD(x, f.free[u], f.dot[u][row])
					}
				}
			}
			continue
		}
		// Weights are at least -127 here, or go up to 31 without a sign: no pair of products saturates.
		w, abs, t := f.free[0], f.free[1], f.free[2]
		f.VMOVDQU(at, w)
		f.VPABSB(w, abs)
		for row := range f.rows {
			f.VPBROADCASTD(f.codes(k, row), t)
			f.VPSIGNB(w, t, t)
			f.VPMADDUBSW(t, abs, t)
			if first {
				f.VPMADDWD(f.ones, t, f.dot[v][row])
			} else {
				f.VPMADDWD(f.ones, t, t)
				f.VPADDD(t, f.dot[v][row], f.dot[v][row])
			}
		}
	}
}

// nibbleColumn multiplies columns k (lower nibbles) and k+4 (upper ones) of a sub-block of 32.
func (f *superFunc) nibbleColumn(half, k int) {
	at := func(v int) operand.Mem { return mem(f.w, (4*half+k)*4*tileRows+v*f.bytes()) }
	if f.lanes == 16 {
		low, high, x := f.free[:f.vectors], f.free[f.vectors:2*f.vectors], f.free[2*f.vectors]
		for v := range f.vectors {
			f.VMOVDQU32(at(v), low[v])
			f.VPSRLD(operand.U8(4), low[v], high[v])
			f.VPANDD(low[v], f.mask, low[v])
			f.VPANDD(high[v], f.mask, high[v])
		}
		for row := range f.rows {
			f.VPBROADCASTD(f.codes(8*half+k, row), x)
			for v := range f.vectors {
				f.VPDPBUSD(x, low[v], f.dot[v][row])
			}
			f.VPBROADCASTD(f.codes(8*half+k+4, row), x)
			for v := range f.vectors {
				f.VPDPBUSD(x, high[v], f.dot[v][row])
			}
		}
		return
	}
	low, high, t := f.free[0], f.free[1], f.free[2]
	for v := range f.vectors {
		f.VMOVDQU(at(v), low)
		f.VPSRLD(operand.U8(4), low, high)
		f.VPAND(low, f.mask, low)
		f.VPAND(high, f.mask, high)
		for row := range f.rows {
			sum := f.dot[v][row]
			// 16-bit sums of eight pairs, at most 8*2*15*127 = 30480.
			f.VPBROADCASTD(f.codes(8*half+k, row), t)
			if k == 0 {
				f.VPMADDUBSW(t, low, sum)
			} else {
				f.VPMADDUBSW(t, low, t)
				f.VPADDW(t, sum, sum)
			}
			f.VPBROADCASTD(f.codes(8*half+k+4, row), t)
			f.VPMADDUBSW(t, high, t)
			f.VPADDW(t, sum, sum)
			if k == 3 {
				f.VPMADDWD(f.ones, sum, sum)
			}
		}
	}
}

// applyScale is folded = folded + s[j] * dot.
func (f *superFunc) applyScale(half int) {
	s := f.free[0]
	starts := half == 0 && f.fold == 2*f.sub
	for v := range f.vectors {
		f.VPMOVSXBW(mem(f.scales, 2*f.lanes*v), s)
		if half == 0 {
			f.VPSLLD(operand.U8(16), s, s)
		}
		f.VPSRAD(operand.U8(16), s, s)
		f.VCVTDQ2PS(s, s)
		for row := range f.rows {
			f.VCVTDQ2PS(f.dot[v][row], f.dot[v][row])
			if starts {
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

// addMinimums is t = fma(-msum, dmin, t). The sums of codes are negative already, 16 bits each in pairs.
func (f *superFunc) addMinimums() {
	m, x := f.free[0], f.free[1]
	for v := range f.vectors {
		for p := range f.pairs() {
			f.VPMOVZXBW(mem(f.scales, 2*tileRows*p+2*f.lanes*v), m)
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
