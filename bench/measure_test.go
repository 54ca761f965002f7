package bench_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"verbatim/bench"
	"verbatim/internal/engines"
)

// script writes an executable that stands for a program, and returns its path.
func script(t *testing.T, name, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func program(t *testing.T, command string) bench.Program {
	t.Helper()
	p, err := bench.NewProgram("test", command)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func plan(t *testing.T, ours, peer string) bench.Plan {
	t.Helper()
	model := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := os.WriteFile(model, write(t, "tiny", "Q8_0", 1), 0o600); err != nil {
		t.Fatal(err)
	}
	other := program(t, peer)
	return bench.Plan{
		Model: model, Device: engines.Device{Name: "cpu", Threads: 1}, Workloads: bench.Workloads([]int{1, 2}, 1.0/32), Runs: 2,
		Ours: program(t, ours), Peer: &other, Step: func(string) {},
	}
}

const fixed = `echo '{"engine":"ours","tokens_per_second":300,"tokens_per_cpu_second":200,"load_ms":10,"digest":"ab"}'`

func TestRatiosAreOfTheSameRun(t *testing.T) {
	count := filepath.Join(t.TempDir(), "count")
	peer := script(t, "peer", fmt.Sprintf(`echo x >> %s; n=$(wc -l < %s); echo "{\"engine\":\"peer\",\"tokens_per_second\":$((n * 10)),\"tokens_per_cpu_second\":80,\"load_ms\":20}"`, count, count))
	report, err := bench.Measure(context.Background(), plan(t, script(t, "ours", fixed), peer))
	if err != nil {
		t.Fatal(err)
	}
	row := report.Rows[0]
	if row.Name != "prefill 16" || row.Ours != 300 || row.Digest != "ab" || row.Peer != 35 || row.Ratio != (300.0/10+300.0/60)/2 || row.CPU != 2.5 {
		t.Errorf("got %+v, want 300 against 10 and 60 tokens/s: the ratio is the median of 30 and 5, and 2.5 by CPU time", row)
	}
	for _, write := range []func(io.Writer) error{report.WriteTable, report.WriteMarkdown} {
		var text strings.Builder
		if err := write(&text); err != nil || !strings.Contains(text.String(), "prefill 16") || !strings.Contains(text.String(), "17.50") {
			t.Errorf("got %v and\n%s\nwant the row of prefill 16 with the ratio 17.50", err, &text)
		}
	}
	var chart strings.Builder
	if err := report.WriteChart(&chart); err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal([]byte(chart.String()), &struct{}{}); err != nil || strings.Count(chart.String(), `class="peer"`) != 1+5 {
		t.Errorf("got %v and\n%s\nwant XML with a peer's bar for each of 5 workloads", err, &chart)
	}
}

func TestOtherLogitsAreAnError(t *testing.T) {
	count := filepath.Join(t.TempDir(), "count")
	ours := script(t, "ours", fmt.Sprintf(`echo x >> %s; echo "{\"tokens_per_second\":1,\"digest\":\"$(wc -l < %s)\"}"`, count, count))
	_, err := bench.Measure(context.Background(), plan(t, ours, ours))
	if err == nil || !strings.Contains(err.Error(), "digest") {
		t.Errorf("got %v, want an error about the digest", err)
	}
}

func TestFailuresSayWhatTheProgramSaid(t *testing.T) {
	for body, want := range map[string]string{"echo no such model >&2; exit 3": "no such model", "echo nonsense": "read what"} {
		_, err := bench.Measure(context.Background(), plan(t, script(t, "ours", body), script(t, "peer", fixed)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", body, err, want)
		}
	}
}

func TestLlamaBenchIsUnderstood(t *testing.T) {
	p := program(t, script(t, "llama-bench", `echo "$@" >&2; [ "$*" = "-m m.gguf -t 2 -ngl 0 -p 0 -n 128 -d 2048 -r 1 -o json" ] || exit 1
echo '[{"build_commit":"abc","n_gen":128,"avg_ts":33.5,"stddev_ts":0}]'`))
	s, ok, err := p.Run(context.Background(), "m.gguf", 2, bench.Workload{Decode: true, Tokens: 128, Depth: 2048, Sequences: 1})
	if err != nil || !ok || s.TokensPerSecond != 33.5 || s.Engine != "llama.cpp abc" {
		t.Errorf("got %+v, %v, %v; want 33.5 tokens/s of llama.cpp abc", s, ok, err)
	}
	if _, ok, err := p.Run(context.Background(), "m.gguf", 2, bench.Workload{Decode: true, Tokens: 64, Sequences: 4}); ok || err != nil {
		t.Errorf("got %v, %v; want no sample and no error: llama-bench has no such workload", ok, err)
	}
}

// What a workload computes does not depend on the threads, nor on how the tokens before it were evaluated.
func TestWorkIsDeterministic(t *testing.T) {
	model := plan(t, "true", "true").Model
	for _, w := range bench.Workloads([]int{1, 3}, 1.0/32) {
		digests := map[string]bool{}
		for _, d := range []engines.Device{{Name: "cpu", Threads: 1}, {Name: "cpu", Threads: 2, PrefillChunk: 5}, {Name: "cpu", Level: "generic"}} {
			s, err := bench.Work(context.Background(), d, model, w)
			if err != nil {
				t.Fatal(err)
			}
			if s.TokensPerSecond <= 0 || s.LoadMS <= 0 {
				data, _ := json.Marshal(s)
				t.Errorf("%s: got %s, want positive times", w.Name, data)
			}
			digests[s.Digest] = true
		}
		if len(digests) != 1 {
			t.Errorf("%s: got the digests %v, want one", w.Name, digests)
		}
	}
}
