package inference_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"verbatim/inference"
	"verbatim/kernels"
	"verbatim/kernels/cpu"
	"verbatim/kernels/ref"
	"verbatim/models"
	"verbatim/models/tokenizer"
)

// Every architecture against Hugging Face's transformers in float64: small models of random weights with what sets them
// apart (testdata/architectures/make.py). What remains is the rounding of activations to f32, and a key or value on the
// other side of a rounding to f16.
// All machines, backends and sizes of chunks have the same bits: their digest changes with kernels.Version only.
func TestArchitecturesAgainstTransformers(t *testing.T) {
	const tolerance = 0.0005
	for _, c := range []struct {
		architecture string
		window       int
		digest       string
	}{
		{"llama", 40, "5b5397da89687e959563546938e399d18b27353a394ffd22f9070455848132a3"},
		{"qwen2", 0, "147c6be963e1e988dbc82134844d544cd570ae037d21ab047fdbcab9f069391c"},
		{"qwen3", 0, "0391b758424dc189f2dc9e330e327c9a6aec4475a0aace114f24a1c87da009e4"},
	} {
		t.Run(c.architecture, func(t *testing.T) {
			folder := filepath.Join("testdata", "architectures")
			text, err := os.ReadFile(filepath.Join(folder, c.architecture+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var golden struct {
				Tokens []tokenizer.Token
				Logits map[string][]float64 // after the token with that index
			}
			if err := json.Unmarshal(text, &golden); err != nil {
				t.Fatal(err)
			}
			model, err := models.Open(filepath.Join(folder, c.architecture+".gguf"))
			if err != nil {
				t.Fatal(err)
			}
			defer model.Close()
			if h := &model.Hyperparameters; h.Architecture != c.architecture || h.Window != c.window {
				t.Errorf("architecture %q, window %d; want %q, %d", h.Architecture, h.Window, c.architecture, c.window)
			}
			want := map[int][]float64{}
			for position, logits := range golden.Logits {
				i, err := strconv.Atoi(position)
				if err != nil {
					t.Fatal(err)
				}
				want[i] = logits
			}
			bits := logitsAfter(t, model, ref.New(), 7, golden.Tokens, want)
			largest := 0.0
			for position, logits := range want {
				for i := range logits {
					difference := math.Abs(float64(bits[position][i]) - logits[i])
					if largest = max(largest, difference); difference > tolerance {
						t.Fatalf("logit %d after token %d: got %v, want %v within %v", i, position, bits[position][i], logits[i], tolerance)
					}
				}
			}
			t.Logf("largest difference of a logit: %.6f", largest)
			if got := digestOfLogits(bits); got != c.digest {
				t.Errorf("digest of the logits: got %s, want %s", got, c.digest)
			}
			for _, level := range cpu.Levels() {
				backend, err := cpu.New(cpu.Options{Level: level, Threads: 2})
				if err != nil {
					t.Fatal(err)
				}
				defer backend.Close()
				for _, chunk := range []int{1, 128} {
					for position, got := range logitsAfter(t, model, backend, chunk, golden.Tokens, want) {
						if !slices.Equal(got, bits[position]) {
							t.Errorf("%s, chunks of %d: the logits after token %d differ from the reference's", level, chunk, position)
						}
					}
				}
			}
		})
	}
}

// digestOfLogits is the SHA-256 of the bits, little-endian, in order of position.
func digestOfLogits(logits map[int][]float32) string {
	var data []byte
	for _, position := range slices.Sorted(maps.Keys(logits)) {
		for _, x := range logits[position] {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(x))
		}
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

// logitsAfter are the logits after each token that is a key of wanted.
func logitsAfter(t *testing.T, model *models.Model, backend kernels.Backend, chunk int, tokens []tokenizer.Token, wanted map[int][]float64) map[int][]float32 {
	t.Helper()
	engine, err := inference.NewEngine(model, backend, inference.Options{PrefillChunkTokens: chunk})
	if err != nil {
		t.Fatal(err)
	}
	session, err := engine.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	got := map[int][]float32{}
	for i := range tokens {
		if _, ok := wanted[i]; !ok {
			continue
		}
		if err := session.Prefill(context.Background(), tokens[session.Position():i+1]); err != nil {
			t.Fatal(err)
		}
		got[i] = slices.Clone(session.Logits())
	}
	return got
}
