package wasmhost

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental/table"

	"verbatim/wasmhost/wasmbin"
)

// What the three earlier formats have that the later ones do not, again as ao-loader 0.0.49 behaves on Node: main runs when an
// instance is made, the environment has seven variables, and protected calls go through the table. No process
// existed outside of memory there either, except for what ABI.md lists.

// program is the name of the program in the environment. The reference puts the path of its own script here.
const program = "./this.program"

// environment is what the C library of an early module gets to see.
func environment() []string {
	return []string{"USER=web_user", "LOGNAME=web_user", "PATH=/", "PWD=/", "HOME=/home/web_user", "LANG=C.UTF-8", "_=" + program}
}

// zoneNameLong is how the reference's engine calls UTC at length.
const zoneNameLong = "Coordinated Universal Time"

// mainKind says how a format calls main on the way to the first message.
type mainKind int

const (
	mainNever mainKind = iota
	mainBare           // main(0, 0)
	mainNamed          // main(1, {program})
)

// minified are the names in format Emscripten1, where the linker shortened those of the one that follows it.
func minified() (imports, exports map[string]string) {
	return map[string]string{
			"w": "env.__syscall_dup3", "d": "env.__syscall_fcntl64", "z": "env.__syscall_ioctl", "r": "env.__syscall_lstat64",
			"g": "env.__syscall_openat", "s": "env.__syscall_renameat", "t": "env.__syscall_rmdir", "e": "env.__syscall_unlinkat",
			"a": "env._emscripten_date_now", "A": "env._emscripten_get_now_is_monotonic", "p": "env._emscripten_throw_longjmp",
			"B": "env._gmtime_js", "C": "env._localtime_js", "i": "env._mktime_js", "j": "env._tzset_js", "D": "env.abort",
			"k": "env.emscripten_memcpy_big", "q": "env.emscripten_resize_heap", "u": "wasi_snapshot_preview1.environ_get",
			"v": "wasi_snapshot_preview1.environ_sizes_get", "l": "env.exit", "c": "wasi_snapshot_preview1.fd_close",
			"y": "wasi_snapshot_preview1.fd_read", "o": "wasi_snapshot_preview1.fd_seek", "f": "wasi_snapshot_preview1.fd_write",
			"h": "env.getTempRet0", "x": "env.invoke_vii", "b": "env.setTempRet0", "n": "env.strftime", "m": "env.system",
		}, map[string]string{
			"E": "memory", "F": "__wasm_call_ctors", "G": "handle", "H": "main", "I": "__indirect_function_table", "J": "malloc",
			"K": "__errno_location", "L": "setThrew", "M": "stackSave", "N": "stackRestore", "O": "stackAlloc",
		}
}

// expandNames gives a minified module the names of the format that followed.
func expandNames(bin *wasmbin.Module) {
	imports, exports := minified()
	bin.Imports, bin.Exports = slices.Clone(bin.Imports), slices.Clone(bin.Exports)
	for i, im := range bin.Imports {
		if full, ok := imports[im.Name]; ok && im.Module == "a" {
			bin.Imports[i].Module, bin.Imports[i].Name, _ = strings.Cut(full, ".")
		}
	}
	for i, e := range bin.Exports {
		if name, ok := exports[e.Name]; ok {
			bin.Exports[i].Name = name
		}
	}
}

// runMain does what the glue does before the first message. On a restored memory, only what main does to the stack is
// needed: the rest is in the memory.
func (e *evaluation) runMain(cold bool) {
	argc, argv := uint64(0), uint32(0)
	if e.m.main == mainNamed {
		argc, argv = 1, e.callPointer(e.m.stackAlloc, 2*4)
		name := e.callPointer(e.m.stackAlloc, uint64(len(program)+1))
		copy(e.bytes(name, uint32(len(program)+1)), program+"\x00")
		e.putU32(argv, name)
		e.putU32(argv+4, 0)
	}
	if !cold {
		return
	}
	e.call("main", argc, uint64(argv))
	if e.m.exports["fflush"] {
		e.call("fflush", 0)
	}
}

