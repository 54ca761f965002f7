package cpu_test

import (
	"fmt"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/cpu"
	"verbatim/kernels/quant"
	"verbatim/kernels/ref"
)

// The conformance suite's shapes are small; these are large enough to be cut by the cache sizes in matmul.go and
// attention.go. The reference computes a few rows, which is enough since rows are independent.

func TestLargeMatMul(t *testing.T) {
	for _, c := range []struct {
		t                 quant.Type
		rows, cols, batch int
	}{
		{quant.Q8_0, 40, 8192, 70}, // more activations than inputsBytesMax
		{quant.Q4_0, 65, 4096, 13},
		{quant.Q4_1, 33, 2080, 19},
		{quant.Q5_0, 33, 1056, 7},
		{quant.Q5_1, 31, 1056, 11},
		{quant.IQ4_NL, 33, 1056, 9},
		{quant.Q2_K, 35, 512, 8},
		{quant.Q3_K, 33, 1024, 23},
		{quant.Q4_K, 33, 1024, 22},
		{quant.Q5_K, 34, 1024, 21},
		{quant.Q6_K, 47, 1024, 20},
		{quant.IQ4_XS, 33, 1024, 19},
		{quant.F16, 33, 4100, 27},
		{quant.F32, 64, 2049, 55},
	} {
		row := quant.Quantise(c.t, noise(c.rows*c.cols, 1))
		x := noise(c.batch*c.cols, 2)
		sample := []int{0, 1, 5, 6, c.batch / 2, c.batch - 1}
		var want []float32
		for _, r := range sample {
			want = append(want, product(t, ref.New(), c.t, c.rows, c.cols, row, x[r*c.cols:][:c.cols])...)
		}
		for _, level := range cpu.Levels()[1:] {
			for _, threads := range []int{1, 2} {
				all := product(t, newBackend(t, threads, level), c.t, c.rows, c.cols, row, x)
				var got []float32
				for _, r := range sample {
					got = append(got, all[r*c.rows:][:c.rows]...)
				}
				if i := firstDifference(got, want); i >= 0 {
					t.Errorf("%s, %d threads, %+v: row %d, output %d: got %g, want %g", level, threads, c, sample[i/c.rows], i%c.rows, got[i], want[i])
				}
			}
		}
	}
}

// product gives (rows of x, rows).
func product(t *testing.T, b kernels.Backend, ty quant.Type, rows, cols int, data []byte, x []float32) []float32 {
	t.Helper()
	m, err := b.NewMatrix(ty, rows, cols, data)
	if err != nil {
		t.Fatal(err)
	}
	batch := len(x) / cols
	src, dst := values(t, b, x), values(t, b, make([]float32, batch*rows))
	b.MatMul([]kernels.Buffer{dst}, []kernels.Matrix{m}, src, batch)
	return read(t, b, dst)
}

// TestLargeAttention has more partial results than partialsMax, and two sessions.
func TestLargeAttention(t *testing.T) {
	const heads, kvHeads, dim, depth, rows = 16, 4, 48, 270, 150
	k, v, q := noise((depth+40)*kvHeads*dim, 3), noise((depth+40)*kvHeads*dim, 4), noise((rows+3)*heads*dim, 5)
	attend := func(b kernels.Backend, window int) []float32 {
		kb, vb, qb, out := values(t, b, k), values(t, b, v), values(t, b, q), values(t, b, make([]float32, len(q)))
		var kvs [2]kernels.KV
		for i := range kvs {
			kv, err := b.NewKV(kernels.KVShape{Layers: 1, KVHeads: kvHeads, HeadDim: dim, PositionsMax: depth, Window: window})
			if err != nil {
				t.Fatal(err)
			}
			kvs[i] = kv
		}
		b.StoreKV(0, kb, vb, []kernels.Span{{KV: kvs[0], Rows: depth}, {KV: kvs[1], Row: depth, Rows: 40}})
		b.Attention(out, qb, 0, heads, []kernels.Span{
			{KV: kvs[0], Rows: rows, Position: depth - rows}, {KV: kvs[1], Row: rows, Rows: 3, Position: 37}})
		return read(t, b, out)
	}
	for _, window := range []int{0, 100} {
		want := attend(ref.New(), window)
		for _, level := range cpu.Levels() {
			for _, threads := range []int{1, 3} {
				t.Run(fmt.Sprintf("window=%d/%s/threads=%d", window, level, threads), func(t *testing.T) {
					got := attend(newBackend(t, threads, level), window)
					if i := firstDifference(got, want); i >= 0 {
						t.Errorf("row %d, element %d: got %g, want %g", i/(heads*dim), i%(heads*dim), got[i], want[i])
					}
				})
			}
		}
	}
}
