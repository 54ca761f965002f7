// Command loadertests evaluates modules for shim.mjs, which stands in for @permaweb/ao-loader in other people's tests.
//
// Requests come on standard input and answers go to standard output, one answer for each request and in their order. Both
// are lists of blobs: a count, then for each blob its length and its bytes, the numbers 32-bit little-endian. A blob that
// is absent has the length 0xffffffff. It reads no file, opens no connection and ends with its input.
//
//	"module", format, wasm                        ->  error (or absent)
//	"handle", gas limit or "", memory, message, env ->  error (or absent), gas used, response, memory
//
// "handle" is about the module of the latest "module".
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"verbatim/wasmhost"
)

const (
	absent        = 1<<32 - 1
	blobsMax      = 8
	instanceBytes = 1 << 28
	imagesKept    = 64 // a memory that a test comes back to later than that is copied
)

func main() {
	if err := serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "loadertests:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	host, err := wasmhost.New(ctx, wasmhost.Options{CacheDir: os.Getenv("COMPILED"), InstanceBytesMax: instanceBytes})
	if err != nil {
		return err
	}
	defer host.Close(ctx)
	e := evaluator{host: host}
	in, out := bufio.NewReaderSize(stdin, 1<<20), bufio.NewWriterSize(stdout, 1<<20)
	for {
		request, err := read(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := e.answer(ctx, request)
		if err != nil {
			return err
		}
		if err := write(out, answer); err != nil {
			return err
		}
	}
}

func read(in io.Reader) ([][]byte, error) {
	var count uint32
	if err := binary.Read(in, binary.LittleEndian, &count); err != nil {
		return nil, err
	}
	if count > blobsMax {
		return nil, fmt.Errorf("a request of %d blobs; the limit is %d", count, blobsMax)
	}
	blobs := make([][]byte, count)
	for i := range blobs {
		var length uint32
		if err := binary.Read(in, binary.LittleEndian, &length); err != nil {
			return nil, fmt.Errorf("length of blob %d: %w", i, err)
		}
		if length == absent {
			continue
		}
		blobs[i] = make([]byte, length)
		if _, err := io.ReadFull(in, blobs[i]); err != nil {
			return nil, fmt.Errorf("blob %d of %d bytes: %w", i, length, err)
		}
	}
	return blobs, nil
}

func write(out *bufio.Writer, blobs [][]byte) error {
	number := func(n int) { _, _ = out.Write(binary.LittleEndian.AppendUint32(nil, uint32(n))) } // Flush gives its error
	number(len(blobs))
	for _, b := range blobs {
		if b == nil {
			number(absent)
			continue
		}
		number(len(b))
		_, _ = out.Write(b)
	}
	return out.Flush()
}

// evaluator answers requests as a compute unit would evaluate: on images, in instances that stay.
type evaluator struct {
	host   *wasmhost.Host
	module *wasmhost.Module
	images map[[sha256.Size]byte]*wasmhost.Image // of the memories it gave out
	order  [][sha256.Size]byte
}

func (e *evaluator) answer(ctx context.Context, r [][]byte) ([][]byte, error) {
	switch {
	case len(r) == 3 && string(r[0]) == "module":
		return [][]byte{e.load(ctx, string(r[1]), r[2])}, nil
	case len(r) == 5 && string(r[0]) == "handle" && e.module != nil:
		return e.handle(ctx, string(r[1]), r[2], r[3], r[4])
	}
	return nil, fmt.Errorf("a request of %d blobs, %.20q", len(r), r)
}

// load gives the text of an error.
func (e *evaluator) load(ctx context.Context, format string, wasm []byte) []byte {
	if e.module != nil {
		if err := e.module.Close(ctx); err != nil {
			return []byte(err.Error())
		}
	}
	e.images, e.order = map[[sha256.Size]byte]*wasmhost.Image{}, nil
	var err error
	if e.module, err = e.host.Compile(ctx, wasm, wasmhost.Format(format)); err != nil {
		return []byte(err.Error())
	}
	return nil
}

func (e *evaluator) handle(ctx context.Context, gas string, memory, message, env []byte) ([][]byte, error) {
	call := wasmhost.Call{Message: message, Env: env}
	if gas != "" {
		var err error
		if call.GasMax, err = strconv.ParseUint(gas, 10, 64); err != nil {
			return nil, fmt.Errorf("gas limit: %w", err)
		}
	}
	image, err := e.imageOf(memory)
	if err != nil {
		return nil, err
	}
	r, err := e.module.HandleImage(ctx, image, call)
	used := strconv.AppendUint(nil, r.Reported, 10)
	var fault *wasmhost.Fault
	if errors.As(err, &fault) {
		return [][]byte{[]byte(fault.Error()), used, nil, nil}, nil
	}
	if err != nil {
		return nil, err
	}
	after := r.Image.Bytes()
	e.keep(sha256.Sum256(after), r.Image)
	return [][]byte{nil, used, r.Response, after}, nil
}

func (e *evaluator) imageOf(memory []byte) (*wasmhost.Image, error) {
	if memory == nil {
		return nil, nil
	}
	if image := e.images[sha256.Sum256(memory)]; image != nil {
		return image, nil
	}
	return wasmhost.ImageOf(memory), nil
}

func (e *evaluator) keep(digest [sha256.Size]byte, image *wasmhost.Image) {
	if e.images[digest] == nil {
		e.order = append(e.order, digest)
	}
	e.images[digest] = image
	if len(e.order) > imagesKept {
		delete(e.images, e.order[0])
		e.order = e.order[1:]
	}
}
