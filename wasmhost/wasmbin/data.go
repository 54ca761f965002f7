package wasmbin

import "math"

// DataEnd returns where the last active data segment ends: making an instance writes below it and nowhere else.
// It is math.MaxInt when that cannot be read off the binary.
func (m *Module) DataEnd() int {
	end, known := uint64(0), true
	err := m.dataSegments(func(s dataSegment) {
		if s.expr == nil {
			return
		}
		offset, ok := constAddress(s.expr)
		known = known && ok && offset <= math.MaxUint32
		end = max(end, offset+uint64(len(s.bytes)))
	})
	if err != nil || !known {
		return math.MaxInt
	}
	return int(end)
}

// dataSegment is an active segment, or a passive one with expr nil.
type dataSegment struct{ expr, bytes []byte }

// dataSegments calls f for each segment.
func (m *Module) dataSegments(f func(dataSegment)) error {
	if m.Data == nil {
		return nil
	}
	r := &reader{b: m.Data}
	for n := r.count("data segments", len(m.Data)); n > 0 && r.err == nil; n-- {
		flags := r.u32()
		if flags == 2 && r.u32() != 0 {
			r.unsupported("memory index other than 0")
		}
		if flags > 2 {
			r.fail("data segment of form %d", flags)
		}
		var s dataSegment
		if flags != 1 {
			s.expr = constExpr(r)
		}
		if s.bytes = r.take(r.u32()); r.err == nil {
			f(s)
		}
	}
	return r.err
}

// constAddress is the value of the expression "i32.const N" or "i64.const N", read as unsigned.
func constAddress(expr []byte) (uint64, bool) {
	if len(expr) < 3 {
		return 0, false
	}
	r := &reader{b: expr[:len(expr)-1], pos: 1}
	v := r.signed64()
	if r.err != nil || !r.done() {
		return 0, false
	}
	switch expr[0] {
	case opI32Const:
		return uint64(uint32(v)), true
	case opI64Const:
		return uint64(v), true
	}
	return 0, false
}
