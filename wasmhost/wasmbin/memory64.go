package wasmbin

import (
	"fmt"
	"math"
)

// The engine has no 64-bit memories, so the rewriter gives a module that has one a 32-bit memory of at most
// WidePagesMax pages. Types of functions, locals and globals stay; each instruction that takes an address gets code
// that checks the 64-bit address and hands on its low half.
//
// The check: an address above 0xffffffff becomes 0xffffffff, which is outside of any memory of that size, so that the
// engine's own bounds check traps just where that of a 64-bit memory would. There is no branch and no call. The checked
// address of a local is kept in a second local, its shadow, and used again by later accesses of the same straight-line code:
// compiled code reads and writes several fields behind one pointer, and the engine then merges their bounds checks too.
//
// In a running form (see running.go), whose traps need not be where they are in the original, the upper half is left out of
// the address at once and looked at later: the upper halves of all addresses are collected in a local, and where the
// function calls another or ends, it traps if any was not 0. That takes the check off the way from one pointer to the next.
// What was read and written at wrong addresses until then is undone with all else.
//
// A memory grows to 4 GiB less one page and no further, whatever its own maximum says: memory.grow answers -1, as it
// may at any time.

// shadowsMax bounds the locals that one function gets for checked addresses.
const shadowsMax = 256

// accessInstructions is what an instruction with an address counts for in the frame of a function: itself and its check.
const accessInstructions = 4

// operandKind says what is known about a value on the operand stack.
type operandKind int

const (
	operandUnknown  operandKind = iota
	operandLocal                // the value of local index, now
	operandConstant             // value
	operandSmall                // below 2^32
)

type operand struct {
	kind       operandKind
	index      uint32
	value      uint64
	start, end int // the code of the segment that pushed it, if that is all it does
}

// lowering follows the operands of the code being rewritten, as far as it is needed to find addresses again. Operands
// below those it knows are unknown.
type lowering struct {
	m        *meter
	operands []operand
	shadows  map[uint32]uint32 // the shadow of each local that has one
	current  map[uint32]bool   // locals whose shadow holds their checked value at this point
	spills   map[ValueType]uint32
	address  uint32 // one more than the local that holds an address while it is checked
	upper    uint32 // one more than the local that collects the upper halves of addresses, where checks wait
	unseen   bool   // something may have been collected since the last look
}

func newLowering(m *meter) *lowering {
	return &lowering{m: m, shadows: map[uint32]uint32{}, current: map[uint32]bool{}, spills: map[ValueType]uint32{}}
}

func (l *lowering) push(o operand) { l.operands = append(l.operands, o) }

func (l *lowering) pop() operand {
	n := len(l.operands)
	if n == 0 {
		return operand{}
	}
	o := l.operands[n-1]
	l.operands = l.operands[:n-1]
	return o
}

// forget drops what is known of the operands: the code that pushed them may be anywhere now.
func (l *lowering) forget() { l.operands = l.operands[:0] }

// join is a place that code reaches in more than one way.
func (l *lowering) join() {
	l.forget()
	clear(l.current)
	l.unseen = true
}

// collect lets the checks of addresses wait.
func (l *lowering) collect() { l.upper = l.m.addLocal(I64) + 1 }

// look traps if one of the addresses collected was beyond 32 bits.
func (l *lowering) look(out []byte) []byte {
	if l == nil || l.upper == 0 || !l.unseen {
		return out
	}
	l.unseen = false
	out = append(appendU32(append(out, opLocalGet), l.upper-1), opI64Const, 32, opI64ShrU, opI32WrapI64)
	return append(out, opIf, blockTypeVoid, opUnreachable, opEnd)
}

// assigned is a write to a local.
func (l *lowering) assigned(local uint32) {
	delete(l.current, local)
	for i, o := range l.operands {
		if o.kind == operandLocal && o.index == local {
			l.operands[i] = operand{}
		}
	}
}

