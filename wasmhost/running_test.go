package wasmhost_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"verbatim/wasmhost"
	. "verbatim/wasmhost/wasmtest"
)

// The goal: HandleImage, which runs the second form of a module where it can, gives what Handle gives, which does not:
// results, gas, memories, and what was asked of the inferencer.

// waiter is a module with asyncify, whose handle counts messages in memory, and then does what the first byte of the message
// says: 'O' opens a file and counts again, 'T' traps, 'J' traps at an address beyond the memory, 'L' loops for ever. Whatever
// comes next asks for the state, as asyncify's code does.
func waiter() []byte {
	const state, sp, path = 0, 1, 2000
	count := func(at int32) []byte { return Code(I32(at), I32(at), 0x28, 2, 0, I32(1), opAdd, opStore, 2, 0) }
	is := func(c byte) []byte { return Code(opLocalGet, 0, 0x2d, 0, 0, I32(int32(c)), 0x46) }
	running := Code(opGlobalGet, state, 0x45)
	handle := Code(
		running, opIf, void, count(1500), opEnd,
		is('T'), opIf, void, opUnreachable, opEnd,
		is('J'), opIf, void, I32(-8), I32(1), opStore, 2, 0, opEnd,
		is('L'), opIf, void, opLoop, void, opBr, 0, opEnd, opEnd,
		opGlobalGet, state, I32(2), 0x46, is('O'), 0x72, opIf, void,
		I32(path), I32(path+100), opCall, 0, opLocalSet, 2,
		opGlobalGet, state, I32(1), 0x46, opIf, void, I32(0), 0x0f, opEnd,
		I32(1504), opLocalGet, 2, opStore, 2, 0,
		opEnd,
		running, opIf, void, count(1508), opEnd, I32(1024))
	set := func(v int32) []byte { return Code(I32(v), opGlobalSet, state) }
	return Module{Imports: ImportOf("env", "__asyncjs__weavedrive_open", "ii", "i"), PagesMin: 700, PagesMax: 710,
		Globals: []Global{Mutable('i', 0), Mutable('i', 65536)},
		Functions: []Function{
			{Export: "handle", Params: "ii", Results: "i", Locals: "i", Code: handle},
			{Export: "malloc", Params: "i", Results: "i", Code: I32(100000)},
			{Export: "free", Params: "i"},
			{Export: "__wasm_call_ctors"},
			{Export: "emscripten_stack_init"},
			{Export: "emscripten_stack_get_end", Results: "i", Code: I32(4096)},
			{Export: "emscripten_stack_get_current", Results: "i", Code: Code(opGlobalGet, sp)},
			{Export: "_emscripten_stack_restore", Params: "i", Code: Code(opLocalGet, 0, opGlobalSet, sp)},
			{Export: "_emscripten_stack_alloc", Params: "i", Results: "i",
				Code: Code(opGlobalGet, sp, opLocalGet, 0, 0x6b, I32(-16), 0x71, opGlobalSet, sp, opGlobalGet, sp)},
			{Export: "asyncify_start_unwind", Params: "i", Code: set(1)},
			{Export: "asyncify_stop_unwind", Code: set(0)},
			{Export: "asyncify_start_rewind", Params: "i", Code: set(2)},
			{Export: "asyncify_stop_rewind", Code: set(0)},
			{Export: "asyncify_get_state", Results: "i", Code: Code(opGlobalGet, state)},
		},
		Data: []Data{DataAt(1024, `{"ok":true,"response":{}}`+"\x00"), DataAt(path, `/infer/{"prompt":"why?"}`+"\x00"), DataAt(path+100, "r\x00")},
	}.Bytes()
}

func TestRunningFormAndWholeModule(t *testing.T) {
	ctx := context.Background()
	m, err := keepingHost(t, 1<<30).Compile(ctx, waiter(), wasmhost.Emscripten4)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 3))
	var image *wasmhost.Image
	var memory []byte
	asked := 0
	for step := range 60 {
		text := string("CCCCOOTJL"[rng.IntN(9)])
		ours, theirs := foxInferencer(), foxInferencer()
		c := wasmhost.Call{Message: []byte(text), Env: []byte("{}"), GasMax: 100_000, Inferencer: ours}
		got, err := m.HandleImage(ctx, image, c)
		c.Memory, c.Inferencer = memory, theirs
		want, wantErr := m.Handle(ctx, c)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) || got.Gas != want.Gas || !bytes.Equal(got.Response, want.Response) {
			t.Fatalf("step %d, %s:\n got %q gas %d %v\nwant %q gas %d %v", step, text, got.Response, got.Gas, err, want.Response, want.Gas, wantErr)
		}
		if fmt.Sprint(ours.requests) != fmt.Sprint(theirs.requests) {
			t.Fatalf("step %d, %s: asked %q, want %q", step, text, ours.requests, theirs.requests)
		}
		asked += len(ours.requests)
		if text == "C" != (err == nil && len(ours.requests) == 0) || text == "L" != errors.Is(err, wasmhost.ErrOutOfGas) {
			t.Fatalf("step %d, %s: %v, asked %q", step, text, err, ours.requests)
		}
		if err != nil {
			continue
		}
		if !bytes.Equal(got.Image.Bytes(), want.Memory) {
			t.Fatalf("step %d, %s: the memories differ", step, text)
		}
		image, memory = got.Image, want.Memory
	}
	if asked == 0 || !m.Running() {
		t.Errorf("%d inferences, second form there: %v", asked, m.Running())
	}
}

// A module whose state others than the host may change has no second form.
func TestNoRunningForm(t *testing.T) {
	ctx := context.Background()
	m, err := keepingHost(t, 1<<30).Compile(ctx, scribbler(), wasmhost.Plain)
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.HandleImage(ctx, nil, call("A"))
	if err == nil {
		_, err = m.HandleImage(ctx, r.Image, call("A"))
	}
	if err != nil || m.Running() {
		t.Errorf("%v, second form there: %v", err, m.Running())
	}
}
