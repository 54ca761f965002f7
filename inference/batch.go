package inference

import (
	"context"
	"fmt"
	"slices"

	"verbatim/kernels"
	"verbatim/models/tokenizer"
)

// Sessions that wait for an evaluation advance together: one of the waiting goroutines leads, which is to say that it runs
// one pass of the model over a row or a piece of a prompt from each, and the others sleep until it has. There is no
// goroutine of the engine's own. No result depends on who leads or on who is in a pass, since a row's bits depend on its own
// sequence alone (kernels/SPEC.md, section 10).
//
// A pass waits for the sessions that are about to choose their next token: that takes a moment, and without them the next
// pass would hold half the rows and cost nearly as much.

// batch is the pass that runs.
type batch struct {
	sessions []*Session // that waited when it began, in order of arrival
	picked   []*Session // of these, the ones that have rows, in order of rows
	rows     int
	logits   int // rows whose logits come with the pass

	// What goes into the backend, kept so that a token allocates nothing.
	tokens    []int32
	spans     []kernels.Span
	rotations []float32
	staged    []float32
}

// acquire waits until nothing uses the backend; release lets the next one have it. It goes before the next pass: else
// those who take part in one pass after the other would never let anybody in.
func (e *Engine) acquire() {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.acquiring++
	for e.busy {
		e.changed.Wait()
	}
	e.acquiring--
	e.busy = true
}

func (e *Engine) release() {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.busy = false
	e.changed.Broadcast()
}

