package inference

import "verbatim/kernels"

// forward evaluates the tokens, a row each, at the positions of the spans: section 10 of kernels/SPEC.md. It leaves the
// hidden states after the last normalisation in activations.h, (len(tokens), dim), and keys and values in the spans' KVs.
func (e *Engine) forward(tokens []int32, spans []kernels.Span) {
	b, a, w, h := e.backend, &e.activations, &e.weights, &e.model.Hyperparameters
	rows := len(tokens)

	b.Write(a.cosSin, e.rotations(spans))
	b.Embed(a.x, w.embedding, tokens)
	for i := range w.layers {
		l := &w.layers[i]

		b.RMSNorm(a.h, a.x, l.attnNorm, h.NormEpsilon, rows)
		b.MatMul(a.intoQKV[:], l.qkv[:], a.h, rows)
		e.adjust(l, rows)
		b.RoPE(a.q, a.cosSin, h.Heads, h.HeadDim, h.RopeDim, rows)
		b.RoPE(a.k, a.cosSin, h.KVHeads, h.HeadDim, h.RopeDim, rows)
		b.StoreKV(i, a.k, a.v, spans)
		b.Attention(a.mixed, a.q, i, h.Heads, spans)
		b.MatMul(a.intoH[:], l.o[:], a.mixed, rows)
		b.Add(a.x, a.h, rows*h.Dim)

		b.RMSNorm(a.h, a.x, l.ffnNorm, h.NormEpsilon, rows)
		b.MatMul(a.intoGateUp[:], l.gateUp[:], a.h, rows)
		b.SwiGLU(a.gate, a.gate, a.up, rows*h.Hidden)
		b.MatMul(a.intoH[:], l.down[:], a.gate, rows)
		b.Add(a.x, a.h, rows*h.Dim)
	}
	b.RMSNorm(a.h, a.x, w.outputNorm, h.NormEpsilon, rows)
}

// adjust applies what some models have between the products and the rotation: biases of queries, keys and values, and norms
// of the heads of queries and keys.
func (e *Engine) adjust(l *layer, rows int) {
	a, h := &e.activations, &e.model.Hyperparameters
	for i, bias := range l.biases {
		if bias != nil {
			e.backend.AddRow(a.intoQKV[i], bias, rows)
		}
	}
	if l.qNorm != nil {
		e.backend.RMSNorm(a.q, a.q, l.qNorm, h.NormEpsilon, rows*h.Heads)
		e.backend.RMSNorm(a.k, a.k, l.kNorm, h.NormEpsilon, rows*h.KVHeads)
	}
}

// project computes the logits of the first rows rows of states, (rows, dim) -> activations.logits, (rows, vocab).
func (e *Engine) project(states kernels.Buffer, rows int) {
	e.backend.MatMul(e.activations.intoLogits[:], e.weights.output[:], states, rows)
}
