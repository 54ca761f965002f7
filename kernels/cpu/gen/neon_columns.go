package main

import "fmt"

// neonColumns multiplies the columns of packed weights, which bits tells, by codes.
type neonColumns struct {
	*arm
	bits
	plain         bool // a column is a word, bytes with a sign
	vectors, rows int  // registers of matrix rows; activation rows

	w                        greg
	codes                    window
	weights                  []vreg // two, or one for a single register of matrix rows
	u, t, h                  vreg   // h may be t
	lowMask, highMask, table vreg
}

// take claims registers. There are not always enough to keep the high bits.
func (c *neonColumns) take(r *registerFile, scarce bool) {
	c.weights, c.u, c.t = r.take(min(2, c.vectors)), r.one(), r.one()
	c.h = c.t
	if !scarce {
		c.h = r.one()
	}
	if c.low > 0 {
		c.lowMask = r.one()
		c.fillBytes(uint8(c.mask(c.low, 0)), c.lowMask)
	}
	if c.high > 0 {
		c.highMask = r.one()
		c.fillBytes(uint8(c.mask(c.high, c.low)), c.highMask)
	}
	if c.book {
		c.table = r.one()
		for half := range 2 {
			eight := uint64(0)
			for i := range 8 {
				eight |= uint64(byte(codebook[8*half+i])) << (8 * i)
			}
			c.op("MOVD", fmt.Sprintf("$0x%016X", eight), scratch)
			c.op("VMOV", scratch, fmt.Sprintf("V%d.D[%d]", c.table, half))
		}
	}
}

// takeCodes claims registers for codes, which have to come first: some instructions take only the first 16.
func (c *neonColumns) takeCodes(r *registerFile, x greg, n int) {
	c.codes = window{arm: c.arm, p: x, registers: r.take(n)}
	c.codes.move()
}

// rowWords loads n words from p + offset on, a few for each row, instead of codes.
func (c *neonColumns) rowWords(p greg, offset, n int) []lane {
	lanes := c.loadLanes(p, offset, n, c.codes.registers)
	c.codes.move()
	return lanes
}

// spreadRows copies each row's lane to all of its sums.
func (c *neonColumns) spreadRows(lanes []lane, sums [][]vreg) {
	for _, vector := range sums {
		for row, s := range vector {
			c.spread(lanes[row], s)
		}
	}
}

// loadHalves loads numbers of 16 bits for the four rows of register v and, if there is one, the next.
func (c *neonColumns) loadHalves(p greg, offset, v int, to vreg) {
	if c.vectors == 1 {
		c.op("FMOVD", addr(p, offset), to.f())
	} else {
		c.load(p, offset+8*v, to)
	}
}

// halves converts the f16 numbers of the four rows of register v, from p + offset on. Odd ones are loaded already.
func (c *neonColumns) halves(p greg, offset, v int, loaded, to vreg) vreg {
	if v%2 == 0 {
		c.loadHalves(p, offset, v, loaded)
	}
	c.word(fcvtl(v%2 == 1, to, loaded))
	return to
}

// addSegment is y = fma(t, dx, y).
func (c *neonColumns) addSegment(total [][]vreg) {
	dx := c.rowWords(regDx, 0, c.rows)
	c.op("MOVD", regY, regRow)
	for row := range c.rows {
		for v := 0; v < c.vectors; v += 2 {
			c.loadAll(regRow, 16*v, c.weights)
			for i, y := range c.weights {
				c.word(fmlaLane(y, total[v+i][row], dx[row]))
			}
			c.storeAll(c.weights, regRow, 16*v)
		}
		if row+1 < c.rows {
			c.op("ADD", regYStride, regRow, regRow)
		}
	}
	c.advance(regDx, 4*c.rows)
}

// group are columns whose lower parts lie in the same word.
type group struct {
	word    int
	columns []int
}

func (c *neonColumns) groups(first, n int) []group {
	var list []group
next:
	for k := first; k < first+n; k++ {
		word := k
		if !c.plain {
			word, _ = place(c.low, k)
		}
		for i := range list {
			if list[i].word == word {
				list[i].columns = append(list[i].columns, k)
				continue next
			}
		}
		list = append(list, group{word, []int{k}})
	}
	return list
}

// multiply adds the products of n columns from column first on, counted from w on and all in one block, to
// sums(column)[vector][row].
func (c *neonColumns) multiply(first, n int, sums func(column int) [][]vreg) {
	block := first / 8
	offset := block * c.block()
	for _, g := range c.groups(first%8, n) {
		for v := 0; v < c.vectors; v += 2 {
			c.loadAll(c.w, offset+4*tileRows*g.word+16*v, c.weights)
			for i, weights := range c.weights {
				held := -1
				for _, k := range g.columns {
					w := weights
					if !c.plain {
						w = c.unpack(weights, offset, k, v+i, &held)
					}
					for row, sum := range sums(k)[v+i] {
						c.word(sdotLane(sum, w, c.codes.word((8*block+k)*c.rows+row)))
					}
				}
			}
		}
	}
}

// block is the size of a block of a tile.
func (c *neonColumns) block() int {
	if c.plain {
		return 32 * tileRows
	}
	return c.blockBytes()
}

// unpack puts the weights of column k into a register. held is the word of high bits that h holds.
func (c *neonColumns) unpack(weights vreg, offset, k, v int, held *int) vreg {
	_, shift := place(c.low, k)
	from := weights
	if shift > 0 {
		c.op("VUSHR", imm(shift), weights.b16(), c.u.b16())
		from = c.u
	}
	if shift+c.low < 8 {
		c.op("VAND", from.b16(), c.lowMask.b16(), c.u.b16())
	}
	if c.high > 0 {
		word, shift := place(c.high, k)
		if *held != word || c.h == c.t {
			c.load(c.w, offset+4*tileRows*(c.low+word)+16*v, c.h)
			*held = word
		}
		high := c.h
		switch {
		case shift > c.low:
			c.op("VUSHR", imm(shift-c.low), c.h.b16(), c.t.b16())
			high = c.t
		case shift < c.low:
			c.op("VSHL", imm(c.low-shift), c.h.b16(), c.t.b16())
			high = c.t
		}
		c.op("VBIT", c.highMask.b16(), high.b16(), c.u.b16())
	}
	if c.book {
		c.op("VTBL", c.u.b16(), "["+c.table.b16()+"]", c.u.b16())
	}
	return c.u
}
