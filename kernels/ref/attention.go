package ref

import (
	"verbatim/kernels"
	"verbatim/kernels/canon"
)

// Attention is section 8 of SPEC.md.
func (Backend) Attention(dst, q kernels.Buffer, layer, heads int, spans []kernels.Span) {
	for _, span := range spans {
		c := span.KV.(*kv)
		headDim, kvHeads := c.shape.HeadDim, c.shape.KVHeads
		width := kvHeads * headDim
		for i := range span.Rows {
			position := span.Position + i
			seen := (position + 1) * width
			for h := range heads {
				head := h / (heads / kvHeads) * headDim
				index := (span.Row+i)*heads + h
				Attend(row(dst, index, headDim), row(q, index, headDim), c.keys[layer][head:seen], c.values[layer][head:seen], width, c.shape.FirstSeen(position))
			}
		}
	}
}

// Attend is the attention of one query head. keys and values are f16: position
// j of this head starts at j*width, and the slices end after the last position
// that the query sees; firstSeen is the first one.
func Attend(out, q []float32, keys, values []uint16, width, firstSeen int) {
	positions := (len(keys) + width - 1) / width
	scaled := make([]float32, len(q))
	scale := 1 / canon.Sqrt(float32(len(q)))
	for i := range q {
		scaled[i] = q[i] * scale
	}
	var splits []split
	for first := firstSeen / kernels.SplitPositions * kernels.SplitPositions; first < positions; first += kernels.SplitPositions {
		end := min(first+kernels.SplitPositions, positions)
		splits = append(splits, attendSplit(scaled, keys, values, width, first, end, max(firstSeen-first, 0)))
	}
	combine(out, splits)
}

// split is the attention over some positions, relative to their largest score.
type split struct {
	m float32   // largest score
	l float32   // sum of e^(score - m)
	o []float32 // values, weighted with e^(score - m)
}

// attendSplit attends to the positions of the split first..end-1 but for the
// first unseen ones, whose e stay +0.
func attendSplit(q []float32, keys, values []uint16, width, first, end, unseen int) split {
	e := make([]float32, end-first)
	for j := unseen; j < len(e); j++ {
		key := keys[(first+j)*width:][:len(q)]
		for i := range q {
			e[j] = canon.FMA(q[i], canon.FromF16(key[i]), e[j])
		}
	}
	m := largest(e[unseen:])
	o := make([]float32, len(q))
	for j := unseen; j < len(e); j++ {
		e[j] = canon.Exp(e[j] - m)
		value := values[(first+j)*width:][:len(q)]
		for i := range o {
			o[i] = canon.FMA(e[j], canon.FromF16(value[i]), o[i])
		}
	}
	return split{m, canon.StridedSum(e), o}
}

// combine adds the splits up in order, relative to the largest score of all.
func combine(out []float32, splits []split) {
	maxima := make([]float32, len(splits))
	for k := range splits {
		maxima[k] = splits[k].m
	}
	m, l := largest(maxima), float32(0)
	clear(out)
	for _, s := range splits {
		w := canon.Exp(s.m - m)
		l = canon.FMA(s.l, w, l)
		for i := range out {
			out[i] = canon.FMA(s.o[i], w, out[i])
		}
	}
	r := 1 / l
	for i := range out {
		out[i] *= r
	}
}

// largest ignores NaN after the first element; a NaN reaches the result as a
// NaN whether or not it is the maximum.
func largest(x []float32) float32 {
	m := x[0]
	for _, v := range x[1:] {
		if v > m {
			m = v
		}
	}
	return m
}
