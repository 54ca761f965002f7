package models_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"strings"
	"testing"

	"verbatim/kernels/quant"
	"verbatim/models"
	"verbatim/models/gguf"
)

// Linear scaling divides all frequencies.
func TestLinearRopeScaling(t *testing.T) {
	for _, key := range []string{"llama.rope.scaling.factor", "llama.rope.scale_linear"} {
		s := newSmall()
		s.set("llama.rope.scaling.type", "linear")
		s.set(key, float32(4))
		m, err := models.FromBytes(s.encode(t))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := m.Hyperparameters.RopeFactors, []float32{4, 4, 4, 4}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", key, got, want)
		}
	}
	s := newSmall()
	s.set("llama.rope.scaling.type", "none")
	s.set("llama.rope.scaling.factor", float32(4))
	m, err := models.FromBytes(s.encode(t))
	if err != nil || m.Hyperparameters.RopeFactors != nil {
		t.Errorf("type none: got %v, %v; want no factors", m, err)
	}
}

// widen makes heads four times as long without changing what the model says: the
// new values are zero and not rotated, and queries are doubled because attention
// divides by the root of the length.
func widen(t *testing.T, tensor gguf.Tensor, headDim int) gguf.Tensor {
	t.Helper()
	name := tensor.Name
	cols, rows := tensor.Dims[0], 1
	if len(tensor.Dims) > 1 {
		rows = tensor.Dims[1]
	}
	at := func(row, col int) float32 {
		return math.Float32frombits(binary.LittleEndian.Uint32(tensor.Data[4*(row*cols+col):]))
	}
	var data []byte
	add := func(x float32) { data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x)) }
	switch {
	case strings.HasSuffix(name, "attn_q.weight"), strings.HasSuffix(name, "attn_k.weight"), strings.HasSuffix(name, "attn_v.weight"):
		scale := float32(1)
		if strings.HasSuffix(name, "attn_q.weight") {
			scale = 2
		}
		for row := range 4 * rows {
			head, i := row/(4*headDim), row%(4*headDim)
			for col := range cols {
				if i < headDim {
					add(scale * at(head*headDim+i, col))
				} else {
					add(0)
				}
			}
		}
		return gguf.Tensor{Name: name, Type: quant.F32, Dims: []int{cols, 4 * rows}, Data: data}
	case strings.HasSuffix(name, "attn_output.weight"):
		for row := range rows {
			for col := range 4 * cols {
				head, i := col/(4*headDim), col%(4*headDim)
				if i < headDim {
					add(at(row, head*headDim+i))
				} else {
					add(0)
				}
			}
		}
		return gguf.Tensor{Name: name, Type: quant.F32, Dims: []int{4 * cols, rows}, Data: data}
	}
	return tensor
}

// A model whose heads are longer than dimension / heads tells the same story.
func TestLongHeads(t *testing.T) {
	original, err := models.Open(shared(t, "stories260K.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer original.Close()
	file, err := gguf.Parse(readFile(t, shared(t, "stories260K.gguf")))
	if err != nil {
		t.Fatal(err)
	}
	headDim := original.Hyperparameters.HeadDim
	v, err := models.ReadVocabulary(file)
	if err != nil {
		t.Fatal(err)
	}
	types := make([]int32, len(v.Types))
	for i, kind := range v.Types {
		types[i] = int32(kind)
	}
	s := &small{pairs: newSmall().pairs}
	for key, value := range map[string]any{
		"llama.block_count": uint32(5), "llama.embedding_length": uint32(64), "llama.feed_forward_length": uint32(172),
		"llama.attention.head_count": uint32(8), "llama.attention.head_count_kv": uint32(4), "llama.context_length": uint32(512),
		"llama.attention.key_length": uint32(4 * headDim), "llama.attention.value_length": uint32(4 * headDim),
		"llama.rope.dimension_count": uint32(headDim),
		"tokenizer.ggml.tokens":      v.Tokens, "tokenizer.ggml.scores": v.Scores, "tokenizer.ggml.token_type": types,
	} {
		s.set(key, value)
	}
	for _, tensor := range file.Tensors() {
		s.tensors = append(s.tensors, widen(t, tensor, headDim))
	}
	var b bytes.Buffer
	if err := gguf.Write(&b, s.pairs, s.tensors); err != nil {
		t.Fatal(err)
	}
	long, err := models.FromBytes(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := storyOf(t, long), storyOf(t, original); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
