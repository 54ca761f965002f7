package wasmhost_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"verbatim/wasmhost"
	. "verbatim/wasmhost/wasmtest"
)

// Opcodes of the fixtures.
const (
	opUnreachable, opBlock, opLoop, opIf, opEnd, opBr, opBrIf, opCall, opCallIndirect, opDrop = 0x00, 0x02, 0x03, 0x04, 0x0b, 0x0c, 0x0d, 0x10, 0x11, 0x1a

	opLocalGet, opLocalSet, opGlobalGet, opGlobalSet, opStore, opStore64, opGrow = 0x20, 0x21, 0x23, 0x24, 0x36, 0x37, 0x40
	opAdd, opAdd64, opDivS, opMisc, memoryFill, memoryCopy, void                 = 0x6a, 0x7c, 0x6d, 0xfc, 11, 10, 0x40
)

// Places in the memory of a fixture.
const (
	outAt  = 1024 // the result of handle
	heapAt = 4096 // malloc always gives this place and moves a counter
)

// plain is a module whose handle runs code and returns the text at outAt. Function 0 is handle if there are no imports.
func plain(code []byte, change func(*Module)) []byte {
	m := Module{PagesMin: 1,
		Functions: []Function{
			{Export: "handle", Params: "ii", Results: "i", Locals: "ij", Code: Code(code, I32(outAt))},
			{Export: "malloc", Params: "i", Results: "i", Code: Code(opGlobalGet, 0, opGlobalGet, 0, opLocalGet, 0, opAdd, opGlobalSet, 0)},
		},
		Globals: []Global{{Letter: 'i', Mutable: true, Init: heapAt}},
		Data:    []Data{DataAt(outAt, `{"ok":true}`+"\x00")},
	}
	if change != nil {
		change(&m)
	}
	return m.Bytes()
}

func compile(t testing.TB, wasm []byte) *wasmhost.Module {
	t.Helper()
	m, err := newHost(t).Compile(context.Background(), wasm, wasmhost.Plain)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func call(message string) wasmhost.Call {
	return wasmhost.Call{Message: []byte(message), Env: []byte("{}")}
}

func TestCompileRefuses(t *testing.T) {
	start := uint32(0)
	for _, c := range []struct {
		name string
		wasm []byte
		want error
		says string
	}{
		{"empty", nil, wasmhost.ErrModule, "not a WebAssembly"},
		{"no handle", plain(nil, func(m *Module) { m.Functions[0].Export = "other" }), wasmhost.ErrNoHandle, "handle"},
		{"handle of another type", plain(nil, func(m *Module) { m.Functions[0].Params = "i" }), wasmhost.ErrNoHandle, "(i32,i32)->(i32)"},
		{"no malloc", plain(nil, func(m *Module) { m.Functions[1].Export = "" }), wasmhost.ErrModule, "malloc"},
		{"no memory", plain(nil, func(m *Module) { m.NoMemory = true }), wasmhost.ErrModule, "memory"},
		{"start section", plain(nil, func(m *Module) { m.Start = &start }), wasmhost.ErrModule, "start"},
		{"unknown import", plain(nil, func(m *Module) { m.Imports = ImportOf("env", "gettimeofday", "ii", "i") }), wasmhost.ErrImport, "env.gettimeofday"},
		{"import of another type", plain(nil, func(m *Module) { m.Imports = ImportOf("verbatim", "infer", "i", "i") }), wasmhost.ErrImport, "verbatim.infer as (i32)->(i32)"},
		{"gas import", plain(nil, func(m *Module) { m.Imports = ImportOf("verbatim gas", "refill", "", "") }), wasmhost.ErrImport, "verbatim gas.refill"},
		{"vector global", plain(nil, func(m *Module) { m.Globals = append(m.Globals, Mutable('v', 0)) }), wasmhost.ErrModule, ""},
		{"reserved export", plain(nil, func(m *Module) { m.MoreExport = []string{"verbatim fuel"} }), wasmhost.ErrModule, "reserved"},
		{"type error", plain(Code(opAdd), nil), wasmhost.ErrModule, ""},
	} {
		_, err := newHost(t).Compile(context.Background(), c.wasm, wasmhost.Plain)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v saying %q", c.name, err, c.want, c.says)
		}
	}
	if _, err := newHost(t).Compile(context.Background(), plain(nil, nil), "wasm128"); !errors.Is(err, wasmhost.ErrFormat) {
		t.Errorf("unknown format: %v", err)
	}
}

