// Package kerneltest compares any backend with kernels/ref, bit for bit.
//
// A case is a small program over kernels.Backend whose inputs follow from its
// name alone. Run executes every case on the backend and on the reference and
// compares what they read back. The digests of the reference's own results are
// committed in testdata, so that it can't drift, and so that builds for other
// processors are compared as well: changing one of them is a new version of
// kernels/SPEC.md.
//
// Any two NaN are equal here, since SPEC.md leaves their bits free. The package
// measures no speed.
package kerneltest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/fnv"
	"math"
	"strings"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/quant"
	"verbatim/kernels/ref"
)

// Case is one program. Its name has the form operator/shape/contents.
type Case struct {
	Name string
	run  func(m *machine)
}

// Cases are all programs, in a fixed order.
func Cases() []Case {
	var cases []Case
	for _, group := range [][]Case{embedCases(), normCases(), matMulCases(), codeCases(), ropeCases(), storeCases(), attentionCases(),
		elementCases(), bufferCases(), modelCases(), copyCases(), variantCases(), passCases(), reserveCases()} {
		cases = append(cases, group...)
	}
	return cases
}

// Seed of the case's inputs.
func (c Case) Seed() uint64 {
	h := fnv.New64a()
	h.Write([]byte(c.Name))
	return h.Sum64()
}

// Results runs the case on b and returns all it read back.
func (c Case) Results(t testing.TB, b kernels.Backend) []float32 {
	m := &machine{t: t, b: b, generator: generator{c.Seed()}}
	c.run(m)
	return m.results
}

// Run compares a backend with the reference. newBackend is called once for
// each operator; the cases of an operator share the backend.
func Run(t *testing.T, newBackend func() kernels.Backend) {
	cases := Cases()
	for len(cases) > 0 {
		operator, _, _ := strings.Cut(cases[0].Name, "/")
		n := 1
		for n < len(cases) && strings.HasPrefix(cases[n].Name, operator+"/") {
			n++
		}
		group := cases[:n]
		cases = cases[n:] // not in the test below, which -run may leave out
		t.Run(operator, func(t *testing.T) {
			b := newBackend()
			for _, c := range group {
				t.Run(strings.TrimPrefix(c.Name, operator+"/"), func(t *testing.T) {
					Compare(t, c, c.Results(t, b), c.Results(t, ref.New()))
				})
			}
			if err := b.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// Compare reports the first difference and how many there are.
func Compare(t testing.TB, c Case, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d results, want %d", c.Name, len(got), len(want))
	}
	first, differences := -1, 0
	for i := range got {
		if canonicalBits(got[i]) != canonicalBits(want[i]) {
			if differences == 0 {
				first = i
			}
			differences++
		}
	}
	if differences > 0 {
		t.Errorf("%s (seed %#x): %d of %d results differ, the first is %d: got %#08x (%g), want %#08x (%g)", c.Name, c.Seed(),
			differences, len(got), first, math.Float32bits(got[first]), got[first], math.Float32bits(want[first]), want[first])
	}
}

// digest is the SHA-256 of the results as little-endian bits.
func digest(results []float32) string {
	data := make([]byte, 0, 4*len(results))
	for _, x := range results {
		data = binary.LittleEndian.AppendUint32(data, canonicalBits(x))
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func canonicalBits(x float32) uint32 {
	if x != x {
		return 0x7FC00000
	}
	return math.Float32bits(x)
}

// machine is what a case's program writes to: a backend, a source of inputs,
// and the results so far.
type machine struct {
	generator
	t       testing.TB
	b       kernels.Backend
	results []float32
}

func (m *machine) matrix(t quant.Type, rows, cols int, data []byte) kernels.Matrix {
	m.t.Helper()
	matrix, err := m.b.NewMatrix(t, rows, cols, data)
	if err != nil {
		m.t.Fatalf("matrix of %d x %d %v: %v", rows, cols, t, err)
	}
	if matrix.Rows() != rows || matrix.Cols() != cols || matrix.Type() != t {
		m.t.Fatalf("a matrix of %d x %d %v says %d x %d %v", rows, cols, t, matrix.Rows(), matrix.Cols(), matrix.Type())
	}
	return matrix
}

// floats is an F32 matrix of one row.
func (m *machine) floats(row []float32) kernels.Matrix {
	return m.matrix(quant.F32, 1, len(row), quant.Quantise(quant.F32, row))
}

// empty is a buffer whose contents no operator may read: it starts as 7.
func (m *machine) empty(elements int) kernels.Buffer {
	m.t.Helper()
	buffer, err := m.b.NewBuffer(elements)
	if err != nil {
		m.t.Fatalf("buffer of %d: %v", elements, err)
	}
	if buffer.Len() != elements {
		m.t.Fatalf("a buffer of %d says %d", elements, buffer.Len())
	}
	fill := make([]float32, elements)
	for i := range fill {
		fill[i] = 7
	}
	m.b.Write(buffer, fill)
	return buffer
}

func (m *machine) buffer(values []float32) kernels.Buffer {
	m.t.Helper()
	buffer := m.empty(len(values))
	m.b.Write(buffer, values)
	return buffer
}

func (m *machine) kv(shape kernels.KVShape) kernels.KV {
	m.t.Helper()
	kv, err := m.b.NewKV(shape)
	if err != nil {
		m.t.Fatalf("KV %+v: %v", shape, err)
	}
	if kv.PositionsMax() != shape.PositionsMax {
		m.t.Fatalf("a KV of %d positions says %d", shape.PositionsMax, kv.PositionsMax())
	}
	return kv
}

// emit adds a whole buffer to the results, elements that no operator should
// have written included.
func (m *machine) emit(b kernels.Buffer) {
	m.t.Helper()
	values := make([]float32, b.Len())
	if err := m.b.Read(values, b, 0); err != nil {
		m.t.Fatalf("read: %v", err)
	}
	m.results = append(m.results, values...)
}
