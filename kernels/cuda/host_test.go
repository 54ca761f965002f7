package cuda_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/cuda"
	"verbatim/kernels/cuda/cudatest"
)

// What a machine may lack: each has a line that says it.
func TestNoDriver(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "")
	for _, c := range []struct {
		what, library, settings string
		device                  int
		is                      error
		text                    string
	}{
		{"no driver", "libcuda-that-nobody-has.so.1", "", 0, cuda.ErrNoDriver, "no NVIDIA driver on this machine (libcuda-that-nobody-has.so.1: "},
		{"another library", "libm.so.6", "", 0, cuda.ErrOldDriver, "too old, 520 (CUDA 11.8) or later is needed: it has no cuInit"},
		{"an old driver", d.Path, "driver=11040", 0, cuda.ErrOldDriver, "it is for CUDA 11.4"},
		{"no card", d.Path, "devices=0", 0, nil, "cuInit: CUDA_ERROR_NO_DEVICE (100): the driver finds no card"},
		{"another card", d.Path, "devices=2", 2, nil, "card 2: this machine has 2"},
		{"an old card", d.Path, "level=61", 0, nil, "is sm_61; sm_70 (Volta) or later is needed"},
		{"a card that is taken", d.Path, "fail=cuDevicePrimaryCtxRetain:1:46", 0, nil, "CUDA_ERROR_DEVICE_UNAVAILABLE (46): another program has the card for itself"},
		{"an update without a restart", d.Path, "fail=cuInit:1:803", 0, nil, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803): the driver's library and its kernel module are of different versions"},
		{"an unknown code", d.Path, "fail=cuInit:1:4711", 0, nil, "cuInit: an error that the driver has no name for (4711)"},
	} {
		d.Configure(c.settings)
		b, err := cuda.New(cuda.Options{Library: c.library, Device: c.device})
		if err == nil {
			b.Close()
			t.Errorf("%s: no error", c.what)
			continue
		}
		if c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %q, want it to say %q", c.what, err, c.text)
		}
		if r := d.Report(); r.Live != 0 || r.Leaked != 0 {
			t.Errorf("%s: %d live, %d leaked objects", c.what, r.Live, r.Leaked)
		}
	}
}

func numbers(n, from int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(from + i)
	}
	return x
}

// Buffers that are longer than what copies pass through.
func TestLongCopies(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "")
	b := open(t, d, cuda.Options{})
	defer b.Close()
	want := numbers(5<<20+5, 1)
	x, err := b.NewBuffer(len(want))
	if err != nil {
		t.Fatal(err)
	}
	b.Write(x, want)
	got := make([]float32, len(want)-3)
	if err := b.Read(got, x, 3); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want[3:]) {
		t.Error("a long buffer came back as another")
	}
}

// What is read piece by piece after every step is fetched at once as soon as that has happened before; what was fetched is
// never given again once there are commands.
func TestReadsAtOnce(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "")
	b := open(t, d, cuda.Options{})
	defer b.Close()
	var x [2]kernels.Buffer
	for i := range x {
		var err error
		if x[i], err = b.NewBuffer(1000); err != nil {
			t.Fatal(err)
		}
	}
	rows := [][2]int{{0, 0}, {0, 100}, {0, 200}, {1, 50}, {1, 300}, {1, 550}} // buffer, first element; 100 and 250 elements
	step := func(number int, rows [][2]int) (copies, waits int) {
		t.Helper()
		before := d.Report().Calls
		for i := range x {
			b.Write(x[i], numbers(1000, 10000*number+5000*i))
		}
		for _, r := range rows {
			got := make([]float32, 100+150*r[0])
			if err := b.Read(got, x[r[0]], r[1]); err != nil {
				t.Fatal(err)
			}
			if want := numbers(len(got), 10000*number+5000*r[0]+r[1]); !slices.Equal(got, want) {
				t.Fatalf("step %d, row %v: got %v..., want %v...", number, r, got[:3], want[:3])
			}
		}
		after := d.Report().Calls
		return after["cuMemcpyDtoHAsync_v2"] - before["cuMemcpyDtoHAsync_v2"], after["cuStreamSynchronize"] - before["cuStreamSynchronize"]
	}
	for number, c := range []struct {
		rows          [][2]int
		copies, waits int
	}{
		{rows, 6, 6}, {rows, 2, 1}, {rows, 2, 1}, {rows[:2], 2, 1}, {rows, 5, 5}, {rows[3:], 1, 1}, {rows[:1], 1, 1}, {rows[3:], 3, 3},
	} {
		if copies, waits := step(number, c.rows); copies != c.copies || waits != c.waits {
			t.Errorf("step %d: %d copies and %d waits, want %d and %d", number, copies, waits, c.copies, c.waits)
		}
	}
	if copies, waits := step(8, nil); copies != 0 || waits != 0 {
		t.Errorf("no read: %d copies and %d waits", copies, waits)
	}
	before := d.Report().Calls["cuStreamSynchronize"]
	if err := b.Read(nil, x[0], 0); err != nil {
		t.Errorf("an empty read: %v", err)
	}
	if n := d.Report().Calls["cuStreamSynchronize"] - before; n != 1 {
		t.Errorf("an empty read waits %d times, want 1: what was recorded before uses staging", n)
	}
}