// enqueue asks for the evaluation of tokens, and for the states after the token with index first and all later ones. The
// logits come too if they fit at once: decoding then waits for the device only once.
func (s *Session) enqueue(ctx context.Context, tokens []tokenizer.Token, first int) error {
	if err := s.admit(tokens); err != nil {
		return err
	}
	e := s.engine
	h := &e.model.Hyperparameters
	wanted := len(tokens) - first
	s.tokens = append(s.tokens[:s.position], tokens...)
	s.ctx, s.wanted, s.whole = ctx, s.position+first, wanted <= e.logitsRows
	s.done, s.err = false, nil
	s.states = resize(s.states, wanted*h.Dim)
	if s.whole {
		s.logits = resize(s.logits, wanted*h.Vocab)
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.waiting = append(e.waiting, s)
	e.sampled(s)
	e.goOn()
	return nil
}

// goOn ends a stall: something has changed for those who wait for memory. The mutex is held.
func (e *Engine) goOn() {
	if e.stalled {
		e.stalled = false
		e.changed.Broadcast()
	}
}

// samples begins the time in which passes wait for a session to choose its next token, if it is about to. The mutex is held.
func (e *Engine) samples(s *Session) {
	if s.generates && s.done && s.err == nil && !s.away && !s.sampling {
		s.sampling = true
		e.sampling++
	}
}

// sampled ends the time in which passes wait for a session to choose its next token. The mutex is held.
func (e *Engine) sampled(s *Session) {
	if !s.sampling {
		return
	}
	s.sampling = false
	e.sampling--
	if e.sampling == 0 {
		e.changed.Broadcast()
	}
}

// tell calls onToken, for which no pass waits: it may take its time, and use the engine.
func (s *Session) tell(onToken func(Event), event Event) {
	e := s.engine
	e.mutex.Lock()
	s.away = true
	e.away++
	e.sampled(s)
	e.mutex.Unlock()
	onToken(event)
	e.mutex.Lock()
	s.away = false
	e.away--
	e.samples(s)
	e.goOn()
	e.mutex.Unlock()
}

// await returns when the session's evaluation is done, and leads passes for all if nobody else does.
func (s *Session) await() error {
	e := s.engine
	e.mutex.Lock()
	defer e.mutex.Unlock()
	for !s.done {
		switch {
		case e.stalled:
			e.stall(s.ctx)
		case e.busy || e.acquiring > 0 || e.sampling > 0:
			e.changed.Wait()
		default:
			e.lead()
		}
	}
	return s.err
}

// stall waits until there may be memory, or the context ends: the next pass will notice. The mutex is held.
func (e *Engine) stall(ctx context.Context) {
	defer context.AfterFunc(ctx, func() {
		e.mutex.Lock()
		defer e.mutex.Unlock()
		e.goOn()
	})()
	e.changed.Wait()
}

// lead runs one pass for those who wait. The mutex is held before and after, not in between.
func (e *Engine) lead() {
	e.busy = true
	e.batch.sessions = append(e.batch.sessions[:0], e.waiting...)
	e.mutex.Unlock()
	e.compose()
	err := e.pass()
	e.mutex.Lock()
	e.settle(err)
	e.busy = false
	e.changed.Broadcast()
}

// compose gives out the rows of a pass: one to each session that needs one, and what is left to prompts. Whoever has waited
// longest always gets some, as long as there is memory.
func (e *Engine) compose() {
	for _, s := range e.batch.sessions {
		s.short = nil
		if err := s.ctx.Err(); err != nil {
			s.err = fmt.Errorf("inference: stopped at position %d: %w", s.position, err)
		}
	}
	for !e.distribute() {
	}
	e.starve()
}

// distribute is an attempt to give out the rows; false if it must be made again.
func (e *Engine) distribute() bool {
	b := &e.batch
	b.picked, b.rows, b.logits = b.picked[:0], 0, 0
	reserved := 0
	for i, s := range b.sessions {
		s.rows = 0
		if i == 0 && !s.setback && s.pending() > 1 {
			reserved = 1
		}
	}
	for _, s := range b.sessions {
		if s.err == nil && !s.setback && s.pending() == 1 && b.rows < e.chunkTokens-reserved && b.logits < e.logitsRows-reserved && !e.pick(s) {
			return false
		}
	}
	for _, s := range b.sessions {
		if s.err != nil || s.setback || s.pending() == 1 || b.rows == e.chunkTokens || e.follows(s) {
			continue
		}
		e.adopt(s)
		if !e.pick(s) {
			return false
		}
	}
	return e.resume()
}

// pending is the number of tokens that wait.
func (s *Session) pending() int { return len(s.tokens) - s.position }

// wantedRows are the rows of the pass whose states are wanted: the first of them and how many.
func (s *Session) wantedRows() (first, count int) {
	before := min(max(s.wanted-s.position, 0), s.rows)
	return s.row + before, s.rows - before
}

// pick gives a session as many rows as it can use and the pass and the device's memory have left; false if all rows must be given
// out anew.
func (e *Engine) pick(s *Session) bool {
	b := &e.batch
	s.row, s.rows = b.rows, min(s.pending(), e.chunkTokens-b.rows)
	if s.whole {
		s.rows = min(s.rows, max(s.wanted-s.position, 0)+e.logitsRows-b.logits)
	}
	if s.rows == 0 {
		return true
	}
	if e.room(s) {
		return false
	}
	if s.rows == 0 {
		return true
	}
	if s.whole {
		_, count := s.wantedRows()
		b.logits += count
	}
	b.rows += s.rows
	b.picked = append(b.picked, s)
	return true
}

// pass evaluates the rows that were given out and reads what was asked for.
func (e *Engine) pass() error {
	b := &e.batch
	if b.rows == 0 {
		return nil
	}
	b.tokens, b.spans = b.tokens[:0], b.spans[:0]
	for _, s := range b.picked {
		b.spans = append(b.spans, kernels.Span{KV: s.kv, Row: s.row, Rows: s.rows, Position: s.position})
		for _, token := range s.tokens[s.position:][:s.rows] {
			b.tokens = append(b.tokens, int32(token))
		}
	}
	e.forward(b.tokens, b.spans)
	direct := e.leading()
	if direct && b.logits > 0 {
		e.project(e.activations.h, b.logits)
	}
	if err := e.readStates(); err != nil {
		return err
	}
	if !direct {
		e.stage()
		e.project(e.activations.picked, b.logits)
	}
	if err := e.readLogits(); err != nil {
		return err
	}
	e.keep()
	return nil
}

// leading says whether the rows whose logits are wanted are the first of the pass: then they need no gathering.
func (e *Engine) leading() bool {
	n := 0
	for _, s := range e.batch.picked {
		if first, count := s.wantedRows(); s.whole && count > 0 {
			if first != n {
				return false
			}
			n += count
		}
	}
	return true
}

func (e *Engine) readStates() error {
	dim := e.model.Hyperparameters.Dim
	for _, s := range e.batch.picked {
		first, count := s.wantedRows()
		if count == 0 {
			continue
		}
		if err := e.backend.Read(s.wantedOf(s.states, dim), e.activations.h, first*dim); err != nil {
			return fmt.Errorf("inference: read hidden states at position %d: %w", s.position, err)
		}
	}
	return nil
}

// wantedOf is the part of states or logits, n elements a token, that the pass fills.
func (s *Session) wantedOf(all []float32, n int) []float32 {
	first, count := s.wantedRows()
	return all[(s.position+first-s.row-s.wanted)*n:][:count*n]
}

// stage gathers the states whose logits are wanted in activations.picked.
func (e *Engine) stage() {
	b := &e.batch
	b.staged = b.staged[:0]
	for _, s := range b.picked {
		if _, count := s.wantedRows(); s.whole && count > 0 {
			b.staged = append(b.staged, s.wantedOf(s.states, e.model.Hyperparameters.Dim)...)
		}
	}
	e.backend.Write(e.activations.picked, b.staged)
}

func (e *Engine) readLogits() error {
	vocab, row := e.model.Hyperparameters.Vocab, 0
	for _, s := range e.batch.picked {
		_, count := s.wantedRows()
		if !s.whole || count == 0 {
			continue
		}
		if err := e.backend.Read(s.wantedOf(s.logits, vocab), e.activations.logits, row*vocab); err != nil {
			return fmt.Errorf("inference: read logits at position %d: %w", s.position, err)
		}
		row += count
	}
	return nil
}

// settle tells the sessions of a pass what came of it; err ended it for all. The mutex is held.
func (e *Engine) settle(err error) {
	b := &e.batch
	if b.rows > 0 && err == nil {
		e.load.Passes++
		e.load.Rows += uint64(b.rows)
		e.weigh()
	}
	for _, s := range b.picked {
		if err != nil {
			s.err = err
			continue
		}
		s.position += s.rows
	}
	for _, s := range b.sessions {
		s.done = s.err != nil || s.pending() == 0
		e.samples(s)
	}
	e.waiting = slices.DeleteFunc(e.waiting, func(s *Session) bool { return s.done })
}
