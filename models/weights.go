package models

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"verbatim/kernels/quant"
	"verbatim/models/gguf"
)

// Tensor is a matrix of weights, or a vector when Rows is 1. Row r is the bytes
// Data[r*rowBytes : (r+1)*rowBytes] with rowBytes = quant.RowBytes(Type, Cols).
type Tensor struct {
	Name string
	Type quant.Type
	Rows int // outputs
	Cols int // inputs
	Data []byte
}

// Layer holds the weights of one layer. Shapes are (rows, cols).
type Layer struct {
	AttnNorm Tensor // (1, dim), F32
	Q        Tensor // (heads * headDim, dim)
	K        Tensor // (kvHeads * headDim, dim)
	V        Tensor // (kvHeads * headDim, dim)
	O        Tensor // (dim, heads * headDim)
	FFNNorm  Tensor // (1, dim), F32
	Gate     Tensor // (hidden, dim)
	Up       Tensor // (hidden, dim)
	Down     Tensor // (dim, hidden)

	// What some architectures have; Rows is 0 in the others. All are F32.
	QBias        Tensor // (1, heads * headDim)
	KBias, VBias Tensor // (1, kvHeads * headDim)
	QNorm, KNorm Tensor // (1, headDim), of each head
}

// Weights are all the weights of a model. RoPE turns neighbouring values of a
// head; where a file pairs others, the heads in Q, K, their biases and norms are
// copies in the order of kernels/SPEC.md, section 7.
type Weights struct {
	TokenEmbedding Tensor // (vocab, dim)
	Layers         []Layer
	OutputNorm     Tensor // (1, dim), F32
	Output         Tensor // (vocab, dim); TokenEmbedding itself when tied
}

// Tensor returns the weights with that name in the file.
func (m *Model) Tensor(name string) (Tensor, bool) {
	w := &m.Weights
	a, _ := architectureOf(m.Hyperparameters.Architecture)
	for _, t := range []Tensor{w.TokenEmbedding, w.OutputNorm, w.Output} {
		if t.Name == name {
			return t, true
		}
	}
	for i := range w.Layers {
		for _, t := range w.Layers[i].slots(a) {
			if t.tensor.Name == name {
				return *t.tensor, true
			}
		}
	}
	return Tensor{}, false
}

// slot is where a tensor of a layer belongs.
type slot struct {
	tensor     *Tensor
	name       string // in the file, after "blk.N."
	rows, cols func(h *Hyperparameters) int
}

// slots lists the tensors of a layer, with their names and shapes.
func (l *Layer) slots(a architecture) []slot {
	one := func(*Hyperparameters) int { return 1 }
	dim := func(h *Hyperparameters) int { return h.Dim }
	hidden := func(h *Hyperparameters) int { return h.Hidden }
	queries := func(h *Hyperparameters) int { return h.Heads * h.HeadDim }
	keys := func(h *Hyperparameters) int { return h.KVHeads * h.HeadDim }
	head := func(h *Hyperparameters) int { return h.HeadDim }
	slots := []slot{
		{&l.AttnNorm, "attn_norm.weight", one, dim},
		{&l.Q, "attn_q.weight", queries, dim},
		{&l.K, "attn_k.weight", keys, dim},
		{&l.V, "attn_v.weight", keys, dim},
		{&l.O, "attn_output.weight", dim, queries},
		{&l.FFNNorm, "ffn_norm.weight", one, dim},
		{&l.Gate, "ffn_gate.weight", hidden, dim},
		{&l.Up, "ffn_up.weight", hidden, dim},
		{&l.Down, "ffn_down.weight", dim, hidden},
	}
	if a.biases {
		slots = append(slots, slot{&l.QBias, "attn_q.bias", one, queries}, slot{&l.KBias, "attn_k.bias", one, keys}, slot{&l.VBias, "attn_v.bias", one, keys})
	}
	if a.headNorms {
		slots = append(slots, slot{&l.QNorm, "attn_q_norm.weight", one, head}, slot{&l.KNorm, "attn_k_norm.weight", one, head})
	}
	return slots
}

