package kerneltest

import (
	"verbatim/kernels"
	"verbatim/kernels/canon"
	"verbatim/kernels/quant"
)

// passCases run the operators from the rotation to the product behind attention one after the other, as inference does, so
// that a backend which takes some of them together is seen to: sessions that decode, sessions that prefill, and rows of nobody
// in between, which attention leaves as they are and the product takes like any other.
func passCases() []Case {
	decoding := [][2]int{{130, 1}, {0, 1}, {3, 1}, {257, 1}} // position, rows
	both := [][2]int{{130, 1}, {0, 1}, {100, 40}, {257, 1}}
	var cases []Case
	for i, h := range []heads{{4, 2, 64}, {2, 1, 128}, {4, 2, 24}, {8, 2, 80}, {16, 2, 16}} {
		for _, sessions := range [][][2]int{decoding, both} {
			cases = append(cases, Case{name("pass", "%dq%dkv%d/%v", h.q, h.kv, h.dim, sessions), func(m *machine) {
				m.kvPass(h, sessions, h.dim-8*(i%2), 1) // row 1 belongs to nobody
				m.kvPass(h, sessions, h.dim, 0)         // nor does row 0 here
			}})
		}
	}
	return cases
}

// kvPass leaves out one row.
func (m *machine) kvPass(h heads, sessions [][2]int, rotated, without int) {
	var spans []kernels.Span
	rows := 0
	for _, s := range sessions {
		if rows == without {
			rows++
		}
		kv := m.kv(h.shape(300))
		m.store(kv, h, 0, s[0], plain)
		spans = append(spans, kernels.Span{KV: kv, Row: rows, Rows: s[1], Position: s[0]})
		rows += s[1]
	}
	width, kept := h.q*h.dim, h.kv*h.dim
	w := m.matrix(quant.Q8_0, 24, width, quant.Quantise(quant.Q8_0, m.values(24*width, plain)))
	angles, frequencies := make([]float32, rows*rotated), canon.Frequencies(10000, rotated, nil)
	for row := range rows {
		canon.Rotation(angles[row*rotated:][:rotated], 3*row, frequencies)
	}
	q, k, v := m.buffer(m.values(rows*width, plain)), m.buffer(m.values(rows*kept, plain)), m.buffer(m.values(rows*kept, plain))
	cosSin, out, y := m.buffer(angles), m.empty(rows*width), m.empty(rows*24)
	m.b.RoPE(q, cosSin, h.q, h.dim, rotated, rows)
	m.b.RoPE(k, cosSin, h.kv, h.dim, rotated, rows)
	m.b.StoreKV(1, k, v, spans)
	m.b.Attention(out, q, 1, h.q, spans)
	m.b.MatMul([]kernels.Buffer{y}, []kernels.Matrix{w}, out, rows)
	for _, x := range []kernels.Buffer{q, k, out, y} {
		m.emit(x)
	}
}
