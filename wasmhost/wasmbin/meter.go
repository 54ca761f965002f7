package wasmbin

// meter rewrites one function body.
type meter struct {
	w       *rewriter
	out     []byte        // finished code
	segment []byte        // code of the segment being read, not yet charged for
	cost    int64         // of that segment
	check   bool          // the segment begins at a checkpoint
	calls   bool          // the segment calls a function
	scratch uint32        // index of the first scratch local of bulk instructions
	floats  [lanes]uint32 // index of the first scratch local of each lane
	frame   int64         // what the function takes off the stack counter, 0 for none
	wrapped bool          // the body is a block, after which something is done
	depth   uint32        // open blocks of the original body
	lower   *lowering     // of a module with a 64-bit memory
	masks   masks
	used    referenceCount

	next  uint32   // index of the next local to add
	added [][]byte // declarations of added locals
}

// shape is what a first pass over a body finds out.
type shape struct {
	cost, instructions int64
	calls, loop, simd  bool
	touches            bool        // reads or writes a memory with 64-bit addresses
	bulk               bool        // has instructions that need the scratch locals of bulk
	floats             [lanes]bool // has float instructions of the lane
}

// frame is the function's weight on the stack, or 0 if it is not counted.
func (s shape) frame(slots int) int64 {
	each := int64(slotBytes)
	if s.simd {
		each = slotBytesSIMD
	}
	frame := frameFixed + each*(int64(slots)+s.instructions)
	if !s.calls && frame <= leafFrameMax {
		return 0
	}
	return frame
}

// function returns the body with metering; t is the function's type.
func (w *rewriter) function(body []byte, t FuncType) ([]byte, error) {
	r := &reader{b: body, wide: w.m.Wide()}
	groups, locals := localDeclarations(r)
	declarations := body[groups.start:r.pos]
	begin := r.pos
	s := survey(r)
	if r.err != nil {
		return nil, r.err
	}
	r.pos = begin
	slots := len(t.Params) + locals
	mt := &meter{w: w, frame: s.frame(slots), next: uint32(slots), out: w.out[:0], segment: w.segment[:0]}
	defer func() { w.out, w.segment = mt.out, mt.segment }()
	mt.locals(s)
	if r.wide {
		mt.lower = newLowering(mt)
		if w.running && s.touches {
			mt.lower.collect()
		}
	}
	mt.enter(s, t)
	mt.expression(r)
	if r.err != nil {
		return nil, r.err
	}
	mt.flush()
	mt.out = mt.lower.look(mt.out)
	if mt.frame > 0 {
		mt.out = count(mt.out, w.stack, opI64Add, mt.frame)
	}
	if mt.wrapped {
		mt.out = append(mt.out, opEnd)
	}
	room := make([]byte, 0, len(mt.out)+len(declarations)+2*len(mt.added)+5)
	out := append(appendU32(room, uint32(groups.n+len(mt.added))), declarations...)
	for _, g := range mt.added {
		out = append(out, g...)
	}
	return append(out, mt.out...), nil
}

// expression rewrites the code at r.
func (m *meter) expression(r *reader) {
	if m.w.running {
		m.w.steps = fold(r, m.w.state, m.w.steps)
		for _, s := range m.w.steps {
			m.step(r, s)
		}
		return
	}
	for r.err == nil && r.pos < len(r.b) {
		m.instruction(r, next(r))
	}
}

// step adds an instruction of which fold knows what becomes of it.
func (m *meter) step(r *reader, s step) {
	switch s.fate {
	case fateDead:
		return
	case fateStays:
		m.instruction(r, s.in)
		return
	}
	if m.w.reference {
		m.used.add(r, s.in)
	}
	m.cost += costOf(s.in)
	immediates := r.b[s.in.start+1 : s.in.end]
	switch s.fate {
	case fateNumber:
		m.segment = appendI64(append(m.segment, opI32Const), int64(s.number))
		m.masks.push(masked{nonzero: s.number != 0})
		if m.lower != nil {
			m.lower.push(operand{})
		}
		return
	case fateSilent:
	case fateBlock:
		m.segment = append(append(m.segment, opBlock), immediates...)
		m.depth++
	case fateSeam:
		m.segment = append(m.segment, opEnd)
		m.depth--
	case fateBranch:
		m.segment = append(append(m.segment, opBr), immediates...)
		m.flush()
	}
	switch s.in.op {
	case opIf, opElse, opEnd, opBrIf:
		m.seam()
	}
}

