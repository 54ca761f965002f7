package wasmbin

// meter rewrites one function body.
type meter struct {
	w       *rewriter
	out     []byte // finished code
	segment []byte // code of the segment being read, not yet charged for
	cost    int64  // of that segment
	check   bool   // the segment begins at a checkpoint
	scratch uint32 // index of the first scratch local
	used    bool   // scratch locals are needed
}

// shape is what a first pass over a body finds out.
type shape struct {
	cost        int64
	calls, loop bool
}

// function returns the body with metering; params is the number of parameters.
func (w *rewriter) function(body []byte, params int) ([]byte, error) {
	r := &reader{b: body}
	groups, locals := localDeclarations(r)
	declarations := body[groups.start:r.pos]
	begin := r.pos
	s := survey(r)
	if r.err != nil {
		return nil, r.err
	}
	r.pos = begin
	mt := &meter{w: w, scratch: uint32(params + locals)}
	mt.check = s.calls || s.loop || s.cost > leafCostMax
	for r.pos < len(body) {
		mt.instruction(r, next(r))
	}
	if r.err != nil {
		return nil, r.err
	}
	mt.flush()
	count := groups.n
	if mt.used {
		count++
	}
	out := append(appendU32(nil, uint32(count)), declarations...)
	if mt.used {
		out = append(appendU32(out, scratchLocals), byte(I32))
	}
	return append(out, mt.out...), nil
}

type localGroups struct{ n, start int }

// localDeclarations reads the locals of a body and returns the number of groups, where they start, and how many
// locals they declare.
func localDeclarations(r *reader) (localGroups, int) {
	g := localGroups{n: r.count("local groups", LocalsMax)}
	g.start = r.pos
	total := uint64(0)
	for i := 0; i < g.n && r.err == nil; i++ {
		total += uint64(r.u32())
		r.valueType()
		if total > LocalsMax {
			r.unsupported("%d locals; the limit is %d", total, LocalsMax)
		}
	}
	return g, int(total)
}

// survey walks the expression once: its nesting must close exactly at the end of the body.
func survey(r *reader) shape {
	var s shape
	for depth := 1; depth > 0 && r.err == nil; {
		in := next(r)
		s.cost += costOf(in)
		switch in.op {
		case opBlock, opIf:
			depth++
		case opLoop:
			depth++
			s.loop = true
		case opEnd:
			depth--
		case opCall, opCallInd:
			s.calls = true
		}
	}
	if r.err == nil && r.pos != len(r.b) {
		r.fail("code after the end of the function")
	}
	return s
}

func costOf(in instruction) int64 {
	switch in.op {
	case opBlock, opElse, opEnd, 0x01: // nop
		return 0
	}
	return 1
}

// instruction adds one instruction; branch points close the segment.
func (m *meter) instruction(r *reader, in instruction) {
	raw := r.b[in.start:in.end]
	switch in.op {
	case opLoop:
		// The loop itself is paid for on each turn, so that the charge stands inside it.
		m.segment = append(m.segment, raw...)
		m.flush()
		m.cost, m.check = costOf(in), true
		return
	case opCall:
		m.segment = appendU32(append(m.segment, opCall), m.w.move(in.index))
	case opRefFunc:
		m.segment = appendU32(append(m.segment, opRefFunc), m.w.move(in.index))
	case opMemoryGrow:
		m.memoryGrow(raw)
	case opPrefixMisc:
		m.bulk(in.sub)
		m.segment = append(m.segment, raw...)
	default:
		m.segment = append(m.segment, raw...)
	}
	m.cost += costOf(in)
	switch in.op {
	case opIf, opElse, opEnd, opBr, opBrIf, opBrTable, opReturn, opUnreachable:
		m.flush()
	}
}

// flush emits the charge of the segment and then its code.
func (m *meter) flush() {
	if m.cost > 0 || m.check {
		m.out = m.fuelMinus(m.out, func(out []byte) []byte {
			return appendI64(append(out, opI64Const), m.cost)
		})
	}
	if m.check {
		m.out = m.refillIfNegative(m.out)
	}
	m.out = append(m.out, m.segment...)
	m.segment, m.cost, m.check = m.segment[:0], 0, false
}

// fuelMinus emits fuel -= amount, where amount pushes an i64.
func (m *meter) fuelMinus(out []byte, amount func([]byte) []byte) []byte {
	out = amount(appendU32(append(out, opGlobalGet), m.w.fuel))
	return appendU32(append(out, opI64Sub, opGlobalSet), m.w.fuel)
}

// refillIfNegative emits the slow path: the host takes stock, and either gives more fuel or ends the evaluation.
func (m *meter) refillIfNegative(out []byte) []byte {
	out = appendU32(append(out, opGlobalGet), m.w.fuel)
	out = append(out, opI64Const, 0, opI64LtS, opIf, blockTypeVoid)
	out = appendU32(append(out, opCall), m.w.refill)
	return append(out, opEnd)
}

// bulk charges for the last operand of a bulk instruction, which stays on the stack.
func (m *meter) bulk(sub uint32) {
	shift := byte(0)
	switch sub {
	case miscMemoryInit, miscMemoryCopy, miscMemoryFill:
		shift = bytesGasShift
	case miscTableInit, miscTableCopy, miscTableGrow, miscTableFill:
	default:
		return
	}
	m.used = true
	operand := m.scratch + scratchOperand
	m.segment = appendU32(append(m.segment, opLocalTee), operand)
	m.segment = m.fuelMinus(m.segment, func(out []byte) []byte {
		out = appendU32(append(out, opLocalGet), operand)
		return append(out, opI64ExtendU, opI64Const, shift, opI64ShrU)
	})
	m.segment = m.refillIfNegative(m.segment)
}

// memoryGrow charges for the pages after they were given; a refused growth costs no more than the instruction.
func (m *meter) memoryGrow(raw []byte) {
	m.used = true
	operand, answer := m.scratch+scratchOperand, m.scratch+scratchAnswer
	m.segment = appendU32(append(m.segment, opLocalTee), operand)
	m.segment = append(m.segment, raw...)
	m.segment = appendU32(append(m.segment, opLocalTee), answer)
	m.segment = m.fuelMinus(m.segment, func(out []byte) []byte {
		out = appendU32(append(out, opLocalGet), operand)
		out = append(out, opI64ExtendU, opI64Const, pageGasShift, opI64Shl, opI64Const, 0)
		out = appendU32(append(out, opLocalGet), answer)
		return append(out, i32ConstOpcode, 0x7f, i32NeOpcode, selectOpcode)
	})
	m.segment = m.refillIfNegative(m.segment)
}
