package bench_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"verbatim/bench"
	"verbatim/inference"
	"verbatim/kernels/cpu"
	"verbatim/models"
	"verbatim/models/embedded"
	"verbatim/models/tokenizer"
)

func embeddedEngine(t *testing.T, options inference.Options) *inference.Engine {
	t.Helper()
	model, err := models.FromBytes(embedded.GGUF())
	if err != nil {
		t.Fatal(err)
	}
	backend, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { backend.Close() })
	engine, err := inference.NewEngine(model, backend, options)
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

const story = "Once upon a time, there was a gentle princess named Lucy. She lived in a small castle in a small village. " +
	"Lucy liked to eat cherries and to sing. One windy day, Lucy was playing with her paper plane. "

func TestPerplexityOfAStory(t *testing.T) {
	engine := embeddedEngine(t, inference.Options{})
	windows := 0
	p, err := bench.MeasurePerplexity(context.Background(), engine, strings.Repeat(story, 2), 32, func(done, of int) { windows = of })
	if err != nil {
		t.Fatal(err)
	}
	if p.Scored != windows*15 || windows != p.Tokens/32 || p.Perplexity != math.Exp(p.MeanLoss) {
		t.Errorf("got %+v in %d windows, want 15 scored in each window of 32", p, windows)
	}
	if p.Perplexity < 1.01 || p.Perplexity > 8 {
		t.Errorf("got perplexity %g of a story such as the model was trained on, want 1 to 8", p.Perplexity)
	}
	again, err := bench.MeasurePerplexity(context.Background(), embeddedEngine(t, inference.Options{PrefillChunkTokens: 7}), strings.Repeat(story, 2), 32, func(int, int) {})
	if err != nil || again.MeanLoss != p.MeanLoss {
		t.Errorf("chunks of 7: got loss %v, %v; want %v", again.MeanLoss, err, p.MeanLoss)
	}
	backwards := []byte(story)
	for i := range len(backwards) / 2 {
		j := len(backwards) - 1 - i
		backwards[i], backwards[j] = backwards[j], backwards[i]
	}
	worse, err := bench.MeasurePerplexity(context.Background(), engine, string(backwards), 32, func(int, int) {})
	if err != nil || worse.Perplexity < 10*p.Perplexity {
		t.Errorf("backwards: got perplexity %g, %v; want far more than %g", worse.Perplexity, err, p.Perplexity)
	}
}

func TestPerplexityLimits(t *testing.T) {
	engine := embeddedEngine(t, inference.Options{})
	for window, want := range map[int]string{3: "4 to 512", 513: "4 to 512", 512: "less than one window"} {
		_, err := bench.MeasurePerplexity(context.Background(), engine, story, window, func(int, int) {})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("window %d: got %v, want an error with %q", window, err, want)
		}
	}
}

func TestLoss(t *testing.T) {
	logits := []float32{1, 3, -2, 0.5}
	sum := 0.0
	for _, x := range logits {
		sum += math.Exp(float64(x))
	}
	for i, x := range logits {
		if got, want := float64(bench.Loss(logits, tokenizer.Token(i))), math.Log(sum)-float64(x); math.Abs(got-want) > 1e-6 {
			t.Errorf("token %d of %v: got %v, want %v", i, logits, got, want)
		}
	}
}
