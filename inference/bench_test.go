package inference_test

import (
	"context"
	"testing"

	"verbatim/inference"
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
