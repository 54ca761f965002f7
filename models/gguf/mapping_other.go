//go:build !unix

package gguf

import (
	"fmt"
	"os"
)

// Mapping is a model file read into memory.
type Mapping struct {
	Data []byte
}

// Map reads the file at path.
func Map(path string) (*Mapping, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("gguf: %w", err)
	}
	return &Mapping{Data: data}, nil
}

// Close forgets the data.
func (m *Mapping) Close() error {
	m.Data = nil
	return nil
}

// Release does nothing here.
func (m *Mapping) Release([]byte) error { return nil }
