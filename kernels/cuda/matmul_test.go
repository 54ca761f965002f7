package cuda

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/cuda/cudatest"
	"verbatim/kernels/quant"
	"verbatim/kernels/ref"
)

// blockWeights are bytes of all values, with f16 numbers of about unit size.
func blockWeights(r *rand.Rand, t quant.Type, rows, cols int) []byte {
	data := make([]byte, rows*cols/t.BlockElements()*t.BlockBytes())
	for first := 0; first < len(data); first += t.BlockBytes() {
		block := data[first:][:t.BlockBytes()]
		for i := range block {
			block[i] = byte(r.Uint32())
		}
		for _, at := range t.Halves() {
			binary.LittleEndian.PutUint16(block[at:], uint16(r.Uint32())&0x83FF|uint16(8+r.IntN(6))<<10)
		}
	}
	return data
}

func normals(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// newTest starts a backend on the fake driver.
func newTest(t *testing.T, level cudatest.Level, settings string) (*Backend, *cudatest.Driver) {
	t.Helper()
	d := cudatest.Load(t, level, settings)
	b, err := New(Options{Library: d.Path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b, d
}

// newBuffer holds x.
func newBuffer(t *testing.T, b kernels.Backend, x []float32) kernels.Buffer {
	t.Helper()
	buffer, err := b.NewBuffer(len(x))
	if err != nil {
		t.Fatal(err)
	}
	b.Write(buffer, x)
	return buffer
}

func read(t *testing.T, b kernels.Backend, buffer kernels.Buffer) []float32 {
	t.Helper()
	x := make([]float32, buffer.Len())
	if err := b.Read(x, buffer, 0); err != nil {
		t.Fatal(err)
	}
	return x
}

// poison is what outputs hold before; an element that nothing writes keeps it.
func poison(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = math.Float32frombits(0x7FBADBAD)
	}
	return x
}

func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) && (got[i] == got[i] || want[i] == want[i]) {
			t.Errorf("%s: element %d: got %#08x (%g), want %#08x (%g)", what, i, math.Float32bits(got[i]), got[i], math.Float32bits(want[i]), want[i])
			return
		}
	}
}

// products multiplies in one way and with the reference.
func products(t *testing.T, b *Backend, r *rand.Rand, p product, ty quant.Type, rows []int, cols, columns int) {
	t.Helper()
	what := fmt.Sprintf("%+v %v %vx%d, %d columns", p, ty, rows, cols, columns)
	x := normals(r, columns*cols)
	if columns > 2 {
		x[cols+cols/2] = float32(math.Inf(-1)) // poisons the second column
	}
	other := ref.New()
	src, otherSrc := newBuffer(t, b, x), newBuffer(t, other, x)
	g := group{columns: columns}
	var got, want []kernels.Buffer
	var matrices []kernels.Matrix
	for _, n := range rows {
		data := blockWeights(r, ty, n, cols)
		m, err := b.NewMatrix(ty, n, cols, data)
		if err != nil {
			t.Fatal(err)
		}
		o, err := other.NewMatrix(ty, n, cols, data)
		if err != nil {
			t.Fatal(err)
		}
		matrices = append(matrices, o)
		got = append(got, newBuffer(t, b, poison(n*columns+5)))
		want = append(want, newBuffer(t, other, poison(n*columns+5)))
		g.add(m.(*matrix), addressOf(got[len(got)-1]))
	}
	b.multiply(&g, b.encode(addressOf(src), columns, cols), p)
	other.MatMul(want, matrices, otherSrc, columns)
	for i := range got {
		sameBits(t, fmt.Sprintf("%s, matrix %d", what, i), read(t, b, got[i]), read(t, other, want[i]))
	}
}

// run is a kernel and the numbers of columns to run it with.
type run struct {
	product product
	columns []int
}

// testProducts runs some product kernels of every format on shapes that end within tiles, cells, blocks of columns and chunks of segments.
func testProducts(t *testing.T, b *Backend, message func() string, runs []run) {
	r := rand.New(rand.NewPCG(1, uint64(b.limits.arch)))
	shapes := [][]int{{37}, {16, 5}, {130}, {1, 17, 3}, {64}}
	turn := 0
	for _, ty := range slices.Sorted(maps.Keys(forms)) {
		f := forms[ty]
		cols := []int{64, 320, 96, 160, 1184}
		if f.segments == 2 {
			cols = []int{256, 768, 512, 256, 2304}
		}
		for _, run := range runs {
			if run.product == many128 && f.small {
				continue
			}
			for _, n := range run.columns {
				products(t, b, r, run.product, ty, shapes[turn%len(shapes)], cols[turn/len(shapes)%len(cols)], n)
				turn++
			}
		}
		if t.Failed() {
			t.Fatal(message())
		}
	}
}

// allProducts has every way to multiply.
func allProducts() []run {
	return []run{{few1, []int{1, 1, 1, 1}}, {few8, []int{1, 2, 7, 8}}, {few32, []int{3, 9, 17, 32, 40}}, {many64, []int{1, 16, 64, 65}}, {many128, []int{33, 129}}}
}

