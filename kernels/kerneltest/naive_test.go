package kerneltest

import (
	"fmt"
	"math"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/canon"
	"verbatim/kernels/quant"
	"verbatim/kernels/ref"
)

// These tests ask whether the reference computes the right thing at all: each
// operator against its textbook formula in f64, within a bound for rounding.

func near(t *testing.T, what string, i int, got float32, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(float64(got)-want) <= tolerance) {
		t.Fatalf("%s: element %d = %v, want %v within %v", what, i, got, want, tolerance)
	}
}

func newMachine(t *testing.T, seed uint64) *machine {
	return &machine{t: t, b: ref.New(), generator: generator{seed}}
}

// TestMatMulNaive: a code is off by at most half of its segment's scale.
func TestMatMulNaive(t *testing.T) {
	const rows, batch = 20, 3
	for _, typ := range allTypes() {
		cols := 416
		if typ.BlockElements() == 256 {
			cols = 512
		}
		m := newMachine(t, uint64(typ))
		data := m.weights(typ, rows, cols, plain)
		x := m.values(batch*cols, plain)
		dst := m.empty(batch * rows)
		m.b.MatMul([]kernels.Buffer{dst}, []kernels.Matrix{m.matrix(typ, rows, cols, data)}, m.buffer(x), batch)
		m.emit(dst)
		w := make([]float32, rows*cols)
		quant.Dequantise(typ, w, data)
		for i, got := range m.results {
			x, w := x[i/rows*cols:][:cols], w[i%rows*cols:][:cols]
			want, tolerance := 0.0, 0.0
			for first := 0; first < cols; first += kernels.SegmentElements {
				largest := 0.0
				for j := first; j < min(first+kernels.SegmentElements, cols); j++ {
					largest = max(largest, math.Abs(float64(x[j])))
				}
				for j := first; j < min(first+kernels.SegmentElements, cols); j++ {
					want += float64(w[j]) * float64(x[j])
					tolerance += math.Abs(float64(w[j])*float64(x[j])) * 1e-6
					if typ.BlockElements() > 1 {
						tolerance += math.Abs(float64(w[j])) * largest / 254
					}
				}
			}
			near(t, typ.String(), i, got, want, tolerance)
			// Errors of single codes cancel mostly, so the bound above is far.
			if typ.BlockElements() > 1 {
				near(t, typ.String()+", as random errors", i, got, want, tolerance/4)
			}
		}
	}
}

func TestRMSNormNaive(t *testing.T) {
	for _, n := range []int{1, 33, 288, 1000} {
		m := newMachine(t, uint64(n))
		x, w := m.values(n, plain), m.values(n, plain)
		dst := m.empty(n)
		m.b.RMSNorm(dst, m.buffer(x), m.floats(w), 1e-2, 1)
		m.emit(dst)
		mean := 0.0
		for _, v := range x {
			mean += float64(v) * float64(v) / float64(n)
		}
		for i, got := range m.results {
			want := float64(x[i]) / math.Sqrt(mean+1e-2) * float64(w[i])
			near(t, "rmsnorm", i, got, want, math.Abs(want)*5e-7)
		}
	}
}

// TestRoPENaive: pair i, as a complex number, is multiplied with
// e^(i position base^(-2i/R)); the score of a query and a key depends on the
// distance of their positions only.
func TestRoPENaive(t *testing.T) {
	const heads, headDim, rotated, rows, base = 3, 32, 24, 4, 10000
	m := newMachine(t, 1)
	x := m.values(rows*heads*headDim, plain)
	positions := []int{0, 1, 77, 100_003}
	angles := make([]float32, rows*rotated)
	for r, position := range positions {
		canon.Rotation(angles[r*rotated:][:rotated], position, canon.Frequencies(base, rotated, nil))
	}
	buffer := m.buffer(x)
	m.b.RoPE(buffer, m.buffer(angles), heads, headDim, rotated, rows)
	m.emit(buffer)
	for i, got := range m.results {
		want, element := float64(x[i]), i%headDim
		if element < rotated {
			pair := element / 2
			sin, cos := math.Sincos(float64(positions[i/headDim/heads]) * math.Pow(base, -2*float64(pair)/rotated))
			if element%2 == 0 {
				want = float64(x[i])*cos - float64(x[i+1])*sin
			} else {
				want = float64(x[i-1])*sin + float64(x[i])*cos
			}
		}
		near(t, "rope", i, got, want, 1e-6)
	}
}

// TestAttentionNaive is softmax(q·k/√D)·v over the kept f16 values, with
// causal rows across two ends of splits.
func TestAttentionNaive(t *testing.T) {
	for _, window := range []int{0, 1, 15, 130, 200} {
		attentionNaive(t, window)
	}
}

func attentionNaive(t *testing.T, window int) {
	h := heads{6, 2, 16}
	const length, rows = 270, 20
	m := newMachine(t, 2)
	width := h.kv * h.dim
	k, v, q := m.values(length*width, plain), m.values(length*width, plain), m.values(rows*h.q*h.dim, plain)
	kv := m.kv(h.windowed(length, window))
	m.b.StoreKV(1, m.buffer(k), m.buffer(v), []kernels.Span{{KV: kv, Rows: length}})
	dst := m.empty(len(q))
	m.b.Attention(dst, m.buffer(q), 1, h.q, []kernels.Span{{KV: kv, Rows: rows, Position: length - rows}})
	m.emit(dst)
	half := func(x float32) float64 { return float64(canon.FromF16(canon.ToF16(x))) }
	for r := range rows {
		for head := range h.q {
			first := (r*h.q + head) * h.dim
			query, group := q[first:][:h.dim], head/(h.q/h.kv)*h.dim
			sum, out := 0.0, make([]float64, h.dim)
			for j := range length - rows + r + 1 {
				if window > 0 && length-rows+r-j >= window {
					continue
				}
				score := 0.0
				for i := range query {
					score += float64(query[i]) * half(k[j*width+group+i])
				}
				e := math.Exp(score / math.Sqrt(float64(h.dim)))
				sum += e
				for i := range out {
					out[i] += e * half(v[j*width+group+i])
				}
			}
			for i := range out {
				near(t, fmt.Sprintf("attention, window %d", window), first+i, m.results[first+i], out[i]/sum, 2e-6)
			}
		}
	}
}

func TestElementsNaive(t *testing.T) {
	const n = 1000
	m := newMachine(t, 3)
	x, y := m.values(n, plain), m.values(n, plain)
	dst, sum := m.empty(n), m.buffer(x)
	m.b.SwiGLU(dst, m.buffer(x), m.buffer(y), n)
	m.b.Add(sum, m.buffer(y), n)
	m.emit(dst)
	m.emit(sum)
	for i := range n {
		want := float64(x[i]) / (1 + math.Exp(-float64(x[i]))) * float64(y[i])
		near(t, "swiglu", i, m.results[i], want, math.Abs(want)*4e-7)
		near(t, "add", i, m.results[n+i], float64(x[i])+float64(y[i]), 1e-6)
	}
	rows := m.buffer(x)
	m.results = nil
	m.b.AddRow(rows, m.floats(y[:n/4]), 4)
	m.emit(rows)
	for i := range n {
		near(t, "bias", i, m.results[i], float64(x[i])+float64(y[i%(n/4)]), 1e-6)
	}
}
