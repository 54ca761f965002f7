package wasmhost_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"verbatim/wasmhost"
	. "verbatim/wasmhost/wasmtest"
)

// wasiCall calls one function of preview 1 with constant arguments and stores its error number at 2048.
func wasiCall(name, params string, args ...int64) []byte {
	code := I32(2048)
	for i, a := range args {
		if params[i] == 'j' {
			code = Code(code, I64(a))
		} else {
			code = Code(code, I32(int32(a)))
		}
	}
	return plain(Code(code, opCall, 0, opStore, 2, 0), func(m *Module) {
		m.Imports = ImportOf("wasi_snapshot_preview1", name, params, "i")
		iovec := binary.LittleEndian.AppendUint32(nil, 100)
		m.Data = append(m.Data, DataAt(3000, string(append(iovec, 5, 0, 0, 0))))
		subscription := make([]byte, 48) // one absolute clock at 70 s
		subscription[0], subscription[40] = 77, 1
		binary.LittleEndian.PutUint64(subscription[24:], 70_000_000_000)
		m.Data = append(m.Data, DataAt(3100, string(subscription)))
	})
}

func TestWASI(t *testing.T) {
	block := func(i byte) []byte {
		message := sha256.Sum256([]byte("{}"))
		sum := sha256.Sum256(append(append([]byte("verbatim random\n"), message[:]...), i, 0, 0, 0, 0, 0, 0, 0))
		return sum[:]
	}
	event := "4d00000000000000" + "0000000000000000"
	for _, c := range []struct {
		wasm  []byte
		errno uint32
		at    int
		want  string // hex of the memory there
	}{
		{wasiCall("clock_time_get", "iji", 1, 0, 4000), 0, 4000, "00e40b5402000000"}, // 10,000,000,000 ns
		{wasiCall("clock_res_get", "ii", 0, 4000), 0, 4000, "40420f0000000000"},
		{wasiCall("random_get", "ii", 4000, 40), 0, 4000, hex.EncodeToString(append(block(0), block(1)[:8]...))},
		{wasiCall("environ_sizes_get", "ii", 4000, 4004), 0, 4000, "0000000000000000"},
		{wasiCall("args_sizes_get", "ii", 4000, 4004), 0, 4000, "0000000000000000"},
		{wasiCall("fd_prestat_get", "ii", 3, 4000), 8, 4000, "00"},
		{wasiCall("path_open", "iiiiijjii", 3, 0, 100, 5, 0, 0, 0, 0, 4000), 52, 4000, "00"},
		{wasiCall("sock_accept", "iii", 3, 0, 4000), 52, 4000, "00"},
		{wasiCall("fd_write", "iiii", 1, 3000, 1, 4000), 0, 4000, "05000000"},
		{wasiCall("fd_write", "iiii", 0, 3000, 1, 4000), 8, 4000, "00000000"},
		{wasiCall("fd_write", "iiii", 9, 3000, 1, 4000), 8, 4000, "00000000"},
		{wasiCall("fd_read", "iiii", 0, 3000, 1, 4000), 0, 4000, "00000000"},
		{wasiCall("fd_seek", "ijii", 1, 0, 0, 4000), 70, 4000, "00"},
		{wasiCall("poll_oneoff", "iiii", 3100, 4000, 1, 4100), 0, 4000, event},
		{wasiCall("poll_oneoff", "iiii", 3100, 4000, 0, 4100), 28, 4000, "00"},
	} {
		r, err := compile(t, c.wasm).Handle(context.Background(), call("{}"))
		if err != nil {
			t.Errorf("%s: %v", c.want, err)
			continue
		}
		if got := binary.LittleEndian.Uint32(r.Memory[2048:]); got != c.errno {
			t.Errorf("error number %d, want %d (memory %s)", got, c.errno, c.want)
		}
		if got := hex.EncodeToString(r.Memory[c.at : c.at+len(c.want)/2]); got != c.want {
			t.Errorf("memory %s, want %s", got, c.want)
		}
	}
}

// Waiting moves the clock that the image keeps.
func TestClockGoesOn(t *testing.T) {
	m := compile(t, wasiCall("poll_oneoff", "iiii", 3100, 4000, 1, 4100))
	r, err := m.Handle(context.Background(), call("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if got := binary.LittleEndian.Uint64(r.Memory[len(r.Memory)-16:]); got != 70_000 {
		t.Errorf("clock %d, want 70000", got)
	}
}

// FuzzModule: whatever the module, compiling and evaluating it neither panics nor goes on beyond its limits.
func FuzzModule(f *testing.F) {
	f.Add(plain(nil, nil))
	f.Add(plain(countdown(10), nil))
	f.Add(inferring(5, "hello"))
	f.Add(wasiCall("poll_oneoff", "iiii", 3100, 4000, 1, 4100))
	f.Add(wasiCall("fd_write", "iiii", 1, 3000, 1, 4000))
	f.Add(deep(2))
	f.Fuzz(func(t *testing.T, wasm []byte) {
		ctx := context.Background()
		m, err := newHost(t).Compile(ctx, wasm, "")
		if err != nil {
			return
		}
		in := wasmhost.Call{Message: []byte("{}"), Env: []byte("{}"), GasMax: 1_000_000, MemoryBytesMax: 1 << 22, Inferencer: foxInferencer()}
		first, err := m.Handle(ctx, in)
		if err != nil && !isFault(err) {
			t.Fatalf("a failure without cause: %v", err)
		}
		if again, _ := m.Handle(ctx, in); again.Gas != first.Gas || string(again.Memory) != string(first.Memory) {
			t.Fatal("evaluated twice, it differs")
		}
	})
}
