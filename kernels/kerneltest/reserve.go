package kerneltest

import "verbatim/kernels"

// reserveCases reserve positions of KVs that are full, empty, and share pages with others: what comes before them stays, on both
// sides, and what comes after may be stored again.
func reserveCases() []Case {
	var cases []Case
	for _, h := range []heads{{4, 2, 16}, {3, 1, 24}} {
		for _, r := range []reserved{{0, 0}, {0, 1}, {0, 320}, {1, 127}, {128, 0}, {128, 128}, {130, 5}, {255, 2}, {300, 20}, {319, 1}} {
			cases = append(cases, Case{name("reserve", "%dq%dkv%d/%v", h.q, h.kv, h.dim, r), func(m *machine) { m.reserve(h, r) }})
		}
	}
	return cases
}

type reserved struct{ first, positions int }

func (m *machine) reserve(h heads, r reserved) {
	a, b := m.kv(h.shape(copyLength)), m.kv(h.shape(copyLength))
	m.store(a, h, 0, copyLength, plain)
	m.b.CopyKV(b, a, 0, 0, copyLength)
	if err := m.b.Reserve(b, r.first, r.positions); err != nil {
		m.t.Fatalf("reserve %+v: %v", r, err)
	}
	m.emitKV(b, h, 0, r.first)
	if r.positions > 0 {
		m.store(b, h, r.first, r.positions, wide)
		m.attend(h, 1, kernels.Span{KV: b, Rows: 1, Position: r.first + r.positions - 1})
	}
	m.emitKV(a, h, 0, copyLength)
	if err := m.b.Reserve(a, 0, 0); err != nil {
		m.t.Fatalf("reserve nothing: %v", err)
	}
	end := r.first + r.positions
	m.store(a, h, 0, 140, plain) // the memory that was given back
	m.emitKV(b, h, 0, end)
	m.emitKV(a, h, 0, 140)
}
