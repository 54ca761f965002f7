package wasmhost

import (
	"slices"

	"verbatim/wasmhost/wasmbin"
)

// Format names the conventions between module and host, as the tag Module-Format does.
type Format string

// The formats.
const (
	Emscripten1  Format = "wasm32-unknown-emscripten"  // minified names, gas counted by the module
	Emscripten2  Format = "wasm32-unknown-emscripten2" // gas counted by the module
	Emscripten3  Format = "wasm32-unknown-emscripten3"
	Emscripten4  Format = "wasm32-unknown-emscripten4" // published aos modules: the glue of ao-loader
	Emscripten64 Format = "wasm64-unknown-emscripten-draft_2024_02_15"
	Metering32   Format = "wasm32-unknown-emscripten-metering" // Emscripten4 with the reference's gas
	Metering64   Format = "wasm64-unknown-emscripten-draft_2024_10_16-metering"
	Plain        Format = "wasm32-unknown-plain" // memory, malloc, handle; WASI preview 1 if imported
)

// Formats lists what Compile accepts.
func Formats() []Format {
	return []Format{Emscripten1, Emscripten2, Emscripten3, Emscripten4, Emscripten64, Metering32, Metering64, Plain}
}

// CountsReferenceGas reports whether the gas limit of a call holds for gas as the reference counts it.
func (f Format) CountsReferenceGas() bool {
	c, _ := conventionsOf(f)
	return c.gas == gasReference || c.gas == gasByModule
}

// gasKind says what a format's evaluations report as gas used.
type gasKind int

const (
	gasOwn       gasKind = iota // what the host counts
	gasZero                     // nothing
	gasByModule                 // what the module counts itself
	gasReference                // what the reference's instrumentation counts
)

// conventions are what a format fixes, as far as it differs from others.
type conventions struct {
	emscripten  bool
	gas         gasKind
	wide        bool   // addresses are i64; memory is lowered to 32 bits, so that none in it is above 4 GiB
	heapMax     uint64 // what emscripten's glue takes for the largest memory
	asyncHeader uint32 // bytes before the stack that asyncify unwinds into; 0: not used

	stackSave, stackAlloc, stackRestore string // the module's functions
	setTempRet                          string // takes the upper half of a 64-bit result

	// What only formats before Emscripten4 have; see early.go.
	early        bool
	main         mainKind
	roomyStrings bool
	time32       bool // 32-bit time_t
	noFiles      bool // no files, no stack cookies, minified names
}

const (
	heapMaxEarly = 524_288_000
	heapMaxLate  = 4_294_901_760
)

// conventionsOf gives the conventions of a format.
func conventionsOf(f Format) (conventions, bool) {
	early := conventions{emscripten: true, gas: gasByModule, early: true,
		stackSave: "stackSave", stackAlloc: "stackAlloc", stackRestore: "stackRestore", setTempRet: "setTempRet0"}
	late := conventions{emscripten: true, gas: gasZero, heapMax: heapMaxLate, asyncHeader: 12, stackSave: "emscripten_stack_get_current",
		stackAlloc: "_emscripten_stack_alloc", stackRestore: "_emscripten_stack_restore", setTempRet: "_emscripten_tempret_set"}
	switch f {
	case Emscripten1:
		c := early
		c.heapMax, c.main, c.roomyStrings, c.time32, c.noFiles = heapMaxEarly, mainBare, true, true, true
		return c, true
	case Emscripten2:
		c := early
		c.heapMax, c.main, c.roomyStrings, c.time32 = heapMaxEarly, mainNamed, true, true
		return c, true
	case Emscripten3:
		c := early
		c.heapMax, c.main = heapMaxLate, mainBare
		return c, true
	case Emscripten4:
		return late, true
	case Emscripten64:
		c := late
		c.wide, c.heapMax, c.asyncHeader = true, 16<<30, 24
		return c, true
	case Metering32, Metering64:
		c, _ := conventionsOf(map[Format]Format{Metering32: Emscripten4, Metering64: Emscripten64}[f])
		c.gas = gasReference
		return c, true
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
	has := func(name string) bool { _, ok := bin.ExportOf(name); return ok }
	imports := func(name string) bool {
		return slices.ContainsFunc(bin.Imports, func(im wasmbin.Import) bool { return im.Name == name })
	}
	switch {
	case len(bin.Imports) > 0 && bin.Imports[0].Module == "a":
		return Emscripten1
	case !has("emscripten_stack_init"):
		return Plain
	case bin.Wide():
		return Emscripten64
	case has("_emscripten_stack_alloc"):
		return Emscripten4
	case imports("emscripten_memcpy_js"):
		return Emscripten3
	}
	return Emscripten2
}
