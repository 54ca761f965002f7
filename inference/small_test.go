package inference_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"verbatim/inference"
	"verbatim/inference/transcript"
	"verbatim/kernels/cpu"
	"verbatim/kernels/quant"
	"verbatim/models"
	"verbatim/models/gguf"
	"verbatim/models/tokenizer"
)

// The small model has two layers of random weights, a byte vocabulary with a few words, and a window that three attention
// splits of 128 positions cover.
const (
	smallDim, smallHidden, smallHeads, smallKVHeads, smallLayers = 64, 96, 4, 2, 2
	smallWindow                                                  = 300
	smallEnd, smallTurnEnd                                       = tokenizer.Token(2), tokenizer.Token(4)
)

const chatML = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"

// smallFile is the model as a file, all matrices of one type. broken puts a huge weight where it makes logits overflow.
func smallFile(t testing.TB, kind quant.Type, broken bool) []byte {
	t.Helper()
	tokens := []string{"<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"}
	types := []int32{2, 3, 3, 3, 3}
	for b := range 256 {
		tokens = append(tokens, fmt.Sprintf("<0x%02X>", b))
		types = append(types, 6)
	}
	for _, text := range []string{"▁", "a", "b", "▁a", "ab", "ü", "▁the", "stop"} {
		tokens = append(tokens, text)
		types = append(types, 1)
	}
	random := rand.New(rand.NewPCG(uint64(kind), 1))
	var tensors []gguf.Tensor
	add := func(name string, kind quant.Type, scale float32, cols, rows int) {
		var data []byte
		for range rows {
			row := make([]float32, cols)
			for i := range row {
				// Uniform, because a normal distribution takes library functions that differ between architectures.
				row[i] = (2*random.Float32() - 1) * scale
				if rows == 1 {
					row[i] = 1 + row[i]/8
				}
			}
			if broken && name == "blk.1.ffn_down" {
				for i := range row {
					row[i] = 3e38
				}
			}
			data = append(data, quant.Quantise(kind, row)...)
		}
		dims := []int{cols, rows}
		if rows == 1 {
			dims = dims[:1]
		}
		tensors = append(tensors, gguf.Tensor{Name: name + ".weight", Type: kind, Dims: dims, Data: data})
	}
	kv := smallDim / smallHeads * smallKVHeads
	matrix := func(name string, cols, rows int) { add(name, kind, 0.45, cols, rows) }
	norm := func(name string) { add(name, quant.F32, 1, smallDim, 1) }
	matrix("token_embd", smallDim, len(tokens))
	for i := range smallLayers {
		block := fmt.Sprintf("blk.%d.", i)
		norm(block + "attn_norm")
		matrix(block+"attn_q", smallDim, smallDim)
		matrix(block+"attn_k", smallDim, kv)
		matrix(block+"attn_v", smallDim, kv)
		matrix(block+"attn_output", smallDim, smallDim)
		norm(block + "ffn_norm")
		matrix(block+"ffn_gate", smallDim, smallHidden)
		matrix(block+"ffn_up", smallDim, smallHidden)
		matrix(block+"ffn_down", smallHidden, smallDim)
	}
	norm("output_norm")
	var b bytes.Buffer
	err := gguf.Write(&b, []gguf.KeyValue{
		{Key: "general.architecture", Value: "llama"},
		{Key: "llama.block_count", Value: uint32(smallLayers)},
		{Key: "llama.embedding_length", Value: uint32(smallDim)},
		{Key: "llama.feed_forward_length", Value: uint32(smallHidden)},
		{Key: "llama.attention.head_count", Value: uint32(smallHeads)},
		{Key: "llama.attention.head_count_kv", Value: uint32(smallKVHeads)},
		{Key: "llama.context_length", Value: uint32(smallWindow)},
		{Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(1e-5)},
		{Key: "tokenizer.ggml.model", Value: "llama"},
		{Key: "tokenizer.ggml.tokens", Value: tokens},
		{Key: "tokenizer.ggml.scores", Value: make([]float32, len(tokens))},
		{Key: "tokenizer.ggml.token_type", Value: types},
		{Key: "tokenizer.chat_template", Value: chatML},
	}, tensors)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func smallModel(t testing.TB, kind quant.Type) *models.Model {
	t.Helper()
	model, err := models.FromBytes(smallFile(t, kind, false))
	if err != nil {
		t.Fatal(err)
	}
	return model
}

// newEngine runs on the fastest backend at hand; TestDigestsOfEveryBackend compares them all.
func newEngine(t testing.TB, model *models.Model, chunkTokens int) *inference.Engine {
	t.Helper()
	backend, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { backend.Close() })
	engine, err := inference.NewEngine(model, backend, inference.Options{PrefillChunkTokens: chunkTokens})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

func generate(t testing.TB, engine *inference.Engine, request inference.Request) inference.Completion {
	t.Helper()
	c, err := engine.Generate(context.Background(), request, nil)
	if err != nil {
		t.Fatalf("%+v: %v", request, err)
	}
	return c
}

func digestOf(t testing.TB, tr *transcript.Transcript) transcript.Digest {
	t.Helper()
	d, err := tr.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// lively is a request whose answer is all over the vocabulary.
func lively(prompt string, maxTokens int, seed uint64) inference.Request {
	r := inference.NewRequest(prompt)
	r.MaxTokens = maxTokens
	r.Sampling.Temperature, r.Sampling.TopK, r.Sampling.TopP, r.Sampling.MinP = 0.9, 100, 0.98, 0.001
	r.Sampling.RepetitionPenalty, r.Sampling.Seed = 1.1, seed
	return r
}

var everyType = []quant.Type{quant.F32, quant.F16, quant.BF16, quant.Q8_0, quant.Q4_0, quant.Q4_1}
