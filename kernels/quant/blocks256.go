package quant

// The superblocks of 256 elements, all numbers little-endian; d and dmin are
// f16. Elements are cut into sub-blocks, each with a scale s and, in Q2_K, Q4_K
// and Q5_K, a minimum m, both integers.
//
//	Q2_K, 84 bytes    | m0 s0 | ... | m15 s15 | q[64] | d | dmin |              sub-blocks of 16
//	Q3_K, 110 bytes   | h[32] | q[64] | s[12] | d |                             of 16
//	Q4_K, 144 bytes   | d | dmin | sm[12] | q[128] |                            of 32
//	Q5_K, 176 bytes   | d | dmin | sm[12] | h[32] | q[128] |                    of 32
//	Q6_K, 210 bytes   | q[128] | h[64] | s0 ... s15 (int8) | d |                of 16
//	IQ4_XS, 136 bytes | d | sh u16 | s1 s0 | s3 s2 | s5 s4 | s7 s6 | q[128] |   of 32
//
// Two bits (q of Q2_K and Q3_K): byte 32k+i, i < 32, holds elements 128k + i,
// +32, +64, +96 from its lowest bits up:
//
//	bits  7 6 | 5 4 | 3 2 | 1 0
//	     i+96 | i+64| i+32| i      of half k
//
// Nibbles (q of Q4_K and Q5_K): byte 32k+i holds element 64k + i in its lower
// and 64k + 32 + i in its upper nibble. Those of IQ4_XS: byte 16k+i holds
// elements 32k + i and 32k + 16 + i. Those of Q6_K: byte 64k+i, i < 64, holds
// elements 128k + i and 128k + 64 + i.
//
// High bits. h of Q3_K and Q5_K: bit j of byte i is the highest bit of element
// 32j + i. h of Q6_K: byte 32k+i holds the fifth and sixth bit of the elements
// that byte 32k+i of two-bit numbers would hold.
//
// Scales of six bits. In sm, eight scales and eight minimums, j < 4:
//
//	byte j     | bits 4,5 of s(j+4) | s(j)             |
//	byte j+4   | bits 4,5 of m(j+4) | m(j)             |
//	byte j+8   | bits 0-3 of m(j+4) | bits 0-3 of s(j+4) |
//
// In s of Q3_K, j < 8: byte j is | bits 0-3 of s(j+8) | bits 0-3 of s(j) |; byte
// 8 + i, i < 4, is | bits 4,5 of s(12+i) | of s(8+i) | of s(4+i) | of s(i) |. In
// IQ4_XS the nibbles named are bits 0-3, and bits 2j, 2j+1 of sh are bits 4, 5
// of s(j). Q3_K and IQ4_XS mean s - 32.
//
// The weight is q (Q2_K, Q4_K, Q5_K), q - 4 (Q3_K), q - 32 (Q6_K) or codebook[q]
// (IQ4_XS).

const halfElements = 128

var layoutQ2_K = layout{elements: 256, sub: 16, fold: 128, halves: []int{80, 82}, low: 0, high: 3, scaleHigh: 15, minimumHigh: 15,
	unpack: func(b *Block, data []byte) {
		unpackPairs(b, data[16:80])
	},
	scales: func(b *Block, data []byte) {
		for j, s := range data[:16] {
			b.Scales[j], b.Minimums[j] = int8(s&15), s>>4
		}
	},
	pack: func(data []byte, b *Block) {
		packPairs(data[16:80], b, 0)
		for j := range data[:16] {
			data[j] = byte(b.Scales[j])&15 | b.Minimums[j]<<4
		}
	}}

var layoutQ3_K = layout{elements: 256, sub: 16, fold: 128, halves: []int{108}, low: -4, high: 3, scaleLow: -32, scaleHigh: 31,
	unpack: func(b *Block, data []byte) {
		h := data[:32]
		unpackPairs(b, data[32:96])
		addHighBits(b, h, 2, -4)
	},
	scales: func(b *Block, data []byte) {
		s := data[96:108]
		for j := range b.Scales {
			low, high := s[j%8]>>(j/8*4)&15, s[8+j%4]>>(j/4*2)&3
			b.Scales[j] = int8(low|high<<4) - 32
		}
	},
	pack: func(data []byte, b *Block) {
		h, s := data[:32], data[96:108]
		packPairs(data[32:96], b, 4)
		for i, w := range b.Weights {
			h[i%32] |= byte(w+4) >> 2 & 1 << (i / 32)
		}
		for j, scale := range b.Scales {
			u := byte(scale + 32)
			s[j%8] |= u & 15 << (j / 8 * 4)
			s[8+j%4] |= u >> 4 & 3 << (j / 4 * 2)
		}
	}}

var layoutQ4_K = layout{elements: 256, sub: 32, fold: 128, halves: []int{0, 2}, low: 0, high: 15, scaleHigh: 63, minimumHigh: 63,
	unpack: func(b *Block, data []byte) {
		unpackRuns(b, data[16:144], 32)
	},
	scales: func(b *Block, data []byte) { unpackSixes(b, data[4:16]) },
	pack: func(data []byte, b *Block) {
		packSixes(data[4:16], b)
		packRuns(data[16:144], b, 32)
	}}

