package checkpoint_test

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"verbatim/cu/ao"
	"verbatim/cu/checkpoint"
	"verbatim/wasmhost"
)

func published(memory []byte) checkpoint.Published {
	return checkpoint.Published{
		ID: ao.ID{1}, Owner: "o", Process: ao.ID{2}, Module: ao.ID{3}, Nonce: 7, Epoch: 1, Assignment: ao.ID{4}, HashChain: ao.HashChain{5},
		Timestamp: 8, BlockHeight: 9, Cron: "0-1-block", Gzip: true, SHA256: sha256.Sum256(memory),
	}
}

func TestPublishedRoundTrip(t *testing.T) {
	memory := bytes.Repeat([]byte("memory"), 1000)
	want := published(memory)
	tags := want.Tags("unit")
	got, err := checkpoint.ParsePublished(want.ID, want.Owner, tags)
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	data, err := checkpoint.Pack(wasmhost.ImageOf(memory))
	if err != nil {
		t.Fatal(err)
	}
	if back, err := got.Unpack(data); err != nil || !bytes.Equal(back.Bytes(), memory) {
		t.Errorf("%d bytes, %v", back.Size(), err)
	}
	for bit := range 8 * len(data) {
		flipped := bytes.Clone(data)
		flipped[bit/8] ^= 1 << (bit % 8)
		// The header of gzip has bits that nobody reads.
		if back, err := got.Unpack(flipped); err == nil && !bytes.Equal(back.Bytes(), memory) {
			t.Errorf("bit %d flipped: not noticed", bit)
		}
	}
	for n := range data {
		if _, err := got.Unpack(data[:n]); err == nil {
			t.Errorf("%d of %d bytes unpack", n, len(data))
		}
	}
	for _, name := range []string{"Type", "Data-Protocol", "Process", "Module", "Nonce", "Timestamp", "Block-Height", "SHA-256", "Assignment", "Hash-Chain"} {
		if got, err := checkpoint.ParsePublished(want.ID, "o", tags.Without(name)); err == nil {
			t.Errorf("without %s: %+v", name, got)
		}
	}
	if _, err := checkpoint.ParsePublished(want.ID, "o", append(tags.Without("Content-Encoding"), ao.Tag{Name: "Content-Encoding", Value: "br"})); err == nil {
		t.Error("an unknown encoding is accepted")
	}
}

// FuzzUnpack looks for data that unpack to another memory than the tags say.
func FuzzUnpack(f *testing.F) {
	memory := []byte("memory")
	data, err := checkpoint.Pack(wasmhost.ImageOf(memory))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if back, err := published(memory).Unpack(data); err == nil && !bytes.Equal(back.Bytes(), memory) {
			t.Errorf("%q unpacks to %q", data, back.Bytes())
		}
	})
}