func TestProducts(t *testing.T) {
	b, d := newTest(t, cudatest.SM80, "seed=7")
	testProducts(t, b, d.Message, allProducts())
}

// TestProductsWithoutMMA has the kernels for cards before sm_80, which multiply with dp4a.
func TestProductsWithoutMMA(t *testing.T) {
	b, d := newTest(t, cudatest.SM70, "seed=8")
	testProducts(t, b, d.Message, []run{{few1, []int{1, 1, 1}}, {few8, []int{1, 7}}, {few32, []int{17, 33}}})
}

// TestCardProducts has every kernel on this machine's card: see TestCard.
func TestCardProducts(t *testing.T) {
	library := os.Getenv("VERBATIM_CUDA_LIBRARY")
	if library == "" {
		t.Skip("VERBATIM_CUDA_LIBRARY does not name a driver")
	}
	b, err := New(Options{Library: library})
	if err != nil {
		t.Fatal(err)
	}
	runs := slices.DeleteFunc(allProducts(), func(r run) bool { return r.product.many && b.limits.arch < 80 })
	testProducts(t, b, func() string { return "" }, runs)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// TestProductChunks has rows so long that the totals of a product's segments come in several chunks.
func TestProductChunks(t *testing.T) {
	b, _ := newTest(t, cudatest.SM80, "seed=9")
	r := rand.New(rand.NewPCG(3, 4))
	for _, ty := range []quant.Type{quant.Q4_0, quant.Q4_K} {
		products(t, b, r, few32, ty, []int{16}, 4096+256, 31)
	}
	if segments := chunkSegments(34, tileRows, 31, 2); segments != 16 {
		t.Errorf("a chunk of 31 columns has %d segments; this test wants fewer than 34", segments)
	}
}

// TestResidentBytes holds the layout to 1.03 times the file, for the matrices of models.
func TestResidentBytes(t *testing.T) {
	shapes := [][2]int{{4096, 4096}, {1024, 4096}, {14336, 4096}, {4096, 14336}, {128256, 4096}, {2048, 2048}, {512, 2048}, {8192, 2048}, {2048, 8192},
		{576, 576}, {192, 576}, {1536, 576}, {576, 1536}, {49152, 576}, {896, 896}, {128, 896}, {4864, 896}, {896, 4864}, {151936, 896}}
	for _, shape := range shapes {
		for _, ty := range []quant.Type{quant.Q8_0, quant.Q4_0, quant.Q4_1, quant.Q5_0, quant.Q5_1, quant.IQ4_NL, quant.F16, quant.BF16, quant.F32,
			quant.Q2_K, quant.Q3_K, quant.Q4_K, quant.Q5_K, quant.Q6_K, quant.IQ4_XS} {
			rowBytes, err := quant.RowBytes(ty, shape[1])
			if err != nil {
				continue // no whole superblocks
			}
			m := newShape(ty, shape[0], shape[1])
			file, resident := shape[0]*rowBytes, m.tiles()*m.tileBytes()+m.slackBytes()
			if float64(resident) > 1.03*float64(file) {
				t.Errorf("%v of %v: %d bytes for %d of the file: %.4f", ty, shape, resident, file, float64(resident)/float64(file))
			}
		}
	}
}

// TestChooseProduct is about speed only: which kernel a product gets on a card with 132 multiprocessors.
func TestChooseProduct(t *testing.T) {
	h200 := limits{arch: 90, multiprocessors: 132, sharedBytesMax: 227 << 10}
	for _, c := range []struct {
		limits              limits
		t                   quant.Type
		rows, cols, columns int
		want                product
	}{
		{h200, quant.Q8_0, 4096, 4096, 1, few1},
		{h200, quant.Q8_0, 16, 128 * 1024, 1, few8}, // too long for its shared memory
		{h200, quant.Q4_K, 4096, 4096, 2, few8},
		{h200, quant.Q4_K, 4096, 4096, 32, few32},
		{h200, quant.Q4_K, 28672, 4096, 64, many64}, // half of a large block would be idle
		{h200, quant.Q4_K, 28672, 4096, 65, many128},
		{h200, quant.Q4_K, 4096, 4096, 128, many64}, // too few large blocks
		{h200, quant.Q4_K, 4096, 4096, 512, many128},
		{h200, quant.Q6_K, 4096, 4096, 512, many64},
		{limits{arch: 86, multiprocessors: 30, sharedBytesMax: 99 << 10}, quant.Q8_0, 4096, 4096, 512, many64},
		{limits{arch: 86, multiprocessors: 30, sharedBytesMax: 99 << 10}, quant.Q4_0, 4096, 4096, 512, many128},
		{limits{arch: 70, multiprocessors: 80, sharedBytesMax: 96 << 10}, quant.Q8_0, 4096, 4096, 512, few32},
	} {
		g := group{columns: c.columns}
		g.add(newShape(c.t, c.rows, c.cols), 0)
		if got := (&Backend{limits: c.limits}).chooseProduct(&g); got != c.want {
			t.Errorf("%v %dx%d with %d columns on sm_%d: got %+v, want %+v", c.t, c.rows, c.cols, c.columns, c.limits.arch, got, c.want)
		}
	}
}
