package cuda

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/cuda/cudatest"
	"verbatim/kernels/quant"
)

// TestProductTraffic: with few columns each weight is read once, by accesses that touch no sector in vain; beside it each tile of 16 rows
// reads codes, scales of segments and perhaps sums, which the cache keeps.
func TestProductTraffic(t *testing.T) {
	const rows, cols = 48, 1024
	b, d := newTest(t, cudatest.SM80, "seed=3")
	r := rand.New(rand.NewPCG(5, 6))
	for _, ty := range slices.Sorted(maps.Keys(forms)) {
		f := forms[ty]
		m, err := b.NewMatrix(ty, rows, cols, blockWeights(r, ty, rows, cols))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []product{few1, few8} {
			columns := p.columns
			src, dst := newBuffer(t, b, normals(r, columns*cols)), newBuffer(t, b, poison(rows*columns))
			g := group{columns: columns}
			g.add(m.(*matrix), addressOf(dst))
			c := b.encode(addressOf(src), columns, cols)
			read(t, b, dst)
			d.Configure("seed=3 traffic=1")
			b.multiply(&g, c, p)
			read(t, b, dst)
			k := reportOf(t, d, b.matmul.of[ty].few[p.which].name)

			weights, tiles, segments := m.(*matrix).tiles()*m.(*matrix).tileBytes(), rows/tileRows, cols/kernels.SegmentElements
			scales := 1 // sectors of dx a segment: one column, or two for each of four warps
			if p == few8 {
				scales = 4
			}
			others := tiles * (columns*cols + 32*scales*segments)
			if f.sum != 0 {
				others += tiles * 2 * 4 * columns * cols / f.sum // every other column of a sector, twice
			}
			if touched := int(k.Sectors) * 32; float64(touched) > 1.01*float64(weights)+float64(others)+float64(4*rows*columns) {
				t.Errorf("%v, %d columns: %d bytes of sectors touched; the matrix has %d, codes, scales and sums %d", ty, columns, touched, weights, others)
			}
			if int(k.FootprintRead) < weights {
				t.Errorf("%v, %d columns: %d bytes of memory read, of a matrix of %d", ty, columns, k.FootprintRead, weights)
			}
		}
	}
}

// reportOf gives what the driver counted of a kernel.
func reportOf(t *testing.T, d *cudatest.Driver, name string) cudatest.Kernel {
	t.Helper()
	for _, k := range d.Report().Kernels {
		if k.Name == name {
			return k
		}
	}
	t.Fatalf("kernel %s did not run", name)
	return cudatest.Kernel{}
}

// TestManyTraffic: products in blocks of 64 read a matrix once for each 64 columns, which the cache of the card sees as one reading.
func TestManyTraffic(t *testing.T) {
	b, d := newTest(t, cudatest.SM80, "seed=4 traffic=1")
	r := rand.New(rand.NewPCG(7, 8))
	const rows, cols, columns = 64, 512, 128
	m, err := b.NewMatrix(quant.Q8_0, rows, cols, blockWeights(r, quant.Q8_0, rows, cols))
	if err != nil {
		t.Fatal(err)
	}
	src, dst := newBuffer(t, b, normals(r, columns*cols)), newBuffer(t, b, poison(rows*columns))
	g := group{columns: columns}
	g.add(m.(*matrix), addressOf(dst))
	b.multiply(&g, b.encode(addressOf(src), columns, cols), many64)
	read(t, b, dst)
	k := reportOf(t, d, "gemm_q8_0_64")
	if want := int64(2*rows*cols*34/32 + columns*(cols+4*cols/128)); k.BytesRead != want {
		t.Errorf("%d bytes copied, want %d", k.BytesRead, want)
	}
	if want := int64(rows / 16 * cols / 32 * columns / 8); k.MMA != want {
		t.Errorf("%d products of the tensor cores, want %d", k.MMA, want)
	}
}
