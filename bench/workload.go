package bench

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"verbatim/inference"
	"verbatim/internal/engines"
	"verbatim/models"
	"verbatim/models/tokenizer"
)

// Workload is what one program is given to do once. The times are those of llama-bench: a prefill of so many tokens, or so
// many decoded one after the other once Depth are there. Tokens are given, not sampled.
type Workload struct {
	Name      string `json:"name"`
	Decode    bool   `json:"decode"`
	Tokens    int    `json:"tokens"`    // timed, in each sequence
	Depth     int    `json:"depth"`     // evaluated before, in each sequence
	Sequences int    `json:"sequences"` // that advance together
	Cold      bool   `json:"cold"`      // the file is not in the page cache
}

// Sample is what one program says about one workload. Zero means that it does not say.
type Sample struct {
	Engine          string  `json:"engine"`
	TokensPerSecond float64 `json:"tokens_per_second"`
	PerCPUSecond    float64 `json:"tokens_per_cpu_second"` // the same by processor time
	LoadMS          float64 `json:"load_ms"`               // from opening the file to the logits of a first token
	Digest          string  `json:"digest"`                // of the last logits
	PeakBytes       int64   `json:"peak_bytes,omitempty"`  // is taken from outside
}

// Workloads are the usual ones. scale below 1 makes them shorter.
func Workloads(sequences []int, scale float64) []Workload {
	n := func(tokens int) int { return max(1, int(float64(tokens)*scale)) }
	list := []Workload{
		{Name: "prefill %d", Tokens: n(512), Sequences: 1},
		{Name: "decode %d", Decode: true, Tokens: n(128), Sequences: 1},
		{Name: "decode %d at depth %d", Decode: true, Tokens: n(128), Depth: n(2048), Sequences: 1},
	}
	for i := range list {
		list[i].Name = fmt.Sprintf(list[i].Name, []any{list[i].Tokens, list[i].Depth}[:1+min(1, list[i].Depth)]...)
	}
	for _, s := range sequences {
		w := Workload{Decode: true, Tokens: n(64), Depth: n(128), Sequences: s}
		w.Name = fmt.Sprintf("%d sequences, decode %d after %d", s, w.Tokens, w.Depth)
		if s == 1 {
			w.Name = fmt.Sprintf("1 sequence, decode %d after %d", w.Tokens, w.Depth)
		}
		list = append(list, w)
	}
	return list
}

// token is the i-th token of a sequence, one that every vocabulary has; other programs compute the same.
func token(sequence, i int) tokenizer.Token {
	return tokenizer.Token((sequence*104729 + i*7919 + 17) % 500)
}

// worker is one program's engine while it does a workload.
type worker struct {
	engine   *inference.Engine
	sessions []*inference.Session
	w        Workload
}

// Work does a workload in this process: open the model, warm up, evaluate.
func Work(ctx context.Context, device engines.Device, path string, w Workload) (sample Sample, err error) {
	begin := time.Now()
	loaded, err := device.Open(ctx, models.Store{}, path)
	if err != nil {
		return sample, err
	}
	defer loaded.Close()
	engine := loaded.Engine
	work := worker{engine: engine, w: w}
	if err := work.evaluate(ctx, 1, 1, 0); err != nil {
		return sample, err
	}
	sample.LoadMS = float64(time.Since(begin).Microseconds()) / 1000
	info := engine.Backend()
	sample.Engine = fmt.Sprintf("verbatim, %s, %s", info.Level, info.Device)
	if err := work.evaluate(ctx, w.Sequences, min(16, engine.ContextTokensMax()-1), 1); err != nil {
		return sample, err
	}
	elapsed, processor, err := work.timed(ctx)
	if err != nil {
		return sample, err
	}
	sample.TokensPerSecond = float64(w.Sequences*w.Tokens) / elapsed
	if processor > 0 {
		sample.PerCPUSecond = float64(w.Sequences*w.Tokens) / processor
	}
	sample.Digest = digestOf(work.sessions)
	return sample, nil
}

// begin opens empty sessions.
func (w *worker) begin(sequences int) error {
	for _, s := range w.sessions {
		s.Close()
	}
	w.sessions = w.sessions[:0]
	for range sequences {
		s, err := w.engine.NewSession()
		if err != nil {
			return err
		}
		w.sessions = append(w.sessions, s)
	}
	return nil
}

// rehearsal offsets the tokens of what is not timed: an engine computes a prompt's beginning once.
const rehearsal = 1 << 10

// evaluate begins sessions and evaluates a prompt and then some single tokens in each, as a rehearsal.
func (w *worker) evaluate(ctx context.Context, sequences, prompt, singles int) error {
	if err := w.begin(sequences); err != nil {
		return err
	}
	if err := w.prefill(ctx, prompt, rehearsal+singles); err != nil {
		return err
	}
	return w.decode(ctx, prompt, singles)
}

// prefill evaluates the first tokens of each sequence, the first of which has the number given.
func (w *worker) prefill(ctx context.Context, tokens, number int) error {
	if tokens == 0 {
		return nil
	}
	prompt := make([]tokenizer.Token, tokens)
	for sequence, s := range w.sessions {
		for i := range prompt {
			prompt[i] = token(number+sequence, i)
		}
		if err := s.Prefill(ctx, prompt); err != nil {
			return err
		}
	}
	return nil
}

// decode lets all sessions advance together, a token at a time, from a position on.
func (w *worker) decode(ctx context.Context, from, tokens int) error {
	next := make([]tokenizer.Token, len(w.sessions))
	for i := range tokens {
		for sequence := range next {
			next[sequence] = token(sequence, from+i)
		}
		if err := inference.Advance(ctx, w.sessions, next); err != nil {
			return err
		}
	}
	return nil
}

// timed does the workload and returns the seconds that it took, by the clock and of processors.
func (w *worker) timed(ctx context.Context) (elapsed, processor float64, err error) {
	if err := w.begin(w.w.Sequences); err != nil {
		return 0, 0, err
	}
	if w.w.Decode {
		if err := w.prefill(ctx, w.w.Depth, 0); err != nil {
			return 0, 0, err
		}
	}
	begin, before := time.Now(), processorSeconds()
	if w.w.Decode {
		err = w.decode(ctx, w.w.Depth, w.w.Tokens)
	} else {
		err = w.prefill(ctx, w.w.Tokens, 0)
	}
	return time.Since(begin).Seconds(), processorSeconds() - before, err
}

// digestOf is of the last logits of every session; they depend on all that was computed.
func digestOf(sessions []*inference.Session) string {
	h := sha256.New()
	for _, s := range sessions {
		for _, x := range s.Logits() {
			binary.Write(h, binary.LittleEndian, math.Float32bits(x))
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}
