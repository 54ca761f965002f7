package models_test

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"

	"verbatim/kernels/quant"
	"verbatim/models"
	"verbatim/models/tokenizer"
)

func TestSmallModel(t *testing.T) {
	m, err := models.FromBytes(newSmall().encode(t))
	if err != nil {
		t.Fatal(err)
	}
	want := models.Hyperparameters{
		Architecture: "llama", Layers: 2, Dim: 32, Hidden: 64, Heads: 4, KVHeads: 2, HeadDim: 8, Vocab: smallVocab,
		ContextTokensMax: 64, NormEpsilon: 1e-5, RopeBase: models.RopeBaseDefault, RopeDim: 8, Tied: true,
	}
	if !reflect.DeepEqual(m.Hyperparameters, want) {
		t.Errorf("got  %+v\nwant %+v", m.Hyperparameters, want)
	}
	if m.Weights.Output.Name != "token_embd.weight" {
		t.Errorf("tied output head: got %q, want token_embd.weight", m.Weights.Output.Name)
	}
	for _, c := range []struct {
		name       string
		got        models.Tensor
		rows, cols int
		kind       quant.Type
	}{
		{"blk.1.attn_q.weight", m.Weights.Layers[1].Q, 32, 32, quant.F16},
		{"blk.1.attn_k.weight", m.Weights.Layers[1].K, 16, 32, quant.BF16},
		{"blk.1.attn_v.weight", m.Weights.Layers[1].V, 16, 32, quant.Q4_0},
		{"blk.1.attn_output.weight", m.Weights.Layers[1].O, 32, 32, quant.Q4_1},
		{"blk.1.ffn_gate.weight", m.Weights.Layers[1].Gate, 64, 32, quant.F32},
		{"blk.1.ffn_up.weight", m.Weights.Layers[1].Up, 64, 32, quant.Q8_0},
		{"blk.1.ffn_down.weight", m.Weights.Layers[1].Down, 32, 64, quant.Q8_0},
		{"blk.1.ffn_norm.weight", m.Weights.Layers[1].FFNNorm, 1, 32, quant.F32},
	} {
		if c.got.Name != c.name || c.got.Rows != c.rows || c.got.Cols != c.cols || c.got.Type != c.kind {
			t.Errorf("got %q %dx%d %v, want %q %dx%d %v", c.got.Name, c.got.Rows, c.got.Cols, c.got.Type, c.name, c.rows, c.cols, c.kind)
		}
	}
	if bos, ok := m.Tokenizer.BOS(); bos != 1 || !ok {
		t.Errorf("bos by default: got %d, %v; want 1", bos, ok)
	}
}

