package wasmhost

import (
	"encoding/binary"
	"fmt"
	"io"
)

// file is an open virtual file: a standard stream, the answer to an inference request, or what the drive gave.
type file struct {
	terminal bool
	input    bool // standard input: never has any
	content  *io.SectionReader
	position int64
	atEnd    bool // the position is there because of a seek to the end; see read
	idle     int  // reads in a row that found nothing more
}

// size is that of the content in bytes; streams have none.
func (f *file) size() int64 {
	if f.content == nil {
		return 0
	}
	return f.content.Size()
}

// files are the open files of one evaluation, by number.
type files struct{ open map[uint32]*file }

func newFiles() files {
	return files{map[uint32]*file{0: {terminal: true, input: true}, 1: {terminal: true}, 2: {terminal: true}}}
}

// add opens content as a file and returns the lowest free number, or 0 when too many are open.
func (f *files) add(content *io.SectionReader) uint32 {
	for n := uint32(3); n < 3+OpenFilesMax; n++ {
		if f.open[n] == nil {
			f.open[n] = &file{content: content}
			return n
		}
	}
	return 0
}

// read copies from the position. After a seek to the end it starts over: published code asks for the size by seeking
// to the end and reads in the same line, f:read(f:seek("end")).
func (f *file) read(to []byte) int {
	if f.atEnd {
		f.position, f.atEnd = 0, false
	}
	if f.position >= f.size() {
		f.idle++
		return 0
	}
	to = to[:min(int64(len(to)), f.size()-f.position)]
	if n, err := f.content.ReadAt(to, f.position); n < len(to) {
		panic(&failure{fmt.Errorf("read %d bytes of a file at %d: %w", len(to), f.position, err)})
	}
	f.position += int64(len(to))
	f.idle = 0
	return len(to)
}

// seek moves the position and reports an error number, 0 for none.
func (f *file) seek(offset int64, whence uint32) int32 {
	if f.terminal {
		return errNotSeek
	}
	stays := whence == 1 && offset == 0 // how a program asks where it is
	switch whence {
	case 0:
	case 1:
		offset += f.position
	case 2:
		offset += f.size()
	default:
		return errInvalid
	}
	if offset < 0 || offset > 1<<40 {
		return errInvalid
	}
	f.position = offset
	f.atEnd = f.position == f.size() && (whence == 2 || stays && f.atEnd)
	return 0
}

func fdClose(e *evaluation, stack []uint64) {
	fd := arg(stack, 0)
	if e.files.open[fd] == nil {
		answer(stack, errBadFile)
		return
	}
	delete(e.files.open, fd)
	answer(stack, 0)
}

// fdRead fills the buffers one after the other until the file has no more.
func fdRead(e *evaluation, stack []uint64) {
	f := e.files.open[arg(stack, 0)]
	if f == nil || (f.terminal && !f.input) {
		answer(stack, errBadFile)
		return
	}
	total := uint32(0)
	for i := range arg(stack, 2) {
		buf := e.vector(arg(stack, 1), i)
		n := f.read(buf)
		e.chargeBytes(uint64(n))
		total += uint32(n)
		if n < len(buf) {
			break
		}
	}
	e.putSize(arg(stack, 3), total)
	answer(stack, 0)
}

// fdWrite takes what is written to standard output and error, and drops it.
func fdWrite(e *evaluation, stack []uint64) {
	fdWriteEach(e, stack, func() {})
}

// fdWriteTicking does the same under emscripten, whose terminal notes the time of each write.
func fdWriteTicking(e *evaluation, stack []uint64) {
	fdWriteEach(e, stack, func() { e.clock.read() })
}

func fdWriteEach(e *evaluation, stack []uint64, written func()) {
	f := e.files.open[arg(stack, 0)]
	if f == nil || !f.terminal || f.input {
		answer(stack, errBadFile)
		return
	}
	total := uint32(0)
	for i := range arg(stack, 2) {
		e.charge(1)
		n := uint32(len(e.vector(arg(stack, 1), i)))
		total += n
		if n > 0 {
			written()
		}
	}
	e.putSize(arg(stack, 3), total)
	answer(stack, 0)
}

// fdSeekExact is fd_seek of emscripten, where offsets are JavaScript numbers. Without 64-bit addresses, the offset comes
// in two halves.
func fdSeekExact(e *evaluation, stack []uint64) {
	offset, rest := int64(stack[1]), stack[2:]
	if !e.m.wide {
		offset, rest = int64(uint64(arg(stack, 2))<<32|uint64(arg(stack, 1))), stack[3:]
	}
	const exact = 1 << 53
	if offset > exact || offset < -exact {
		answer(stack, errOverflow)
		return
	}
	fdSeek(e, stack, offset, arg(rest, 0), arg(rest, 1))
}

func fdSeek(e *evaluation, stack []uint64, offset int64, whence, result uint32) {
	f := e.files.open[arg(stack, 0)]
	if f == nil {
		answer(stack, errBadFile)
		return
	}
	errno := f.seek(offset, whence)
	if errno == 0 {
		e.putU64(result, uint64(f.position))
	}
	answer(stack, errno)
}

// Commands of fcntl and ioctl that the reference answers for open files.
const (
	fcntlGetFD, fcntlSetFD, fcntlGetFlags, fcntlSetFlags = 1, 2, 3, 4
	fcntlGetLock                                         = 12 // the next two set one
	fcntlGetLockWide                                     = 5
	fileUnlocked                                         = 2
	ioctlWindowSize                                      = 21523
	windowRows, windowColumns                            = 24, 80
)

func fcntl(e *evaluation, stack []uint64) {
	fd, command := arg(stack, 0), arg(stack, 1)
	f := e.files.open[fd]
	getLock := uint32(fcntlGetLock)
	if e.m.wide || e.m.time32 {
		getLock = fcntlGetLockWide
	}
	switch {
	case f == nil:
		answer(stack, -errBadFile)
	case command == fcntlGetFlags && f.terminal && !f.input:
		answer(stack, 1) // opened for writing
	case command == fcntlGetFD, command == fcntlSetFD, command == fcntlGetFlags, command == fcntlSetFlags,
		command == getLock+1, command == getLock+2:
		answer(stack, 0)
	case command == getLock: // nobody else holds one
		binary.LittleEndian.PutUint16(e.bytes(e.pointerAt(arg(stack, 2)), 2), fileUnlocked)
		answer(stack, 0)
	default:
		answer(stack, -errInvalid)
	}
}

// ioctl knows one question: how large the terminal is. Standard error answers without saying.
func ioctl(e *evaluation, stack []uint64) {
	fd, command := arg(stack, 0), arg(stack, 1)
	f := e.files.open[fd]
	switch {
	case f == nil:
		answer(stack, -errBadFile)
	case command != ioctlWindowSize:
		answer(stack, -errInvalid)
	case !f.terminal:
		answer(stack, -errNotTTY)
	default:
		if fd != 2 && !e.m.time32 {
			e.putU32(e.pointerAt(arg(stack, 2)), windowRows|windowColumns<<16)
		}
		answer(stack, 0)
	}
}
