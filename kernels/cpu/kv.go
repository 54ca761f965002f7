package cpu

import (
	"fmt"

	"verbatim/kernels"
)

// page holds one key-value head's keys and values of kernels.SplitPositions positions as f16: keys with positions side
// by side, (headDim, positions), values with elements side by side, (positions, padded headDim).
type page struct {
	keys, values []uint16
}

// headLanes is what the length of a head is rounded up to, so that values fill registers.
const headLanes = 16

// kv is a session's keys and values.
type kv struct {
	shape  kernels.KVShape
	padded int      // headDim rounded up
	pages  [][]page // by layer*KVHeads + head, then by position/SplitPositions
	half   []uint16 // scratch of a row
}

func (c *kv) PositionsMax() int { return c.shape.PositionsMax }

// NewKV returns an empty KV.
func (b *Backend) NewKV(shape kernels.KVShape) (kernels.KV, error) {
	if shape.Layers <= 0 || shape.KVHeads <= 0 || shape.HeadDim <= 0 || shape.PositionsMax <= 0 {
		return nil, fmt.Errorf("make a KV cache: %+v", shape)
	}
	return &kv{
		shape:  shape,
		padded: (shape.HeadDim + headLanes - 1) / headLanes * headLanes,
		pages:  make([][]page, shape.Layers*shape.KVHeads),
		half:   make([]uint16, shape.HeadDim),
	}, nil
}

// StoreKV keeps keys and values, section 8 of SPEC.md.
func (b *Backend) StoreKV(layer int, k, v kernels.Buffer, spans []kernels.Span) {
	for _, span := range spans {
		c := span.KV.(*kv)
		if span.Position < 0 || span.Position+span.Rows > c.shape.PositionsMax {
			panic(fmt.Sprintf("cpu: internal error: positions %d to %d of at most %d", span.Position, span.Position+span.Rows, c.shape.PositionsMax))
		}
		d := c.shape.HeadDim
		for row := range span.Rows {
			for head := range c.shape.KVHeads {
				from := ((span.Row+row)*c.shape.KVHeads + head) * d
				c.store(b.level, layer*c.shape.KVHeads+head, span.Position+row, k.(*buffer).x[from:][:d], v.(*buffer).x[from:][:d])
			}
		}
	}
}

// store rounds a position's key and value of one head and layer to f16.
func (c *kv) store(l *level, head, position int, key, value []float32) {
	for len(c.pages[head])*kernels.SplitPositions <= position {
		c.pages[head] = append(c.pages[head], page{
			keys:   make([]uint16, c.shape.HeadDim*kernels.SplitPositions),
			values: make([]uint16, c.padded*kernels.SplitPositions),
		})
	}
	p := c.pages[head][position/kernels.SplitPositions]
	j := position % kernels.SplitPositions
	l.toF16Vector(p.values[j*c.padded:][:len(value)], value)
	l.toF16Vector(c.half, key)
	for i, h := range c.half {
		p.keys[i*kernels.SplitPositions+j] = h
	}
}
