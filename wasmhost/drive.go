package wasmhost

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
)

// Drive answers what a module opens under /data, /tx and /block: data, transactions and blocks of Arweave. Its answers are
// inputs of the call, as an inferencer's are.
type Drive interface {
	// Open gives the content behind a name: "/data/", "/tx/" or "/block/", and what follows up to the next slash. Within one
	// call of Handle each name is asked for at most once, and the content is read until the call returns. nil says that there
	// is no such file, or not for this module. An error ends the call without a result.
	Open(ctx context.Context, name string) (*io.SectionReader, error)
}

// inferPath is the reserved path of published modules: what follows it is the request.
const inferPath = "/infer/"

const (
	driveGas          = 10_000 // of a name that the drive is asked for
	driveNameBytesMax = 128    // longer names do not exist; those that do have at most 71 bytes
)

// drive is what one call knows of the drive. The reference keeps folders and files of emscripten's file system for it, and
// each that it makes stamps the time: the clock, which a module sees, moves on.
type drive struct {
	Drive
	folders map[string]bool
	opened  map[string]*io.SectionReader // what was asked for, nil where nothing is
}

func newDrive(d Drive) drive { return drive{d, map[string]bool{}, map[string]*io.SectionReader{}} }

// Looks at the clock by which the reference makes a file with content, and one that is filled as it is read.
const (
	filledFileTicks = 5 // made, mode set, truncated, written, mode set back
	dataFileTicks   = 1
)

// driveOpen opens a path for an emscripten module; 0 means that there is no such file.
func driveOpen(e *evaluation, stack []uint64) {
	path, ok := e.cString(arg(stack, 0), len(inferPath)+InferRequestBytesMax+1)
	path = bytes.Clone(path)
	answer(stack, e.sleep(func() int32 {
		if !ok {
			return 0
		}
		if request, reserved := bytes.CutPrefix(path, []byte(inferPath)); reserved && len(request) > 0 {
			return e.openInference(request)
		}
		return e.openDrive(string(path))
	}))
}

// openDrive opens a path of the drive, if there is one.
func (e *evaluation) openDrive(path string) int32 {
	parts := strings.SplitN(path, "/", 4)
	if e.drive.Drive == nil || len(parts) < 3 || parts[0] != "" || parts[2] == "" {
		return 0
	}
	folder, name := parts[1], "/"+parts[1]+"/"+parts[2]
	ticks := 0
	switch folder {
	case "data": // the loader has made this folder
		ticks = dataFileTicks
	case "tx", "block":
		ticks = filledFileTicks
		if !e.drive.folders[folder] {
			e.drive.folders[folder] = true
			e.clock.read()
		}
	default:
		return 0
	}
	content, known := e.drive.opened[name]
	if !known {
		content = e.askDrive(name)
		e.drive.opened[name] = content
		for ; content != nil && ticks > 0; ticks-- {
			e.clock.read()
		}
	}
	if content == nil {
		return 0
	}
	return int32(e.files.add(content))
}

func (e *evaluation) askDrive(name string) *io.SectionReader {
	e.charge(driveGas)
	if len(name) > driveNameBytesMax {
		return nil
	}
	content, err := e.drive.Open(e.ctx, name)
	if err != nil {
		panic(&failure{fmt.Errorf("open %s: %w", name, err)})
	}
	return content
}

// section is data as the content of a file.
func section(data []byte) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data)))
}

// idleReadsMax is how often a module may read at the end of a virtual file in a row.
const idleReadsMax = 16

func driveRead(e *evaluation, stack []uint64) {
	fd, ptr, n := arg(stack, 0), arg(stack, 1), arg(stack, 2)
	answer(stack, e.sleep(func() int32 {
		f := e.files.open[fd]
		if f == nil || f.terminal {
			return 0
		}
		read := f.read(e.bytes(ptr, n))
		if f.idle > idleReadsMax {
			// The C library of older modules takes no end of file from a host: f:read("a") would never return.
			panic(&Fault{Trap, "reads after the end of a file; read with f:read(f:seek(\"end\"))"})
		}
		e.chargeBytes(uint64(read))
		return int32(read)
	}))
}

func driveClose(e *evaluation, stack []uint64) {
	fd := arg(stack, 0)
	answer(stack, e.sleep(func() int32 {
		delete(e.files.open, fd)
		return 0
	}))
}
