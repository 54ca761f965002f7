package engines_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// fakeCards are the cards of the fake driver.
type fakeCards struct{ cuda.Cards }

func (c fakeCards) Start(card int) (kernels.Backend, error) {
	return cuda.New(cuda.Options{Library: c.Library, Device: card})
}

func cardDevice(d *cudatest.Driver, name string) engines.Device {
	return engines.Device{Name: name, Threads: 1, Cards: fakeCards{cuda.Cards{Library: d.Path}}}
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
func walk(d engines.Device) (err error) {
	loaded, err := d.Open(context.Background(), models.Store{Embedded: embedded.GGUF}, "embedded")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, loaded.Close()) }()
	ctx := context.Background()
	session, err := loaded.Engine.NewSession()
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
	restored, err := loaded.Engine.Restore(snapshot)
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
	if err := walk(device); err != nil {
		t.Fatal(err)
	}
	whole := d.Report()
	if whole.Live != 0 || whole.Leaked != 0 || len(whole.Calls) < 25 {
		t.Fatalf("without a failure: %d live and %d leaked objects, calls %v", whole.Live, whole.Leaked, whole.Calls)
	}
	for call, times := range whole.Calls {
		for _, number := range slices.Compact([]int{1, (times + 1) / 2, times}) {
			for _, code := range []int{2, 719} {
				what := fmt.Sprintf("fail=%s:%d:%d", call, number, code)
				d.Configure(what)
				err := walk(device)
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
	if err := walk(device); err != nil {
		t.Errorf("after all failures: %v", err)
	}
}
