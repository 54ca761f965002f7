package main

import "fmt"

func neonSuperblocks(a *arm) {
	for _, k := range superKinds {
		for i, vectors := range neonBlockVectors {
			f := neonSuper{neonColumns: neonColumns{arm: a, bits: k.packed, vectors: vectors, rows: i + 1}, superKind: k}
			f.emit()
		}
	}
}

// neonSuper is a function of SPEC.md section 5 for superblocks. Sums of folds are formed in int32.
type neonSuper struct {
	neonColumns
	superKind
	dot, folded, total [][]vreg // [vector][row]: of a sub-block, of a fold (both int32), t
}

// twins says whether the scales of a pair of sub-blocks are the same, so that the pair may count as one. The codebook's
// weights are multiplied with their signs.
func (f *neonSuper) twins() bool { return f.book }

func (f *neonSuper) emit() {
	name := fmt.Sprintf("super%sx%dNEON", f.superKind.name, f.rows)
	f.function(name,
		fmt.Sprintf("adds the products of %d rows of %s weights and %d activation rows to y.", f.vectors*neonLanes, f.superKind.name, f.rows),
		"func(y *float32, yStride uint64, w, d *byte, x *int8, sums *int32, dx *float32, superblocks uint64)")
	f.params(map[greg]string{regY: "y", regYStride: "yStride", regW: "w", regD: "d", regX: "x", regSums: "sums", regDx: "dx",
		regBlocks: "superblocks"})
	f.assign()

	superblock := f.label("superblock")
	f.mark(superblock)
	f.op("ADD", imm(f.head()), regD, regScales)
	f.op("MOVD", imm(2), regHalves)
	f.loop("segment", func() {
		for _, t := range flat(f.total) {
			f.zero(t)
		}
		f.op("MOVD", imm(f.pairs()), regCount)
		f.loop("pair", func() {
			f.pair()
			f.advance(regW, f.blockBytes()*2*f.sub/32)
			f.advance(regX, 2*f.sub*f.rows)
			f.codes.move()
			f.advance(regScales, 2*tileRows)
			if f.biased {
				f.advance(regSums, 2*4*f.rows)
			}
			f.step(regCount, 1)
		})
		if !f.folds() {
			f.scaleSegment()
		}
		if f.minimum {
			f.addMinimums()
		}
		f.addSegment(f.total)
		f.step(regHalves, 1)
	})
	f.op("MOVD", regScales, regD)
	f.step(regBlocks, 1)
	f.op("BNE", superblock)
	f.op("RET")
}

// assign hands out the registers. Where a fold needs some of its own, few are left.
func (f *neonSuper) assign() {
	r := &registerFile{}
	f.w = regW
	scarce := f.folds() && !f.twins()
	codes := 4
	if scarce && f.vectors*f.rows == 8 {
		codes = 2
	}
	f.takeCodes(r, regX, codes)
	f.dot = r.grid(f.vectors, f.rows)
	f.folded = f.dot
	if !f.twins() {
		f.folded = r.grid(f.vectors, f.rows)
	}
	f.total = f.folded
	if f.folds() {
		f.total = r.grid(f.vectors, f.rows)
	}
	f.take(r, scarce)
}

// pair adds two sub-blocks to the fold.
func (f *neonSuper) pair() {
	switch {
	case f.twins():
		for _, s := range flat(f.dot) {
			f.zero(s)
		}
		f.multiply(0, 8, func(int) [][]vreg { return f.dot })
		f.applyScale(0, func(dot, scale, folded vreg) { f.word(mul(folded, dot, scale)) })
	case f.sub == 16 && f.low == 4:
		// Both sub-blocks are in the same words: the first one's sums become the fold's.
		f.start(0, f.folded)
		f.start(1, f.dot)
		f.multiply(0, 8, func(column int) [][]vreg {
			if column < 4 {
				return f.folded
			}
			return f.dot
		})
		f.applyScale(0, func(_, scale, folded vreg) { f.word(mul(folded, folded, scale)) })
		f.applyScale(1, func(dot, scale, folded vreg) { f.word(mla(folded, dot, scale)) })
	default:
		for half := range 2 {
			f.start(half, f.dot)
			f.multiply(half*f.sub/4, f.sub/4, func(int) [][]vreg { return f.dot })
			f.applyScale(half, func(dot, scale, folded vreg) {
				if half == 0 && f.folds() {
					f.word(mul(folded, dot, scale))
				} else {
					f.word(mla(folded, dot, scale))
				}
			})
		}
	}
	if f.folds() {
		f.addFold()
	}
}

