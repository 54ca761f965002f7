package kerneltest

import "verbatim/kernels"

// variantCases are what some models add to the forward pass: biases, norms of single heads, and windows of attention.
func variantCases() []Case {
	var cases []Case
	for i, n := range []int{1, 3, 7, 8, 9, 31, 32, 33, 64, 127, 128, 129, 257, 896, 4099} {
		for j, c := range []contents{plain, wide, sparse, huge, nonfinite} {
			cases = append(cases, addRowCase(n, []int{1, 2, 5, 33}[(i+j)%4], c))
		}
	}
	for i, n := range []int{2, 6, 16, 32, 40, 64, 80, 128, 256} {
		for _, c := range []contents{plain, wide, sparse} {
			cases = append(cases, headNormCase(n, []int{1, 4, 9, 260}[i%4], c))
		}
	}
	return append(cases, windowCases()...)
}

func addRowCase(n, rows int, c contents) Case {
	return Case{name("addrow", "%d/batch%d/%s", n, rows, c), func(m *machine) {
		dst, bias := m.buffer(m.values(n*rows+2, plain)), m.floats(m.values(n, c))
		m.b.AddRow(dst, bias, rows)
		m.emit(dst)
		m.b.AddRow(dst, bias, 1)
		m.emit(dst)
	}}
}

// headNormCase normalises in place, as is done with the heads of queries and keys.
func headNormCase(n, heads int, c contents) Case {
	return Case{name("rmsnorm-inplace", "%d/heads%d/%s", n, heads, c), func(m *machine) {
		x := m.buffer(m.values(n*heads+2, c))
		m.b.RMSNorm(x, x, m.floats(m.values(n, plain)), 1e-6, heads)
		m.emit(x)
	}}
}

// windowCases have windows around the ends of lanes and splits, and wider than all there is.
func windowCases() []Case {
	shapes := []heads{{1, 1, 8}, {8, 2, 64}, {12, 4, 48}, {5, 1, 6}, {3, 1, 96}}
	var cases []Case
	for i, window := range []int{1, 2, 31, 32, 33, 127, 128, 129, 130, 160, 255, 256, 257, 400} {
		h := shapes[i%len(shapes)]
		cases = append(cases, windowCase(h, 300, 20, window, plain), windowCase(h, 258, 5, window, ties), windowCase(h, window, 1, window, plain))
	}
	for i, h := range shapes {
		for _, c := range []contents{narrow, sparse, nonfinite} {
			cases = append(cases, windowCase(h, 290+i, 150, 40+i, c))
		}
	}
	cases = append(cases, windowCase(heads{4, 2, 16}, 140, 140, 17, plain), windowCase(heads{2, 2, 8}, 1100, 3, 700, plain))
	return append(cases, Case{"attention-window/unseen", unseen}, Case{"attention-window/sessions", func(m *machine) {
		h := heads{4, 2, 16}
		var spans []kernels.Span
		row := 0
		for _, s := range [][2]int{{0, 3}, {126, 4}, {255, 2}, {31, 1}, {0, 1}, {400, 1}} { // position, rows
			kv := m.kv(h.windowed(512, 100))
			m.store(kv, h, 0, s[0]+s[1], plain)
			spans = append(spans, kernels.Span{KV: kv, Row: row, Rows: s[1], Position: s[0]})
			row += s[1]
		}
		m.attend(h, row, spans...)
	}})
}

func (h heads) windowed(positions, window int) kernels.KVShape {
	s := h.shape(positions)
	s.Window = window
	return s
}

func windowCase(h heads, length, rows, window int, c contents) Case {
	return Case{name("attention-window", "%dq%dkv%d/length%d/rows%d/window%d/%s", h.q, h.kv, h.dim, length, rows, window, c), func(m *machine) {
		kv := m.kv(h.windowed(length, window))
		m.store(kv, h, 0, length, c)
		m.attend(h, rows, kernels.Span{KV: kv, Rows: rows, Position: length - rows})
	}}
}

// unseen has NaN, infinities and the largest scores at positions that no query sees: nothing of them may come through.
func unseen(m *machine) {
	h := heads{6, 2, 24}
	kv := m.kv(h.windowed(200, 50))
	m.store(kv, h, 0, 120, huge)
	for position := range 8 {
		m.store(kv, h, 10*position, 9, nonfinite)
	}
	m.store(kv, h, 120, 80, plain)
	m.attend(h, 31, kernels.Span{KV: kv, Rows: 31, Position: 169})
	for _, x := range m.results {
		if x != x {
			m.t.Fatal("attention-window/unseen: a result is NaN; what no query sees came through")
		}
	}
}
