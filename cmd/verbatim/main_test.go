package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"verbatim/internal/engines"
)

// execute runs a command line and gives what it printed.
func execute(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	root, out := newRootCommand(), &bytes.Buffer{}
	root.SetArgs(arguments)
	root.SetOut(out)
	root.SetErr(io.Discard)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

// Scripts may count on every member of what run --json prints, whatever the flags.
func TestRunJSONHasEveryMember(t *testing.T) {
	want := []string{"finish_reason", "logprobs", "prompt_tokens", "text", "timings", "tokens", "transcript"}
	for _, flags := range [][]string{nil, {"--logprobs", "2"}} {
		text, err := execute(t, append([]string{"run", "--prompt", "One", "--max-tokens", "2", "--json"}, flags...)...)
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(text), &members); err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(maps.Keys(members)); !slices.Equal(got, want) {
			t.Errorf("run --json %v: got the members %v, want %v", flags, got, want)
		}
	}
}

// A receipt that cannot be written or signed is refused before the model has worked for it.
func TestReceiptIsRefusedBeforeTheAnswer(t *testing.T) {
	folder := t.TempDir()
	notAKey := filepath.Join(folder, "not-a-key")
	if err := os.WriteFile(notAKey, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, flags := range [][]string{{"--receipt", folder}, {"--receipt", filepath.Join(folder, "no", "r")},
		{"--receipt", filepath.Join(folder, "r"), "--key", notAKey}} {
		text, err := execute(t, append([]string{"run", "--prompt", "One", "--max-tokens", "2"}, flags...)...)
		if err == nil || text != "" {
			t.Errorf("run %v: got error %v after %q, want an error and no answer", flags, err, text)
		}
	}
	if left, _ := os.ReadDir(folder); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// A transaction id is fetched; with nobody at the gateway the error says where it was looked for.
func TestTokenizeFetchesModels(t *testing.T) {
	_, err := execute(t, "tokenize", "--model", "axkPFfgD9DwM_c5Av09iO2Hg8akCiai-oAuZ2MnNPog", "--gateway", "http://127.0.0.1:1", "x")
	if err == nil || !strings.Contains(err.Error(), "http://127.0.0.1:1/") {
		t.Errorf("got %v, want an error that names the gateway", err)
	}
}

// What cannot work is refused at the start: with no evaluations at a time a unit would never answer.
func TestUnitOptionsAreChecked(t *testing.T) {
	good := unitOptions{network: network{data: "folder"}, evaluations: 2}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*unitOptions){
		"no evaluations": func(o *unitOptions) { o.evaluations = 0 }, "-1 evaluations": func(o *unitOptions) { o.evaluations = -1 },
		"1<<40 evaluations": func(o *unitOptions) { o.evaluations = 1 << 40 }, "memory": func(o *unitOptions) { o.memory = -1 },
		"chunk": func(o *unitOptions) { o.device = engines.Device{PrefillChunk: -1} }, "folder": func(o *unitOptions) { o.network.data = "" },
	} {
		o := good
		if spoil(&o); o.check() == nil {
			t.Errorf("%s: not refused", name)
		}
	}
}
