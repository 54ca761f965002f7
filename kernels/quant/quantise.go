package quant

import (
	"fmt"
	"math"

	"verbatim/kernels/canon"
)

// Quantise encodes a row, for tests, tools and random models. It is
// reproducible, but not normative: a model is the bytes of its file, however
// they were made. Values must be finite, and small enough for an f16 scale;
// len(row) must be a multiple of the block.
func Quantise(t Type, row []float32) []byte {
	size, err := RowBytes(t, len(row))
	if err != nil {
		panic(fmt.Sprintf("quant: internal error: %v", err))
	}
	out := make([]byte, 0, size)
	switch t {
	case F32:
		for _, x := range row {
			out = le.AppendUint32(out, math.Float32bits(x))
		}
	case F16:
		for _, x := range row {
			out = le.AppendUint16(out, canon.ToF16(x))
		}
	case BF16:
		for _, x := range row {
			out = le.AppendUint16(out, canon.ToBF16(x))
		}
	default:
		l := t.layoutOf()
		out = out[:size]
		var b Block
		for i := range len(row) / l.elements {
			x := row[i*l.elements:][:l.elements]
			if l.superblock() {
				l.chooseSuperblock(&b, x)
			} else {
				l.chooseBlock(&b, x)
			}
			PackBlock(t, out[i*t.BlockBytes():][:t.BlockBytes()], &b)
		}
	}
	return out
}

// extent is the range of x, and the value farthest from zero.
func extent(x []float32) (low, high, far float32) {
	low, high = x[0], x[0]
	for _, v := range x {
		low, high = min(low, v), max(high, v)
	}
	if -low > high {
		return low, high, low
	}
	return low, high, high
}

// chooseBlock spans the block's range: with a minimum from end to end, else by
// the value farthest from zero, which becomes the code farthest from it (127 in
// Q8_0, which leaves -128 alone).
func (l *layout) chooseBlock(b *Block, x []float32) {
	low, high, far := extent(x)
	b.D, b.M = far/float32(l.low), 0
	switch {
	case l.minimums():
		b.D, b.M = (high-low)/float32(l.high), low
	case l.high == 127:
		b.D = far / 127
	}
	l.chooseWeights(b.Weights[:len(x)], x, reciprocal(b.D), b.M)
}

// chooseSuperblock does the same for each sub-block, and expresses the scales
// and minimums that it would like in the superblock's.
func (l *layout) chooseSuperblock(b *Block, x []float32) {
	var scales, minimums [subBlocksMax]float32
	n := len(x) / l.sub
	for j := range n {
		low, high, far := extent(x[j*l.sub:][:l.sub])
		scales[j] = far / float32(l.low)
		if l.minimums() {
			low, high = min(low, 0), max(high, 0)
			scales[j], minimums[j] = (high-low)/float32(l.high), -low
		}
	}
	_, _, far := extent(scales[:n])
	b.D, b.M = far/float32(l.scaleLow), 0
	if l.minimums() {
		_, most, _ := extent(minimums[:n])
		b.D, b.M = far/float32(l.scaleHigh), half(most/float32(l.minimumHigh))
	}
	b.D = half(b.D)
	for j := range n {
		b.Scales[j] = int8(nearest(float32(scales[j]*reciprocal(b.D)), l.scaleLow, l.scaleHigh))
		b.Minimums[j] = uint8(nearest(float32(minimums[j]*reciprocal(b.M)), 0, l.minimumHigh))
		d, m := float32(b.D*float32(b.Scales[j])), float32(b.M*float32(b.Minimums[j]))
		l.chooseWeights(b.Weights[j*l.sub:][:l.sub], x[j*l.sub:], reciprocal(d), -m)
	}
}

// chooseWeights finds the weights nearest to (x - m) · r.
func (l *layout) chooseWeights(weights []int8, x []float32, r, m float32) {
	for i := range weights {
		scaled := float32((x[i] - m) * r)
		w := nearest(scaled, l.low, l.high)
		if l.codebook != nil {
			best := l.codebook[0]
			for _, c := range l.codebook {
				if distance(scaled, c) < distance(scaled, best) {
					best = c
				}
			}
			w = int32(best)
		}
		weights[i] = int8(w)
	}
}

func distance(x float32, c int8) float32 {
	d := x - float32(c)
	return max(d, -d)
}

// half is x rounded to f16.
func half(x float32) float32 { return canon.FromF16(canon.ToF16(x)) }

// reciprocal is 0 of 0: the codes of such a block are all alike.
func reciprocal(d float32) float32 {
	if d == 0 {
		return 0
	}
	return 1 / d
}

// nearest is the integer from low to high nearest to x, which may be infinite.
func nearest(x float32, low, high int32) int32 {
	return min(max(canon.RNE(min(max(x, -256), 256)), low), high)
}
