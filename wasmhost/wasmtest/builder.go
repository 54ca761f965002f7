// Package wasmtest assembles small WebAssembly modules for tests, so that fixtures are readable and no binary is
// committed. It checks nothing: tests also want modules that are wrong.
package wasmtest

// Value types, as single letters in signatures: i is i32, j is i64, f is f32, d is f64.
func valueTypes(letters string) []byte {
	out := U32(uint32(len(letters)))
	for _, c := range letters {
		out = append(out, map[rune]byte{'i': 0x7f, 'j': 0x7e, 'f': 0x7d, 'd': 0x7c, 'v': 0x7b}[c])
	}
	return out
}

// Module is what a fixture consists of. Function indices count imports first.
type Module struct {
	Imports    []Import
	Functions  []Function
	Globals    []Global
	PagesMin   uint32
	PagesMax   uint32 // 0: none
	NoMemory   bool
	Wide       bool     // the memory has 64-bit addresses
	Table      []uint32 // function indices in table 0 from slot 0
	TableName  string   // exports table 0
	Data       []Data
	Passive    [][]byte // segments after those of Data
	MoreExport []string // further names for function 0, to provoke clashes
	Start      *uint32
}

// Import is an imported function.
type Import struct{ Module, Name, Params, Results string }

// Function is a defined function; Code is its expression without the final end.
type Function struct {
	Export, Params, Results string
	Locals                  string // one letter each
	Code                    []byte
}

// Global is an i64 global (i32 if Letter says so).
type Global struct {
	Letter  byte
	Mutable bool
	Init    int64
}

// Data is an active segment.
type Data struct {
	Offset uint32
	Bytes  []byte
}

// Bytes encodes the module.
func (m Module) Bytes() []byte {
	var types, imports, functions, code, exports [][]byte
	for _, im := range m.Imports {
		imports = append(imports, Code(Name(im.Module), Name(im.Name), 0, U32(uint32(len(types)))))
		types = append(types, Code(0x60, valueTypes(im.Params), valueTypes(im.Results)))
	}
	for i, f := range m.Functions {
		functions = append(functions, U32(uint32(len(types))))
		types = append(types, Code(0x60, valueTypes(f.Params), valueTypes(f.Results)))
		var locals [][]byte
		for _, l := range f.Locals {
			locals = append(locals, Code(1, valueTypes(string(l))[1:]))
		}
		body := Code(vector(locals), f.Code, 0x0b)
		code = append(code, Code(U32(uint32(len(body))), body))
		if f.Export != "" {
			exports = append(exports, Code(Name(f.Export), 0, U32(uint32(len(m.Imports)+i))))
		}
	}
	if m.TableName != "" {
		exports = append(exports, Code(Name(m.TableName), 1, 0))
	}
	for _, name := range m.MoreExport {
		exports = append(exports, Code(Name(name), 0, 0))
	}
	out := []byte{0, 'a', 's', 'm', 1, 0, 0, 0}
	out = section(out, 1, vector(types))
	out = section(out, 2, vector(imports))
	out = section(out, 3, vector(functions))
	if m.Table != nil {
		out = section(out, 4, Code(1, 0x70, 0, U32(uint32(len(m.Table)))))
	}
	if !m.NoMemory {
		exports = append(exports, Code(Name("memory"), 2, 0))
		limits := Code(m.wideFlag(), U32(m.PagesMin))
		if m.PagesMax != 0 {
			limits = Code(m.wideFlag()|1, U32(m.PagesMin), U32(m.PagesMax))
		}
		out = section(out, 5, Code(1, limits))
	}
	out = section(out, 6, m.globals())
	out = section(out, 7, vector(exports))
	if m.Start != nil {
		out = section(out, 8, U32(*m.Start))
	}
	if m.Table != nil {
		var slots [][]byte
		for _, f := range m.Table {
			slots = append(slots, U32(f))
		}
		out = section(out, 9, Code(1, 0, 0x41, 0, 0x0b, vector(slots)))
	}
	if m.Passive != nil {
		out = section(out, 12, U32(uint32(len(m.Data)+len(m.Passive))))
	}
	out = section(out, 10, vector(code))
	return section(out, 11, m.data())
}

func (m Module) wideFlag() int {
	if m.Wide {
		return 4
	}
	return 0
}

func (m Module) data() []byte {
	var data [][]byte
	for _, d := range m.Data {
		offset := I32(int32(d.Offset))
		if m.Wide {
			offset = I64(int64(d.Offset))
		}
		data = append(data, Code(0, offset, 0x0b, U32(uint32(len(d.Bytes))), d.Bytes))
	}
	for _, p := range m.Passive {
		data = append(data, Code(1, U32(uint32(len(p))), p))
	}
	return vector(data)
}

func (m Module) globals() []byte {
	var globals [][]byte
	for _, g := range m.Globals {
		letter, op := g.Letter, byte(0x42)
		if letter == 0 {
			letter = 'j'
		}
		if letter == 'i' {
			op = 0x41
		}
		mutable := byte(0)
		if g.Mutable {
			mutable = 1
		}
		globals = append(globals, Code(valueTypes(string(letter))[1:], mutable, op, signed(g.Init), 0x0b))
	}
	return vector(globals)
}

func section(out []byte, id byte, body []byte) []byte {
	return append(append(append(out, id), U32(uint32(len(body)))...), body...)
}

func vector(items [][]byte) []byte {
	out := U32(uint32(len(items)))
	for _, it := range items {
		out = append(out, it...)
	}
	return out
}

// Code joins opcodes (int) and encoded pieces ([]byte).
func Code(parts ...any) []byte {
	var out []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			out = append(out, byte(p))
		case byte:
			out = append(out, p)
		case []byte:
			out = append(out, p...)
		default:
			panic("wasmtest: Code takes int, byte and []byte")
		}
	}
	return out
}

// U32 encodes an unsigned LEB128.
func U32(v uint32) []byte {
	var out []byte
	for v >= 0x80 {
		out, v = append(out, byte(v)|0x80), v>>7
	}
	return append(out, byte(v))
}

func signed(v int64) []byte {
	var out []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(out, c)
		}
		out = append(out, c|0x80)
	}
}

// I32 is the instruction i32.const.
func I32(v int32) []byte { return append([]byte{0x41}, signed(int64(v))...) }

// I64 is the instruction i64.const.
func I64(v int64) []byte { return append([]byte{0x42}, signed(v)...) }

// Name encodes a name.
func Name(s string) []byte { return append(U32(uint32(len(s))), s...) }

// ImportOf is a list of one import.
func ImportOf(module, name, params, results string) []Import {
	return []Import{{module, name, params, results}}
}

// DataAt is an active segment.
func DataAt(offset uint32, text string) Data { return Data{offset, []byte(text)} }

// Mutable is a mutable global.
func Mutable(letter byte, init int64) Global { return Global{letter, true, init} }
