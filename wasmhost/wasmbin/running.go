package wasmbin

import (
	"bytes"
	"slices"
)

// A module that was compiled with Binaryen's asyncify can leave a call of the host with its stack saved in memory, and come
// back to it later. Its code asks before and after each call, and around all else, in which state it is: running (0),
// unwinding or rewinding. That makes it twice as long.
//
// For a message that does not wait for the host the answer is always 0. With Names.Running, Instrument takes that for
// granted: conditions that follow from it are decided, and code that they exclude is left out. What is left out because the
// answer is known costs what it cost before, so that gas is the same wherever the module calls a function, and at the
// end. In between it may be charged earlier, so after a trap the count can be another: whoever wants it, or gets as far
// as asyncify_start_unwind, has to evaluate the message again with the whole module.

// fate is what becomes of an instruction.
type fate int

const (
	fateStays  fate = iota
	fateSilent      // it is paid for and does nothing
	fateNumber      // it pushes a number instead
	fateBlock       // an if whose condition holds becomes a block
	fateBranch      // a br_if whose condition holds becomes a br
	fateSeam        // an end that is reached only from above
	fateDead        // it is never reached
)

// step is an instruction and what becomes of it.
type step struct {
	in     instruction
	fate   fate
	number int32 // of fateNumber

	otherwise, end int // of what opens a block: the steps of its else, 0 if there is none, and of its end
}

// AsyncState finds the global that holds the state of a module compiled with asyncify. It is 0 at first, and only the four
// exported functions that are there for it write it; nothing in the module calls them.
func (m *Module) AsyncState() (global uint32, ok bool) {
	get, ok := m.ExportOf("asyncify_get_state")
	at := int(get.Index) - len(m.Imports)
	if !ok || get.Kind != KindFunc || at < 0 || at >= len(m.Code) {
		return 0, false
	}
	r := &reader{b: m.Code[at], wide: m.Wide()}
	localDeclarations(r)
	read, end := next(r), next(r)
	global = read.index
	if r.err != nil || read.op != opGlobalGet || end.op != opEnd || int(global) >= len(m.Globals) || m.Globals[global].Type != I32 ||
		!bytes.Equal(m.Globals[global].Init, []byte{opI32Const, 0, opEnd}) {
		return 0, false
	}
	names := []string{"asyncify_start_unwind", "asyncify_stop_unwind", "asyncify_start_rewind", "asyncify_stop_rewind"}
	writers := map[uint32]bool{}
	for _, e := range m.Exports {
		if e.Kind == KindFunc && slices.Contains(names, e.Name) {
			writers[e.Index] = true
		}
	}
	for _, e := range m.Exports {
		if e.Kind == KindFunc && writers[e.Index] && !slices.Contains(names, e.Name) {
			return 0, false // the host might call it by its other name
		}
	}
	return global, m.writtenOnlyBy(global, writers)
}

// writtenOnlyBy reports whether only these functions write a global, and whether only the host can call them.
func (m *Module) writtenOnlyBy(global uint32, writers map[uint32]bool) bool {
	for _, e := range m.Exports {
		if e.Kind == KindGlobal && e.Index == global {
			return false
		}
	}
	fine := true
	see := func(function uint32) uint32 {
		fine = fine && !writers[function]
		return function
	}
	for _, raw := range m.Elements {
		r := &reader{b: raw}
		element(r, see, 0)
		fine = fine && r.err == nil
	}
	for _, g := range m.Globals {
		r := &reader{b: g.Init}
		appendConstExpr(nil, r, see)
		fine = fine && r.err == nil
	}
	for i, body := range m.Code {
		r := &reader{b: body, wide: m.Wide()}
		localDeclarations(r)
		for r.err == nil && r.pos < len(body) {
			switch in := next(r); in.op {
			case opGlobalSet:
				fine = fine && (in.index != global || writers[uint32(len(m.Imports)+i)])
			case opCall, opRefFunc:
				see(in.index)
			}
		}
		fine = fine && r.err == nil
	}
	return fine
}

// known is what is known of a value on the operand stack.
type known struct {
	constant, boolean bool // its value is number; it is 0 or 1
	number            int32
	pure              bool // steps[first:last+1] compute it and do nothing else
	first, last       int
}

