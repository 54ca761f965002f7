package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestInterruptible: all bytes arrive; a context that ends wakes a Read that waits.
func TestInterruptible(t *testing.T) {
	text := strings.Repeat("a story ", 1000)
	got, err := io.ReadAll(interruptible{context.Background(), iotest.HalfReader(strings.NewReader(text))})
	if err != nil || string(got) != text {
		t.Errorf("got %d bytes and error %v, want %d bytes", len(got), err, len(text))
	}

	ctx, cancel := context.WithCancel(context.Background())
	silent, writer := io.Pipe()
	defer writer.Close()
	cancel()
	if n, err := (interruptible{ctx, silent}).Read(make([]byte, 8)); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("a Read of what says nothing: got %d and %v, want 0 and %v", n, err, context.Canceled)
	}
}
