package cpu_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"verbatim/kernels"
	"verbatim/kernels/cpu"
	"verbatim/kernels/quant"
)

// The benchmarks run on every level of the machine. Each reports the best of its rounds, as a share of a limit that is
// measured in the same run, and the digest of its output, which is the same on every level. TestBenchmarks runs them
// small.

// workload is an operator with its inputs.
type workload struct {
	name  string
	setup func(t testing.TB, b *cpu.Backend) (run func(), output kernels.Buffer)
	// What one run takes; zero if that is not what limits it.
	bytes, byteProducts, products float64
}

var blockTypes = []quant.Type{quant.Q8_0, quant.Q4_0, quant.Q4_1, quant.Q5_0, quant.Q5_1, quant.Q4_K, quant.Q5_K, quant.Q6_K, quant.Q3_K, quant.IQ4_XS}

// workloads are the operators at the size of a model: wide rows of weights, cols columns, depth positions; and a matrix
// of streamed bytes, more than caches hold, for a single row.
func workloads(streamed, wide, cols, depth int) []workload {
	var list []workload
	for _, t := range append(blockTypes, quant.F16, quant.BF16, quant.F32) {
		rowBytes, _ := quant.RowBytes(t, cols)
		list = append(list, matMul(t, streamed/rowBytes, cols, 1))
		for _, rows := range []int{4, 16, 128} {
			list = append(list, matMul(t, wide, cols, rows))
		}
	}
	for _, rows := range []int{1, 64} {
		list = append(list, attention(32, 8, 64, depth, rows), attention(9, 3, 64, depth, rows))
	}
	n := 64 * cols
	vector := func(name string, run func(b *cpu.Backend, w kernels.Matrix, x, y, z kernels.Buffer)) {
		list = append(list, workload{name: name, bytes: float64(4 * n), setup: func(t testing.TB, b *cpu.Backend) (func(), kernels.Buffer) {
			x, y, z := values(t, b, noise(n, 6)), values(t, b, noise(n, 7)), values(t, b, make([]float32, n))
			w := weights(t, b, quant.F32, 1, cols)
			return func() { run(b, w, x, y, z) }, z
		}})
	}
	vector("rmsnorm", func(b *cpu.Backend, w kernels.Matrix, x, _, z kernels.Buffer) { b.RMSNorm(z, x, w, 1e-5, 64) })
	vector("swiglu", func(b *cpu.Backend, _ kernels.Matrix, x, y, z kernels.Buffer) { b.SwiGLU(z, x, y, n) })
	vector("add", func(b *cpu.Backend, _ kernels.Matrix, x, _, z kernels.Buffer) { b.Add(z, x, n) })
	vector("rope", func(b *cpu.Backend, _ kernels.Matrix, x, y, z kernels.Buffer) { b.RoPE(z, y, cols/64, 64, 64, 64) })
	return list
}

func matMul(t quant.Type, wide, cols, rows int) workload {
	w := workload{name: fmt.Sprintf("matmul/%s/%dx%d/rows=%d", t, wide, cols, rows)}
	rowBytes, _ := quant.RowBytes(t, cols)
	w.bytes = float64(wide * rowBytes)
	if t.BlockElements() > 1 {
		w.byteProducts = float64(rows*wide) * float64(cols)
	} else {
		w.products = float64(rows*wide) * float64(cols)
	}
	w.setup = func(tb testing.TB, b *cpu.Backend) (func(), kernels.Buffer) {
		m := weights(tb, b, t, wide, cols)
		x, y := values(tb, b, noise(rows*cols, 2)), values(tb, b, make([]float32, rows*wide))
		dst, ws := []kernels.Buffer{y}, []kernels.Matrix{m}
		return func() { b.MatMul(dst, ws, x, rows) }, y
	}
	return w
}

func attention(heads, kvHeads, dim, depth, rows int) workload {
	w := workload{
		name:     fmt.Sprintf("attention/%dq%dkv%d/depth=%d/rows=%d", heads, kvHeads, dim, depth, rows),
		bytes:    float64(4 * kvHeads * dim * depth),
		products: 2 * float64(rows*heads) * float64(dim*depth),
	}
	w.setup = func(t testing.TB, b *cpu.Backend) (func(), kernels.Buffer) {
		kv, err := b.NewKV(kernels.KVShape{Layers: 1, KVHeads: kvHeads, HeadDim: dim, PositionsMax: depth})
		if err != nil {
			t.Fatal(err)
		}
		k := values(t, b, noise(depth*kvHeads*dim, 3))
		b.StoreKV(0, k, k, []kernels.Span{{KV: kv, Rows: depth}})
		q, y := values(t, b, noise(rows*heads*dim, 4)), values(t, b, make([]float32, rows*heads*dim))
		spans := []kernels.Span{{KV: kv, Rows: rows, Position: depth - rows}}
		return func() { b.Attention(y, q, 0, heads, spans) }, y
	}
	return w
}

