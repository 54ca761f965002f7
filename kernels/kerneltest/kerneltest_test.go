package kerneltest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/ref"
)

var writeGolden = flag.Bool("write-golden", false, "replace the committed digests: only together with a new kernels.Version, or for new cases")

// TestGolden holds the reference to the committed digests, on whatever
// processor and GOAMD64 level this runs.
func TestGolden(t *testing.T) {
	path := filepath.Join("testdata", "golden.txt")
	var table strings.Builder
	fmt.Fprintf(&table, "%s: SHA-256 of each case's results, made by TestGolden -write-golden\n", kernels.Version)
	var digests []string
	for _, c := range Cases() {
		digests = append(digests, fmt.Sprintf("%s %s", digest(c.Results(t, ref.New())), c.Name))
		fmt.Fprintln(&table, digests[len(digests)-1])
	}
	if *writeGolden {
		if err := os.WriteFile(path, []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(want)), "\n")
	if len(lines) != len(digests)+1 || !strings.HasPrefix(lines[0], kernels.Version+":") {
		t.Fatalf("%s has %d lines and starts %q; want %s and %d cases", path, len(lines), lines[0], kernels.Version, len(digests))
	}
	for i, got := range digests {
		if got != lines[i+1] {
			t.Errorf("got  %s\nwant %s", got, lines[i+1])
		}
	}
}

// TestNames: names are unique, because inputs follow from them.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Cases() {
		if seen[c.Name] {
			t.Errorf("two cases are called %s", c.Name)
		}
		seen[c.Name] = true
	}
}

// TestModelInvariance: whole prompt, token by token, chunks, beside other
// sessions: one digest a type.
func TestModelInvariance(t *testing.T) {
	digests := map[string]string{}
	for _, c := range modelCases() {
		operator := strings.Join(strings.Split(c.Name, "/")[:2], "/")
		got := digest(c.Results(t, ref.New()))
		if want, ok := digests[operator]; ok && got != want {
			t.Errorf("%s: %s, but %s before", c.Name, got, want)
		}
		digests[operator] = got
	}
	if len(digests) != 7 {
		t.Errorf("%d types, want 7", len(digests))
	}
}

func TestRunRef(t *testing.T) {
	if testing.Short() {
		t.Skip("the reference against itself")
	}
	Run(t, ref.New)
}

func FuzzRef(f *testing.F) { Fuzz(f, ref.New) }
