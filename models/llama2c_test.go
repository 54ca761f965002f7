package models_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"verbatim/inference"
	"verbatim/kernels/ref"
	"verbatim/models"
	"verbatim/models/tokenizer"
)

// llama2c describes a small file of that kind: dim, hidden, layers, heads,
// kvHeads, vocab, context.
type llama2c struct {
	numbers [7]int
	version int // 0 for legacy
	tied    bool
}

func smallLlama2c() llama2c { return llama2c{[7]int{8, 12, 2, 4, 2, 3 + 256 + 2, 16}, 0, true} }

// floats is the number of weights: all but the header.
func (c llama2c) floats() int {
	dim, hidden, layers, heads, kvHeads, vocab, length := c.numbers[0], c.numbers[1], c.numbers[2], c.numbers[3], c.numbers[4], c.numbers[5], c.numbers[6]
	n := vocab*dim + layers*(2*dim+2*dim*dim+2*dim*dim/heads*kvHeads+3*dim*hidden) + dim
	if c.version == 0 {
		n += length * (dim / heads / 2 * 2)
	}
	if !c.tied {
		n += vocab * dim
	}
	return n
}

// encode writes the number of each weight as its value, and stops early when the
// numbers ask for more than a test can hold.
func (c llama2c) encode() []byte {
	var b []byte
	if c.version > 0 {
		b = binary.LittleEndian.AppendUint32([]byte("24ka"), uint32(c.version))
	}
	for i, n := range c.numbers {
		if i == 5 && c.version == 0 && !c.tied {
			n = -n
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(int32(n)))
	}
	if c.version > 0 {
		if c.tied {
			b = append(b, 1)
		}
		b = append(b, make([]byte, 256-len(b))...)
	}
	for i := range min(c.floats(), 1<<16) {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(i)))
	}
	return b
}

func smallTokens() []byte {
	b := binary.LittleEndian.AppendUint32(nil, 6)
	add := func(text string, score float32) {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(score))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	add("<unk>", 0)
	add("\n<s>\n", 0)
	add("\n</s>\n", 0)
	for i := range 256 {
		add(fmt.Sprintf("<0x%02X>", i), 0)
	}
	add(" a", -1)
	add(" ", -2)
	return b
}

func float(t models.Tensor, row, col int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*(row*t.Cols+col):]))
}

// Each tensor is where llama2.c's export puts it.
func TestLlama2cOrder(t *testing.T) {
	for _, c := range []struct {
		version int
		tied    bool
		first   map[string]float32 // value of the first weight
	}{
		{0, false, map[string]float32{
			"token_embd.weight": 0, "blk.0.attn_norm.weight": 2088, "blk.1.attn_norm.weight": 2096, "blk.0.attn_q.weight": 2104,
			"blk.1.attn_q.weight": 2168, "blk.0.attn_k.weight": 2232, "blk.1.attn_k.weight": 2264, "blk.0.attn_v.weight": 2296,
			"blk.0.attn_output.weight": 2360, "blk.0.ffn_norm.weight": 2488, "blk.0.ffn_gate.weight": 2504, "blk.0.ffn_down.weight": 2696,
			"blk.0.ffn_up.weight": 2888, "blk.1.ffn_up.weight": 2984, "output_norm.weight": 3080, "output.weight": 3120,
		}},
		{1, true, map[string]float32{
			"blk.0.attn_norm.weight": 0, "blk.1.attn_norm.weight": 8, "blk.0.ffn_norm.weight": 16, "output_norm.weight": 32,
			"token_embd.weight": 40, "blk.0.attn_q.weight": 2128, "blk.0.attn_k.weight": 2256, "blk.0.attn_v.weight": 2320,
			"blk.0.attn_output.weight": 2384, "blk.0.ffn_gate.weight": 2512, "blk.0.ffn_down.weight": 2704, "blk.1.ffn_up.weight": 2992,
		}},
	} {
		file := smallLlama2c()
		file.version, file.tied = c.version, c.tied
		m, err := models.FromLlama2c(file.encode(), smallTokens())
		if err != nil {
			t.Fatal(err)
		}
		want := models.Hyperparameters{
			Architecture: "llama", Layers: 2, Dim: 8, Hidden: 12, Heads: 4, KVHeads: 2, HeadDim: 2, Vocab: 261, ContextTokensMax: 16,
			NormEpsilon: 1e-5, RopeBase: 10000, RopeDim: 2, Tied: c.tied,
		}
		if !reflect.DeepEqual(m.Hyperparameters, want) {
			t.Errorf("got  %+v\nwant %+v", m.Hyperparameters, want)
		}
		for name, first := range c.first {
			tensor, ok := m.Tensor(name)
			if !ok || float(tensor, 0, 0) != first || float(tensor, tensor.Rows-1, tensor.Cols-1) != first+float32(tensor.Rows*tensor.Cols-1) {
				t.Errorf("version %d, %s: got %v from %v, want %v", c.version, name, tensor.Rows*tensor.Cols, float(tensor, 0, 0), first)
			}
		}
	}
}

