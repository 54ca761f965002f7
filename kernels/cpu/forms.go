package cpu

import (
	"encoding/binary"

	"verbatim/kernels/quant"
)

// form is what a format's blocks are packed to, and what its products want beside the codes.
type form struct {
	elements, weights, scales int // of a row's block; the latter in bytes
	sums                      sumsKind
	// pack takes a block apart. Without it a block is copied: its scales, then its weights.
	pack func(to *packedBlock, data []byte)
}

// packedBlock is a row's block: words of weights, and the f16 numbers and pairs of scales.
type packedBlock struct {
	words  [8 * 6]uint32
	halves [2 + 2*4]uint16
}

// forms has the formats that levels with assembly pack. matrix draws the layouts.
var forms = map[quant.Type]form{
	quant.F32:    {elements: 1, weights: 4},
	quant.F16:    {elements: 1, weights: 2},
	quant.BF16:   {elements: 1, weights: 2},
	quant.Q8_0:   {elements: blockElements, weights: 32, scales: 2, sums: times128},
	quant.Q4_0:   {elements: blockElements, weights: 16, scales: 2, sums: times8},
	quant.Q4_1:   {elements: blockElements, weights: 16, scales: 4, sums: floats},
	quant.Q5_0:   {elements: blockElements, weights: 20, scales: 2, sums: times16, pack: packQ5_0},
	quant.Q5_1:   {elements: blockElements, weights: 20, scales: 4, sums: floats, pack: packQ5_1},
	quant.IQ4_NL: {elements: blockElements, weights: 16, scales: 2, sums: times128},
	quant.Q2_K:   {elements: superElements, weights: 8 * 8, scales: 2 * 10, sums: pairs16, pack: packQ2K},
	quant.Q3_K:   {elements: superElements, weights: 8 * 12, scales: 2 * 9, sums: halves4, pack: packQ3K},
	quant.Q4_K:   {elements: superElements, weights: 8 * 16, scales: 2 * 10, sums: pairs32, pack: packQ4K},
	quant.Q5_K:   {elements: superElements, weights: 8 * 20, scales: 2 * 10, sums: pairs32, pack: packQ5K},
	quant.Q6_K:   {elements: superElements, weights: 8 * 24, scales: 2 * 9, sums: halves32, pack: packQ6K},
	quant.IQ4_XS: {elements: superElements, weights: 8 * 16, scales: 2 * 9, sums: halves128, pack: packIQ4XS},
}

var le = binary.LittleEndian

func packQ5_0(to *packedBlock, data []byte) {
	to.halves[0] = le.Uint16(data)
	packFives(to, data[2:])
}

func packQ5_1(to *packedBlock, data []byte) {
	to.halves[0], to.halves[1] = le.Uint16(data), le.Uint16(data[2:])
	packFives(to, data[4:])
}

// packFives moves bit 4c + b of the word of high bits to bit 8b + c.
func packFives(to *packedBlock, data []byte) {
	for k := range 4 {
		to.words[k] = le.Uint32(data[4+4*k:])
	}
	h := le.Uint32(data)
	to.words[4] = 0
	for b := range 4 {
		x := h >> b & 0x11111111
		x = (x | x>>3) & 0x03030303
		x = (x | x>>6) & 0x000F000F
		to.words[4] |= (x | x>>12) & 0xFF << (8 * b)
	}
}

func packQ4K(to *packedBlock, data []byte) {
	for i := range 4 {
		splitNibbles(to.words[8*i:], to.words[8*i+4:], data[16+32*i:])
	}
	packScales(to, quant.Q4_K, data, 0, 2)
}

func packQ5K(to *packedBlock, data []byte) {
	for i := range 4 {
		splitNibbles(to.words[10*i:], to.words[10*i+5:], data[48+32*i:])
	}
	for j := range 8 {
		to.words[5*j+4] = joinBits(data[16:], j)
	}
	packScales(to, quant.Q5_K, data, 0, 2)
}

func packQ6K(to *packedBlock, data []byte) {
	for half := range 2 {
		for i := range 2 {
			j := 4*half + i
			splitNibbles(to.words[6*j:], to.words[6*(j+2):], data[64*half+32*i:])
		}
		for i := range 4 {
			joinPairs(to.words[6*(4*half+i)+4:], data[128+32*half:], i)
		}
	}
	packScales(to, quant.Q6_K, data, 208)
}

