package engines_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"verbatim/inference"
	"verbatim/inference/transcript"
	"verbatim/internal/engines"
	"verbatim/kernels"
	"verbatim/kernels/cuda"
	"verbatim/kernels/cuda/cudatest"
	"verbatim/models"
	"verbatim/models/embedded"
	"verbatim/models/tokenizer"
)

func cardDevice(d *cudatest.Driver, name string) engines.Device {
	return engines.Device{Name: name, Threads: 1, Cards: cuda.Cards{Library: d.Path}}
}

func openEmbedded(t *testing.T, d engines.Device) *engines.Loaded {
	t.Helper()
	loaded, err := d.Open(context.Background(), models.Store{Embedded: embedded.GGUF}, "embedded")
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// requests are about a story: greedy, sampled, and longer than a page of keys and values.
func requests() []inference.Request {
	greedy := inference.NewRequest("Once upon a time")
	greedy.MaxTokens = 24
	sampled := inference.NewRequest("Lily and Tom")
	sampled.MaxTokens, sampled.Sampling.Temperature, sampled.Sampling.TopP, sampled.Sampling.Seed = 20, 0.9, 0.9, 7
	long := inference.NewRequest(strings.Repeat("The dog ran to the house. ", 16))
	long.MaxTokens = 12
	return []inference.Request{greedy, sampled, long}
}

// The embedded model's transcripts have the same digests on a card as on the CPU, whatever the order in which threads and thread
// blocks run, and each proves the other's.
func TestCardGivesTheSameTranscripts(t *testing.T) {
	onCPU := openEmbedded(t, engines.Device{Name: "cpu", Threads: 1})
	defer onCPU.Close()
	var want []*transcript.Transcript
	for _, r := range requests() {
		c, err := onCPU.Engine.Generate(context.Background(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, &c.Transcript)
	}
	d := cudatest.Load(t, cudatest.SM80, "")
	for seed := range 2 {
		d.Configure(fmt.Sprintf("seed=%d", seed))
		onCard := openEmbedded(t, cardDevice(d, "cuda"))
		for i, r := range requests() {
			c, err := onCard.Engine.Generate(context.Background(), r, nil)
			if err != nil {
				t.Fatalf("seed %d, request %d: %v (%s)", seed, i, err, d.Message())
			}
			got, gotErr := c.Transcript.Digest()
			digest, wantErr := want[i].Digest()
			if got != digest || gotErr != nil || wantErr != nil {
				t.Errorf("seed %d, request %d: digest %v, on the CPU %v (%v, %v): %q, %q", seed, i, got, digest, gotErr, wantErr, c.Text, want[i].Text)
			}
		}
		if divergence, err := onCard.Engine.Recompute(context.Background(), want[1]); divergence != nil || err != nil {
			t.Errorf("seed %d: recomputed on the card: %v, %v", seed, divergence, err)
		}
		if r := d.Report(); r.GraphLaunches == 0 {
			t.Errorf("seed %d: no graph was used: %+v", seed, r.Calls)
		}
		if err := onCard.Close(); err != nil {
			t.Error(err)
		}
		if r := d.Report(); r.Live != 0 || r.Leaked != 0 {
			t.Errorf("seed %d: after Close %d live and %d leaked objects", seed, r.Live, r.Leaked)
		}
	}
}

// walk does everything that a daemon does with a card: load, prefill, decode, fork, keep, restore, close.
func walk(d engines.Device, model *models.Model) (err error) {
	b, err := d.Backend()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	engine, err := inference.NewEngine(model, b, inference.Options{PrefillChunkTokens: 4})
	if err != nil {
		return err
	}
	ctx := context.Background()
	session, err := engine.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	if err := session.Prefill(ctx, []tokenizer.Token{1, 400, 300}); err != nil {
		return err
	}
	fork, err := session.Fork()
	if err != nil {
		return err
	}
	defer fork.Close()
	for token := range tokenizer.Token(4) {
		if err := errors.Join(session.Decode(ctx, 300+token), fork.Decode(ctx, 500+token)); err != nil {
			return err
		}
	}
	snapshot, err := session.Snapshot()
	if err != nil {
		return err
	}
	restored, err := engine.Restore(snapshot)
	if err != nil {
		return err
	}
	defer restored.Close()
	if !slices.Equal(restored.Logits(), session.Logits()) {
		return errors.New("a restored session has other logits")
	}
	again, err := restored.Snapshot()
	if err == nil && !bytes.Equal(again, snapshot) {
		err = errors.New("a restored session has another snapshot")
	}
	return err
}

// Every call of the driver fails once: the first of its name, one in the middle, the last. What comes of it is an error that names
// the call, nothing stays behind on the card, and what comes after works.
func TestEveryCallOfTheDriverFails(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "")
	device := cardDevice(d, "cuda")
	model, err := models.FromBytes(embedded.GGUF())
	if err != nil {
		t.Fatal(err)
	}
	if err := walk(device, model); err != nil {
		t.Fatal(err)
	}
	whole := d.Report()
	if whole.Live != 0 || whole.Leaked != 0 || len(whole.Calls) < 25 {
		t.Fatalf("without a failure: %d live and %d leaked objects, calls %v", whole.Live, whole.Leaked, whole.Calls)
	}
	for call, times := range whole.Calls {
		for _, number := range slices.Compact([]int{1, (times + 1) / 2, times}) {
			for _, code := range []int{719, 2} {
				if code == 2 && number > 1 {
					continue // memory is asked for in a few places only
				}
				what := fmt.Sprintf("fail=%s:%d:%d", call, number, code)
				d.Configure(what)
				err := walk(device, model)
				if err == nil && code != 2 || err != nil && !strings.Contains(err.Error(), call+": CUDA_ERROR_") {
					t.Errorf("%s of %d: got error %v, want one that names the call", what, times, err)
				}
				if r := d.Report(); r.Live != 0 || code == 2 && r.Leaked != 0 {
					t.Errorf("%s of %d: %d live and %d leaked objects", what, times, r.Live, r.Leaked)
				}
			}
		}
	}
	d.Configure("")
	if err := walk(device, model); err != nil {
		t.Errorf("after all failures: %v", err)
	}
}

// story is what a model makes of a few tokens, to compare.
func story(t *testing.T, engine *inference.Engine) string {
	t.Helper()
	r := inference.NewRequest("Once")
	r.MaxTokens = 6
	c, err := engine.Generate(context.Background(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Text
}

// copies gives files of the embedded model under several names.
func copies(t *testing.T, count int) []string {
	t.Helper()
	var paths []string
	for i := range count {
		path := filepath.Join(t.TempDir(), fmt.Sprintf("%d.gguf", i))
		if err := os.WriteFile(path, embedded.GGUF(), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

// Where two models have no room at once, the one that was used longest ago goes, unless somebody has it.
func TestModelsMakeRoom(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "")
	one := openEmbedded(t, cardDevice(d, "cuda"))
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	need := d.Report().BytesMost
	d.Configure(fmt.Sprintf("memory=%d", 512<<20+5*need/2)) // two and a half, and what is left to other programs
	library := engines.New(cardDevice(d, "cuda"), "", nil)
	library.Warn = func(err error) { t.Errorf("got a warning: %v", err) }
	paths, ctx := copies(t, 3), context.Background()
	borrow := func(i int) func() {
		t.Helper()
		engine, done, err := library.Borrow(ctx, paths[i])
		if err != nil {
			t.Fatalf("model %d: %v", i, err)
		}
		story(t, engine)
		return done
	}
	loads := func() int { return d.Report().Calls["cuStreamCreate"] }
	first, second := borrow(0), borrow(1)
	if _, _, err := library.Borrow(ctx, paths[2]); !errors.Is(err, kernels.ErrMemory) {
		t.Errorf("a third model while both are in use: got %v, want an error that wraps %v", err, kernels.ErrMemory)
	}
	second()
	first()
	borrow(0)() // now model 1 was used longest ago
	borrow(2)()
	before := loads()
	borrow(0)()
	if got := loads(); got != before {
		t.Errorf("the model that was used last had to be loaded again")
	}
	borrow(1)()
	if got := loads(); got == before {
		t.Errorf("the model that was used longest ago was still there")
	}
	if err := library.Close(); err != nil {
		t.Error(err)
	}
	if r := d.Report(); r.Live != 0 || r.Leaked != 0 {
		t.Errorf("after Close %d live and %d leaked objects", r.Live, r.Leaked)
	}
}

// On a card that has no room for the model, or fails, auto takes the CPU and says why, and cuda gives the reason as an error.
func TestDeviceFallsBack(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "")
	want := func() string {
		loaded := openEmbedded(t, engines.Device{Name: "cpu", Threads: 1})
		defer loaded.Close()
		return story(t, loaded.Engine)
	}()
	for _, c := range []struct{ settings, reason string }{
		{"memory=537000000", "memory is spent"}, {"fail=cuModuleLoadDataEx:1:222", "cuModuleLoadDataEx: CUDA_ERROR_UNSUPPORTED_PTX_VERSION (222): the driver cannot compile"},
		{"fail=cuDevicePrimaryCtxRetain:1:46", "cuDevicePrimaryCtxRetain: CUDA_ERROR_DEVICE_UNAVAILABLE (46): another program has the card"},
		{"fail=cuMemAlloc_v2:5:719", "cuMemAlloc_v2: CUDA_ERROR_LAUNCH_FAILED (719): the card stopped"},
	} {

		d.Configure(c.settings)
		loaded := openEmbedded(t, cardDevice(d, "auto"))
		if got := story(t, loaded.Engine); got != want || loaded.Engine.Backend().Name != "cpu" {
			t.Errorf("%s: %q on %s, want %q on the CPU", c.settings, got, loaded.Engine.Backend().Name, want)
		}
		if loaded.Warning == nil || !strings.Contains(loaded.Warning.Error(), c.reason) {
			t.Errorf("%s: warning %v, want it to say %q", c.settings, loaded.Warning, c.reason)
		}
		if err := loaded.Close(); err != nil {
			t.Error(err)
		}

		d.Configure(c.settings)
		strict := cardDevice(d, "cuda")
		if _, err := strict.Open(context.Background(), models.Store{Embedded: embedded.GGUF}, "embedded"); err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%s: error %v, want it to say %q", c.settings, err, c.reason)
		}
		if r := d.Report(); r.Live != 0 {
			t.Errorf("%s: %d live objects", c.settings, r.Live)
		}
	}
	d.Configure("devices=0")
	loaded := openEmbedded(t, cardDevice(d, "auto"))
	if loaded.Warning != nil || loaded.Engine.Backend().Name != "cpu" {
		t.Errorf("without a card: %s, warning %v", loaded.Engine.Backend().Name, loaded.Warning)
	}
	loaded.Close()
}

// A card that fails in the middle of an inference ends that one; the library's next one starts anew.
func TestCardFailsInBetween(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "")
	library := engines.New(cardDevice(d, "cuda"), "", nil)
	library.Warn = func(error) {}
	defer library.Close()
	ctx := context.Background()
	engine, done, err := library.Borrow(ctx, "embedded")
	if err != nil {
		t.Fatal(err)
	}
	want := story(t, engine)
	d.Configure("fail=cuStreamSynchronize:3:719")
	r := inference.NewRequest("Once")
	for range 2 {
		if _, err := engine.Generate(ctx, r, nil); err == nil || !strings.Contains(err.Error(), "cuStreamSynchronize: CUDA_ERROR_LAUNCH_FAILED (719)") {
			t.Errorf("got %v, want an error that names the call", err)
		}
	}
	done()
	engine, done, err = library.Borrow(ctx, "embedded")
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if got := story(t, engine); got != want {
		t.Errorf("after a failure: %q, want %q", got, want)
	}
}

// Of several cards the one with the most free memory gets a model, unless one is named.
func TestModelsSpreadOverCards(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "devices=2")
	for i, want := range []string{"emulated card 0", "emulated card 1"} {
		loaded := openEmbedded(t, cardDevice(d, "cuda"))
		defer loaded.Close()
		if got := loaded.Engine.Backend().Device; got != want {
			t.Errorf("model %d is on %s, want %s", i, got, want)
		}
	}
	for _, name := range []string{"cuda:1", "cuda:2", "cuda:-1", "cuda:x", "gpu", ""} {
		device := cardDevice(d, name)
		b, err := device.Backend()
		if name == "cuda:1" {
			if err != nil || b.Info().Device != "emulated card 1" {
				t.Errorf("%s: %v, %v", name, b, err)
			}
			b.Close()
		} else if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: got %v, want an error that names it", name, err)
		}
	}
}

