// Package inference runs models: a request becomes a prompt, the prompt tokens, the tokens text, and a transcript
// records all of it. The arithmetic is kernels/SPEC.md; a Backend does it.
//
// Invariants: what comes out depends on the model's file and the request alone. Not on the backend, the size of the
// prefill's chunks, other sessions of the same engine, or how often anything was asked before. Generate and Recompute share
// one path from logits to tokens and text, so that they cannot disagree.
//
// The package reads no files and no clock, and chooses no model: callers time the events and pick the engine.
package inference

import (
	"errors"
	"fmt"
	"sync"

	"verbatim/inference/grammar"
	"verbatim/kernels"
	"verbatim/kernels/canon"
	"verbatim/models"
	"verbatim/models/tokenizer"
)

// PrefillChunkTokensDefault is how many positions are evaluated at once unless Options say otherwise.
const PrefillChunkTokensDefault = 128

// PrefixBytesMaxDefault is how much of earlier sequences is kept unless Options say otherwise.
const PrefixBytesMaxDefault = 256 << 20

// logitsElementsMax bounds the logits that are held at once, 16 MiB.
const logitsElementsMax = 1 << 22

// Options change speed and memory, never a result.
type Options struct {
	PrefillChunkTokens int // rows of one pass; 0: PrefillChunkTokensDefault
	PrefixBytesMax     int // keys and values kept for prompts that begin alike; 0: PrefixBytesMaxDefault, negative: none
}

// Engine holds a model's weights in a backend's memory. It may be used from several goroutines: their sessions advance
// together (batch.go).
type Engine struct {
	model       *models.Model
	weights     weights
	frequencies []float64 // of the rotary pairs
	chunkTokens int       // rows of the activations
	logitsRows  int       // rows of logits computed at once
	shape       kernels.KVShape

	words struct {
		once       sync.Once
		vocabulary *grammar.Vocabulary
	}

	mutex     sync.Mutex // guards what follows, up to busy
	changed   sync.Cond
	waiting   []*Session // for an evaluation, in order of arrival
	sampling  int        // sessions that are about to wait again
	away      int        // sessions in onToken
	stalled   bool       // those who wait have no memory; somebody who is away has
	load      Load       // but for Waiting
	acquiring int        // who waits for the backend, other than for a pass
	busy      bool       // somebody uses the backend; what follows is theirs

	backend     kernels.Backend
	activations activations
	batch       batch
	prefixes    prefixes
	idle        []kernels.KV // of closed sessions
	births      uint64       // sessions so far
}

// weights are the model's matrices in the backend's memory.
type weights struct {
	embedding  kernels.Matrix
	layers     []layer
	outputNorm kernels.Matrix
	output     [1]kernels.Matrix
}

type layer struct {
	attnNorm kernels.Matrix
	qkv      [3]kernels.Matrix
	biases   [3]kernels.Matrix // of q, k and v; nil if the model has none
	qNorm    kernels.Matrix    // of each head; nil if the model has none
	kNorm    kernels.Matrix
	o        [1]kernels.Matrix
	ffnNorm  kernels.Matrix
	gateUp   [2]kernels.Matrix
	down     [1]kernels.Matrix
}

// activations are the buffers of one batch, each (chunkTokens, n) unless noted.
type activations struct {
	x, h     kernels.Buffer // n = dim
	q, mixed kernels.Buffer // n = heads * headDim
	k, v     kernels.Buffer // n = kvHeads * headDim
	gate, up kernels.Buffer // n = hidden
	cosSin   kernels.Buffer // n = rotated elements
	picked   kernels.Buffer // (logitsRows, dim)
	logits   kernels.Buffer // (logitsRows, vocab)

	// What goes into the backend, kept so that a token allocates nothing.
	intoQKV           [3]kernels.Buffer
	intoGateUp        [2]kernels.Buffer
	intoH, intoLogits [1]kernels.Buffer
}

