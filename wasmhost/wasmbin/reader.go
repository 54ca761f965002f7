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
	b   []byte
	pos int
	err error
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

// skipSigned skips a signed LEB128 of at most bits bits.
func (r *reader) skipSigned(bits int) {
	for n := 0; n < (bits+6)/7; n++ {
		if r.u8()&0x80 == 0 {
			return
		}
	}
	r.fail("signed integer longer than %d bits", bits)
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
