package inference_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"verbatim/inference"
	"verbatim/inference/transcript"
	"verbatim/kernels"
	"verbatim/kernels/cpu"
	"verbatim/kernels/ref"
)

var write = flag.Bool("write", false, "write testdata/digests.json anew: only with a new version of the arithmetic")

const digestsPath = "testdata/digests.json"

// The answers of the random models have the digests in testdata on every machine, level and number of threads. A digest
// that changes is a change of the protocol.
func TestDigestsOfEveryBackend(t *testing.T) {
	backends := map[string]kernels.Backend{"ref": ref.New()}
	for _, level := range cpu.Levels() {
		for _, threads := range []int{1, 3} {
			backend, err := cpu.New(cpu.Options{Level: level, Threads: threads})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { backend.Close() })
			backends[fmt.Sprintf("cpu %s with %d threads", level, threads)] = backend
		}
	}
	got := map[string]transcript.Digest{}
	for _, kind := range everyType {
		model := smallModel(t, kind)
		for name, backend := range backends {
			engine, err := inference.NewEngine(model, backend, inference.Options{})
			if err != nil {
				t.Fatal(err)
			}
			c := generate(t, engine, lively("the ab ü "+strings.Repeat("b", 140), 20, 77))
			digest := digestOf(t, &c.Transcript)
			if first, ok := got[kind.String()]; ok && first != digest {
				t.Errorf("%v on %s: digest %v, on others %v", kind, name, digest, first)
			}
			got[kind.String()] = digest
			if d, err := engine.Recompute(context.Background(), &c.Transcript); d != nil || err != nil {
				t.Errorf("%v on %s: recomputed: %v, %v", kind, name, d, err)
			}
		}
	}
	if *write {
		text, err := json.MarshalIndent(got, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(digestsPath, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(digestsPath)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]transcript.Digest
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	for _, kind := range everyType {
		if name := kind.String(); got[name] != want[name] {
			t.Errorf("%s: digest %v, want %v", name, got[name], want[name])
		}
	}
}
