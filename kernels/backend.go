// Package kernels defines the operators of a transformer's forward pass and the Backend that runs them.
//
// SPEC.md is the arithmetic; every method of Backend is one section of it, and every backend returns the same bits.
// A backend owns its memory: weights, activations and the KV cache live where the backend computes, and only tokens,
// cosines and sines go in and logits come out. This package holds no arithmetic and does no I/O.
package kernels

import (
	"errors"

	"verbatim/kernels/quant"
)

// Version names the arithmetic of SPEC.md. It stands in every transcript.
const Version = "verbatim/1"

// ErrMemory is what errors wrap that say that a backend's memory is spent.
var ErrMemory = errors.New("the device's memory is spent")

// Constants of SPEC.md that shape reductions. They are part of Version.
const (
	SegmentElements = 128 // section 4: elements that share an activation scale
	SplitPositions  = 128 // section 8: positions of one attention split
)

// Matrix is a weight matrix (rows outputs, cols inputs) in the memory of the backend that made it.
type Matrix interface {
	Rows() int
	Cols() int
	Type() quant.Type
}

// Buffer holds float32 activations in the memory of the backend that made it.
type Buffer interface {
	Len() int
}

// KV is one session's keys and values for all layers, in the memory of the backend that made it. Its memory grows with
// the highest position stored.
type KV interface {
	PositionsMax() int
}

// KVShape says what a KV holds.
type KVShape struct {
	Layers, KVHeads, HeadDim, PositionsMax int

	Window int // how many positions a query sees, its own included; 0: all
}

// FirstSeen is the first position that a query at a position sees.
func (s KVShape) FirstSeen(position int) int {
	if s.Window == 0 {
		return 0
	}
	return max(0, position-s.Window+1)
}

// PositionElements is the number of f16 that a position has, keys and values of all layers.
func (s KVShape) PositionElements() int { return 2 * s.Layers * s.KVHeads * s.HeadDim }

// Span places consecutive rows of a batch in one session: row Row+i stands at position Position+i of KV.
// A batch's spans are disjoint, in order of Row, and each KV appears in at most one of them.
type Span struct {
	KV        KV
	Row, Rows int
	Position  int
}

// Info describes a backend to people; it never influences a result.
type Info struct {
	Name   string // "ref", "cpu", "cuda"
	Level  string // "generic", "avx2", "avx512", "neon", "sm_90"
	Device string // processor or card
}

// Backend runs the operators. Buffers and matrices must come from the same Backend. Shapes are the caller's duty: a
// wrong one is a bug and panics. Operators may run asynchronously; a device failure is reported by Read.
//
// Activations of a batch lie row by row: element (row, i) of a buffer with n elements a row is row*n+i. A method that
// takes rows uses the first rows rows. A Backend is used by one goroutine at a time.
type Backend interface {
	Info() Info

	// NewMatrix takes weights as they stand in a GGUF file (rows of quant.RowBytes each). data may be an mmap; the
	// backend may keep it, so the caller leaves it in place and unchanged for the life of the matrix.
	NewMatrix(t quant.Type, rows, cols int, data []byte) (Matrix, error)
	NewBuffer(elements int) (Buffer, error)
	NewKV(shape KVShape) (KV, error)

	// Write copies src to the start of dst.
	Write(dst Buffer, src []float32)
	// Read copies len(dst) elements of src, from element first, after all earlier operators have finished.
	Read(dst []float32, src Buffer, first int) error

	// Embed: tokens -> (len(tokens), table.Cols()). Section 9.
	Embed(dst Buffer, table Matrix, tokens []int32)
	// RMSNorm: (rows, n) -> (rows, n), weight an F32 matrix of one row and n columns. dst may be src. Section 6.
	RMSNorm(dst, src Buffer, weight Matrix, eps float32, rows int)
	// MatMul: (rows, cols) · (w.Rows(), cols)ᵀ -> (rows, w.Rows()) for each weight and its dst. All weights share cols,
	// so the activation codes are made once per type family. Sections 4 and 5.
	MatMul(dst []Buffer, weights []Matrix, src Buffer, rows int)
	// AddRow adds row, an F32 matrix of one row and n columns, to each row of dst, (rows, n). Section 9.
	AddRow(dst Buffer, row Matrix, rows int)
	// RoPE rotates the heads of x, (rows, heads, headDim), in place. cosSin is (rows, rotated/2, 2): the cosine and sine of
	// each row's position and pair. Section 7.
	RoPE(x, cosSin Buffer, heads, headDim, rotated, rows int)
	// Reserve makes sure that positions first..first+positions-1 of kv can be stored without want of memory; what it held at later
	// positions is lost, and their memory may serve others. The error wraps ErrMemory. Whoever does not reserve learns of it from Read.
	Reserve(kv KV, first, positions int) error
	// StoreKV keeps k and v, (rows, kvHeads, headDim), at the spans' positions of layer. Section 8.
	StoreKV(layer int, k, v Buffer, spans []Span)
	// Attention: q (rows, heads, headDim) -> (rows, heads, headDim) over the kept positions of layer. Section 8.
	Attention(dst, q Buffer, layer, heads int, spans []Span)
	// CopyKV gives positions dstFirst..dstFirst+positions-1 of dst what src holds from srcFirst on, all layers. dst and src
	// have the same layers and heads and are different. What dst held at later positions is lost. A backend may keep one copy
	// for both until either stores there again; it does where both firsts are multiples of SplitPositions.
	CopyKV(dst, src KV, dstFirst, srcFirst, positions int)
	// ReadKV copies positions first.. of src, all layers, as f16 bits: (layers, 2, positions, kvHeads, headDim), keys before
	// values. The same on every backend. WriteKV is its inverse; what dst held at later positions is lost.
	ReadKV(dst []uint16, src KV, first, positions int) error
	WriteKV(dst KV, src []uint16, first, positions int)
	// SwiGLU: gate, up (elements) -> dst (elements). dst may be gate. Section 9.
	SwiGLU(dst, gate, up Buffer, elements int)
	// Add adds the first elements elements of src to dst. Section 9.
	Add(dst, src Buffer, elements int)

	// Close frees everything the backend made.
	Close() error
}

// Metered is a Backend whose memory is not that of the program. Memory tells how many bytes it has taken and how many it may take.
type Metered interface {
	Memory() (used, budget int64)
}

// Placer is a Backend that spreads a model over several devices. Place says to which of the model's layers the matrices belong that
// are made next; layer -1: to none.
type Placer interface {
	Place(layer, layers int)
}
