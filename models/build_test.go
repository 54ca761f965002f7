package models_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"verbatim/kernels/quant"
	"verbatim/models/gguf"
)

// small describes a model of two layers that tests write and then damage.
type small struct {
	pairs   []gguf.KeyValue
	tensors []gguf.Tensor
}

const (
	smallDim, smallHidden, smallHeads, smallKVHeads, smallLayers = 32, 64, 4, 2, 2
	smallVocab                                                   = 3 + 256 + 5
)

func newSmall() *small {
	tokens := []string{"<unk>", "<s>", "</s>"}
	types := []int32{2, 3, 3}
	for b := range 256 {
		tokens = append(tokens, fmt.Sprintf("<0x%02X>", b))
		types = append(types, 6)
	}
	for _, text := range []string{"▁", "a", "b", "▁a", "ab"} {
		tokens = append(tokens, text)
		types = append(types, 1)
	}
	s := &small{pairs: []gguf.KeyValue{
		{Key: "general.architecture", Value: "llama"},
		{Key: "llama.block_count", Value: uint32(smallLayers)},
		{Key: "llama.embedding_length", Value: uint32(smallDim)},
		{Key: "llama.feed_forward_length", Value: uint32(smallHidden)},
		{Key: "llama.attention.head_count", Value: uint32(smallHeads)},
		{Key: "llama.attention.head_count_kv", Value: uint32(smallKVHeads)},
		{Key: "llama.context_length", Value: uint32(64)},
		{Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(1e-5)},
		{Key: "tokenizer.ggml.model", Value: "llama"},
		{Key: "tokenizer.ggml.tokens", Value: tokens},
		{Key: "tokenizer.ggml.scores", Value: make([]float32, len(tokens))},
		{Key: "tokenizer.ggml.token_type", Value: types},
	}}
	kv := smallDim / smallHeads * smallKVHeads
	s.add("token_embd.weight", quant.Q8_0, smallDim, smallVocab)
	for i := range smallLayers {
		block := fmt.Sprintf("blk.%d.", i)
		s.add(block+"attn_norm.weight", quant.F32, smallDim)
		s.add(block+"attn_q.weight", quant.F16, smallDim, smallDim)
		s.add(block+"attn_k.weight", quant.BF16, smallDim, kv)
		s.add(block+"attn_v.weight", quant.Q4_0, smallDim, kv)
		s.add(block+"attn_output.weight", quant.Q4_1, smallDim, smallDim)
		s.add(block+"ffn_norm.weight", quant.F32, smallDim)
		s.add(block+"ffn_gate.weight", quant.F32, smallDim, smallHidden)
		s.add(block+"ffn_up.weight", quant.Q8_0, smallDim, smallHidden)
		s.add(block+"ffn_down.weight", quant.Q8_0, smallHidden, smallDim)
	}
	s.add("output_norm.weight", quant.F32, smallDim)
	return s
}

func (s *small) add(name string, kind quant.Type, dims ...int) {
	size := dims[0] / kind.BlockElements() * kind.BlockBytes()
	for _, dim := range dims[1:] {
		size *= dim
	}
	s.tensors = append(s.tensors, gguf.Tensor{Name: name, Type: kind, Dims: dims, Data: make([]byte, size)})
}

// set replaces or adds a metadata pair; nil removes it.
func (s *small) set(key string, value any) {
	for i := range s.pairs {
		if s.pairs[i].Key == key {
			s.pairs = append(s.pairs[:i], s.pairs[i+1:]...)
			break
		}
	}
	if value != nil {
		s.pairs = append(s.pairs, gguf.KeyValue{Key: key, Value: value})
	}
}

func (s *small) tensor(name string) *gguf.Tensor {
	for i := range s.tensors {
		if s.tensors[i].Name == name {
			return &s.tensors[i]
		}
	}
	panic("no tensor " + name)
}

func (s *small) remove(name string) {
	for i := range s.tensors {
		if s.tensors[i].Name == name {
			s.tensors = append(s.tensors[:i], s.tensors[i+1:]...)
			return
		}
	}
	panic("no tensor " + name)
}

func (s *small) encode(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gguf.Write(&b, s.pairs, s.tensors); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func putFloat(data []byte, i int, x float64) {
	binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(float32(x)))
}

func putHalf(data []byte, at int, bits uint16) { binary.LittleEndian.PutUint16(data[at:], bits) }
