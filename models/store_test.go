package models_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"verbatim/models"
)

const someID = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func TestStoreNames(t *testing.T) {
	for name, want := range map[string]bool{
		someID:                        true,
		someID[:42]:                   false,
		someID + "A":                  false,
		someID[:42] + "B":             false, // bits beyond the 32 bytes
		strings.Repeat("+", 43):       false,
		"./" + someID:                 false,
		"qhkNzqSXzNFFNtW0eIuw8b0o-_A": false,
	} {
		if got := models.IsTransactionID(name); got != want {
			t.Errorf("%q is a transaction id: got %v, want %v", name, got, want)
		}
	}
	data := newSmall().encode(t)
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	store := &models.Store{Embedded: func() []byte { return data }}
	for _, name := range []string{"embedded", path} {
		m, err := store.Open(context.Background(), name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	for name, want := range map[string]string{
		"":                "the name is empty",
		"./none.gguf":     "none.gguf",
		someID:            "there is no network",
		"no/such/" + path: "no such file",
	} {
		if _, err := store.Open(context.Background(), name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", name, err, want)
		}
	}
	if _, err := (&models.Store{}).Open(context.Background(), "embedded"); err == nil || !strings.Contains(err.Error(), "carries no model") {
		t.Errorf("without an embedded model: got %v", err)
	}
}

func TestStoreDownloadsOnce(t *testing.T) {
	data := newSmall().encode(t)
	fetches := 0
	store := &models.Store{
		Folder: filepath.Join(t.TempDir(), "models"),
		Fetch: func(_ context.Context, id string, w io.Writer) error {
			fetches++
			_, err := w.Write(data)
			return err
		},
	}
	open := func() {
		t.Helper()
		m, err := store.Open(context.Background(), someID)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	open()
	open()
	if fetches != 1 {
		t.Errorf("got %d downloads, want 1", fetches)
	}
	// A bit of the kept copy flips: a weight changes, the file stays a model.
	path := filepath.Join(store.Folder, someID+".gguf")
	damaged := append([]byte(nil), data...)
	damaged[len(damaged)-1] ^= 1
	if err := os.WriteFile(path, damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	open()
	if fetches != 2 {
		t.Errorf("after damage: got %d downloads, want 2", fetches)
	}
	// A crash left a model without its digest.
	if err := os.Remove(filepath.Join(store.Folder, someID+".sha256")); err != nil {
		t.Fatal(err)
	}
	open()
	if fetches != 3 {
		t.Errorf("without a digest: got %d downloads, want 3", fetches)
	}
}

func TestStoreFailedDownloadLeavesNothing(t *testing.T) {
	broken := errors.New("connection lost")
	store := &models.Store{
		Folder: t.TempDir(),
		Fetch: func(_ context.Context, id string, w io.Writer) error {
			if _, err := w.Write([]byte("GGUF half")); err != nil {
				return err
			}
			return broken
		},
	}
	// What a crash in an earlier download left.
	if err := os.WriteFile(filepath.Join(store.Folder, someID+".gguf.part-1"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(context.Background(), someID); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	left, err := os.ReadDir(store.Folder)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestMeanwhile: the opener hears of a sound GGUF file before its digest is known, with a sketch that tells files apart.
func TestMeanwhile(t *testing.T) {
	data := newSmall().encode(t)
	path := filepath.Join(t.TempDir(), "m.gguf")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	var sketches []models.Sketch
	store := &models.Store{Meanwhile: func(sketch models.Sketch, known <-chan struct{}) {
		<-known
		sketches = append(sketches, sketch)
	}}
	m, err := store.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if len(sketches) != 1 || sketches[0] != m.Sketch || m.FileBytes != len(data) {
		t.Errorf("got sketches %x, the model's is %x and its file has %d bytes; want one, the model's, and %d bytes", sketches, m.Sketch, m.FileBytes, len(data))
	}
	other := slices.Clone(data)
	other[len(other)-1] ^= 1 // of a weight
	n, err := models.FromBytes(other)
	if err != nil {
		t.Fatal(err)
	}
	if n.Sketch == m.Sketch {
		t.Error("got one sketch for two files")
	}
	if err := os.WriteFile(path, data[:len(data)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(context.Background(), path); err == nil || len(sketches) != 1 {
		t.Errorf("a file without its end: got error %v and %d calls, want an error and no call", err, len(sketches)-1)
	}
}