func TestTokenIDOfAllOnesIsAbsent(t *testing.T) {
	s := newSmall()
	s.set("tokenizer.ggml.eot_token_id", uint32(math.MaxUint32))
	m, err := models.FromBytes(s.encode(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.Tokenizer.Ends(), []tokenizer.Token{2}; !reflect.DeepEqual(got, want) {
		t.Errorf("end tokens: got %v, want %v", got, want)
	}
}

func TestRopeFactorsAndSeparateOutput(t *testing.T) {
	s := newSmall()
	s.add("rope_freqs.weight", quant.F32, 4)
	for i := range 4 {
		putFloat(s.tensor("rope_freqs.weight").Data, i, float64(i+1))
	}
	s.add("output.weight", quant.Q4_1, smallDim, smallVocab)
	m, err := models.FromBytes(s.encode(t))
	if err != nil {
		t.Fatal(err)
	}
	if want := []float32{1, 2, 3, 4}; !reflect.DeepEqual(m.Hyperparameters.RopeFactors, want) {
		t.Errorf("factors: got %v, want %v", m.Hyperparameters.RopeFactors, want)
	}
	if m.Hyperparameters.Tied || m.Weights.Output.Name != "output.weight" {
		t.Errorf("got tied %v, output %q", m.Hyperparameters.Tied, m.Weights.Output.Name)
	}
}

func TestBadModelsAreRefusedByName(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(s *small)
		want  string
	}{
		{"other architecture", func(s *small) { s.set("general.architecture", "qwen2moe") }, `is "qwen2moe", which is not supported (supported: llama, qwen2, qwen3)`},
		{"no architecture", func(s *small) { s.set("general.architecture", nil) }, `key "general.architecture": absent`},
		{"no layers key", func(s *small) { s.set("llama.block_count", nil) }, `key "llama.block_count": absent`},
		{"no layers", func(s *small) { s.set("llama.block_count", uint32(0)) }, `"llama.block_count" is 0 (1 to 1024 are allowed)`},
		{"too many layers", func(s *small) { s.set("llama.block_count", uint32(models.LayersMax+1)) }, `is 1025 (1 to 1024`},
		{"layers at the limit", func(s *small) { s.set("llama.block_count", uint32(models.LayersMax)) }, `tensor "blk.2.attn_norm.weight" is missing`},
		{"dimension", func(s *small) { s.set("llama.embedding_length", uint32(models.DimMax+1)) }, "is 65537"},
		{"hidden", func(s *small) { s.set("llama.feed_forward_length", uint32(models.HiddenMax+1)) }, "is 1048577"},
		{"context", func(s *small) { s.set("llama.context_length", uint32(models.ContextTokensMax+1)) }, "is 16777217"},
		{"heads do not divide", func(s *small) { s.set("llama.attention.head_count", uint32(5)) }, "5 heads do not divide the dimension 32"},
		{"kv heads do not divide", func(s *small) { s.set("llama.attention.head_count_kv", uint32(3)) }, "3 key-value heads do not divide the 4 heads"},
		{"odd head", func(s *small) {
			s.set("llama.attention.head_count", uint32(32))
			s.set("llama.attention.head_count_kv", uint32(32))
		}, "must be even"},
		{"odd head, even rotation", func(s *small) {
			s.set("llama.embedding_length", uint32(12))
			s.set("llama.rope.dimension_count", uint32(2))
		}, "head dimension 3 and rotated dimension 2: both must be even"},
		{"odd rotation", func(s *small) { s.set("llama.rope.dimension_count", uint32(7)) }, "must be even"},
		{"rotation beyond the head", func(s *small) { s.set("llama.rope.dimension_count", uint32(10)) }, "not above"},
		{"other key length", func(s *small) { s.set("llama.attention.key_length", uint32(16)) }, "want [32 64]"},
		{"values of another length", func(s *small) { s.set("llama.attention.value_length", uint32(16)) }, "keys of 8 and values of 16"},
		{"scaled rope twice", func(s *small) {
			s.set("llama.rope.scaling.factor", float32(4))
			s.add("rope_freqs.weight", quant.F32, 4)
		}, "linear RoPE scaling together with"},
		{"two scales", func(s *small) {
			s.set("llama.rope.scaling.factor", float32(4))
			s.set("llama.rope.scale_linear", float32(2))
		}, "RoPE scaling by 2"},
		{"epsilon", func(s *small) { s.set("llama.attention.layer_norm_rms_epsilon", float32(0)) }, "want a number above 0"},
		{"no epsilon", func(s *small) { s.set("llama.attention.layer_norm_rms_epsilon", nil) }, "absent"},
		{"heads as an array", func(s *small) { s.set("llama.attention.head_count", []uint32{4, 4}) }, "array of 2 uint32, want an integer"},
		{"scaled rope", func(s *small) { s.set("llama.rope.scaling.type", "yarn") }, `RoPE scaling "yarn"`},
		{"negative rope scale", func(s *small) { s.set("llama.rope.scaling.factor", float32(-4)) }, "RoPE scaling by -4"},
		{"experts", func(s *small) { s.set("llama.expert_count", uint32(8)) }, "mixture of experts"},
		{"unknown key", func(s *small) { s.set("llama.attention.causal", true) }, `"llama.attention.causal" is not understood`},
		{"token outside", func(s *small) { s.set("tokenizer.ggml.eos_token_id", uint32(9999)) }, `"tokenizer.ggml.eos_token_id" is 9999, outside`},
		{"too few scores", func(s *small) { s.set("tokenizer.ggml.scores", []float32{1}) }, "1 scores for 264 tokens"},
		{"missing tensor", func(s *small) { s.remove("blk.1.ffn_up.weight") }, `tensor "blk.1.ffn_up.weight" is missing`},
		{"extra tensor", func(s *small) { s.add("blk.0.attn_q.bias", quant.F32, smallDim) }, `tensor "blk.0.attn_q.bias" is not part`},
		{"wrong shape", func(s *small) { s.remove("blk.0.ffn_up.weight"); s.add("blk.0.ffn_up.weight", quant.Q8_0, 64, 32) }, `has dimensions [64 32], want [32 64]`},
		{"vocabulary size", func(s *small) { s.remove("token_embd.weight"); s.add("token_embd.weight", quant.F32, 32, 10) }, `want [32 264]`},
		{"quantised norm", func(s *small) { s.remove("output_norm.weight"); s.add("output_norm.weight", quant.F16, 32) }, `"output_norm.weight" has type F16, want F32`},
		{"rope factor 0", func(s *small) { s.add("rope_freqs.weight", quant.F32, 4) }, "factor 0 is 0, want a number above 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSmall()
			c.spoil(s)
			_, err := models.FromBytes(s.encode(t))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestNonFiniteWeightsAreRefusedWhereTheyAre(t *testing.T) {
	for _, c := range []struct {
		tensor string
		spoil  func(data []byte)
		want   string
	}{
		{"blk.0.ffn_gate.weight", func(d []byte) { putFloat(d, 32*3+5, math.NaN()) }, "(F32) is not finite at row 3, column 5"},
		{"blk.0.ffn_gate.weight", func(d []byte) { putFloat(d, 32*64-1, math.Inf(-1)) }, "row 63, column 31"},
		{"blk.1.attn_q.weight", func(d []byte) { putHalf(d, 2*(32*2+7), 0x7c00) }, "(F16) is not finite at row 2, column 7"},
		{"blk.1.attn_q.weight", func(d []byte) { putHalf(d, 0, 0xfe00) }, "row 0, column 0"},
		{"blk.1.attn_k.weight", func(d []byte) { putHalf(d, 2*(32*15+31), 0xff80) }, "(BF16) is not finite at row 15, column 31"},
		{"token_embd.weight", func(d []byte) { putHalf(d, 34*9, 0x7e00) }, "(Q8_0) is not finite at row 9, column 0"},
		{"blk.0.attn_v.weight", func(d []byte) { putHalf(d, 18*15, 0xfc00) }, "(Q4_0) is not finite at row 15, column 0"},
		{"blk.0.attn_output.weight", func(d []byte) { putHalf(d, 20*4, 0x7c00) }, "(Q4_1) is not finite at row 4, column 0"},
		{"blk.0.attn_output.weight", func(d []byte) { putHalf(d, 20*4+2, 0x7c00) }, "(Q4_1) is not finite at row 4, column 0"},
		{"blk.0.ffn_down.weight", func(d []byte) { putHalf(d, 34*3, 0x7c00) }, "row 1, column 32"},
	} {
		s := newSmall()
		c.spoil(s.tensor(c.tensor).Data)
		_, err := models.FromBytes(s.encode(t))
		if err == nil || !strings.Contains(err.Error(), c.tensor) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error with %q and %q", err, c.tensor, c.want)
		}
	}
}

// A tensor whose bytes are no multiple of 8 is checked to its end.
func TestNonFiniteTailIsRefused(t *testing.T) {
	s := newSmall()
	s.set("llama.rope.dimension_count", uint32(6))
	s.add("rope_freqs.weight", quant.F32, 3)
	for i, factor := range []float64{1, 1, math.Inf(1)} {
		putFloat(s.tensor("rope_freqs.weight").Data, i, factor)
	}
	_, err := models.FromBytes(s.encode(t))
	if err == nil || !strings.Contains(err.Error(), "is not finite at row 0, column 2") {
		t.Errorf("got %v, want an error at column 2", err)
	}
}

// The largest finite values and all codes of the blocks pass.
func TestFiniteExtremesAreAccepted(t *testing.T) {
	s := newSmall()
	putFloat(s.tensor("blk.0.ffn_gate.weight").Data, 0, math.MaxFloat32)
	putFloat(s.tensor("blk.0.ffn_gate.weight").Data, 1, -math.MaxFloat32)
	putHalf(s.tensor("blk.1.attn_q.weight").Data, 0, 0xfbff)
	putHalf(s.tensor("blk.1.attn_k.weight").Data, 0, 0x7f7f)
	codes := s.tensor("token_embd.weight").Data
	copy(codes[2:34], bytes.Repeat([]byte{0xff}, 32))
	copy(s.tensor("blk.0.attn_output.weight").Data[4:20], bytes.Repeat([]byte{0x7c}, 16))
	if _, err := models.FromBytes(s.encode(t)); err != nil {
		t.Error(err)
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	whole := newSmall().encode(t)
	for n := 0; n < len(whole); n += 1 + n/50 {
		if _, err := models.FromBytes(whole[:n]); err == nil {
			t.Fatalf("a model cut to %d of %d bytes was accepted", n, len(whole))
		}
	}
}

func FuzzFromBytes(f *testing.F) {
	f.Add(newSmall().encode(f))
	f.Add(newVariant("qwen2").encode(f))
	f.Add(newVariant("qwen3").encode(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := models.FromBytes(data)
		if err != nil {
			return
		}
		tokens, err := m.Tokenizer.Encode("ab a", tokenizer.EncodeOptions{BOS: true, Special: true})
		if err != nil {
			return
		}
		m.Tokenizer.Decode(tokens)
	})
}
