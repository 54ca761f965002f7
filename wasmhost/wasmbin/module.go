// Package wasmbin reads WebAssembly binaries as far as the host needs to, and rewrites them so that they count
// what they execute, stop at a limit, and do the same on every machine.
//
// It is a pure function of bytes: the same input gives the same output everywhere, and nothing in the input makes
// it panic or allocate more than a small multiple of the input. It checks the structure it walks through (section
// order, lengths, indices it has to move) and leaves type checking to the engine that compiles the result.
// It does not read custom sections (they are dropped), 64-bit tables, threads, tail calls, exceptions or GC types. A
// module with one 64-bit memory is read, and its rewriting has a 32-bit one: see memory64.go.
package wasmbin

import (
	"bytes"
	"fmt"
)

// Limits of what Decode accepts, far above any published ao module.
const (
	ModuleBytesMax   = 64 << 20
	FunctionsMax     = 1 << 20 // imported and defined
	LocalsMax        = 50_000  // declared in one function, as in the JavaScript API of WebAssembly
	TableElementsMax = 1 << 20 // Instrument writes this maximum into every table
	WidePagesMax     = 65535   // of a 64-bit memory: 4 GiB less a page, so that address 0xffffffff is never in it
)

// ValueType is the byte that encodes a value type.
type ValueType byte

// The value types of WebAssembly 2.0.
const (
	I32       ValueType = 0x7f
	I64       ValueType = 0x7e
	F32       ValueType = 0x7d
	F64       ValueType = 0x7c
	V128      ValueType = 0x7b
	FuncRef   ValueType = 0x70
	ExternRef ValueType = 0x6f
)

// String names the type as the text format does.
func (t ValueType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	}
	return fmt.Sprintf("type 0x%02x", byte(t))
}

// FuncType is the signature of a function.
type FuncType struct{ Params, Results []ValueType }

// Equal reports whether both signatures are the same.
func (t FuncType) Equal(o FuncType) bool {
	return string(valueBytes(t.Params)) == string(valueBytes(o.Params)) &&
		string(valueBytes(t.Results)) == string(valueBytes(o.Results))
}

// String prints the signature as "(i32,i32)->(i32)".
func (t FuncType) String() string {
	return "(" + joinTypes(t.Params) + ")->(" + joinTypes(t.Results) + ")"
}

func joinTypes(ts []ValueType) string {
	var b bytes.Buffer
	for i, t := range ts {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(t.String())
	}
	return b.String()
}

func valueBytes(ts []ValueType) []byte {
	out := make([]byte, len(ts))
	for i, t := range ts {
		out[i] = byte(t)
	}
	return out
}

// Kind is what an import or export refers to.
type Kind byte

// The kinds of imports and exports.
const (
	KindFunc   Kind = 0
	KindTable  Kind = 1
	KindMemory Kind = 2
	KindGlobal Kind = 3
)

// Import is an imported function. Decode refuses imports of other kinds.
type Import struct {
	Module, Name string
	TypeIndex    uint32
}

// Export is one entry of the export section.
type Export struct {
	Name  string
	Kind  Kind
	Index uint32
}

// Limits are the bounds of a memory (in pages of 64 KiB) or a table (in elements).
type Limits struct {
	Min, Max uint32
	HasMax   bool
	Wide     bool // a memory with 64-bit addresses
}

// Table is a defined table.
type Table struct {
	Type   ValueType
	Limits Limits
}

// Global is a defined global; Init is its constant expression with the final end.
type Global struct {
	Type    ValueType
	Mutable bool
	Init    []byte
}

// Module is a decoded module. Slices alias the input.
type Module struct {
	Types     []FuncType
	Imports   []Import // functions only
	Functions []uint32 // type index of each defined function
	Tables    []Table
	Memory    *Limits
	Globals   []Global
	Exports   []Export
	HasStart  bool
	Elements  [][]byte // one raw element segment each
	DataCount []byte   // raw section, nil if absent
	Code      [][]byte // body of each defined function: locals and expression
	Data      []byte   // raw section, nil if absent
}

// Wide reports whether the module's memory has 64-bit addresses.
func (m *Module) Wide() bool { return m.Memory != nil && m.Memory.Wide }

// ChangesTables reports whether the code has instructions that change tables or drop segments, so that an instance has
// state besides its memory and its globals. Code that cannot be read counts as such.
func (m *Module) ChangesTables() bool {
	for _, body := range m.Code {
		if bytes.IndexByte(body, opTableSet) < 0 && bytes.IndexByte(body, opPrefixMisc) < 0 {
			continue // most functions
		}
		r := &reader{b: body, wide: m.Wide()}
		localDeclarations(r)
		for r.err == nil && r.pos < len(body) {
			switch in := next(r); {
			case in.op == opTableSet, in.op == opPrefixMisc && in.sub >= miscDataDrop && in.sub != miscMemoryCopy && in.sub != miscMemoryFill &&
				in.sub != miscTableSize:
				return true
			}
		}
		if r.err != nil {
			return true
		}
	}
	return false
}

// Type returns the signature of function i, counted over imported and defined functions.
func (m *Module) Type(i uint32) (FuncType, bool) {
	var t uint32
	switch n := uint32(len(m.Imports)); {
	case i < n:
		t = m.Imports[i].TypeIndex
	case int(i-n) < len(m.Functions):
		t = m.Functions[i-n]
	default:
		return FuncType{}, false
	}
	if int(t) >= len(m.Types) {
		return FuncType{}, false
	}
	return m.Types[t], true
}

// ExportOf returns the export with that name.
func (m *Module) ExportOf(name string) (Export, bool) {
	for _, e := range m.Exports {
		if e.Name == name {
			return e, true
		}
	}
	return Export{}, false
}
