package sampler_test

import (
	"math/rand/v2"
	"testing"

	"verbatim/inference/sampler"
	"verbatim/models/tokenizer"
)

// A vocabulary of Llama 3's size, logits spread as a model's.
func BenchmarkSample(b *testing.B) {
	logits := make([]float32, 128256)
	random := rand.New(rand.NewPCG(3, 4))
	for i := range logits {
		logits[i] = float32(random.NormFloat64() * 3)
	}
	tokens := make([]tokenizer.Token, 64)
	for name, p := range map[string]sampler.Parameters{
		"greedy":  sampler.Greedy(),
		"hot":     {Temperature: 1, TopP: 1, RepetitionPenalty: 1},
		"typical": {Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05, RepetitionPenalty: 1.1, RepetitionWindow: 64},
	} {
		b.Run(name, func(b *testing.B) {
			s, err := sampler.New(p)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := s.Sample(logits, tokens, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
