package cpu

import (
	"verbatim/kernels/canon"
	"verbatim/kernels/quant"
	"verbatim/kernels/ref"
)

// blockFunc adds to y, (rows, ...) with a stride in bytes, the products of a part of a tile of block-quantised weights
// with one group of activations. SPEC.md section 5; pack.go and codes.go tell the layouts.
type blockFunc func(y *float32, yStride uint64, w, d *byte, x *int8, sums *int32, dx *float32, blocks, segmentBlocks uint64)

// floatFunc is the same for weights without blocks.
type floatFunc func(y *float32, yStride uint64, w *byte, x *float32, cols, segmentCols uint64)

// superFunc is the same for superblocks, which are two whole segments each.
type superFunc func(y *float32, yStride uint64, w, d *byte, x *int8, sums *int32, dx *float32, superblocks uint64)

// tileFuncs are the functions of one weight format, for 1, 2, ... activation rows; matrixRows are the rows of a tile
// that each handles at once.
type tileFuncs[F any] struct {
	funcs      []F
	matrixRows []int
}

// headFuncs are the functions of attention for 1, 2, ... query heads, lanes positions or elements at once.
type headFuncs struct {
	lanes  int
	scores [queriesMax]scoresFunc
	values [queriesMax]valuesFunc
}

// farFuncs are the same for 64 positions or elements. They ask for as much memory from far on as they read.
type farFuncs struct {
	scores [queriesMax]func(scores *float32, scoresStride uint64, k *byte, kStride uint64, q *float32, headDim uint64, far *byte)
	values [queriesMax]func(o *float32, oStride uint64, v *byte, vStride uint64, e *float32, eStride uint64, n uint64, far *byte)
}

const farLanes = 64

type (
	scoresFunc func(scores *float32, scoresStride uint64, k *byte, kStride uint64, q *float32, headDim uint64)
	valuesFunc func(o *float32, oStride uint64, v *byte, vStride uint64, e *float32, eStride uint64, n uint64)
)

// level is a way to compute: an instruction set, or plain Go where the functions are nil.
type level struct {
	name string

	group       int  // activation rows that one function handles at most
	unsigned    bool // bytes with a sign are packed as w + 128
	blocks      map[quant.Type]tileFuncs[blockFunc]
	superblocks map[quant.Type]tileFuncs[superFunc]
	floats      map[quant.Type]tileFuncs[floatFunc]
	heads       []headFuncs                                         // widest first
	far         *farFuncs                                           // nil: none
	softmaxes   [queriesMax]func(e *float32, n uint64, ml *float32) // of 1, 2, ... rows of scores, n a multiple of 32; nil: none

	vectors
	meters meters
}

// vectors are the functions of the operators that work on single vectors. Their n is a positive multiple of 8 or, where
// said, 32; the methods of level do the rest.
type vectors struct {
	largest    func(x *float32, n uint64) uint32 // 32
	encode     func(codes *int8, stride uint64, sums *int32, x *float32, r float32, blocks uint64)
	sumSquares func(p, x *float32, n uint64) // 32
	normalise  func(dst, x, w *float32, r float32, n uint64)
	swiglu     func(dst, gate, up *float32, n uint64)
	add        func(dst, src *float32, n uint64)
	rotate     func(x, cosSin *float32, n uint64)
	softmax    func(e *float32, n uint64) (m, l float32) // 32
	accumulate func(dst, o *float32, w float32, n uint64)
	scale      func(dst, x *float32, r float32, n uint64)
	toF16      func(dst *uint16, x *float32, n uint64)
	prefetch   func(p *byte, n uint64) // 64
}

// packs says whether the level computes products from packed weights.
func (l *level) packs() bool { return l.group > 0 }

var generic = level{name: "generic"}

// whole is how many of n elements the level's vector functions take, n rounded down to a multiple of lanes.
func (l *level) whole(n, lanes int) int {
	if l.add == nil {
		return 0
	}
	return n - n%lanes
}

func (l *level) addVector(dst, src []float32) {
	n := l.whole(len(dst), 8)
	if n > 0 {
		l.add(&dst[0], &src[0], uint64(n))
	}
	for i := n; i < len(dst); i++ {
		dst[i] += src[i]
	}
}

func (l *level) swigluVector(dst, gate, up []float32) {
	n := l.whole(len(dst), 8)
	if n > 0 {
		l.swiglu(&dst[0], &gate[0], &up[0], uint64(n))
	}
	for i := n; i < len(dst); i++ {
		dst[i] = float32(canon.SiLU(gate[i]) * up[i])
	}
}

// normaliseVector is RMSNorm of one row; p is scratch.
func (l *level) normaliseVector(dst, x, w []float32, eps float32, p *[canon.Lanes]float32) {
	n := l.whole(len(x), canon.Lanes)
	if n == 0 {
		ref.Normalise(dst, x, w, eps)
		return
	}
	l.sumSquares(&p[0], &x[0], uint64(n))
	for i := n; i < len(x); i++ {
		p[i-n] = canon.FMA(x[i], x[i], p[i-n])
	}
	r := 1 / canon.Sqrt(canon.TreeSum(p)/float32(len(x))+eps)
	n = l.whole(len(x), 8)
	l.normalise(&dst[0], &x[0], &w[0], r, uint64(n))
	for i := n; i < len(x); i++ {
		dst[i] = float32(float32(x[i]*r) * w[i])
	}
}

// rotateHead turns the pairs of the first len(cosSin) elements of head.
func (l *level) rotateHead(head, cosSin []float32) {
	n := l.whole(len(cosSin), 8)
	if n > 0 {
		l.rotate(&head[0], &cosSin[0], uint64(n))
	}
	ref.Rotate(head[n:], cosSin[n:])
}

func (l *level) accumulateVector(dst, o []float32, w float32) {
	n := l.whole(len(dst), 8)
	if n > 0 {
		l.accumulate(&dst[0], &o[0], w, uint64(n))
	}
	for i := n; i < len(dst); i++ {
		dst[i] = canon.FMA(o[i], w, dst[i])
	}
}

func (l *level) scaleVector(dst, x []float32, r float32) {
	n := l.whole(len(dst), 8)
	if n > 0 {
		l.scale(&dst[0], &x[0], r, uint64(n))
	}
	for i := n; i < len(dst); i++ {
		dst[i] = float32(x[i] * r)
	}
}

func (l *level) toF16Vector(dst []uint16, x []float32) {
	n := l.whole(len(x), 8)
	if n > 0 {
		l.toF16(&dst[0], &x[0], uint64(n))
	}
	for i := n; i < len(x); i++ {
		dst[i] = canon.ToF16(x[i])
	}
}
