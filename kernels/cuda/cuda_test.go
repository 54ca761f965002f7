package cuda_test

import (
	"fmt"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/cuda"
	"verbatim/kernels/cuda/cudatest"
	"verbatim/kernels/kerneltest"
)

// open starts a backend on the fake driver. What it made is gone after Close, which the test sees to.
func open(t testing.TB, d *cudatest.Driver, o cuda.Options) *cuda.Backend {
	t.Helper()
	o.Library = d.Path
	b, err := cuda.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBuffers(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "")
	t.Logf("VERBATIM_CUDA_LIBRARY=%s", d.Path) // for programs that are tried by hand
	b := open(t, d, cuda.Options{})
	buffer, err := b.NewBuffer(5)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(buffer, []float32{1, 2, 3})
	got := make([]float32, 4)
	if err := b.Read(got, buffer, 1); err != nil {
		t.Fatal(err)
	}
	if want := [4]float32{2, 3, 0, 0}; [4]float32(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if r := d.Report(); r.Live != 0 || r.Leaked != 0 {
		t.Errorf("after Close: %+v", r)
	}
}

// TestConformance compares every operator with the reference.
func TestConformance(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "seed=1")
	seed := 0
	kerneltest.Run(t, func() kernels.Backend {
		seed++
		d.Configure(fmt.Sprintf("seed=%d", seed))
		return open(t, d, cuda.Options{})
	})
	if r := d.Report(); r.Live != 0 || r.Leaked != 0 {
		t.Errorf("after all were closed: %+v", r)
	}
}
