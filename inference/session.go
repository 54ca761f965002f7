package inference

import (
	"context"
	"fmt"
	"slices"

	"verbatim/kernels"
	"verbatim/models/tokenizer"
)

// Session is one sequence of tokens: its keys and values, and the position that comes next. Sessions of one engine may be
// used at the same time; one session is used by one goroutine at a time.
type Session struct {
	engine    *Engine
	kv        kernels.KV
	tokens    []tokenizer.Token // evaluated, and then those that wait
	position  int               // tokens evaluated
	shares    bool              // takes from and gives to the engine's prefixes
	generates bool              // is Generate's: it samples as soon as it has logits
	birth     uint64            // sessions that were begun before it
	setback   bool              // lost its keys and values for want of memory (room.go)

	evaluation

	states []float32 // of the last evaluation, (wanted, dim)
	logits []float32 // of some of them, (rows, vocab)
	one    [1]tokenizer.Token
}

// evaluation is what a session waits for: see batch.go.
type evaluation struct {
	ctx      context.Context
	wanted   int  // position of the first token whose state is wanted
	whole    bool // the logits of all wanted ones come as well
	row      int  // first row in the pass that runs
	rows     int  // in that pass; 0: has no part in it
	done     bool
	away     bool  // is in onToken
	sampling bool  // is counted in Engine.sampling
	short    error // why it got no memory in this pass
	err      error
}

// NewSession begins an empty sequence. Close it to let others have its memory.
func (e *Engine) NewSession() (*Session, error) {
	e.acquire()
	defer e.release()
	s := &Session{engine: e, shares: true, birth: e.births}
	e.births++
	if last := len(e.idle) - 1; last >= 0 {
		s.kv, e.idle = e.idle[last], e.idle[:last]
	} else {
		var err error
		if s.kv, err = e.backend.NewKV(e.shape); err != nil {
			return nil, fmt.Errorf("inference: begin a session: %w", err)
		}
	}
	e.count(func(l *Load) { l.Sessions++ })
	return s, nil
}

// Close ends the session. Its KV may serve a later one: attention reads no position that the session has not written, so
// nothing of this sequence can be seen there.
func (s *Session) Close() {
	if s.kv == nil {
		return
	}
	e := s.engine
	e.acquire()
	defer e.release()
	e.mutex.Lock()
	e.waiting = slices.DeleteFunc(e.waiting, func(other *Session) bool { return other == s })
	for _, other := range e.waiting {
		other.setback = false // there will be room
	}
	e.sampled(s)
	e.mutex.Unlock()
	if s.shares && s.err == nil {
		e.prefixes.keep(s.kv, s.tokens[:s.position])
	}
	// What a KV holds of pages that others share stays with them. A backend that fails here says so at the next pass.
	_ = e.backend.Reserve(s.kv, 0, 0)
	e.count(func(l *Load) { l.Sessions-- })
	e.mutex.Lock()
	e.goOn()
	e.mutex.Unlock()
	e.idle = append(e.idle, s.kv)
	s.kv = nil
}

// Position is the number of tokens evaluated so far.
func (s *Session) Position() int { return s.position }

// Logits are the logits after the last token, one for each token of the vocabulary; valid until the next call. After
// Truncate, and before the first token, there are none.
func (s *Session) Logits() []float32 {
	return lastRow(s.logits, s.engine.model.Hyperparameters.Vocab)
}

// State is the hidden state that the output matrix turned into Logits; valid until the next call.
func (s *Session) State() []float32 {
	return lastRow(s.states, s.engine.model.Hyperparameters.Dim)
}

// Truncate forgets all tokens from position on, which is at most Position. Logits and State are empty until the next token.
func (s *Session) Truncate(position int) error {
	if position < 0 || position > s.position {
		return fmt.Errorf("inference: truncate a session of %d tokens to %d", s.position, position)
	}
	s.position, s.tokens = position, s.tokens[:position]
	s.states, s.logits = s.states[:0], s.logits[:0]
	return nil
}

// Fork begins a session that has all that this one has, logits included. Both go on independently. It costs no
// evaluation.
func (s *Session) Fork() (*Session, error) {
	fork, err := s.engine.NewSession()
	if err != nil {
		return nil, err
	}
	s.engine.acquire()
	defer s.engine.release()
	s.engine.backend.CopyKV(fork.kv, s.kv, 0, 0, s.position)
	fork.tokens, fork.position, fork.shares = slices.Clone(s.tokens[:s.position]), s.position, s.shares
	fork.states, fork.logits = slices.Clone(s.State()), slices.Clone(s.Logits())
	return fork, nil
}

// visitor sees the hidden state and the logits after one token; i counts the tokens given to feed.
type visitor func(i int, state, logits []float32) error

// show visits what the last evaluation gave; its first state belongs to token i.
func (s *Session) show(i int, visit visitor) error {
	e := s.engine
	dim, vocab := e.model.Hyperparameters.Dim, e.model.Hyperparameters.Vocab
	wanted := len(s.states) / dim
	for from := 0; from < wanted; from += e.logitsRows {
		rows := min(e.logitsRows, wanted-from)
		if !s.whole {
			if err := s.projectStates(s.states[from*dim:][:rows*dim]); err != nil {
				return err
			}
		}
		for row := range rows {
			if err := visit(i+from+row, s.states[(from+row)*dim:][:dim], s.logits[row*vocab:][:vocab]); err != nil {
				return err
			}
		}
	}
	return nil
}

// projectStates computes the logits of states, (rows, dim), into s.logits.
func (s *Session) projectStates(states []float32) error {
	e := s.engine
	e.acquire()
	defer e.release()
	rows := len(states) / e.model.Hyperparameters.Dim
	e.backend.Write(e.activations.picked, states)
	e.project(e.activations.picked, rows)
	s.logits = resize(s.logits, rows*e.model.Hyperparameters.Vocab)
	if err := e.backend.Read(s.logits, e.activations.logits, 0); err != nil {
		return fmt.Errorf("inference: read logits before position %d: %w", s.position, err)
	}
	return nil
}

// lastRow is the last row of n elements, nil if there is none.
func lastRow(rows []float32, n int) []float32 {
	if len(rows) < n {
		return nil
	}
	return rows[len(rows)-n:]
}

// resize gives a slice of n elements with any content.
func resize(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}
