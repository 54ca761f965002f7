package wasmbin_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	. "verbatim/wasmhost/wasmtest"
)

// The goal: a module with a 64-bit memory does the same here, rewritten to 32 bits, as in an engine that has 64-bit
// memories. Random modules run here and under Node (e2e/memory64/run.mjs); single cases are written down below.

// outcome is what one call did, and the memory after it.
type outcome struct {
	Result string `json:"result"` // "trap", or the i64 in decimal
	Pages  uint32 `json:"pages"`
	SHA256 string `json:"sha256"`
}

// arguments of the calls, in order; each call works on the memory that the one before left.
func arguments() [][2]int64 {
	return [][2]int64{{0, 8}, {100, 65528}, {1<<32 + 16, -8}, {60000, 2}, {4096, 4097}}
}

// refill gives fuel without end.
func refill(_ context.Context, m api.Module, _ []uint64) {
	for _, name := range []string{"fuel", "stack"} {
		m.ExportedGlobal(name).(api.MutableGlobal).Set(1 << 60)
	}
}

func engine(t testing.TB, config wazero.RuntimeConfig) wazero.Runtime {
	t.Helper()
	ctx := context.Background()
	rt := wazero.NewRuntimeWithConfig(ctx, config)
	t.Cleanup(func() {
		if err := rt.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	_, err := rt.NewHostModuleBuilder("gas").NewFunctionBuilder().
		WithGoModuleFunction(api.GoModuleFunc(refill), nil, nil).Export("refill").Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// perform calls f0 to f3 with all arguments.
func perform(t testing.TB, rt wazero.Runtime, wasm []byte) []outcome {
	t.Helper()
	ctx := context.Background()
	mod, err := rt.InstantiateWithConfig(ctx, instrument(t, wasm), wazero.NewModuleConfig().WithName(""))
	if err != nil {
		t.Fatal(err)
	}
	defer mod.Close(ctx)
	var out []outcome
	for f := 0; f < 4; f++ {
		for _, a := range arguments() {
			refill(ctx, mod, nil)
			results, err := mod.ExportedFunction(fmt.Sprintf("f%d", f)).Call(ctx, uint64(a[0]), uint64(a[1]))
			o := outcome{Result: "trap", Pages: mod.Memory().Size() >> 16}
			if err == nil {
				o.Result = fmt.Sprint(int64(results[0]))
			}
			b, _ := mod.Memory().Read(0, mod.Memory().Size())
			sum := sha256.Sum256(b)
			o.SHA256 = hex.EncodeToString(sum[:])
			out = append(out, o)
		}
	}
	return out
}

// TestWideEdges: what a 64-bit memory does at the borders of itself and of 32 bits. Each case is code of type
// ()->(i64); want "trap" or the value.
func TestWideEdges(t *testing.T) {
	rt := engine(t, wazero.NewRuntimeConfig())
	offset := func(v uint64) []byte {
		var out []byte
		for ; v >= 0x80; v >>= 7 {
			out = append(out, byte(v)|0x80)
		}
		return append(out, byte(v))
	}
	load := func(at int64, off uint64) []byte { return Code(I64(at), 0x31, 0, offset(off)) } // i64.load8_u
	bulk := func(op int, d, s, n int64) []byte {
		if op == 11 {
			return Code(I64(d), I32(int32(s)), I64(n), 0xfc, 11, 0, I64(7))
		}
		return Code(I64(d), I64(s), I64(n), 0xfc, 10, 0, 0, I64(7))
	}
	for _, c := range []struct {
		name, want string
		code       []byte
	}{
		{"last byte", "0", load(65535, 0)},
		{"one further", "trap", load(65536, 0)},
		{"by the offset", "trap", load(65535, 1)},
		{"2^32", "trap", load(1<<32, 0)},
		{"-1", "trap", load(-1, 0)},
		{"address and offset wrap around 2^64", "trap", load(-8, 16)},
		{"offset 2^32", "trap", load(0, 1<<32)},
		{"offset 2^64-1", "trap", load(1, 1<<64-1)},
		{"size", "1", Code(0x3f, 0)},
		{"grow by one", "1", Code(I64(1), 0x40, 0)},
		{"grow by 2^32", "-1", Code(I64(1<<32), 0x40, 0)},
		{"grow by 2^32+1", "-1", Code(I64(1<<32+1), 0x40, 0)},
		{"grow beyond the maximum", "-1", Code(I64(3), 0x40, 0)},
		{"fill nothing at the end", "7", bulk(11, 65536, 0, 0)},
		{"fill nothing beyond the end", "trap", bulk(11, 65537, 0, 0)},
		{"fill nothing at 2^32", "trap", bulk(11, 1<<32, 0, 0)},
		{"fill 2^32 bytes", "trap", bulk(11, 0, 0, 1<<32)},
		{"fill 2^64-1 bytes", "trap", bulk(11, 1, 0, -1)},
		{"copy all", "7", bulk(10, 0, 0, 65536)},
		{"copy 2^32+1 bytes", "trap", bulk(10, 0, 0, 1<<32+1)},
		{"copy from 2^32", "trap", bulk(10, 0, 1<<32, 1)},
		{"copy to 2^32", "trap", bulk(10, 1<<32, 0, 1)},
	} {
		m := Module{Wide: true, PagesMin: 1, PagesMax: 3}
		for f := range 4 {
			m.Functions = append(m.Functions, Function{Export: fmt.Sprintf("f%d", f), Params: "jj", Results: "j", Code: c.code})
		}
		if got := perform(t, rt, m.Bytes())[0].Result; got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestRandomWideModulesUnderNode(t *testing.T) {
	modules := 60
	if os.Getenv("VERBATIM_E2E_REQUIRE") == "1" {
		modules = 2000
	}
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("VERBATIM_E2E_REQUIRE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	folder := t.TempDir()
	for seed := range modules {
		file := filepath.Join(folder, fmt.Sprintf("%d.wasm", seed))
		if err := os.WriteFile(file, RandomWide(uint64(seed)).Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	calls, err := json.Marshal(arguments())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := exec.Command(node, "--experimental-wasm-memory64", "--no-warnings", "../../e2e/memory64/run.mjs", folder,
		fmt.Sprint(modules), string(calls)).Output()
	if err != nil {
		var exit *exec.ExitError
		errors.As(err, &exit)
		t.Fatalf("node: %v\n%s", err, exit.Stderr)
	}
	rt := engine(t, wazero.NewRuntimeConfig())
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	traps, values := 0, 0
	for seed := range modules {
		if !lines.Scan() {
			t.Fatalf("module %d: no answer from node", seed)
		}
		var want []outcome
		if err := json.Unmarshal(lines.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		got := perform(t, rt, RandomWide(uint64(seed)).Bytes())
		for i, w := range want {
			if got[i] != w {
				t.Fatalf("seed %d, f%d%v\n got %+v\nwant %+v", seed, i/5, arguments()[i%5], got[i], w)
			}
			if w.Result == "trap" {
				traps++
			} else {
				values++
			}
		}
	}
	t.Logf("%d modules, %d calls gave values, %d trapped", modules, values, traps)
	if traps < modules || values < modules {
		t.Error("the random modules do too little of one kind")
	}
}
