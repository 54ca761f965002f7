package wasmbin

import "math"

// DataEnd returns where the last active data segment ends: making an instance writes below it and nowhere else.
// It is math.MaxInt when that cannot be read off the binary.
func (m *Module) DataEnd() int {
	r := &reader{b: m.Data}
	if m.Data == nil {
		return 0
	}
	end := uint64(0)
	for n := r.count("data segments", len(m.Data)); n > 0 && r.err == nil; n-- {
		flags := r.u32()
		if flags == 2 {
			r.u32()
		}
		offset, ok := uint64(0), true
		if flags != 1 {
			offset, ok = constI32(constExpr(r))
		}
		size := r.take(r.u32())
		if !ok || flags > 2 {
			return math.MaxInt
		}
		if flags != 1 {
			end = max(end, offset+uint64(len(size)))
		}
	}
	if r.err != nil {
		return math.MaxInt
	}
	return int(end)
}

// constI32 is the value of the expression "i32.const N", read as unsigned.
func constI32(expr []byte) (uint64, bool) {
	if len(expr) < 3 || expr[0] != opI32Const {
		return 0, false
	}
	var v uint32
	for i, c := range expr[1 : len(expr)-1] {
		v |= uint32(c&0x7f) << (7 * i)
		if last := i == len(expr)-3; (c&0x80 == 0) != last {
			return 0, false
		} else if last && c&0x40 != 0 && i < 4 {
			v |= ^uint32(0) << (7 * (i + 1))
		}
	}
	return uint64(v), true
}
