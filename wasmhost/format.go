package wasmhost

import "verbatim/wasmhost/wasmbin"

// Format names the conventions between module and host, as the tag Module-Format does.
type Format string

// The formats.
const (
	Emscripten4  Format = "wasm32-unknown-emscripten4" // published aos modules: the glue of ao-loader
	Emscripten64 Format = "wasm64-unknown-emscripten-draft_2024_02_15"
	Plain        Format = "wasm32-unknown-plain" // memory, malloc, handle; WASI preview 1 if imported
)

// Formats lists what Compile accepts.
func Formats() []Format { return []Format{Emscripten4, Emscripten64, Plain} }

// conventions are what a format fixes, as far as it differs from others.
type conventions struct {
	emscripten  bool
	wide        bool   // addresses are i64; memory is lowered to 32 bits, so that none in it is above 4 GiB
	heapMax     uint64 // what emscripten's glue takes for the largest memory
	asyncHeader uint32 // bytes before the stack that asyncify unwinds into
}

// conventionsOf gives the conventions of a format.
func conventionsOf(f Format) (conventions, bool) {
	switch f {
	case Emscripten4:
		return conventions{emscripten: true, heapMax: 4_294_901_760, asyncHeader: 12}, true
	case Emscripten64:
		return conventions{emscripten: true, wide: true, heapMax: 16 << 30, asyncHeader: 24}, true
	case Plain:
		return conventions{}, true
	}
	return conventions{}, false
}

// pointerBytes is the size of an address in memory.
func (c conventions) pointerBytes() uint32 {
	if c.wide {
		return 8
	}
	return 4
}

// sig builds a signature from letters: i is i32, j is i64, f is f32, d is f64, p is an address or the size of something in
// memory.
func (c conventions) sig(params, results string) wasmbin.FuncType {
	return wasmbin.FuncType{Params: c.letters(params), Results: c.letters(results)}
}

func (c conventions) letters(s string) []wasmbin.ValueType {
	var out []wasmbin.ValueType
	for _, letter := range s {
		switch {
		case letter == 'i', letter == 'p' && !c.wide:
			out = append(out, wasmbin.I32)
		case letter == 'j', letter == 'p':
			out = append(out, wasmbin.I64)
		case letter == 'f':
			out = append(out, wasmbin.F32)
		case letter == 'd':
			out = append(out, wasmbin.F64)
		}
	}
	return out
}

// detect tells emscripten's modules by the functions that only its linker exports.
func detect(bin *wasmbin.Module) Format {
	switch _, ok := bin.ExportOf("emscripten_stack_init"); {
	case ok && bin.Wide():
		return Emscripten64
	case ok:
		return Emscripten4
	}
	return Plain
}
