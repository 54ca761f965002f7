package main

import (
	"context"
	"io"
)

// interruptible is a reader whose Read returns when the context ends, though the one below still waits: a terminal that
// nobody types at can't be woken. It is of no use afterwards.
type interruptible struct {
	ctx context.Context
	r   io.Reader
}

func (i interruptible) Read(p []byte) (int, error) {
	type outcome struct {
		n   int
		err error
	}
	// The abandoned Read must not write into p, which the caller has again.
	own := make([]byte, len(p))
	done := make(chan outcome, 1)
	go func() {
		n, err := i.r.Read(own)
		done <- outcome{n, err}
	}()
	select {
	case o := <-done:
		return copy(p, own[:o.n]), o.err
	case <-i.ctx.Done():
		return 0, i.ctx.Err()
	}
}
