package wasmhost

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// WriteTo writes the bytes that Bytes gives.
func (i *Image) WriteTo(w io.Writer) (int64, error) {
	if i == nil {
		return 0, nil
	}
	out := counter{to: bufio.NewWriterSize(w, 1<<16)}
	zeros := new([leafBytes]byte)
	next := 0
	upTo := func(page int) {
		for ; next < page; next++ {
			out.write(zeros[:])
		}
	}
	i.root.each(treeLevels, 0, func(page int, p *[leafBytes]byte) {
		upTo(page)
		out.write(p[:])
		next++
	})
	upTo(i.size / leafBytes)
	out.write(i.tail)
	return out.written, errors.Join(out.err, out.to.Flush())
}

// counter counts what was written, and writes nothing after an error.
type counter struct {
	to      *bufio.Writer
	written int64
	err     error
}

func (c *counter) write(b []byte) {
	if c.err == nil {
		var n int
		n, c.err = c.to.Write(b)
		c.written += int64(n)
	}
}

// SHA256 is the digest of the bytes that Bytes gives. It costs all of them: Digest does not.
func (i *Image) SHA256() (sum [sha256.Size]byte) {
	hash := sha256.New()
	_, _ = i.WriteTo(hash) // a hash takes everything
	return [sha256.Size]byte(hash.Sum(nil))
}

// A saved image, integers little-endian:
//
//	8  bytes of linear memory
//	4  t, bytes of tail
//	t  tail
//	   then each page that is not all zeros, in order: 4 its number, 4096 bytes
//	4  ff ff ff ff
//
// No image is nothing at all: zero bytes.
const (
	savedHeaderBytes = 12
	savedEnd         = 1<<32 - 1
)

// ErrSaved says that what was read is not an image as Save writes it.
var ErrSaved = errors.New("not a saved image")

// Save writes an image in less room than its bytes take: ReadImage reads it.
func (i *Image) Save(w io.Writer) error {
	if i == nil {
		return nil
	}
	out := counter{to: bufio.NewWriterSize(w, 1<<16)}
	head := binary.LittleEndian.AppendUint64(nil, uint64(i.size))
	out.write(append(binary.LittleEndian.AppendUint32(head, uint32(len(i.tail))), i.tail...))
	var number [4]byte
	i.root.each(treeLevels, 0, func(page int, p *[leafBytes]byte) {
		binary.LittleEndian.PutUint32(number[:], uint32(page))
		out.write(number[:])
		out.write(p[:])
	})
	out.write(binary.LittleEndian.AppendUint32(nil, savedEnd))
	return errors.Join(out.err, out.to.Flush())
}

// ReadImage reads an image that Save wrote, to the end of r. It takes no other form than Save's.
func ReadImage(r io.Reader) (*Image, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	if _, err := in.Peek(1); err == io.EOF {
		return nil, nil
	}
	head := make([]byte, savedHeaderBytes)
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrSaved, err)
	}
	size, tail := binary.LittleEndian.Uint64(head), binary.LittleEndian.Uint32(head[8:])
	if size%pageBytes != 0 || size > pagesHighest*pageBytes || tail >= pageBytes || size+uint64(tail) == 0 {
		return nil, fmt.Errorf("%w: %d bytes of linear memory and a tail of %d", ErrSaved, size, tail)
	}
	e := edit(nil)
	image := e.image(int(size), make([]byte, tail))
	if _, err := io.ReadFull(in, image.tail); err != nil {
		return nil, fmt.Errorf("%w: tail: %w", ErrSaved, err)
	}
	for last := -1; ; {
		var number [4]byte
		if _, err := io.ReadFull(in, number[:]); err != nil {
			return nil, fmt.Errorf("%w: after page %d: %w", ErrSaved, last, err)
		}
		n := binary.LittleEndian.Uint32(number[:])
		if n == savedEnd {
			break
		}
		page := int(n)
		if page <= last || page >= image.size/leafBytes {
			return nil, fmt.Errorf("%w: page %d after page %d of %d", ErrSaved, page, last, image.size/leafBytes)
		}
		content := new([leafBytes]byte)
		if _, err := io.ReadFull(in, content[:]); err != nil {
			return nil, fmt.Errorf("%w: page %d: %w", ErrSaved, page, err)
		}
		if isZero(content[:]) {
			return nil, fmt.Errorf("%w: page %d is all zeros", ErrSaved, page)
		}
		e.set(page, content)
		last = page
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return nil, fmt.Errorf("%w: something follows it (%v)", ErrSaved, err)
	}
	return image, nil
}
