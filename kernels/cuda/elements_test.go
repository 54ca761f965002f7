package cuda_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/cuda"
	"verbatim/kernels/cuda/cudatest"
	"verbatim/kernels/quant"
	"verbatim/kernels/ref"
)

// pair runs the same operators on the card and on the reference.
type pair struct {
	t        *testing.T
	backends [2]kernels.Backend // ours, the reference
	rng      *rand.Rand
}

type pairBuffer [2]kernels.Buffer
type pairMatrix [2]kernels.Matrix

func (p *pair) values(n int, special bool) []float32 {
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(p.rng.NormFloat64()) * float32(math.Ldexp(1, p.rng.IntN(8)))
	}
	if special {
		for range 1 + n/300 {
			values[p.rng.IntN(n)] = []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 1e-45, 3e38, float32(math.Copysign(0, -1))}[p.rng.IntN(6)]
		}
		clear(values[:min(n, 128)]) // a segment of zeros
	}
	return values
}

func (p *pair) buffer(n int, special bool) (b pairBuffer) {
	values := p.values(n, special)
	for i, backend := range p.backends {
		var err error
		if b[i], err = backend.NewBuffer(n); err != nil {
			p.t.Fatal(err)
		}
		backend.Write(b[i], values)
	}
	return b
}

func (p *pair) matrix(t quant.Type, rows, cols int) (m pairMatrix) {
	rowBytes, err := quant.RowBytes(t, cols)
	if err != nil {
		p.t.Fatal(err)
	}
	data := make([]byte, rows*rowBytes)
	if t == quant.F32 {
		for i, v := range p.values(rows*cols, false) {
			for k := range 4 {
				data[4*i+k] = byte(math.Float32bits(v) >> (8 * k))
			}
		}
	} else {
		for i := range data {
			data[i] = byte(p.rng.IntN(256))
		}
		for at := 0; at < len(data); at += t.BlockBytes() {
			data[at], data[at+1] = byte(p.rng.IntN(256)), 0x2C // the scale of Q8_0
		}
	}
	for i, backend := range p.backends {
		if m[i], err = backend.NewMatrix(t, rows, cols, data); err != nil {
			p.t.Fatal(err)
		}
	}
	return m
}

// both gives each backend its half of what an operator takes.
func (p *pair) both(run func(b kernels.Backend, i int)) {
	for i, b := range p.backends {
		run(b, i)
	}
}

func (p *pair) same(what string, b pairBuffer) {
	p.t.Helper()
	var got [2][]float32
	for i, backend := range p.backends {
		got[i] = make([]float32, b[i].Len())
		if err := backend.Read(got[i], b[i], 0); err != nil {
			p.t.Fatalf("%s: %v", what, err)
		}
	}
	for i, want := range got[1] {
		if g := got[0][i]; math.Float32bits(g) != math.Float32bits(want) && (g == g || want == want) {
			p.t.Fatalf("%s: element %d is %#08x (%g), want %#08x (%g)", what, i, math.Float32bits(g), g, math.Float32bits(want), want)
		}
	}
}

// launches counts what run launches; the caller has read everything before.
func (p *pair) launches(d *cudatest.Driver, want int, run func()) {
	p.t.Helper()
	before := d.Report().Launches
	run()
	if got := d.Report().Launches - before; got != want {
		p.t.Errorf("%d launches, want %d", got, want)
	}
}

func newPair(t *testing.T, level cudatest.Level) (*pair, *cudatest.Driver) {
	d := cudatest.Load(t, level, "seed=3")
	b := open(t, d, cuda.Options{})
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return &pair{t, [2]kernels.Backend{b, ref.New()}, rand.New(rand.NewPCG(5, uint64(level)))}, d
}

// TestFollowers compares with the reference what operators do when they share a launch, and counts that they do: a sum, a norm
// and codes; SwiGLU and codes; biases; rotations. Rows are longer than a warp's, than shared memory, and ragged.
func TestFollowers(t *testing.T) {
	for _, level := range []cudatest.Level{cudatest.SM80, cudatest.SM70} {
		p, d := newPair(t, level)
		for _, n := range []int{544, 2048, 8192 + 96} {
			for _, special := range []bool{false, true} {
				for _, rows := range []int{1, 3} {
					t.Run(fmt.Sprintf("sm_%d/n%d/batch%d/special%v", level, n, rows, special), func(t *testing.T) {
						p.t = t
						p.norms(d, n, rows, special)
						p.gates(d, n, rows, special)
					})
				}
			}
		}
		for _, n := range []int{513, 1023, 1026, 9001} {
			t.Run(fmt.Sprintf("sm_%d/ragged/n%d", level, n), func(t *testing.T) {
				p.t = t
				p.ragged(n)
			})
		}
		p.t = t
		p.biases(d)
		p.rotations(d)
	}
}

