package wasmhost

import (
	"fmt"
	"math"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"verbatim/wasmhost/wasmbin"
)

// What follows behaves like ao-loader 0.0.49 on Node in its effects on memory, time and results. ABI.md lists where it differs: no shell, no input, no files except the reserved path.

const (
	cookieLow         = 0x02135467 // at the end of the stack
	cookieHigh        = 0x89bacdfe // after it
	cookieZero        = 0x63736d65 // at address 0
	growthStepMax     = 96 << 20
	clockAfterStreams = 3 // the loader stamps three standard streams before the module's constructors run
)

// runEmscripten starts or restores the instance, and calls handle until it is not waiting for a file any more.
func (e *evaluation) runEmscripten(c Call, img image) []byte {
	e.clock.now += clockAfterStreams
	if !e.m.noFiles {
		e.call("emscripten_stack_init")
	}
	if img.cold {
		if !e.m.noFiles {
			e.stackCookies()
		}
		e.call("__wasm_call_ctors")
	}
	if e.m.main != mainNever {
		e.runMain(img.cold)
	}
	if !img.cold {
		e.restore(img) // what the constructors did is in it
	}
	if !e.m.early {
		e.clock.read() // the loader makes the folder /data
	}
	if e.used != nil {
		e.used.Set(0) // what starting took is not counted
	}
	stack := e.call(e.m.stackSave)
	message, env := e.stackString(c.Message), e.stackString(c.Env)
	out := e.callPointer("handle", uint64(message), uint64(env))
	for e.async.state == asyncUnwinding {
		e.resume()
		out = e.callPointer("handle", 0, 0) // rewinding restores the parameters
	}
	e.call(e.m.stackRestore, stack)
	return e.result(out)
}

// stackCookies writes the words by which the reference would notice a stack overflow.
func (e *evaluation) stackCookies() {
	end := e.callPointer("emscripten_stack_get_end")
	if end == 0 {
		end = 4
	}
	e.putU32(end, cookieLow)
	e.putU32(end+4, cookieHigh)
	e.putU32(0, cookieZero)
}

// stackString puts a zero-terminated string on the module's stack.
func (e *evaluation) stackString(s []byte) uint32 {
	e.chargeBytes(uint64(len(s)))
	ptr := e.callPointer(e.m.stackAlloc, e.stackLength(s))
	b := e.bytes(ptr, uint32(len(s)+1))
	copy(b, s)
	b[len(s)] = 0
	return ptr
}

// The result of a host function goes into the first slot.

func answer(stack []uint64, v int32) { stack[0] = uint64(uint32(v)) }

func arg(stack []uint64, i int) uint32 { return uint32(stack[i]) }

// fixed is a host function that only returns a number.
func fixed(v int32) hostFunc { return func(_ *evaluation, stack []uint64) { answer(stack, v) } }

func abort(what string) hostFunc {
	return func(*evaluation, []uint64) { panic(&Fault{Trap, what}) }
}

// Error numbers of musl on WebAssembly, which are those of WASI.
const (
	errBadFile  = 8
	errInvalid  = 28
	errNoEntry  = 44
	errNoSystem = 52
	errNotTTY   = 59
	errOverflow = 61
	errRange    = 68
	errNotSeek  = 70
)

