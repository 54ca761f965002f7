package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// reader walks the header of a file. Every method checks what it takes.
type reader struct {
	data   []byte
	offset int
}

func (r *reader) left() uint64 { return uint64(len(r.data) - r.offset) }

func (r *reader) take(n uint64, what string) ([]byte, error) {
	if n > r.left() {
		return nil, fmt.Errorf("gguf: file ends inside %s: %d bytes wanted at offset %d, %d left", what, n, r.offset, r.left())
	}
	b := r.data[r.offset : r.offset+int(n) : r.offset+int(n)]
	r.offset += int(n)
	return b, nil
}

func (r *reader) uint32(what string) (uint32, error) {
	b, err := r.take(4, what)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (r *reader) uint64(what string) (uint64, error) {
	b, err := r.take(8, what)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

func (r *reader) stringBytes(what string, bytesMax uint64) ([]byte, error) {
	n, err := r.uint64(what)
	if err != nil {
		return nil, err
	}
	if n > bytesMax {
		return nil, fmt.Errorf("gguf: %s has %d bytes, more than the limit of %d", what, n, bytesMax)
	}
	return r.take(n, what)
}

func (r *reader) string(what string, bytesMax uint64) (string, error) {
	b, err := r.stringBytes(what, bytesMax)
	return string(b), err
}

// dims reads the shape of a tensor: each dimension is positive and fits an int.
func (r *reader) dims(what string) ([]int, error) {
	n, err := r.uint32("dimension count of " + what)
	if err != nil {
		return nil, err
	}
	if n == 0 || n > DimensionsMax {
		return nil, fmt.Errorf("gguf: %s has %d dimensions (1 to %d are allowed)", what, n, DimensionsMax)
	}
	dims := make([]int, n)
	for i := range dims {
		dim, err := r.uint64("dimensions of " + what)
		if err != nil {
			return nil, err
		}
		if dim == 0 || dim > math.MaxInt32 {
			return nil, fmt.Errorf("gguf: %s has dimension %d of size %d (1 to %d are allowed)", what, i, dim, math.MaxInt32)
		}
		dims[i] = int(dim)
	}
	return dims, nil
}

// value reads a value of the given type. nesting counts the arrays around it.
func (r *reader) value(what string, kind ValueType, nesting int) (Value, error) {
	switch kind {
	case TypeString:
		raw, err := r.stringBytes(what, StringBytesMax)
		return Value{Type: TypeString, raw: raw}, err
	case TypeArray:
		return r.array(what, nesting+1)
	}
	size := kind.bytes()
	if size == 0 {
		return Value{}, fmt.Errorf("gguf: %s has unknown value type %d", what, uint32(kind))
	}
	raw, err := r.take(uint64(size), what)
	if err != nil {
		return Value{}, err
	}
	if kind == TypeBool && raw[0] > 1 {
		return Value{}, fmt.Errorf("gguf: %s is a bool with byte %d (0 or 1 are allowed)", what, raw[0])
	}
	return Value{Type: kind, raw: raw}, nil
}

// array checks an array and remembers where its elements lie; they are decoded
// when asked for.
func (r *reader) array(what string, nesting int) (Value, error) {
	if nesting > ArrayNestingMax {
		return Value{}, fmt.Errorf("gguf: %s nests arrays deeper than the limit of %d", what, ArrayNestingMax)
	}
	kind, err := r.uint32("element type of " + what)
	if err != nil {
		return Value{}, err
	}
	count, err := r.uint64("length of " + what)
	if err != nil {
		return Value{}, err
	}
	if count > ArrayElementsMax {
		return Value{}, fmt.Errorf("gguf: %s has %d elements, more than the limit of %d", what, count, ArrayElementsMax)
	}
	v := Value{Type: TypeArray, Elem: ValueType(kind), Count: int(count)}
	begin := r.offset
	switch size := v.Elem.bytes(); {
	case size > 0 && v.Elem != TypeBool:
		v.raw, err = r.take(count*uint64(size), what)
		return v, err
	case size == 0 && v.Elem != TypeString && v.Elem != TypeArray:
		return Value{}, fmt.Errorf("gguf: %s has elements of unknown value type %d", what, kind)
	}
	for i := uint64(0); i < count; i++ {
		if _, err := r.value(what, v.Elem, nesting); err != nil {
			return Value{}, fmt.Errorf("%w (element %d of %d)", err, i, count)
		}
	}
	v.raw = r.data[begin:r.offset:r.offset]
	return v, nil
}