func TestLlama2cDigestAndTokens(t *testing.T) {
	data, tokens := smallLlama2c().encode(), smallTokens()
	m, err := models.FromLlama2c(data, tokens)
	if err != nil {
		t.Fatal(err)
	}
	a, b := sha256.Sum256(data), sha256.Sum256(tokens)
	if want := models.Digest(sha256.Sum256(bytes.Join([][]byte{[]byte("verbatim/llama2c/1\n"), a[:], b[:]}, nil))); m.Digest != want {
		t.Errorf("digest: got %v, want %v", m.Digest, want)
	}
	got, err := m.Tokenizer.Encode("a é", tokenizer.EncodeOptions{BOS: true})
	if want := []tokenizer.Token{1, 259, 260, 0xc3 + 3, 0xa9 + 3}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("tokens: got %v, %v; want %v", got, err, want)
	}
	if !m.Tokenizer.IsEnd(2) {
		t.Errorf("end tokens: got %v, want 2", m.Tokenizer.Ends())
	}
}

func TestLlama2cFindsItsTokenizer(t *testing.T) {
	folder := t.TempDir()
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("m.bin", smallLlama2c().encode())
	if _, err := models.Open(filepath.Join(folder, "m.bin")); err == nil || !strings.Contains(err.Error(), "looked for m_tok.bin, tok261.bin, tokenizer.bin") {
		t.Errorf("without a tokenizer: got %v", err)
	}
	broken := smallTokens()[1:]
	for _, name := range []string{"tokenizer.bin", "tok261.bin", "m_tok.bin"} { // each goes before the last
		write(name, smallTokens())
		m, err := models.Open(filepath.Join(folder, "m.bin"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		write(name, broken)
		if _, err := models.Open(filepath.Join(folder, "m.bin")); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("with a broken %s: got %v", name, err)
		}
	}
}

func TestLlama2cRefusals(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(c *llama2c)
		want  string
	}{
		{"version 2", func(c *llama2c) { c.version = 2 }, "version 2 of the format is not supported (supported: legacy, 1)"},
		{"dim 0", func(c *llama2c) { c.numbers[0] = 0 }, "dim is 0 (1 to 65536 are allowed)"},
		{"large dim", func(c *llama2c) { c.numbers[0] = models.DimMax + 1 }, "dim is 65537"},
		{"dim at the limit", func(c *llama2c) { c.numbers[0] = models.DimMax }, "bytes; its header asks for"},
		{"large hidden", func(c *llama2c) { c.numbers[1] = models.HiddenMax + 1 }, "hidden_dim is 1048577"},
		{"layers", func(c *llama2c) { c.numbers[2] = -1 }, "n_layers is -1"},
		{"heads", func(c *llama2c) { c.numbers[3] = 3 }, "do not divide each other"},
		{"kv heads", func(c *llama2c) { c.numbers[4] = 5 }, "n_kv_heads is 5 (1 to 4"},
		{"vocab", func(c *llama2c) { c.numbers[5] = models.VocabMax + 1 }, "vocab_size is 1048577"},
		{"smallest vocab", func(c *llama2c) { c.numbers[5] = math.MinInt32 }, "vocab_size is"},
		{"context", func(c *llama2c) { c.numbers[6] = models.ContextTokensMax + 1 }, "seq_len is 16777217"},
		{"odd heads", func(c *llama2c) { c.numbers[3], c.numbers[4] = 8, 8 }, "must be even"},
	} {
		file := smallLlama2c()
		c.spoil(&file)
		if _, err := models.FromLlama2c(file.encode(), smallTokens()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
	data := smallLlama2c().encode()
	copy(data[28+4*100:], []byte{0, 0, 0xc0, 0x7f})
	if _, err := models.FromLlama2c(data, smallTokens()); err == nil || !strings.Contains(err.Error(), "is not finite at row 12, column 4") {
		t.Errorf("NaN: got %v", err)
	}
	if _, err := models.FromLlama2c(smallLlama2c().encode(), append(smallTokens(), 0)); err == nil || !strings.Contains(err.Error(), "1 bytes follow") {
		t.Errorf("longer tokenizer: got %v", err)
	}
}

func TestLlama2cTruncationsAreRefused(t *testing.T) {
	for _, version := range []int{0, 1} {
		file := smallLlama2c()
		file.version = version
		whole, tokens := file.encode(), smallTokens()
		for n := 0; n < len(whole); n += 1 + n/40 {
			if _, err := models.FromLlama2c(whole[:n], tokens); err == nil {
				t.Fatalf("a model cut to %d of %d bytes was accepted", n, len(whole))
			}
		}
		if _, err := models.FromLlama2c(append(whole, 0), tokens); err == nil {
			t.Error("a model with a byte too many was accepted")
		}
		for n := range tokens {
			if _, err := models.FromLlama2c(whole, tokens[:n]); err == nil {
				t.Fatalf("a tokenizer cut to %d of %d bytes was accepted", n, len(tokens))
			}
		}
	}
}

// The published stories260K is the same model in all its forms.
func TestLlama2cStories260K(t *testing.T) {
	want, err := models.Open(shared(t, "stories260K.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	text := storyOf(t, want)
	for _, name := range []string{"stories260K.bin", "stories260K_v1.bin"} {
		m, err := models.Open(shared(t, name))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if m.Tokenizer.Digest() != want.Tokenizer.Digest() {
			t.Errorf("%s: the vocabulary differs from that of the GGUF file", name)
		}
		if got := storyOf(t, m); got != text {
			t.Errorf("%s:\n got %q\nwant %q", name, got, text)
		}
	}
	golden := string(readFile(t, shared(t, "golden", "stories260K_t0_n200.txt")))
	if !strings.HasPrefix(golden, text) {
		t.Errorf("got  %q\nwant %q", text, golden)
	}
	if _, err := models.Open(shared(t, "derived", "stories260K_q80_gs4.bin")); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("version 2: got %v", err)
	}
}

// storyOf is what a model says after its BOS token, greedily.
func storyOf(t *testing.T, m *models.Model) string {
	t.Helper()
	engine, err := inference.NewEngine(m, ref.New(), inference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	request := inference.NewRequest("")
	request.MaxTokens = 150
	c, err := engine.Generate(context.Background(), request, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Text
}

func FuzzFromLlama2c(f *testing.F) {
	for _, version := range []int{0, 1, 2} {
		file := smallLlama2c()
		file.version = version
		f.Add(file.encode(), smallTokens())
	}
	f.Fuzz(func(t *testing.T, data, tokens []byte) {
		m, err := models.FromLlama2c(data, tokens)
		if err != nil {
			return
		}
		if _, err := m.Tokenizer.Encode("a b", tokenizer.EncodeOptions{BOS: true}); err != nil {
			return
		}
	})
}
