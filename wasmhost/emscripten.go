package wasmhost

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/tetratelabs/wazero/api"

	"verbatim/wasmhost/wasmbin"
)

// What follows behaves like ao-loader 0.0.49 on Node for the format wasm32-unknown-emscripten4, in its effects on memory,
// time and results. ABI.md lists where it differs: no shell, no input, no files except the reserved path.

const (
	cookieLow         = 0x02135467 // at the end of the stack
	cookieHigh        = 0x89bacdfe // after it
	cookieZero        = 0x63736d65 // at address 0
	heapBytesMax      = 4_294_901_760
	growthStepMax     = 96 << 20
	clockAfterStreams = 3 // the loader stamps three standard streams before the module's constructors run
)

// runEmscripten starts or restores the instance, and calls handle until it is not waiting for a file any more.
func (e *evaluation) runEmscripten(c Call, img image) []byte {
	e.clock.now += clockAfterStreams
	e.call("emscripten_stack_init")
	if img.memory != nil {
		e.restore(img) // what the constructors did is in it
	} else {
		e.stackCookies()
		e.call("__wasm_call_ctors")
	}
	e.clock.read() // the loader makes the folder /data
	stack := e.call("emscripten_stack_get_current")
	message, env := e.stackString(c.Message), e.stackString(c.Env)
	out := e.call32("handle", uint64(message), uint64(env))
	for e.async.state == asyncUnwinding {
		e.resume()
		out = e.call32("handle", 0, 0) // rewinding restores the parameters
	}
	e.call("_emscripten_stack_restore", stack)
	return e.result(out)
}

// stackCookies writes the words by which the reference would notice a stack overflow.
func (e *evaluation) stackCookies() {
	end := e.call32("emscripten_stack_get_end")
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
	ptr := e.call32("_emscripten_stack_alloc", uint64(len(s)+1))
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
	errNotSeek  = 70
)

// addEmscripten adds the functions that emscripten's glue provides in the reference loader.
func addEmscripten(table map[string]hostImport) {
	add := func(name, params, results string, run hostFunc) {
		table[name] = hostImport{sig(params, results), run}
	}
	add("env._emscripten_throw_longjmp", "", "", func(*evaluation, []uint64) { panic(longjmp{}) })
	add("env._abort_js", "", "", abort("abort"))
	add("env.exit", "i", "", exit)
	add("env.__assert_fail", "iiii", "", abort("assertion failed"))
	add("env._emscripten_memcpy_js", "iii", "", memcpy)
	add("env.emscripten_resize_heap", "i", "i", resizeHeap)
	add("env.emscripten_get_heap_max", "", "i", func(_ *evaluation, s []uint64) { s[0] = heapBytesMax })
	add("env.emscripten_date_now", "", "d", dateNow)
	add("env.emscripten_get_now", "", "d", dateNow)
	add("env._emscripten_get_now_is_monotonic", "", "i", fixed(1))
	add("env._emscripten_system", "i", "i", noShell)
	add("env._tzset_js", "iiii", "", tzset)
	add("env._gmtime_js", "iii", "", gmtime)
	add("env._localtime_js", "iii", "", localtime)
	add("env._mktime_js", "i", "i", mktime)
	add("env.strftime", "iiii", "i", strftime)
	add("env.strftime_l", "iiiii", "i", strftime)
	add("env.__asyncjs__weavedrive_open", "ii", "i", driveOpen)
	add("env.__asyncjs__weavedrive_read", "iii", "i", driveRead)
	add("env.__asyncjs__weavedrive_close", "i", "i", driveClose)
	add("env.__syscall_openat", "iiii", "i", fixed(-errNoEntry))
	add("env.__syscall_unlinkat", "iii", "i", fixed(-errNoEntry))
	add("env.__syscall_rmdir", "i", "i", fixed(-errNoEntry))
	add("env.__syscall_renameat", "iiii", "i", fixed(-errNoEntry))
	add("env.__syscall_readlinkat", "iiii", "i", fixed(-errNoEntry))
	add("env.__syscall_dup3", "iii", "i", fixed(-errBadFile))
	add("env.__syscall_fcntl64", "iii", "i", fcntl)
	add("env.__syscall_ioctl", "iii", "i", ioctl)
	add("wasi_snapshot_preview1.fd_close", "i", "i", fdClose)
	add("wasi_snapshot_preview1.fd_read", "iiii", "i", fdRead)
	add("wasi_snapshot_preview1.fd_write", "iiii", "i", fdWriteTicking)
	add("wasi_snapshot_preview1.fd_seek", "iiiii", "i", fdSeekSplit)
	add("wasi_snapshot_preview1.environ_sizes_get", "ii", "i", zeroSizes)
	add("wasi_snapshot_preview1.environ_get", "ii", "i", fixed(0))
	add("wasi_snapshot_preview1.proc_exit", "i", "", exit)
}

