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
// Zero sizes mean that the format is known by name only. What the kernels
// compute with is floating or has a layout.
type format struct {
	name     string
	elements int
	bytes    int
	floating bool
	layout   *layout
}

var formats = [...]format{
	F32:     {name: "F32", elements: 1, bytes: 4, floating: true},
	F16:     {name: "F16", elements: 1, bytes: 2, floating: true},
	Q4_0:    {name: "Q4_0", elements: 32, bytes: 18, layout: &layoutQ4_0},
	Q4_1:    {name: "Q4_1", elements: 32, bytes: 20, layout: &layoutQ4_1},
	4:       {name: "Q4_2 (removed from ggml)"},
	5:       {name: "Q4_3 (removed from ggml)"},
	Q5_0:    {name: "Q5_0", elements: 32, bytes: 22, layout: &layoutQ5_0},
	Q5_1:    {name: "Q5_1", elements: 32, bytes: 24, layout: &layoutQ5_1},
	Q8_0:    {name: "Q8_0", elements: 32, bytes: 34, layout: &layoutQ8_0},
	Q8_1:    {name: "Q8_1", elements: 32, bytes: 36},
	Q2_K:    {name: "Q2_K", elements: 256, bytes: 84, layout: &layoutQ2_K},
	Q3_K:    {name: "Q3_K", elements: 256, bytes: 110, layout: &layoutQ3_K},
	Q4_K:    {name: "Q4_K", elements: 256, bytes: 144, layout: &layoutQ4_K},
	Q5_K:    {name: "Q5_K", elements: 256, bytes: 176, layout: &layoutQ5_K},
	Q6_K:    {name: "Q6_K", elements: 256, bytes: 210, layout: &layoutQ6_K},
	Q8_K:    {name: "Q8_K", elements: 256, bytes: 292},
	IQ2_XXS: {name: "IQ2_XXS", elements: 256, bytes: 66},
	IQ2_XS:  {name: "IQ2_XS", elements: 256, bytes: 74},
	IQ3_XXS: {name: "IQ3_XXS", elements: 256, bytes: 98},
	IQ1_S:   {name: "IQ1_S", elements: 256, bytes: 50},
	IQ4_NL:  {name: "IQ4_NL", elements: 32, bytes: 18, layout: &layoutIQ4_NL},
	IQ3_S:   {name: "IQ3_S", elements: 256, bytes: 110},
	IQ2_S:   {name: "IQ2_S", elements: 256, bytes: 82},
	IQ4_XS:  {name: "IQ4_XS", elements: 256, bytes: 136, layout: &layoutIQ4_XS},
	I8:      {name: "I8", elements: 1, bytes: 1},
	I16:     {name: "I16", elements: 1, bytes: 2},
	I32:     {name: "I32", elements: 1, bytes: 4},
	I64:     {name: "I64", elements: 1, bytes: 8},
	F64:     {name: "F64", elements: 1, bytes: 8},
	IQ1_M:   {name: "IQ1_M", elements: 256, bytes: 56},
	BF16:    {name: "BF16", elements: 1, bytes: 2, floating: true},
	31:      {name: "Q4_0_4_4 (removed from ggml)"},
	32:      {name: "Q4_0_4_8 (removed from ggml)"},
	33:      {name: "Q4_0_8_8 (removed from ggml)"},
	TQ1_0:   {name: "TQ1_0", elements: 256, bytes: 54},
	TQ2_0:   {name: "TQ2_0", elements: 256, bytes: 66},
	36:      {name: "IQ4_NL_4_4 (removed from ggml)"},
	37:      {name: "IQ4_NL_4_8 (removed from ggml)"},
	38:      {name: "IQ4_NL_8_8 (removed from ggml)"},
	MXFP4:   {name: "MXFP4", elements: 32, bytes: 17},
	NVFP4:   {name: "NVFP4"},
	Q1_0:    {name: "Q1_0"},
	Q2_0:    {name: "Q2_0"},
}

func (f *format) supported() bool { return f.floating || f.layout != nil }

// format is the row of t. Unknown numbers have an empty one.
func (t Type) format() *format {
	if uint64(t) < uint64(len(formats)) {
		return &formats[t]
	}
	return &format{}
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
func (t Type) Supported() bool { return t.format().supported() }

// SupportedNames lists the supported types in the order of their numbers, for
// error messages.
func SupportedNames() string {
	var names []string
	for i := range formats {
		if f := &formats[i]; f.supported() {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, ", ")
}

// RowBytes is the size in bytes of a row of cols values. It fails when the
// type is not supported or cols is not a positive multiple of the block.
func RowBytes(t Type, cols int) (int, error) {
	f := t.format()
	if !f.supported() {
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