func TestFaults(t *testing.T) {
	endless := Code(opLoop, void, opBr, 0, opEnd)
	exit := func(m *Module) { m.Imports = ImportOf("wasi_snapshot_preview1", "proc_exit", "i", "") }
	for _, c := range []struct {
		name string
		wasm []byte
		want error
		says string
	}{
		{"unreachable", plain(Code(opUnreachable), nil), wasmhost.ErrTrap, "unreachable"},
		{"division by zero", plain(Code(I32(1), I32(0), opDivS, opDrop), nil), wasmhost.ErrTrap, "divide by zero"},
		{"store beyond memory", plain(Code(I32(65536), I32(0), opStore, 2, 0), nil), wasmhost.ErrTrap, "out of bounds"},
		{"endless loop", plain(endless, nil), wasmhost.ErrOutOfGas, "gas"},
		{"endless tree of calls", plain(nil, func(m *Module) {
			m.Functions[0].Code = Code(I32(40), opCall, 2, I32(outAt))
			m.Functions = append(m.Functions, Function{Params: "i", Code: Code(opLocalGet, 0, opIf, void,
				opLocalGet, 0, I32(-1), opAdd, opCall, 2, opLocalGet, 0, I32(-1), opAdd, opCall, 2, opEnd)})
		}), wasmhost.ErrOutOfGas, "gas"},
		{"huge fills", plain(Code(opLoop, void, I32(0), I32(0), I32(65536), opMisc, memoryFill, 0, opBr, 0, opEnd), nil), wasmhost.ErrOutOfGas, "gas"},
		{"huge copies", plain(Code(opLoop, void, I32(0), I32(8), I32(65528), opMisc, memoryCopy, 0, 0, opBr, 0, opEnd), nil), wasmhost.ErrOutOfGas, "gas"},
		{"exit 0", plain(Code(I32(0), opCall, 0), exit), wasmhost.ErrExit, "exit status 0"},
		{"result without end", plain(nil, func(m *Module) { m.Functions[0].Code = I32(70000) }), wasmhost.ErrBadResult, "70000"},
		{"result not JSON", plain(Code(I32(outAt), I32('x'), opStore, 2, 0), nil), wasmhost.ErrBadResult, "not JSON"},
		{"data beyond memory", plain(nil, func(m *Module) { m.Data[0].Offset = 65530 }), wasmhost.ErrTrap, "data"},
	} {
		in := call("{}")
		in.GasMax = 1_000_000
		if c.want == wasmhost.ErrTrap {
			in.GasMax = 0
		}
		r, err := compile(t, c.wasm).Handle(context.Background(), in)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v saying %q", c.name, err, c.want, c.says)
		}
		if c.want == wasmhost.ErrOutOfGas && (r.Gas <= in.GasMax || r.Gas > 2*in.GasMax) {
			t.Errorf("%s: gas %d with a limit of %d", c.name, r.Gas, in.GasMax)
		}
	}
}

// deep calls itself until something stops it, with as many locals alive across the call.
func deep(locals int) []byte {
	before, after := []byte(nil), Code(I32(0))
	for i := range locals {
		before = Code(before, I32(int32(4*i)), 0x28, 2, 0, opLocalSet, U32(uint32(i+1)))
		after = Code(after, opLocalGet, U32(uint32(i+1)), opAdd)
	}
	return plain(nil, func(m *Module) {
		m.Functions[0].Code = Code(I32(0), opCall, 2, opDrop, I32(outAt))
		m.Functions = append(m.Functions, Function{Params: "i", Results: "i", Locals: strings.Repeat("i", locals),
			Code: Code(before, opLocalGet, 0, opCall, 2, opDrop, after)})
	})
}

// Recursion without end is the same fault after the same gas everywhere: the module's own counter stops it, never
// the engine's stack.
func TestStackOverflow(t *testing.T) {
	for _, c := range []struct {
		locals int
		gas    uint64
	}{{0, 909098}, {10, 3292664}, {3000, 4156122}} {
		r, err := compile(t, deep(c.locals)).Handle(context.Background(), call("{}"))
		if !errors.Is(err, wasmhost.ErrTrap) || !strings.Contains(err.Error(), "stack overflow") {
			t.Errorf("%d locals: %v", c.locals, err)
		}
		if r.Gas != c.gas {
			t.Errorf("%d locals: gas %d, want %d", c.locals, r.Gas, c.gas)
		}
	}
}

