package cpu

import "golang.org/x/sys/unix"

// largePage is what the system may back memory with at once.
const largePage = 2 << 20

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
