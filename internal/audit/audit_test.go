package audit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"verbatim/inference/transcript"
	"verbatim/internal/engines"
	"verbatim/models/embedded"
)

// Whoever named a model that is damaged, or misspelt its path, reads about that file and not only about the embedded one.
func TestEveryModelTriedIsNamed(t *testing.T) {
	damaged := embedded.GGUF()
	damaged = append([]byte{}, damaged...)
	damaged[len(damaged)-1] ^= 1
	path := filepath.Join(t.TempDir(), "damaged.gguf")
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	library := engines.New(engines.Device{Name: "cpu"}, "", nil)
	defer library.Close()
	wanted := transcript.Digest{1}
	_, err := (&finder{library, []string{path, "no-such-file"}}).find(t.Context(), "", wanted)
	if err == nil {
		t.Fatal("a model with another digest was taken")
	}
	for _, name := range []string{path + " is model", "no-such-file", "embedded is model", wanted.String()} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("got %q, want %q in it", err, name)
		}
	}
}
