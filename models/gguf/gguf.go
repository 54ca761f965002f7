// Package gguf reads and writes GGUF model files without trusting them.
//
// A GGUF file is a header, typed key-value metadata, a table of tensors and
// the tensors' bytes:
//
//	magic "GGUF" | version u32 | tensors u64 | key-values u64
//	key-value:  key string | type u32 | value
//	tensor:     name string | dims u32 | dim u64 ... | type u32 | offset u64
//	padding to the alignment, then the tensor data
//
// Strings are a u64 length and bytes. Everything is little-endian. Source:
// docs/gguf.md of the ggml repository, versions 2 and 3.
//
// Invariants: every length, count and offset is checked against the file and
// against the limits below before it is used; a parsed File holds only tensors
// that lie wholly inside the file and overlap no other. Nothing is copied: a
// File aliases the bytes it was parsed from, and tensor data is valid as long
// as they are. The package gives no meaning to keys (package models does) and
// does not look at the values of weights.
package gguf

import (
	"errors"
	"fmt"
	"math/bits"
	"sort"

	"verbatim/kernels/quant"
)

// Limits on what a file may contain. They are far above every published model
// and keep a hostile file from making the reader allocate or loop.
const (
	KeyValuesMax     = 1 << 16 // key-value pairs in a file
	KeyBytesMax      = 1<<16 - 1
	StringBytesMax   = 1 << 24 // bytes in one string value
	ArrayElementsMax = 1 << 24 // elements of one array
	ArrayNestingMax  = 2       // an array of arrays, and no deeper
	TensorsMax       = 1 << 16
	TensorNameMax    = 64 // bytes, from the format's description
	DimensionsMax    = 4
	AlignmentDefault = 32
	AlignmentMax     = 1 << 16
)

const alignmentKey = "general.alignment"

// ErrAbsent is wrapped by the typed accessors when the file lacks the key.
var ErrAbsent = errors.New("absent")

// File is a parsed GGUF file.
type File struct {
	Version   uint32
	Alignment int // bytes

	keys    []string
	values  map[string]Value
	tensors []Tensor
	byName  map[string]int
}

// Tensor is one named array of weights.
type Tensor struct {
	Name string
	Type quant.Type
	Dims []int  // Dims[0] is the length of a row: it varies fastest in Data
	Data []byte // aliases the file
}

// Rows is the number of rows of Dims[0] values.
func (t Tensor) Rows() int {
	rows := 1
	for _, dim := range t.Dims[1:] {
		rows *= dim
	}
	return rows
}

// Keys lists the metadata keys in the order of the file.
func (f *File) Keys() []string { return append([]string(nil), f.keys...) }

// Value returns the metadata value of key.
func (f *File) Value(key string) (Value, bool) {
	v, ok := f.values[key]
	return v, ok
}

// Tensors lists the tensors in the order of the file's table.
func (f *File) Tensors() []Tensor { return append([]Tensor(nil), f.tensors...) }

// Tensor returns the tensor of that name.
func (f *File) Tensor(name string) (Tensor, bool) {
	i, ok := f.byName[name]
	if !ok {
		return Tensor{}, false
	}
	return f.tensors[i], true
}

// Parse reads the GGUF file that data holds. The File aliases data.
func Parse(data []byte) (*File, error) {
	r := &reader{data: data}
	f := &File{values: map[string]Value{}, byName: map[string]int{}}
	tensors, keyValues, err := f.parseHeader(r)
	if err != nil {
		return nil, err
	}
	for i := uint64(0); i < keyValues; i++ {
		if err := f.parseKeyValue(r, i); err != nil {
			return nil, err
		}
	}
	if err := f.parseAlignment(); err != nil {
		return nil, err
	}
	places := make([]place, 0, min(tensors, 1024))
	for i := uint64(0); i < tensors; i++ {
		p, err := f.parseTensor(r, i)
		if err != nil {
			return nil, err
		}
		places = append(places, p)
	}
	if err := f.locate(data, r.offset, places); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) parseHeader(r *reader) (tensors, keyValues uint64, err error) {
	magic, err := r.take(4, "magic")
	if err != nil {
		return 0, 0, err
	}
	if string(magic) != "GGUF" {
		return 0, 0, fmt.Errorf("gguf: not a GGUF file: it starts with %q instead of \"GGUF\"", magic)
	}
	if f.Version, err = r.uint32("version"); err != nil {
		return 0, 0, err
	}
	switch {
	case f.Version == 2 || f.Version == 3:
	case f.Version != 0 && f.Version&0xffff == 0:
		return 0, 0, fmt.Errorf("gguf: big-endian file (version field %#x): only little-endian files are supported", f.Version)
	default:
		return 0, 0, fmt.Errorf("gguf: version %d is not supported (supported: 2, 3)", f.Version)
	}
	if tensors, err = r.uint64("tensor count"); err != nil {
		return 0, 0, err
	}
	if tensors > TensorsMax {
		return 0, 0, fmt.Errorf("gguf: %d tensors exceed the limit of %d", tensors, TensorsMax)
	}
	if keyValues, err = r.uint64("key-value count"); err != nil {
		return 0, 0, err
	}
	if keyValues > KeyValuesMax {
		return 0, 0, fmt.Errorf("gguf: %d key-values exceed the limit of %d", keyValues, KeyValuesMax)
	}
	return tensors, keyValues, nil
}