// Calls that return give their frames back, by whichever way they leave.
func TestStackIsGivenBack(t *testing.T) {
	wasm := plain(nil, func(m *Module) {
		m.Functions[0].Code = Code(I32(500_000), opLocalSet, 2, opLoop, void, I32(3), opCall, 2, opDrop,
			opLocalGet, 2, I32(-1), opAdd, 0x22, 2, opBrIf, 0, opEnd, I32(outAt))
		m.Functions = append(m.Functions, Function{Params: "i", Results: "i", Code: Code(
			opLocalGet, 0, 0x45, opIf, void, I32(1), 0x0f, opEnd, // 0: return inside a block
			opLocalGet, 0, I32(-1), opAdd, opCall, 2, opDrop,
			opBlock, void, I32(7), opLocalGet, 0, I32(1), 0x46, opBrIf, 1, opDrop, opEnd, // 1: branch to the function's end
			I32(2), opLocalGet, 0, I32(2), 0x46, 0x0e, 1, 0, 0, // 2 and 3: br_table to it
		)})
	})
	if _, err := compile(t, wasm).Handle(context.Background(), call("{}")); err != nil {
		t.Error(err)
	}
}

// The gas of known code, by the table in ABI.md.
func TestGas(t *testing.T) {
	base := gasOf(t, nil, 0)
	for _, c := range []struct {
		name string
		code []byte
		gas  uint64
	}{
		{"four instructions", Code(I32(1), I32(2), opAdd, opDrop), 4},
		{"free ones", Code(opBlock, void, 0x01, opEnd), 0},
		{"untaken branch", Code(I32(0), opIf, void, I32(1), opDrop, opEnd), 2},
		{"taken branch", Code(I32(1), opIf, void, I32(1), opDrop, opEnd), 4},
		{"loop of ten", countdown(10), 2 + 10*6},
		{"fill of 800 bytes", Code(I32(0), I32(0), I32(800), opMisc, memoryFill, 0), 4 + 100},
		{"growth by two pages", Code(I32(2), opGrow, 0, opDrop), 3 + 2*8192},
		{"growth refused", Code(I32(60000), opGrow, 0, opDrop), 3},
	} {
		if got := gasOf(t, c.code, 0) - base; got != c.gas {
			t.Errorf("%s: gas %d, want %d", c.name, got, c.gas)
		}
	}
	// The limit itself is enough, one less is not; slices do not matter.
	const turns = 3_000_000
	need := gasOf(t, countdown(turns), 0)
	if need != base+2+turns*6 {
		t.Errorf("long loop: gas %d, want %d", need, base+2+turns*6)
	}
	m, in := compile(t, plain(countdown(turns), nil)), call("{}")
	in.GasMax = need
	if _, err := m.Handle(context.Background(), in); err != nil {
		t.Errorf("gas limit %d: %v", need, err)
	}
	in.GasMax--
	if r, err := m.Handle(context.Background(), in); !errors.Is(err, wasmhost.ErrOutOfGas) {
		t.Errorf("gas limit %d: %v, gas %d", in.GasMax, err, r.Gas)
	}
}

// countdown turns a loop n times: local 2 goes from n to 0, six instructions a turn with the loop itself.
func countdown(n int32) []byte {
	return Code(I32(n), opLocalSet, 2, opLoop, void, opLocalGet, 2, I32(-1), opAdd, 0x22, 2, opBrIf, 0, opEnd)
}

