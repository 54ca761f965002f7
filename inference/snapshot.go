package inference

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"verbatim/inference/transcript"
	"verbatim/kernels"
	"verbatim/models/tokenizer"
)

// A snapshot is a session as bytes, the same from every backend; integers and floats little-endian:
//
//	verbatim-session/1\n
//	arithmetic   u32 length, bytes       kernels.Version
//	model        32 bytes                digest of the file
//	tokens       u32 count, u32 each     evaluated, in order
//	state        u32 count, f32 each     after the last of them; none after Truncate
//	keys, values f16 each                (layers, 2, tokens, kvHeads, headDim), keys before values
//	digest       32 bytes                SHA-256 of all before
//
// The digest finds damage, not malice: a snapshot is to be trusted like the session itself. Whoever changes one changes
// what the session remembers, which Recompute of a transcript then finds.

const snapshotTag = "verbatim-session/1\n"

// ErrSnapshot is returned for bytes that are no snapshot of a session of this engine's model.
var ErrSnapshot = errors.New("inference: not a snapshot of this model's session")

// Snapshot is the session as bytes. Restore of it goes on with the same bits, on any backend.
func (s *Session) Snapshot() ([]byte, error) {
	e := s.engine
	kept := make([]uint16, s.position*e.shape.PositionElements())
	e.acquire()
	err := e.backend.ReadKV(kept, s.kv, 0, s.position)
	e.release()
	if err != nil {
		return nil, fmt.Errorf("inference: read %d positions for a snapshot: %w", s.position, err)
	}
	state := s.State()
	b := make([]byte, 0, snapshotBytes(len(snapshotTag)+len(kernels.Version), s.position, len(state), len(kept)))
	b = append(b, snapshotTag...)
	b = append(binary.LittleEndian.AppendUint32(b, uint32(len(kernels.Version))), kernels.Version...)
	b = append(b, e.model.Digest[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(s.position))
	for _, token := range s.tokens[:s.position] {
		b = binary.LittleEndian.AppendUint32(b, uint32(token))
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(state)))
	for _, f := range state {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	for _, h := range kept {
		b = binary.LittleEndian.AppendUint16(b, h)
	}
	digest := sha256.Sum256(b)
	return append(b, digest[:]...), nil
}

// snapshotBytes is the length of a snapshot whose tag and name of the arithmetic have textBytes.
func snapshotBytes(textBytes, tokens, state, kept int) int {
	return textBytes + 3*4 + 2*sha256.Size + 4*tokens + 4*state + 2*kept
}

// Restore begins a session where a snapshot was taken. The error is ErrSnapshot if the bytes are damaged, or of another
// model or arithmetic.
func (e *Engine) Restore(snapshot []byte) (*Session, error) {
	tokens, state, kept, err := e.readSnapshot(snapshot)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	s, err := e.NewSession()
	if err != nil {
		return nil, err
	}
	e.acquire()
	if err = e.backend.Reserve(s.kv, 0, len(tokens)); err == nil {
		e.backend.WriteKV(s.kv, kept, 0, len(tokens))
	}
	e.release()
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("inference: restore %d positions: %w", len(tokens), err)
	}
	s.tokens, s.position, s.states = tokens, len(tokens), state
	s.shares = false // what it holds need not be what this engine would compute
	if len(state) > 0 {
		if err := s.projectStates(state); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// readSnapshot checks everything before it gives anything.
func (e *Engine) readSnapshot(b []byte) (tokens []tokenizer.Token, state []float32, kept []uint16, err error) {
	head := binary.LittleEndian.AppendUint32([]byte(snapshotTag), uint32(len(kernels.Version)))
	head = append(head, kernels.Version...)
	head = append(head, e.model.Digest[:]...)
	fixed := snapshotBytes(len(snapshotTag)+len(kernels.Version), 0, 0, 0)
	if len(b) < fixed || !bytes.HasPrefix(b, head) {
		return nil, nil, nil, fmt.Errorf("%d bytes that do not begin with %q, arithmetic %q and model %v", len(b), snapshotTag, kernels.Version, transcript.Digest(e.model.Digest))
	}
	body, stated := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if digest := sha256.Sum256(body); !bytes.Equal(digest[:], stated) {
		return nil, nil, nil, errors.New("the digest at the end is not that of the bytes before it")
	}
	left := body[len(head):]
	next := func() uint32 {
		n := binary.LittleEndian.Uint32(left)
		left = left[4:]
		return n
	}
	count, dim := int(next()), e.model.Hyperparameters.Dim
	if count > e.ContextTokensMax() || len(left) < 4*count+4 {
		return nil, nil, nil, fmt.Errorf("%d tokens in %d bytes, and a window of %d", count, len(left), e.ContextTokensMax())
	}
	tokens = make([]tokenizer.Token, count)
	for i := range tokens {
		tokens[i] = tokenizer.Token(next())
	}
	if i, ok := e.contains(tokens); !ok {
		return nil, nil, nil, fmt.Errorf("token %d is outside the vocabulary", tokens[i])
	}
	floats := int(next())
	if floats != 0 && floats != dim || len(left) != 4*floats+2*count*e.shape.PositionElements() {
		return nil, nil, nil, fmt.Errorf("%d bytes for a state of %d elements and %d positions", len(left), floats, count)
	}
	state = make([]float32, floats)
	for i := range state {
		state[i] = math.Float32frombits(next())
	}
	kept = make([]uint16, count*e.shape.PositionElements())
	for i := range kept {
		kept[i] = binary.LittleEndian.Uint16(left[2*i:])
	}
	return tokens, state, kept, nil
}
