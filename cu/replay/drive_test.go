package replay_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"

	"verbatim/cu/eval"
	"verbatim/cu/receipt"
	"verbatim/cu/replay"
)

// A replay finds on the drive what the receipt says, gets the rest again, and names the first name or content that differs.
func TestFeedReads(t *testing.T) {
	const text = "what lies under the name"
	var asked []string
	contents := func(_ context.Context, name string) (*eval.Content, error) {
		asked = append(asked, name)
		return &eval.Content{SectionReader: io.NewSectionReader(strings.NewReader(text), 0, int64(len(text))), SHA256: sha256.Sum256([]byte(text))}, nil
	}
	entry := &receipt.Entry{Receipt: &receipt.Receipt{Reads: []receipt.Read{
		{Name: "/block/1", Kind: receipt.ReadInline, Content: []byte("a block")},
		{Name: "/tx/t", Kind: receipt.ReadAbsent},
		{Name: "/data/right", Kind: receipt.ReadDigest, Digest: sha256.Sum256([]byte(text)), Bytes: uint64(len(text))},
		{Name: "/data/other", Kind: receipt.ReadDigest, Digest: sha256.Sum256([]byte("other")), Bytes: uint64(len(text))},
		{Name: "/data/longer", Kind: receipt.ReadDigest, Digest: sha256.Sum256([]byte(text)), Bytes: uint64(len(text)) + 1},
	}}}
	for _, test := range []struct {
		index      int
		name, want string
		diverges   bool
	}{
		{0, "/block/1", "a block", false}, {1, "/tx/t", "", false}, {2, "/data/right", text, false},
		{3, "/data/other", "", true}, {4, "/data/longer", "", true},
		{0, "/block/2", "", true}, {1, "/data/right", "", true}, {5, "/block/1", "", true},
	} {
		provider, err := replay.Feed(entry, contents)
		if err != nil {
			t.Fatal(err)
		}
		content, err := provider.Open(background, eval.Opening{Index: test.index, Name: test.name})
		var d *replay.Divergence
		if errors.As(err, &d) != test.diverges || d != nil && d.What != replay.WhatRead || !test.diverges && err != nil {
			t.Errorf("read %d of %s: %v, want a divergence: %v", test.index, test.name, err, test.diverges)
			continue
		}
		got := ""
		if content != nil {
			all, err := io.ReadAll(content)
			if err != nil {
				t.Fatal(err)
			}
			got = string(all)
		}
		if got != test.want {
			t.Errorf("read %d of %s: %q, want %q", test.index, test.name, got, test.want)
		}
	}
	if strings.Join(asked, " ") != "/data/right /data/other /data/longer" {
		t.Errorf("asked for %q", asked)
	}
	provider, err := replay.Feed(entry, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.Open(background, eval.Opening{Index: 2, Name: "/data/right"}); !errors.Is(err, replay.ErrNoContent) {
		t.Errorf("without contents: %v, want %v", err, replay.ErrNoContent)
	}
}
