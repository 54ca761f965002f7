package cuda

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"verbatim/kernels"
	"verbatim/kernels/quant"
)

// Split is the Backend of a model that is spread over several cards: whole layers, so that no reduction is cut and no bit changes.
// Matrices that belong to no layer are on the first card.
//
// Every operator runs on the card where its weights are, or else its first operand. Activations move there when they are
// elsewhere, through the memory of the CPU; between neighbouring layers on two cards that is one vector a row.
type Split struct {
	cards  []*Backend
	shares []float64 // of the layers, for each card, adding up to 1
	now    int       // the card of the matrices that come next
	err    error     // of a move since the last Read
	moved  []float32
}

// NewSplit spreads layers over cards by the memory that each has left. It takes them over: Close closes them.
func NewSplit(cards ...*Backend) *Split {
	s := &Split{cards: cards}
	total := 0.0
	for _, b := range cards {
		total += float64(b.memory.budget - b.memory.used)
	}
	for _, b := range cards {
		s.shares = append(s.shares, float64(b.memory.budget-b.memory.used)/total)
	}
	return s
}

// cardOf is where a layer lies.
func (s *Split) cardOf(layer, layers int) int {
	sum := 0.0
	for card, share := range s.shares {
		if sum += share; float64(layer)+0.5 < sum*float64(layers) {
			return card
		}
	}
	return len(s.cards) - 1
}

// Place says to which of a model's layers the matrices belong that are made next, and buffers made meanwhile. Layer -1: to none.
func (s *Split) Place(layer, layers int) {
	s.now = 0
	if layer >= 0 {
		s.now = s.cardOf(layer, layers)
	}
}

// Info names the first card's level and all cards.
func (s *Split) Info() kernels.Info {
	info := s.cards[0].Info()
	names := make([]string, len(s.cards))
	for i, b := range s.cards {
		names[i] = b.Info().Device
	}
	info.Device = strings.Join(names, " + ")
	return info
}

// Memory implements kernels.Metered.
func (s *Split) Memory() (used, budget int64) {
	for _, b := range s.cards {
		u, m := b.Memory()
		used, budget = used+u, budget+m
	}
	return used, budget
}

// splitMatrix is on one card.
type splitMatrix struct {
	kernels.Matrix
	card int
}

// NewMatrix puts a matrix where Place said.
func (s *Split) NewMatrix(t quant.Type, rows, cols int, data []byte) (kernels.Matrix, error) {
	m, err := s.cards[s.now].NewMatrix(t, rows, cols, data)
	if err != nil {
		return nil, err
	}
	return &splitMatrix{m, s.now}, nil
}

// splitBuffer is on every card. Each of its elements counts on one of them.
type splitBuffer struct {
	on    []kernels.Buffer
	parts []part // in order, to the end
}

// part is a run of elements, up to end, that count on a card.
type part struct{ end, card int }

func (x *splitBuffer) Len() int { return x.on[0].Len() }

// NewBuffer makes a buffer on every card.
func (s *Split) NewBuffer(elements int) (kernels.Buffer, error) {
	x := &splitBuffer{parts: []part{{elements, 0}}}
	for _, b := range s.cards {
		on, err := b.NewBuffer(elements)
		if err != nil {
			return nil, err
		}
		x.on = append(x.on, on)
	}
	return x, nil
}

// move copies elements first..end-1 of x from one card to another.
func (s *Split) move(x *splitBuffer, from, to, first, end int) {
	if cap(s.moved) < end-first {
		s.moved = make([]float32, end-first)
	}
	elements := s.moved[:end-first]
	if err := s.cards[from].Read(elements, x.on[from], first); err != nil && s.err == nil {
		s.err = fmt.Errorf("move activations from %s: %w", s.cards[from].Info().Device, err)
	}
	s.cards[to].upload(x.on[to].(*buffer).address+4*uint64(first), bytesOf(elements))
}

// bring makes the first elements of a buffer count on a card, and gives the buffer there. What is to be overwritten is not copied.
func (s *Split) bring(buffer kernels.Buffer, card, elements int, overwritten bool) kernels.Buffer {
	x := buffer.(*splitBuffer)
	first, kept := 0, len(x.parts)
	for i, p := range x.parts {
		if end := min(p.end, elements); p.card != card && first < end && !overwritten {
			s.move(x, p.card, card, first, end)
		}
		if p.end > elements {
			kept = min(kept, i)
		}
		first = p.end
	}
	x.parts = slices.Delete(x.parts, 0, kept)
	if elements > 0 && (len(x.parts) == 0 || x.parts[0].card != card) {
		x.parts = slices.Insert(x.parts, 0, part{elements, card})
	}
	return x.on[card]
}

