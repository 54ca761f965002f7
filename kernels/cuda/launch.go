package cuda

import (
	"fmt"
	"unsafe"
)

// kernel is an entry point of a loaded module.
type kernel struct {
	name        string
	module      *module
	function    uint64 // the driver's handle; 0: not loaded
	argBytes    int    // of its one parameter, as the PTX says
	sharedBytes int    // dynamic shared memory that it may have; 48 KiB until raised
}

// commands is what was recorded since the last flush, in order. Arguments lie in one block, so that recording allocates
// nothing once the block has its size.
type commands struct {
	all  []command
	args []uint64
}

type commandKind uint8

const (
	launchKernel commandKind = iota
	copyIn                   // from staging
	copyWithin
	fillZero
)

// command is one launch or copy.
type command struct {
	kind   commandKind
	kernel *kernel
	grid   [3]uint32
	block  uint32
	shared uint32
	args   int // index in commands.args of the arguments

	to, from uint64 // of copies; from is an offset for copyIn
	bytes    int
}

// launch records a launch of k with one struct of arguments. A is the kernel's Args: fixed-size fields only, its size a
// multiple of 8.
func launch[A any](b *Backend, k *kernel, grid [3]int, threads, sharedBytes int, args A) {
	size := int(unsafe.Sizeof(args))
	if k.module == nil {
		panic(fmt.Sprintf("cuda: internal error: kernel %s: none for %s", k.name, b.info.Level))
	}
	if size != k.argBytes || size%8 != 0 {
		panic(fmt.Sprintf("cuda: internal error: kernel %s takes %d bytes of arguments, not %d", k.name, k.argBytes, size))
	}
	if grid[0] <= 0 || grid[1] <= 0 || grid[2] <= 0 || grid[0] > 1<<31-1 || grid[1] > 65535 || grid[2] > 65535 || threads <= 0 || threads > 1024 {
		panic(fmt.Sprintf("cuda: internal error: launch of %s with grid %v of %d threads", k.name, grid, threads))
	}
	if b.failing() {
		return
	}
	l := &b.list
	at := len(l.args)
	for range size / 8 {
		l.args = append(l.args, 0)
	}
	*(*A)(unsafe.Pointer(&l.args[at])) = args
	l.all = append(l.all, command{
		kind: launchKernel, kernel: k, grid: [3]uint32{uint32(grid[0]), uint32(grid[1]), uint32(grid[2])},
		block: uint32(threads), shared: uint32(sharedBytes), args: at, bytes: size,
	})
}

// grid1 is a grid of n thread blocks in one dimension.
func grid1(n int) [3]int { return [3]int{n, 1, 1} }

// ceilDiv rounds up.
func ceilDiv(a, b int) int { return (a + b - 1) / b }
