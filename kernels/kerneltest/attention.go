package kerneltest

import (
	"verbatim/kernels"
)

// heads is a shape of attention: query heads, key-value heads, elements each.
type heads struct{ q, kv, dim int }

func (h heads) shape(positions int) kernels.KVShape {
	return kernels.KVShape{Layers: 2, KVHeads: h.kv, HeadDim: h.dim, PositionsMax: positions}
}

// attentionCases cover shapes of heads, lengths around the ends of lanes and
// splits, batches that cross them, sessions side by side, and chunked storing.
func attentionCases() []Case {
	shapes := []heads{{1, 1, 8}, {4, 4, 16}, {8, 2, 64}, {6, 3, 32}, {8, 1, 128}, {12, 4, 48}, {7, 7, 80}, {3, 1, 96}, {2, 1, 256}, {8, 4, 8}, {16, 2, 24}, {5, 1, 6}}
	lengths := []int{1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129, 130, 160, 255, 256, 257, 300, 385, 513}
	var cases []Case
	add := func(h heads, length, rows int, c contents) {
		cases = append(cases, attentionCase(h, length, rows, c))
	}
	for i, length := range lengths {
		add(shapes[i%len(shapes)], length, 1, plain)
		add(shapes[(i+5)%len(shapes)], length, min(length, 1+i%7), plain)
	}
	for i, h := range shapes {
		add(h, 140+i, 20+i, plain)
		for _, c := range []contents{narrow, sparse, ties, nonfinite} {
			add(h, 129+7*i, 2, c)
		}
	}
	add(heads{2, 2, 16}, 40, 3, huge)
	add(heads{2, 2, 16}, 40, 3, wide)
	add(heads{8, 2, 32}, 150, 150, plain)
	add(heads{4, 4, 64}, 70, 70, plain)
	add(heads{2, 2, 8}, 1100, 3, plain)
	add(heads{64, 1, 2}, 2100, 2, plain) // many splits of many heads
	add(heads{66, 1, 8}, 140, 20, plain) // a group of more heads than a tile of queries may have
	add(heads{66, 1, 8}, 140, 1, ties)
	return append(append(cases, sessionCases()...), expCase())
}

func attentionCase(h heads, length, rows int, c contents) Case {
	return Case{name("attention", "%dq%dkv%d/length%d/rows%d/%s", h.q, h.kv, h.dim, length, rows, c), func(m *machine) {
		kv := m.kv(h.shape(length + 2))
		m.store(kv, h, 0, length, c)
		m.attend(h, rows, kernels.Span{KV: kv, Rows: rows, Position: length - rows})
	}}
}

// expCase reads single values of exp: position 0 has score and value zero, and
// position j a negative score and a value that is one at element j only.
func expCase() Case {
	return Case{"attention-exp/edges", func(m *machine) {
		h := heads{1, 1, 64}
		kv := m.kv(h.shape(h.dim))
		edges := []float32{-87, -86.9375, -87.0625, -88, -0.34375, -100, -20}
		for range 16 {
			k, v := make([]float32, h.dim*h.dim), make([]float32, h.dim*h.dim)
			for j := 1; j < h.dim; j++ {
				k[j*h.dim] = edges[m.below(len(edges))]
				if m.below(2) == 0 {
					k[j*h.dim] = -float32(m.below(90*16)) / 16
				}
				k[j*h.dim+1] = float32(m.below(5)-2) / 16
				v[j*h.dim+j] = 1
			}
			q := make([]float32, h.dim)
			q[0], q[1] = 8, 8*0x1p-13 // after scaling, 1 and 2^-13
			m.b.StoreKV(0, m.buffer(k), m.buffer(v), []kernels.Span{{KV: kv, Rows: h.dim}})
			dst := m.empty(h.dim)
			m.b.Attention(dst, m.buffer(q), 0, h.q, []kernels.Span{{KV: kv, Rows: 1, Position: h.dim - 1}})
			m.emit(dst)
		}
	}}
}

