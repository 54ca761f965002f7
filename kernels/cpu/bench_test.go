package cpu_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/cpu"
	"verbatim/kernels/quant"
)

// noise is a row of numbers between -1 and 1 that follow from the seed.
func noise(n int, seed uint64) []float32 {
	x := make([]float32, n)
	for i := range x {
		seed = seed*6364136223846793005 + 1442695040888963407
		x[i] = float32(int32(seed>>32)) / (1 << 31)
	}
	return x
}

// benchMatrix is rows equal rows, since speed does not depend on the values.
func benchMatrix(b testing.TB, backend *cpu.Backend, t quant.Type, rows, cols int) (m kernels.Matrix, bytes int) {
	b.Helper()
	row := quant.Quantise(t, noise(cols, 1))
	data := make([]byte, 0, rows*len(row))
	for range rows {
		data = append(data, row...)
	}
	m, err := backend.NewMatrix(t, rows, cols, data)
	if err != nil {
		b.Fatal(err)
	}
	return m, len(data)
}

func benchBuffer(b testing.TB, backend *cpu.Backend, values []float32) kernels.Buffer {
	b.Helper()
	buffer, err := backend.NewBuffer(len(values))
	if err != nil {
		b.Fatal(err)
	}
	backend.Write(buffer, values)
	return buffer
}

// digest is the start of the SHA-256 of a buffer.
func digest(b testing.TB, backend *cpu.Backend, buffer kernels.Buffer) string {
	b.Helper()
	values := make([]float32, buffer.Len())
	if err := backend.Read(values, buffer, 0); err != nil {
		b.Fatal(err)
	}
	h := sha256.New()
	for _, v := range values {
		binary.Write(h, binary.LittleEndian, math.Float32bits(v))
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:4])
}

// BenchmarkMatMul: one row reads weights at a fraction of the memory's speed; many rows multiply at a fraction of the
// processor's. Both limits are measured in the same run.
func BenchmarkMatMul(b *testing.B) {
	const rows, cols = 8192, 2048
	for _, level := range cpu.Levels()[1:] {
		backend := newBackend(b, 0, level)
		limits := backend.MeasureLimits(64)
		fmt.Printf("# %s, %d threads: reads %.1f GB/s, byte products %.0f G/s, float products %.0f G/s\n", level, backend.Threads(),
			limits.ReadBytes/1e9, limits.ByteProducts/1e9, limits.Products/1e9)
		for _, t := range []quant.Type{quant.Q8_0, quant.Q4_0, quant.Q4_1, quant.F16, quant.BF16, quant.F32} {
			m, bytes := benchMatrix(b, backend, t, rows, cols)
			peak := limits.Products
			if t.BlockElements() > 1 {
				peak = limits.ByteProducts
			}
			for _, n := range []int{1, 4, 16, 128} {
				b.Run(fmt.Sprintf("%s/%s/rows=%d", level, t, n), func(b *testing.B) {
					x, y := benchBuffer(b, backend, noise(n*cols, 2)), benchBuffer(b, backend, make([]float32, n*rows))
					dst, weights := []kernels.Buffer{y}, []kernels.Matrix{m}
					backend.MatMul(dst, weights, x, n)
					b.SetBytes(int64(bytes))
					b.ReportAllocs()
					b.ResetTimer()
					for range b.N {
						backend.MatMul(dst, weights, x, n)
					}
					seconds := b.Elapsed().Seconds() / float64(b.N)
					products := float64(n) * rows * cols / seconds
					b.ReportMetric(products/1e9, "Gproducts/s")
					b.ReportMetric(100*products/peak, "%peak")
					b.ReportMetric(100*float64(bytes)/seconds/limits.ReadBytes, "%bandwidth")
					b.StopTimer()
					if b.N == 1 {
						b.Logf("digest %s", digest(b, backend, y))
					}
				})
			}
		}
	}
}
