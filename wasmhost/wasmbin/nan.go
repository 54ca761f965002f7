package wasmbin

// WebAssembly leaves open which NaN an arithmetic instruction yields, and machines differ: 0/0 has its sign set on x86-64
// and clear on arm64. Since memory is hashed, the rewriter makes it one answer everywhere, that of x86-64, which the
// published results of ao processes come from: the first operand that is a NaN, made quiet; without one, the default NaN,
// with the sign set and an empty payload.
//
// Each such instruction is followed by one comparison; only when the result is a NaN is more done. Instructions that only
// move or flip bits (neg, abs, copysign, pmin, pmax, reinterpretation) are exact by definition; rounding, promotion
// and demotion keep the operand's NaN on both machines.

// lane describes the floats that an instruction works on.
type lane int

const (
	laneNone lane = iota
	laneF32
	laneF64
	laneF32x4
	laneF64x2
	lanes // how many there are
)

// Opcodes of float instructions and what the correction uses.
const (
	opF32Sqrt, opF32Max = 0x91, 0x97 // sqrt, add, sub, mul, div, min, max
	opF64Sqrt, opF64Max = 0x9f, 0xa5

	simdF32x4Sqrt, simdF32x4Max = 0xe3, 0xe9
	simdF64x2Sqrt, simdF64x2Max = 0xef, 0xf5

	opF32Ne, opF64Ne, opI32Or                = 0x5c, 0x62, 0x72
	opI32OfF32, opI64OfF64                   = 0xbc, 0xbd
	opF32OfI32, opF64OfI64                   = 0xbe, 0xbf
	simdF32x4Ne, simdF64x2Ne                 = 0x42, 0x48
	simdAnyTrue, simdBitselect, simdOr       = 0x53, 0x52, 0x50
	simdI32x4Splat, simdI64x2Splat           = 0x11, 0x12
	quiet32, quiet64                         = 1 << 22, 1 << 51
	default32                          int64 = -1 << 22 // 0xffc00000 as a signed i32
	default64                          int64 = -1 << 51
)

// floatOp tells whether an instruction may yield a NaN that the standard leaves open, and whether it has one operand.
func floatOp(in instruction) (l lane, unary bool) {
	switch op, sub := in.op, in.sub; {
	case op >= opF32Sqrt && op <= opF32Max:
		return laneF32, op == opF32Sqrt
	case op >= opF64Sqrt && op <= opF64Max:
		return laneF64, op == opF64Sqrt
	case op == opPrefixSIMD && sub >= simdF32x4Sqrt && sub <= simdF32x4Max:
		return laneF32x4, sub == simdF32x4Sqrt
	case op == opPrefixSIMD && sub >= simdF64x2Sqrt && sub <= simdF64x2Max:
		return laneF64x2, sub == simdF64x2Sqrt
	}
	return laneNone, false
}

func (l lane) local() ValueType {
	switch l {
	case laneF32:
		return F32
	case laneF64:
		return F64
	}
	return V128
}

// ne is the code of the comparison of two equal values of the lane: true where they are NaN. For vectors it is a mask.
func (l lane) ne() []byte {
	switch l {
	case laneF32:
		return []byte{opF32Ne}
	case laneF64:
		return []byte{opF64Ne}
	case laneF32x4:
		return []byte{opPrefixSIMD, simdF32x4Ne}
	}
	return []byte{opPrefixSIMD, simdF64x2Ne}
}

// choose is the code that picks of (a, b, condition) a where the condition holds.
func (l lane) choose() []byte {
	if l == laneF32 || l == laneF64 {
		return []byte{opSelect}
	}
	return []byte{opPrefixSIMD, simdBitselect}
}

// defaultNaN is the code that pushes the NaN of an operation on numbers.
func (l lane) defaultNaN() []byte {
	switch l {
	case laneF32:
		return append(appendI64([]byte{opI32Const}, default32), opF32OfI32)
	case laneF64:
		return append(appendI64([]byte{opI64Const}, default64), opF64OfI64)
	case laneF32x4:
		return append(appendI64([]byte{opI32Const}, default32), opPrefixSIMD, simdI32x4Splat)
	}
	return append(appendI64([]byte{opI64Const}, default64), opPrefixSIMD, simdI64x2Splat)
}

// makeQuiet is the code that sets the quiet bit of the NaN on the stack.
func (l lane) makeQuiet() []byte {
	switch l {
	case laneF32:
		return append(appendI64([]byte{opI32OfF32, opI32Const}, quiet32), opI32Or, opF32OfI32)
	case laneF64:
		return append(appendI64([]byte{opI64OfF64, opI64Const}, quiet64), opI64Or, opF64OfI64)
	case laneF32x4:
		return append(appendI64([]byte{opI32Const}, quiet32), opPrefixSIMD, simdI32x4Splat, opPrefixSIMD, simdOr)
	}
	return append(appendI64([]byte{opI64Const}, quiet64), opPrefixSIMD, simdI64x2Splat, opPrefixSIMD, simdOr)
}

// exact emits a float instruction whose NaN is the one described above. The three locals hold the operands and
// the result.
func exact(out, raw []byte, l lane, unary bool, first uint32) []byte {
	get := func(i uint32) []byte { return appendU32([]byte{opLocalGet}, first+i) }
	tee := func(i uint32) []byte { return appendU32([]byte{opLocalTee}, first+i) }
	set := func(i uint32) []byte { return appendU32([]byte{opLocalSet}, first+i) }
	const a, b, r = 0, 1, 2
	emit := func(parts ...[]byte) {
		for _, p := range parts {
			out = append(out, p...)
		}
	}
	isNaN := func(i uint32) { emit(get(i), get(i), l.ne()) }
	if unary {
		emit(tee(a), raw)
	} else {
		emit(set(b), tee(a), get(b), raw)
	}
	emit(tee(r), get(r), l.ne())
	if l == laneF32x4 || l == laneF64x2 {
		emit([]byte{opPrefixSIMD, simdAnyTrue})
	}
	emit([]byte{opIf, blockTypeVoid}, get(a))
	if unary {
		emit(l.defaultNaN())
	} else {
		emit(get(b), l.defaultNaN())
		isNaN(b)
		emit(l.choose())
	}
	isNaN(a)
	emit(l.choose(), l.makeQuiet())
	if l == laneF32x4 || l == laneF64x2 {
		emit(get(r))
		isNaN(r)
		emit(l.choose())
	}
	emit(set(r), []byte{opEnd}, get(r))
	return out
}