// Sessions that have no room at once get the same answers one after the other.
func TestCrowdOnSmallCard(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "")
	loaded := openEmbedded(t, cardDevice(d, "cuda"))
	all := requests()
	var want []string
	for _, r := range all {
		c, err := loaded.Engine.Generate(context.Background(), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, c.Text)
	}
	loaded.Close()
	b, err := cuda.New(cuda.Options{Library: d.Path, MemoryBytes: d.Report().BytesMost + 100<<10})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	model, err := models.FromBytes(embedded.GGUF())
	if err != nil {
		t.Fatal(err)
	}
	engine, err := inference.NewEngine(model, b, inference.Options{PrefillChunkTokens: 64})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 4 {
		for i, r := range all {
			group.Go(func() {
				c, err := engine.Generate(context.Background(), r, nil)
				if err != nil {
					t.Errorf("request %d: %v", i, err)
				} else if c.Text != want[i] {
					t.Errorf("request %d: %q, want %q", i, c.Text, want[i])
				}
			})
		}
	}
	group.Wait()
}

// A model that has room on no card is spread over all, and gives the same answers.
func TestModelIsSpreadOverCards(t *testing.T) {
	d := cudatest.Load(t, cudatest.SM80, "")
	device := cardDevice(d, "cuda")
	device.PrefillChunk = 8
	one := openEmbedded(t, device)
	want := story(t, one.Engine)
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	d.Configure(fmt.Sprintf("devices=2 memory=%d", 512<<20+d.Report().BytesMost*7/8))
	one = openEmbedded(t, device)
	if got := one.Engine.Backend().Device; got != "emulated card 0 + emulated card 1" {
		t.Errorf("the model is on %s, want it on two cards", got)
	}
	if got := story(t, one.Engine); got != want {
		t.Errorf("on two cards: %q, want %q", got, want)
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	named := device
	named.Name = "cuda:0"
	if _, err := named.Open(context.Background(), models.Store{Embedded: embedded.GGUF}, "embedded"); !errors.Is(err, kernels.ErrMemory) {
		t.Errorf("on a named card: got %v, want an error that wraps %v", err, kernels.ErrMemory)
	}
	if r := d.Report(); r.Live != 0 || r.Leaked != 0 {
		t.Errorf("after Close %d live and %d leaked objects", r.Live, r.Leaked)
	}
}