// addEmscripten adds the functions that emscripten's glue provides in the reference loader.
func addEmscripten(table hostTable) {
	add := table.add
	add("env._emscripten_throw_longjmp", "", "", func(*evaluation, []uint64) { panic(longjmp{}) })
	add("env._abort_js", "", "", abort("abort"))
	add("env.exit", "i", "", exit)
	add("env.__assert_fail", "ppip", "", abort("assertion failed"))
	add("env._emscripten_memcpy_js", "ppp", "", memcpy)
	add("env.emscripten_resize_heap", "p", "i", resizeHeap)
	add("env.emscripten_get_heap_max", "", "p", func(e *evaluation, s []uint64) { s[0] = e.m.heapMax })
	add("env.emscripten_date_now", "", "d", dateNow)
	add("env.emscripten_get_now", "", "d", dateNow)
	add("env._emscripten_get_now_is_monotonic", "", "i", fixed(1))
	add("env._emscripten_system", "p", "i", noShell)
	add("env._tzset_js", "pppp", "", tzset)
	add("env.strftime", "pppp", "p", strftime)
	add("env.strftime_l", "ppppp", "p", strftime)
	add("env.__asyncjs__weavedrive_open", "pp", "i", driveOpen)
	add("env.__asyncjs__weavedrive_read", "ipp", "i", driveRead)
	add("env.__asyncjs__weavedrive_close", "i", "i", driveClose)
	add("env.__syscall_openat", "ipip", "i", fixed(-errNoEntry))
	add("env.metering_gasUsed", "", "i", func(e *evaluation, s []uint64) { answer(s, int32(e.referenceGas())) })
	add("env.emscripten_err", "p", "", func(*evaluation, []uint64) {})
	add("env.__cxa_throw", "ppp", "", abort("exception"))
	add("wasi_snapshot_preview1.environ_sizes_get", "pp", "i", zeroSizes)
	add("wasi_snapshot_preview1.environ_get", "pp", "i", fixed(0))
	addFileCalls(table)
	time, back := "iip", "i"
	if table.wide {
		time, back = "jp", "j"
	}
	add("env._gmtime_js", time, "", gmtime)
	add("env._localtime_js", time, "", localtime)
	add("env._mktime_js", "p", back, mktime)
}

// addFileCalls adds the calls on files. There are none but the streams and the reserved path, which published modules open
// in another way.
func addFileCalls(table hostTable) {
	add := table.add
	offset, mapped := "ii", "ii"
	switch {
	case table.wide:
		offset, mapped = "j", "j"
	case table.time32:
		mapped = "i"
	}
	for _, f := range [][2]string{
		{"unlinkat", "ipi"}, {"rmdir", "p"}, {"renameat", "ipip"}, {"readlinkat", "ippp"}, {"faccessat", "ipii"}, {"chmod", "pi"},
		{"stat64", "pp"}, {"lstat64", "pp"}, {"newfstatat", "ippi"}, {"mkdirat", "ipi"}, {"utimensat", "ippi"},
	} {
		add("env.__syscall_"+f[0], f[1], "i", fixed(-errNoEntry))
	}
	for _, f := range [][2]string{{"dup3", "iii"}, {"fchmod", "ii"}, {"fchown32", "iii"}, {"fstat64", "ip"}, {"ftruncate64", "i" + offset}} {
		add("env.__syscall_"+f[0], f[1], "i", fixed(-errBadFile))
	}
	add("env.__syscall_getcwd", "pp", "i", workingFolder)
	add("env._munmap_js", "ppiii"+mapped, "i", fixed(0))
	add("env.__syscall_fcntl64", "iip", "i", fcntl)
	add("env.__syscall_ioctl", "iip", "i", ioctl)
	add("wasi_snapshot_preview1.fd_close", "i", "i", fdClose)
	add("wasi_snapshot_preview1.fd_read", "ippp", "i", fdRead)
	add("wasi_snapshot_preview1.fd_write", "ippp", "i", fdWriteTicking)
	add("wasi_snapshot_preview1.fd_sync", "i", "i", fdKnown)
	add("wasi_snapshot_preview1.fd_fdstat_get", "ip", "i", fdStatTerminal)
	add("wasi_snapshot_preview1.fd_seek", "i"+offset+"ip", "i", fdSeekExact)
	add("wasi_snapshot_preview1.proc_exit", "i", "", exit)
}

// workingFolder is getcwd: always the root.
func workingFolder(e *evaluation, stack []uint64) {
	const root = "/\x00"
	switch to, size := arg(stack, 0), arg(stack, 1); {
	case size == 0:
		answer(stack, -errInvalid)
	case int(size) < len(root):
		answer(stack, -errRange)
	default:
		copy(e.bytes(to, uint32(len(root))), root)
		answer(stack, int32(len(root)))
	}
}

