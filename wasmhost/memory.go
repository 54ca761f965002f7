package wasmhost

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/tetratelabs/wazero/experimental"
)

const (
	pageBytes    = 65536
	pagesHighest = 65536 // 4 GiB
)

// linearMemory backs one instance's memory with a slice that the caller gets when the instance is done, so that
// a snapshot costs no copy. It is never reused.
type linearMemory struct {
	e        *evaluation
	buf      []byte
	prefix   int // bytes of buf that already hold the image to restore
	bytesMax uint64
}

// Allocate implements experimental.MemoryAllocator.
func (l *linearMemory) Allocate(cap, max uint64) experimental.LinearMemory { return l }

// Reallocate implements experimental.LinearMemory: nil refuses, which the module sees as a memory.grow of -1.
func (l *linearMemory) Reallocate(size uint64) []byte {
	if size > l.bytesMax {
		l.e.growthRefused = true
		return nil
	}
	old := len(l.buf)
	switch {
	case size <= uint64(l.prefix):
	case size <= uint64(cap(l.buf)):
		l.buf = l.buf[:size]
		clear(l.buf[old:])
	default:
		grown := make([]byte, size)
		copy(grown, l.buf)
		l.buf = grown
	}
	return l.buf[:size]
}

// Free implements experimental.LinearMemory.
func (l *linearMemory) Free() {}

// restoreMemory is a memory that holds image before the instance exists; the slice is a copy.
func restoreMemory(e *evaluation, image []byte, bytesMax uint64) *linearMemory {
	return &linearMemory{e: e, buf: append([]byte(nil), image...), prefix: len(image), bytesMax: bytesMax}
}

// The image of a plain module is its linear memory and a trailer, all little endian:
//
//	n × 8  mutable globals, in index order (i32 and f32 in the low half)
//	8      clock, milliseconds
//	4      n
//	4      "vbt1"
//
// A Go or Rust runtime keeps its stack pointer and current goroutine in globals, which an emscripten module does not.
const (
	trailerMagic     = "vbt1"
	trailerFixedSize = 16
	globalsMax       = 8000 // so that a trailer is shorter than a page, which tells it from the memory
)

func appendTrailer(image []byte, globals []uint64, clock uint64) []byte {
	for _, g := range globals {
		image = binary.LittleEndian.AppendUint64(image, g)
	}
	image = binary.LittleEndian.AppendUint64(image, clock)
	image = binary.LittleEndian.AppendUint32(image, uint32(len(globals)))
	return append(image, trailerMagic...)
}

// splitTrailer is the inverse of appendTrailer for a module with n mutable globals.
func splitTrailer(image []byte, n int) (memory []byte, globals []uint64, clock uint64, err error) {
	size := trailerFixedSize + 8*n
	if len(image) < size || string(image[len(image)-4:]) != trailerMagic {
		return nil, nil, 0, fmt.Errorf("%w: no trailer", ErrBadMemory)
	}
	trailer := image[len(image)-size:]
	if got := binary.LittleEndian.Uint32(trailer[8*n+8:]); int(got) != n {
		return nil, nil, 0, fmt.Errorf("%w: trailer of %d globals, module has %d", ErrBadMemory, got, n)
	}
	for i := range n {
		globals = append(globals, binary.LittleEndian.Uint64(trailer[8*i:]))
	}
	return image[:len(image)-size], globals, binary.LittleEndian.Uint64(trailer[8*n:]), nil
}

// tailBytes is the length of the trailer.
func (m *Module) tailBytes() int {
	if m.emscripten {
		return 0
	}
	return trailerFixedSize + 8*len(m.globals)
}

// The accessors below are what host functions use: an address out of bounds is the module's trap.

func (e *evaluation) bytes(ptr, n uint32) []byte {
	b, ok := e.memory.Read(ptr, n)
	if !ok {
		panic(&Fault{Trap, fmt.Sprintf("host call with %d bytes at %d, beyond the memory", n, ptr)})
	}
	return b
}

func (e *evaluation) u32(ptr uint32) uint32       { return binary.LittleEndian.Uint32(e.bytes(ptr, 4)) }
func (e *evaluation) i32(ptr uint32) int32        { return int32(e.u32(ptr)) }
func (e *evaluation) putU32(ptr, v uint32)        { binary.LittleEndian.PutUint32(e.bytes(ptr, 4), v) }
func (e *evaluation) putU64(ptr uint32, v uint64) { binary.LittleEndian.PutUint64(e.bytes(ptr, 8), v) }

// pointerAt reads an address or size.
func (e *evaluation) pointerAt(ptr uint32) uint32 {
	if e.m.wide {
		return uint32(min(binary.LittleEndian.Uint64(e.bytes(ptr, 8)), addressBeyond))
	}
	return e.u32(ptr)
}

// putSize writes a size.
func (e *evaluation) putSize(ptr, v uint32) {
	if e.m.wide {
		e.putU64(ptr, uint64(v))
	} else {
		e.putU32(ptr, v)
	}
}

// vector reads entry i of a list of buffers for reading or writing.
func (e *evaluation) vector(list, i uint32) []byte {
	width := e.m.pointerBytes()
	at := list + 2*width*i
	return e.bytes(e.pointerAt(at), e.pointerAt(at+width))
}

// cString returns the bytes at ptr up to a zero, at most limit of them.
func (e *evaluation) cString(ptr uint32, limit int) ([]byte, bool) {
	rest, ok := e.memory.Read(ptr, e.memory.Size()-min(ptr, e.memory.Size()))
	if !ok {
		return nil, false
	}
	n := bytes.IndexByte(rest[:min(len(rest), limit+1)], 0)
	if n < 0 {
		return nil, false
	}
	return rest[:n], true
}
