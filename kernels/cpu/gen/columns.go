package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// words are constants of 32 bytes each in the read-only data of the file: the instructions of AVX2 take them from there,
// since its registers are few.
type words struct {
	repeated map[uint32]operand.Mem
	codebook operand.Mem // the codebook of IQ4_NL twice
}

func newWords(g *gen) words {
	c := words{repeated: map[uint32]operand.Mem{}}
	for _, w := range []uint32{0x0F, 0x00010001, 0x03030303, 0x04040404, 0x0F0F0F0F, 0x10101010, 0x30303030} {
		m := g.StaticGlobal(fmt.Sprintf("word%08X", w))
		g.DataAttributes(attr.RODATA | attr.NOPTR)
		for i := range 8 {
			g.AddDatum(4*i, operand.U32(w))
		}
		c.repeated[w] = m
	}
	c.codebook = g.StaticGlobal("book")
	g.DataAttributes(attr.RODATA | attr.NOPTR)
	for i := range 32 {
		g.AddDatum(i, operand.U8(byte(codebook[i%16])))
	}
	return c
}

// codebook is that of IQ4_NL.
var codebook = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// bits says how the weights of a block of 32 are packed. A part of n bits has n words of four bytes a row. Byte b of word
// k holds, from its lowest bits up, n bits of each of the elements 4(k+j*n') + b:
//
//	4 bits: word k has columns k and k+4        2 bits: word k has columns 4k .. 4k+3        1 bit: columns 0 .. 7
//
// where column c is the elements 4c to 4c+3.
type bits struct {
	low, high int  // the parts, in this order
	book      bool // the number is an index of the codebook
}

// blockBytes is the size of a block of a tile.
func (b bits) blockBytes() int { return (b.low + b.high) * 4 * tileRows }

// max is the largest number.
func (b bits) max() int { return 1<<(b.low+b.high) - 1 }

// place says where a part of n bits has column c: its word and shift.
func place(n, c int) (word, shift int) {
	switch n {
	case 4:
		return c % 4, 4 * (c / 4)
	case 2:
		return c / 4, 2 * (c % 4)
	}
	return 0, c
}

// columns multiplies weights without a sign that are packed as bits by codes.
type columns struct {
	*gen
	level
	words
	bits
	vectors, rows int

	w, x                     reg.GPVirtual
	free                     []reg.Register
	lowMask, highMask, table reg.Register // AVX-512 only
}

// signs says whether the weights are multiplied with their signs: the codebook's, for AVX2.
func (c *columns) signs() bool { return c.book && c.lanes == 8 }

// take claims registers for constants; the others are free.
func (c *columns) take(r *registers) {
	if c.lanes == 16 {
		c.lowMask = r.next()
		c.fill(c.mask(c.low, 0), c.level, c.lowMask)
		if c.high > 0 {
			c.highMask = r.next()
			c.fill(c.mask(c.high, c.low), c.level, c.highMask)
		}
		if c.book {
			// The codebook plus 128, which has no sign.
			c.table = r.next()
			t := r.v[r.used]
			c.VBROADCASTI32X4(c.codebook, c.table)
			c.fill(0x80808080, c.level, t)
			c.VPXORD(t, c.table, c.table)
		}
	}
	c.free = r.v[r.used:]
}

// mask has n bits from bit first of every byte.
func (bits) mask(n, first int) uint32 { return (1<<n - 1) << first * 0x01010101 }

// and keeps the bits of a constant word of c.words.
func (c *columns) and(word uint32, v reg.Register) {
	if c.lanes == 16 {
		c.VPANDD_BCST(c.repeated[word], v, v)
		return
	}
	c.VPAND(c.repeated[word], v, v)
}

// word is the address of a word of the block that column k of w is in.
func (c *columns) word(k, word, v int) operand.Mem {
	return mem(c.w, k/8*c.blockBytes()+word*4*tileRows+v*c.bytes())
}

// load puts column k, counted from w on, into u. t is free.
func (c *columns) load(k, v int, u, t reg.Register) {
	word, shift := place(c.low, k%8)
	at := c.word(k, word, v)
	switch {
	case c.lanes == 16 && shift == 0:
		c.VPANDD(at, c.lowMask, u)
	case c.lanes == 16:
		c.VPSRLD(operand.U8(uint8(shift)), at, u)
		c.VPANDD(u, c.lowMask, u)
	default:
		c.VMOVDQU(at, u)
		if shift > 0 {
			c.VPSRLD(operand.U8(uint8(shift)), u, u)
		}
		c.VPAND(c.repeated[c.mask(c.low, 0)], u, u)
	}
	if c.high == 0 {
		return
	}
	word, shift = place(c.high, k%8)
	at = c.word(k, c.low+word, v)
	if c.lanes == 16 {
		c.shift(at, shift-c.low, t)
		c.VPTERNLOGD(operand.U8(0xF8), c.highMask, t, u) // u | (t & mask)
		return
	}
	c.VMOVDQU(at, t)
	c.shift(t, shift-c.low, t)
	c.VPAND(c.repeated[c.mask(c.high, c.low)], t, t)
	c.VPOR(t, u, u)
}

