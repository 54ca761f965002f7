package wasmhost_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"testing"

	"verbatim/wasmhost"
)

// memories are bytes of memories: of several sizes, with and without a tail, sparse and full.
func memories() [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	out := [][]byte{nil, make([]byte, 1<<16), append(make([]byte, 1<<16), "tail"...), []byte("only a tail")}
	for pages := 1; pages < 40; pages *= 3 {
		memory := make([]byte, pages<<16)
		for range 5 * pages {
			memory[rng.IntN(len(memory))] = byte(rng.Uint32())
		}
		out = append(out, memory, append(memory[:len(memory):len(memory)], 1, 2, 3))
	}
	return out
}

func save(t testing.TB, image *wasmhost.Image) []byte {
	t.Helper()
	var saved bytes.Buffer
	if err := image.Save(&saved); err != nil {
		t.Fatal(err)
	}
	return saved.Bytes()
}

func TestSaveAndRead(t *testing.T) {
	for i, memory := range memories() {
		image := wasmhost.ImageOf(memory)
		back, err := wasmhost.ReadImage(bytes.NewReader(save(t, image)))
		if err != nil || back.Digest() != image.Digest() || !bytes.Equal(back.Bytes(), memory) {
			t.Errorf("memory %d of %d bytes: %d bytes came back, %v", i, len(memory), back.Size(), err)
		}
		var written bytes.Buffer
		n, err := image.WriteTo(&written)
		if err != nil || n != int64(len(memory)) || !bytes.Equal(written.Bytes(), memory) || image.SHA256() != sha256.Sum256(memory) {
			t.Errorf("memory %d of %d bytes: wrote %d bytes, %v, SHA-256 %x", i, len(memory), n, err, image.SHA256())
		}
	}
}

// failing is a writer that takes so many bytes.
type failing int

func (f *failing) Write(b []byte) (int, error) {
	if *f < failing(len(b)) {
		return int(*f), errors.New("full")
	}
	*f -= failing(len(b))
	return len(b), nil
}

func TestWritersThatFail(t *testing.T) {
	image := wasmhost.ImageOf(bytes.Repeat([]byte("memory!!"), 1<<15))
	for room := 0; room < image.Size(); room += 1 << 15 {
		one, other := failing(room), failing(room)
		if n, err := image.WriteTo(&one); err == nil || n > int64(image.Size()) {
			t.Errorf("room for %d bytes: %d written, %v", room, n, err)
		}
		if err := image.Save(&other); err == nil {
			t.Errorf("room for %d bytes: saved", room)
		}
	}
}

// What is not the one form of an image is refused: every truncation, more bytes, and what Save would not write.
func TestReadImageRefuses(t *testing.T) {
	memory := append(make([]byte, 2<<16), 1, 2, 3)
	memory[0], memory[70_000] = 1, 2
	saved := save(t, wasmhost.ImageOf(memory))
	for n := 1; n < len(saved); n++ {
		if _, err := wasmhost.ReadImage(bytes.NewReader(saved[:n])); !errors.Is(err, wasmhost.ErrSaved) {
			t.Fatalf("%d of %d bytes: %v", n, len(saved), err)
		}
	}
	const first, second = 15, 15 + 4 + 4096
	for name, change := range map[string]func(b []byte) []byte{
		"longer":              func(b []byte) []byte { return append(b, 0) },
		"page twice":          func(b []byte) []byte { copy(b[second:], b[first:first+4]); return b },
		"page beyond the end": func(b []byte) []byte { b[second] = 32; return b },
		"zeros":               func(b []byte) []byte { clear(b[first+4 : second]); return b },
		"half a page":         func(b []byte) []byte { b[0] = 1; return b },
		"larger than any":     func(b []byte) []byte { b[4] = 2; return b },
		"tail of a page":      func(b []byte) []byte { b[10] = 1; return b },
		"nothing":             func([]byte) []byte { return append(make([]byte, 12), 0xff, 0xff, 0xff, 0xff) },
	} {
		if image, err := wasmhost.ReadImage(bytes.NewReader(change(bytes.Clone(saved)))); !errors.Is(err, wasmhost.ErrSaved) {
			t.Errorf("%s: %d bytes, %v", name, image.Size(), err)
		}
	}
	// A bit flipped anywhere is refused, or gives another image.
	want := wasmhost.ImageOf(memory).Digest()
	for i := range saved {
		flipped := bytes.Clone(saved)
		flipped[i] ^= 1 << (i % 8)
		if image, err := wasmhost.ReadImage(bytes.NewReader(flipped)); err == nil && image.Digest() == want {
			t.Fatalf("byte %d flipped: not noticed", i)
		}
	}
}

func FuzzReadImage(f *testing.F) {
	for _, memory := range memories()[:6] {
		f.Add(save(f, wasmhost.ImageOf(memory)))
	}
	f.Fuzz(func(t *testing.T, saved []byte) {
		image, err := wasmhost.ReadImage(bytes.NewReader(saved))
		if err != nil {
			return
		}
		if again := save(t, image); !bytes.Equal(again, saved) {
			t.Errorf("%d bytes came back as %d", len(saved), len(again))
		}
	})
}
