package cpu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// mapBytes returns zeros outside of the heap, nil if the system has none.
func mapBytes(n int) []byte {
	n = (n + largePage - 1) / largePage * largePage
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil
	}
	// It is an optimisation: a system without large pages refuses it.
	_ = unix.Madvise(b, unix.MADV_HUGEPAGE)
	return b
}

func unmapBytes(b []byte) error { return unix.Munmap(b) }

const canMapFiles = true

// mapFile maps a file that nobody else can write to. It is private: the pages are the page cache's own.
func mapFile(folder, path string) ([]byte, error) {
	if err := checkFolder(folder); err != nil {
		return nil, err
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, err
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.New("it is no regular file")
	}
	if err := checkOwner("the file", &stat); err != nil {
		return nil, err
	}
	if stat.Size <= 0 || stat.Size != int64(int(stat.Size)) {
		return nil, fmt.Errorf("the file has %d bytes", stat.Size)
	}
	return mapPart(uintptr(fd), 0, int(stat.Size))
}

// mapPart maps n bytes of a file from first on, which the system wants to be at a page's beginning.
func mapPart(fd uintptr, first, n int) ([]byte, error) {
	data, err := unix.Mmap(int(fd), int64(first), n, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	// Optimisations, which a system may refuse.
	_ = unix.Madvise(data, unix.MADV_HUGEPAGE)
	_ = unix.Madvise(data, unix.MADV_WILLNEED)
	return data, nil
}

// releaseFile gives the memory of pages of a mapped file back, if the system likes; they are read again when they are needed.
func releaseFile(part []byte) { _ = unix.Madvise(part, unix.MADV_DONTNEED) }

// checkFolder refuses a folder in which others can replace files.
func checkFolder(folder string) error {
	var stat unix.Stat_t
	if err := unix.Stat(folder, &stat); err != nil {
		return &fs.PathError{Op: "stat", Path: folder, Err: err}
	}
	return checkOwner("the folder "+folder, &stat)
}

func checkOwner(what string, stat *unix.Stat_t) error {
	if stat.Mode&0o022 != 0 {
		return fmt.Errorf("others may write to %s (mode %04o)", what, stat.Mode&0o7777)
	}
	if uid := uint32(os.Geteuid()); stat.Uid != uid && stat.Uid != 0 {
		return fmt.Errorf("%s belongs to user %d, not to user %d", what, stat.Uid, uid)
	}
	return nil
}
