package inference

import (
	"fmt"

	"verbatim/kernels"
	"verbatim/models/tokenizer"
)

// Session is one sequence of tokens: its keys and values, and the position that comes next. Sessions of one engine may
// take turns in any order; one session is used by one goroutine at a time.
type Session struct {
	engine   *Engine
	kv       kernels.KV
	position int

	states []float32 // of the last batch, (wanted, dim)
	logits []float32 // of some of them, (rows, vocab)
}

// NewSession begins an empty sequence. Close it to let others have its memory.
func (e *Engine) NewSession() (*Session, error) {
	e.turn.Lock()
	defer e.turn.Unlock()
	if last := len(e.idle) - 1; last >= 0 {
		kv := e.idle[last]
		e.idle = e.idle[:last]
		return &Session{engine: e, kv: kv}, nil
	}
	h := &e.model.Hyperparameters
	shape := kernels.KVShape{Layers: h.Layers, KVHeads: h.KVHeads, HeadDim: h.HeadDim, PositionsMax: h.ContextTokensMax}
	kv, err := e.backend.NewKV(shape)
	if err != nil {
		return nil, fmt.Errorf("inference: begin a session: %w", err)
	}
	return &Session{engine: e, kv: kv}, nil
}

// Close ends the session. Its KV may serve a later one: attention reads no position that the session has not written, so
// nothing of this sequence can be seen there.
func (s *Session) Close() {
	if s.kv == nil {
		return
	}
	s.engine.turn.Lock()
	defer s.engine.turn.Unlock()
	s.engine.idle = append(s.engine.idle, s.kv)
	s.kv = nil
}

// Position is the number of tokens evaluated so far.
func (s *Session) Position() int { return s.position }

// Logits are the logits after the last token, one for each token of the vocabulary; valid until the next call.
func (s *Session) Logits() []float32 {
	return s.logits[len(s.logits)-s.engine.model.Hyperparameters.Vocab:]
}

// State is the hidden state that the output matrix turned into Logits; valid until the next call.
func (s *Session) State() []float32 {
	return s.states[len(s.states)-s.engine.model.Hyperparameters.Dim:]
}

// visitor sees the hidden state and the logits after one token; i counts the tokens given to evaluate.
type visitor func(i int, state, logits []float32) error

// evaluate runs at most a chunk of tokens and shows the states and logits after the token with index first and all later
// ones. After an error the session is of no use.
func (s *Session) evaluate(tokens []tokenizer.Token, first int, visit visitor) error {
	e := s.engine
	dim, vocab := e.model.Hyperparameters.Dim, e.model.Hyperparameters.Vocab
	wanted := len(tokens) - first
	s.states = resize(s.states, wanted*dim)
	if err := s.run(tokens, first); err != nil {
		return err
	}
	for from := 0; from < wanted; from += e.logitsRows {
		rows := min(e.logitsRows, wanted-from)
		if first > 0 || wanted > e.logitsRows {
			if err := s.projectStates(s.states[from*dim:][:rows*dim]); err != nil {
				return err
			}
		}
		for row := range rows {
			if err := visit(first+from+row, s.states[(from+row)*dim:][:dim], s.logits[row*vocab:][:vocab]); err != nil {
				return err
			}
		}
	}
	return nil
}

// run evaluates tokens and reads the states from row first on. When these are all rows and their logits fit at once,
// it reads the logits too: decoding then waits for the device only once.
func (s *Session) run(tokens []tokenizer.Token, first int) error {
	e := s.engine
	e.turn.Lock()
	defer e.turn.Unlock()
	h, a := &e.model.Hyperparameters, &e.activations
	a.spans[0] = kernels.Span{KV: s.kv, Row: 0, Rows: len(tokens), Position: s.position}
	e.forward(tokens, a.spans[:])
	whole := first == 0 && len(tokens) <= e.logitsRows
	if whole {
		e.project(a.h, len(tokens))
		s.logits = resize(s.logits, len(tokens)*h.Vocab)
		if err := e.backend.Read(s.logits, a.logits, 0); err != nil {
			return fmt.Errorf("inference: read logits at position %d: %w", s.position, err)
		}
	}
	if len(s.states) > 0 {
		if err := e.backend.Read(s.states, a.h, first*h.Dim); err != nil {
			return fmt.Errorf("inference: read hidden states at position %d: %w", s.position, err)
		}
	}
	s.position += len(tokens)
	return nil
}

// projectStates computes the logits of states, (rows, dim), into s.logits.
func (s *Session) projectStates(states []float32) error {
	e := s.engine
	e.turn.Lock()
	defer e.turn.Unlock()
	rows := len(states) / e.model.Hyperparameters.Dim
	e.backend.Write(e.activations.picked, states)
	e.project(e.activations.picked, rows)
	s.logits = resize(s.logits, rows*e.model.Hyperparameters.Vocab)
	if err := e.backend.Read(s.logits, e.activations.logits, 0); err != nil {
		return fmt.Errorf("inference: read logits before position %d: %w", s.position, err)
	}
	return nil
}

// resize gives a slice of n elements with any content.
func resize(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}