// A list of operators becomes a graph when it comes again, and is another one as soon as anything in it differs.
func TestGraphs(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "seed=3")
	b := open(t, d, cuda.Options{})
	var x [2]kernels.Buffer
	for i := range x {
		var err error
		if x[i], err = b.NewBuffer(1000); err != nil {
			t.Fatal(err)
		}
	}
	pass := func(elements int) {
		t.Helper()
		b.Write(x[0], numbers(1000, 0))
		b.Write(x[1], numbers(1000, 1))
		for range 12 {
			b.Add(x[0], x[1], elements)
		}
		got := make([]float32, 1000)
		if err := b.Read(got, x[0], 0); err != nil {
			t.Fatal(err)
		}
		for i := range got {
			want := float32(i)
			if i < elements {
				want += 12 * float32(i+1)
			}
			if got[i] != want {
				t.Fatalf("%d elements: element %d is %g, want %g", elements, i, got[i], want)
			}
		}
	}
	launched := func() int { return d.Report().GraphLaunches }
	pass(7) // together with the zeros of new buffers
	pass(1000)
	if n := launched(); n != 0 {
		t.Errorf("%d graphs for a list that came once", n)
	}
	for range 3 {
		pass(1000)
	}
	if n := launched(); n != 3 {
		t.Errorf("a list that came three times more was %d times a graph", n)
	}
	for elements := range 100 { // more than are kept
		pass(elements + 1)
	}
	if n := launched(); n != 3 {
		t.Errorf("lists that came once were %d times graphs", n-3)
	}
	pass(99)
	pass(1000)
	if n := launched(); n != 4 {
		t.Errorf("one list is remembered and one forgotten: %d graphs, want 1", n-3)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if r := d.Report(); r.Live != 0 || r.Leaked != 0 {
		t.Errorf("after Close %d live, %d leaked objects", r.Live, r.Leaked)
	}
}

// The budget is kept, want of memory is an error of the call that wants it, and what was closed says so.
func TestBudget(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "")
	b := open(t, d, cuda.Options{MemoryBytes: 1 << 20})
	x, err := b.NewBuffer(100000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.NewBuffer(200000); !errors.Is(err, kernels.ErrMemory) {
		t.Errorf("a buffer beyond the budget: got %v, want an error that wraps %v", err, kernels.ErrMemory)
	}
	if _, err := b.NewBuffer(-1); err == nil {
		t.Error("a buffer of -1 elements")
	}
	b.Write(x, []float32{5})
	got := make([]float32, 1)
	if err := b.Read(got, x, 0); err != nil || got[0] != 5 {
		t.Errorf("after want of memory: %v, %v", got, err)
	}
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Error(err)
	}
	if err := b.Read(got, x, 0); !errors.Is(err, cuda.ErrClosed) {
		t.Errorf("after Close: got %v, want %v", err, cuda.ErrClosed)
	}
}

// Where there is no memory to load a kernel, the pass fails; what was recorded beside its launches is done all the same, and
// everything works once there is memory.
func TestNoMemoryForKernels(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "fail=cuModuleLoadDataEx:1:2")
	b := open(t, d, cuda.Options{})
	defer b.Close()
	x, err := b.NewBuffer(4)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(x, []float32{1, 2, 3, 4})
	b.Add(x, x, 4)
	got := make([]float32, 4)
	if err := b.Read(got, x, 0); !errors.Is(err, kernels.ErrMemory) {
		t.Fatalf("got %v, want an error that wraps %v", err, kernels.ErrMemory)
	}
	for _, want := range [][]float32{{1, 2, 3, 4}, {2, 4, 6, 8}} {
		if err := b.Read(got, x, 0); err != nil || !slices.Equal(got, want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
		b.Add(x, x, 4)
	}
}

