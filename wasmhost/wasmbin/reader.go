package wasmbin

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// ErrMalformed is in the chain of every error about the structure of a binary.
var ErrMalformed = errors.New("wasm binary malformed")

// ErrUnsupported is in the chain of every error about a feature this package does not handle.
var ErrUnsupported = errors.New("wasm feature not supported")

// reader is a cursor over bytes that remembers its first error; after it, reads give zeros.
type reader struct {
	b    []byte
	pos  int
	err  error
	wide bool // the module's memory has 64-bit addresses, so offsets of loads and stores have too
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: offset %d: %s", ErrMalformed, r.pos, fmt.Sprintf(format, args...))
	}
}

func (r *reader) unsupported(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: offset %d: %s", ErrUnsupported, r.pos, fmt.Sprintf(format, args...))
	}
}

func (r *reader) done() bool { return r.err != nil || r.pos >= len(r.b) }

func (r *reader) u8() byte {
	if r.err != nil {
		return 0
	}
	if r.pos >= len(r.b) {
		r.fail("unexpected end")
		return 0
	}
	r.pos++
	return r.b[r.pos-1]
}

// u32 reads an unsigned LEB128 of at most 32 bits.
func (r *reader) u32() uint32 {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		c := r.u8()
		v |= uint64(c&0x7f) << shift
		if c&0x80 == 0 {
			if v > 0xffffffff {
				r.fail("integer beyond 32 bits")
			}
			return uint32(v)
		}
	}
	r.fail("integer longer than 5 bytes")
	return 0
}

// u64 reads an unsigned LEB128 of at most 64 bits.
func (r *reader) u64() uint64 {
	var v uint64
	for shift := 0; shift < 70; shift += 7 {
		c := r.u8()
		if shift == 63 && c > 1 {
			r.fail("integer beyond 64 bits")
			return 0
		}
		v |= uint64(c&0x7f) << shift
		if c&0x80 == 0 {
			return v
		}
	}
	r.fail("integer longer than 10 bytes")
	return 0
}

// skipSigned skips a signed LEB128 of at most bits bits.
func (r *reader) skipSigned(bits int) {
	for n := 0; n < (bits+6)/7; n++ {
		if r.u8()&0x80 == 0 {
			return
		}
	}
	r.fail("signed integer longer than %d bits", bits)
}

// signed64 reads a signed LEB128 of at most 64 bits.
func (r *reader) signed64() int64 {
	var v int64
	for shift := 0; shift < 70; shift += 7 {
		c := r.u8()
		v |= int64(c&0x7f) << shift
		if c&0x80 == 0 {
			if c&0x40 != 0 && shift < 57 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
	r.fail("signed integer longer than 64 bits")
	return 0
}

func (r *reader) take(n uint32) []byte {
	if r.err != nil {
		return nil
	}
	if uint64(n) > uint64(len(r.b)-r.pos) {
		r.fail("length %d beyond the end", n)
		return nil
	}
	out := r.b[r.pos : r.pos+int(n)]
	r.pos += int(n)
	return out
}

func (r *reader) name() string {
	b := r.take(r.u32())
	if !utf8.Valid(b) {
		r.fail("name is not UTF-8")
		return ""
	}
	return string(b)
}

// count reads a vector length; each element takes at least one byte, so it cannot exceed what is left.
func (r *reader) count(what string, max int) int {
	n := r.u32()
	if r.err == nil && (uint64(n) > uint64(len(r.b)-r.pos) || uint64(n) > uint64(max)) {
		r.fail("%d %s are too many", n, what)
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

func (r *reader) valueTypes(max int) []ValueType {
	n := r.count("value types", max)
	out := make([]ValueType, 0, n)
	for i := 0; i < n; i++ {
		out = append(out, r.valueType())
	}
	return out
}

func (r *reader) valueType() ValueType {
	t := ValueType(r.u8())
	switch t {
	case I32, I64, F32, F64, V128, FuncRef, ExternRef:
	default:
		r.unsupported("value type 0x%02x", byte(t))
	}
	return t
}

// limits reads the bounds of a table or a 32-bit memory.
func (r *reader) limits(what string) Limits {
	flag := r.u8()
	switch {
	case flag&4 != 0:
		r.unsupported("64-bit %s", what)
	case flag > 1:
		r.unsupported("shared %s (limits flag %d)", what, flag)
	}
	l := Limits{Min: r.u32(), HasMax: flag == 1}
	if l.HasMax {
		l.Max = r.u32()
	}
	return l
}

// memoryLimits reads the bounds of a memory. Those of a 64-bit one are cut to what a 32-bit one can have: the maximum is
// always set, and a memory that needs more from the start is refused.
func (r *reader) memoryLimits() Limits {
	if r.pos >= len(r.b) || r.b[r.pos]&^1 != limitsWide {
		return r.limits("memory")
	}
	l := Limits{Wide: true, HasMax: true, Max: WidePagesMax}
	flag, least := r.u8(), r.u64()
	if least > WidePagesMax {
		r.unsupported("64-bit memory of %d pages; the limit is %d", least, WidePagesMax)
		return l
	}
	l.Min = uint32(least)
	if flag&1 != 0 {
		l.Max = uint32(min(r.u64(), WidePagesMax))
	}
	return l
}

// limitsWide is the bit of the limits flag that says 64-bit addresses.
const limitsWide = 4

func appendU32(out []byte, v uint32) []byte {
	for v >= 0x80 {
		out = append(out, byte(v)|0x80)
		v >>= 7
	}
	return append(out, byte(v))
}

func appendI64(out []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(out, c)
		}
		out = append(out, c|0x80)
	}
}

func appendName(out []byte, s string) []byte {
	return append(appendU32(out, uint32(len(s))), s...)
}