// homeOf is the card where the first elements of x count.
func homeOf(x kernels.Buffer) int {
	if parts := x.(*splitBuffer).parts; len(parts) > 0 {
		return parts[0].card
	}
	return 0
}

// Write copies src to the start of dst.
func (s *Split) Write(dst kernels.Buffer, src []float32) {
	card := homeOf(dst)
	s.cards[card].Write(s.bring(dst, card, len(src), true), src)
}

// Read runs what was recorded on the cards that have the elements, and copies them.
func (s *Split) Read(dst []float32, src kernels.Buffer, first int) error {
	x := src.(*splitBuffer)
	var err error
	for _, p := range x.parts {
		if n := min(p.end-first, len(dst)); n > 0 && err == nil {
			err = s.cards[p.card].Read(dst[:n], x.on[p.card], first)
			dst, first = dst[n:], first+n
		}
	}
	if s.err != nil {
		err, s.err = s.err, nil
	}
	return err
}

// Embed runs where the table is.
func (s *Split) Embed(dst kernels.Buffer, table kernels.Matrix, tokens []int32) {
	m := table.(*splitMatrix)
	s.cards[m.card].Embed(s.bring(dst, m.card, len(tokens)*m.Cols(), true), m.Matrix, tokens)
}

// RMSNorm runs where the weight is.
func (s *Split) RMSNorm(dst, src kernels.Buffer, weight kernels.Matrix, eps float32, rows int) {
	m := weight.(*splitMatrix)
	n := rows * m.Cols()
	from := s.bring(src, m.card, n, false)
	s.cards[m.card].RMSNorm(s.bring(dst, m.card, n, true), from, m.Matrix, eps, rows)
}

// MatMul runs where the weights are, those of a card together.
func (s *Split) MatMul(dst []kernels.Buffer, weights []kernels.Matrix, src kernels.Buffer, rows int) {
	for card, b := range s.cards {
		var to []kernels.Buffer
		var here []kernels.Matrix
		for i, w := range weights {
			if m := w.(*splitMatrix); m.card == card {
				to, here = append(to, s.bring(dst[i], card, rows*m.Rows(), true)), append(here, m.Matrix)
			}
		}
		if len(here) > 0 {
			b.MatMul(to, here, s.bring(src, card, rows*here[0].Cols(), false), rows)
		}
	}
}

// AddRow runs where the row is.
func (s *Split) AddRow(dst kernels.Buffer, row kernels.Matrix, rows int) {
	m := row.(*splitMatrix)
	s.cards[m.card].AddRow(s.bring(dst, m.card, rows*m.Cols(), false), m.Matrix, rows)
}

// RoPE runs where x is.
func (s *Split) RoPE(x, cosSin kernels.Buffer, heads, headDim, rotated, rows int) {
	card := homeOf(x)
	s.cards[card].RoPE(s.bring(x, card, rows*heads*headDim, false), s.bring(cosSin, card, rows*rotated, false), heads, headDim, rotated, rows)
}

// SwiGLU runs where gate is.
func (s *Split) SwiGLU(dst, gate, up kernels.Buffer, elements int) {
	card := homeOf(gate)
	from, with := s.bring(gate, card, elements, false), s.bring(up, card, elements, false)
	s.cards[card].SwiGLU(s.bring(dst, card, elements, true), from, with, elements)
}

// Add runs where dst is.
func (s *Split) Add(dst, src kernels.Buffer, elements int) {
	card := homeOf(dst)
	s.cards[card].Add(s.bring(dst, card, elements, false), s.bring(src, card, elements, false), elements)
}

// Close closes the cards.
func (s *Split) Close() error {
	var errs []error
	for _, b := range s.cards {
		errs = append(errs, b.Close())
	}
	return errors.Join(errs...)
}

// Err says why one of the cards has stopped for good.
func (s *Split) Err() error {
	for _, b := range s.cards {
		if err := b.Err(); err != nil {
			return err
		}
	}
	return nil
}