// shift moves the bits of from to the right by n, or to the left by -n.
func (c *columns) shift(from operand.Op, n int, to reg.Register) {
	switch {
	case n > 0:
		c.VPSRLD(operand.U8(uint8(n)), from, to)
	case n < 0:
		c.VPSLLD(operand.U8(uint8(-n)), from, to)
	case from != operand.Op(to):
		c.VMOVDQU32(from, to)
	}
}

// codes is the address of the four activation codes of column k.
func (c *columns) codes(k, row int) operand.Mem { return mem(c.x, 4*(k*c.rows+row)) }

// multiply sets sums to the products of n columns from column first on, plus a correction for each row, if any.
func (c *columns) multiply(first, n int, sums [][]reg.Register, corrections []operand.Mem) {
	// In 16 bits this many columns of two products never saturate.
	short := math.MaxInt16 / (2 * c.max() * 127)
	if c.rows == 1 {
		c.prefetch(first, n)
	}
	if c.lanes == 8 && !c.book && short >= n {
		c.multiplyShort(first, n, sums, corrections)
		return
	}
	for row := range c.rows {
		for v := range c.vectors {
			if corrections != nil {
				c.VPBROADCASTD(corrections[row], sums[v][row])
			} else {
				c.zero(sums[v][row])
			}
		}
	}
	switch {
	case c.lanes == 16:
		for k := first; k < first+n; k++ {
			c.multiplyVNNI(k, sums)
		}
	case c.book:
		for v := range c.vectors {
			for k := first; k < first+n; k++ {
				c.multiplySigned(k, v, sums[v])
			}
		}
	default:
		for v := range c.vectors {
			for k := first; k < first+n; k += 2 {
				c.multiplyTwo(k, v, sums[v])
			}
		}
	}
}

func (c *columns) multiplyVNNI(k int, sums [][]reg.Register) {
	u, x := c.free[:c.vectors], c.free[c.vectors]
	for v := range c.vectors {
		c.load(k, v, u[v], x)
		if c.book {
			c.VPSHUFB(u[v], c.table, u[v])
		}
	}
	for row := range c.rows {
		if c.vectors == 1 {
			c.VPDPBUSD_BCST(c.codes(k, row), u[0], sums[0][row])
			continue
		}
		c.VPBROADCASTD(c.codes(k, row), x)
		for v := range c.vectors {
			c.VPDPBUSD(x, u[v], sums[v][row])
		}
	}
}

// prefetchBytes is how far ahead a product with one row of activations asks for weights. The processor does so itself only
// where addresses rise steadily, which those of the parts of a block do not.
const prefetchBytes = 4096

// prefetch asks for the share of n columns from column first on.
func (c *columns) prefetch(first, n int) {
	const line = 64
	from, to := first*c.blockBytes()/8, (first+n)*c.blockBytes()/8
	for at := from / line * line; at < to/line*line; at += line {
		c.PREFETCHT0(mem(c.w, prefetchBytes+at))
	}
}

// multiplyShort forms the sums in 16 bits.
func (c *columns) multiplyShort(first, n int, sums [][]reg.Register, corrections []operand.Mem) {
	u, t := c.free[0], c.free[1]
	for v := range c.vectors {
		for k := first; k < first+n; k++ {
			c.load(k, v, u, t)
			for row, sum := range sums[v] {
				if k == first {
					c.VPBROADCASTD(c.codes(k, row), sum)
					c.VPMADDUBSW(sum, u, sum)
					continue
				}
				c.VPBROADCASTD(c.codes(k, row), t)
				c.VPMADDUBSW(t, u, t)
				c.VPADDW(t, sum, sum)
			}
		}
		for row, sum := range sums[v] {
			c.VPMADDWD(c.repeated[0x00010001], sum, sum)
			if corrections != nil {
				c.VPBROADCASTD(corrections[row], t)
				c.VPADDD(t, sum, sum)
			}
		}
	}
}

// multiplyTwo adds columns k and k+1: in 16 bits at most 4*63*127 = 32004.
func (c *columns) multiplyTwo(k, v int, sums []reg.Register) {
	u0, u1, t0, t1 := c.free[0], c.free[1], c.free[2], c.free[3]
	c.load(k, v, u0, t0)
	c.load(k+1, v, u1, t0)
	for row, sum := range sums {
		c.VPBROADCASTD(c.codes(k, row), t0)
		c.VPBROADCASTD(c.codes(k+1, row), t1)
		c.VPMADDUBSW(t0, u0, t0)
		c.VPMADDUBSW(t1, u1, t1)
		c.VPADDW(t1, t0, t0)
		c.VPMADDWD(c.repeated[0x00010001], t0, t0)
		c.VPADDD(t0, sum, sum)
	}
}

// multiplySigned adds a column of the codebook's weights, with their signs moved to the codes: in 16 bits at most
// 2*127*127 = 32258.
func (c *columns) multiplySigned(k, v int, sums []reg.Register) {
	u, t, abs := c.free[0], c.free[1], c.free[2]
	c.load(k, v, u, t)
	c.VMOVDQU(c.codebook, t)
	c.VPSHUFB(u, t, u)
	c.VPABSB(u, abs)
	for row, sum := range sums {
		c.VPBROADCASTD(c.codes(k, row), t)
		c.VPSIGNB(u, t, t)
		c.VPMADDUBSW(t, abs, t)
		c.VPMADDWD(c.repeated[0x00010001], t, t)
		c.VPADDD(t, sum, sum)
	}
}