// fdStatTerminal says that a stream is a character device, and leaves the rest zero.
func fdStatTerminal(e *evaluation, stack []uint64) {
	if e.files.open[arg(stack, 0)] == nil {
		answer(stack, errBadFile)
		return
	}
	out := e.bytes(arg(stack, 1), 24)
	clear(out)
	out[0] = 2
	answer(stack, 0)
}

func exit(_ *evaluation, stack []uint64) {
	panic(&Fault{Exit, fmt.Sprintf("exit status %d", int32(arg(stack, 0)))})
}

// memcpy is the copyWithin of JavaScript's arrays: overlapping ranges keep their order, and what lies beyond the memory is
// left out. Published modules depend on that: their realloc copies to null when memory has run out.
func memcpy(e *evaluation, stack []uint64) {
	to, from, n := int64(arg(stack, 0)), int64(arg(stack, 1)), int64(arg(stack, 2))
	end := from + n
	switch {
	case e.m.time32: // numbers are signed there, and count from the end if negative
		to, from = int64(int32(to)), int64(int32(from))
		end = from + int64(int32(n))
	case !e.m.wide:
		end = int64(uint32(end))
	}
	size := int64(e.memory.Size())
	within := func(at int64) int64 {
		if at < 0 {
			return max(size+at, 0)
		}
		return min(at, size)
	}
	to, from, end = within(to), within(from), within(end)
	n = min(end-from, size-to)
	if n <= 0 {
		return
	}
	e.chargeBytes(uint64(n))
	copy(e.bytes(uint32(to), uint32(n)), e.bytes(uint32(from), uint32(n)))
}

// resizeHeap grows memory by the loader's rule: at least what was asked for, at best a fifth more than there is.
// Its arithmetic is that of JavaScript numbers, so that sizes agree to the byte.
func resizeHeap(e *evaluation, stack []uint64) {
	asked, old := float64(arg(stack, 0)), float64(e.memory.Size())
	if asked <= old {
		panic(&Fault{Trap, "heap resized to less than it is"})
	}
	answer(stack, 0)
	heapMax := float64(e.m.heapMax)
	if asked > heapMax {
		e.growthRefused = true
		return
	}
	for cut := 1.0; cut <= 4; cut *= 2 {
		more := min(float64(old*(1+0.2/cut)), asked+growthStepMax)
		size := max(asked, more)
		size = min(heapMax, size+math.Mod(pageBytes-math.Mod(size, pageBytes), pageBytes))
		pages := (size - old + pageBytes - 1) / pageBytes
		if pages > wasmbin.WidePagesMax {
			continue
		}
		if _, ok := e.memory.Grow(uint32(pages)); ok {
			e.charge(uint64(pages) * wasmbin.PageGas)
			answer(stack, 1)
			return
		}
	}
	e.growthRefused = true
}

func dateNow(e *evaluation, stack []uint64) {
	stack[0] = api.EncodeF64(float64(e.clock.read()))
}

// noShell answers system(): there is no shell, and no command works.
func noShell(_ *evaluation, stack []uint64) {
	if arg(stack, 0) == 0 {
		answer(stack, 0)
		return
	}
	answer(stack, -errNoSystem)
}

func zeroSizes(e *evaluation, stack []uint64) {
	e.putSize(arg(stack, 0), 0)
	e.putSize(arg(stack, 1), 0)
	answer(stack, 0)
}

