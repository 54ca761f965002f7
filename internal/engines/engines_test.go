package engines_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"verbatim/internal/engines"
	"verbatim/models/tokenizer"
)

// TestPackedWeights: a second library on a folder starts from the packed weights that the first kept, and computes the same.
func TestPackedWeights(t *testing.T) {
	model, err := filepath.Abs(filepath.Join("..", "..", "models", "cache", "smollm2-135m-instruct-q4_1.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(model); err != nil || runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skipf("the model is absent (make models fetches it), or the system packs nothing: %v", err)
	}
	folder := t.TempDir()
	logits := func(folder string) []float32 {
		t.Helper()
		library := engines.New(engines.Device{Name: "cpu"}, folder, nil)
		library.Warn = func(err error) { t.Errorf("got a warning: %v", err) }
		engine, err := library.Engine(context.Background(), model)
		if err != nil {
			t.Fatal(err)
		}
		defer library.Close()
		session, err := engine.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		if err := session.Prefill(context.Background(), []tokenizer.Token{1, 500, 40000, 7}); err != nil {
			t.Fatal(err)
		}
		return slices.Clone(session.Logits())
	}
	files := func() []string {
		files, err := filepath.Glob(filepath.Join(folder, "packed", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	want := logits("")
	if got := files(); len(got) != 0 {
		t.Errorf("without a folder: got files %v, want none", got)
	}
	for _, start := range []string{"first", "second"} {
		if got := logits(folder); !slices.Equal(got, want) {
			t.Errorf("%s start: got other logits than without packed weights", start)
		}
		if got := files(); len(got) != 1 {
			t.Errorf("%s start: got files %v, want one", start, got)
		}
	}
}

// A library tells of the models that are open, in order.
func TestLoads(t *testing.T) {
	library := engines.New(engines.Device{Name: "cpu", Threads: 1}, "", nil)
	defer library.Close()
	if got := library.Loads(); len(got) != 0 {
		t.Errorf("nothing is open: got %+v", got)
	}
	engine, err := library.Engine(context.Background(), "embedded")
	if err != nil {
		t.Fatal(err)
	}
	session, err := engine.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.Prefill(context.Background(), []tokenizer.Token{1, 5, 7}); err != nil {
		t.Fatal(err)
	}
	if _, err := library.Engine(context.Background(), "no such file"); err == nil {
		t.Error("a model that is not there was opened")
	}
	got := library.Loads()
	if len(got) != 1 || got[0].Model != "embedded" || got[0].Backend.Name != "cpu" || got[0].Sessions != 1 || got[0].Rows != 3 {
		t.Errorf("got %+v, want one model, embedded, on a cpu with one session and 3 rows", got)
	}
}
