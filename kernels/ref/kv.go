package ref

import (
	"fmt"

	"verbatim/kernels"
	"verbatim/kernels/canon"
)

// kv keeps keys and values as f16, (positions, kvHeads, headDim) a layer.
type kv struct {
	shape        kernels.KVShape
	keys, values [][]uint16 // by layer
}

func (c *kv) PositionsMax() int { return c.shape.PositionsMax }

// NewKV returns an empty KV.
func (Backend) NewKV(shape kernels.KVShape) (kernels.KV, error) {
	if shape.Layers <= 0 || shape.KVHeads <= 0 || shape.HeadDim <= 0 || shape.PositionsMax <= 0 {
		return nil, fmt.Errorf("make a KV cache: %+v", shape)
	}
	return &kv{shape, make([][]uint16, shape.Layers), make([][]uint16, shape.Layers)}, nil
}

// Reserve never fails: memory is taken when positions are stored.
func (Backend) Reserve(c kernels.KV, first, positions int) error {
	c.(*kv).admit(first, positions)
	return nil
}

// StoreKV keeps keys and values, section 8 of SPEC.md.
func (Backend) StoreKV(layer int, k, v kernels.Buffer, spans []kernels.Span) {
	for _, span := range spans {
		c := span.KV.(*kv)
		width := c.shape.KVHeads * c.shape.HeadDim
		if span.Position < 0 || span.Position+span.Rows > c.shape.PositionsMax {
			panic(fmt.Sprintf("ref: internal error: positions %d to %d of at most %d", span.Position, span.Position+span.Rows, c.shape.PositionsMax))
		}
		for i := range span.Rows {
			c.keys[layer] = store(c.keys[layer], span.Position+i, row(k, span.Row+i, width))
			c.values[layer] = store(c.values[layer], span.Position+i, row(v, span.Row+i, width))
		}
	}
}

// store rounds x to f16 at a position, and grows kept to hold it.
func store(kept []uint16, position int, x []float32) []uint16 {
	if missing := (position+1)*len(x) - len(kept); missing > 0 {
		kept = append(kept, make([]uint16, missing)...)
	}
	for i, value := range x {
		kept[position*len(x)+i] = canon.ToF16(value)
	}
	return kept
}

// CopyKV copies positions of all layers.
func (Backend) CopyKV(dst, src kernels.KV, dstFirst, srcFirst, positions int) {
	to, from := dst.(*kv), src.(*kv)
	width := from.shape.KVHeads * from.shape.HeadDim
	to.admit(dstFirst, positions)
	for layer := range from.shape.Layers {
		to.keys[layer] = put(to.keys[layer], dstFirst*width, from.keys[layer][srcFirst*width:][:positions*width])
		to.values[layer] = put(to.values[layer], dstFirst*width, from.values[layer][srcFirst*width:][:positions*width])
	}
}

// ReadKV never fails.
func (Backend) ReadKV(dst []uint16, src kernels.KV, first, positions int) error {
	c := src.(*kv)
	width := c.shape.KVHeads * c.shape.HeadDim
	n := positions * width
	for layer := range c.shape.Layers {
		copy(dst[2*layer*n:][:n], c.keys[layer][first*width:][:n])
		copy(dst[(2*layer+1)*n:][:n], c.values[layer][first*width:][:n])
	}
	return nil
}

// WriteKV is the inverse of ReadKV.
func (Backend) WriteKV(dst kernels.KV, src []uint16, first, positions int) {
	c := dst.(*kv)
	width := c.shape.KVHeads * c.shape.HeadDim
	n := positions * width
	c.admit(first, positions)
	for layer := range c.shape.Layers {
		c.keys[layer] = put(c.keys[layer], first*width, src[2*layer*n:][:n])
		c.values[layer] = put(c.values[layer], first*width, src[(2*layer+1)*n:][:n])
	}
}

// admit panics where StoreKV would.
func (c *kv) admit(first, positions int) {
	if first < 0 || positions < 0 || first+positions > c.shape.PositionsMax {
		panic(fmt.Sprintf("ref: internal error: positions %d to %d of at most %d", first, first+positions, c.shape.PositionsMax))
	}
}

// put copies x to kept from element first on, and grows kept to hold it.
func put(kept []uint16, first int, x []uint16) []uint16 {
	if missing := first + len(x) - len(kept); missing > 0 {
		kept = append(kept, make([]uint16, missing)...)
	}
	copy(kept[first:], x)
	return kept
}
