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
