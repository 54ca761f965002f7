//go:build e2e

// Package matrix asks a real model fifty prompts at every CPU level, with several numbers of threads, chunks and answers at
// a time. Each prompt has one transcript digest, which commits to the hidden state behind every token.
package matrix

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"verbatim/inference"
	"verbatim/inference/transcript"
	"verbatim/kernels/cpu"
	"verbatim/models"
)

var (
	modelPath = flag.String("model", "../../models/cache/smollm2-135m-instruct-q4_1.gguf", "the model to ask")
	prompts   = flag.Int("prompts", 50, "prompts at the fast levels")
	plain     = flag.Int("plain", 6, "prompts at the generic level, which is slow")
)

type setting struct {
	level                    string
	threads, chunk, together int
}

func TestOneDigestPerPrompt(t *testing.T) {
	if _, err := os.Stat(*modelPath); err != nil {
		t.Skipf("%v: make models fetches it", err)
	}
	model, err := models.Open(*modelPath)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	var settings []setting
	levels := cpu.Levels()
	for i := len(levels) - 1; i >= 0; i-- {
		for _, threads := range []int{1, 2} {
			if levels[i] == "generic" && threads == 1 {
				continue // the same code, twice as slow
			}
			for _, together := range []int{1, 4, 16} {
				settings = append(settings, setting{levels[i], threads, 64 * together / 4, together})
			}
		}
	}
	var want []transcript.Digest
	for i, s := range settings {
		n := *prompts
		if s.level == "generic" {
			n = *plain
		}
		begin := time.Now()
		got := digests(t, model, s, n)
		if i == 0 {
			want = got
		}
		same := 0
		for j := range got {
			if got[j] == want[j] {
				same++
			} else {
				t.Errorf("%+v, prompt %d: digest %s, want %s", s, j, got[j], want[j])
			}
		}
		t.Logf("%-8s %d threads, chunks of %2d, %2d at a time: %d of %d prompts have the digest of the first setting (%.1f s)",
			s.level, s.threads, max(s.chunk, 1), s.together, same, n, time.Since(begin).Seconds())
	}
}

// digests answers n prompts, s.together at a time.
func digests(t *testing.T, model *models.Model, s setting, n int) []transcript.Digest {
	t.Helper()
	backend, err := cpu.New(cpu.Options{Threads: s.threads, Level: s.level})
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	engine, err := inference.NewEngine(model, backend, inference.Options{PrefillChunkTokens: max(s.chunk, 1)})
	if err != nil {
		t.Fatal(err)
	}
	out := make([]transcript.Digest, n)
	next := make(chan int)
	var workers sync.WaitGroup
	for range s.together {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for i := range next {
				c, err := engine.Generate(context.Background(), request(i), nil)
				if err == nil {
					out[i], err = c.Transcript.Digest()
				}
				if err != nil {
					t.Errorf("%+v, prompt %d: %v", s, i, err)
				}
			}
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
	return out
}

// request makes prompts of different lengths, greedy and sampled in turn.
func request(i int) inference.Request {
	topics := []string{"the sea", "a lost key", "why bread rises", "prime numbers", "a night train", "the colour of leaves", "an old clock"}
	r := inference.NewRequest(fmt.Sprintf("Write %d sentences about %s. Then say what %s has to do with %s.", i%5+1, topics[i%7], topics[(i+1)%7], topics[(i+3)%7]))
	for range i % 4 {
		r.Prompt += " " + r.Prompt
	}
	r.MaxTokens = 12
	if i%2 == 1 {
		r.Sampling.Temperature, r.Sampling.TopP, r.Sampling.Seed = 0.8, 0.95, uint64(i)
	}
	return r
}