// invokeImport is invoke_SIG: a protected call of a table function through the module's dynCall_SIG.
func (c conventions) invokeImport(bin *wasmbin.Module, name string) (hostImport, bool) {
	target := "dynCall_" + strings.TrimPrefix(name, "invoke_")
	export, ok := bin.ExportOf(target)
	if !ok && c.early {
		return invokeTable(bin, name)
	}
	if !ok || export.Kind != wasmbin.KindFunc {
		return hostImport{}, false
	}
	t, _ := bin.Type(export.Index)
	params := len(t.Params)
	if params == 0 || t.Params[0] != wasmbin.I32 {
		return hostImport{}, false
	}
	// The slot of the table is an address like any other for the caller, and always an i32 for dynCall.
	t.Params = append(c.letters("p"), t.Params[1:]...)
	return hostImport{sig: t, run: func(e *evaluation, stack []uint64) {
		args := append([]uint64(nil), stack[:max(params, len(t.Results))]...)
		e.protected(stack, args, len(t.Results), target, func() api.Function { return e.mod.ExportedFunction(target) })
	}}, true
}

// protected calls a function with args and puts its results on the stack. A longjmp inside ends here: the stack pointer
// goes back and the module is told by setThrew.
func (e *evaluation) protected(stack, args []uint64, results int, target string, find func() api.Function) {
	saved, frames := e.call(e.m.stackSave), e.stack.Get()
	err := e.invoke(target, find, args)
	switch {
	case err == nil:
		copy(stack, args[:results])
	case isLongjmp(err):
		e.stack.Set(frames)
		e.call(e.m.stackRestore, saved)
		e.call("setThrew", 1, 0)
		clear(stack[:results])
	default:
		panic(callError{err})
	}
}

// invoke calls a function of the module one level deeper; each level needs call engines of its own.
func (e *evaluation) invoke(target string, find func() api.Function, stack []uint64) error {
	if e.depth >= InvokeDepthMax {
		panic(&Fault{Trap, fmt.Sprintf("%d nested protected calls", InvokeDepthMax)})
	}
	if e.depth == len(e.invokes) {
		e.invokes = append(e.invokes, map[string]api.Function{})
	}
	f := e.invokes[e.depth][target]
	if f == nil {
		f = find()
		e.invokes[e.depth][target] = f
	}
	e.depth++
	defer func() { e.depth-- }()
	return f.CallWithStack(e.ctx, stack)
}

// The asynchronous file calls of published modules unwind the whole stack into memory, leave handle, and come back.
// The host follows each step, because every step changes the memory that gets hashed.

const (
	asyncNormal = iota
	asyncUnwinding
	asyncRewinding
)

const (
	asyncStackBytes = 40 << 20
)

type asyncify struct {
	state   int
	data    uint32
	answer  int32
	pending func() int32 // what to do between unwinding and rewinding
	waited  bool
}

// sleep is called twice for one file call: unwinding it stores what to do, rewinding it returns the outcome.
func (e *evaluation) sleep(op func() int32) int32 {
	a := &e.async
	switch a.state {
	case asyncNormal:
		if e.m.cannotWait {
			panic(&failure{errWaits})
		}
		a.waited = true
		a.state, a.pending = asyncUnwinding, op
		a.data = e.callPointer("malloc", uint64(e.m.asyncHeader+asyncStackBytes))
		stack, width := a.data+e.m.asyncHeader, e.m.pointerBytes()
		e.putSize(a.data, stack)
		e.putSize(a.data+width, stack+asyncStackBytes)
		e.putU32(a.data+2*width, 0) // the function to come back to: handle
		e.call("asyncify_start_unwind", uint64(a.data))
	case asyncRewinding:
		a.state = asyncNormal
		e.call("asyncify_stop_rewind")
		e.call("free", uint64(a.data))
	default:
		panic(&Fault{Trap, "file call while the stack unwinds"})
	}
	return a.answer
}

// resume does the file call after the stack is unwound, and starts to rewind.
func (e *evaluation) resume() {
	a := &e.async
	a.state = asyncNormal
	e.call("asyncify_stop_unwind")
	a.answer = a.pending()
	a.state = asyncRewinding
	e.call("asyncify_start_rewind", uint64(a.data))
}