func exit(_ *evaluation, stack []uint64) {
	panic(&Fault{Exit, fmt.Sprintf("exit status %d", int32(arg(stack, 0)))})
}

// memcpy moves bytes; overlapping ranges keep their order, as copyWithin does.
func memcpy(e *evaluation, stack []uint64) {
	to, from, n := arg(stack, 0), arg(stack, 1), arg(stack, 2)
	e.chargeBytes(uint64(n))
	copy(e.bytes(to, n), e.bytes(from, n))
}

// resizeHeap grows memory by the loader's rule: at least what was asked for, at best a fifth more than there is.
// Its arithmetic is that of JavaScript numbers, so that sizes agree to the byte.
func resizeHeap(e *evaluation, stack []uint64) {
	asked, old := float64(arg(stack, 0)), float64(e.memory.Size())
	if asked <= old {
		panic(&Fault{Trap, "heap resized to less than it is"})
	}
	answer(stack, 0)
	if asked > heapBytesMax {
		e.growthRefused = true
		return
	}
	for cut := 1.0; cut <= 4; cut *= 2 {
		more := min(float64(old*(1+0.2/cut)), asked+growthStepMax)
		size := max(asked, more)
		size = min(heapBytesMax, size+math.Mod(pageBytes-math.Mod(size, pageBytes), pageBytes))
		pages := uint32((size - old + pageBytes - 1) / pageBytes)
		if _, ok := e.memory.Grow(pages); ok {
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
	e.putU32(arg(stack, 0), 0)
	e.putU32(arg(stack, 1), 0)
	answer(stack, 0)
}

// invokeImport is invoke_SIG: a protected call of a table function through the module's dynCall_SIG. A longjmp inside
// ends here: the stack pointer goes back and the module is told by setThrew.
func invokeImport(bin *wasmbin.Module, name string) (hostImport, bool) {
	target := "dynCall_" + strings.TrimPrefix(name, "invoke_")
	export, ok := bin.ExportOf(target)
	if !ok || export.Kind != wasmbin.KindFunc {
		return hostImport{}, false
	}
	t, _ := bin.Type(export.Index)
	params := len(t.Params)
	return hostImport{t, func(e *evaluation, stack []uint64) {
		saved, frames := e.call("emscripten_stack_get_current"), e.stack.Get()
		args := append([]uint64(nil), stack[:max(params, len(t.Results))]...)
		err := e.invoke(target, args)
		switch {
		case err == nil:
			copy(stack, args[:len(t.Results)])
		case isLongjmp(err):
			e.stack.Set(frames)
			e.call("_emscripten_stack_restore", saved)
			e.call("setThrew", 1, 0)
			clear(stack[:len(t.Results)])
		default:
			panic(callError{err})
		}
	}}, true
}

// invoke calls an exported function one level deeper; each level needs call engines of its own.
func (e *evaluation) invoke(target string, stack []uint64) error {
	if e.depth >= InvokeDepthMax {
		panic(&Fault{Trap, fmt.Sprintf("%d nested protected calls", InvokeDepthMax)})
	}
	if e.depth == len(e.invokes) {
		e.invokes = append(e.invokes, map[string]api.Function{})
	}
	f := e.invokes[e.depth][target]
	if f == nil {
		f = e.mod.ExportedFunction(target)
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
	asyncHeaderBytes = 12
	asyncStackBytes  = 40 << 20
)

type asyncify struct {
	state   int
	data    uint32
	answer  int32
	pending func() int32 // what to do between unwinding and rewinding
}

// sleep is called twice for one file call: unwinding it stores what to do, rewinding it returns the outcome.
func (e *evaluation) sleep(op func() int32) int32 {
	a := &e.async
	switch a.state {
	case asyncNormal:
		a.state, a.pending = asyncUnwinding, op
		a.data = e.call32("malloc", asyncHeaderBytes+asyncStackBytes)
		header := e.bytes(a.data, asyncHeaderBytes)
		binary.LittleEndian.PutUint32(header, a.data+asyncHeaderBytes)
		binary.LittleEndian.PutUint32(header[4:], a.data+asyncHeaderBytes+asyncStackBytes)
		binary.LittleEndian.PutUint32(header[8:], 0) // the function to come back to: handle
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