func (p *pair) norms(d *cudatest.Driver, n, rows int, special bool) {
	w, weight := p.matrix(quant.Q8_0, 48, n), p.matrix(quant.F32, 1, n)
	x, h, y := p.buffer(rows*n, special), p.buffer(rows*n, special), p.buffer(rows*48, false)
	p.same("input", x)
	p.launches(d, 2, func() {
		p.both(func(b kernels.Backend, i int) {
			b.Add(x[i], h[i], rows*n)
			b.RMSNorm(h[i], x[i], weight[i], 1e-5, rows) // over what was added
			b.MatMul([]kernels.Buffer{y[i]}, []kernels.Matrix{w[i]}, h[i], rows)
		})
		p.same("sum", x)
	})
	p.same("norm", h)
	p.same("product", y)
	p.both(func(b kernels.Backend, i int) {
		b.Add(x[i], h[i], rows*n-1) // not the whole of x: no part of the norm
		b.RMSNorm(x[i], x[i], weight[i], 1e-5, rows)
		b.MatMul([]kernels.Buffer{y[i]}, []kernels.Matrix{w[i]}, x[i], rows)
	})
	p.same("norm in place", x)
	p.same("product of the norm in place", y)
}

func (p *pair) gates(d *cudatest.Driver, n, rows int, special bool) {
	w := p.matrix(quant.Q8_0, 48, n)
	gate, up, y := p.buffer(rows*n, special), p.buffer(rows*n, false), p.buffer(rows*48, false)
	p.same("input", gate)
	p.launches(d, 2, func() {
		p.both(func(b kernels.Backend, i int) {
			b.SwiGLU(gate[i], gate[i], up[i], rows*n)
			b.MatMul([]kernels.Buffer{y[i]}, []kernels.Matrix{w[i]}, gate[i], rows)
		})
		p.same("gate", gate)
	})
	p.same("product", y)
}

func (p *pair) ragged(n int) {
	weight := p.matrix(quant.F32, 1, n)
	x, h := p.buffer(2*n, false), p.buffer(2*n, true)
	p.both(func(b kernels.Backend, i int) {
		b.Add(x[i], h[i], 2*n)
		b.RMSNorm(h[i], x[i], weight[i], 1e-5, 2)
	})
	p.same("sum", x)
	p.same("norm", h)
}

func (p *pair) biases(d *cudatest.Driver) {
	const rows = 3
	sizes := [4]int{96, 2050, 100, 1025}
	var x [4]pairBuffer
	var bias [4]pairMatrix
	for i, n := range sizes {
		x[i], bias[i] = p.buffer(rows*n, false), p.matrix(quant.F32, 1, n)
	}
	p.same("input", x[0])
	p.launches(d, 3, func() { // three, one, and a second on the same row
		p.both(func(b kernels.Backend, i int) {
			for k := range sizes {
				b.AddRow(x[k][i], bias[k][i], rows)
			}
			b.AddRow(x[3][i], bias[3][i], rows)
		})
		p.same("bias", x[0])
	})
	for k := range sizes {
		p.same(fmt.Sprintf("bias %d", k), x[k])
	}
}

func (p *pair) rotations(d *cudatest.Driver) {
	const rows = 2
	for _, c := range []struct{ heads, kvHeads, headDim, rotated int }{{9, 3, 64, 64}, {2, 11, 80, 48}, {9, 3, 7, 4}} {
		q, k, angles := p.buffer(rows*c.heads*c.headDim, false), p.buffer(rows*c.kvHeads*c.headDim, false), p.buffer(rows*c.rotated, false)
		p.same("input", q)
		p.launches(d, 2, func() { // both, and the queries again
			p.both(func(b kernels.Backend, i int) {
				b.RoPE(q[i], angles[i], c.heads, c.headDim, c.rotated, rows)
				b.RoPE(k[i], angles[i], c.kvHeads, c.headDim, c.rotated, rows)
				b.RoPE(q[i], angles[i], c.heads, c.headDim, c.rotated, rows)
			})
			p.same("queries", q)
		})
		p.same("keys", k)
	}
}
