package kerneltest

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/canon"
	"verbatim/kernels/quant"
	"verbatim/kernels/ref"
)

var writeVectors = flag.Bool("write-vectors", false, "replace the test vectors of SPEC.md")

const vectorsHeading = "## Appendix: test vectors\n"

// TestVectors compares the appendix of SPEC.md, its last part, with what the
// code computes.
func TestVectors(t *testing.T) {
	path := filepath.Join("..", "SPEC.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	spec, got, found := strings.Cut(string(data), vectorsHeading)
	if !found {
		t.Fatalf("%s has no %q", path, vectorsHeading)
	}
	want := vectors(t)
	if got == want {
		return
	}
	if *writeVectors {
		if err := os.WriteFile(path, []byte(spec+vectorsHeading+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(gotLines), len(wantLines)) {
		if gotLines[i] != wantLines[i] {
			t.Fatalf("%s, line %d of the appendix:\ngot  %s\nwant %s", path, i+1, gotLines[i], wantLines[i])
		}
	}
	t.Fatalf("%s: the appendix has %d lines, want %d", path, len(gotLines), len(wantLines))
}

// document is text under construction.
type document struct{ strings.Builder }

func (d *document) line(format string, args ...any) { fmt.Fprintf(d, format+"\n", args...) }

func bitsOf(x float32) string { return fmt.Sprintf("0x%08X", math.Float32bits(x)) }

func allBitsOf(x []float32) string {
	var parts []string
	for _, v := range x {
		parts = append(parts, bitsOf(v))
	}
	return strings.Join(parts, " ")
}

func from(bits uint32) float32 { return math.Float32frombits(bits) }

func vectors(t *testing.T) string {
	var d document
	d.line("Made by `go test ./kernels/kerneltest -run TestVectors -write-vectors` from the code, and compared with it by the same test.")
	d.line("Digests of a few hundred larger cases are in `kerneltest/testdata/golden.txt`.")
	d.scalars()
	d.angles()
	d.sums()
	d.codes()
	d.products(t)
	d.attention()
	return d.String()
}

func (d *document) scalars() {
	d.line("\nScalar functions (sections 1, 2 and 8):\n")
	for _, v := range [][3]uint32{
		{0x3F800001, 0x3F800001, 0xBF800002}, // 2^-46 is left of the square
		{0x47000100, 0x3F7FFE00, 0x537FFFFD}, // an f64 sum would be a tie
		{0x16000080, 0x1DFFFF00, 0x001E2353}, // the same among subnormals
		{0x7F7FFFFF, 0x40000000, 0xFF7FFFFF}, // the product alone would overflow
		{0x00000001, 0x3F000000, 0x00000001}, {0x80000001, 0x3E800000, 0x00000000}, {0x3F800000, 0x80000000, 0x00000000},
	} {
		d.line("    fma(0x%08X, 0x%08X, 0x%08X) = %s", v[0], v[1], v[2], bitsOf(canon.FMA(from(v[0]), from(v[1]), from(v[2]))))
	}
	for _, x := range []uint32{0x00000000, 0x3F800000, 0xBF800000, 0x3EB17218, 0x3EB17217, 0xC1200000, 0x42B00000, 0x42B00001, 0xC2AE0000, 0xC2AE0001, 0x33800000} {
		d.line("    exp(0x%08X) = %s", x, bitsOf(canon.Exp(from(x))))
	}
	for _, x := range []uint32{0x80000000, 0x3F800000, 0xBF800000, 0xC0A00000, 0x42AE0000, 0xC2AF0000, 0xC2C80000} {
		d.line("    silu(0x%08X) = %s", x, bitsOf(canon.SiLU(from(x))))
	}
	for _, x := range []uint32{0x3F801000, 0x3F803000, 0x477FEFFF, 0x477FF000, 0x33000000, 0x33000001, 0x387FE000, 0x80000000} {
		d.line("    f16(0x%08X) = 0x%04X", x, canon.ToF16(from(x)))
	}
	for _, x := range []uint32{0x3F800000, 0x3F800001, 0x00000001, 0x40490FDB, 0x7F7FFFFF} {
		d.line("    ln(0x%08X) = %s", x, bitsOf(canon.Log(from(x))))
	}
}

func (d *document) angles() {
	d.line("\nCosine and sine of pair `i` (sections 2 and 7); the frequency as f64:\n")
	for _, v := range []struct {
		base                 float32
		rotated, i, position int
	}{{10000, 64, 0, 1}, {10000, 64, 5, 100003}, {10000, 64, 31, 2047}, {500000, 128, 17, 1 << 20}, {10000, 48, 7, 0}} {
		frequency := canon.Frequencies(v.base, v.rotated, nil)[v.i]
		var cosSin [2]float32
		canon.Rotation(cosSin[:], v.position, []float64{frequency})
		d.line("    base %.0f, R %d, i %d, position %d: 0x%016X, %s", v.base, v.rotated, v.i, v.position, math.Float64bits(frequency), allBitsOf(cosSin[:]))
	}
}

func (d *document) sums() {
	d.line("\nStrided sums (section 1) of `x[i] = 1 ⊘ f32(i + 1)`: the sum, the sum of squares.\n")
	for _, n := range []int{1, 33, 100, 4096} {
		x := make([]float32, n)
		for i := range x {
			x[i] = 1 / float32(i+1)
		}
		d.line("    n %d: %s, %s", n, bitsOf(canon.StridedSum(x)), bitsOf(canon.StridedSumOfSquares(x)))
	}
}

// example is the input of codes and products: x[i] = f32(i*i - 100) ⊘ 7.
func example() []float32 {
	x := make([]float32, 32)
	for i := range x {
		x[i] = float32(i*i-100) / 7
	}
	return x
}

func (d *document) codes() {
	d.line("\nActivation codes (section 4) of the 32 values `x[i] = f32(i·i - 100) ⊘ 7`, a segment of its own:\n")
	x := example()
	codes, dx := make([]int8, len(x)), make([]float32, 1)
	ref.Codes(codes, dx, x)
	sum := 0
	for _, c := range codes {
		sum += int(c)
	}
	d.line("    a = %s, dx = %s, r = %s, xsum = %d", bitsOf(x[31]), bitsOf(dx[0]), bitsOf(127/x[31]), sum)
	d.line("    code = %s", strings.Trim(fmt.Sprint(codes), "[]"))
}

func (d *document) products(t *testing.T) {
	d.line("\nProducts (section 5) of the same `x` with one row of one block. The 16 bytes of nibbles are `i + 16·(15 - i)`, the codes of Q8_0")
	d.line("`8·i - 128`; `d` is 0x3555, `m` is 0xB266 (f16). The float weights are `1 ⊘ f32(i + 1)`, rounded to the type.\n")
	x := example()
	nibbles, codes, floats := make([]byte, 16), make([]byte, 32), make([]float32, 32)
	for i := range nibbles {
		nibbles[i] = byte(i + 16*(15-i))
	}
	for i := range codes {
		codes[i], floats[i] = byte(8*i-128), 1/float32(i+1)
	}
	for _, v := range []struct {
		t   quant.Type
		row []byte
	}{
		{quant.Q8_0, append([]byte{0x55, 0x35}, codes...)}, {quant.Q4_0, append([]byte{0x55, 0x35}, nibbles...)},
		{quant.Q4_1, append([]byte{0x55, 0x35, 0x66, 0xB2}, nibbles...)}, {quant.F32, quant.Quantise(quant.F32, floats)},
		{quant.F16, quant.Quantise(quant.F16, floats)}, {quant.BF16, quant.Quantise(quant.BF16, floats)},
	} {
		d.product(t, v.t, v.row, x, 21)
	}
	d.line("\nThe other block formats, with one row of one block whose byte `i` is `37·i + 11` mod 256, but for `d` = 0x2555 and `m` or `dmin` = 0x2A66")
	d.line("(f16). Blocks of 32 have the same `x`; superblocks have `x[i] = f32((i·i mod 1021) - 400) ⊘ 7`.\n")
	for _, typ := range laterTypes {
		row := make([]byte, typ.BlockBytes())
		for i := range row {
			row[i] = byte(37*i + 11)
		}
		for i, at := range typ.Halves() {
			copy(row[at:], [][]byte{{0x55, 0x25}, {0x66, 0x2A}}[i])
		}
		x, element := x, 21
		if typ.BlockElements() == 256 {
			x, element = make([]float32, 256), 201
			for i := range x {
				x[i] = float32(i*i%1021-400) / 7
			}
		}
		d.product(t, typ, row, x, element)
	}
}

// product is the line of one row's product with x.
func (d *document) product(t *testing.T, typ quant.Type, row []byte, x []float32, element int) {
	m := newMachine(t, 0)
	dst := m.empty(1)
	m.b.MatMul([]kernels.Buffer{dst}, []kernels.Matrix{m.matrix(typ, 1, len(x), row)}, m.buffer(x), 1)
	m.emit(dst)
	values := make([]float32, len(x))
	quant.Dequantise(typ, values, row)
	d.line("    %v: y = %s, element %d of the row = %s", typ, bitsOf(m.results[0]), element, bitsOf(values[element]))
}

func (d *document) attention() {
	d.line("\nAttention (section 8) of a head of two elements, `q = (1, -0.5)`, over n positions with `k[j] = (f32(j mod 7), f32(j mod 5))`")
	d.line("and `v[j] = (1 ⊘ f32(j + 1), f32(j))` before their rounding to f16:\n")
	for _, c := range []struct{ n, window int }{{1, 0}, {3, 0}, {128, 0}, {129, 0}, {300, 0}, {300, 1}, {300, 50}, {300, 200}} {
		n, note := c.n, ""
		if c.window > 0 {
			note = fmt.Sprintf(", window %d", c.window)
		}
		var keys, values []uint16
		for j := range n {
			keys = append(keys, canon.ToF16(float32(j%7)), canon.ToF16(float32(j%5)))
			values = append(values, canon.ToF16(1/float32(j+1)), canon.ToF16(float32(j)))
		}
		out := make([]float32, 2)
		ref.Attend(out, []float32{1, -0.5}, keys, values, 2, kernels.KVShape{Window: c.window}.FirstSeen(n-1))
		d.line("    n %d%s: %s", n, note, allBitsOf(out))
	}
}
