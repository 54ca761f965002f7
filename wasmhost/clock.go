package wasmhost

import (
	"crypto/sha256"
	"encoding/binary"
)

// clockStart is the time a process sees first, in milliseconds since 1970: that of the reference loader.
const clockStart = 10_000

// clock is a counter of milliseconds: every look at it moves it on by one.
type clock struct{ now uint64 }

// read returns the time and moves on.
func (c *clock) read() uint64 {
	c.now++
	return c.now - 1
}

// randomStream gives the bytes that a module gets when it asks for random ones: block i is
// SHA-256("verbatim random\n" || SHA-256(message) || i as 8 bytes little endian). Everyone can compute them.
type randomStream struct {
	message [32]byte
	next    uint64
	rest    []byte
}

func newRandomStream(message []byte) *randomStream {
	return &randomStream{message: sha256.Sum256(message)}
}

// fill writes the next len(out) bytes of the stream.
func (s *randomStream) fill(out []byte) {
	for len(out) > 0 {
		if len(s.rest) == 0 {
			block := append([]byte("verbatim random\n"), s.message[:]...)
			sum := sha256.Sum256(binary.LittleEndian.AppendUint64(block, s.next))
			s.next++
			s.rest = sum[:]
		}
		n := copy(out, s.rest)
		out, s.rest = out[n:], s.rest[n:]
	}
}
