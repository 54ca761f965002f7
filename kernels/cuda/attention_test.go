package cuda_test

import (
	"strings"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/cuda"
	"verbatim/kernels/cuda/cudatest"
	"verbatim/kernels/kerneltest"
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
