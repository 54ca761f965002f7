package models_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"verbatim/kernels/quant"
	"verbatim/models"
	"verbatim/models/gguf"
)

// newVariant is the small model as a file of another architecture, with the
// biases of qwen2 or the head norms of qwen3.
func newVariant(architecture string) *small {
	s := newSmall()
	for i, pair := range s.pairs {
		if name, ok := strings.CutPrefix(pair.Key, "llama."); ok {
			s.pairs[i].Key = architecture + "." + name
		}
	}
	s.set("general.architecture", architecture)
	const headDim = smallDim / smallHeads
	for _, block := range []string{"blk.0.", "blk.1."} {
		switch architecture {
		case "qwen2":
			s.add(block+"attn_q.bias", quant.F32, smallDim)
			s.add(block+"attn_k.bias", quant.F32, headDim*smallKVHeads)
			s.add(block+"attn_v.bias", quant.F32, headDim*smallKVHeads)
		case "qwen3":
			s.add(block+"attn_q_norm.weight", quant.F32, headDim)
			s.add(block+"attn_k_norm.weight", quant.F32, headDim)
		}
	}
	return s
}

// number writes i into the rows or elements i of a tensor, so that they can be
// told apart.
func number(t *gguf.Tensor, elementBytes int) {
	for i := 0; i*elementBytes < len(t.Data); i++ {
		element := t.Data[i*elementBytes:][:elementBytes]
		if elementBytes == 4 {
			binary.LittleEndian.PutUint32(element, math.Float32bits(float32(i)))
			continue
		}
		for at := range element {
			element[at] = byte(i) // a scale with these bits is finite
		}
	}
}

// The elements of query and key heads of 8, halves of 4, become neighbours; of
// values, none moves. Rows of blocks move whole.
func TestHalvesBecomeNeighbours(t *testing.T) {
	order := []int{0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15} // of two heads
	for _, rotated := range []int{8, 4} {
		if rotated == 4 {
			order = []int{0, 2, 1, 3, 4, 5, 6, 7, 8, 10, 9, 11, 12, 13, 14, 15}
		}
		s := newVariant("qwen2")
		s.set("qwen2.rope.dimension_count", uint32(rotated))
		for _, name := range []string{"blk.1.attn_k.weight", "blk.1.attn_v.weight"} {
			s.remove(name)
			s.add(name, quant.Q5_0, smallDim, 16)
			number(s.tensor(name), quant.Q5_0.BlockBytes())
		}
		number(s.tensor("blk.1.attn_k.bias"), 4)
		number(s.tensor("blk.1.attn_v.bias"), 4)
		m, err := models.FromBytes(s.encode(t))
		if err != nil {
			t.Fatal(err)
		}
		l := &m.Weights.Layers[1]
		for i, from := range order {
			if got := l.K.Data[i*22:][:22]; !bytes.Equal(got, bytes.Repeat([]byte{byte(from)}, 22)) {
				t.Errorf("rotated %d: row %d of keys: got % x, want row %d", rotated, i, got, from)
			}
			if got := l.V.Data[i*22]; int(got) != i {
				t.Errorf("rotated %d: row %d of values is row %d", rotated, i, got)
			}
			if got := floatAt(l.KBias, i); got != float32(from) {
				t.Errorf("rotated %d: element %d of the keys' bias: got %v, want %d", rotated, i, got, from)
			}
			if got := floatAt(l.VBias, i); got != float32(i) {
				t.Errorf("rotated %d: element %d of the values' bias: got %v, want %d", rotated, i, got, i)
			}
		}
	}
	s := newVariant("qwen3")
	number(s.tensor("blk.0.attn_q_norm.weight"), 4)
	m, err := models.FromBytes(s.encode(t))
	if err != nil {
		t.Fatal(err)
	}
	for i, from := range []int{0, 4, 1, 5, 2, 6, 3, 7} {
		if got := floatAt(m.Weights.Layers[0].QNorm, i); got != float32(from) {
			t.Errorf("element %d of the queries' norm: got %v, want %d", i, got, from)
		}
	}
	if norm, ok := m.Tensor("blk.1.attn_k_norm.weight"); !ok || norm.Cols != 8 {
		t.Errorf("blk.1.attn_k_norm.weight: got %+v, %v", norm, ok)
	}
	if _, ok := m.Tensor(""); ok || m.Weights.Layers[0].QBias.Rows != 0 {
		t.Error("qwen3 has a tensor without a name, or a bias")
	}
}

func floatAt(t models.Tensor, i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
}

// A window as wide as the context is none.
func TestSlidingWindow(t *testing.T) {
	for value, want := range map[uint32]int{0: 0, 1: 1, 63: 63, 64: 0, math.MaxUint32: 0} {
		s := newSmall()
		s.set("llama.attention.sliding_window", value)
		m, err := models.FromBytes(s.encode(t))
		if err != nil || m.Hyperparameters.Window != want {
			t.Errorf("sliding_window %d in a context of 64: got %+v, %v; want window %d", value, m, err, want)
		}
	}
}

func TestBadVariantsAreRefusedByName(t *testing.T) {
	for _, c := range []struct {
		architecture string
		spoil        func(s *small)
		want         string
	}{
		{"qwen2", func(s *small) { s.remove("blk.1.attn_v.bias") }, `tensor "blk.1.attn_v.bias" is missing`},
		{"qwen2", func(s *small) { s.remove("blk.0.attn_k.bias"); s.add("blk.0.attn_k.bias", quant.F16, 16) }, `"blk.0.attn_k.bias" has type F16, want F32`},
		{"qwen2", func(s *small) { s.remove("blk.0.attn_k.bias"); s.add("blk.0.attn_k.bias", quant.F32, 32) }, "has dimensions [32], want [16]"},
		{"qwen2", func(s *small) { s.add("blk.0.attn_q_norm.weight", quant.F32, 8) }, `"blk.0.attn_q_norm.weight" is not part of the qwen2 architecture`},
		{"qwen2", func(s *small) { s.set("qwen2.attention.sliding_window", uint32(8)) }, `"qwen2.attention.sliding_window" is not understood`},
		{"qwen2", func(s *small) { s.set("qwen2.rope.scaling.type", "yarn") }, `RoPE scaling "yarn" (key "qwen2.rope.scaling.type")`},
		{"qwen2", func(s *small) { s.set("qwen2.block_count", nil) }, `key "qwen2.block_count": absent`},
		{"qwen2", func(s *small) { putFloat(s.tensor("blk.1.attn_q.bias").Data, 5, math.NaN()) }, `"blk.1.attn_q.bias" (F32) is not finite at row 0, column 5`},
		{"qwen3", func(s *small) { s.remove("blk.0.attn_k_norm.weight") }, `tensor "blk.0.attn_k_norm.weight" is missing`},
		{"qwen3", func(s *small) { s.add("blk.0.attn_q.bias", quant.F32, smallDim) }, `"blk.0.attn_q.bias" is not part of the qwen3 architecture`},
		{"llama", func(s *small) { s.set("llama.attention.sliding_window", "8") }, `"llama.attention.sliding_window"`},
	} {
		s := newVariant(c.architecture)
		if _, err := models.FromBytes(s.encode(t)); err != nil {
			t.Fatalf("%s: %v", c.architecture, err)
		}
		c.spoil(s)
		if _, err := models.FromBytes(s.encode(t)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.architecture, err, c.want)
		}
	}
}
