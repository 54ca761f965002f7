package gguf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// ValueType is the type number of a metadata value.
type ValueType uint32

// The value types of GGUF.
const (
	TypeUint8   ValueType = 0
	TypeInt8    ValueType = 1
	TypeUint16  ValueType = 2
	TypeInt16   ValueType = 3
	TypeUint32  ValueType = 4
	TypeInt32   ValueType = 5
	TypeFloat32 ValueType = 6
	TypeBool    ValueType = 7
	TypeString  ValueType = 8
	TypeArray   ValueType = 9
	TypeUint64  ValueType = 10
	TypeInt64   ValueType = 11
	TypeFloat64 ValueType = 12
)

// valueTypes names the types; bytes is 0 where the size varies.
var valueTypes = [...]struct {
	name  string
	bytes int
}{
	TypeUint8: {"uint8", 1}, TypeInt8: {"int8", 1}, TypeUint16: {"uint16", 2}, TypeInt16: {"int16", 2},
	TypeUint32: {"uint32", 4}, TypeInt32: {"int32", 4}, TypeFloat32: {"float32", 4}, TypeBool: {"bool", 1},
	TypeString: {"string", 0}, TypeArray: {"array", 0},
	TypeUint64: {"uint64", 8}, TypeInt64: {"int64", 8}, TypeFloat64: {"float64", 8},
}

func (t ValueType) String() string {
	if uint64(t) < uint64(len(valueTypes)) {
		return valueTypes[t].name
	}
	return fmt.Sprintf("value type %d", uint32(t))
}

func (t ValueType) bytes() int {
	if uint64(t) < uint64(len(valueTypes)) {
		return valueTypes[t].bytes
	}
	return 0
}

// Value is one metadata value, still encoded. It aliases the file.
type Value struct {
	Type  ValueType
	Elem  ValueType // of an array
	Count int       // of an array

	raw []byte // the value's bytes; a string's without its length
}

func (v Value) describe() string {
	if v.Type == TypeArray {
		return fmt.Sprintf("array of %d %v", v.Count, v.Elem)
	}
	return v.Type.String()
}

// need returns the value of key, or an error that wraps ErrAbsent.
func (f *File) need(key string) (Value, error) {
	v, ok := f.values[key]
	if !ok {
		return Value{}, fmt.Errorf("gguf: key %q: %w", key, ErrAbsent)
	}
	return v, nil
}

func wrongType(key string, v Value, want string) error {
	return fmt.Errorf("gguf: key %q is %s, want %s", key, v.describe(), want)
}

// String returns the string at key.
func (f *File) String(key string) (string, error) {
	v, err := f.need(key)
	if err != nil {
		return "", err
	}
	if v.Type != TypeString {
		return "", wrongType(key, v, "string")
	}
	return string(v.raw), nil
}

// Bool returns the bool at key.
func (f *File) Bool(key string) (bool, error) {
	v, err := f.need(key)
	if err != nil {
		return false, err
	}
	if v.Type != TypeBool {
		return false, wrongType(key, v, "bool")
	}
	return v.raw[0] == 1, nil
}

// Uint returns the integer at key, of whatever width, if it is not negative.
func (f *File) Uint(key string) (uint64, error) {
	v, err := f.need(key)
	if err != nil {
		return 0, err
	}
	n, negative, ok := integer(v.Type, v.raw)
	if !ok {
		return 0, wrongType(key, v, "an integer")
	}
	if negative {
		return 0, fmt.Errorf("gguf: key %q is %d, want an integer that is not negative", key, int64(n))
	}
	return n, nil
}

// integer decodes an integer of any width; a negative one as its two's complement.
func integer(kind ValueType, raw []byte) (n uint64, negative, ok bool) {
	switch kind {
	case TypeUint8:
		return uint64(raw[0]), false, true
	case TypeUint16:
		return uint64(binary.LittleEndian.Uint16(raw)), false, true
	case TypeUint32:
		return uint64(binary.LittleEndian.Uint32(raw)), false, true
	case TypeUint64:
		return binary.LittleEndian.Uint64(raw), false, true
	}
	var signed int64
	switch kind {
	case TypeInt8:
		signed = int64(int8(raw[0]))
	case TypeInt16:
		signed = int64(int16(binary.LittleEndian.Uint16(raw)))
	case TypeInt32:
		signed = int64(int32(binary.LittleEndian.Uint32(raw)))
	case TypeInt64:
		signed = int64(binary.LittleEndian.Uint64(raw))
	default:
		return 0, false, false
	}
	return uint64(signed), signed < 0, true
}

// Float returns the finite float32 at key (a float64 is rounded to it).
func (f *File) Float(key string) (float32, error) {
	v, err := f.need(key)
	if err != nil {
		return 0, err
	}
	var x float32
	switch v.Type {
	case TypeFloat32:
		x = math.Float32frombits(binary.LittleEndian.Uint32(v.raw))
	case TypeFloat64:
		x = float32(math.Float64frombits(binary.LittleEndian.Uint64(v.raw)))
	default:
		return 0, wrongType(key, v, "a float")
	}
	if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
		return 0, fmt.Errorf("gguf: key %q is %v, want a finite number", key, x)
	}
	return x, nil
}

func (f *File) array(key string, elem ValueType) (Value, error) {
	v, err := f.need(key)
	if err != nil {
		return Value{}, err
	}
	if v.Type != TypeArray || v.Elem != elem {
		return Value{}, wrongType(key, v, "array of "+elem.String())
	}
	return v, nil
}

// Strings returns the array of strings at key.
func (f *File) Strings(key string) ([]string, error) {
	v, err := f.array(key, TypeString)
	if err != nil {
		return nil, err
	}
	list := make([]string, v.Count)
	raw := v.raw
	for i := range list {
		n := binary.LittleEndian.Uint64(raw)
		list[i] = string(raw[8 : 8+n])
		raw = raw[8+n:]
	}
	return list, nil
}

// Floats returns the array of float32 at key.
func (f *File) Floats(key string) ([]float32, error) {
	v, err := f.array(key, TypeFloat32)
	if err != nil {
		return nil, err
	}
	list := make([]float32, v.Count)
	for i := range list {
		list[i] = math.Float32frombits(binary.LittleEndian.Uint32(v.raw[4*i:]))
	}
	return list, nil
}

// Ints returns the array of int32 at key; uint32 elements are taken if they fit.
func (f *File) Ints(key string) ([]int32, error) {
	v, err := f.need(key)
	if err != nil {
		return nil, err
	}
	if v.Type != TypeArray || (v.Elem != TypeInt32 && v.Elem != TypeUint32) {
		return nil, wrongType(key, v, "array of int32")
	}
	list := make([]int32, v.Count)
	for i := range list {
		n := binary.LittleEndian.Uint32(v.raw[4*i:])
		if v.Elem == TypeUint32 && n > math.MaxInt32 {
			return nil, fmt.Errorf("gguf: key %q: element %d is %d, more than %d", key, i, n, math.MaxInt32)
		}
		list[i] = int32(n)
	}
	return list, nil
}
