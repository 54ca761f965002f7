package cuda

import (
	"fmt"

	"verbatim/kernels"
)

// splitKV has on each card the keys and values of the layers that are there; nil where there are none.
type splitKV struct {
	shape kernels.KVShape
	on    []kernels.KV
	first []int // layer of each card, and after the last one the number of layers
}

func (c *splitKV) PositionsMax() int { return c.shape.PositionsMax }

// NewKV returns an empty KV.
func (s *Split) NewKV(shape kernels.KVShape) (kernels.KV, error) {
	c := &splitKV{shape: shape, on: make([]kernels.KV, len(s.cards)), first: make([]int, len(s.cards)+1)}
	for layer := range shape.Layers {
		c.first[s.cardOf(layer, shape.Layers)+1]++
	}
	for card, b := range s.cards {
		part := shape
		part.Layers = c.first[card+1]
		c.first[card+1] += c.first[card]
		if part.Layers == 0 && shape.Layers > 0 {
			continue
		}
		var err error
		if c.on[card], err = b.NewKV(part); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// each calls do for the cards that have layers.
func (s *Split) each(c *splitKV, do func(card int, b *Backend, kv kernels.KV) error) error {
	for card, b := range s.cards {
		if c.on[card] != nil {
			if err := do(card, b, c.on[card]); err != nil {
				return err
			}
		}
	}
	return nil
}

// Reserve reserves on every card.
func (s *Split) Reserve(dst kernels.KV, first, positions int) error {
	return s.each(dst.(*splitKV), func(_ int, b *Backend, kv kernels.KV) error { return b.Reserve(kv, first, positions) })
}

// local gives the card of a layer, the layer's number there, and the spans as they are there.
func (s *Split) local(layer int, spans []kernels.Span) (card, there int, on []kernels.Span) {
	for i, span := range spans {
		c := span.KV.(*splitKV)
		if i == 0 {
			card = s.cardOf(layer, c.shape.Layers)
			there = layer - c.first[card]
		}
		span.KV = c.on[card]
		on = append(on, span)
	}
	return card, there, on
}

// rowsOf is how many rows of a batch the spans reach.
func rowsOf(spans []kernels.Span) int {
	if len(spans) == 0 {
		return 0
	}
	last := spans[len(spans)-1]
	return last.Row + last.Rows
}

// StoreKV runs where the layer is.
func (s *Split) StoreKV(layer int, k, v kernels.Buffer, spans []kernels.Span) {
	if len(spans) == 0 {
		return
	}
	card, there, on := s.local(layer, spans)
	shape := &spans[0].KV.(*splitKV).shape
	n := rowsOf(spans) * shape.KVHeads * shape.HeadDim
	s.cards[card].StoreKV(there, s.bring(k, card, n, false), s.bring(v, card, n, false), on)
}

// Attention runs where the layer is.
func (s *Split) Attention(dst, q kernels.Buffer, layer, heads int, spans []kernels.Span) {
	if len(spans) == 0 {
		return
	}
	card, there, on := s.local(layer, spans)
	n := rowsOf(spans) * heads * spans[0].KV.(*splitKV).shape.HeadDim
	// Rows of no span stay as they are, so that what dst holds comes along.
	from := s.bring(q, card, n, false)
	s.cards[card].Attention(s.bring(dst, card, n, false), from, there, heads, on)
}

// CopyKV copies on every card.
func (s *Split) CopyKV(dst, src kernels.KV, dstFirst, srcFirst, positions int) {
	from := src.(*splitKV)
	_ = s.each(dst.(*splitKV), func(card int, b *Backend, kv kernels.KV) error {
		b.CopyKV(kv, from.on[card], dstFirst, srcFirst, positions)
		return nil
	})
}

// layersOf is what a card has of (layers, 2, positions, kvHeads, headDim).
func (c *splitKV) layersOf(all []uint16, card, positions int) []uint16 {
	layer := 2 * positions * c.shape.KVHeads * c.shape.HeadDim
	return all[c.first[card]*layer : c.first[card+1]*layer]
}

// ReadKV reads from every card.
func (s *Split) ReadKV(dst []uint16, src kernels.KV, first, positions int) error {
	c := src.(*splitKV)
	return s.each(c, func(card int, b *Backend, kv kernels.KV) error {
		if err := b.ReadKV(c.layersOf(dst, card, positions), kv, first, positions); err != nil {
			return fmt.Errorf("%s: %w", b.Info().Device, err)
		}
		return nil
	})
}

// WriteKV writes to every card.
func (s *Split) WriteKV(dst kernels.KV, src []uint16, first, positions int) {
	c := dst.(*splitKV)
	_ = s.each(c, func(card int, b *Backend, kv kernels.KV) error {
		b.WriteKV(kv, c.layersOf(src, card, positions), first, positions)
		return nil
	})
}