// noise is numbers between -1 and 1 that follow from the seed.
func noise(n int, seed uint64) []float32 {
	x := make([]float32, n)
	for i := range x {
		seed = seed*6364136223846793005 + 1442695040888963407
		x[i] = float32(int32(seed>>32)) / (1 << 31)
	}
	return x
}

// weights are equal rows, since speed does not depend on the values.
func weights(t testing.TB, b *cpu.Backend, ty quant.Type, rows, cols int) kernels.Matrix {
	t.Helper()
	row := string(quant.Quantise(ty, noise(cols, 1)))
	m, err := b.NewMatrix(ty, rows, cols, []byte(strings.Repeat(row, rows)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func values(t testing.TB, b kernels.Backend, x []float32) kernels.Buffer {
	t.Helper()
	buffer, err := b.NewBuffer(len(x))
	if err != nil {
		t.Fatal(err)
	}
	b.Write(buffer, x)
	return buffer
}

func read(t testing.TB, b kernels.Backend, buffer kernels.Buffer) []float32 {
	t.Helper()
	x := make([]float32, buffer.Len())
	if err := b.Read(x, buffer, 0); err != nil {
		t.Fatal(err)
	}
	return x
}

// digest is the start of the SHA-256 of a buffer.
func digest(t testing.TB, b kernels.Backend, buffer kernels.Buffer) string {
	t.Helper()
	h := sha256.New()
	for _, v := range read(t, b, buffer) {
		binary.Write(h, binary.LittleEndian, math.Float32bits(v))
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:4])
}

func Benchmark(b *testing.B) {
	for _, level := range cpu.Levels() {
		if level == "generic" {
			continue // it has no limits to compare with
		}
		backend := newBackend(b, 0, level)
		limits := backend.MeasureLimits(64)
		fmt.Printf("# %s, %d threads: reads %.1f GB/s, byte products %.0f G/s, float products %.0f G/s\n", level, backend.Threads(),
			limits.ReadBytes/1e9, limits.ByteProducts/1e9, limits.Products/1e9)
		for _, w := range workloads(128<<20, 8192, 2048, 2048) {
			b.Run(level+"/"+w.name, func(b *testing.B) {
				run, output := w.setup(b, backend)
				run()
				best := math.Inf(1)
				b.ReportAllocs()
				for b.Loop() {
					start := time.Now()
					run()
					best = min(best, time.Since(start).Seconds())
				}
				b.ReportMetric(best*1e9, "ns/best")
				b.ReportMetric(w.bytes/best/1e9, "GB/s")
				b.ReportMetric(100*w.bytes/best/limits.ReadBytes, "%bandwidth")
				if w.byteProducts > 0 {
					b.ReportMetric(w.byteProducts/best/1e9, "Gproducts/s")
					b.ReportMetric(100*w.byteProducts/best/limits.ByteProducts, "%peak")
				}
				if w.products > 0 {
					b.ReportMetric(w.products/best/1e9, "Gproducts/s")
					b.ReportMetric(100*w.products/best/limits.Products, "%peak")
				}
				b.Logf("digest %s", digest(b, backend, output))
			})
		}
	}
}

// TestBenchmarks runs the benchmarks small: they work, no level differs from plain Go, and operators allocate nothing.
func TestBenchmarks(t *testing.T) {
	want := map[string]string{}
	for _, level := range cpu.Levels() {
		b := newBackend(t, 2, level)
		for _, w := range workloads(20<<10, 65, 256, 65) {
			run, output := w.setup(t, b)
			run()
			got := digest(t, b, output)
			if level == "generic" {
				want[w.name] = got
			} else if got != want[w.name] {
				t.Errorf("%s, %s: digest %s, want %s", level, w.name, got, want[w.name])
			}
			if n := testing.AllocsPerRun(3, run); n != 0 {
				t.Errorf("%s, %s: %g allocations a run, want none", level, w.name, n)
			}
		}
		if l := b.MeasureLimits(1); level != "generic" && !(l.ReadBytes > 0 && l.ByteProducts > 0 && l.Products > 0) {
			t.Errorf("%s: got limits %+v, want positive numbers", level, l)
		}
	}
}
