package quant

import (
	"encoding/binary"
	"fmt"
	"slices"
)

var le = binary.LittleEndian

// The blocks of 32 elements, all numbers little-endian:
//
//	Q8_0, 34 bytes    | d f16 | q0 | q1 | ... | q31 |          q int8
//	Q4_0, 18 bytes    | d f16 | q16 q0 | q17 q1 | ... | q31 q15 |
//	Q4_1, 20 bytes    | d f16 | m f16 | q16 q0 | ... | q31 q15 |
//	Q5_0, 22 bytes    | d f16 | h u32 | q16 q0 | ... | q31 q15 |
//	Q5_1, 24 bytes    | d f16 | m f16 | h u32 | q16 q0 | ... | q31 q15 |
//	IQ4_NL, 18 bytes  | d f16 | q16 q0 | q17 q1 | ... | q31 q15 |
//
// In a byte of nibbles the element named first is the upper nibble: byte i
// holds element i in its lower and element i+16 in its upper nibble. Bit i of h
// is the fifth bit of element i. The weight is q (Q8_0, Q4_1, Q5_1), q - 8
// (Q4_0), q - 16 (Q5_0) or codebook[q] (IQ4_NL).

const blockElements = 32

// codebook is what the nibbles of IQ4_NL and IQ4_XS stand for.
var codebook = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// unbook is the inverse of codebook.
func unbook(w int8) byte {
	q, found := slices.BinarySearch(codebook[:], w)
	if !found {
		panic(fmt.Sprintf("quant: internal error: %d is not in the codebook", w))
	}
	return byte(q)
}

var layoutQ8_0 = layout{elements: 32, sub: 32, fold: 32, halves: []int{0}, low: -127, high: 127,
	unpack: func(b *Block, data []byte) {
		for i, q := range data[2:34] {
			b.Weights[i] = int8(q)
		}
	},
	pack: func(data []byte, b *Block) {
		for i := range blockElements {
			data[2+i] = byte(b.Weights[i])
		}
	}}

var layoutQ4_0 = layout{elements: 32, sub: 32, fold: 32, halves: []int{0}, low: -8, high: 7,
	unpack: func(b *Block, data []byte) { unpackNibbles(b, data[2:18], 8) },
	pack:   func(data []byte, b *Block) { packNibbles(data[2:18], b, 8) }}

var layoutQ4_1 = layout{elements: 32, sub: 32, fold: 32, halves: []int{0, 2}, low: 0, high: 15,
	unpack: func(b *Block, data []byte) { unpackNibbles(b, data[4:20], 0) },
	pack:   func(data []byte, b *Block) { packNibbles(data[4:20], b, 0) }}

var layoutQ5_0 = layout{elements: 32, sub: 32, fold: 32, halves: []int{0}, low: -16, high: 15,
	unpack: func(b *Block, data []byte) { unpackFives(b, data[2:22], 16) },
	pack:   func(data []byte, b *Block) { packFives(data[2:22], b, 16) }}

var layoutQ5_1 = layout{elements: 32, sub: 32, fold: 32, halves: []int{0, 2}, low: 0, high: 31,
	unpack: func(b *Block, data []byte) { unpackFives(b, data[4:24], 0) },
	pack:   func(data []byte, b *Block) { packFives(data[4:24], b, 0) }}

var layoutIQ4_NL = layout{elements: 32, sub: 32, fold: 32, halves: []int{0}, low: -127, high: 113, codebook: &codebook,
	unpack: func(b *Block, data []byte) {
		for i, q := range data[2:18] {
			b.Weights[i], b.Weights[i+16] = codebook[q&15], codebook[q>>4]
		}
	},
	pack: func(data []byte, b *Block) {
		for i := range data[2:18] {
			data[2+i] = unbook(b.Weights[i]) | unbook(b.Weights[i+16])<<4
		}
	}}

func unpackNibbles(b *Block, nibbles []byte, bias int8) {
	for i, q := range nibbles {
		b.Weights[i], b.Weights[i+16] = int8(q&15)-bias, int8(q>>4)-bias
	}
}

func packNibbles(nibbles []byte, b *Block, bias int8) {
	for i := range nibbles {
		nibbles[i] = byte(b.Weights[i]+bias)&15 | byte(b.Weights[i+16]+bias)<<4
	}
}

// unpackFives reads h and the nibbles after it.
func unpackFives(b *Block, data []byte, bias int8) {
	unpackNibbles(b, data[4:], bias)
	for i, h := 0, le.Uint32(data); i < blockElements; i++ {
		b.Weights[i] += int8(h>>i&1) << 4
	}
}

func packFives(data []byte, b *Block, bias int8) {
	packNibbles(data[4:], b, bias)
	h := uint32(0)
	for i := range blockElements {
		h |= uint32(b.Weights[i]+bias) >> 4 & 1 << i
	}
	le.PutUint32(data, h)
}
