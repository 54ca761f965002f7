package wasmhost_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"verbatim/wasmhost"
)

// inferencer answers with what its function says and keeps the requests.
type inferencer struct {
	requests []string
	answer   func(request string) (string, error)
}

func (f *inferencer) Infer(_ context.Context, request []byte) ([]byte, error) {
	f.requests = append(f.requests, string(request))
	response, err := f.answer(string(request))
	return []byte(response), err
}

const fox = `{"text":"Once upon a time\nthere was a fox. é","tokens":9,"finish_reason":"stop","receipt":"abcd"}`

func foxInferencer() *inferencer {
	return &inferencer{answer: func(request string) (string, error) {
		switch {
		case strings.Contains(request, "refuse"):
			return `{"error":{"code":"prompt_too_long","message":"no"}}`, nil
		case strings.Contains(request, "break"):
			return "", errors.New("engine gone")
		}
		return fox, nil
	}}
}

const (
	aosProcess = "Process0000000000000000000000000000000000AA"
	aosOwner   = "Owner000000000000000000000000000000000000AA"
)

func aosMessage(id, action, data string) []byte {
	m, err := json.Marshal(map[string]any{"Id": id, "Owner": aosOwner, "From": aosOwner, "Target": aosProcess, "Data": data,
		"Timestamp": 1, "Block-Height": 1, "Module": "M", "Tags": []map[string]string{{"name": "Action", "value": action}}})
	if err != nil {
		panic(err)
	}
	return m
}

func aosEnv() []byte {
	return fmt.Appendf(nil, `{"Process":{"Id":%q,"Owner":%q,"Tags":[]},"Module":{"Id":"M","Tags":[]}}`, aosProcess, aosOwner)
}

// aos is a started aos process.
type aos struct {
	module *wasmhost.Module
	memory []byte
}

func startAos(t testing.TB) *aos {
	t.Helper()
	m, err := newHost(t).Compile(context.Background(), readAos(t), "")
	if err != nil {
		t.Fatal(err)
	}
	if m.Format() != wasmhost.Emscripten4 {
		t.Fatalf("detected as %s", m.Format())
	}
	a := &aos{module: m}
	r, err := m.Handle(context.Background(), wasmhost.Call{Message: aosMessage(aosProcess, "Start", ""), Env: aosEnv()})
	if err != nil {
		t.Fatal(err)
	}
	a.memory = r.Memory
	return a
}

// eval runs Lua without keeping its effects and returns what it returned, as text.
func (a *aos) eval(t testing.TB, lua string, c wasmhost.Call) (string, wasmhost.Return, error) {
	t.Helper()
	c.Memory, c.Message, c.Env = a.memory, aosMessage("M", "Eval", lua), aosEnv()
	r, err := a.module.Handle(context.Background(), c)
	if err != nil {
		return "", r, err
	}
	var out struct {
		Response struct {
			Error  any
			Output struct {
				Data string `json:"data"`
			}
		} `json:"response"`
	}
	if err := json.Unmarshal(r.Response, &out); err != nil {
		t.Fatalf("%v in %.300s", err, r.Response)
	}
	if out.Response.Error != nil {
		return fmt.Sprint("error: ", out.Response.Error), r, nil
	}
	return out.Response.Output.Data, r, nil
}

// Lua in an unmodified module reaches the model by the file calls it already has.
func TestAosInference(t *testing.T) {
	a := startAos(t)
	const text = "Once upon a time\nthere was a fox. é"
	for _, c := range []struct{ lua, want, request string }{
		{`local f = io.open("/infer/tell me") local s = f:read(f:seek("end")) f:close() return s`, text, `{"prompt":"tell me"}`},
		{`local f = io.open("/infer/a \"b\" <c>\n") local n = f:seek("end") f:seek("set") local s = f:read(n) f:close() return s`,
			text, `{"prompt":"a \"b\" <c>\n"}`},
		{`local f = io.open('/infer/{"prompt":"x", "max_tokens":3}') local s = f:read(f:seek("end")) f:close() return s`,
			fox, `{"prompt":"x", "max_tokens":3}`},
		{`local f = io.open("/infer/x") local s = f:read(5) .. "+" .. f:read(6) f:close() return s`, "Once +upon a", ""},
		{`local t = {} for l in io.lines("/infer/x") do t[#t + 1] = l end return table.concat(t, "|")`,
			"Once upon a time|there was a fox. é", ""},
		{`local co = coroutine.wrap(function () local f = io.open("/infer/" .. ("x"):rep(300000)) ` +
			`coroutine.yield(f:read(f:seek("end"))) end) return co()`, text, ""},
		{`local s for i = 1, 100 do local f = io.open("/infer/x") s = f:read(f:seek("end")) f:close() end return s`, text, ""},
		{`return tostring(io.open("/infer/refuse"))`, "nil", ""},
		{`local f = io.open('/infer/{"prompt":"refuse"}') local s = f:read(f:seek("end")) f:close() return s`,
			`{"error":{"code":"prompt_too_long","message":"no"}}`, ""},
		{`return tostring(io.open("/infer/"))`, "nil", ""},
		{`return tostring(io.open("/etc/passwd"))`, "nil", ""},
	} {
		fake := foxInferencer()
		got, _, err := a.eval(t, c.lua, wasmhost.Call{Inferencer: fake})
		if err != nil || got != c.want {
			t.Errorf("%s\n got %q, %v\nwant %q", c.lua, got, err, c.want)
		}
		if c.request != "" && (len(fake.requests) != 1 || fake.requests[0] != c.request) {
			t.Errorf("%s\n got requests %q\nwant %q", c.lua, fake.requests, c.request)
		}
	}
}

