package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"verbatim/cu/eval"
	"verbatim/cu/receipt"
)

// Contents finds again what a name of the drive stands for that determines its content: "/data/ID". What it gives must be
// verified against that name. An error that wraps ErrNoContent says that the caller does not have it.
type Contents func(ctx context.Context, name string) (*eval.Content, error)

// ErrNoContent says that a process read something that is not here.
var ErrNoContent = errors.New("what the process read is not here")

// Open implements eval.Provider: what the drive held is what the receipt says.
func (f *feed) Open(ctx context.Context, o eval.Opening) (*eval.Content, error) {
	if o.Index >= len(f.receipt.Reads) {
		return nil, f.read(o.Index, "nothing", o.Name)
	}
	recorded := f.receipt.Reads[o.Index]
	if recorded.Name != o.Name {
		return nil, f.read(o.Index, recorded.Name, o.Name)
	}
	switch recorded.Kind {
	case receipt.ReadInline:
		return &eval.Content{SectionReader: io.NewSectionReader(bytes.NewReader(recorded.Content), 0, int64(len(recorded.Content)))}, nil
	case receipt.ReadDigest:
		return f.again(ctx, o.Index, recorded)
	}
	return nil, nil
}

// again gets what was read, and compares it before the process sees it.
func (f *feed) again(ctx context.Context, index int, recorded receipt.Read) (*eval.Content, error) {
	if f.contents == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoContent, recorded.Name)
	}
	content, err := f.contents(ctx, recorded.Name)
	if err != nil {
		return nil, err
	}
	words := func(digest receipt.Digest, size uint64) string {
		return fmt.Sprintf("%s of %d bytes, SHA-256 %s", recorded.Name, size, digest)
	}
	want, got := words(recorded.Digest, recorded.Bytes), words(content.SHA256, uint64(content.Size()))
	if want == got {
		return content, nil
	}
	err = f.read(index, want, got)
	if content.Close != nil {
		err = errors.Join(err, content.Close())
	}
	return nil, err
}

// read gives the divergence of a read.
func (f *feed) read(index int, recorded, got string) error {
	return diverged(f.receipt, WhatRead, fmt.Sprintf("read %d: %s", index, recorded), got)
}

// compareReads compares what the process found on the drive.
func compareReads(r *receipt.Receipt, got []eval.Read) error {
	if len(got) != len(r.Reads) {
		return diverged(r, WhatRead, fmt.Sprintf("%d reads", len(r.Reads)), fmt.Sprintf("%d reads", len(got)))
	}
	for i, made := range got {
		recorded, made := r.Reads[i], ReadOf(made)
		if recorded.Name != made.Name || recorded.Kind != made.Kind || recorded.Digest != made.Digest || recorded.Bytes != made.Bytes ||
			!bytes.Equal(recorded.Content, made.Content) {
			return diverged(r, WhatRead, fmt.Sprintf("read %d: %s", i, readWords(recorded)), readWords(made))
		}
	}
	return nil
}

// ReadOf gives a read as receipts state it.
func ReadOf(read eval.Read) receipt.Read {
	return receipt.Read{Name: read.Name, Kind: uint8(read.Kind), Digest: read.SHA256, Bytes: uint64(read.Bytes), Content: read.Inline}
}

func readWords(read receipt.Read) string {
	switch read.Kind {
	case receipt.ReadDigest:
		return fmt.Sprintf("%s: %d bytes, SHA-256 %s", read.Name, read.Bytes, read.Digest)
	case receipt.ReadInline:
		return fmt.Sprintf("%s: %d bytes, in the receipt", read.Name, len(read.Content))
	}
	return read.Name + ": nothing"
}
