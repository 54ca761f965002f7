package cpu_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/cpu"
	"verbatim/kernels/kerneltest"
	"verbatim/kernels/ref"
)

// allLevels are the levels that some machine and build has.
func allLevels() []string { return []string{"generic", "avx2", "avx512", "neon"} }

// TestConformance: every level with several numbers of threads has the bits of the reference. The reference is slow, so
// each of its results is compared with all of ours.
func TestConformance(t *testing.T) {
	backends := map[string]kernels.Backend{}
	for _, level := range allLevels() {
		if !slices.Contains(cpu.Levels(), level) {
			t.Run(level, func(t *testing.T) { t.Skipf("this machine or build has no %s; it has %v", level, cpu.Levels()) })
			continue
		}
		threads := []int{1, 2, 3}
		if level == "generic" || testing.Short() {
			threads = []int{2}
		}
		for _, n := range threads {
			backends[fmt.Sprintf("%s, %d threads", level, n)] = newBackend(t, n, level)
		}
	}
	for _, c := range kerneltest.Cases() {
		want := sync.OnceValue(func() []float32 { return c.Results(t, ref.New()) }) // not for subtests that -run leaves out
		for name, b := range backends {
			t.Run(name+"/"+c.Name, func(t *testing.T) { kerneltest.Compare(t, c, c.Results(t, b), want()) })
		}
	}
}

// FuzzLevels compares all levels of this machine on random cases.
func FuzzLevels(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		c := kerneltest.Random(seed)
		want := c.Results(t, ref.New())
		for _, level := range cpu.Levels() {
			b := newBackend(t, 2, level)
			t.Run(level, func(t *testing.T) { kerneltest.Compare(t, c, c.Results(t, b), want) })
			b.Close()
		}
	})
}

// firstDifference is the index of the first element that differs in bits, -1 if none does. Any two NaN are equal.
func firstDifference(got, want []float32) int {
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) && !(got[i] != got[i] && want[i] != want[i]) {
			return i
		}
	}
	return -1
}

func newBackend(t testing.TB, threads int, level string) *cpu.Backend {
	t.Helper()
	b, err := cpu.New(cpu.Options{Threads: threads, Level: level})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestUnknownLevel(t *testing.T) {
	_, err := cpu.New(cpu.Options{Level: "sse"})
	if err == nil || !strings.Contains(err.Error(), strings.Join(cpu.Levels(), ", ")) {
		t.Errorf("got %v; want an error that lists %v", err, cpu.Levels())
	}
	if _, err := cpu.New(cpu.Options{Threads: -1}); err == nil {
		t.Error("got a backend with -1 threads")
	}
}
