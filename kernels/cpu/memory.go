package cpu

import (
	"errors"
	"fmt"
	"unsafe"
)

// memory hands out zeros that begin at a cache line and lie outside of the heap where the system allows it: weights would
// let the collector wait for as much garbage again, and large pages make them faster to read.
type memory struct {
	maps [][]byte
}

// largePage is what the system may back memory with at once.
const largePage = 2 << 20

// mapMin is the size from which memory is mapped.
const mapMin = 1 << 20

func (m *memory) get(n int) []byte {
	if n >= mapMin {
		if b := mapBytes(n); b != nil {
			m.maps = append(m.maps, b)
			return b[:n:n]
		}
	}
	return alignedBytes(n)
}

// free returns what was mapped to the system.
func (m *memory) free() error {
	var errs []error
	for _, b := range m.maps {
		if err := unmapBytes(b); err != nil {
			errs = append(errs, fmt.Errorf("free %d bytes of weights: %w", len(b), err))
		}
	}
	m.maps = nil
	return errors.Join(errs...)
}

// alignedBytes are from the heap.
func alignedBytes(n int) []byte {
	const line = 64
	b := make([]byte, n+line)
	skip := -uintptr(unsafe.Pointer(&b[0])) % line
	return b[skip:][:n:n]
}