// stackLength is how much of the stack a string takes: early glue reserves four bytes for each of its UTF-16 units.
func (e *evaluation) stackLength(s []byte) uint64 {
	if !e.m.roomyStrings {
		return uint64(len(s) + 1)
	}
	return uint64(4*len(utf16.Encode([]rune(string(s)))) + 1)
}

// addEarly adds the functions of the formats before Emscripten4.
func addEarly(t hostTable) {
	add := t.add
	add("env.abort", "", "", abort("abort"))
	add("env._emscripten_throw_longjmp", "", "", func(*evaluation, []uint64) { panic(longjmp{}) })
	add("env.exit", "i", "", exit)
	add("env.__assert_fail", "iiii", "", abort("assertion failed"))
	add("env.emscripten_memcpy_big", "iii", "", memcpy)
	add("env.emscripten_memcpy_js", "iii", "", memcpy)
	add("env.emscripten_resize_heap", "i", "i", resizeHeap)
	add("env.emscripten_get_heap_max", "", "i", func(e *evaluation, s []uint64) { s[0] = e.m.heapMax })
	add("env._emscripten_date_now", "", "d", func(_ *evaluation, s []uint64) { s[0] = 0 })
	add("env.emscripten_date_now", "", "d", dateNow)
	add("env._emscripten_get_now_is_monotonic", "", "i", fixed(1))
	add("env.strftime", "iiii", "i", strftime)
	add("env.setTempRet0", "i", "", func(e *evaluation, s []uint64) { e.tempRet = arg(s, 0) })
	add("env.getTempRet0", "", "i", func(e *evaluation, s []uint64) { s[0] = uint64(e.tempRet) })
	add("env.system", "i", "i", noShellErrno)
	add("env._emscripten_system", "i", "i", noShell)
	add("metering.usegas", "i", "", useGas)
	add("wasi_snapshot_preview1.environ_sizes_get", "ii", "i", environSizes)
	add("wasi_snapshot_preview1.environ_get", "ii", "i", environGet)
	if t.time32 {
		add("env._tzset_js", "iii", "", tzsetMalloc)
		add("env._gmtime_js", "ii", "", func(e *evaluation, s []uint64) { e.putDate(arg(s, 1), int64(e.i32(arg(s, 0)))) })
		add("env._localtime_js", "ii", "", localtime32)
		add("env._mktime_js", "i", "i", mktime32)
		add("env.emscripten_get_now", "", "d", noClock)
	} else {
		add("env._tzset_js", "iiii", "", tzsetShort)
		add("env._gmtime_js", "iii", "", gmtime)
		add("env._localtime_js", "iii", "", localtime)
		add("env._mktime_js", "i", "i", mktime)
		add("env.emscripten_get_now", "", "d", dateNow)
	}
	if t.noFiles {
		addStubs(t)
		return
	}
	addFileCalls(t)
	add("env.__syscall_openat", "iiii", "i", fixed(-errNoEntry))
	add("env._dlopen_js", "i", "i", abort("dlopen"))
	add("env._dlsym_js", "ii", "i", abort("dlsym"))
	add("env._dlinit", "i", "", func(*evaluation, []uint64) {})
	add("env._mmap_js", "iiiiii", "i", fixed(-errNoSystem))
}

// addStubs adds the file functions of Emscripten1, whose glue has no files at all.
func addStubs(t hostTable) {
	for _, f := range [][2]string{{"dup3", "iii"}, {"fcntl64", "iii"}, {"ioctl", "iii"}, {"lstat64", "ii"}, {"openat", "iiii"},
		{"renameat", "iiii"}, {"rmdir", "i"}, {"unlinkat", "iii"}} {
		t.add("env.__syscall_"+f[0], f[1], "i", fixed(0))
	}
	t.add("wasi_snapshot_preview1.fd_close", "i", "i", fixed(errNoSystem))
	t.add("wasi_snapshot_preview1.fd_read", "iiii", "i", fixed(errNoSystem))
	t.add("wasi_snapshot_preview1.fd_seek", "iiiii", "i", fixed(errNotSeek))
	t.add("wasi_snapshot_preview1.fd_write", "iiii", "i", func(e *evaluation, stack []uint64) {
		stack[0] = 1 // every file is the terminal
		fdWrite(e, stack)
	})
}

