package cuda

import (
	"errors"
	"fmt"

	"verbatim/kernels"
)

// CUresult codes that this package tells apart.
const (
	codeOutOfMemory = 2
)

// hints say what to do about a code.
var hints = map[int]string{}

// failing says whether operators are to do nothing until the next Read.
func (b *Backend) failing() bool { return b.err != nil || b.dead != nil }

// fail keeps the first error since the last Read, which returns it.
func (b *Backend) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// failed gives a driver's error as the backend's: after one that leaves the card in doubt nothing works any more.
func (b *Backend) failed(err error) error {
	var e *callError
	if errors.As(err, &e) && e.code == codeOutOfMemory {
		return fmt.Errorf("%w: %w", kernels.ErrMemory, err)
	}
	b.dead = err
	return err
}
