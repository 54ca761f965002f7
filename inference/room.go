package inference

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"verbatim/kernels"
	"verbatim/models/tokenizer"
)

// The memory of a device for keys and values is spent at some time. Every session of a pass therefore reserves what it will store
// before the pass begins; where there is none left, in this order: what is kept for prompts to come goes, then the session that
// was begun last loses its keys and values and computes them again when there is room, and a session that is alone and has too
// little ends with an error that wraps kernels.ErrMemory. Sessions begun earlier never lose anything to later ones.

// rehearsalTokens are enough for the kernels of prompts to be used, which differ from those of single tokens.
const rehearsalTokens = 40

// Rehearse makes ready what the backend prepares when it is first used, and fails where it cannot: it evaluates a few tokens, as a
// prompt and one by one, and asks for the room of a session of so many positions. Without it the error wraps kernels.ErrMemory.
func (e *Engine) Rehearse(ctx context.Context, positions int) error {
	s, err := e.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	s.shares = false
	e.acquire()
	err = e.backend.Reserve(s.kv, 0, min(positions, e.ContextTokensMax()))
	e.release()
	if err != nil {
		return fmt.Errorf("inference: room for a session of %d positions: %w", positions, err)
	}
	var token tokenizer.Token
	for !e.model.Tokenizer.Contains(token) {
		token++
	}
	prompt := slices.Repeat([]tokenizer.Token{token}, min(rehearsalTokens, e.ContextTokensMax()-1))
	if len(prompt) > 0 {
		err = s.Prefill(ctx, prompt)
	}
	if err == nil {
		err = s.Decode(ctx, token)
	}
	return err
}

// room reserves the rows that a session was given. Without memory for them it has none. Again says that a session which had
// rows in this pass lost its memory, so that rows must be given out anew.
func (e *Engine) room(s *Session) (again bool) {
	for {
		err := e.backend.Reserve(s.kv, s.position, s.rows)
		if err == nil {
			return false
		}
		if !errors.Is(err, kernels.ErrMemory) {
			s.err = fmt.Errorf("inference: reserve %d positions from %d on: %w", s.rows, s.position, err)
			s.rows = 0
			return false
		}
		if e.prefixes.drop() {
			continue
		}
		s.short = err
		victim := e.youngest(s)
		if victim == nil {
			s.rows = 0
			return false
		}
		e.setBack(victim)
		if victim.rows > 0 {
			return true
		}
	}
}

// youngest is the waiting session begun last, after s, that could be set back.
func (e *Engine) youngest(s *Session) *Session {
	var found *Session
	for _, other := range e.batch.sessions {
		if other.birth > s.birth && other.position > 0 && other.shares && other.err == nil && (found == nil || other.birth > found.birth) {
			found = other
		}
	}
	return found
}

// resume lets the session begun first of those that were set back go on, in a pass that nobody else has a part in. False if rows
// must be given out anew.
func (e *Engine) resume() bool {
	for e.batch.rows == 0 {
		var first *Session
		for _, s := range e.batch.sessions {
			if s.setback && s.err == nil && (first == nil || s.birth < first.birth) {
				first = s
			}
		}
		if first == nil {
			return true
		}
		first.setback = false
		e.adopt(first)
		if !e.pick(first) {
			return false
		}
	}
	return true
}

// setBack takes a session's keys and values away. It will compute them again, with the same bits, when there is room: at the
// earliest in a pass that nobody else has a part in, or when a session ends.
func (e *Engine) setBack(s *Session) {
	s.position, s.setback = 0, true
	e.count(func(l *Load) { l.SetBacks++ })
	if err := e.backend.Reserve(s.kv, 0, 0); err != nil {
		s.err = fmt.Errorf("inference: give back the memory of a session: %w", err)
	}
}

// starve ends the session that has waited longest, if a pass has no rows because nobody has memory for any, and nobody who could
// lose or give back memory is on the way here.
func (e *Engine) starve() {
	if e.batch.rows > 0 {
		return
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if e.away > 0 || e.sampling > 0 || e.acquiring > 0 || len(e.waiting) > len(e.batch.sessions) {
		e.stalled = e.away > 0
		return
	}
	for _, s := range e.batch.sessions {
		if s.err == nil && s.short != nil {
			s.err = fmt.Errorf("inference: the session stopped at position %d: %w", s.position, s.short)
			return
		}
	}
}