// sessionCases put several sessions into one batch, at positions around the
// ends of splits.
func sessionCases() []Case {
	var cases []Case
	for _, h := range []heads{{4, 2, 16}, {8, 1, 64}, {3, 3, 32}} {
		for _, spans := range [][][2]int{ // position, rows
			{{0, 1}, {5, 1}, {127, 1}, {128, 1}, {300, 1}},
			{{0, 3}, {126, 4}, {255, 2}, {31, 1}, {0, 1}},
			{{10, 40}, {250, 10}},
		} {
			cases = append(cases, Case{name("attention-sessions", "%dq%dkv%d/%v", h.q, h.kv, h.dim, spans), func(m *machine) {
				var placed []kernels.Span
				row := 1 // row 0 belongs to nobody
				for _, s := range spans {
					kv := m.kv(h.shape(512))
					m.store(kv, h, 0, s[0]+s[1], plain)
					placed = append(placed, kernels.Span{KV: kv, Row: row, Rows: s[1], Position: s[0]})
					row += s[1]
				}
				m.attend(h, row+1, placed...)
			}})
		}
	}
	return cases
}

// store keeps length positions from first on in layer 1, in chunks of random
// sizes, and other values in layer 0.
func (m *machine) store(kv kernels.KV, h heads, first, length int, c contents) {
	width := h.kv * h.dim
	for done := 0; done < length; {
		rows := min(1+m.below(90), length-done)
		for layer := range 2 {
			k, v := m.buffer(m.values(rows*width, c)), m.buffer(m.values(rows*width, c))
			m.b.StoreKV(layer, k, v, []kernels.Span{{KV: kv, Rows: rows, Position: first + done}})
		}
		done += rows
	}
}

// attend reads the attention of random queries over both layers.
func (m *machine) attend(h heads, rows int, spans ...kernels.Span) {
	width := h.q * h.dim
	for layer := range 2 {
		q, dst := m.buffer(m.values(rows*width, plain)), m.empty(rows*width)
		m.b.Attention(dst, q, layer, h.q, spans)
		m.emit(dst)
	}
}

// storeCases look at what StoreKV keeps: f16 roundings, positions written
// again, positions beyond the query, one batch split over sessions.
func storeCases() []Case {
	h := heads{2, 2, 8}
	cases := []Case{{"storekv/overwrite", func(m *machine) {
		kv := m.kv(h.shape(300))
		m.store(kv, h, 0, 200, plain)
		m.store(kv, h, 120, 17, plain)
		m.attend(h, 3, kernels.Span{KV: kv, Rows: 3, Position: 197})
		m.attend(h, 3, kernels.Span{KV: kv, Rows: 3, Position: 126}) // what follows is not seen
		m.store(kv, h, 0, 1, nonfinite)
		m.attend(h, 1, kernels.Span{KV: kv, Rows: 1, Position: 0})
	}}, {"storekv/sessions", func(m *machine) {
		a, b, c := m.kv(h.shape(64)), m.kv(h.shape(5)), m.kv(h.shape(200))
		m.store(c, h, 0, 126, plain)
		spans := []kernels.Span{{KV: a, Row: 0, Rows: 3, Position: 0}, {KV: b, Row: 3, Rows: 5, Position: 0}, {KV: c, Row: 9, Rows: 4, Position: 126}}
		for layer := range 2 {
			m.b.StoreKV(layer, m.buffer(m.values(13*16, plain)), m.buffer(m.values(13*16, plain)), spans)
		}
		m.attend(h, 13, spans...)
	}}}
	for _, c := range []contents{plain, wide, narrow, sparse, ties} {
		cases = append(cases, Case{name("storekv/f16", "%s", c), func(m *machine) {
			// One position: the weight is one, so the values come back as kept.
			h := heads{16, 16, 64}
			kv := m.kv(h.shape(1))
			width := h.kv * h.dim
			values := m.values(width, c)
			for i := range values {
				if c == wide { // around the ends of f16: subnormal and overflow
					values[i] = m.plain() * []float32{1 << 15, 1 << 16, 0x1p-14, 0x1p-24, 0x1p-25, 0x1.ffcp15}[i%6]
				}
			}
			m.b.StoreKV(0, m.buffer(m.values(width, plain)), m.buffer(values), []kernels.Span{{KV: kv, Rows: 1}})
			dst := m.empty(width)
			m.b.Attention(dst, m.buffer(m.values(width, plain)), 0, h.q, []kernels.Span{{KV: kv, Rows: 1}})
			m.emit(dst)
		}})
	}
	return cases
}
