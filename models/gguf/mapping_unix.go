//go:build unix

package gguf

import (
	"fmt"
	"math"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Mapping is a model file mapped into memory. Data must not be used after
// Close. A file that another program shortens while it is mapped kills the
// daemon on access (SIGBUS): replace model files by renaming, never in place.
type Mapping struct {
	Data []byte
}

// Map maps the file at path, read-only.
func Map(path string) (*Mapping, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("gguf: open: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("gguf: stat: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("gguf: %s is not a regular file", path)
	}
	if info.Size() == 0 || info.Size() > math.MaxInt {
		return nil, fmt.Errorf("gguf: %s has a size of %d bytes, which cannot be mapped", path, info.Size())
	}
	data, err := unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("gguf: map %s (%d bytes): %w", path, info.Size(), err)
	}
	return &Mapping{Data: data}, nil
}

// Close unmaps the file.
func (m *Mapping) Close() error {
	data := m.Data
	m.Data = nil
	if data == nil {
		return nil
	}
	return unix.Munmap(data)
}

// Release lets the system take back the memory of the pages that lie wholly in part, a slice of Data; they are read again
// when they are needed.
func (m *Mapping) Release(part []byte) error {
	page := os.Getpagesize()
	begin := int(uintptr(unsafe.Pointer(unsafe.SliceData(part))) - uintptr(unsafe.Pointer(unsafe.SliceData(m.Data))))
	first, end := (begin+page-1)/page*page, begin+len(part)
	if end < len(m.Data) { // else with the page that the file fills in part
		end = end / page * page
	}
	if first >= end {
		return nil
	}
	if err := unix.Madvise(m.Data[first:end], unix.MADV_DONTNEED); err != nil {
		return fmt.Errorf("gguf: release: %w", err)
	}
	return nil
}