// label is a block that is open.
type label struct {
	opener   int  // step
	targeted bool // some branch leads to its end
	twoWays  bool // its end is reached from an if, and from its else
}

// folding decides the conditions of one function.
type folding struct {
	body     []byte
	steps    []step
	global   uint32
	operands []known
	labels   []label
}

// fold reads the code at r and says what becomes of each instruction. The code's nesting has been checked. The steps
// are in the room given, if there is enough.
func fold(r *reader, global uint32, room []step) []step {
	f := folding{body: r.b, global: global, steps: room[:0]}
	var open []int
	for r.err == nil && r.pos < len(r.b) {
		in := next(r)
		at := len(f.steps)
		f.steps = append(f.steps, step{in: in})
		switch in.op {
		case opBlock, opLoop, opIf:
			open = append(open, at)
		case opElse:
			if len(open) > 0 {
				f.steps[open[len(open)-1]].otherwise = at
			}
		case opEnd:
			if len(open) > 0 {
				f.steps[open[len(open)-1]].end = at
				open = open[:len(open)-1]
			}
		}
	}
	for at := 0; at < len(f.steps) && r.err == nil; at++ {
		at = f.step(at)
	}
	return f.steps
}

// step decides about one instruction and gives the last that was decided.
func (f *folding) step(at int) int {
	in := f.steps[at].in
	switch op := in.op; {
	case op == opLocalGet:
		f.push(known{pure: true, first: at, last: at})
	case op == opI32Const:
		f.push(known{pure: true, first: at, last: at, constant: true, number: int32(in.value)})
	case op == opGlobalGet && in.index == f.global:
		f.number(at, known{first: at}, 0)
	case op == opGlobalGet:
		f.push(known{pure: true, first: at, last: at})
	case op == opI32Eqz:
		f.unary(at)
	case op >= opI32Eq && op <= opI32GeU || op == opI32And || op == opI32Or:
		f.binary(at)
	case op == opSelect:
		f.choose(at)
	case op == opBlock || op == opLoop:
		f.operands = f.operands[:0]
		f.labels = append(f.labels, label{opener: at})
	case op == opIf:
		return f.branch(at)
	case op == opElse:
		return f.otherwise(at)
	case op == opEnd:
		f.end(at)
	case op == opBrIf:
		f.jump(at)
	case op == opBr || op == opBrTable:
		f.operands = f.operands[:0]
		f.target(in)
	default:
		f.operands = f.operands[:0]
	}
	return at
}

func (f *folding) push(k known) { f.operands = append(f.operands, k) }

func (f *folding) pop() known {
	n := len(f.operands)
	if n == 0 {
		return known{}
	}
	k := f.operands[n-1]
	f.operands = f.operands[:n-1]
	return k
}

// silence leaves out steps that only compute a value nobody needs.
func (f *folding) silence(first, last int) {
	for i := first; i <= last; i++ {
		f.steps[i].fate = fateSilent
	}
}

// number makes the step at push a number in place of what k computes.
func (f *folding) number(at int, k known, number int32) {
	f.silence(k.first, at)
	f.steps[at].fate, f.steps[at].number = fateNumber, number
	f.push(known{pure: true, first: k.first, last: at, constant: true, boolean: number == 0 || number == 1, number: number})
}

func (f *folding) unary(at int) {
	k := f.pop()
	adjacent := k.pure && k.last == at-1
	switch {
	case k.constant && adjacent:
		f.number(at, k, truth(k.number == 0))
	default:
		f.push(known{boolean: true, pure: adjacent, first: k.first, last: at})
	}
}

func truth(yes bool) int32 {
	if yes {
		return 1
	}
	return 0
}

