package bench

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"verbatim/inference"
	"verbatim/internal/engines"
	"verbatim/kernels/cuda"
	"verbatim/kernels/cuda/cudatest"
	"verbatim/models"
	"verbatim/models/tokenizer"
)

// TestMeasureCard: the whole of a benchmark on an emulated card, whose digests are those of the CPU.
func TestMeasureCard(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "")
	shape, err := ShapeNamed("tiny")
	if err != nil {
		t.Fatal(err)
	}
	mix, err := MixNamed("Q8_0")
	if err != nil {
		t.Fatal(err)
	}
	var steps []string
	plan := CardPlan{Shapes: []Shape{shape}, Mixes: []Mix{mix}, Batches: []int{1, 3}, Contexts: []int{5}, Tokens: 2, Folder: t.TempDir(),
		Step: func(what string) { steps = append(steps, what) }}
	plan.Limits.Bytes, plan.Limits.Rounds = 1<<20, 8
	r, err := MeasureCard(context.Background(), engines.Device{Name: "cuda", Cards: cuda.Cards{Library: d.Path}}, plan)
	if err != nil {
		t.Fatalf("%v; %s; after %q", err, d.Message(), steps)
	}
	if len(r.Models) != 1 || len(r.Models[0].Rows) != 3 || len(r.Models[0].Kernels) == 0 || !(r.Limits.CopyBytes > 0) {
		t.Fatalf("got %+v; want a model with three rows and its kernels, and limits", r)
	}
	seen := map[string]bool{}
	for _, row := range r.Models[0].Rows {
		if !(row.TokensPerSecond > 0 && row.Share > 0) || seen[row.Digest] {
			t.Errorf("got row %+v; want figures above 0 and a digest of its own", row)
		}
		seen[row.Digest] = true
	}
	if got, want := r.Models[0].Rows[0].Digest, prefillDigest(t, shape, mix, 5); got != want {
		t.Errorf("the prompt's logits: digest %s, on the CPU %s", got, want)
	}
	var table bytes.Buffer
	if err := r.WriteTable(&table); err != nil || !strings.Contains(table.String(), "decode, 3 at once, at 5") {
		t.Errorf("got error %v, table\n%s", err, table.String())
	}
	if _, err := MeasureCard(context.Background(), engines.Device{Name: "cpu"}, plan); err == nil {
		t.Error("a CPU measured as a card: got no error")
	}
}

// prefillDigest is what MeasureCard's prefill has as its digest, computed by the CPU.
func prefillDigest(t *testing.T, shape Shape, mix Mix, tokens int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.gguf")
	if err := makeModel(path, shape, mix); err != nil {
		t.Fatal(err)
	}
	device := engines.Device{Name: "cpu", Threads: 1}
	loaded, err := device.Open(context.Background(), models.Store{}, path)
	if err != nil {
		t.Fatal(err)
	}
	defer loaded.Close()
	s, err := loaded.Engine.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	prompt := make([]tokenizer.Token, tokens)
	for i := range prompt {
		prompt[i] = token(1, i)
	}
	if err := s.Prefill(context.Background(), prompt); err != nil {
		t.Fatal(err)
	}
	return digestOf([]*inference.Session{s})
}
