// Package oracle evaluates Llama models in float64 with gorgonia, a library that shares nothing with this project: it says
// how far the engine's logits are from what the weights of a file mean. It is a module of its own, so that the program
// depends on none of what gorgonia brings along.
//
// It is for small models: a layer's weights are held as float64, and every head is a part of the graph.
package oracle

import (
	"fmt"
	"math"

	_ "go4.org/unsafe/assume-no-moving-gc" // the version that go.mod pins lets gorgonia run on today's Go
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"verbatim/kernels/quant"
	"verbatim/models"
	"verbatim/models/tokenizer"
)

// Logits are those after every token, (len(tokens), vocab).
func Logits(m *models.Model, tokens []tokenizer.Token) ([][]float64, error) {
	h := &m.Hyperparameters
	table := weights(m.Weights.TokenEmbedding)
	x := make([]float64, 0, len(tokens)*h.Dim)
	for _, token := range tokens {
		for i := range h.Dim {
			x = append(x, table[i*h.Vocab+int(token)])
		}
	}
	for i := range m.Weights.Layers {
		var err error
		if x, err = layer(h, &m.Weights.Layers[i], x, len(tokens)); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i, err)
		}
	}
	g := newGraph()
	normed := g.norm(g.matrix(x, len(tokens), h.Dim), m.Weights.OutputNorm, h)
	flat, err := g.value(g.mul(normed, g.weights(m.Weights.Output)))
	if err != nil {
		return nil, fmt.Errorf("logits: %w", err)
	}
	logits := make([][]float64, len(tokens))
	for i := range logits {
		logits[i] = flat[i*h.Vocab:][:h.Vocab]
	}
	return logits, nil
}

// layer is one layer for x, (positions, dim).
func layer(h *models.Hyperparameters, w *models.Layer, x []float64, positions int) ([]float64, error) {
	g := newGraph()
	in := g.matrix(x, positions, h.Dim)
	normed := g.norm(in, w.AttnNorm, h)
	cos, sin := rotations(h, positions)
	rotate := rotary{g.matrix(cos, positions, h.HeadDim), g.matrix(sin, positions, h.HeadDim), g.matrix(turn(h), h.HeadDim, h.HeadDim)}
	mask := g.matrix(causal(positions), positions, positions)
	q, k, v, o := weights(w.Q), weights(w.K), weights(w.V), weights(w.O)
	out := in
	var keys, values *gorgonia.Node
	for head := range h.Heads {
		if head%(h.Heads/h.KVHeads) == 0 {
			kv := head / (h.Heads / h.KVHeads)
			keys = g.rotate(g.mul(normed, g.columns(k, w.K, kv, h.HeadDim)), rotate)
			values = g.mul(normed, g.columns(v, w.V, kv, h.HeadDim))
		}
		queries := g.rotate(g.mul(normed, g.columns(q, w.Q, head, h.HeadDim)), rotate)
		mixed := g.attend(queries, keys, values, mask, h.HeadDim)
		rows := o[head*h.HeadDim*h.Dim:][:h.HeadDim*h.Dim] // of the head's values
		out = g.add(out, g.mul(mixed, g.matrix(rows, h.HeadDim, h.Dim)))
	}
	normed = g.norm(out, w.FFNNorm, h)
	gate := g.mul(normed, g.weights(w.Gate))
	gate = g.times(gate, g.check(gorgonia.Sigmoid(gate)))
	hidden := g.times(gate, g.mul(normed, g.weights(w.Up)))
	return g.value(g.add(out, g.mul(hidden, g.weights(w.Down))))
}

// weights are a matrix as gorgonia multiplies it from the right: (cols, rows), row by row.
func weights(t models.Tensor) []float64 {
	rowBytes := len(t.Data) / t.Rows
	row := make([]float32, t.Cols)
	all := make([]float64, t.Rows*t.Cols)
	for r := range t.Rows {
		quant.Dequantise(t.Type, row, t.Data[r*rowBytes:][:rowBytes])
		for c, value := range row {
			all[c*t.Rows+r] = float64(value)
		}
	}
	return all
}

// rotations are the cosines and sines of every position, (positions, headDim): both values of a pair have the same.
func rotations(h *models.Hyperparameters, positions int) (cos, sin []float64) {
	for position := range positions {
		for i := range h.HeadDim {
			angle := 0.0
			if pair := i / 2; i < h.RopeDim {
				angle = float64(position) * math.Pow(float64(h.RopeBase), -2*float64(pair)/float64(h.RopeDim))
				if h.RopeFactors != nil {
					angle /= float64(h.RopeFactors[pair])
				}
			}
			cos, sin = append(cos, math.Cos(angle)), append(sin, math.Sin(angle))
		}
	}
	return cos, sin
}

// turn is the matrix that makes (-b, a) of each pair (a, b) of a row from the right.
func turn(h *models.Hyperparameters) []float64 {
	n := h.HeadDim
	m := make([]float64, n*n)
	for i := 0; i < n; i += 2 {
		m[(i+1)*n+i], m[i*n+i+1] = -1, 1
	}
	return m
}

