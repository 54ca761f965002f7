package cpu

import (
	"fmt"

	"verbatim/kernels"
)

// page holds one key-value head's keys and values of kernels.SplitPositions positions as f16: keys with positions side
// by side, (headDim, positions), values with elements side by side, (positions, padded headDim).
//
// CopyKV lets KVs share a page: from then on nobody writes to it, and who wants to takes a copy of its own.
type page struct {
	keys, values []uint16
	shared       bool
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

// Reserve never fails: memory is taken when positions are stored. Pages behind the last position are dropped.
func (b *Backend) Reserve(dst kernels.KV, first, positions int) error {
	c := dst.(*kv)
	c.admit(first, positions)
	pages := (first + positions + kernels.SplitPositions - 1) / kernels.SplitPositions
	for head, all := range c.pages {
		if len(all) > pages {
			clear(all[pages:])
			c.pages[head] = all[:pages]
		}
	}
	return nil
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
	p := c.own(head, position/kernels.SplitPositions)
	j := position % kernels.SplitPositions
	l.toF16Vector(p.values[j*c.padded:][:len(value)], value)
	l.toF16Vector(c.half, key)
	for i, h := range c.half {
		p.keys[i*kernels.SplitPositions+j] = h
	}
}

// own is a page that no other KV shares.
func (c *kv) own(head, index int) *page {
	for len(c.pages[head]) <= index {
		c.pages[head] = append(c.pages[head], page{})
	}
	p := &c.pages[head][index]
	if p.keys != nil && !p.shared {
		return p
	}
	before := *p
	*p = page{
		keys:   make([]uint16, c.shape.HeadDim*kernels.SplitPositions),
		values: make([]uint16, c.padded*kernels.SplitPositions),
	}
	copy(p.keys, before.keys)
	copy(p.values, before.values)
	return p
}

// CopyKV shares whole pages where both firsts begin one, and copies position by position elsewhere.
func (b *Backend) CopyKV(dst, src kernels.KV, dstFirst, srcFirst, positions int) {
	to, from := dst.(*kv), src.(*kv)
	to.admit(dstFirst, positions)
	whole := dstFirst%kernels.SplitPositions == 0 && srcFirst%kernels.SplitPositions == 0
	for head := range from.pages {
		if !whole {
			for i := range positions {
				to.copyPosition(from, head, dstFirst+i, srcFirst+i)
			}
			continue
		}
		for i := 0; i*kernels.SplitPositions < positions; i++ {
			p := &from.pages[head][srcFirst/kernels.SplitPositions+i]
			p.shared = true
			at := dstFirst/kernels.SplitPositions + i
			for len(to.pages[head]) <= at {
				to.pages[head] = append(to.pages[head], page{})
			}
			to.pages[head][at] = *p
		}
	}
}

func (c *kv) copyPosition(from *kv, head, position, fromPosition int) {
	p, q := c.own(head, position/kernels.SplitPositions), &from.pages[head][fromPosition/kernels.SplitPositions]
	j, k := position%kernels.SplitPositions, fromPosition%kernels.SplitPositions
	copy(p.values[j*c.padded:][:c.padded], q.values[k*c.padded:])
	for i := range c.shape.HeadDim {
		p.keys[i*kernels.SplitPositions+j] = q.keys[i*kernels.SplitPositions+k]
	}
}

// ReadKV never fails.
func (b *Backend) ReadKV(dst []uint16, src kernels.KV, first, positions int) error {
	c := src.(*kv)
	c.each(first, positions, func(head, position, key, value int) {
		p := &c.pages[head][position/kernels.SplitPositions]
		j := position % kernels.SplitPositions
		copy(dst[value:][:c.shape.HeadDim], p.values[j*c.padded:])
		for i := range c.shape.HeadDim {
			dst[key+i] = p.keys[i*kernels.SplitPositions+j]
		}
	})
	return nil
}

// WriteKV is the inverse of ReadKV.
func (b *Backend) WriteKV(dst kernels.KV, src []uint16, first, positions int) {
	c := dst.(*kv)
	c.admit(first, positions)
	c.each(first, positions, func(head, position, key, value int) {
		p := c.own(head, position/kernels.SplitPositions)
		j := position % kernels.SplitPositions
		copy(p.values[j*c.padded:], src[value:][:c.shape.HeadDim])
		for i := range c.shape.HeadDim {
			p.keys[i*kernels.SplitPositions+j] = src[key+i]
		}
	})
}

// each gives the places of a head's key and value in (layers, 2, positions, kvHeads, headDim).
func (c *kv) each(first, positions int, visit func(head, position, key, value int)) {
	half := positions * c.shape.KVHeads * c.shape.HeadDim
	for layer := range c.shape.Layers {
		for i := range positions {
			for h := range c.shape.KVHeads {
				key := 2*layer*half + (i*c.shape.KVHeads+h)*c.shape.HeadDim
				visit(layer*c.shape.KVHeads+h, first+i, key, key+half)
			}
		}
	}
}

// admit panics where StoreKV would.
func (c *kv) admit(first, positions int) {
	if first < 0 || positions < 0 || first+positions > c.shape.PositionsMax {
		panic(fmt.Sprintf("cpu: internal error: positions %d to %d of at most %d", first, first+positions, c.shape.PositionsMax))
	}
}
