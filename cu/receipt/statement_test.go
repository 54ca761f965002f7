package receipt_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"verbatim/cu/receipt"
)

func statement(t testing.TB) []byte {
	t.Helper()
	s := receipt.Statement{Device: "cpu avx2", Build: "test", Transcript: []byte("a transcript")}
	s.Sign(key())
	encoded, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

func TestStatement(t *testing.T) {
	encoded := statement(t)
	back, err := receipt.DecodeStatement(encoded)
	if err != nil || back.Verify() != nil || string(back.Transcript) != "a transcript" || back.Device != "cpu avx2" {
		t.Fatalf("%+v, %v", back, err)
	}
	if again, err := back.Encode(); err != nil || !bytes.Equal(again, encoded) {
		t.Errorf("came back as %x, %v", again, err)
	}
	for n := range encoded {
		if _, err := receipt.DecodeStatement(encoded[:n]); err == nil {
			t.Errorf("the first %d of %d bytes decode", n, len(encoded))
		}
	}
	for bit := range 8 * len(encoded) {
		flipped := bytes.Clone(encoded)
		flipped[bit/8] ^= 1 << (bit % 8)
		if back, err := receipt.DecodeStatement(flipped); err == nil && !errors.Is(back.Verify(), receipt.ErrSignature) {
			t.Errorf("bit %d of byte %d flipped: not noticed", bit%8, bit/8)
		}
	}
	long := receipt.Statement{Device: strings.Repeat("x", receipt.TextBytesMax+1)}
	if _, err := long.Encode(); err == nil {
		t.Error("a device beyond the limit is accepted")
	}
}

// FuzzStatement looks for bytes that decode and yet are not the one encoding of what they give.
func FuzzStatement(f *testing.F) {
	f.Add(statement(f))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		if s, err := receipt.DecodeStatement(encoded); err == nil {
			if again, err := s.Encode(); err != nil || !bytes.Equal(again, encoded) {
				t.Errorf("%x came back as %x, %v", encoded, again, err)
			}
		}
	})
}
