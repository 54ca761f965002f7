package cuda

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/cuda/cudatest"
)

// openFake starts a backend on the fake driver, whose blocks run in an order drawn from the seed.
func openFake(t *testing.T, seed int, memoryBytes int64) *Backend {
	t.Helper()
	d := cudatest.Load(t, cudatest.SM80, fmt.Sprintf("seed=%d", seed))
	b, err := New(Options{Library: d.Path, MemoryBytes: memoryBytes})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// session is a KV, its shape, and the number of values made for it so far.
type session struct {
	t *testing.T
	b *Backend
	c kernels.KV
	s kernels.KVShape
}

func begin(t *testing.T, b *Backend, s kernels.KVShape) *session {
	t.Helper()
	c, err := b.NewKV(s)
	if err != nil {
		t.Fatal(err)
	}
	return &session{t, b, c, s}
}

// values are n numbers that follow from seed.
func values(seed, n int) []float32 {
	x := make([]float32, n)
	state := uint32(seed)*2654435761 + 1
	for i := range x {
		state = state*1664525 + 1013904223
		x[i] = float32(int32(state)>>16) / (1 << 14)
	}
	return x
}

func (s *session) buffer(x []float32) kernels.Buffer {
	s.t.Helper()
	buffer, err := s.b.NewBuffer(len(x))
	if err != nil {
		s.t.Fatal(err)
	}
	s.b.Write(buffer, x)
	return buffer
}

// store keeps rows positions of all layers whose values follow from their place and seed.
func (s *session) store(seed, first, rows int) {
	s.t.Helper()
	width := s.s.KVHeads * s.s.HeadDim
	for layer := range s.s.Layers {
		var k, v []float32
		for i := range rows {
			k = append(k, values(seed+7*(first+i)+1000003*layer, width)...)
			v = append(v, values(seed+7*(first+i)+1000003*layer+500, width)...)
		}
		s.b.StoreKV(layer, s.buffer(k), s.buffer(v), []kernels.Span{{KV: s.c, Rows: rows, Position: first}})
	}
}

// attend is the attention of rows positions with heads query heads over layer 0.
func (s *session) attend(heads, first, rows int) []float32 {
	s.t.Helper()
	width := heads * s.s.HeadDim
	var q []float32
	for i := range rows {
		q = append(q, values(99+first+i, width)...)
	}
	dst := s.buffer(make([]float32, rows*width))
	s.b.Attention(dst, s.buffer(q), 0, heads, []kernels.Span{{KV: s.c, Rows: rows, Position: first}})
	out := make([]float32, rows*width)
	if err := s.b.Read(out, dst, 0); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// kept is what the KV holds.
func (s *session) kept(first, positions int) []uint16 {
	s.t.Helper()
	x := make([]uint16, positions*s.s.PositionElements())
	if err := s.b.ReadKV(x, s.c, first, positions); err != nil {
		s.t.Fatal(err)
	}
	return x
}

func (s *session) pages() []*page { return s.c.(*kv).pages }

// held is the number of pages that somebody has.
func held(b *Backend) int {
	n := 0
	for _, s := range b.attention.pool.slabs {
		n += s.used
	}
	return n
}

// TestSharing looks at who has which page, when positions are copied, stored again, cut off and given back.
func TestSharing(t *testing.T) {
	b := openFake(t, 1, 0)
	shape := kernels.KVShape{Layers: 2, KVHeads: 2, HeadDim: 16, PositionsMax: 600}
	x, y := begin(t, b, shape), begin(t, b, shape)
	want := func(when string, pages int) {
		t.Helper()
		if n := held(b); n != pages {
			t.Fatalf("%s: %d pages are in use, want %d", when, n, pages)
		}
	}
	want("empty", 0)
	x.store(1, 0, 300)
	want("300 positions", 3)
	b.CopyKV(y.c, x.c, 0, 0, 300)
	want("a fork", 3)
	if !slices.Equal(x.pages()[:3], y.pages()[:3]) {
		t.Fatal("a fork has other pages")
	}
	before := x.kept(0, 300)
	y.store(2, 300, 1) // in the third page
	want("a fork that goes on", 4)
	if x.pages()[1] != y.pages()[1] || x.pages()[2] == y.pages()[2] {
		t.Fatal("a fork that goes on shares the wrong pages")
	}
	x.store(3, 300, 1) // nobody else has that page any more
	want("the original goes on", 4)
	if got := x.kept(0, 300); !slices.Equal(got, before) {
		t.Fatal("what was kept changed by copying it")
	}
	if got := y.kept(0, 300); !slices.Equal(got, before) {
		t.Fatal("a fork holds something else")
	}
	b.CopyKV(y.c, x.c, 128, 256, 40) // whole pages, and what follows is lost
	want("a page at another place", 3)
	b.CopyKV(y.c, x.c, 130, 0, 100) // no whole pages: a copy of its own
	want("positions at another place", 4)
	if err := b.Reserve(x.c, 0, 0); err != nil {
		t.Fatal(err)
	}
	want("the original gave everything back", 2)
	if err := b.Reserve(y.c, 0, 0); err != nil {
		t.Fatal(err)
	}
	want("the fork did too", 0)
	if err := b.flush(); err != nil {
		t.Fatal(err)
	}
	used := b.memory.used
	if !b.trimPages() {
		t.Fatal("no free pages to trim")
	}
	if err := b.flush(); err != nil {
		t.Fatal(err)
	}
	if n := len(b.attention.pool.slabs); n != 0 || b.memory.used >= used || b.trimPages() {
		t.Fatalf("after trimming: %d slabs, %d bytes in use, %d before", n, b.memory.used, used)
	}
	z := begin(t, b, shape)
	z.store(1, 0, 300)
	if got := z.kept(0, 300); !slices.Equal(got, before) {
		t.Fatal("a KV in new pages holds something else")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPagesRunOut spends the memory. The session that wanted too much gets an error, the other one keeps all it has, and goes on
// when there is memory again.
func TestPagesRunOut(t *testing.T) {
	const budget = 24 << 20
	b := openFake(t, 1, budget)
	shape := kernels.KVShape{Layers: 4, KVHeads: 8, HeadDim: 128, PositionsMax: 4096} // pages of 2 MiB
	x, y := begin(t, b, shape), begin(t, b, shape)
	x.store(1, 0, 10)
	before := x.kept(0, 10)
	err := b.Reserve(y.c, 0, 4096)
	if !errors.Is(err, kernels.ErrMemory) {
		t.Fatalf("reserve 64 MiB of %d: %v, want ErrMemory", budget, err)
	}
	if b.memory.used > budget {
		t.Fatalf("%d bytes in use of %d", b.memory.used, budget)
	}
	// Without Reserve, Read tells.
	small := y.buffer(make([]float32, 8*128))
	for split := range 32 {
		b.StoreKV(0, small, small, []kernels.Span{{KV: y.c, Rows: 1, Position: split * kernels.SplitPositions}})
	}
	var one [1]float32
	if err := b.Read(one[:], small, 0); !errors.Is(err, kernels.ErrMemory) {
		t.Fatalf("read after storing too much: %v, want ErrMemory", err)
	}
	if got := x.kept(0, 10); !slices.Equal(got, before) {
		t.Fatal("a session lost what it had when another wanted too much")
	}
	if err := b.Reserve(y.c, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := b.Reserve(x.c, 10, 300); err != nil {
		t.Fatalf("reserve what was given back: %v", err)
	}
	if got := x.kept(0, 10); !slices.Equal(got, before) {
		t.Fatal("a session lost what it had by reserving more")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestChunks attends token by token and in chunks of several lengths, with the blocks in several orders: the same bits.
func TestChunks(t *testing.T) {
	const positions = 270
	for _, h := range []struct{ heads, kvHeads, headDim, window int }{{8, 2, 64, 0}, {4, 1, 128, 0}, {6, 2, 24, 100}} {
		shape := kernels.KVShape{Layers: 1, KVHeads: h.kvHeads, HeadDim: h.headDim, PositionsMax: positions, Window: h.window}
		var want []float32
		for seed, chunk := range []int{1, positions, 64, 3} {
			b := openFake(t, seed, 0)
			s := begin(t, b, shape)
			var got []float32
			for first := 0; first < positions; first += chunk {
				rows := min(chunk, positions-first)
				s.store(1, first, rows)
				got = append(got, s.attend(h.heads, first, rows)...)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = got
				continue
			}
			for i := range got {
				if got[i] != want[i] {
					t.Fatalf("%+v in chunks of %d: element %d is %v, token by token %v", h, chunk, i, got[i], want[i])
				}
			}
		}
	}
}