// causal is 1 where a position sees another.
func causal(positions int) []float64 {
	m := make([]float64, positions*positions)
	for i := range positions {
		for j := range i + 1 {
			m[i*positions+j] = 1
		}
	}
	return m
}

// graph builds an expression and keeps the first error.
type graph struct {
	g   *gorgonia.ExprGraph
	n   int
	err error
}

func newGraph() *graph { return &graph{g: gorgonia.NewGraph()} }

type rotary struct{ cos, sin, turn *gorgonia.Node }

func (g *graph) check(n *gorgonia.Node, err error) *gorgonia.Node {
	if g.err == nil {
		g.err = err
	}
	return n
}

// do applies an operator unless one before it failed.
func (g *graph) do(f func(a, b *gorgonia.Node) (*gorgonia.Node, error), a, b *gorgonia.Node) *gorgonia.Node {
	if g.err != nil {
		return nil
	}
	return g.check(f(a, b))
}

func (g *graph) mul(a, b *gorgonia.Node) *gorgonia.Node   { return g.do(gorgonia.Mul, a, b) }
func (g *graph) times(a, b *gorgonia.Node) *gorgonia.Node { return g.do(gorgonia.HadamardProd, a, b) }
func (g *graph) add(a, b *gorgonia.Node) *gorgonia.Node   { return g.do(gorgonia.Add, a, b) }

func (g *graph) matrix(values []float64, rows, cols int) *gorgonia.Node {
	g.n++
	dense := tensor.New(tensor.WithShape(rows, cols), tensor.WithBacking(values))
	return gorgonia.NewMatrix(g.g, tensor.Float64, gorgonia.WithShape(rows, cols), gorgonia.WithName(fmt.Sprint("m", g.n)), gorgonia.WithValue(dense))
}

func (g *graph) weights(t models.Tensor) *gorgonia.Node { return g.matrix(weights(t), t.Cols, t.Rows) }

// columns are the part of a matrix that makes one head: all is (t.Cols, t.Rows).
func (g *graph) columns(all []float64, t models.Tensor, head, headDim int) *gorgonia.Node {
	part := make([]float64, 0, t.Cols*headDim)
	for c := range t.Cols {
		part = append(part, all[c*t.Rows+head*headDim:][:headDim]...)
	}
	return g.matrix(part, t.Cols, headDim)
}

// norm is x / sqrt(mean(x^2) + epsilon) * weight, by rows.
func (g *graph) norm(x *gorgonia.Node, weight models.Tensor, h *models.Hyperparameters) *gorgonia.Node {
	if g.err != nil {
		return nil
	}
	rows, cols := x.Shape()[0], x.Shape()[1]
	ones := make([]float64, cols)
	epsilon := make([]float64, rows)
	for i := range ones {
		ones[i] = 1 / float64(cols)
	}
	for i := range epsilon {
		epsilon[i] = float64(h.NormEpsilon)
	}
	mean := g.mul(g.times(x, x), g.matrix(ones, cols, 1))
	root := g.check(gorgonia.Sqrt(g.add(mean, g.matrix(epsilon, rows, 1))))
	if g.err != nil {
		return nil
	}
	x = g.check(gorgonia.BroadcastHadamardDiv(x, root, nil, []byte{1}))
	if g.err != nil {
		return nil
	}
	return g.check(gorgonia.BroadcastHadamardProd(x, g.matrix(weights(weight), 1, cols), nil, []byte{0}))
}

func (g *graph) rotate(x *gorgonia.Node, r rotary) *gorgonia.Node {
	return g.add(g.times(x, r.cos), g.times(g.mul(x, r.turn), r.sin))
}

// attend is softmax(q kᵀ / sqrt(headDim)) v over the positions that the mask shows. The exponentials of float64 have room
// for scores as they are.
func (g *graph) attend(q, k, v, mask *gorgonia.Node, headDim int) *gorgonia.Node {
	if g.err != nil {
		return nil
	}
	positions := q.Shape()[0]
	scale := make([]float64, positions*positions)
	ones := make([]float64, positions)
	for i := range scale {
		scale[i] = 1 / math.Sqrt(float64(headDim))
	}
	for i := range ones {
		ones[i] = 1
	}
	scores := g.times(g.mul(q, g.check(gorgonia.Transpose(k, 1, 0))), g.matrix(scale, positions, positions))
	if g.err != nil {
		return nil
	}
	e := g.times(g.check(gorgonia.Exp(scores)), mask)
	sum := g.mul(e, g.matrix(ones, positions, 1))
	if g.err != nil {
		return nil
	}
	return g.mul(g.check(gorgonia.BroadcastHadamardDiv(e, sum, nil, []byte{1})), v)
}

// value runs the graph and returns a copy of the node's values.
func (g *graph) value(n *gorgonia.Node) ([]float64, error) {
	if g.err != nil {
		return nil, g.err
	}
	var result gorgonia.Value
	gorgonia.Read(n, &result)
	machine := gorgonia.NewTapeMachine(g.g)
	defer machine.Close()
	if err := machine.RunAll(); err != nil {
		return nil, err
	}
	return append([]float64(nil), result.Data().([]float64)...), nil
}