func (f *File) parseKeyValue(r *reader, i uint64) error {
	key, err := r.string(fmt.Sprintf("key %d", i), KeyBytesMax)
	if err != nil {
		return err
	}
	if key == "" {
		return fmt.Errorf("gguf: key %d is empty", i)
	}
	if _, seen := f.values[key]; seen {
		return fmt.Errorf("gguf: key %q appears twice", key)
	}
	what := fmt.Sprintf("type of key %q", key)
	kind, err := r.uint32(what)
	if err != nil {
		return err
	}
	value, err := r.value(fmt.Sprintf("key %q", key), ValueType(kind), 0)
	if err != nil {
		return err
	}
	f.keys = append(f.keys, key)
	f.values[key] = value
	return nil
}

func (f *File) parseAlignment() error {
	f.Alignment = AlignmentDefault
	alignment, err := f.Uint(alignmentKey)
	if errors.Is(err, ErrAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	if alignment == 0 || alignment > AlignmentMax || alignment&(alignment-1) != 0 {
		return fmt.Errorf("gguf: key %q is %d: it must be a power of two up to %d", alignmentKey, alignment, AlignmentMax)
	}
	f.Alignment = int(alignment)
	return nil
}

// place is where a tensor says that its bytes are, relative to the data section.
type place struct {
	offset, bytes uint64
}

func (f *File) parseTensor(r *reader, i uint64) (place, error) {
	name, err := r.string(fmt.Sprintf("name of tensor %d", i), TensorNameMax)
	if err != nil {
		return place{}, err
	}
	if _, seen := f.byName[name]; seen {
		return place{}, fmt.Errorf("gguf: tensor %q appears twice", name)
	}
	what := fmt.Sprintf("tensor %q", name)
	dims, err := r.dims(what)
	if err != nil {
		return place{}, err
	}
	number, err := r.uint32("type of " + what)
	if err != nil {
		return place{}, err
	}
	kind := quant.Type(number)
	if !kind.Supported() {
		return place{}, fmt.Errorf("gguf: tensor %q has type %v, which is not supported (supported: %s)", name, kind, quant.SupportedNames())
	}
	size, err := tensorBytes(kind, dims)
	if err != nil {
		return place{}, fmt.Errorf("gguf: tensor %q: %w", name, err)
	}
	offset, err := r.uint64("offset of " + what)
	if err != nil {
		return place{}, err
	}
	if offset%uint64(f.Alignment) != 0 {
		return place{}, fmt.Errorf("gguf: tensor %q has offset %d, which is not a multiple of the alignment %d", name, offset, f.Alignment)
	}
	f.byName[name] = len(f.tensors)
	f.tensors = append(f.tensors, Tensor{Name: name, Type: kind, Dims: dims})
	return place{offset: offset, bytes: size}, nil
}

// tensorBytes is the size of a tensor; it fails when that does not fit 62 bits.
func tensorBytes(kind quant.Type, dims []int) (uint64, error) {
	rowBytes, err := quant.RowBytes(kind, dims[0])
	if err != nil {
		return 0, err
	}
	size := uint64(rowBytes)
	for _, dim := range dims[1:] {
		high, low := bits.Mul64(size, uint64(dim))
		if high != 0 || low > 1<<62 {
			return 0, fmt.Errorf("dimensions %v overflow", dims)
		}
		size = low
	}
	return size, nil
}

// locate gives every tensor its slice of data. The data section starts at the
// first aligned offset after the header.
func (f *File) locate(data []byte, headerEnd int, places []place) error {
	if len(places) == 0 {
		return nil
	}
	alignment := uint64(f.Alignment)
	start := (uint64(headerEnd) + alignment - 1) / alignment * alignment
	size := uint64(len(data))
	for i, p := range places {
		if start > size || p.offset > size-start || p.bytes > size-start-p.offset {
			return fmt.Errorf("gguf: tensor %q (%d bytes at offset %d of the data, which starts at %d) points outside the file of %d bytes",
				f.tensors[i].Name, p.bytes, p.offset, start, size)
		}
		begin := start + p.offset
		f.tensors[i].Data = data[begin : begin+p.bytes : begin+p.bytes]
	}
	order := make([]int, len(places))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return places[order[a]].offset < places[order[b]].offset })
	for k := 1; k < len(order); k++ {
		before, after := places[order[k-1]], places[order[k]]
		if before.offset+before.bytes > after.offset {
			return fmt.Errorf("gguf: tensors %q and %q overlap: the first ends at offset %d, the second starts at %d",
				f.tensors[order[k-1]].Name, f.tensors[order[k]].Name, before.offset+before.bytes, after.offset)
		}
	}
	return nil
}
