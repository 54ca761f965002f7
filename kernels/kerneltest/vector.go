package kerneltest

import (
	"verbatim/kernels"
	"verbatim/kernels/canon"
	"verbatim/kernels/quant"
)

func embedCases() []Case {
	var cases []Case
	for _, t := range allTypes() {
		lengths := []int{32, 96, 288}
		if t.BlockElements() == 256 {
			lengths = []int{256, 768}
		}
		for _, cols := range lengths {
			for _, c := range []contents{plain, sparse} {
				cases = append(cases, Case{name("embed", "%v/%d/%s", t, cols, c), func(m *machine) {
					const rows = 37
					tokens := []int32{0, rows - 1, 5, 5, 17, 1}
					dst := m.empty(len(tokens)*cols + 1)
					m.b.Embed(dst, m.matrix(t, rows, cols, m.weights(t, rows, cols, c)), tokens)
					m.emit(dst)
				}})
			}
		}
	}
	return cases
}

func normCases() []Case {
	var cases []Case
	rows := []int{1, 2, 3, 7, 33}
	for i, n := range []int{1, 2, 31, 32, 33, 63, 64, 65, 96, 127, 128, 129, 255, 256, 257, 288, 1000, 1024, 4096, 5001} {
		kinds := []contents{plain, wide, sparse}
		if n%32 == 1 { // the squares of huge overflow, so that all results are zero
			kinds = append(kinds, huge, nonfinite)
		}
		for j, c := range kinds {
			batch := rows[(i+j)%len(rows)]
			cases = append(cases, normCase(n, batch, c))
		}
	}
	return cases
}

func normCase(n, batch int, c contents) Case {
	return Case{name("rmsnorm", "%d/batch%d/%s", n, batch, c), func(m *machine) {
		src, dst := m.buffer(m.values(n*batch+2, c)), m.empty(n*batch+2)
		weight := m.floats(m.values(n, plain))
		m.b.RMSNorm(dst, src, weight, 1e-5, batch)
		m.emit(dst)
		m.b.RMSNorm(dst, src, weight, 1e-6, 1)
		m.emit(dst)
	}}
}

func ropeCases() []Case {
	var cases []Case
	for _, s := range []struct{ heads, headDim, rotated, rows int }{
		{1, 2, 2, 1}, {3, 8, 8, 2}, {8, 8, 4, 33}, {4, 32, 32, 5}, {6, 48, 48, 3}, {2, 64, 64, 17}, {9, 64, 32, 1}, {5, 80, 20, 2}, {3, 96, 96, 4},
		{2, 100, 98, 3}, {32, 128, 128, 2}, {1, 256, 64, 7},
	} {
		for _, c := range []contents{plain, sparse, wide} {
			cases = append(cases, ropeCase(s.heads, s.headDim, s.rotated, s.rows, c))
		}
	}
	return cases
}

func ropeCase(heads, headDim, rotated, rows int, c contents) Case {
	return Case{name("rope", "heads%d/dim%d/rotated%d/batch%d/%s", heads, headDim, rotated, rows, c), func(m *machine) {
		var angles []float32
		frequencies := canon.Frequencies(10000, rotated, nil)
		for range rows {
			row := make([]float32, rotated)
			canon.Rotation(row, m.below(1<<m.below(21)+1), frequencies)
			angles = append(angles, row...)
		}
		x := m.buffer(m.values(rows*heads*headDim+3, c))
		m.b.RoPE(x, m.buffer(angles), heads, headDim, rotated, rows)
		m.emit(x)
		for i := range angles { // any two numbers, not only of a circle
			angles[i] = m.plain()
		}
		m.b.RoPE(x, m.buffer(angles), heads, headDim, rotated, rows)
		m.emit(x)
	}}
}

// elementCases are SwiGLU and Add.
func elementCases() []Case {
	var adds, swiglus []Case
	for _, n := range []int{1, 3, 8, 15, 16, 17, 31, 32, 33, 127, 128, 129, 255, 256, 257, 1000, 4099} {
		for _, c := range []contents{plain, wide, sparse, huge, nonfinite} {
			adds, swiglus = append(adds, addCase(n, c)), append(swiglus, swiGLUCase(n, c))
		}
	}
	return append(append(adds, swiglus...), Case{"swiglu/sweep", func(m *machine) {
		// gates from -100 to 100: every branch of exp, and all of its n.
		const n = 1 << 14
		gates, ones := make([]float32, n), make([]float32, n)
		for i := range gates {
			gates[i] = float32(float32(i-n/2)*(100.0/(n/2))) + m.plain()/128
			ones[i] = 1
		}
		for i, edge := range []float32{87, 88, 87.000008, 88.00001, 0, 0.34657359, 0.3465736} {
			gates[2*i], gates[2*i+1] = edge, -edge
		}
		gate := m.buffer(gates)
		m.b.SwiGLU(gate, gate, m.buffer(ones), n)
		m.emit(gate)
	}})
}

func addCase(n int, c contents) Case {
	return Case{name("add", "%d/%s", n, c), func(m *machine) {
		dst, src := m.buffer(m.values(n+2, c)), m.buffer(m.values(n, plain))
		m.b.Add(dst, src, n)
		m.emit(dst)
	}}
}

func swiGLUCase(n int, c contents) Case {
	return Case{name("swiglu", "%d/%s", n, c), func(m *machine) {
		gate, up, dst := m.buffer(m.values(n+2, c)), m.buffer(m.values(n+1, plain)), m.empty(n+2)
		m.b.SwiGLU(dst, gate, up, n)
		m.emit(dst)
		m.b.SwiGLU(gate, gate, up, n)
		m.emit(gate)
	}}
}

// bufferCases move numbers in and out.
func bufferCases() []Case {
	return []Case{{"buffer/parts", func(m *machine) {
		b := m.buffer(m.values(1000, sparse))
		m.b.Write(b, m.values(300, wide))
		m.emit(b)
		for _, part := range []struct{ first, elements int }{{0, 1}, {299, 2}, {999, 1}, {123, 456}, {1000, 0}} {
			values := make([]float32, part.elements)
			if err := m.b.Read(values, b, part.first); err != nil {
				m.t.Fatalf("read %d from %d: %v", part.elements, part.first, err)
			}
			m.results = append(m.results, values...)
		}
	}}, {"buffer/write-after-use", func(m *machine) {
		// Write must wait for operators that still read the buffer.
		const n = 4096
		x := m.values(n, plain)
		src, dst := m.buffer(x), m.empty(n)
		weight := m.floats(m.values(n, plain))
		matrix := m.matrix(quant.Q8_0, n/8, n, m.weights(quant.Q8_0, n/8, n, plain))
		m.b.RMSNorm(dst, src, weight, 1e-5, 1)
		product := m.empty(n / 8)
		m.b.MatMul([]kernels.Buffer{product}, []kernels.Matrix{matrix}, dst, 1)
		m.b.Write(src, m.values(n, plain))
		clear(x) // the caller's slice is its own again after Write
		m.emit(product)
		m.emit(src)
	}}}
}
