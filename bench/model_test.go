package bench_test

import (
	"bytes"
	"testing"

	"verbatim/bench"
	"verbatim/models"
	"verbatim/models/embedded"
)

func write(t testing.TB, shape, mix string, seed uint64) []byte {
	t.Helper()
	s, err := bench.ShapeNamed(shape)
	if err != nil {
		t.Fatal(err)
	}
	m, err := bench.MixNamed(mix)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if err := bench.WriteModel(&file, s, m, seed); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestEveryMixOpens(t *testing.T) {
	for _, mix := range bench.Mixes() {
		file := write(t, "tiny", mix.Name, 1)
		m, err := models.FromBytes(file)
		if err != nil {
			t.Errorf("%s: %v", mix.Name, err)
			continue
		}
		if h := m.Hyperparameters; h.Layers != 2 || h.Dim != 256 || h.Vocab != 1024 || !h.Tied {
			t.Errorf("%s: got %+v, want the shape tiny", mix.Name, h)
		}
	}
}

func TestModelsFollowFromTheirSeed(t *testing.T) {
	a, b, c := write(t, "tiny", "Q4_K_M", 7), write(t, "tiny", "Q4_K_M", 7), write(t, "tiny", "Q4_K_M", 8)
	if !bytes.Equal(a, b) {
		t.Error("the same seed gave two files")
	}
	if bytes.Equal(a, c) {
		t.Error("seeds 7 and 8 gave the same file")
	}
}

// A requantised model is the same model in another format, and again in F32 it is what the format made of it.
func TestRequantisedModelsOpen(t *testing.T) {
	for _, mix := range bench.Mixes() {
		var file, again bytes.Buffer
		if err := bench.Requantise(&file, embedded.GGUF(), mix); err != nil {
			t.Fatalf("%s: %v", mix.Name, err)
		}
		m, err := models.FromBytes(file.Bytes())
		if err != nil {
			t.Errorf("%s: %v", mix.Name, err)
			continue
		}
		if want := openEmbedded(t); m.Tokenizer.Digest() != want.Tokenizer.Digest() || m.ChatTemplate != want.ChatTemplate || m.Hyperparameters.Dim != want.Hyperparameters.Dim {
			t.Errorf("%s: got other hyperparameters, vocabulary or template than in the file it was made of", mix.Name)
		}
		if err := bench.Requantise(&again, file.Bytes(), mix); err != nil || again.Len() != file.Len() {
			t.Errorf("%s: again: %d bytes, %v; want %d bytes", mix.Name, again.Len(), err, file.Len())
		}
	}
}

func openEmbedded(t *testing.T) *models.Model {
	t.Helper()
	m, err := models.FromBytes(embedded.GGUF())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestUnknownNamesAreRefused(t *testing.T) {
	if _, err := bench.ShapeNamed("llama-2b"); err == nil {
		t.Error("got no error for shape llama-2b")
	}
	if _, err := bench.MixNamed("Q9_9"); err == nil {
		t.Error("got no error for format Q9_9")
	}
}
