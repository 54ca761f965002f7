package kerneltest

import (
	"verbatim/kernels"
	"verbatim/kernels/canon"
	"verbatim/kernels/quant"
)

// layer is one layer of a random model, the matrices of section 10 of SPEC.md.
type layer struct {
	attnNorm, q, k, v, output kernels.Matrix
	ffnNorm, gate, up, down   kernels.Matrix
}

// model is a random model of two layers.
type model struct {
	h               heads
	width, hidden   int
	vocabulary      int
	embedding, norm kernels.Matrix
	layers          []layer
	frequencies     []float64
}

func (m *machine) model(t quant.Type, h heads, width, hidden int) *model {
	const vocabulary = 70
	weights := func(rows, cols int) kernels.Matrix {
		x := m.values(rows*cols, plain)
		for i := range x {
			x[i] /= 8
		}
		return m.matrix(t, rows, cols, quant.Quantise(t, x))
	}
	norm := func() kernels.Matrix { return m.floats(m.values(width, plain)) }
	l := &model{h: h, width: width, hidden: hidden, vocabulary: vocabulary, embedding: weights(vocabulary, width), norm: norm(),
		frequencies: canon.Frequencies(10000, h.dim, nil)}
	for range 2 {
		l.layers = append(l.layers, layer{
			norm(), weights(h.q*h.dim, width), weights(h.kv*h.dim, width), weights(h.kv*h.dim, width), weights(width, h.q*h.dim),
			norm(), weights(hidden, width), weights(hidden, width), weights(width, hidden)})
	}
	return l
}

// forward is section 10 of SPEC.md over a batch. It emits the logits of every
// row.
func (m *machine) forward(l *model, tokens []int32, spans []kernels.Span) {
	rows := len(tokens)
	b := m.b
	angles := make([]float32, rows*l.h.dim)
	for _, s := range spans {
		for i := range s.Rows {
			canon.Rotation(angles[(s.Row+i)*l.h.dim:][:l.h.dim], s.Position+i, l.frequencies)
		}
	}
	cosSin := m.buffer(angles)
	x, h := m.empty(rows*l.width), m.empty(rows*l.width)
	q, k, v := m.empty(rows*l.h.q*l.h.dim), m.empty(rows*l.h.kv*l.h.dim), m.empty(rows*l.h.kv*l.h.dim)
	a, o := m.empty(rows*l.h.q*l.h.dim), m.empty(rows*l.width)
	g, u := m.empty(rows*l.hidden), m.empty(rows*l.hidden)
	b.Embed(x, l.embedding, tokens)
	for i, w := range l.layers {
		b.RMSNorm(h, x, w.attnNorm, 1e-5, rows)
		b.MatMul([]kernels.Buffer{q, k, v}, []kernels.Matrix{w.q, w.k, w.v}, h, rows)
		b.RoPE(q, cosSin, l.h.q, l.h.dim, l.h.dim, rows)
		b.RoPE(k, cosSin, l.h.kv, l.h.dim, l.h.dim, rows)
		b.StoreKV(i, k, v, spans)
		b.Attention(a, q, i, l.h.q, spans)
		b.MatMul([]kernels.Buffer{o}, []kernels.Matrix{w.output}, a, rows)
		b.Add(x, o, rows*l.width)
		b.RMSNorm(h, x, w.ffnNorm, 1e-5, rows)
		b.MatMul([]kernels.Buffer{g, u}, []kernels.Matrix{w.gate, w.up}, h, rows)
		b.SwiGLU(g, g, u, rows*l.hidden)
		b.MatMul([]kernels.Buffer{o}, []kernels.Matrix{w.down}, g, rows)
		b.Add(x, o, rows*l.width)
	}
	b.RMSNorm(h, x, l.norm, 1e-5, rows)
	logits := m.empty(rows * l.vocabulary)
	b.MatMul([]kernels.Buffer{logits}, []kernels.Matrix{l.embedding}, h, rows)
	m.emit(logits)
}

// passes says how a case feeds modelTokens: in chunks of one length, with other
// sessions beside it or not. The logits must not tell.
type passes struct {
	chunk  int
	beside int
}

const modelTokens = 140

// modelCases run whole models. The inputs follow from the type alone, not from
// the whole name, so all cases of a type must have one digest.
func modelCases() []Case {
	var cases []Case
	// One of the superblock formats stands for all.
	for _, t := range append(append(blockTypes[:], floatTypes[:]...), quant.Q4_K) {
		for _, p := range []passes{{modelTokens, 0}, {1, 0}, {7, 1}} {
			cases = append(cases, Case{name("model", "%v/chunk%d/beside%d", t, p.chunk, p.beside), func(m *machine) { m.pass(t, p) }})
		}
	}
	return cases
}

// pass feeds the tokens and emits the logits of the first session only.
func (m *machine) pass(t quant.Type, p passes) {
	m.generator = generator{uint64(t)}
	h, width, hidden := heads{4, 2, 8}, 50, 70
	switch {
	case t.BlockElements() == 256:
		h, width, hidden = heads{4, 2, 64}, 256, 256
	case t.BlockElements() > 1:
		h, width, hidden = heads{4, 2, 16}, 96, 160
	}
	l := m.model(t, h, width, hidden)
	var tokens [3][]int32
	var kvs []kernels.KV
	for s := range tokens {
		for range modelTokens {
			tokens[s] = append(tokens[s], int32(m.below(l.vocabulary)))
		}
		kvs = append(kvs, m.kv(kernels.KVShape{Layers: 2, KVHeads: l.h.kv, HeadDim: l.h.dim, PositionsMax: modelTokens}))
	}
	var kept []float32
	for first := 0; first < modelTokens; first += p.chunk {
		rows := min(p.chunk, modelTokens-first)
		var batch []int32
		var spans []kernels.Span
		for s := range p.beside + 1 {
			spans = append(spans, kernels.Span{KV: kvs[s], Row: len(batch), Rows: rows, Position: first})
			batch = append(batch, tokens[s][first:first+rows]...)
		}
		m.results = nil
		m.forward(l, batch, spans)
		kept = append(kept, m.results[:rows*l.vocabulary]...)
	}
	m.results = kept
}
