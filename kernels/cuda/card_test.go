package cuda_test

import (
	"os"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/cuda"
	"verbatim/kernels/kerneltest"
)

// TestCard compares every operator on this machine's card with the reference. It needs a card, and is told so:
// VERBATIM_CUDA_LIBRARY is the driver's library, libcuda.so.1 for instance. bench/gpu-check.sh runs it.
func TestCard(t *testing.T) {
	library := os.Getenv("VERBATIM_CUDA_LIBRARY")
	if library == "" {
		t.Skip("VERBATIM_CUDA_LIBRARY does not name a driver")
	}
	kerneltest.Run(t, func() kernels.Backend {
		b, err := cuda.New(cuda.Options{Library: library})
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}
