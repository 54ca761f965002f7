package main

import "github.com/mmcloughlin/avo/reg"

// tileRows is the number of matrix rows interleaved in memory; kernels/cpu's pack.go has the same number.
const tileRows = 32

// level is an instruction set.
type level struct {
	name  string         // suffix of its functions
	lanes int            // float32 lanes of a register
	v     []reg.Register // all vector registers
	// tiles lists, for 1, 2, ... activation rows, how many registers of matrix rows a function of blocks has.
	blockVectors, floatVectors []int
	// attentionVectors are the numbers of registers of positions or elements that attention handles at once.
	attentionVectors []int
}

var avx2 = level{
	name:  "AVX2",
	lanes: 8,
	v: []reg.Register{
		reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7,
		reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
	},
	blockVectors:     []int{4, 2, 1, 1},
	floatVectors:     []int{4, 4, 4, 2},
	attentionVectors: []int{2},
}

var avx512 = level{
	name:  "AVX512",
	lanes: 16,
	v: []reg.Register{
		reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7,
		reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
		reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23,
		reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
	},
	blockVectors:     []int{2, 2, 2, 2, 2, 2},
	floatVectors:     []int{2, 2, 2, 2, 2, 2},
	attentionVectors: []int{1, 4},
}

// bytes is the width of a register.
func (l level) bytes() int { return 4 * l.lanes }

// registers hands out the vector registers of a function by name.
type registers struct {
	level
	used int
}

func (r *registers) next() reg.Register {
	r.used++
	return r.v[r.used-1]
}

// grid is a rows x columns array of registers.
func (r *registers) grid(rows, columns int) [][]reg.Register {
	out := make([][]reg.Register, rows)
	for i := range out {
		for range columns {
			out[i] = append(out[i], r.next())
		}
	}
	return out
}
