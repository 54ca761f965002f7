package main

import "fmt"

// General registers of the functions of products.
const (
	regY       = greg(0)
	regYStride = greg(1)
	regW       = greg(2)
	regD       = greg(3)
	regX       = greg(4)
	regSums    = greg(5)
	regDx      = greg(6)
	regBlocks  = greg(7) // blocks, superblocks or columns to go
	regSegment = greg(8) // the same of a segment
	regCount   = greg(9)
	regRow     = greg(10) // a row of y
	regScales  = greg(11)
	regHalves  = greg(12) // segments of a superblock to go
)

// neonMagic has the bits of the float32 M = 1.5 * 2^23. An integer i below 2^22 in magnitude, added to these bits, gives those of
// M + i, and subtracting M leaves f32(i). Processors do that at twice to four times the rate of a conversion.
const neonMagic = 0x4B400000

// neonBlockVectors are the registers of matrix rows for 1, 2, ... activation rows: eight sums of products go on at once, and the
// more of them are rows, the more often unpacked weights are used.
var neonBlockVectors = []int{8, 4, 2, 2, 1, 1, 1, 1}

func neonBlocks(a *arm) {
	for _, k := range kinds {
		for i, vectors := range neonBlockVectors {
			f := neonBlock{neonColumns: neonColumns{arm: a, plain: k.name == "Q8", bits: k.packed, vectors: vectors, rows: i + 1}, kind: k}
			if k.nibbles {
				f.bits = bits{low: 4}
			}
			f.emit()
		}
	}
}

// neonBlock is a function of SPEC.md section 5: 4*vectors matrix rows times rows activation rows.
type neonBlock struct {
	neonColumns
	kind
	sum, total [][]vreg // int32 sums of a block; t of a segment; [vector][row]
	magic      vreg
}

func (f *neonBlock) emit() {
	name := fmt.Sprintf("blocks%sx%dNEON", f.kind.name, f.rows)
	f.function(name,
		fmt.Sprintf("adds the products of %d rows of %s weights and %d activation rows to y.", f.vectors*neonLanes, f.kind.name, f.rows),
		"func(y *float32, yStride uint64, w, d *byte, x *int8, sums *int32, dx *float32, blocks, segmentBlocks uint64)")
	f.params(map[greg]string{regY: "y", regYStride: "yStride", regW: "w", regD: "d", regX: "x", regSums: "sums", regDx: "dx",
		regBlocks: "blocks", regSegment: "segmentBlocks"})
	r := &registerFile{}
	f.w = regW
	f.takeCodes(r, regX, 4)
	f.sum, f.total = r.grid(f.vectors, f.rows), r.grid(f.vectors, f.rows)
	f.take(r, false)
	f.magic = r.one()
	f.fill(neonMagic, f.magic)

	segment := f.label("segment")
	f.mark(segment)
	f.takeSegment()
	for _, t := range flat(f.total) {
		f.zero(t)
	}
	f.loop("block", func() {
		f.start()
		f.multiply(0, 8, func(int) [][]vreg { return f.sum })
		f.addBlock()
		f.advance(regW, f.weightSize)
		f.advance(regD, f.scaleSize)
		f.advance(regX, 32*f.rows)
		f.codes.move()
		f.advance(regSums, 4*f.rows)
		f.step(regCount, 1)
	})
	f.addSegment(f.total)
	f.op("CBNZ", regBlocks, segment)
	f.op("RET")
}

// takeSegment takes a segment, or what is left, off the blocks to go.
func (a *arm) takeSegment() {
	a.op("CMP", regSegment, regBlocks)
	a.op("CSEL", "LO", regBlocks, regSegment, regCount)
	a.op("SUB", regCount, regBlocks, regBlocks)
}

// start sets the sums to neonMagic, plus the correction of weights that have lost their sign.
func (f *neonBlock) start() {
	if f.plain || f.minimum || f.book {
		for _, s := range flat(f.sum) {
			f.copy(f.magic, s)
		}
		return
	}
	lanes := f.rowWords(regSums, 0, f.rows)
	for _, l := range lanes {
		if l.index == 0 {
			f.op("VADD", f.magic.s4(), l.v.s4(), l.v.s4())
		}
	}
	f.spreadRows(lanes, f.sum)
}

// addBlock is t = fma(f32(isum), d, t) and, with minimums, t = fma(f32(xsum), m, t).
func (f *neonBlock) addBlock() {
	var xsums []lane
	if f.minimum {
		xsums = f.rowWords(regSums, 0, f.rows)
	}
	for v := range f.vectors {
		d := f.halves(regD, 0, v, f.weights[0], f.u)
		for row, s := range f.sum[v] {
			f.word(fsub(s, s, f.magic))
			f.op("VFMLA", d.s4(), s.s4(), f.total[v][row].s4())
		}
		if !f.minimum {
			continue
		}
		m := f.halves(regD, 2*tileRows, v, f.h, f.t)
		for row, x := range xsums {
			f.word(fmlaLane(f.total[v][row], m, x))
		}
	}
}
