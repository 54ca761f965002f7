package quant

import (
	"fmt"

	"verbatim/kernels/canon"
)

// BlockElementsMax is the length of the longest block; subBlocksMax the most
// sub-blocks of one.
const (
	BlockElementsMax = 256
	subBlocksMax     = 16
)

// Block is a block taken apart: section 3 of SPEC.md gives its elements'
// values, section 5 its products. What a format does not have is left alone.
type Block struct {
	D, M     float32                // the scale; the minimum, or the scale of the minimums
	Weights  [BlockElementsMax]int8 // the integers w that enter the products
	Scales   [subBlocksMax]int8     // of the sub-blocks of a superblock
	Minimums [subBlocksMax]uint8    // of the sub-blocks of a superblock with minimums
}

// layout says how a block format is built and what its integers can be. Formats
// with 256 elements are superblocks: each sub-block has an integer scale.
type layout struct {
	elements int   // in a block
	sub      int   // elements of a sub-block; the block's of a format without
	fold     int   // elements whose products are added as integers, section 5
	halves   []int // offsets of the f16 numbers in a block: the scale, and the minimum or the minimums' scale

	low, high           int32     // the smallest and largest weight that Quantise writes
	scaleLow, scaleHigh int32     // the same of a superblock's scales
	minimumHigh         int32     // the largest minimum of a superblock; the least is 0
	codebook            *[16]int8 // the weights, where they are not all integers from low to high

	unpack func(b *Block, data []byte) // the weights
	scales func(b *Block, data []byte) // a superblock's scales and minimums
	pack   func(data []byte, b *Block) // the inverse of both; data starts as zeros
}

func (l *layout) superblock() bool { return l.elements == BlockElementsMax }
func (l *layout) minimums() bool   { return len(l.halves) == 2 }

// layoutOf panics for types without blocks: asking for one is a bug.
func (t Type) layoutOf() *layout {
	l := t.format().layout
	if l == nil {
		panic(fmt.Sprintf("quant: internal error: %v has no blocks that the kernels know", t))
	}
	return l
}

// SubBlockElements is the number of elements that share an integer scale, of a
// supported block format; the length of the block where there are no such scales.
func (t Type) SubBlockElements() int { return t.layoutOf().sub }

// FoldElements is the number of elements whose products section 5 of SPEC.md
// adds as integers before it applies the block's scale.
func (t Type) FoldElements() int { return t.layoutOf().fold }

// HasMinimums says whether a block has a minimum, or its sub-blocks have.
func (t Type) HasMinimums() bool { return t.layoutOf().minimums() }

// Halves lists the offsets of the f16 numbers in a block of a supported block
// format: the scale, then what belongs to the minimums if there are any.
func (t Type) Halves() []int { return append([]int(nil), t.layoutOf().halves...) }

// UnpackBlock takes a block of a supported block format apart. Every block of
// the right length is legal, but for D and M that are not finite.
func UnpackBlock(t Type, b *Block, data []byte) {
	l := t.layoutOf()
	b.D = canon.FromF16(le.Uint16(data[l.halves[0]:]))
	if l.minimums() {
		b.M = canon.FromF16(le.Uint16(data[l.halves[1]:]))
	}
	l.unpack(b, data)
	if l.scales != nil {
		l.scales(b, data)
	}
}

// UnpackScales takes the integer scales and minimums of a superblock only.
func UnpackScales(t Type, b *Block, data []byte) { t.layoutOf().scales(b, data) }

// PackBlock is the inverse of UnpackBlock: it fills data, one block. D and M are
// rounded to f16; integers out of the format's range panic or are cut to its
// bits, so check them before.
func PackBlock(t Type, data []byte, b *Block) {
	l := t.layoutOf()
	clear(data)
	le.PutUint16(data[l.halves[0]:], canon.ToF16(b.D))
	if l.minimums() {
		le.PutUint16(data[l.halves[1]:], canon.ToF16(b.M))
	}
	l.pack(data, b)
}

// values writes the values of a block's elements, section 3 of SPEC.md.
func (l *layout) values(dst []float32, b *Block) {
	if !l.superblock() {
		for i := range dst {
			dst[i] = float32(float32(b.Weights[i]) * b.D)
			if l.minimums() {
				dst[i] += b.M
			}
		}
		return
	}
	for i := range dst {
		j := i / l.sub
		dst[i] = float32(float32(int32(b.Scales[j])*int32(b.Weights[i])) * b.D)
		if l.minimums() {
			dst[i] -= float32(float32(b.Minimums[j]) * b.M)
		}
	}
}
