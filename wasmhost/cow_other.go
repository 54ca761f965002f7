//go:build !linux

package wasmhost

import (
	"errors"
	"os"
)

// cowMemory exists on Linux only; elsewhere memories are copied.
type cowMemory struct {
	e      *evaluation
	mapped []byte
}

func openPagemap() (*os.File, error) { return nil, nil }

func newCowMemory(uint64, *os.File) (*cowMemory, error) {
	return nil, errors.New("copy-on-write memories need Linux")
}

// Free implements experimental.LinearMemory.
func (c *cowMemory) Free() {}

func (c *cowMemory) written(int) ([]int, error) { return nil, nil }
func (c *cowMemory) forget([]int) error         { return nil }
func (c *cowMemory) page(int) []byte            { return nil }
func (c *cowMemory) reach(int)                  {}
func (c *cowMemory) aged(int, bool) bool        { return false }
func (c *cowMemory) put(int, []byte) error      { return nil }
func (c *cowMemory) settle([]int) error         { return nil }
func (c *cowMemory) bytes() int64               { return 0 }
