package wasmbin

// Gas as the reference loader counts it, for the two module formats whose name ends in "-metering". There,
// @permaweb/wasm-metering puts a call of metering.usegas in front of each stretch of code that ends with a branch, a label's
// end or a growth of memory; the stretch costs what its instructions cost, and if that is not zero, what the call itself
// costs too. Its parser knows the instructions of WebAssembly 1.0 and sign extension; a module with others cannot be
// evaluated there, so it is refused here.
//
// Older formats call metering.usegas from code that their compiler put in. Either way no host function is called: the
// count is kept in a global.

const (
	usegasModule   = "metering"
	usegasName     = "usegas"
	usegasOverhead = 91 // of the two instructions that call it
)

func usegasType() FuncType { return FuncType{Params: []ValueType{I32}} }

// countUsed emits the addition of the i32 on the operand stack to the count.
func (m *meter) countUsed(out []byte) []byte {
	out = appendU32(append(out, opI64ExtendS, opGlobalGet), m.w.used)
	return appendU32(append(out, opI64Add, opGlobalSet), m.w.used)
}

// referenceCount is the cost of the code since the last flush.
type referenceCount struct {
	open int64 // of the stretch being read
	due  int64 // of the ones before
}

func (c *referenceCount) add(r *reader, in instruction) {
	cost, known := referenceCost(in.op)
	if !known {
		r.unsupported("instruction 0x%02x in a format whose metering does not know it", in.op)
	}
	c.open += cost
	switch in.op {
	case opMemoryGrow, opEnd, opBr, opBrTable, opBrIf, opIf, opElse, opReturn, opLoop:
		c.close()
	}
}

func (c *referenceCount) close() {
	if c.open > 0 {
		c.due += c.open + usegasOverhead
	}
	c.open = 0
}

// take ends the stretch, if one is open, and gives what is due.
func (c *referenceCount) take() int64 {
	c.close()
	due := c.due
	c.due = 0
	return due
}

// referenceCost is the weight of an instruction in the table of @permaweb/wasm-metering 0.2.2, which goes by names
// without types: add is i32.add as well as f64.add. Names that the table lacks cost nothing.
func referenceCost(op uint32) (cost int64, known bool) {
	switch {
	case op <= opIf || op == opI32Const || op == opI64Const || op == 0x43 || op == 0x44: // unreachable, nop, block, loop, if, const
		return 1, true
	case op == opEnd:
		return 0, true
	case op == opElse || op == opBr || op == opBrIf || op == opReturn || op == opCall:
		return 90, true
	case op == opBrTable || op == opDrop || op == opSelect || op >= opLocalGet && op <= opGlobalSet:
		return 120, true
	case op == opCallInd || op == opMemoryGrow:
		return 10_000, true
	case op >= opLoadFirst && op <= opStoreLast:
		return 120, true
	case op == opMemorySize:
		return 100, true
	case op >= 0x45 && op <= 0xc4:
		return referenceNumericCost(op), true
	}
	return 0, false
}

func referenceNumericCost(op uint32) int64 {
	switch {
	case op <= 0x5c || op == 0x61 || op == 0x62: // comparisons of integers, eq and ne of floats
		return 45
	case op <= 0x66: // lt, gt, le, ge of floats
		return 0
	case op >= 0x6d && op <= 0x70 || op >= 0x7f && op <= 0x82: // div, rem
		return 36_000
	case op >= 0x74 && op <= 0x76 || op >= 0x86 && op <= 0x88: // shl, shr
		return 67
	case op >= 0x77 && op <= 0x78 || op >= 0x89 && op <= 0x8a: // rotl, rotr
		return 90
	case op <= 0x85: // clz to xor
		return 45
	case op >= 0x92 && op <= 0x94 || op >= 0xa0 && op <= 0xa2: // add, sub, mul of floats
		return 45
	}
	return 0
}
