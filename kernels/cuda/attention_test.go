package cuda_test

import (
	"math"
	"strings"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/cuda"
	"verbatim/kernels/cuda/cudatest"
	"verbatim/kernels/kerneltest"
	"verbatim/kernels/quant"
	"verbatim/kernels/ref"
)

// TestRandomAttention compares random shapes of heads, batches and windows with the reference.
func TestRandomAttention(t *testing.T) {
	b := open(t, cudatest.Load(t, cudatest.SM80, "seed=3"), cuda.Options{})
	for seed := range uint64(60) {
		if c := kerneltest.Random(80000 + seed); strings.HasPrefix(c.Name, "attention") {
			t.Run(c.Name, func(t *testing.T) { kerneltest.Compare(t, c, c.Results(t, b), c.Results(t, ref.New())) })
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

// pass is like inference's from the rotation to the product behind attention, over sessions at positions with rows each; the row
// before the second session belongs to nobody. Operators that follow each other share launches here. It returns all that the
// operators wrote.
func pass(t *testing.T, b kernels.Backend, sessions [][2]int, headDim, rotated int) []float32 {
	t.Helper()
	const heads, kvHeads = 4, 2
	seed := uint32(1)
	numbers := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			seed = seed*1664525 + 1013904223
			x[i] = float32(int32(seed)>>16) / (1 << 14)
		}
		return x
	}
	buffer := func(x []float32) kernels.Buffer {
		made, err := b.NewBuffer(len(x))
		if err != nil {
			t.Fatal(err)
		}
		b.Write(made, x)
		return made
	}
	var spans []kernels.Span
	rows := 0
	for i, s := range sessions {
		if i == 1 {
			rows++
		}
		kv, err := b.NewKV(kernels.KVShape{Layers: 1, KVHeads: kvHeads, HeadDim: headDim, PositionsMax: 300})
		if err != nil {
			t.Fatal(err)
		}
		if before := s[0]; before > 0 {
			n := before * kvHeads * headDim
			b.StoreKV(0, buffer(numbers(n)), buffer(numbers(n)), []kernels.Span{{KV: kv, Rows: before}})
		}
		spans = append(spans, kernels.Span{KV: kv, Row: rows, Rows: s[1], Position: s[0]})
		rows += s[1]
	}
	cols := heads * headDim
	weights, err := b.NewMatrix(quant.Q8_0, 24, cols, quant.Quantise(quant.Q8_0, numbers(24*cols)))
	if err != nil {
		t.Fatal(err)
	}
	angles := make([]float32, rows*rotated)
	for i := range rows * rotated / 2 {
		angles[2*i], angles[2*i+1] = float32(math.Cos(float64(i))), float32(math.Sin(float64(i)))
	}
	q, k, v := buffer(numbers(rows*cols)), buffer(numbers(rows*kvHeads*headDim)), buffer(numbers(rows*kvHeads*headDim))
	cosSin, out, y := buffer(angles), buffer(numbers(rows*cols)), buffer(numbers(rows*24))
	b.RoPE(q, cosSin, heads, headDim, rotated, rows)
	b.RoPE(k, cosSin, kvHeads, headDim, rotated, rows)
	b.StoreKV(0, k, v, spans)
	b.Attention(out, q, 0, heads, spans)
	b.MatMul([]kernels.Buffer{y}, []kernels.Matrix{weights}, out, rows)
	var all []float32
	for _, from := range []kernels.Buffer{q, k, out, y} {
		x := make([]float32, from.Len())
		if err := b.Read(x, from, 0); err != nil {
			t.Fatal(err)
		}
		all = append(all, x...)
	}
	return all
}

// TestSharedLaunches compares a pass in which operators share launches with the reference.
func TestSharedLaunches(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "seed=2")
	decoding := [][2]int{{130, 1}, {0, 1}, {3, 1}, {257, 1}}
	both := [][2]int{{130, 1}, {0, 1}, {100, 40}, {257, 1}}
	for i, s := range [][2]int{{64, 64}, {128, 96}, {24, 24}, {80, 32}, {64, 64}} {
		b, sessions := open(t, d, cuda.Options{}), decoding
		if i > 2 {
			sessions = both
		}
		got, want := pass(t, b, sessions, s[0], s[1]), pass(t, ref.New(), sessions, s[0], s[1])
		differences := 0
		for i := range got {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
				if differences == 0 {
					t.Errorf("%v, heads of %d, %d of it rotated: result %d is %v, want %v", sessions, s[0], s[1], i, got[i], want[i])
				}
				differences++
			}
		}
		if differences > 0 {
			t.Errorf("%d of %d results differ; %s", differences, len(got), d.Message())
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAttentionTraffic holds decoding to the keys and values that it must read, each once for all heads that share them, in whole
// sectors; and a prefill to reading them once for each tile.
func TestAttentionTraffic(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "")
	const positions = 700
	for _, s := range []struct{ heads, kvHeads, headDim, window, rows, tiles int }{
		{8, 2, 128, 0, 1, 0}, {9, 3, 64, 0, 1, 0}, {8, 1, 96, 0, 1, 0}, {16, 1, 64, 0, 1, 0}, {4, 4, 256, 0, 1, 0}, {8, 2, 128, 250, 1, 0}, {8, 2, 128, 0, 32, 2},
	} {
		b := open(t, d, cuda.Options{})
		kv, err := b.NewKV(kernels.KVShape{Layers: 1, KVHeads: s.kvHeads, HeadDim: s.headDim, PositionsMax: positions, Window: s.window})
		if err != nil {
			t.Fatal(err)
		}
		b.WriteKV(kv, make([]uint16, positions*2*s.kvHeads*s.headDim), 0, positions)
		q, err := b.NewBuffer(s.rows * s.heads * s.headDim)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Read(make([]float32, 1), q, 0); err != nil {
			t.Fatal(err)
		}
		d.Configure("traffic=1")
		b.Attention(q, q, 0, s.heads, []kernels.Span{{KV: kv, Rows: s.rows, Position: positions - s.rows}})
		if err := b.Read(make([]float32, 1), q, 0); err != nil {
			t.Fatal(err)
		}
		seen := positions
		if s.window > 0 {
			seen = s.window
		}
		kept := int64(seen * 2 * s.kvHeads * s.headDim * 2)
		queries := int64(4 * s.rows * s.heads * s.headDim)
		for _, k := range d.Report().Kernels {
			// What warps ask for, in sectors: the same, for each tile and for every 8 heads of a group, the queries for each split, and a
			// few words a block.
			readings := max(s.tiles, (s.heads/s.kvHeads+7)/8)
			splits := int64((seen+127)/128 + 1)
			asked := (kept*int64(readings)+splits*queries)*105/100 + k.BytesWritten + 1024*k.Blocks
			switch {
			case strings.HasPrefix(k.Name, "attend"):
				if k.FootprintRead*100 > (kept+queries+1024)*105 || 32*k.Sectors > asked || k.SectorsIdeal*100 < k.Sectors*95 {
					t.Errorf("%+v: %s reads %d bytes of memory, %d kept ones and %d of queries; asks for %d, at most %d expected; %d sectors where %d would do",
						s, k.Name, k.FootprintRead, kept, queries, 32*k.Sectors, asked, k.Sectors, k.SectorsIdeal)
				}
			case strings.HasPrefix(k.Name, "combine"):
				if partials := int64((seen+127)/128+1) * (queries + int64(8*s.rows*s.heads)); k.FootprintRead > partials*105/100+4096 {
					t.Errorf("%+v: %s reads %d bytes, partial results have %d", s, k.Name, k.FootprintRead, partials)
				}
			default:
				t.Errorf("%+v: %s has no part in attention", s, k.Name)
			}
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
