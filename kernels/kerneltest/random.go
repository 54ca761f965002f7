package kerneltest

import (
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/ref"
)

// Random is a case of a shape that follows from the seed.
func Random(seed uint64) Case {
	g := &generator{seed}
	c := []contents{plain, plain, plain, wide, narrow, sparse, ties, huge, nonfinite, flat}[g.below(10)]
	// Lengths are small, or around a multiple of 32.
	length := func(limit int) int {
		if g.below(2) == 0 {
			return 1 + g.below(min(limit, 40))
		}
		return min(max(1, 32*(1+g.below(limit/32))+g.below(5)-2), limit)
	}
	switch g.below(11) {
	case 0:
		return normCase(length(2000), length(64), c)
	case 1:
		dim := 2 * (1 + g.below(128))
		return ropeCase(1+g.below(12), dim, min(dim, 2*(1+g.below(128))), 1+g.below(20), c)
	case 2:
		return addCase(length(5000), c)
	case 3:
		return swiGLUCase(length(5000), c)
	case 8:
		return addRowCase(length(2000), length(64), c)
	case 9:
		return headNormCase(2*(1+g.below(128)), length(300), c)
	case 4, 5, 10:
		kv := 1 + g.below(4)
		h := heads{kv * (1 + g.below(4)), kv, 2 * (1 + g.below(64))}
		positions := length(600)
		rows := min(positions, 1+g.below(30))
		if g.below(2) == 0 {
			return windowCase(h, positions, rows, length(600), c)
		}
		return attentionCase(h, positions, rows, c)
	}
	types := allTypes()
	t := types[g.below(len(types))]
	cols := t.BlockElements() * (1 + g.below(640/max(32, t.BlockElements())))
	if t.BlockElements() == 1 {
		cols = length(600)
	}
	return matMulCase(t, length(200), cols, []int{1, 1, 2, 3, length(80)}[g.below(5)], c)
}

// Fuzz compares a backend with the reference on random cases: fifty of them in
// an ordinary test run, any number under go test -fuzz.
func Fuzz(f *testing.F, newBackend func() kernels.Backend) {
	for seed := range uint64(50) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		c := Random(seed)
		b := newBackend()
		Compare(t, c, c.Results(t, b), c.Results(t, ref.New()))
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}