func packQ3K(to *packedBlock, data []byte) {
	for j := range 8 {
		joinPairs(to.words[3*j:], data[32+32*(j/4):], j%4)
		to.words[3*j+2] = joinBits(data, j)
	}
	packScales(to, quant.Q3_K, data, 108)
}

// packQ2K keeps the bytes that hold a scale and a minimum.
func packQ2K(to *packedBlock, data []byte) {
	for j := range 8 {
		joinPairs(to.words[2*j:], data[16+32*(j/4):], j%4)
		to.halves[2+j] = le.Uint16(data[2*j:])
	}
	to.halves[0], to.halves[1] = le.Uint16(data[80:]), le.Uint16(data[82:])
}

func packIQ4XS(to *packedBlock, data []byte) {
	for k := range 32 {
		to.words[k] = le.Uint32(data[8+4*k:])
	}
	packScales(to, quant.IQ4_XS, data, 0)
}

// packScales lays out the scales and minimums of a superblock, after the f16 numbers at halves. Sub-blocks without minimums
// have 16 elements here.
func packScales(to *packedBlock, t quant.Type, data []byte, halves ...int) {
	var b quant.Block
	quant.UnpackScales(t, &b, data)
	n := 0
	for _, at := range halves {
		to.halves[n] = le.Uint16(data[at:])
		n++
	}
	pair := func(low, high uint8) {
		to.halves[n] = uint16(low) | uint16(high)<<8
		n++
	}
	sub := t.SubBlockElements()
	if !t.HasMinimums() {
		for i := 0; i < superElements; i += blockElements {
			pair(uint8(b.Scales[i/sub]), uint8(b.Scales[(i+16)/sub]))
		}
		return
	}
	for j := 0; j < 8; j += 4 {
		pair(uint8(b.Scales[j]), uint8(b.Scales[j+1]))
		pair(uint8(b.Scales[j+2]), uint8(b.Scales[j+3]))
		pair(b.Minimums[j], b.Minimums[j+1])
		pair(b.Minimums[j+2], b.Minimums[j+3])
	}
}

// splitNibbles makes a block of the lower and one of the upper nibbles of 32 bytes: byte i of a block has the nibbles of
// bytes i and i + 16.
func splitNibbles(low, high []uint32, data []byte) {
	const mask = 0x0F0F0F0F
	for k := range 4 {
		a, b := le.Uint32(data[4*k:]), le.Uint32(data[4*k+16:])
		low[k], high[k] = a&mask|b&mask<<4, a>>4&mask|b&^uint32(mask)
	}
}

// joinBits collects bit j of 32 bytes: that of byte 4c + b goes to bit 8b + c.
func joinBits(data []byte, j int) uint32 {
	word := uint32(0)
	for c := range 8 {
		word |= le.Uint32(data[4*c:]) >> j & 0x01010101 << c
	}
	return word
}

// joinPairs collects bits 2j and 2j + 1 of 32 bytes: those of byte 16p + 4c + b go to bits 8b + 2c of word p.
func joinPairs(to []uint32, data []byte, j int) {
	for p := range 2 {
		to[p] = 0
		for c := range 4 {
			to[p] |= le.Uint32(data[16*p+4*c:]) >> (2 * j) & 0x03030303 << (2 * c)
		}
	}
}

// sumsKind is a way to lay out the sums of a row's codes.
type sumsKind uint8

const (
	none sumsKind = iota
	times8
	times16
	times128
	floats
	halves4
	halves32
	halves128
	pairs32
	pairs16
	sumsKinds
)

// sumsForms tells what they are: for every so many codes, their sum as f32 or times a factor; or minus the sums of both
// halves, 16 bits each.
var sumsForms = [sumsKinds]struct {
	codes  int
	factor int32
	float  bool
}{
	times8:    {codes: 32, factor: -8},
	times16:   {codes: 32, factor: -16},
	times128:  {codes: 32, factor: -128},
	floats:    {codes: 32, float: true},
	halves4:   {codes: 16, factor: -4},
	halves32:  {codes: 16, factor: -32},
	halves128: {codes: 16, factor: -128},
	pairs32:   {codes: 64},
	pairs16:   {codes: 32},
}