// seam is where a branch point was. The code below is charged together with that above, except if that calls a function:
// the call may never return, and what comes after it is not paid for then.
func (m *meter) seam() {
	if m.calls {
		m.flush()
	}
	m.masks.reset()
	if m.lower != nil {
		m.lower.forget()
	}
}

// locals allots the scratch locals that a survey found need of.
func (m *meter) locals(s shape) {
	if s.bulk {
		m.scratch = m.addLocal(I32)
		m.addLocal(I32)
	}
	for l := laneF32; l < lanes; l++ {
		if s.floats[l] {
			m.floats[l] = m.addLocal(l.local())
			for range floatLocals - 1 {
				m.addLocal(l.local())
			}
		}
	}
}

// addLocal declares a local after all others and returns its index.
func (m *meter) addLocal(t ValueType) uint32 {
	m.added = append(m.added, []byte{1, byte(t)})
	m.next++
	return m.next - 1
}

// enter begins the function: with a frame, the counter goes down, and both counters are looked at in one comparison (the
// sign of fuel|stack). Where something is to be done at the end, the body becomes a block.
func (m *meter) enter(s shape, t FuncType) {
	m.check = s.calls || s.loop || s.cost > leafCostMax
	m.wrapped = m.frame > 0 || m.lower != nil && m.lower.upper > 0
	if m.frame > 0 {
		m.check = false
		m.out = count(m.out, m.w.stack, opI64Sub, m.frame)
		m.out = appendU32(append(m.out, opGlobalGet), m.w.fuel)
		m.out = appendU32(append(m.out, opGlobalGet), m.w.stack)
		m.out = m.refillIfNegative(append(m.out, opI64Or))
	}
	if !m.wrapped {
		return
	}
	m.out = append(append(m.out, opBlock), m.w.blockType(t.Results)...)
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
		s.instructions++
		if _, touches := accessOf(in); touches && r.wide {
			s.touches = true
			s.instructions += accessInstructions - 1
		}
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
		case opMemoryGrow, opPrefixMisc:
			s.bulk = true
		case opPrefixSIMD:
			s.simd = true
		}
		if l, _ := floatOp(in); l != laneNone {
			s.floats[l] = true
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

// instruction adds one instruction.
func (m *meter) instruction(r *reader, in instruction) {
	start := len(m.segment)
	m.rewrite(r, in)
	if m.lower != nil {
		m.lower.follow(in, start)
	}
	if m.masks.follow(in) {
		m.segment = settle(m.segment)
	}
}

// rewrite adds the code for one instruction; branch points close the segment.
func (m *meter) rewrite(r *reader, in instruction) {
	raw := r.b[in.start:in.end]
	if m.w.reference {
		m.used.add(r, in)
	}
	switch in.op {
	case opLoop:
		// The loop itself is paid for on each turn, so that the charge stands inside it.
		m.segment = append(m.segment, raw...)
		m.flush()
		m.depth++
		m.cost, m.check = costOf(in), true
		return
	case opReturn:
		m.leave(raw)
	case opCallInd:
		m.beforeCall()
		m.segment = append(m.segment, raw...)
	case opCall:
		m.beforeCall()
		if m.w.usegas >= 0 && in.index == uint32(m.w.usegas) {
			m.segment = m.countUsed(m.segment)
			break
		}
		m.segment = appendU32(append(m.segment, opCall), m.w.move(in.index))
	case opRefFunc:
		m.segment = appendU32(append(m.segment, opRefFunc), m.w.move(in.index))
	case opMemorySize:
		m.memorySize(raw)
	case opMemoryGrow:
		m.memoryGrow(raw)
	case opPrefixMisc:
		m.bulk(in.sub)
		m.segment = append(m.segment, raw...)
	default:
		m.plain(raw, in)
	}
	m.cost += costOf(in)
	switch in.op {
	case opBlock, opIf:
		m.depth++
	case opEnd:
		m.depth--
	}
	switch in.op {
	case opIf, opElse, opEnd, opBr, opBrIf, opBrTable, opReturn, opUnreachable:
		m.flush()
	}
}

// beforeCall notes that the segment calls a function, which may never return.
func (m *meter) beforeCall() {
	m.calls = true
	m.segment = m.lower.look(m.segment)
}

// plain copies an instruction, with its NaN made exact.
func (m *meter) plain(raw []byte, in instruction) {
	if l, unary := floatOp(in); l != laneNone {
		m.segment = exact(m.segment, raw, l, unary, m.floats[l])
		return
	}
	if m.lower != nil {
		if a, touches := accessOf(in); touches {
			m.lower.touch(in, a)
			return
		}
	}
	m.segment = append(m.segment, raw...)
}

// leave returns; by a branch, if the body is a block.
func (m *meter) leave(raw []byte) {
	if !m.wrapped {
		m.segment = append(m.segment, raw...)
		return
	}
	m.segment = appendU32(append(m.segment, opBr), m.depth)
}

// flush emits the charge of the segment and then its code.
func (m *meter) flush() {
	if m.cost > 0 || m.check {
		m.out = count(m.out, m.w.fuel, opI64Sub, m.cost)
	}
	if m.check {
		m.out = m.refillIfEmpty(m.out)
	}
	if due := m.used.take(); due > 0 {
		m.out = count(m.out, m.w.used, opI64Add, due)
	}
	m.out = append(m.out, m.segment...)
	m.segment, m.cost, m.check, m.calls = m.segment[:0], 0, false, false
}

// count emits global = global op v.
func count(out []byte, global uint32, op byte, v int64) []byte {
	out = appendI64(append(appendU32(append(out, opGlobalGet), global), opI64Const), v)
	return appendU32(append(out, op, opGlobalSet), global)
}

// counter emits global = global op amount, where amount is code that pushes an i64.
func counter(out []byte, global uint32, op byte, amount []byte) []byte {
	out = append(appendU32(append(out, opGlobalGet), global), amount...)
	return appendU32(append(out, op, opGlobalSet), global)
}

// refillIfEmpty emits the check for fuel below zero.
func (m *meter) refillIfEmpty(out []byte) []byte {
	return m.refillIfNegative(appendU32(append(out, opGlobalGet), m.w.fuel))
}

// refillIfNegative emits the slow path for a negative i64 on the stack: the host takes stock, and either gives more fuel
// or ends the evaluation.
func (m *meter) refillIfNegative(out []byte) []byte {
	out = append(out, opI64Const, 0, opI64LtS, opIf, blockTypeVoid)
	return append(appendU32(append(out, opCall), m.w.refill), opEnd)
}

// Scratch locals, from meter.scratch on.
const (
	scratchOperand = iota
	scratchAnswer
)

// floatLocals is how many scratch locals a lane needs: two operands and the result.
const floatLocals = 3

// bulk charges for the last operand of a bulk instruction, which stays on the stack.
func (m *meter) bulk(sub uint32) {
	shift := byte(0)
	switch sub {
	case miscMemoryInit, miscMemoryCopy, miscMemoryFill:
		if m.lower != nil {
			m.lower.rangeOf(sub)
		}
		shift = bytesGasShift
	case miscTableInit, miscTableCopy, miscTableGrow, miscTableFill:
	default:
		return
	}
	operand := m.scratch + scratchOperand
	amount := append(appendU32([]byte{opLocalGet}, operand), opI64ExtendU, opI64Const, shift, opI64ShrU)
	m.segment = appendU32(append(m.segment, opLocalTee), operand)
	m.segment = m.refillIfEmpty(counter(m.segment, m.w.fuel, opI64Sub, amount))
}

// memorySize gives the size in pages, as an i64 where addresses are.
func (m *meter) memorySize(raw []byte) {
	m.segment = append(m.segment, raw...)
	if m.lower != nil {
		m.segment = append(m.segment, opI64ExtendU)
	}
}

// memoryGrow charges for the pages after they were given; a refused growth costs no more than the instruction.
func (m *meter) memoryGrow(raw []byte) {
	operand, answer := m.scratch+scratchOperand, m.scratch+scratchAnswer
	amount := append(appendU32([]byte{opLocalGet}, operand), opI64ExtendU, opI64Const, pageGasShift, opI64Shl, opI64Const, 0)
	amount = append(appendU32(append(amount, opLocalGet), answer), opI32Const, 0x7f, opI32Ne, opSelect) // -1 is 0x7f
	if m.lower != nil {
		m.lower.check(m.lower.pop(), false)
	}
	m.segment = appendU32(append(m.segment, opLocalTee), operand)
	m.segment = append(m.segment, raw...)
	m.segment = appendU32(append(m.segment, opLocalTee), answer)
	m.segment = m.refillIfEmpty(counter(m.segment, m.w.fuel, opI64Sub, amount))
	if m.lower != nil {
		m.segment = append(m.segment, opI64ExtendS)
	}
}
