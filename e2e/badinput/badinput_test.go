//go:build e2e

// Package badinput gives the programs what a user can get wrong. Each must end in an error that names the thing, and a
// daemon must go on.
package badinput

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
	"verbatim/models/embedded"
)

func binaryPath(t *testing.T) string {
	path, err := filepath.Abs(os.Getenv("VERBATIM_BINARY"))
	if err != nil || os.Getenv("VERBATIM_BINARY") == "" {
		t.Fatal("VERBATIM_BINARY must name the binary")
	}
	return path
}

// refuses runs the binary, which must exit with 2 and say all of want.
func refuses(t *testing.T, arguments []string, want ...string) {
	t.Helper()
	out, _ := exec.Command(binaryPath(t), arguments...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	t.Logf("%s", text)
	cmd := exec.Command(binaryPath(t), arguments...)
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%v: %q does not say %q", arguments, text, w)
		}
	}
	if strings.Contains(text, "goroutine ") {
		t.Errorf("%v: a stack trace is no message for a user", arguments)
	}
}

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTruncatedModel(t *testing.T) {
	whole := embedded.GGUF()
	for _, n := range []int{3, 20, 5000, len(whole) / 2, len(whole) - 1} {
		path := write(t, "truncated.gguf", whole[:n])
		refuses(t, []string{"run", "--model", path, "--prompt", "a"}, path)
	}
}

func TestTensorOutsideTheFile(t *testing.T) {
	model := embedded.GGUF()
	name := []byte("blk.0.attn_q.weight")
	at := bytes.Index(model, name)
	if at < 0 {
		t.Fatalf("the embedded model has no tensor %s", name)
	}
	offset := at + len(name) + 4 + 2*8 + 4 // dimensions, sizes, type
	binary.LittleEndian.PutUint64(model[offset:], 1<<40)
	refuses(t, []string{"run", "--model", write(t, "outside.gguf", model), "--prompt", "a"}, "blk.0.attn_q.weight")
}

func TestPromptLongerThanTheWindow(t *testing.T) {
	refuses(t, []string{"run", "--prompt", strings.Repeat("once upon a time ", 400)}, "prompt", "512")
}

func TestModuleWithoutHandle(t *testing.T) {
	empty := write(t, "empty.wasm", []byte("\x00asm\x01\x00\x00\x00"))
	messages := write(t, "messages.jsonl", []byte("{}\n"))
	refuses(t, []string{"eval", "--module", empty, "--messages", messages}, "handle")
	refuses(t, []string{"eval", "--module", write(t, "text.wasm", []byte("hello")), "--messages", messages}, "text.wasm")
}

// daemon is a running local network.
type daemon struct {
	Gateway, MU, CU, Scheduler, Module string
}

func startDev(t *testing.T) daemon {
	cmd := exec.Command(binaryPath(t), "dev", "--json", "--data", t.TempDir(), "--gateway-port", "0", "--mu-port", "0", "--su-port", "0", "--cu-port", "0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the daemon did not end well: %v", err)
		}
	})
	var d daemon
	if err := json.NewDecoder(out).Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d
}

func post(t *testing.T, url string, body []byte) (int, string) {
	t.Helper()
	response, err := http.Post(url, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func sign(t *testing.T, signer dataitem.Signer, draft dataitem.Draft) (ao.ID, []byte) {
	t.Helper()
	item, err := dataitem.Sign(signer, draft)
	if err != nil {
		t.Fatal(err)
	}
	return item.ID(), item.Bytes()
}

func TestDaemonGoesOn(t *testing.T) {
	d := startDev(t)
	signer, err := dataitem.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	process, item := sign(t, signer, dataitem.Draft{Tags: ao.Tags{{Name: "Data-Protocol", Value: "ao"}, {Name: "Type", Value: "Process"},
		{Name: "Variant", Value: "ao.TN.1"}, {Name: "Module", Value: d.Module}, {Name: "Scheduler", Value: d.Scheduler}}})
	if status, text := post(t, d.MU, item); status/100 != 2 {
		t.Fatalf("spawn: %d %s", status, text)
	}
	ask := func(data string) dataitem.Draft {
		return dataitem.Draft{Target: process, Data: []byte(data), Tags: ao.Tags{{Name: "Data-Protocol", Value: "ao"},
			{Name: "Type", Value: "Message"}, {Name: "Variant", Value: "ao.TN.1"}, {Name: "Max-Tokens", Value: "8"}}}
	}
	refusesModule(t, d, signer)
	_, forged := sign(t, signer, ask("Tell me a story."))
	forged[len(forged)-1] ^= 1
	status, text := post(t, d.MU, forged)
	t.Logf("forged message: %d %s", status, text)
	if status != http.StatusBadRequest || !strings.Contains(text, "signature") {
		t.Errorf("a forged message: got %d %s, want 400 and the word signature", status, text)
	}
	long, item := sign(t, signer, ask(strings.Repeat("once upon a time ", 400)))
	if status, text := post(t, d.MU, item); status/100 != 2 {
		t.Fatalf("send: %d %s", status, text)
	}
	t.Logf("long prompt: %s", result(t, d, process, long, "prompt"))
	good, item := sign(t, signer, ask("Tell me a story."))
	if status, text := post(t, d.MU, item); status/100 != 2 {
		t.Fatalf("send: %d %s", status, text)
	}
	t.Logf("afterwards: %s", result(t, d, process, good, `"Story"`))
}

// refusesModule spawns a process of a module that has no handle: its results are a clear error.
func refusesModule(t *testing.T, d daemon, signer dataitem.Signer) {
	t.Helper()
	module, item := sign(t, signer, dataitem.Draft{Data: []byte("\x00asm\x01\x00\x00\x00"), Tags: ao.Tags{
		{Name: "Data-Protocol", Value: "ao"}, {Name: "Type", Value: "Module"}, {Name: "Module-Format", Value: "wasm32-unknown-plain"},
		{Name: "Input-Encoding", Value: "JSON-V1"}, {Name: "Output-Encoding", Value: "JSON-V1"}}})
	if status, text := post(t, d.Gateway+"/tx", item); status/100 != 2 {
		t.Fatalf("publish: %d %s", status, text)
	}
	process, item := sign(t, signer, dataitem.Draft{Tags: ao.Tags{{Name: "Data-Protocol", Value: "ao"}, {Name: "Type", Value: "Process"},
		{Name: "Variant", Value: "ao.TN.1"}, {Name: "Module", Value: module.String()}, {Name: "Scheduler", Value: d.Scheduler}}})
	if status, text := post(t, d.MU, item); status/100 != 2 {
		t.Fatalf("spawn: %d %s", status, text)
	}
	response, err := http.Get(fmt.Sprintf("%s/result/%s?process-id=%s", d.CU, process, process))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	t.Logf("module without handle: %s %s", response.Status, text)
	if err != nil || response.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(string(text), "handle") {
		t.Errorf("a module without handle: got %s %s, want 422 and the word handle", response.Status, text)
	}
}

// result waits for the result of a message, which must contain a text.
func result(t *testing.T, d daemon, process, message ao.ID, want string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	url := fmt.Sprintf("%s/result/%s?process-id=%s", d.CU, message, process)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(string(text), want) {
		t.Fatalf("%s: %s %s %v, want %s", url, response.Status, text, err, want)
	}
	return string(text)
}
