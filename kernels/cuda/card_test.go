package cuda_test

import (
	"os"
	"strings"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/cuda"
	"verbatim/kernels/cuda/cudatest"
	"verbatim/kernels/kerneltest"
	"verbatim/kernels/ref"
)

// cardLibrary is the driver's library that tests of a real card use: VERBATIM_CUDA_LIBRARY, libcuda.so.1 for instance.
func cardLibrary(t *testing.T) string {
	library := os.Getenv("VERBATIM_CUDA_LIBRARY")
	if library == "" {
		t.Skip("VERBATIM_CUDA_LIBRARY does not name a driver")
	}
	return library
}

// TestCard compares every operator on this machine's card with the reference. bench/gpu-check.sh runs it.
func TestCard(t *testing.T) {
	library := cardLibrary(t)
	keeper, err := cuda.New(cuda.Options{Library: library}) // keeps the card's context, which takes long to make
	if err != nil {
		t.Fatal(err)
	}
	defer keeper.Close()
	kerneltest.Run(t, func() kernels.Backend {
		b, err := cuda.New(cuda.Options{Library: library})
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}

// TestCardOtherwise does so with the kernels that a large and new card would not choose for such small cases, or at all: large
// blocks, as if it had few multiprocessors; what cards before Ampere run; and dependent launches, where there are any.
func TestCardOtherwise(t *testing.T) {
	library := cardLibrary(t)
	var cases []kerneltest.Case
	for _, c := range kerneltest.Cases() {
		if operator, _, _ := strings.Cut(c.Name, "/"); operator == "matmul" || operator == "codes" || operator == "model" || operator == "pass" {
			cases = append(cases, c)
		}
	}
	want := make([][]float32, len(cases))
	for i, c := range cases {
		want[i] = c.Results(t, ref.New())
	}
	for _, v := range variants() {
		t.Run(v.name, func(t *testing.T) {
			b, err := cuda.NewPretending(cuda.Options{Library: library, Dependent: v.dependent}, v.attributes)
			if err != nil && v.dependent && strings.Contains(err.Error(), "dependent launches: they need") {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range cases {
				kerneltest.Compare(t, c, c.Results(t, b), want[i])
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

type variant struct {
	name       string
	attributes map[int]int
	dependent  bool
}

func variants() []variant {
	return []variant{
		{"few multiprocessors", map[int]int{cuda.AttributeMultiprocessors: 1}, false},
		{"sm_70", map[int]int{cuda.AttributeMajor: 7, cuda.AttributeMinor: 0, cuda.AttributeSharedBytesMax: 96 << 10}, false},
		{"dependent", nil, true},
	}
}

// TestPretending: the variants choose what they are there for. The emulator has kernels of one level, so nothing runs.
func TestPretending(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "level=90")
	for _, v := range variants()[:2] {
		b, err := cuda.NewPretending(cuda.Options{Library: d.Path}, v.attributes)
		if err != nil {
			t.Fatal(err)
		}
		if level := b.Info().Level; level != map[string]string{"few multiprocessors": "sm_90", "sm_70": "sm_70"}[v.name] {
			t.Errorf("%s: level %s", v.name, level)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}
