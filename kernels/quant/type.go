// Package quant describes the block formats in which model files keep their
// weights: the type numbers of ggml, the size of a block, and which formats
// the kernels can compute with.
//
// Invariants: a type number never changes its meaning; the sizes here are the
// only ones in the program. The package reads no files.
package quant

import (
	"fmt"
	"strings"
)

// Type is a tensor element format, numbered as in ggml and GGUF files.
type Type uint32

// The type numbers of ggml. Gaps are formats that ggml removed.
const (
	F32     Type = 0
	F16     Type = 1
	Q4_0    Type = 2
	Q4_1    Type = 3
	Q5_0    Type = 6
	Q5_1    Type = 7
	Q8_0    Type = 8
	Q8_1    Type = 9
	Q2_K    Type = 10
	Q3_K    Type = 11
	Q4_K    Type = 12
	Q5_K    Type = 13
	Q6_K    Type = 14
	Q8_K    Type = 15
	IQ2_XXS Type = 16
	IQ2_XS  Type = 17
	IQ3_XXS Type = 18
	IQ1_S   Type = 19
	IQ4_NL  Type = 20
	IQ3_S   Type = 21
	IQ2_S   Type = 22
	IQ4_XS  Type = 23
	I8      Type = 24
	I16     Type = 25
	I32     Type = 26
	I64     Type = 27
	F64     Type = 28
	IQ1_M   Type = 29
	BF16    Type = 30
	TQ1_0   Type = 34
	TQ2_0   Type = 35
	MXFP4   Type = 39
	NVFP4   Type = 40
	Q1_0    Type = 41
	Q2_0    Type = 42
)

// format is one row of the table: a block holds elements values in bytes bytes.
// Zero sizes mean that the format is known by name only.
type format struct {
	name      string
	elements  int
	bytes     int
	supported bool
}

var formats = [...]format{
	F32:     {"F32", 1, 4, true},
	F16:     {"F16", 1, 2, true},
	Q4_0:    {"Q4_0", 32, 18, true},
	Q4_1:    {"Q4_1", 32, 20, true},
	4:       {"Q4_2 (removed from ggml)", 0, 0, false},
	5:       {"Q4_3 (removed from ggml)", 0, 0, false},
	Q5_0:    {"Q5_0", 32, 22, false},
	Q5_1:    {"Q5_1", 32, 24, false},
	Q8_0:    {"Q8_0", 32, 34, true},
	Q8_1:    {"Q8_1", 32, 36, false},
	Q2_K:    {"Q2_K", 256, 84, false},
	Q3_K:    {"Q3_K", 256, 110, false},
	Q4_K:    {"Q4_K", 256, 144, false},
	Q5_K:    {"Q5_K", 256, 176, false},
	Q6_K:    {"Q6_K", 256, 210, false},
	Q8_K:    {"Q8_K", 256, 292, false},
	IQ2_XXS: {"IQ2_XXS", 256, 66, false},
	IQ2_XS:  {"IQ2_XS", 256, 74, false},
	IQ3_XXS: {"IQ3_XXS", 256, 98, false},
	IQ1_S:   {"IQ1_S", 256, 50, false},
	IQ4_NL:  {"IQ4_NL", 32, 18, false},
	IQ3_S:   {"IQ3_S", 256, 110, false},
	IQ2_S:   {"IQ2_S", 256, 82, false},
	IQ4_XS:  {"IQ4_XS", 256, 136, false},
	I8:      {"I8", 1, 1, false},
	I16:     {"I16", 1, 2, false},
	I32:     {"I32", 1, 4, false},
	I64:     {"I64", 1, 8, false},
	F64:     {"F64", 1, 8, false},
	IQ1_M:   {"IQ1_M", 256, 56, false},
	BF16:    {"BF16", 1, 2, true},
	31:      {"Q4_0_4_4 (removed from ggml)", 0, 0, false},
	32:      {"Q4_0_4_8 (removed from ggml)", 0, 0, false},
	33:      {"Q4_0_8_8 (removed from ggml)", 0, 0, false},
	TQ1_0:   {"TQ1_0", 256, 54, false},
	TQ2_0:   {"TQ2_0", 256, 66, false},
	36:      {"IQ4_NL_4_4 (removed from ggml)", 0, 0, false},
	37:      {"IQ4_NL_4_8 (removed from ggml)", 0, 0, false},
	38:      {"IQ4_NL_8_8 (removed from ggml)", 0, 0, false},
	MXFP4:   {"MXFP4", 32, 17, false},
	NVFP4:   {"NVFP4", 0, 0, false},
	Q1_0:    {"Q1_0", 0, 0, false},
	Q2_0:    {"Q2_0", 0, 0, false},
}

func (t Type) format() format {
	if uint64(t) < uint64(len(formats)) {
		return formats[t]
	}
	return format{}
}

// String is ggml's name of the type, or "type N" for a number it does not use.
func (t Type) String() string {
	if name := t.format().name; name != "" {
		return name
	}
	return fmt.Sprintf("type %d", uint32(t))
}

// BlockElements is the number of values in a block; 0 when unknown.
func (t Type) BlockElements() int { return t.format().elements }

// BlockBytes is the size of a block in bytes; 0 when unknown.
func (t Type) BlockBytes() int { return t.format().bytes }

// Supported says whether the kernels compute with this type.
func (t Type) Supported() bool { return t.format().supported }

// SupportedNames lists the supported types in the order of their numbers, for
// error messages.
func SupportedNames() string {
	var names []string
	for _, f := range formats {
		if f.supported {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, ", ")
}

// RowBytes is the size in bytes of a row of cols values. It fails when the
// type is not supported or cols is not a positive multiple of the block.
func RowBytes(t Type, cols int) (int, error) {
	f := t.format()
	if !f.supported {
		return 0, fmt.Errorf("quant: %v is not supported (supported: %s)", t, SupportedNames())
	}
	if cols <= 0 || cols%f.elements != 0 {
		return 0, fmt.Errorf("quant: a row of %d values is not a positive multiple of the %d in a block of %v", cols, f.elements, t)
	}
	blocks := cols / f.elements
	const rowBytesMax = 1 << 30
	if blocks > rowBytesMax/f.bytes {
		return 0, fmt.Errorf("quant: a row of %d values of %v exceeds %d bytes", cols, t, rowBytesMax)
	}
	return blocks * f.bytes, nil
}