var layoutQ5_K = layout{elements: 256, sub: 32, fold: 64, halves: []int{0, 2}, low: 0, high: 31, scaleHigh: 63, minimumHigh: 63,
	unpack: func(b *Block, data []byte) {
		unpackRuns(b, data[48:176], 32)
		addHighBits(b, data[16:48], 4, 0)
	},
	scales: func(b *Block, data []byte) { unpackSixes(b, data[4:16]) },
	pack: func(data []byte, b *Block) {
		packSixes(data[4:16], b)
		packRuns(data[48:176], b, 32)
		for i, w := range b.Weights {
			data[16+i%32] |= byte(w) >> 4 & 1 << (i / 32)
		}
	}}

var layoutQ6_K = layout{elements: 256, sub: 16, fold: 32, halves: []int{208}, low: -32, high: 31, scaleLow: -128, scaleHigh: 127,
	unpack: func(b *Block, data []byte) {
		unpackPairs(b, data[128:192])
		for half := range 2 {
			w := b.Weights[half*halfElements:][:halfElements]
			for i, v := range data[64*half:][:64] {
				w[i], w[i+64] = int8(v&15)+w[i]<<4-32, int8(v>>4)+w[i+64]<<4-32
			}
		}
	},
	scales: func(b *Block, data []byte) {
		for j, s := range data[192:208] {
			b.Scales[j] = int8(s)
		}
	},
	pack: func(data []byte, b *Block) {
		high := Block{}
		for i, w := range b.Weights {
			half, at := i/halfElements, i%halfElements
			q := byte(w + 32)
			data[64*half+at%64] |= q & 15 << (at / 64 * 4)
			high.Weights[i] = int8(q >> 4)
		}
		packPairs(data[128:192], &high, 0)
		for j, s := range b.Scales {
			data[192+j] = byte(s)
		}
	}}

var layoutIQ4_XS = layout{elements: 256, sub: 32, fold: 32, halves: []int{0}, low: -127, high: 113, scaleLow: -32, scaleHigh: 31, codebook: &codebook,
	unpack: func(b *Block, data []byte) {
		unpackRuns(b, data[8:136], 16)
		for i, q := range b.Weights {
			b.Weights[i] = codebook[q]
		}
	},
	scales: func(b *Block, data []byte) {
		sh := le.Uint16(data[2:])
		for j := range 8 {
			b.Scales[j] = int8(data[4+j/2]>>(j%2*4)&15|byte(sh>>(2*j)&3)<<4) - 32
		}
	},
	pack: func(data []byte, b *Block) {
		nibbles := Block{}
		for i, w := range b.Weights {
			nibbles.Weights[i] = int8(unbook(w))
		}
		packRuns(data[8:136], &nibbles, 16)
		sh := uint16(0)
		for j, s := range b.Scales[:8] {
			u := byte(s + 32)
			data[4+j/2] |= u & 15 << (j % 2 * 4)
			sh |= uint16(u>>4&3) << (2 * j)
		}
		le.PutUint16(data[2:], sh)
	}}

// unpackPairs reads 256 numbers of two bits.
func unpackPairs(b *Block, q []byte) {
	for half := range 2 {
		w := b.Weights[half*halfElements:][:halfElements]
		for i, v := range q[32*half:][:32] {
			w[i], w[i+32], w[i+64], w[i+96] = int8(v&3), int8(v>>2&3), int8(v>>4&3), int8(v>>6)
		}
	}
}

// packPairs writes the low two bits of the weights with a bias.
func packPairs(q []byte, b *Block, bias int8) {
	for i, w := range b.Weights {
		half, at := i/halfElements, i%halfElements
		q[32*half+at%32] |= byte(w+bias) & 3 << (at / 32 * 2)
	}
}

// unpackRuns reads 256 nibbles: run lower ones, then run upper ones of the same bytes.
func unpackRuns(b *Block, q []byte, run int) {
	for first := 0; first < len(b.Weights); first += 2 * run {
		low, high := b.Weights[first:][:run], b.Weights[first+run:][:run]
		for i, v := range q[first/2:][:run] {
			low[i], high[i] = int8(v&15), int8(v>>4)
		}
	}
}

// addHighBits adds bit j of byte i, shifted, and a bias to weight 32j + i.
func addHighBits(b *Block, h []byte, shift uint, bias int8) {
	for j := range 8 {
		w := b.Weights[32*j:][:32]
		for i, v := range h[:32] {
			w[i] += int8(v>>j&1)<<shift + bias
		}
	}
}

// packRuns writes the low nibbles of the weights.
func packRuns(q []byte, b *Block, run int) {
	for i, w := range b.Weights {
		q[i/(2*run)*run+i%run] |= byte(w) & 15 << (i / run % 2 * 4)
	}
}

// unpackSixes reads eight scales and eight minimums of six bits.
func unpackSixes(b *Block, sm []byte) {
	for j := range 4 {
		b.Scales[j], b.Minimums[j] = int8(sm[j]&63), sm[j+4]&63
		b.Scales[j+4] = int8(sm[j+8]&15 | sm[j]>>6<<4)
		b.Minimums[j+4] = sm[j+8]>>4 | sm[j+4]>>6<<4
	}
}

func packSixes(sm []byte, b *Block) {
	for j := range 4 {
		s, m := byte(b.Scales[j+4]), b.Minimums[j+4]
		sm[j] = byte(b.Scales[j])&63 | s>>4<<6
		sm[j+4] = b.Minimums[j]&63 | m>>4<<6
		sm[j+8] = s&15 | m<<4
	}
}
