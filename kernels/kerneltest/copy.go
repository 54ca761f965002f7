package kerneltest

import (
	"verbatim/kernels"
	"verbatim/kernels/canon"
)

// copyCases copy positions from one KV to another, out of it and into it, and then store on both sides: neither may see
// what the other does. The places are whole splits, parts of them, and neither.
func copyCases() []Case {
	var cases []Case
	for _, h := range []heads{{4, 2, 16}, {3, 1, 24}, {2, 2, 6}} {
		for _, p := range []copied{{0, 0, 300}, {0, 0, 128}, {0, 0, 1}, {128, 0, 100}, {128, 256, 60}, {0, 128, 172}, {5, 5, 140}, {3, 130, 150}, {0, 0, 0}} {
			cases = append(cases, Case{name("copykv", "%dq%dkv%d/%v", h.q, h.kv, h.dim, p), func(m *machine) { m.copyKV(h, p) }},
				Case{name("movekv", "%dq%dkv%d/%v", h.q, h.kv, h.dim, p), func(m *machine) { m.moveKV(h, p) }})
		}
	}
	return cases
}

// copied is where positions go, whence, and how many.
type copied struct{ to, from, positions int }

const copyLength = 320

func (m *machine) copyKV(h heads, p copied) {
	a, b := m.kv(h.shape(copyLength)), m.kv(h.shape(copyLength))
	m.store(a, h, 0, copyLength, plain)
	m.store(b, h, 0, max(p.to, 1), plain)
	m.b.CopyKV(b, a, p.to, p.from, p.positions)
	end := max(p.to+p.positions, 1)
	m.attend(h, 1, kernels.Span{KV: b, Rows: 1, Position: end - 1})
	m.store(b, h, end, 7, plain)        // the copy goes on
	m.store(b, h, end/2, 2, plain)      // and changes what it got
	m.store(a, h, p.from, 3, nonfinite) // as does the original
	m.emitKV(b, h, 0, end+7)
	m.attend(h, 2, kernels.Span{KV: b, Rows: 2, Position: end + 5})
	m.attend(h, 2, kernels.Span{KV: a, Rows: 2, Position: copyLength - 2})
}

func (m *machine) moveKV(h heads, p copied) {
	a, b := m.kv(h.shape(copyLength)), m.kv(h.shape(copyLength))
	m.store(a, h, 0, copyLength, plain)
	m.store(b, h, 0, max(p.to, 1), plain)
	kept := make([]uint16, h.shape(copyLength).PositionElements()*p.positions)
	if err := m.b.ReadKV(kept, a, p.from, p.positions); err != nil {
		m.t.Fatalf("read positions: %v", err)
	}
	m.b.WriteKV(b, kept, p.to, p.positions)
	end := max(p.to+p.positions, 1)
	m.store(b, h, end, 4, plain)
	m.emitKV(b, h, 0, end+4)
	m.attend(h, 2, kernels.Span{KV: b, Rows: 2, Position: end + 2})
}

// emitKV adds what a KV holds to the results.
func (m *machine) emitKV(kv kernels.KV, h heads, first, positions int) {
	m.t.Helper()
	kept := make([]uint16, h.shape(positions).PositionElements()*positions)
	if err := m.b.ReadKV(kept, kv, first, positions); err != nil {
		m.t.Fatalf("read positions: %v", err)
	}
	for _, bits := range kept {
		m.results = append(m.results, canon.FromF16(bits))
	}
}