// follow notes what an instruction does to the operands, once it is rewritten; start is where its code begins.
func (l *lowering) follow(in instruction, start int) {
	if _, touches := accessOf(in); touches {
		return // touch did it
	}
	end := len(l.m.segment)
	switch op := in.op; {
	case op == opNop:
	case op == opLocalGet:
		l.push(operand{kind: operandLocal, index: in.index, start: start, end: end})
	case op == opLocalSet:
		l.pop()
		l.assigned(in.index)
	case op == opLocalTee:
		l.pop()
		l.assigned(in.index)
		l.push(operand{kind: operandLocal, index: in.index})
	case op == opI64Const:
		l.push(operand{kind: operandConstant, value: uint64(in.value), start: start, end: end})
	case op == opGlobalGet || op == opI32Const || op == 0x43 || op == 0x44 || op == opMemorySize || op == opMemoryGrow:
		l.push(operand{})
	case op == opGlobalSet || op == opDrop:
		l.pop()
	case op == opSelect:
		l.pop()
		l.pop()
		l.pop()
		l.push(operand{})
	case op >= 0x45 && op <= 0xc4:
		l.numeric(op)
	case op == opLoop || op == opElse || op == opEnd:
		l.join()
	default:
		l.forget()
	}
}

// numeric notes an instruction that takes one or two operands and gives one.
func (l *lowering) numeric(op uint32) {
	right := l.pop()
	if isUnary(op) {
		l.push(small(op == opI64ExtendU))
		return
	}
	left := l.pop()
	switch op {
	case opI64And:
		l.push(small(left.isSmall() || right.isSmall()))
	case opI64ShrU:
		l.push(small(right.kind == operandConstant && right.value&63 >= 32))
	default:
		l.push(operand{})
	}
}

func small(yes bool) operand {
	if yes {
		return operand{kind: operandSmall}
	}
	return operand{}
}

func (o operand) isSmall() bool {
	return o.kind == operandSmall || o.kind == operandConstant && o.value <= math.MaxUint32
}

// isUnary tells the numeric instructions with one operand from those with two.
func isUnary(op uint32) bool {
	switch {
	case op == 0x45 || op == 0x50: // eqz
		return true
	case op >= 0x46 && op <= 0x66: // comparisons
		return false
	case op >= 0x67 && op <= 0x69 || op >= 0x79 && op <= 0x7b: // clz, ctz, popcnt
		return true
	case op >= 0x8b && op <= 0x91 || op >= 0x99 && op <= 0x9f: // abs to sqrt
		return true
	}
	return op >= opI32WrapI64 // conversions and sign extensions
}

// spill is the local that holds a value of the type for the length of one instruction.
func (l *lowering) spill(t ValueType) uint32 {
	local, ok := l.spills[t]
	if !ok {
		local = l.m.addLocal(t)
		l.spills[t] = local
	}
	return local
}

func (l *lowering) emit(op byte, index uint32) {
	l.m.segment = appendU32(append(l.m.segment, op), index)
}

// check replaces the i64 on top of the operand stack, of which o is known, by its checked low half. With later, the check
// may wait.
func (l *lowering) check(o operand, later bool) {
	s := &l.m.segment
	if o.kind == operandSmall {
		*s = append(*s, opI32WrapI64)
		return
	}
	source := o.index
	switch {
	case o.kind == operandUnknown:
		if l.address == 0 {
			l.address = l.m.addLocal(I64) + 1
		}
		source = l.address - 1
		l.emit(opLocalSet, source)
	case o.end > 0 && o.end == len(*s):
		*s = (*s)[:o.start]
	default:
		*s = append(*s, opDrop)
	}
	if o.kind == operandConstant {
		*s = appendI64(append(*s, opI32Const), int64(int32(uint32(min(o.value, math.MaxUint32)))))
		return
	}
	if o.kind == operandLocal && l.current[o.index] {
		l.emit(opLocalGet, l.shadows[o.index])
		return
	}
	if later && l.upper > 0 {
		l.emit(opLocalGet, l.upper-1)
		l.emit(opLocalGet, source)
		*s = append(*s, opI64Or)
		l.emit(opLocalSet, l.upper-1)
		l.emit(opLocalGet, source)
		*s = append(*s, opI32WrapI64)
		l.unseen = true
	} else {
		*s = append(*s, opI32Const, 0x7f) // -1
		l.emit(opLocalGet, source)
		*s = append(*s, opI32WrapI64)
		l.emit(opLocalGet, source)
		*s = append(appendI64(append(*s, opI64Const), math.MaxUint32), opI64GtU, opSelect)
	}
	if o.kind == operandLocal {
		l.keep(o.index)
	}
}

