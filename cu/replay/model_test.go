package replay_test

// The whole path with a real model: a process asks the embedded model, and an auditor with an engine of its own, on the
// slow reference backend, computes the answers again. Then one bit of the log is made to lie about one token.

import (
	"context"
	"strings"
	"testing"

	"verbatim/cu/eval"
	"verbatim/cu/eval/evaltest"
	"verbatim/cu/replay"
	"verbatim/inference"
	"verbatim/inference/transcript"
	"verbatim/kernels"
	"verbatim/kernels/cpu"
	"verbatim/kernels/ref"
	"verbatim/models"
	"verbatim/models/embedded"
)

// live is a provider with one engine, short answers and no drive.
type live struct {
	evaltest.Provider
	engine *inference.Engine
}

func (l *live) Answer(ctx context.Context, q eval.Question) (*transcript.Transcript, error) {
	completion, err := l.engine.Generate(ctx, q.Request, nil)
	return &completion.Transcript, err
}

func engineOn(t *testing.T, backend kernels.Backend) *inference.Engine {
	t.Helper()
	store := models.Store{Embedded: embedded.GGUF}
	model, err := store.Open(background, eval.ModelEmbedded)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { model.Close() })
	engine, err := inference.NewEngine(model, backend, inference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

func TestRealModel(t *testing.T) {
	backend, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	log := unitLog(t, &live{engine: engineOn(t, backend)}, "@i1")
	auditor := engineOn(t, ref.New())
	recompute := replay.Options{Engines: func(_ context.Context, name string, digest transcript.Digest) (replay.Recomputer, error) {
		if name != eval.ModelEmbedded || digest != transcript.Digest(auditor.Model().Digest) {
			t.Errorf("asked for model %q, %s", name, digest)
		}
		return auditor, nil
	}}
	report := verify(t, log, recompute)
	if report.Verdict != replay.Verified || report.Inferences != 2 || report.Tokens < 10 {
		t.Fatalf("%+v", report)
	}
	modules, all := entries(t, log)
	liar := all[1]
	rewrite(t, liar, func(recorded *transcript.Transcript) { recorded.Output[5] ^= 1 })
	report = verify(t, forge(t, modules, all), recompute)
	if d := report.Divergence; report.Verdict != replay.Diverged || d.What != "transcript.output_tokens" || d.Token != 5 || d.Nonce != 1 ||
		!strings.Contains(d.Error(), "recorded token") {
		t.Errorf("%+v", report)
	}
}
