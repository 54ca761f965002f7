package wasmbin

// Opcodes the rewriter looks at.
const (
	opUnreachable = 0x00
	opNop         = 0x01
	opBlock       = 0x02
	opLoop        = 0x03
	opIf          = 0x04
	opElse        = 0x05
	opEnd         = 0x0b
	opBr          = 0x0c
	opBrIf        = 0x0d
	opBrTable     = 0x0e
	opReturn      = 0x0f
	opCall        = 0x10
	opCallInd     = 0x11
	opDrop        = 0x1a
	opSelect      = 0x1b
	opLocalGet    = 0x20
	opLocalSet    = 0x21
	opLocalTee    = 0x22
	opGlobalGet   = 0x23
	opGlobalSet   = 0x24
	opTableSet    = 0x26
	opLoadFirst   = 0x28
	opLoadLast    = 0x35
	opStoreFirst  = 0x36
	opStoreLast   = 0x3e
	opMemorySize  = 0x3f
	opMemoryGrow  = 0x40
	opI32Const    = 0x41
	opI64Const    = 0x42
	opI32Eqz      = 0x45
	opI32Eq       = 0x46
	opI32Ne       = 0x47
	opI32LtS      = 0x48
	opI32GeU      = 0x4f
	opI64LtS      = 0x53
	opI64GtU      = 0x56
	opI64GeU      = 0x5a
	opI32And      = 0x71
	opI64Add      = 0x7c
	opI64Sub      = 0x7d
	opI64And      = 0x83
	opI64Or       = 0x84
	opI64ShrU     = 0x88
	opI64Shl      = 0x86
	opI32WrapI64  = 0xa7
	opI64ExtendS  = 0xac
	opI64ExtendU  = 0xad
	opNumericLast = 0xc4
	opRefFunc     = 0xd2
	opPrefixMisc  = 0xfc
	opPrefixSIMD  = 0xfd
)

// Other bytes of the format that the rewriter writes.
const (
	blockTypeVoid = 0x40
	mutableFlag   = 1
	typeFunc      = 0x60
)

// Sub-opcodes behind 0xFC that touch as many bytes or elements as their last operand says.
const (
	miscMemoryInit = 8
	miscDataDrop   = 9
	miscMemoryCopy = 10
	miscMemoryFill = 11
	miscTableInit  = 12
	miscTableCopy  = 14
	miscTableGrow  = 15
	miscTableSize  = 16
	miscTableFill  = 17
)

// Sub-opcodes behind 0xFD that touch memory.
const (
	simdStore          = 11 // the loads are below
	simdLoadLaneFirst  = 84
	simdLoadLaneLast   = 87
	simdStoreLaneFirst = 88
	simdStoreLaneLast  = 91
	simdLoad32Zero     = 92
	simdLoad64Zero     = 93
)

// instruction is one decoded instruction: its bytes are b[start:end]; index is the immediate of call, ref.func and
// the instructions on locals and globals, value that of i32.const and i64.const.
type instruction struct {
	op, sub    uint32
	start, end int
	index      uint32
	value      int64
	align      uint32 // with offset: of loads and stores
	offset     uint64
	lane       byte // of the loads and stores of one lane
}

// next reads one instruction with its immediates (WebAssembly 2.0, binary format, section 5.4).
func next(r *reader) instruction {
	in := instruction{start: r.pos}
	in.op = uint32(r.u8())
	switch op := in.op; {
	case op == opCall || op == opRefFunc:
		in.index = r.u32()
	case op == opPrefixMisc:
		in.sub = r.u32()
		miscImmediates(r, in.sub)
	case op == opPrefixSIMD:
		in.sub = r.u32()
		simdImmediates(r, &in)
	default:
		plainImmediates(r, &in)
	}
	in.end = r.pos
	return in
}

