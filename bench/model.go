package bench

import (
	"fmt"
	"io"
	"math"
	"strings"

	"verbatim/kernels/quant"
	"verbatim/models"
	"verbatim/models/embedded"
	"verbatim/models/gguf"
	"verbatim/models/tokenizer"
)

// WriteModel writes a GGUF file of that shape with random weights, and a vocabulary whose first tokens are those of the
// embedded model. The same arguments give the same bytes. All layers have the same weights, and a matrix repeats a few
// hundred rows in random order: what is read and computed is as much as ever. Other engines load the file too.
func WriteModel(w io.Writer, shape Shape, mix Mix, seed uint64) error {
	pairs, err := metadata(shape, mix)
	if err != nil {
		return err
	}
	m := maker{shape: shape, random: seed, rows: map[rowKind][][]byte{}, made: map[string][]byte{}}
	m.matrix("token_embd", fitting(mix.head, shape.Dim), shape.Vocab, shape.Dim)
	for layer := range shape.Layers {
		m.layer(layer, mix)
	}
	m.norm("output_norm")
	if shape.SeparateOutput {
		m.matrix("output", fitting(mix.head, shape.Dim), shape.Vocab, shape.Dim)
	}
	return gguf.Write(w, pairs, m.tensors)
}

// metadata is all but the tensors.
func metadata(s Shape, mix Mix) ([]gguf.KeyValue, error) {
	file, err := gguf.Parse(embedded.GGUF())
	if err != nil {
		return nil, fmt.Errorf("read the embedded model: %w", err)
	}
	v, err := models.ReadVocabulary(file)
	if err != nil {
		return nil, fmt.Errorf("read the vocabulary of the embedded model: %w", err)
	}
	if s.Vocab < len(v.Tokens) {
		return nil, fmt.Errorf("a vocabulary of %d tokens: it begins with the %d of the embedded model", s.Vocab, len(v.Tokens))
	}
	types := make([]int32, s.Vocab)
	for i := range types {
		types[i] = int32(tokenizer.Unused)
		if i < len(v.Types) {
			types[i] = int32(v.Types[i])
		}
	}
	for i := len(v.Tokens); i < s.Vocab; i++ {
		v.Tokens, v.Scores = append(v.Tokens, fmt.Sprintf("<unused%d>", i)), append(v.Scores, float32(-i))
	}
	return []gguf.KeyValue{
		{Key: "general.architecture", Value: "llama"},
		{Key: "general.name", Value: "random " + s.Name + " " + mix.Name},
		{Key: "llama.context_length", Value: uint32(s.ContextTokens)},
		{Key: "llama.embedding_length", Value: uint32(s.Dim)},
		{Key: "llama.block_count", Value: uint32(s.Layers)},
		{Key: "llama.feed_forward_length", Value: uint32(s.Hidden)},
		{Key: "llama.rope.dimension_count", Value: uint32(s.Dim / s.Heads)},
		{Key: "llama.rope.freq_base", Value: s.RopeBase},
		{Key: "llama.attention.head_count", Value: uint32(s.Heads)},
		{Key: "llama.attention.head_count_kv", Value: uint32(s.KVHeads)},
		{Key: "llama.attention.layer_norm_rms_epsilon", Value: s.NormEpsilon},
		{Key: "tokenizer.ggml.model", Value: v.Model},
		{Key: "tokenizer.ggml.tokens", Value: v.Tokens},
		{Key: "tokenizer.ggml.scores", Value: v.Scores},
		{Key: "tokenizer.ggml.token_type", Value: types},
		{Key: "tokenizer.ggml.bos_token_id", Value: uint32(v.BOS)},
		{Key: "tokenizer.ggml.eos_token_id", Value: uint32(v.EOS)},
		{Key: "tokenizer.ggml.unknown_token_id", Value: uint32(v.Unknown)},
	}, nil
}

// maker makes the tensors of a file.
type maker struct {
	shape   Shape
	random  uint64
	rows    map[rowKind][][]byte
	made    map[string][]byte // by format and shape: the same bytes serve in every layer
	tensors []gguf.Tensor
}

type rowKind struct {
	format quant.Type
	cols   int
}

// distinctRows of each format and length are quantised; matrices are made of them.
const distinctRows = 251

func (m *maker) layer(layer int, mix Mix) {
	s := m.shape
	keys := s.Dim / s.Heads * s.KVHeads
	m.norm(fmt.Sprintf("blk.%d.attn_norm", layer))
	m.norm(fmt.Sprintf("blk.%d.ffn_norm", layer))
	for _, t := range []struct {
		name       string
		rows, cols int
	}{
		{"attn_q", s.Dim, s.Dim}, {"attn_k", keys, s.Dim}, {"attn_v", keys, s.Dim}, {"attn_output", s.Dim, s.Dim},
		{"ffn_gate", s.Hidden, s.Dim}, {"ffn_up", s.Hidden, s.Dim}, {"ffn_down", s.Dim, s.Hidden},
	} {
		m.matrix(fmt.Sprintf("blk.%d.%s", layer, t.name), mix.ofLayer(t.name, layer, s.Layers, t.cols), t.rows, t.cols)
	}
}

// norm adds a vector of ones.
func (m *maker) norm(name string) {
	ones := make([]float32, m.shape.Dim)
	for i := range ones {
		ones[i] = 1
	}
	m.tensors = append(m.tensors, gguf.Tensor{Name: name + ".weight", Type: quant.F32, Dims: []int{len(ones)}, Data: quant.Quantise(quant.F32, ones)})
}

func (m *maker) matrix(name string, t quant.Type, rows, cols int) {
	_, kind, _ := strings.Cut(strings.TrimPrefix(name, "blk."), ".")
	key := fmt.Sprint(kind, t, rows, cols)
	data, ok := m.made[key]
	if !ok {
		pool := m.pool(rowKind{t, cols})
		for range rows {
			data = append(data, pool[m.next()>>33%distinctRows]...)
		}
		m.made[key] = data
	}
	m.tensors = append(m.tensors, gguf.Tensor{Name: name + ".weight", Type: t, Dims: []int{cols, rows}, Data: data})
}

// pool is the quantised rows of one kind: their elements have the variance 1/cols, so that activations keep their size.
func (m *maker) pool(kind rowKind) [][]byte {
	if pool, ok := m.rows[kind]; ok {
		return pool
	}
	width := float32(math.Sqrt(3 / float64(kind.cols)))
	pool := make([][]byte, distinctRows)
	row := make([]float32, kind.cols)
	for i := range pool {
		for j := range row {
			row[j] = float32(int32(m.next()>>32)) / (1 << 31) * width
		}
		pool[i] = quant.Quantise(kind.format, row)
	}
	m.rows[kind] = pool
	return pool
}

// next steps Knuth's linear congruential generator; its upper bits are the random ones.
func (m *maker) next() uint64 {
	m.random = m.random*6364136223846793005 + 1442695040888963407
	return m.random
}
