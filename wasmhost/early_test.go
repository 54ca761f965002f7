package wasmhost_test

import (
	"os"
	"path/filepath"
	"testing"

	"verbatim/wasmhost"
	. "verbatim/wasmhost/wasmtest"
)

// gluedModule is a module of format Emscripten3, of which none is published: its handle calls what the glue offers, with
// fixed arguments, and leaves all results in memory.
func gluedModule() []byte {
	env := func(name, params, results string) Import { return ImportOf("env", name, params, results)[0] }
	wasi := func(name, params string) Import { return ImportOf("wasi_snapshot_preview1", name, params, "i")[0] }
	imports := []Import{env("invoke_vii", "iii", ""), env("_emscripten_throw_longjmp", "", ""), env("emscripten_date_now", "", "d"),
		env("emscripten_get_now", "", "d"), env("emscripten_memcpy_js", "iii", ""), env("emscripten_resize_heap", "i", "i"),
		env("strftime", "iiii", "i"), env("_tzset_js", "iiii", ""), env("_gmtime_js", "iii", ""), env("_localtime_js", "iii", ""),
		env("_mktime_js", "i", "i"), wasi("environ_sizes_get", "ii"), wasi("environ_get", "ii"), wasi("fd_write", "iiii"),
		wasi("fd_seek", "iiiii"), env("_emscripten_system", "i", "i"), env("__syscall_fcntl64", "iii", "i"), env("__syscall_ioctl", "iii", "i")}
	at := int32(70000)
	// keep stores the result of code, 4 bytes or with 'd' 8.
	keep := func(kind byte, code ...any) []byte {
		at += 8
		if kind == 'd' {
			return Code(I32(at), Code(code...), 0x39, 3, 0)
		}
		return Code(I32(at), Code(code...), opStore, 2, 0)
	}
	call := func(f int, args ...int32) []byte {
		var out []byte
		for _, a := range args {
			out = append(out, I32(a)...)
		}
		return Code(out, opCall, f)
	}
	const text, tm = 2000, 71000
	handle := Code(
		keep('i', I32(0), 0x28, 2, U32(72900), I32(1), opAdd), I32(72900), I32(0), 0x28, 2, U32(72900), I32(1), opAdd, opStore, 2, 0,
		keep('d', opCall, 2), keep('d', opCall, 3), keep('d', opCall, 2),
		call(7, tm+300, tm+304, tm+308, tm+340), call(8, 1700000000, 0, tm), call(9, 1<<30, 1, tm+100),
		keep('i', call(6, tm+400, 200, text, tm)), keep('i', call(6, tm+600, 200, text+100, tm)), keep('i', call(10, tm+100)),
		keep('i', call(11, tm+800, tm+804)), keep('i', call(12, tm+812, tm+900)),
		keep('i', call(13, 1, text+200, 1, tm+1100)), keep('i', call(14, 1, 0, 0, 0, tm+1112)), keep('i', call(15, 0)), keep('i', call(15, text)),
		keep('i', call(16, 1, 3, 0)), keep('i', call(16, 9, 3, 0)), keep('i', call(17, 1, 21523, text+220)),
		call(0, 1, 5, 6), call(0, 0, 7, 8), call(4, 73000, text, 50), call(4, 131000, text, 5000),
		keep('i', call(5, 200000)), keep('d', opCall, 2), I32(1024))
	const sp = 0
	vector := Code(byte(text&255), byte(text>>8), 0, 0, 5, 0, 0, 0)
	size := []byte{0x30, 0x17, 1, 0, 0, 0, 0, 0} // a pointer to 71472
	m := Module{Imports: imports, PagesMin: 2, PagesMax: 40, Table: []uint32{19, 20}, TableName: "__indirect_function_table",
		Globals: []Global{Mutable('i', 65536), Mutable('i', 0)},
		Functions: []Function{
			{Export: "handle", Params: "ii", Results: "i", Code: handle},
			{Params: "ii", Code: Code(opGlobalGet, 0, I32(64), 0x6b, opGlobalSet, 0, opCall, 1)},       // 19: jumps
			{Params: "ii", Code: Code(I32(72800), opLocalGet, 0, opLocalGet, 1, opAdd, opStore, 2, 0)}, // 20: returns
			{Export: "main", Params: "ii", Results: "i", Code: Code(I32(72700), I32(77), opStore, 2, 0, I32(0))},
			{Export: "__wasm_call_ctors", Code: Code(I32(72600), I32(66), opStore, 2, 0)},
			{Export: "fflush", Params: "i", Results: "i", Code: Code(I32(72500), I32(55), opStore, 2, 0, I32(0))},
			{Export: "emscripten_stack_init"},
			{Export: "emscripten_stack_get_end", Results: "i", Code: I32(4096)},
			{Export: "emscripten_stack_get_free", Results: "i", Code: I32(0)},
			{Export: "emscripten_stack_get_base", Results: "i", Code: I32(65536)},
			{Export: "emscripten_stack_get_current", Results: "i", Code: Code(opGlobalGet, sp)},
			{Export: "stackSave", Results: "i", Code: Code(opGlobalGet, sp)},
			{Export: "stackRestore", Params: "i", Code: Code(opLocalGet, 0, opGlobalSet, sp)},
			{Export: "stackAlloc", Params: "i", Results: "i",
				Code: Code(opGlobalGet, sp, opLocalGet, 0, 0x6b, I32(-16), 0x71, opGlobalSet, sp, opGlobalGet, sp)},
			{Export: "setThrew", Params: "ii", Code: Code(I32(72400), opLocalGet, 0, opStore, 2, 0)},
			{Export: "setTempRet0", Params: "i", Code: Code(I32(72300), opLocalGet, 0, opStore, 2, 0)},
		},
		Data: []Data{DataAt(1024, `{"ok":true,"response":{"Output":"done","Messages":[],"Spawns":[],"Assignments":[]}}`+"\x00"),
			DataAt(text, "%c|%D|%j|%U|%Z|%z\x00"), DataAt(text+100, "%G-W%V-%u %e %I %p\x00"),
			{Offset: text + 200, Bytes: vector}, {Offset: text + 220, Bytes: size}},
	}
	return m.Bytes()
}

func TestAgainstAoLoaderGlue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "glued.wasm")
	if err := os.WriteFile(path, gluedModule(), 0o600); err != nil {
		t.Fatal(err)
	}
	comparison{path: path, format: wasmhost.Emscripten3, list: "actions", mode: "--fresh", gasMax: 9e12}.run(t)
}
