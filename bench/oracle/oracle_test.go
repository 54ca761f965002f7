package oracle_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"verbatim/bench"
	"verbatim/bench/oracle"
	"verbatim/inference"
	"verbatim/kernels/cpu"
	"verbatim/models"
	"verbatim/models/embedded"
	"verbatim/models/tokenizer"
)

const story = "Once upon a time, there was a gentle princess named Lucy. She lived in a small castle in a small village. " +
	"Lucy liked to eat cherries and to sing. One windy day, Lucy was playing with her paper plane when a gust of wind blew it off into a tall tree."

// bounds are the largest relative error of the logits that a format may have; README.md says why they are what they are.
func bound(format string) float64 {
	switch format {
	case "F32", "F16", "BF16":
		return 1e-3 // keys and values are kept in f16
	}
	return 0.03 // activations are rounded to 8 bits
}

// deviation compares logits position by position: the norm of the difference over the norm of the oracle's logits around
// their mean, over all positions and at the worst one; and how often the likeliest token is the same.
func deviation(t *testing.T, m *models.Model, tokens []tokenizer.Token) (all, worst float64, agree int) {
	t.Helper()
	want, err := oracle.Logits(m, tokens)
	if err != nil {
		t.Fatal(err)
	}
	backend, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	engine, err := inference.NewEngine(m, backend, inference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	session, err := engine.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var errors, norms float64
	err = session.Score(context.Background(), tokens, 0, func(i int, logits []float32) error {
		e, n, best, likeliest := 0.0, 0.0, 0, 0
		mean := 0.0
		for _, x := range want[i] {
			mean += x / float64(len(logits))
		}
		for j, x := range want[i] {
			e += (float64(logits[j]) - x) * (float64(logits[j]) - x)
			n += (x - mean) * (x - mean)
			if x > want[i][best] {
				best = j
			}
			if logits[j] > logits[likeliest] {
				likeliest = j
			}
		}
		if best == likeliest {
			agree++
		}
		errors, norms, worst = errors+e, norms+n, max(worst, math.Sqrt(e/n))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return math.Sqrt(errors / norms), worst, agree
}

// The embedded model in every format: the weights are the same for both sides, so what differs is the arithmetic.
func TestEveryFormatIsNearFloat64(t *testing.T) {
	fmt.Printf("%-8s  %-10s  %-10s  %s\n", "format", "error", "worst", "same token")
	for _, mix := range bench.Mixes() {
		var file bytes.Buffer
		if err := bench.Requantise(&file, embedded.GGUF(), mix); err != nil {
			t.Fatal(err)
		}
		m, err := models.FromBytes(file.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := m.Tokenizer.Encode(story, tokenizer.EncodeOptions{BOS: true})
		if err != nil {
			t.Fatal(err)
		}
		all, worst, agree := deviation(t, m, tokens)
		fmt.Printf("%-8s  %.2e    %.2e    %d of %d\n", mix.Name, all, worst, agree, len(tokens))
		if !(all <= bound(mix.Name)) {
			t.Errorf("%s: relative error %.2e of the logits, want at most %.0e", mix.Name, all, bound(mix.Name))
		}
	}
}

// A model of others, with float weights, if it is at hand.
func TestStories260K(t *testing.T) {
	shared := os.Getenv("VERBATIM_SHARED")
	if shared == "" {
		t.Skip("VERBATIM_SHARED is not set")
	}
	m, err := models.Open(filepath.Join(shared, "models", "stories260K.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	tokens, err := m.Tokenizer.Encode(story, tokenizer.EncodeOptions{BOS: true})
	if err != nil {
		t.Fatal(err)
	}
	all, worst, agree := deviation(t, m, tokens)
	fmt.Printf("%-8s  %.2e    %.2e    %d of %d   (stories260K)\n", "F32", all, worst, agree, len(tokens))
	if !(all <= bound("F32")) {
		t.Errorf("relative error %.2e of the logits, want at most %.0e", all, bound("F32"))
	}
}
