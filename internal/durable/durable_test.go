package durable_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"verbatim/internal/durable"
)

// names lists a folder.
func names(t *testing.T, folder string) (found []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found
}

func TestWrite(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "file")
	for _, text := range []string{"first", "and then another"} {
		err := durable.Write(path, 0o640, func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("got %q (%v), want %q", got, err, text)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
			t.Errorf("mode %v (%v), want %v", info.Mode(), err, os.FileMode(0o640))
		}
	}
	if got := names(t, folder); len(got) != 1 {
		t.Errorf("the folder holds %q, want one file", got)
	}
}

// What goes wrong leaves the file of before, and nothing else.
func TestFailures(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "file")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := durable.Write(path, 0o600, func(w io.Writer) error {
		io.WriteString(w, "half")
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	f, err := durable.Create(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := f.Commit(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("commit of a closed file: %v, want %v", err, os.ErrClosed)
	}
	if f, err = durable.Create(filepath.Join(folder, "taken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(folder, "taken"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); err == nil {
		t.Error("a file replaced a folder")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Errorf("got %q (%v), want %q", got, err, "old")
	}
	if got := names(t, folder); len(got) != 2 {
		t.Errorf("the folder holds %q, want the file and the folder", got)
	}
	if _, err := durable.Create(filepath.Join(folder, "no", "file"), 0o600); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in a folder that is not there: %v, want %v", err, os.ErrNotExist)
	}
}