func TestAosInferenceLimits(t *testing.T) {
	a := startAos(t)
	open := func(n int) string {
		fake := foxInferencer()
		got, _, err := a.eval(t, fmt.Sprintf(`return tostring(io.open("/infer/" .. ("x"):rep(%d)) ~= nil)`, n),
			wasmhost.Call{Inferencer: fake})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(got, " ", len(fake.requests))
	}
	fits := wasmhost.InferRequestBytesMax - len(`{"prompt":""}`)
	if got := open(fits); got != "true 1" {
		t.Errorf("prompt of %d bytes: %s", fits, got)
	}
	if got := open(fits + 1); got != "false 0" {
		t.Errorf("prompt of %d bytes: %s", fits+1, got)
	}
	if _, _, err := a.eval(t, `io.open("/infer/x"):read("a")`, wasmhost.Call{Inferencer: foxInferencer()}); !errors.Is(err, wasmhost.ErrTrap) {
		t.Errorf(`read("a"): %v`, err)
	}
	if _, _, err := a.eval(t, `io.open("/infer/break")`, wasmhost.Call{Inferencer: foxInferencer()}); isFault(err) || err == nil {
		t.Errorf("failing inferencer: %v", err)
	}
	if _, _, err := a.eval(t, `io.open("/infer/x")`, wasmhost.Call{}); !errors.Is(err, wasmhost.ErrNoInferencer) {
		t.Errorf("no inferencer: %v", err)
	}
}

// An error that Lua catches gives its stack frames back, however often it happens.
func TestAosErrorsCost(t *testing.T) {
	a := startAos(t)
	got, _, err := a.eval(t, `local n = 0 for i = 1, 20000 do if not pcall(error, i) then n = n + 1 end end return n`, wasmhost.Call{})
	if err != nil || got != "20000" {
		t.Errorf("got %q, %v", got, err)
	}
}

func isFault(err error) bool { return errors.As(err, new(*wasmhost.Fault)) }

func TestAosLimits(t *testing.T) {
	a := startAos(t)
	_, r, err := a.eval(t, `while true do end`, wasmhost.Call{GasMax: 100_000_000})
	if !errors.Is(err, wasmhost.ErrOutOfGas) || r.Gas <= 100_000_000 || r.Gas > 101_000_000 {
		t.Errorf("endless loop: %v, gas %d", err, r.Gas)
	}
	_, r, err = a.eval(t, `while pcall(function () while true do end end) do end`, wasmhost.Call{GasMax: 100_000_000})
	if !errors.Is(err, wasmhost.ErrOutOfGas) {
		t.Errorf("endless loop in pcall: %v, gas %d", err, r.Gas)
	}
	_, r, err = a.eval(t, `return 1`, wasmhost.Call{})
	if err != nil {
		t.Fatal(err)
	}
	if _, at, err := a.eval(t, `return 1`, wasmhost.Call{GasMax: r.Gas}); err != nil || at.Gas != r.Gas {
		t.Errorf("gas limit %d: %v, gas %d", r.Gas, err, at.Gas)
	}
	if _, _, err := a.eval(t, `return 1`, wasmhost.Call{GasMax: r.Gas - 1}); !errors.Is(err, wasmhost.ErrOutOfGas) {
		t.Errorf("gas limit one less than needed: %v", err)
	}
	// The C library of the module copies to the null that malloc returned, and the copy is cut at the end of memory.
	if got, _, err := a.eval(t, `return #string.rep("x", 500000000)`, wasmhost.Call{}); err != nil || !strings.Contains(got, "not enough memory") {
		t.Errorf("string beyond the module's memory: %q, %v", got, err)
	}
	if got, _, err := a.eval(t, `return #string.rep("x", 50000000)`, wasmhost.Call{MemoryBytesMax: 120 << 20}); err != nil || !strings.Contains(got, "not enough memory") {
		t.Errorf("string beyond the limit: %q, %v", got, err)
	}
	if _, _, err := a.eval(t, `return 1`, wasmhost.Call{MemoryBytesMax: 1 << 20}); !errors.Is(err, wasmhost.ErrMemoryLimit) {
		t.Errorf("memory limit below the image: %v", err)
	}
	if _, _, err := a.eval(t, `os.exit(3)`, wasmhost.Call{}); !errors.Is(err, wasmhost.ErrExit) {
		t.Errorf("os.exit: %v", err)
	}
}

// BenchmarkAos is one trivial message: restore, run, snapshot.
func BenchmarkAos(b *testing.B) {
	a := startAos(b)
	for b.Loop() {
		if _, _, err := a.eval(b, "return 1 + 1", wasmhost.Call{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAosLoop is computing: two million turns of a Lua loop.
func BenchmarkAosLoop(b *testing.B) {
	a := startAos(b)
	for b.Loop() {
		if _, _, err := a.eval(b, "local x = 0 for i = 1, 2000000 do x = x + i % 7 end return x", wasmhost.Call{}); err != nil {
			b.Fatal(err)
		}
	}
}
