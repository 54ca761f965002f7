package bench_test

import (
	"bytes"
	"testing"

	"verbatim/bench"
	"verbatim/models"
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

func TestUnknownNamesAreRefused(t *testing.T) {
	if _, err := bench.ShapeNamed("llama-2b"); err == nil {
		t.Error("got no error for shape llama-2b")
	}
	if _, err := bench.MixNamed("Q9_9"); err == nil {
		t.Error("got no error for format Q9_9")
	}
}
