package receipt_test

// FORMAT.md is the contract. Its example must be what the code does, and the code must read what the example says.

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"verbatim/cu/ao"
	"verbatim/cu/receipt"
)

var write = flag.Bool("write", false, "write the example of FORMAT.md anew")

const document = "FORMAT.md"

// example gives the example's receipt, still without a place in a log, and its inputs.
func example() (r receipt.Receipt, wasm, message, env, result []byte) {
	wasm, message, env = []byte("\x00asm\x01\x00\x00\x00"), []byte(`{"Id":"m"}`), []byte(`{}`)
	outcome := ao.Result{Messages: json.RawMessage(`[]`), Assignments: json.RawMessage(`[]`), Spawns: json.RawMessage(`[]`),
		Output: json.RawMessage(`"hello"`), GasUsed: 42}
	result = outcome.AppendJSON(nil)
	return receipt.Receipt{
		Version: receipt.Version, Process: id("p"), Message: id("m"), Assignment: id("a"), Nonce: 3, Module: id("module"), ModuleDigest: sha256.Sum256(wasm),
		ModuleFormat: "wasm32-unknown-emscripten4", GasMax: 1000, MemoryBytesMax: 1 << 20, MemoryBefore: receipt.Memory{Digest: digest("20a74632116f05c14cb08a160458e352c69a1a70a42634b7684412e5263c107e")},
		Input: receipt.InputDigest(message, env), MemoryAfter: receipt.Memory{Digest: digest("0bae01accbf320d903121ab51bed2ad0ad38613d3046d05d06c8458c223641d0"), Bytes: 65536}, Result: outcome.Digest(), Gas: 42,
		Inferences: []receipt.Inference{{Refusal: "prompt_too_long: 9"}},
		Reads:      []receipt.Read{{Name: "/tx/t", Kind: receipt.ReadInline, Content: []byte("{}")}, {Name: "/data/d"}},
		Device:     "cpu", Build: "example",
	}, wasm, message, env, result
}

// digest reads a digest in hexadecimal.
func digest(text string) (d receipt.Digest) {
	if err := d.UnmarshalText([]byte(text)); err != nil {
		panic(err)
	}
	return d
}

func exampleLog(t *testing.T) (*receipt.Receipt, []byte) {
	t.Helper()
	store := newMemoryStore(nil, nil)
	log, _ := open(t, store)
	r, wasm, message, env, result := example()
	if err := log.AppendModule(wasm); err != nil {
		t.Fatal(err)
	}
	entry, err := log.Append(r, message, env, result)
	if err != nil {
		t.Fatal(err)
	}
	return entry.Receipt, store.log.bytes
}

// block gives the place of a named block's contents in the document.
func block(t *testing.T, text, name string) (from, to int) {
	t.Helper()
	at := regexp.MustCompile("(?s)<!-- " + name + " -->\n```\n(.*?)```").FindStringSubmatchIndex(text)
	if at == nil {
		t.Fatalf("%s has no block %q", document, name)
	}
	return at[2], at[3]
}

func hexLines(data []byte) string {
	var lines strings.Builder
	for len(data) > 0 {
		n := min(32, len(data))
		fmt.Fprintf(&lines, "%x\n", data[:n])
		data = data[n:]
	}
	return lines.String()
}

func TestFormat(t *testing.T) {
	read, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	text := string(read)
	r, log := exampleLog(t)
	encoded, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{
		"receipt": hexLines(encoded),
		"digests": fmt.Sprintf("input   %s\nresult  %s\nreceipt %s\n", r.Input, r.Result, r.Digest()),
		"log":     hexLines(log),
	}
	if *write {
		for name, contents := range blocks {
			from, to := block(t, text, name)
			text = text[:from] + contents + text[to:]
		}
		if err := os.WriteFile(document, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"receipt", "digests"} {
		from, to := block(t, text, name)
		if text[from:to] != blocks[name] {
			t.Errorf("block %q of %s:\n%swant\n%s", name, document, text[from:to], blocks[name])
		}
	}
	// The compressor may change; what the document shows must stay readable.
	from, to := block(t, text, "log")
	shown, err := hex.DecodeString(strings.ReplaceAll(text[from:to], "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	records, err := readAll(shown)
	if err != nil || len(records) != 2 {
		t.Fatalf("the log of %s: %d records, %v", document, len(records), err)
	}
	_, wasm, message, env, result := example()
	entry := records[1].Entry
	if !bytes.Equal(records[0].Module, wasm) || entry.Receipt.Digest() != r.Digest() || !bytes.Equal(entry.Message, message) ||
		!bytes.Equal(entry.Env, env) || !bytes.Equal(entry.Result, result) {
		t.Errorf("the log of %s holds something else", document)
	}
}

// What earlier versions wrote is read as it was, and written as it was.
func TestFormatVersion1(t *testing.T) {
	read, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	text := string(read)
	from, to := block(t, text, "receipt 1")
	encoded, err := hex.DecodeString(strings.ReplaceAll(text[from:to], "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	r, err := receipt.Decode(encoded)
	if err != nil {
		t.Fatal(err)
	}
	from, to = block(t, text, "digest 1")
	if want := strings.TrimSpace(text[from:to]); r.Version != 1 || r.Digest().String() != want || r.Verify() != nil {
		t.Errorf("version %d, digest %s, want %s; %v", r.Version, r.Digest(), want, r.Verify())
	}
	if again, err := r.Encode(); err != nil || !bytes.Equal(again, encoded) {
		t.Errorf("written again:\n%x %v\nwant\n%x", again, err, encoded)
	}
	damage(t, r)
	if want := sha256.Sum256(make([]byte, 65536)); r.MemoryAfter.Digest != receipt.Digest(want) {
		t.Errorf("memory after: %s, want %x", r.MemoryAfter.Digest, want)
	}
}
