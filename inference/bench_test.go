package inference_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"verbatim/inference"
	"verbatim/inference/transcript"
	"verbatim/kernels"
	"verbatim/kernels/cpu"
	"verbatim/kernels/ref"
	"verbatim/models"
	"verbatim/models/tokenizer"
)

func benchEngines(b *testing.B, run func(b *testing.B, engine *inference.Engine)) {
	model, err := models.Open(shared(b, "models", "stories260K.gguf"))
	if err != nil {
		b.Fatal(err)
	}
	defer model.Close()
	fast, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer fast.Close()
	for name, backend := range map[string]kernels.Backend{"ref": ref.New(), "cpu": fast} {
		engine, err := inference.NewEngine(model, backend, inference.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) { run(b, engine) })
	}
}

// One iteration is a story of 200 tokens, greedy.
func BenchmarkDecode(b *testing.B) {
	benchEngines(b, func(b *testing.B, engine *inference.Engine) {
		tokens := 0
		for b.Loop() {
			request := inference.NewRequest("")
			request.MaxTokens = 200
			tokens += len(generate(b, engine, request).Transcript.Output)
		}
		b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
	})
}

// One iteration recomputes a story of 200 tokens.
func BenchmarkRecompute(b *testing.B) {
	benchEngines(b, func(b *testing.B, engine *inference.Engine) {
		request := inference.NewRequest("")
		request.MaxTokens = 200
		recorded := generate(b, engine, request).Transcript
		tokens := 0
		for b.Loop() {
			if d, err := engine.Recompute(context.Background(), &recorded); d != nil || err != nil {
				b.Fatal(d, err)
			}
			tokens += len(recorded.Output)
		}
		b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
	})
}

// One iteration prefills 512 tokens.
func BenchmarkPrefill(b *testing.B) {
	benchEngines(b, func(b *testing.B, engine *inference.Engine) {
		prompt := make([]tokenizer.Token, 512)
		for i := range prompt {
			prompt[i] = tokenizer.Token(i * 7 % 512)
		}
		for b.Loop() {
			session, err := engine.NewSession()
			if err != nil {
				b.Fatal(err)
			}
			if err := session.Prefill(context.Background(), prompt); err != nil {
				b.Fatal(err)
			}
			session.Close()
		}
		b.ReportMetric(float64(b.N*len(prompt))/b.Elapsed().Seconds(), "tokens/s")
	})
}

// 1, 4 and 16 answers of a real model at the same time (`make models` fetches it). One iteration is an answer of 48 tokens
// from each.
func BenchmarkSequences(b *testing.B) {
	path := filepath.Join("..", "models", "cache", "smollm2-135m-instruct-q4_1.gguf")
	if _, err := os.Stat(path); err != nil {
		b.Skipf("the model is absent (make models fetches it): %v", err)
	}
	model, err := models.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer model.Close()
	backend, err := cpu.New(cpu.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer backend.Close()
	engine, err := inference.NewEngine(model, backend, inference.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for _, sequences := range []int{1, 4, 16} {
		b.Run(fmt.Sprint(sequences), func(b *testing.B) {
			tokens, digests := 0, make([]transcript.Digest, sequences)
			for b.Loop() {
				var group sync.WaitGroup
				for i := range sequences {
					group.Go(func() {
						request := inference.NewRequest(fmt.Sprintf("%d. The story of", i+1))
						request.MaxTokens = 48
						c := generate(b, engine, request)
						digests[i] = digestOf(b, &c.Transcript)
					})
				}
				group.Wait()
				tokens += 48 * sequences
			}
			b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
			b.Logf("digest of the last answer: %v", digests[sequences-1])
		})
	}
}
