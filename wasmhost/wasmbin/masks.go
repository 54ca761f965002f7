package wasmbin

// The engine (wazero 1.12) turns a branch on the comparison of 0 with a & b into one instruction that sets the flags of a & b.
// That is right for == and !=. But it does the same where 0 is on the left of < or >, and on arm64 for all unsigned
// comparisons, whose flags are others there. So the result of such a comparison goes through one more instruction
// before anything branches on it, where one operand may be an and, and the other may be 0.
//
// Only an and in the same straight-line code counts: the engine looks no further.

// masked is what is known of an operand for this purpose.
type masked struct {
	and     bool // it may be the result of an and
	nonzero bool // it is a constant other than 0
}

// masks follows the operands of straight-line code.
type masks struct {
	operands []masked
	locals   map[uint32]bool // those that may hold the result of an and
	seen     bool            // there was an and
}

func (m *masks) push(o masked) { m.operands = append(m.operands, o) }

func (m *masks) pop() masked {
	n := len(m.operands)
	if n == 0 {
		return masked{and: m.seen}
	}
	o := m.operands[n-1]
	m.operands = m.operands[:n-1]
	return o
}

// reset is a place at which code was left out. The engine sees no break there, so what may hold the result of an and still
// may.
func (m *masks) reset() { m.operands = m.operands[:0] }

// forget is the beginning of other code.
func (m *masks) forget() {
	m.operands, m.seen = m.operands[:0], false
	clear(m.locals)
}

// follow notes an instruction, and reports whether it is a comparison that the engine may get wrong.
func (m *masks) follow(in instruction) bool {
	switch op := in.op; {
	case op == opLocalGet:
		m.push(masked{and: m.locals[in.index]})
	case op == opLocalSet || op == opLocalTee:
		o := m.pop()
		if m.locals == nil {
			m.locals = map[uint32]bool{}
		}
		m.locals[in.index] = o.and
		if op == opLocalTee {
			m.push(o)
		}
	case op == opI32Const || op == opI64Const:
		m.push(masked{nonzero: in.value != 0})
	case op == opGlobalGet:
		m.push(masked{})
	case op >= opI32Eqz && op <= opNumericLast:
		return m.numeric(op)
	case op >= opLoadFirst && op <= opLoadLast:
		m.pop()
		m.push(masked{})
	case op == opDrop || op == opGlobalSet:
		m.pop()
	case op == opNop:
	case op == opUnreachable || op == opLoop || op == opIf || op == opElse || op == opEnd || op >= opBr && op <= opCallInd:
		m.forget()
	default:
		m.operands = m.operands[:0]
	}
	return false
}

func (m *masks) numeric(op uint32) bool {
	right := m.pop()
	if isUnary(op) {
		m.push(masked{})
		return false
	}
	left := m.pop()
	ordered := op >= opI32LtS && op <= opI32GeU || op >= opI64LtS && op <= opI64GeU
	settled := ordered && (left.and && !right.nonzero || right.and && !left.nonzero)
	and := op == opI32And || op == opI64And || settled // which makes it the result of one, see settle
	m.seen = m.seen || and
	m.push(masked{and: and})
	return settled
}

// settle passes the result of a comparison through an instruction, so that no branch is one with the comparison.
func settle(out []byte) []byte { return append(out, opI32Const, 1, opI32And) }