// keep stores the checked address on top of the stack in the local's shadow as well.
func (l *lowering) keep(local uint32) {
	shadow, ok := l.shadows[local]
	if !ok {
		if len(l.shadows) == shadowsMax {
			return
		}
		shadow = l.m.addLocal(I32)
		l.shadows[local] = shadow
	}
	l.emit(opLocalTee, shadow)
	l.current[local] = true
}

// access describes a load or store.
type access struct {
	stored ValueType // what lies above the address on the operand stack, 0 for nothing
	gives  bool      // leaves a value
	small  bool      // that is an i64 below 2^32
}

// accessOf tells whether an instruction is a load or store, and of which kind.
func accessOf(in instruction) (access, bool) {
	op, sub := in.op, in.sub
	switch {
	case op >= opLoadFirst && op <= opLoadLast:
		return access{gives: true, small: op == 0x31 || op == 0x33 || op == opLoadLast}, true
	case op >= opStoreFirst && op <= opStoreLast:
		types := [...]ValueType{I32, I64, F32, F64, I32, I32, I64, I64, I64}
		return access{stored: types[op-opStoreFirst]}, true
	case op != opPrefixSIMD:
	case sub < simdStore || sub == simdLoad32Zero || sub == simdLoad64Zero:
		return access{gives: true}, true
	case sub == simdStore || sub >= simdStoreLaneFirst && sub <= simdStoreLaneLast:
		return access{stored: V128}, true
	case sub >= simdLoadLaneFirst && sub <= simdLoadLaneLast:
		return access{stored: V128, gives: true}, true
	}
	return access{}, false
}

// touch rewrites a load or store.
func (l *lowering) touch(in instruction, a access) {
	if a.stored != 0 {
		l.pop()
		l.emit(opLocalSet, l.spill(a.stored))
	}
	l.check(l.pop(), true)
	s := &l.m.segment
	offset := in.offset
	if offset > math.MaxUint32 { // out of bounds, whatever the address
		*s = append(*s, opDrop, opI32Const, 0x7f)
		offset = 0
	}
	if a.stored != 0 {
		l.emit(opLocalGet, l.spill(a.stored))
	}
	*s = append(*s, byte(in.op))
	if in.op == opPrefixSIMD {
		*s = appendU32(*s, in.sub)
	}
	*s = appendU32(appendU32(*s, in.align), uint32(offset))
	if in.op == opPrefixSIMD && in.sub >= simdLoadLaneFirst && in.sub <= simdStoreLaneLast {
		*s = append(*s, in.lane)
	}
	if a.gives {
		l.push(small(a.small))
	}
}

// rangeOf checks the addresses and lengths that a bulk instruction on memory has on the operand stack.
func (l *lowering) rangeOf(sub uint32) {
	l.forget()
	if sub == miscMemoryInit { // address, offset in the segment, length
		l.emit(opLocalSet, l.spill(I32))
		offset := l.m.scratch + scratchAnswer
		l.emit(opLocalSet, offset)
		l.check(operand{}, false)
		l.emit(opLocalGet, offset)
		l.emit(opLocalGet, l.spill(I32))
		return
	}
	length, middle := l.m.scratch+scratchAnswer, l.spill(I32)
	l.check(operand{}, false)
	l.emit(opLocalSet, length)
	if sub == miscMemoryCopy {
		l.check(operand{}, false)
	}
	l.emit(opLocalSet, middle)
	l.check(operand{}, false)
	l.emit(opLocalGet, middle)
	l.emit(opLocalGet, length)
}

// narrowData rewrites the data section: offsets become 32-bit.
func (m *Module) narrowData() ([]byte, error) {
	if m.Data == nil {
		return nil, nil
	}
	var out []byte
	n, unreadable := uint32(0), false
	err := m.dataSegments(func(s dataSegment) {
		n++
		if s.expr == nil {
			out = append(out, 1)
		} else {
			offset, ok := constAddress(s.expr)
			unreadable = unreadable || !ok || s.expr[0] != opI64Const
			out = appendI64(append(out, 0, opI32Const), int64(int32(uint32(min(offset, math.MaxUint32)))))
			out = append(out, opEnd)
		}
		out = append(appendU32(out, uint32(len(s.bytes))), s.bytes...)
	})
	if err == nil && unreadable {
		err = fmt.Errorf("%w: a data segment of a 64-bit memory whose offset is not a constant", ErrUnsupported)
	}
	return append(appendU32(nil, n), out...), err
}
