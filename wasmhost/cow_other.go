//go:build !linux

package wasmhost

import "errors"

// cowMemory exists on Linux only; elsewhere memories are copied.
type cowMemory struct {
	e      *evaluation
	mapped []byte
}

func newCowMemory(uint64) (*cowMemory, error) {
	return nil, errors.New("copy-on-write memories need Linux")
}

// Free implements experimental.LinearMemory.
func (c *cowMemory) Free() {}

func (c *cowMemory) written(int) ([]int, error) { return nil, nil }
func (c *cowMemory) settle(int, []byte) error   { return nil }
func (c *cowMemory) forget([]int) error         { return nil }