func gasOf(t *testing.T, code []byte, limit uint64) uint64 {
	t.Helper()
	in := call("{}")
	in.GasMax = limit
	r, err := compile(t, plain(code, nil)).Handle(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r.Gas
}

// Metering moves function indices: calls, tables and exports must still mean the same functions.
func TestIndicesSurvive(t *testing.T) {
	wasm := plain(nil, func(m *Module) {
		m.Imports = ImportOf("wasi_snapshot_preview1", "sched_yield", "", "i")
		m.Functions[0].Code = Code(opCall, 0, opDrop, I32(outAt), I32(0), opCallIndirect, 3, 0, opCall, 4, opStore, 2, 0, I32(outAt))
		m.Functions[1].Export = "malloc"
		m.Functions = append(m.Functions,
			Function{Results: "i", Code: I32('[')},
			Function{Params: "i", Results: "i", Code: Code(opLocalGet, 0, I32(int32(']'-0)<<8), opAdd)})
		m.Table = []uint32{3}
	})
	r, err := compile(t, wasm).Handle(context.Background(), call("{}"))
	if err != nil || string(r.Response) != "[]" {
		t.Fatalf("got %q, %v", r.Response, err)
	}
}

// A module that counts in a global and in memory goes on from its image in a new instance.
func TestImage(t *testing.T) {
	wasm := plain(Code(opGlobalGet, 1, I64(1), opAdd64, opGlobalSet, 1, I32(2048), opGlobalGet, 1, opStore64, 3, 0), func(m *Module) {
		m.Globals = append(m.Globals, Global{Mutable: true}, Global{Mutable: false, Init: 7})
	})
	m := compile(t, wasm)
	var memory []byte
	for i := 1; i <= 3; i++ {
		in := call("{}")
		in.Memory = memory
		r, err := m.Handle(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		again, err := m.Handle(context.Background(), in)
		if err != nil || !bytes.Equal(r.Memory, again.Memory) || r.Gas != again.Gas {
			t.Fatalf("message %d evaluated twice differs (%v)", i, err)
		}
		memory = r.Memory
		if got := binary.LittleEndian.Uint64(memory[2048:]); got != uint64(i) {
			t.Errorf("message %d: counted %d", i, got)
		}
		trailer := memory[65536:]
		want := binary.LittleEndian.AppendUint64(nil, uint64(heapAt+6*i))
		want = binary.LittleEndian.AppendUint64(want, uint64(i))
		want = append(binary.LittleEndian.AppendUint64(want, 10_000), 2, 0, 0, 0, 'v', 'b', 't', '1')
		if !bytes.Equal(trailer, want) {
			t.Errorf("message %d: trailer\n got %x\nwant %x", i, trailer, want)
		}
	}
	for _, n := range []int{0, 1, 15, 65536, len(memory) - 1} {
		in := call("{}")
		in.Memory = memory[:n]
		if _, err := m.Handle(context.Background(), in); !errors.Is(err, wasmhost.ErrBadMemory) || isFault(err) {
			t.Errorf("image cut to %d bytes: %v", n, err)
		}
	}
	in := call("{}")
	in.Memory = append(bytes.Clone(memory[:65536]), memory...)
	if r, err := m.Handle(context.Background(), in); err != nil || len(r.Memory) != len(memory)+65536 {
		t.Errorf("grown image: %d bytes, %v", len(r.Memory), err)
	}
}

func TestMemoryLimit(t *testing.T) {
	m := compile(t, plain(Code(I32(1), opGrow, 0, I32(-1), 0x46, opIf, void, opUnreachable, opEnd), nil))
	in := call("{}")
	in.MemoryBytesMax = 2 * 65536
	if _, err := m.Handle(context.Background(), in); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	in.MemoryBytesMax--
	if _, err := m.Handle(context.Background(), in); !errors.Is(err, wasmhost.ErrMemoryLimit) {
		t.Errorf("one byte less: %v", err)
	}
	in.MemoryBytesMax = 65535
	if _, err := m.Handle(context.Background(), in); !errors.Is(err, wasmhost.ErrMemoryLimit) {
		t.Errorf("less than the module's own minimum: %v", err)
	}
}

func TestMessageLimit(t *testing.T) {
	m := compile(t, plain(nil, func(m *Module) { m.PagesMin = 300 }))
	in := wasmhost.Call{Message: make([]byte, wasmhost.MessageBytesMax), Env: []byte("{}")}
	if _, err := m.Handle(context.Background(), in); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	in.Message = append(in.Message, 0)
	if _, err := m.Handle(context.Background(), in); !errors.Is(err, wasmhost.ErrBadMessage) {
		t.Errorf("one byte more: %v", err)
	}
}

// infer(request at 100, n, 200, 204), the errno goes to 208.
func inferring(n int32, request string) []byte {
	return plain(Code(I32(208), I32(100), I32(n), I32(200), I32(204), opCall, 0, opStore, 2, 0), func(m *Module) {
		m.Imports = ImportOf("verbatim", "infer", "iiii", "i")
		m.PagesMin = 400
		m.Data = append(m.Data, DataAt(100, request))
	})
}

func TestInferImport(t *testing.T) {
	const request = `{"prompt":"é"}`
	for _, c := range []struct {
		name     string
		n        int32
		response int // bytes
		errno    uint32
	}{
		{"small", int32(len(request)), 5, 0},
		{"empty response", int32(len(request)), 0, 0},
		{"longest request", wasmhost.InferRequestBytesMax, 5, 0},
		{"longer request", wasmhost.InferRequestBytesMax + 1, 5, 2},
		{"longest response", 3, wasmhost.InferResponseBytesMax, 0},
		{"longer response", 3, wasmhost.InferResponseBytesMax + 1, 3},
	} {
		fake := &inferencer{answer: func(string) (string, error) { return strings.Repeat("r", c.response), nil }}
		in := call("{}")
		in.Inferencer = fake
		r, err := compile(t, inferring(c.n, request)).Handle(context.Background(), in)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		word := func(at int) uint32 { return binary.LittleEndian.Uint32(r.Memory[at:]) }
		if got := word(208); got != c.errno {
			t.Errorf("%s: errno %d, want %d", c.name, got, c.errno)
		}
		if c.errno != 0 {
			continue
		}
		if len(fake.requests) != 1 || len(fake.requests[0]) != int(c.n) || !strings.HasPrefix(fake.requests[0]+request, request[:3]) {
			t.Errorf("%s: requests %.40q", c.name, fake.requests)
		}
		got := r.Memory[word(200) : word(200)+word(204)]
		if !bytes.Equal(got, bytes.Repeat([]byte("r"), c.response)) || r.Memory[word(200)+word(204)] != 0 {
			t.Errorf("%s: response of %d bytes, want %d", c.name, len(got), c.response)
		}
	}
	in := call("{}")
	in.Inferencer = foxInferencer()
	r, err := compile(t, inferring(-1, "")).Handle(context.Background(), in)
	if err != nil || binary.LittleEndian.Uint32(r.Memory[208:]) != 2 {
		t.Errorf("length -1: %v", err)
	}
}

func TestInferFailureIsNoOutcome(t *testing.T) {
	m := compile(t, inferring(5, "break"))
	in := call("{}")
	if _, err := m.Handle(context.Background(), in); !errors.Is(err, wasmhost.ErrNoInferencer) || isFault(err) {
		t.Errorf("no inferencer: %v", err)
	}
	gone := errors.New("gone")
	in.Inferencer = &inferencer{answer: func(string) (string, error) { return "", gone }}
	if _, err := m.Handle(context.Background(), in); !errors.Is(err, gone) || isFault(err) {
		t.Errorf("failing inferencer: %v", err)
	}
}

// Stopping from outside ends a busy module soon, and is no outcome.
func TestCancel(t *testing.T) {
	m := compile(t, plain(Code(opLoop, void, opBr, 0, opEnd), nil))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	begin := time.Now()
	in := call("{}")
	in.GasMax = 1 << 60
	_, err := m.Handle(ctx, in)
	if !errors.Is(err, context.DeadlineExceeded) || isFault(err) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if _, err := m.Handle(ctx, in); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("context already done: %v", err)
	}
}

// Many calls at once do not see each other.
func TestConcurrent(t *testing.T) {
	m := compile(t, plain(countdown(100_000), nil))
	want, err := m.Handle(context.Background(), call("{}"))
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 8)
	for range cap(failed) {
		go func() {
			r, err := m.Handle(context.Background(), call("{}"))
			if err == nil && (!bytes.Equal(r.Memory, want.Memory) || r.Gas != want.Gas) {
				err = fmt.Errorf("gas %d, want %d", r.Gas, want.Gas)
			}
			failed <- err
		}()
	}
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// More globals than a trailer may have are refused, one fewer is not.
func TestGlobalsMax(t *testing.T) {
	ctx := context.Background()
	for _, n := range []int{8000, 8001} {
		wasm := plain(nil, func(m *Module) {
			for len(m.Globals) < n {
				m.Globals = append(m.Globals, Mutable('i', 0))
			}
		})
		if _, err := keepingHost(t, 0).Compile(ctx, wasm, wasmhost.Plain); errors.Is(err, wasmhost.ErrModule) != (n > 8000) {
			t.Errorf("%d globals: %v", n, err)
		}
	}
}

// Where compiled code cannot be kept, modules are compiled all the same.
func TestCacheThatFails(t *testing.T) {
	ctx, folder := context.Background(), filepath.Join(t.TempDir(), "compiled")
	host, err := wasmhost.New(ctx, wasmhost.Options{CacheDir: folder})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close(ctx)
	if err := errors.Join(os.RemoveAll(folder), os.WriteFile(folder, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	m, err := host.Compile(ctx, plain(nil, nil), wasmhost.Plain)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := m.Handle(ctx, call("A")); err != nil || string(r.Response) != `{"ok":true}` {
		t.Errorf("got %q, %v", r.Response, err)
	}
}
