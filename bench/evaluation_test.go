package bench

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

func TestLatency(t *testing.T) {
	var times []float64
	for i := range 200 {
		times = append(times, float64(200-i)) // 200 ms down to 1 ms
	}
	got := latencyOf(times)
	if got.MedianMS != 100.5 || got.P99MS != 198 || int(got.PerSecond*1000) != 9950 {
		t.Errorf("got %+v, want median 100.5, p99 198, 9.95 a second", got)
	}
	if got := latencyOf([]float64{7}); got.MedianMS != 7 || got.P99MS != 7 {
		t.Errorf("of one: %+v", got)
	}
	if got := latencyOf(nil); got != (Latency{}) {
		t.Errorf("of none: %+v", got)
	}
}

// Ratios are above 1 where ours is faster, of times as of rates.
func TestEvaluationRatios(t *testing.T) {
	ours, theirs := []Latency{{MedianMS: 2, CPUMS: 1}, {MedianMS: 1, CPUMS: 1}, {MedianMS: 4, CPUMS: 1}}, []Latency{{MedianMS: 60, CPUMS: 9}, {MedianMS: 40, CPUMS: 3}, {MedianMS: 80, CPUMS: 6}}
	if got := ratio(ours, theirs); got != 30 {
		t.Errorf("of medians: got %g, want 30", got)
	}
	if got := cpuRatio(ours, theirs); got != 6 {
		t.Errorf("of processor times: got %g, want 6", got)
	}
	if got := ratio([]Latency{{PerSecond: 500}}, []Latency{{PerSecond: 20}}); got != 25 {
		t.Errorf("of rates: got %g, want 25", got)
	}
	if got := ratio(ours, nil); got != 0 {
		t.Errorf("without a peer: got %g, want 0", got)
	}
}

func TestSameResult(t *testing.T) {
	ours := `{"ok":true,"response":{"Output":{"data":"2","print":true},"Messages":[],"Spawns":[],"Assignments":[]}}`
	for _, c := range []struct {
		theirs string
		same   bool
	}{
		{`{"Assignments":[],"Output":{"print":true,"data":"2"},"Messages":[],"Spawns":[],"Patches":[],"GasUsed":0}`, true},
		{`{"Assignments":[],"Output":{"print":true,"data":"3"},"Messages":[],"Spawns":[]}`, false},
		{`{"Assignments":[],"Output":{"print":true,"data":"2"},"Messages":[{}],"Spawns":[]}`, false},
		{`{"Error":"no","Assignments":[],"Output":{"print":true,"data":"2"},"Messages":[],"Spawns":[]}`, false},
		{`not JSON`, false},
	} {
		if got := sameResult(json.RawMessage(ours), json.RawMessage(c.theirs)); got != c.same {
			t.Errorf("%s: got %v, want %v", c.theirs, got, c.same)
		}
	}
}

// Messages are JSON in the order and spelling that JSON.stringify gives them, so that both sides evaluate the same bytes.
func TestEvaluationMessages(t *testing.T) {
	for _, w := range evaluationWorkloads(0.1) {
		lines, untimed := w.lines()
		if len(lines)-untimed != w.messages || w.messages < 2 {
			t.Errorf("%s: %d lines, %d untimed, want %d timed", w.name, len(lines), untimed, w.messages)
		}
		for i, line := range lines {
			if !json.Valid(line) || bytes.Contains(line, []byte(`\u00`)) || !bytes.HasPrefix(line, []byte(`{"Id":`)) {
				t.Errorf("%s, line %d: %s", w.name, i, line)
			}
		}
	}
	if !json.Valid([]byte(order(3))) {
		t.Errorf("the data of a message to the handler is not JSON: %s", order(3))
	}
}

func TestEvaluationReport(t *testing.T) {
	r := EvaluationReport{Loader: "0.0.49", Node: "v20", Compared: 5, Runs: 3, Rows: []EvaluationRow{
		{Module: "aos <x>", Name: "Eval", Ours: Latency{PerSecond: 1500, MedianMS: 0.66, P99MS: 1.5}, Reference: Latency{PerSecond: 15, MedianMS: 66, P99MS: 90},
			RatioReference: 100, CPUReference: 80},
		{Module: "aos <x>", Name: "catch up", Ours: Latency{PerSecond: 400}, Note: "a whole unit"}}}
	for name, write := range map[string]func(io.Writer) error{"table": r.WriteTable, "markdown": r.WriteMarkdown} {
		var text strings.Builder
		if err := write(&text); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"0.66, 1.50", "1500", "66.0, 90.0", "100.00", "80.00", "catch up", "a whole unit", "5 results"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%s lacks %q:\n%s", name, want, text.String())
			}
		}
	}
	var chart bytes.Buffer
	if err := r.WriteChart(&chart); err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(chart.Bytes(), new(struct{})); err != nil || strings.Contains(chart.String(), "catch up") {
		t.Errorf("the chart: %v\n%s", err, chart.String())
	}
}