// useGas is metering.usegas for calls through the table; those in the code are rewritten.
func useGas(e *evaluation, stack []uint64) {
	e.used.Set(e.used.Get() + uint64(int64(int32(arg(stack, 0)))))
}

func noShellErrno(e *evaluation, stack []uint64) {
	if arg(stack, 0) == 0 {
		answer(stack, 0)
		return
	}
	e.putU32(e.callPointer("__errno_location"), errNoSystem)
	answer(stack, -1)
}

func environSizes(e *evaluation, stack []uint64) {
	bytes := 0
	for _, s := range environment() {
		bytes += len(s) + 1
	}
	e.putU32(arg(stack, 0), uint32(len(environment())))
	e.putU32(arg(stack, 1), uint32(bytes))
	answer(stack, 0)
}

func environGet(e *evaluation, stack []uint64) {
	list, at := arg(stack, 0), arg(stack, 1)
	for i, s := range environment() {
		e.putU32(list+4*uint32(i), at)
		copy(e.bytes(at, uint32(len(s)+1)), s+"\x00")
		at += uint32(len(s) + 1)
	}
	answer(stack, 0)
}

// noClock is a clock that the reference broke: its answer is not a number, because the loader replaced what it is read from.
// Where the glue has no clock at all, the answer is 0.
func noClock(e *evaluation, stack []uint64) {
	stack[0] = api.EncodeF64(math.NaN()) &^ 1
	if e.m.noFiles {
		stack[0] = 0
	}
}

// tzsetMalloc writes the time zone with names from malloc, once in an instance.
func tzsetMalloc(e *evaluation, stack []uint64) {
	if e.zoneKnown {
		return
	}
	e.zoneKnown = true
	zone, daylight, names := arg(stack, 0), arg(stack, 1), arg(stack, 2)
	e.putU32(zone, 0)
	e.putU32(daylight, 0)
	winter := e.mallocCString(zoneNameLong)
	summer := e.mallocCString(zoneNameLong)
	e.putU32(names, summer)
	e.putU32(names+4, winter)
}

func (e *evaluation) mallocCString(s string) uint32 {
	ptr := e.callPointer("malloc", uint64(len(s)+1))
	if ptr != 0 {
		copy(e.bytes(ptr, uint32(len(s)+1)), s+"\x00")
	}
	return ptr
}

// tzsetShort writes the zone's names cut to what the C library has room for.
func tzsetShort(e *evaluation, stack []uint64) {
	const name = "Coordi\x00"
	e.putU32(arg(stack, 0), 0)
	e.putU32(arg(stack, 1), 0)
	copy(e.bytes(arg(stack, 3), uint32(len(name))), name)
	copy(e.bytes(arg(stack, 2), uint32(len(name))), name)
}

func localtime32(e *evaluation, stack []uint64) {
	tm := arg(stack, 1)
	e.putDate(tm, int64(e.i32(arg(stack, 0))))
	e.putU32(tm+tmOffset, 0)
	e.putU32(tm+tmDaylight, 0)
}

// mktime32 normalises all of a date but its year.
func mktime32(e *evaluation, stack []uint64) {
	tm := arg(stack, 0)
	year := e.u32(tm + tmYear)
	s := e.normalise(tm)
	e.putU32(tm+tmYear, year)
	answer(stack, int32(s))
}

// invokeTable is invoke_SIG where the glue calls the function in the table itself.
func invokeTable(bin *wasmbin.Module, name string) (hostImport, bool) {
	i := slices.IndexFunc(bin.Imports, func(im wasmbin.Import) bool { return im.Name == name })
	t, ok := bin.Type(uint32(i))
	if !ok || len(t.Params) == 0 || t.Params[0] != wasmbin.I32 || len(bin.Tables) == 0 {
		return hostImport{}, false
	}
	params, results := apiTypes(t.Params[1:]), apiTypes(t.Results)
	return hostImport{sig: t, run: func(e *evaluation, stack []uint64) {
		slot := arg(stack, 0)
		args := append([]uint64(nil), stack[1:max(1+len(params), 1+len(results))]...)
		e.protected(stack, args, len(results), fmt.Sprint(slot), func() api.Function {
			return table.LookupFunction(e.mod, 0, slot, params, results)
		})
	}}, true
}
