package transcript

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
)

const traceTag = "verbatim-trace/1\n"

// Trace chains the hidden states that tokens were sampled from: h = SHA256(tag), then h = SHA256(h || state) for each
// sampled token in order. Two inferences with the same digest agree on every bit that the output matrix was given, which
// says far more than the same tokens do.
type Trace struct {
	digest Digest
	buffer []byte
}

// NewTrace is the chain of no states.
func NewTrace() *Trace { return &Trace{digest: sha256.Sum256([]byte(traceTag))} }

// Add appends one hidden state: the floats after the last normalisation, before the output matrix, little-endian.
func (t *Trace) Add(state []float32) {
	t.buffer = append(t.buffer[:0], t.digest[:]...)
	for _, f := range state {
		t.buffer = binary.LittleEndian.AppendUint32(t.buffer, math.Float32bits(f))
	}
	t.digest = sha256.Sum256(t.buffer)
}

// Digest is the chain so far.
func (t *Trace) Digest() Digest { return t.digest }