func plainImmediates(r *reader, in *instruction) {
	switch op := in.op; {
	case op == opUnreachable || op == opNop || op == opElse || op == opEnd || op == opReturn: // unreachable, nop, ...
	case op == opBlock || op == opLoop || op == opIf:
		r.skipSigned(33)
	case op == opBr || op == opBrIf:
		r.u32()
	case op == opBrTable:
		for n := r.count("branch targets", len(r.b)); n >= 0 && r.err == nil; n-- {
			r.u32()
		}
	case op == opCallInd:
		r.u32()
		r.u32()
	case op == opDrop || op == opSelect:
	case op == 0x1c: // select with types
		r.valueTypes(1000)
	case op >= 0x20 && op <= 0x26: // local, global, table access
		in.index = r.u32()
	case op >= opLoadFirst && op <= opStoreLast:
		memArg(r, in)
	case op == opMemorySize || op == opMemoryGrow:
		zeroByte(r)
	case op == opI32Const:
		start := r.pos
		r.skipSigned(32)
		in.value = (&reader{b: r.b, pos: start}).signed64()
	case op == opI64Const:
		in.value = r.signed64()
	case op == 0x43:
		r.take(4)
	case op == 0x44:
		r.take(8)
	case op >= 0x45 && op <= 0xc4: // numeric
	case op == 0xd0: // ref.null
		r.valueType()
	case op == 0xd1: // ref.is_null
	default:
		r.unsupported("instruction 0x%02x", op)
	}
}

func memArg(r *reader, in *instruction) {
	if in.align = r.u32(); in.align >= 32 {
		r.unsupported("memory argument with flags %d", in.align)
	}
	if r.wide {
		in.offset = r.u64()
	} else {
		in.offset = uint64(r.u32())
	}
}

func zeroByte(r *reader) {
	if r.u8() != 0 {
		r.unsupported("memory index other than 0")
	}
}

func miscImmediates(r *reader, sub uint32) {
	switch sub {
	case 0, 1, 2, 3, 4, 5, 6, 7: // saturating truncation
	case miscMemoryInit:
		r.u32()
		zeroByte(r)
	case miscDataDrop, 13, miscTableGrow, miscTableSize, miscTableFill: // 13 is elem.drop
		r.u32()
	case miscMemoryCopy:
		zeroByte(r)
		zeroByte(r)
	case miscMemoryFill:
		zeroByte(r)
	case miscTableInit, miscTableCopy:
		r.u32()
		r.u32()
	default:
		r.unsupported("instruction 0xfc %d", sub)
	}
}

func simdImmediates(r *reader, in *instruction) {
	switch sub := in.sub; {
	case sub <= simdStore || sub == simdLoad32Zero || sub == simdLoad64Zero:
		memArg(r, in)
	case sub == 12 || sub == 13: // v128.const, i8x16.shuffle
		r.take(16)
	case sub >= 21 && sub <= 34: // extract and replace lane
		r.u8()
	case sub >= simdLoadLaneFirst && sub <= simdStoreLaneLast:
		memArg(r, in)
		in.lane = r.u8()
	case sub > 255:
		r.unsupported("instruction 0xfd %d", sub)
	}
}

// constExpr reads a constant expression and returns its bytes with the final end.
func constExpr(r *reader) []byte {
	start := r.pos
	for r.err == nil {
		in := next(r)
		switch in.op {
		case opEnd:
			return r.b[start:r.pos]
		case opBlock, opLoop, opIf:
			r.fail("block in a constant expression")
		}
	}
	return nil
}

// appendConstExpr copies a constant expression with every function index moved.
func appendConstExpr(out []byte, r *reader, move func(uint32) uint32) []byte {
	for r.err == nil {
		in := next(r)
		if r.err != nil {
			break
		}
		switch in.op {
		case opRefFunc:
			out = appendU32(append(out, opRefFunc), move(in.index))
		case opBlock, opLoop, opIf:
			r.fail("block in a constant expression")
		default:
			out = append(out, r.b[in.start:in.end]...)
		}
		if in.op == opEnd {
			return out
		}
	}
	return out
}

// element reads one element segment and, if move is set, appends it to out with function indices moved.
// The eight forms are those of WebAssembly 2.0, section 5.5.12.
func element(r *reader, move func(uint32) uint32, outCap int) []byte {
	if move == nil {
		move = func(i uint32) uint32 { return i }
	}
	out := make([]byte, 0, outCap)
	flags := r.u32()
	if flags > 7 {
		r.fail("element segment of form %d", flags)
		return nil
	}
	out = appendU32(out, flags)
	passive, explicit, exprs := flags&1 != 0, flags&2 != 0, flags&4 != 0
	if !passive && explicit {
		out = appendU32(out, r.u32())
	}
	if !passive {
		out = appendConstExpr(out, r, move)
	}
	if passive || explicit {
		out = append(out, r.u8())
	}
	n := r.count("elements", len(r.b))
	out = appendU32(out, uint32(n))
	for i := 0; i < n && r.err == nil; i++ {
		if exprs {
			out = appendConstExpr(out, r, move)
		} else {
			out = appendU32(out, move(r.u32()))
		}
	}
	return out
}