// collector takes tensors out of a file and knows which were taken.
type collector struct {
	file  *gguf.File
	taken map[string]bool
}

// take returns the tensor of that name if it has the shape (rows, cols). A
// vector, rows = 1, must be F32: norms and factors are applied unquantised.
func (c *collector) take(name string, rows, cols int) (Tensor, error) {
	t, ok := c.file.Tensor(name)
	if !ok {
		return Tensor{}, fmt.Errorf("model: tensor %q is missing", name)
	}
	want := []int{cols, rows}
	if rows == 1 {
		want = want[:1]
	}
	if !sameShape(t.Dims, want) {
		return Tensor{}, fmt.Errorf("model: tensor %q has dimensions %v, want %v", name, t.Dims, want)
	}
	if rows == 1 && t.Type != quant.F32 {
		return Tensor{}, fmt.Errorf("model: tensor %q has type %v, want F32", name, t.Type)
	}
	c.taken[name] = true
	return Tensor{Name: name, Type: t.Type, Rows: rows, Cols: cols, Data: t.Data}, nil
}

// sameShape compares dimensions; trailing ones do not count.
func sameShape(got, want []int) bool {
	for len(got) > len(want) && got[len(got)-1] == 1 {
		got = got[:len(got)-1]
	}
	if len(got) != len(want) {
		return false
	}
	for i := range got {
		if got[i] != want[i] {
			return false
		}
	}
	return true
}

// readWeights finds every tensor of the model and refuses any other. It sets
// h.Tied and h.RopeFactors.
func readWeights(file *gguf.File, a architecture, h *Hyperparameters) (Weights, error) {
	c := &collector{file: file, taken: map[string]bool{}}
	w := Weights{Layers: make([]Layer, h.Layers)}
	var err error
	if w.TokenEmbedding, err = c.take("token_embd.weight", h.Vocab, h.Dim); err != nil {
		return Weights{}, err
	}
	for i := range w.Layers {
		for _, s := range w.Layers[i].slots(a) {
			name := fmt.Sprintf("blk.%d.%s", i, s.name)
			if *s.tensor, err = c.take(name, s.rows(h), s.cols(h)); err != nil {
				return Weights{}, err
			}
		}
		if a.halves {
			w.Layers[i].pairHalves(h)
		}
	}
	if w.OutputNorm, err = c.take("output_norm.weight", 1, h.Dim); err != nil {
		return Weights{}, err
	}
	w.Output = w.TokenEmbedding
	_, separate := file.Tensor("output.weight")
	h.Tied = !separate
	if separate {
		if w.Output, err = c.take("output.weight", h.Vocab, h.Dim); err != nil {
			return Weights{}, err
		}
	}
	if _, ok := file.Tensor("rope_freqs.weight"); ok {
		if h.RopeFactors != nil {
			return Weights{}, errors.New("model: linear RoPE scaling together with tensor \"rope_freqs.weight\" is not supported")
		}
		if h.RopeFactors, err = c.ropeFactors(h.RopeDim / 2); err != nil {
			return Weights{}, err
		}
	}
	for _, t := range file.Tensors() {
		if !c.taken[t.Name] {
			return Weights{}, fmt.Errorf("model: tensor %q is not part of the %s architecture as supported here", t.Name, a.name)
		}
	}
	return w, nil
}

// ropeFactors reads the divisors of the RoPE frequencies (Llama 3.1 and later).
func (c *collector) ropeFactors(count int) ([]float32, error) {
	t, err := c.take("rope_freqs.weight", 1, count)
	if err != nil {
		return nil, err
	}
	factors := make([]float32, count)
	for i := range factors {
		factors[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
		if !(factors[i] > 0) {
			return nil, fmt.Errorf("model: tensor %q: factor %d is %v, want a number above 0", t.Name, i, factors[i])
		}
	}
	return factors, nil
}
