package gguf

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// KeyValue is a metadata pair to write. Value is one of uint32, uint64, int32,
// float32, bool, string, []string, []float32, []int32, []uint32 and []bool.
type KeyValue struct {
	Key   string
	Value any
}

// Write writes a version 3 file with the default alignment: the pairs and the
// tensors in the order given. It does not check what Parse checks, so tests can
// write files that Parse must refuse; a general.alignment pair is refused, as
// the tensors would not be where it says.
func Write(w io.Writer, pairs []KeyValue, tensors []Tensor) error {
	e := encoder{}
	e.bytes = append(e.bytes, "GGUF"...)
	e.uint32(3)
	e.uint64(uint64(len(tensors)))
	e.uint64(uint64(len(pairs)))
	for _, pair := range pairs {
		if pair.Key == alignmentKey {
			return fmt.Errorf("gguf: write: key %q is not supported: files are written with alignment %d", alignmentKey, AlignmentDefault)
		}
		e.string(pair.Key)
		if err := e.value(pair.Value); err != nil {
			return fmt.Errorf("gguf: write key %q: %w", pair.Key, err)
		}
	}
	offset := uint64(0)
	for _, t := range tensors {
		e.string(t.Name)
		e.uint32(uint32(len(t.Dims)))
		for _, dim := range t.Dims {
			e.uint64(uint64(dim))
		}
		e.uint32(uint32(t.Type))
		e.uint64(offset)
		offset += uint64(len(t.Data)) + padding(len(t.Data))
	}
	if len(tensors) > 0 {
		e.bytes = append(e.bytes, make([]byte, padding(len(e.bytes)))...)
	}
	if _, err := w.Write(e.bytes); err != nil {
		return fmt.Errorf("gguf: write header: %w", err)
	}
	for _, t := range tensors {
		for _, part := range [][]byte{t.Data, make([]byte, padding(len(t.Data)))} {
			if _, err := w.Write(part); err != nil {
				return fmt.Errorf("gguf: write tensor %q: %w", t.Name, err)
			}
		}
	}
	return nil
}

// padding is the number of bytes from n to the next aligned offset.
func padding(n int) uint64 {
	return uint64((AlignmentDefault - n%AlignmentDefault) % AlignmentDefault)
}

type encoder struct{ bytes []byte }

func (e *encoder) uint32(n uint32) { e.bytes = binary.LittleEndian.AppendUint32(e.bytes, n) }
func (e *encoder) uint64(n uint64) { e.bytes = binary.LittleEndian.AppendUint64(e.bytes, n) }

func (e *encoder) string(s string) {
	e.uint64(uint64(len(s)))
	e.bytes = append(e.bytes, s...)
}

func (e *encoder) boolean(b bool) {
	if b {
		e.bytes = append(e.bytes, 1)
	} else {
		e.bytes = append(e.bytes, 0)
	}
}

func (e *encoder) array(elem ValueType, count int) {
	e.uint32(uint32(TypeArray))
	e.uint32(uint32(elem))
	e.uint64(uint64(count))
}

// value appends a value's type number and bytes.
func (e *encoder) value(value any) error {
	switch v := value.(type) {
	case uint32:
		e.uint32(uint32(TypeUint32))
		e.uint32(v)
	case int32:
		e.uint32(uint32(TypeInt32))
		e.uint32(uint32(v))
	case uint64:
		e.uint32(uint32(TypeUint64))
		e.uint64(v)
	case float32:
		e.uint32(uint32(TypeFloat32))
		e.uint32(math.Float32bits(v))
	case bool:
		e.uint32(uint32(TypeBool))
		e.boolean(v)
	case string:
		e.uint32(uint32(TypeString))
		e.string(v)
	default:
		return e.arrayValue(value)
	}
	return nil
}

func (e *encoder) arrayValue(value any) error {
	switch v := value.(type) {
	case []string:
		e.array(TypeString, len(v))
		for _, s := range v {
			e.string(s)
		}
	case []float32:
		e.array(TypeFloat32, len(v))
		for _, x := range v {
			e.uint32(math.Float32bits(x))
		}
	case []int32:
		e.array(TypeInt32, len(v))
		for _, n := range v {
			e.uint32(uint32(n))
		}
	case []uint32:
		e.array(TypeUint32, len(v))
		for _, n := range v {
			e.uint32(n)
		}
	case []bool:
		e.array(TypeBool, len(v))
		for _, b := range v {
			e.boolean(b)
		}
	default:
		return fmt.Errorf("values of type %T are not supported", value)
	}
	return nil
}