// start sets the sums of a sub-block to zero, or the correction of weights that have lost their sign.
func (f *neonSuper) start(half int, sums [][]vreg) {
	if f.biased {
		f.spreadRows(f.rowWords(regSums, 4*f.rows*half, f.rows), sums)
		return
	}
	for _, s := range flat(sums) {
		f.zero(s)
	}
}

// applyScale calls use with the scale of a sub-block of each four matrix rows, which is in four bits or a byte with a sign.
func (f *neonSuper) applyScale(half int, use func(dot, scale, folded vreg)) {
	raw, scale := f.weights[0], f.u
	for v := range f.vectors {
		if v%2 == 0 {
			f.loadHalves(regScales, 0, v, raw)
			if f.joined {
				f.field(raw, 8*half, 4, false, raw)
			} else {
				f.field(raw, 8*half, 8, true, raw)
			}
		}
		f.word(sxtl(v%2 == 1, scale, raw))
		for row, dot := range f.dot[v] {
			use(dot, scale, f.folded[v][row])
		}
	}
}

// addFold is t = fma(isum, d, t).
func (f *neonSuper) addFold() {
	for v := range f.vectors {
		d := f.halves(regD, 0, v, f.weights[0], f.u)
		for row, isum := range f.folded[v] {
			f.word(scvtf(isum, isum))
			f.op("VFMLA", d.s4(), isum.s4(), f.total[v][row].s4())
		}
	}
}

// scaleSegment is t = isum * d, which is the first fma but for the sign of a zero, which ends in y += 0.
func (f *neonSuper) scaleSegment() {
	for v := range f.vectors {
		d := f.halves(regD, 0, v, f.weights[0], f.u)
		for _, isum := range f.total[v] {
			f.word(scvtf(isum, isum))
			f.word(fmul(isum, isum, d))
		}
	}
}

// addMinimums is t = fma(-msum, dmin, t). The sums of codes are negative already, 16 bits each in pairs.
func (f *neonSuper) addMinimums() {
	raw, minimums := f.weights[0], f.u
	for p := range f.pairs() {
		sums := f.rowWords(regSums, 4*p*f.rows, f.rows)
		at := 2 * tileRows * p
		if f.joined {
			at -= 2 * tileRows * f.pairs()
		}
		for v := 0; v < f.vectors; v += 2 {
			f.loadHalves(regScales, at, v, raw)
			for half := range 2 {
				if f.joined {
					f.field(raw, 8*half+4, 4, false, minimums)
				} else {
					f.field(raw, 8*half, 8, false, minimums)
				}
				for i := range f.weights {
					for row, msum := range f.dot[v+i] {
						if p == 0 && half == 0 {
							f.word(smullHalf(i == 1, msum, minimums, sums[row], half))
						} else {
							f.word(smlalHalf(i == 1, msum, minimums, sums[row], half))
						}
					}
				}
			}
		}
	}
	for v := range f.vectors {
		dmin := f.halves(regD, 2*tileRows, v, f.weights[0], f.u)
		for row, msum := range f.dot[v] {
			f.word(scvtf(msum, msum))
			f.op("VFMLA", dmin.s4(), msum.s4(), f.total[v][row].s4())
		}
	}
	f.advance(regSums, 4*f.pairs()*f.rows)
	if !f.joined {
		f.advance(regScales, 2*tileRows*f.pairs())
	}
}
