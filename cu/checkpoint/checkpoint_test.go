package checkpoint_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/checkpoint"
	"verbatim/wasmhost"
)

func memory(nonce int64) *wasmhost.Image {
	bytes := append(make([]byte, 2<<16), 1, 2, 3)
	bytes[70_000] = byte(nonce)
	return wasmhost.ImageOf(bytes)
}

func same(a, b *wasmhost.Image) bool {
	return a.Digest() == b.Digest() && bytes.Equal(a.Bytes(), b.Bytes())
}

// fill opens a store with checkpoints at these nonces, and gives what it logs.
func fill(t *testing.T, folder string, nonces ...int64) (*checkpoint.Store, *strings.Builder) {
	t.Helper()
	logged := new(strings.Builder)
	store, err := checkpoint.Open(folder, slog.New(slog.NewTextHandler(logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for _, nonce := range nonces {
		if err := store.Save(checkpoint.Checkpoint{Process: ao.ID{1}, Steps: nonce, Memory: memory(nonce)}); err != nil {
			t.Fatal(err)
		}
	}
	return store, logged
}

func TestLoad(t *testing.T) {
	store, logged := fill(t, t.TempDir(), 9, 10)
	for nonceMax, want := range map[int64]int64{9: 9, 10: 10, 1000: 10} {
		got, err := store.Load(ao.ID{1}, nonceMax)
		if err != nil || got.Steps != want || !same(got.Memory, memory(want)) {
			t.Errorf("up to %d: nonce %d, %d bytes, %v; want nonce %d", nonceMax, got.Steps, got.Memory.Size(), err, want)
		}
	}
	for _, process := range []ao.ID{{1}, {2}} {
		if _, err := store.Load(process, 8); !errors.Is(err, checkpoint.ErrNone) {
			t.Errorf("%s up to 8: %v", process, err)
		}
	}
	if logged.Len() != 0 {
		t.Errorf("logged %s", logged)
	}
}

func TestOldOnesAreRemoved(t *testing.T) {
	folder := t.TempDir()
	store, _ := fill(t, folder, 1, 2, 3, 10)
	files, _ := os.ReadDir(filepath.Join(folder, ao.ID{1}.String()))
	if len(files) != 2 {
		t.Errorf("%d files: %v", len(files), files)
	}
	if got, err := store.Load(ao.ID{1}, 9); err != nil || got.Steps != 3 {
		t.Errorf("up to 9: nonce %d, %v", got.Steps, err)
	}
}

// Whatever happens to the newest checkpoint, the one before it is found and the reason is logged.
func TestDamage(t *testing.T) {
	folder := t.TempDir()
	store, logged := fill(t, folder, 4, 5)
	path := filepath.Join(folder, ao.ID{1}.String(), "5.checkpoint")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(what string, damaged []byte) {
		if err := os.WriteFile(path, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		logged.Reset()
		got, err := store.Load(ao.ID{1}, 5)
		if err != nil || got.Steps != 4 || !same(got.Memory, memory(4)) {
			t.Fatalf("%s: nonce %d, %v", what, got.Steps, err)
		}
		if !strings.Contains(logged.String(), path) {
			t.Fatalf("%s: logged %q", what, logged)
		}
	}
	for n := range whole {
		try("truncated", whole[:n])
	}
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 1 << (i % 8)
		if i >= 80 {
			// Bits of the frame that do not change the memory are nobody's loss.
			os.WriteFile(path, flipped, 0o644)
			if got, err := store.Load(ao.ID{1}, 5); err == nil && got.Steps == 5 && same(got.Memory, memory(5)) {
				continue
			}
		}
		try("flipped", flipped)
	}
	try("longer", append(bytes.Clone(whole), whole[80:]...))
}

func TestCrashWhileWriting(t *testing.T) {
	folder := t.TempDir()
	store, _ := fill(t, folder, 4)
	unfinished := filepath.Join(folder, ao.ID{1}.String(), "5.checkpoint.part-7")
	if err := os.WriteFile(unfinished, []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Load(ao.ID{1}, 9); err != nil || got.Steps != 4 {
		t.Errorf("nonce %d, %v", got.Steps, err)
	}
	if err := os.Chtimes(unfinished, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	fill(t, folder, 5)
	if _, err := os.Stat(unfinished); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what the crash left behind is still there: %v", err)
	}
	if got, err := store.Load(ao.ID{1}, 9); err != nil || got.Steps != 5 {
		t.Errorf("after another try: nonce %d, %v", got.Steps, err)
	}
}
