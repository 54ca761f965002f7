package cuda_test

import (
	"testing"

	"verbatim/kernels/cuda"
	"verbatim/kernels/cuda/cudatest"
)

// TestMeasureLimits: the loops run, every figure is positive, and the memory that they took is given back.
func TestMeasureLimits(t *testing.T) {
	for _, arch := range []cudatest.Level{cudatest.SM70, cudatest.SM80} {
		d := cudatest.Load(t, arch, "")
		b, err := cuda.New(cuda.Options{Library: d.Path, MemoryBytes: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			l, err := b.MeasureLimits(2<<20, 4)
			if err != nil {
				t.Fatalf("%v; %s", err, d.Message())
			}
			if !(l.CopyBytes > 0 && l.ByteProducts > 0 && l.UploadBytes > 0) {
				t.Errorf("arch %v: got %+v, want positive figures", arch, l)
			}
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}