// NewEngine puts the model's weights into the backend's memory. The engine uses both and closes neither; nothing else may
// use the backend at the same time.
func NewEngine(model *models.Model, backend kernels.Backend, options Options) (*Engine, error) {
	h := &model.Hyperparameters
	e := &Engine{
		model: model, backend: backend, chunkTokens: options.PrefillChunkTokens,
		frequencies: canon.Frequencies(h.RopeBase, h.RopeDim, h.RopeFactors),
	}
	if e.chunkTokens == 0 {
		e.chunkTokens = PrefillChunkTokensDefault
	}
	if e.chunkTokens < 0 {
		return nil, fmt.Errorf("inference: a prefill chunk of %d tokens: it has at least 1", e.chunkTokens)
	}
	e.chunkTokens = min(e.chunkTokens, h.ContextTokensMax)
	e.changed.L = &e.mutex
	e.shape = kernels.KVShape{Layers: h.Layers, KVHeads: h.KVHeads, HeadDim: h.HeadDim, PositionsMax: h.ContextTokensMax, Window: h.Window}
	if options.PrefixBytesMax == 0 {
		options.PrefixBytesMax = PrefixBytesMaxDefault
	}
	e.prefixes = newPrefixes(backend, e.shape, options.PrefixBytesMax)
	e.logitsRows = min(e.chunkTokens, max(1, logitsElementsMax/h.Vocab))
	if err := e.loadWeights(); err != nil {
		return nil, err
	}
	if err := e.makeActivations(); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *Engine) loadWeights() error {
	var errs error
	load := func(t models.Tensor) kernels.Matrix {
		if errs != nil || t.Rows == 0 {
			return nil
		}
		m, err := e.backend.NewMatrix(t.Type, t.Rows, t.Cols, t.Data)
		if err != nil {
			errs = fmt.Errorf("inference: load tensor %q: %w", t.Name, err)
		}
		return m
	}
	w := &e.model.Weights
	place := func(layer int) {
		if p, ok := e.backend.(kernels.Placer); ok {
			p.Place(layer, len(w.Layers))
		}
	}
	place(-1)
	defer place(-1)
	e.weights.embedding = load(w.TokenEmbedding)
	e.weights.outputNorm = load(w.OutputNorm)
	e.weights.output[0] = e.weights.embedding
	if !e.model.Hyperparameters.Tied {
		e.weights.output[0] = load(w.Output)
	}
	for i := range w.Layers {
		l := &w.Layers[i]
		place(i)
		e.weights.layers = append(e.weights.layers, layer{
			attnNorm: load(l.AttnNorm), qkv: [...]kernels.Matrix{load(l.Q), load(l.K), load(l.V)}, o: [...]kernels.Matrix{load(l.O)},
			biases: [...]kernels.Matrix{load(l.QBias), load(l.KBias), load(l.VBias)}, qNorm: load(l.QNorm), kNorm: load(l.KNorm),
			ffnNorm: load(l.FFNNorm), gateUp: [...]kernels.Matrix{load(l.Gate), load(l.Up)}, down: [...]kernels.Matrix{load(l.Down)},
		})
		// A backend that has weights of its own needs the file no more. Where its memory stays, the next Release says why.
		_ = e.model.Release()
	}
	return errs
}

func (e *Engine) makeActivations() error {
	var errs []error
	buffer := func(rows, n int) kernels.Buffer {
		b, err := e.backend.NewBuffer(rows * n)
		if err != nil {
			errs = append(errs, fmt.Errorf("inference: allocate activations, %d rows of %d: %w", rows, n, err))
		}
		return b
	}
	h := &e.model.Hyperparameters
	rows := e.chunkTokens
	e.activations = activations{
		x: buffer(rows, h.Dim), h: buffer(rows, h.Dim),
		q: buffer(rows, h.Heads*h.HeadDim), mixed: buffer(rows, h.Heads*h.HeadDim),
		k: buffer(rows, h.KVHeads*h.HeadDim), v: buffer(rows, h.KVHeads*h.HeadDim),
		gate: buffer(rows, h.Hidden), up: buffer(rows, h.Hidden),
		cosSin: buffer(rows, h.RopeDim),
		picked: buffer(e.logitsRows, h.Dim), logits: buffer(e.logitsRows, h.Vocab),
	}
	a := &e.activations
	a.intoQKV, a.intoGateUp = [...]kernels.Buffer{a.q, a.k, a.v}, [...]kernels.Buffer{a.gate, a.up}
	a.intoH, a.intoLogits = [...]kernels.Buffer{a.h}, [...]kernels.Buffer{a.logits}
	return errors.Join(errs...)
}

// Model is the model that the engine runs.
func (e *Engine) Model() *models.Model { return e.model }

// Backend describes where it runs.
func (e *Engine) Backend() kernels.Info { return e.backend.Info() }

// ContextTokensMax is the model's context window: prompt and output have at most this many tokens.
func (e *Engine) ContextTokensMax() int { return e.model.Hyperparameters.ContextTokensMax }

// contains says whether every token is in the vocabulary, and which is not.
func (e *Engine) contains(tokens []tokenizer.Token) (int, bool) {
	for i, token := range tokens {
		if !e.model.Tokenizer.Contains(token) {
			return i, false
		}
	}
	return 0, true
}
