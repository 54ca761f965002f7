//go:build amd64 && !purego

package cpu

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"verbatim/kernels"
	"verbatim/kernels/quant"
)

// The benchmarks of this file say where the time goes, for bench/records/PROFILE.md. They run on one thread and count its
// processor time, which other work on the machine disturbs least.

func threadSeconds() float64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return float64(t.Nano()) * 1e-9
}

// quarters runs functions in turn and says for each how long its fastest quarter of runs took at most.
func quarters(span time.Duration, functions ...func()) []float64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	all := make([][]float64, len(functions))
	for end := time.Now().Add(span); time.Now().Before(end); {
		for i, f := range functions {
			start := threadSeconds()
			f()
			all[i] = append(all[i], threadSeconds()-start)
		}
	}
	out := make([]float64, len(functions))
	for i, times := range all {
		slices.Sort(times)
		out[i] = times[len(times)/4]
	}
	return out
}

// BenchmarkTile times the functions of the widest level on a tile that lies in the caches: cycles for a block of 32 columns
// and 32 rows, a cycle being the time of 128 products of bytes.
func BenchmarkTile(b *testing.B) {
	const cols, rounds, calls = 2048, 1 << 14, 50
	l := choose("")
	if l.meters.bytes == nil {
		b.Skip("the level has no functions")
	}
	cycle := quarters(tileSpan, func() { l.meters.bytes(rounds) })[0] / float64(rounds*l.meters.perBytes) * 128
	x, sums, dx := make([]int8, l.group*cols), make([]int32, l.group*cols), make([]float32, l.group*cols)
	y := make([]float32, tileRows*l.group)
	for _, t := range []quant.Type{quant.Q8_0, quant.Q4_0, quant.Q4_K, quant.Q6_K} {
		f := forms[t]
		w := make([]byte, tileRows*cols/f.elements*f.weights+prefetchMargin)
		d := make([]byte, tileRows*cols/f.elements*f.scales+prefetchMargin)
		for rows := range l.group {
			b.Run(fmt.Sprintf("%v/rows=%d", t, rows+1), func(b *testing.B) {
				once := func() {
					if t.BlockElements() == superElements {
						l.superblocks[t].funcs[rows](&y[0], 4*tileRows, &w[0], &d[0], &x[0], &sums[0], &dx[0], cols/superElements)
						return
					}
					l.blocks[t].funcs[rows](&y[0], 4*tileRows, &w[0], &d[0], &x[0], &sums[0], &dx[0], cols/blockElements, segmentBlocks)
				}
				matrixRows := l.superblocks[t].matrixRows
				if t.BlockElements() != superElements {
					matrixRows = l.blocks[t].matrixRows
				}
				for b.Loop() {
					seconds := quarters(tileSpan, func() {
						for range calls {
							once()
						}
					})[0]
					b.ReportMetric(seconds/calls/cycle/(cols/blockElements)*tileRows/float64(matrixRows[rows]), "cycles/block")
				}
			})
		}
	}
}

const (
	prefetchMargin = 8192 // more than functions ask for ahead
	tileSpan       = 200 * time.Millisecond
	layerSpan      = 2 * time.Second
)

// layer1B is a layer of Llama-3.2-1B's shape.
type layer1B struct {
	*Backend
	norm, q, k, v, o, gate, up, down kernels.Matrix
}

func newLayer1B(t testing.TB, ty quant.Type) *layer1B {
	backend, err := New(Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	l := &layer1B{Backend: backend}
	matrix := func(ty quant.Type, rows, cols int) kernels.Matrix {
		rowBytes, _ := quant.RowBytes(ty, cols)
		m, err := backend.NewMatrix(ty, rows, cols, make([]byte, rows*rowBytes))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	l.norm = matrix(quant.F32, 1, 2048)
	l.q, l.k, l.v, l.o = matrix(ty, 2048, 2048), matrix(ty, 512, 2048), matrix(ty, 512, 2048), matrix(ty, 2048, 2048)
	l.gate, l.up, l.down = matrix(ty, 8192, 2048), matrix(ty, 8192, 2048), matrix(ty, 2048, 8192)
	return l
}

// BenchmarkLayer times the operators of a layer in turn, in microseconds: its weights are more than caches hold.
func BenchmarkLayer(b *testing.B) {
	for _, ty := range []quant.Type{quant.Q8_0, quant.Q4_0, quant.Q4_K} {
		for _, c := range [][2]int{{128, 0}, {128, 384}, {1, 2048}} {
			b.Run(fmt.Sprintf("%v/rows=%d/depth=%d", ty, c[0], c[1]), func(b *testing.B) {
				l := newLayer1B(b, ty)
				defer l.Close()
				for b.Loop() {
					l.profile(b, c[0], c[1])
				}
			})
		}
	}
}

func (l *layer1B) profile(b *testing.B, rows, depth int) {
	values := func(n int) kernels.Buffer {
		x := &buffer{make([]float32, max(rows, 128)*n)}
		for i := range x.x {
			x.x[i] = float32(i%17)/8 - 1
		}
		return x
	}
	x, h, q, k, v, gate, up, angles := values(2048), values(2048), values(2048), values(512), values(512), values(8192), values(8192), values(64)
	kv, err := l.NewKV(kernels.KVShape{Layers: 1, KVHeads: 8, HeadDim: 64, PositionsMax: depth + 128})
	if err != nil {
		b.Fatal(err)
	}
	for p := 0; p < depth; p += 128 {
		l.StoreKV(0, k, v, []kernels.Span{{KV: kv, Rows: 128, Position: p}})
	}
	spans := []kernels.Span{{KV: kv, Rows: rows, Position: depth}}
	into := func(b ...kernels.Buffer) []kernels.Buffer { return b }
	by := func(m ...kernels.Matrix) []kernels.Matrix { return m }
	names := []string{"norm", "qkv", "rope", "store", "attention", "o", "add", "gateup", "swiglu", "down"}
	times := quarters(layerSpan,
		func() { l.RMSNorm(h, x, l.norm, 1e-5, rows) },
		func() { l.MatMul(into(h, k, v), by(l.q, l.k, l.v), x, rows) },
		func() { l.RoPE(q, angles, 32, 64, 64, rows); l.RoPE(k, angles, 8, 64, 64, rows) },
		func() { l.StoreKV(0, k, v, spans) },
		func() { l.Attention(h, q, 0, 32, spans) },
		func() { l.MatMul(into(h), by(l.o), x, rows) },
		func() { l.Add(h, x, rows*2048) },
		func() { l.MatMul(into(gate, up), by(l.gate, l.up), x, rows) },
		func() { l.SwiGLU(up, gate, up, rows*8192) },
		func() { l.MatMul(into(h), by(l.down), gate, rows) },
	)
	for i, name := range names {
		b.ReportMetric(1e6*times[i], "us-"+name)
	}
}