func (f *folding) binary(at int) {
	right, left := f.pop(), f.pop()
	op := f.steps[at].in.op
	last := right.pure && right.last == at-1
	both := last && left.pure && left.last == right.first-1
	result := known{boolean: op >= opI32Eq && op <= opI32GeU || left.boolean && right.boolean, pure: both, first: left.first, last: at}
	known := both && (left.constant || right.constant)
	constant, other := left, right
	if right.constant {
		constant, other = right, left
	}
	switch {
	case both && left.constant && right.constant && (op == opI32Eq || op == opI32Ne):
		f.number(at, left, truth((left.number == right.number) == (op == opI32Eq)))
	case known && op == opI32And && constant.number == 0:
		f.number(at, left, 0)
	case known && op == opI32Or && constant.number == 1 && other.boolean:
		f.number(at, left, 1)
	case (op == opI32Or && constant.number == 0 || op == opI32And && constant.number == 1 && other.boolean) && constant.constant && last &&
		(right.constant || both):
		// The value is that of the other operand.
		f.silence(constant.first, constant.last)
		f.steps[at].fate = fateSilent
		other.pure = both
		other.first, other.last = result.first, at
		f.push(other)
	default:
		f.push(result)
	}
}

// choose decides a select whose condition is known.
func (f *folding) choose(at int) {
	condition, second, first := f.pop(), f.pop(), f.pop()
	known2 := condition.constant && condition.pure && condition.last == at-1 && second.pure && second.last == condition.first-1
	both := known2 && first.pure && first.last == second.first-1
	switch {
	case known2 && condition.number != 0:
		f.silence(second.first, at)
		first.pure, first.last = both, at
		f.push(first)
	case both:
		f.silence(first.first, first.last)
		f.silence(condition.first, at)
		second.first, second.last = first.first, at
		f.push(second)
	default:
		f.push(known{})
	}
}

// condition is the value on top of the operand stack, if it is known and its code can go.
func (f *folding) condition(at int) (number int32, ok bool) {
	k := f.pop()
	if !k.constant || !k.pure || k.last != at-1 {
		return 0, false
	}
	f.silence(k.first, k.last)
	return k.number, true
}

// branch decides an if.
func (f *folding) branch(at int) int {
	number, ok := f.condition(at)
	f.operands = f.operands[:0]
	elseAt, end := f.steps[at].otherwise, f.steps[at].end
	switch {
	case !ok:
		f.labels = append(f.labels, label{opener: at, twoWays: true})
		return at
	case number != 0:
		f.steps[at].fate = fateBlock
	case elseAt > 0:
		f.steps[at].fate = fateBlock
		f.kill(at+1, elseAt)
		f.labels = append(f.labels, label{opener: at})
		return elseAt
	default:
		f.steps[at].fate = fateSilent
		f.kill(at+1, end)
		return end
	}
	f.labels = append(f.labels, label{opener: at})
	return at
}

func (f *folding) kill(first, last int) {
	for i := first; i <= last; i++ {
		f.steps[i].fate = fateDead
	}
}

// otherwise is the else of an if that stays, or of one whose condition holds.
func (f *folding) otherwise(at int) int {
	f.operands = f.operands[:0]
	n := len(f.labels)
	if n == 0 || f.labels[n-1].twoWays {
		return at
	}
	end := f.steps[f.labels[n-1].opener].end
	f.steps[at].fate = fateSilent
	f.kill(at+1, end-1)
	return end - 1
}

func (f *folding) end(at int) {
	f.operands = f.operands[:0]
	n := len(f.labels)
	if n == 0 {
		return
	}
	if l := f.labels[n-1]; !l.targeted && !l.twoWays {
		f.steps[at].fate = fateSeam
	}
	f.labels = f.labels[:n-1]
}

// jump decides a br_if.
func (f *folding) jump(at int) {
	number, ok := f.condition(at)
	f.operands = f.operands[:0]
	switch {
	case ok && number == 0:
		f.steps[at].fate = fateSilent
		return
	case ok:
		f.steps[at].fate = fateBranch
	}
	f.target(f.steps[at].in)
}

// target notes where a branch leads.
func (f *folding) target(in instruction) {
	r := &reader{b: f.body, pos: in.start + 1}
	n := 0
	if in.op == opBrTable {
		n = int(r.u32())
	}
	for ; n >= 0 && r.err == nil; n-- {
		if depth := int(r.u32()); depth < len(f.labels) {
			l := &f.labels[len(f.labels)-1-depth]
			l.targeted = l.targeted || f.steps[l.opener].in.op != opLoop
		}
	}
}