// After an error that leaves the card in doubt, every call says what happened first.
func TestStopped(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "fail=cuStreamSynchronize:1:214")
	b := open(t, d, cuda.Options{})
	x, err := b.NewBuffer(10)
	if err != nil {
		t.Fatal(err)
	}
	const told = "cuStreamSynchronize: CUDA_ERROR_ECC_UNCORRECTABLE (214): the card's memory or link has an error that cannot be corrected"
	for i := range 3 {
		b.Add(x, x, 10)
		if err := b.Read(make([]float32, 1), x, 0); err == nil || !strings.Contains(err.Error(), told) || i > 0 && !errors.Is(err, cuda.ErrStopped) {
			t.Errorf("read %d: got %v, want it to say %q", i, err, told)
		}
	}
	if _, err := b.NewBuffer(1); !errors.Is(err, cuda.ErrStopped) {
		t.Errorf("a new buffer: got %v, want %v", err, cuda.ErrStopped)
	}
	if !errors.Is(b.Err(), cuda.ErrStopped) {
		t.Errorf("Err: %v, want %v", b.Err(), cuda.ErrStopped)
	}
	b.Close()
	if r := d.Report(); r.Live != 0 {
		t.Errorf("after Close %d live objects", r.Live)
	}
	again := open(t, d, cuda.Options{})
	defer again.Close()
	if _, err := again.NewBuffer(10); err != nil {
		t.Errorf("a new backend after a failure: %v", err)
	}
}

// Kernels are timed one by one on demand.
func TestProfile(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "")
	b := open(t, d, cuda.Options{})
	defer b.Close()
	x, err := b.NewBuffer(100)
	if err != nil {
		t.Fatal(err)
	}
	b.Profile(true)
	for range 3 {
		for range 5 {
			b.Add(x, x, 100)
		}
		if err := b.Read(make([]float32, 1), x, 0); err != nil {
			t.Fatal(err)
		}
	}
	b.Profile(false)
	times := b.KernelTimes()
	if len(times) != 1 || times[0].Launches != 15 || times[0].Seconds <= 0 {
		t.Errorf("got %+v, want 15 launches of one kernel", times)
	}
	if fmt.Sprint(times) != fmt.Sprint(b.KernelTimes()) {
		t.Error("times changed while nothing was measured")
	}
}

func TestCards(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "devices=2 memory=1000000000")
	c := cuda.Cards{Library: d.Path}
	names, err := c.Names()
	if err != nil || !slices.Equal(names, []string{"emulated card 0, sm_80", "emulated card 1, sm_80"}) {
		t.Errorf("got %q, %v", names, err)
	}
	if free, err := c.FreeBytes(1); err != nil || free != 1000000000 {
		t.Errorf("got %d free bytes, %v, want 1000000000", free, err)
	}
	if _, err := c.FreeBytes(2); err == nil {
		t.Error("card 2 of two has free bytes")
	}
	if r := d.Report(); r.Live != 0 || r.Leaked != 0 {
		t.Errorf("%d live, %d leaked objects", r.Live, r.Leaked)
	}
	if _, err := (cuda.Cards{Library: "libcuda-that-nobody-has.so.1"}).Names(); !errors.Is(err, cuda.ErrNoDriver) {
		t.Errorf("without a driver: got %v, want %v", err, cuda.ErrNoDriver)
	}
}

// With dependent launches everything is the same; cards and drivers that have none are refused.
func TestDependentLaunches(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "level=90")
	b := open(t, d, cuda.Options{Dependent: true})
	defer b.Close()
	x, err := b.NewBuffer(10)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		b.Write(x, numbers(10, 1))
		for range 9 {
			b.Add(x, x, 5)
		}
		got := make([]float32, 10)
		if err := b.Read(got, x, 0); err != nil {
			t.Fatal(err)
		}
		if want := []float32{512, 1024, 1536, 2048, 2560, 6, 7, 8, 9, 10}; !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	if r := d.Report(); r.Calls["cuLaunchKernelEx"] != 27 || r.GraphLaunches != 2 {
		t.Errorf("%d dependent launches and %d graphs, want 27 and 2", r.Calls["cuLaunchKernelEx"], r.GraphLaunches)
	}
	for _, settings := range []string{"level=89", "level=90 driver=12020"} {
		d.Configure(settings)
		if b, err := cuda.New(cuda.Options{Library: d.Path, Dependent: true}); err == nil || !strings.Contains(err.Error(), "dependent launches: they need sm_90 and CUDA 12.3") {
			t.Errorf("%s: got %v, %v, want an error that says what is needed", settings, b, err)
		}
	}
}
