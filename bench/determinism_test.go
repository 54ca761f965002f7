package bench

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"verbatim/inference/transcript"
	"verbatim/internal/engines"
)

// TestDeterminism: two settings of the embedded model agree, and the table says so.
func TestDeterminism(t *testing.T) {
	cpu := engines.Device{Name: "cpu", Threads: 1, PrefillChunk: 5}
	settings := []Setting{{cpu, 1, 4}, {engines.Device{Name: "cpu", Threads: 2, PrefillChunk: 64}, 3, 3}}
	steps := 0
	d, err := MeasureDeterminism(context.Background(), "embedded", settings, func(string) { steps++ })
	if err != nil {
		t.Fatal(err)
	}
	if !d.Same() || steps != 2 || len(d.Rows) != 2 || len(d.Digests) != 4 || d.Rows[1].Same != 3 {
		t.Errorf("got same %v, %d steps, %+v; want 4 and 3 equal digests", d.Same(), steps, d)
	}
	var table bytes.Buffer
	if err := d.WriteTable(&table); err != nil || !strings.Contains(table.String(), "3 of 3") || !strings.Contains(table.String(), "one digest a prompt") {
		t.Errorf("got error %v and table\n%s", err, table.String())
	}
	if _, err := MeasureDeterminism(context.Background(), "embedded", []Setting{{cpu, 1, 1}, {cpu, 1, 2}}, func(string) {}); err == nil {
		t.Error("a setting with more prompts than the first: got no error")
	}
}

// TestDeterminismDiffers: another digest is counted, placed and told.
func TestDeterminismDiffers(t *testing.T) {
	want := []transcript.Digest{{1}, {2}, {3}}
	r := DeterminismRow{Prompts: 3}
	r.compare([]transcript.Digest{{1}, {9}, {8}}, want)
	if r.Same != 1 || r.First != 1 {
		t.Errorf("got %+v, want 1 the same and prompt 1 the first other", r)
	}
	d := Determinism{Rows: []DeterminismRow{r}, Digests: want}
	var table bytes.Buffer
	if err := d.WriteTable(&table); err != nil || d.Same() || !strings.Contains(table.String(), "DIFFERENT BITS") {
		t.Errorf("got same %v, error %v, table\n%s", d.Same(), err, table.String())
	}
}
