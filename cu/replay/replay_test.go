package replay_test

// A log of a real unit is verified, then changed in every way that a liar or a broken disk could change it. Fields of a
// receipt are changed by a liar who has the key and signs again: only evaluation can find that.

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"verbatim/cu/ao"
	"verbatim/cu/cutest"
	"verbatim/cu/eval"
	"verbatim/cu/eval/evaltest"
	"verbatim/cu/receipt"
	"verbatim/cu/replay"
	"verbatim/inference"
	"verbatim/inference/transcript"
)

var background = context.Background()

// model recomputes what evaltest.Provider answers.
type model struct{ refusing bool }

func (m model) RecomputeRequest(ctx context.Context, request inference.Request, recorded *transcript.Transcript) (*inference.Divergence, error) {
	if m.refusing {
		return &inference.Divergence{Field: "request", Index: -1, Recorded: "an answer", Recomputed: "prompt_too_long: 9"}, nil
	}
	honest := evaltest.Transcript(eval.Question{Model: request.Model, Request: request})
	if d := transcript.Compare(recorded, honest); d != nil {
		return &inference.Divergence{Field: d.Field, Index: d.Index, Recorded: d.A, Recomputed: d.B}, nil
	}
	return nil, nil
}

func (m model) Recompute(ctx context.Context, recorded *transcript.Transcript) (*inference.Divergence, error) {
	request := inference.NewRequest("question 1")
	request.Model = eval.ModelEmbedded
	return m.RecomputeRequest(ctx, request, recorded)
}

func (m model) Generate(_ context.Context, request inference.Request, _ func(inference.Event)) (inference.Completion, error) {
	if m.refusing {
		return inference.Completion{}, &inference.RequestError{Code: inference.CodePromptTooLong, Message: "9"}
	}
	return inference.Completion{Transcript: *evaltest.Transcript(eval.Question{Model: request.Model, Request: request})}, nil
}

func engines(m model) replay.Engines {
	return func(context.Context, string, transcript.Digest) (replay.Recomputer, error) { return m, nil }
}

// unitLog gives the log of a unit that evaluated these messages on each of two processes.
func unitLog(t *testing.T, provider eval.Provider, data ...string) []byte {
	t.Helper()
	network, folder := cutest.NewNetwork(), t.TempDir()
	rig := cutest.NewRig(t, folder, network, cutest.Host(t), provider, nil)
	processes := []ao.ID{network.Spawn("p", true), network.Spawn("q", false)}
	for _, text := range data {
		for _, process := range processes {
			if _, err := rig.Unit.Result(background, process, network.Send(process, text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	rig.Close()
	log, err := os.ReadFile(filepath.Join(folder, receipt.LogName))
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func verify(t *testing.T, evidence []byte, options replay.Options) replay.Report {
	t.Helper()
	if options.Host == nil {
		options.Host = cutest.Host(t)
	}
	report, err := replay.Verify(background, bytes.NewReader(evidence), int64(len(evidence)), options)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestVerified(t *testing.T) {
	log := unitLog(t, &evaltest.Provider{}, "@c", "@i1", "@j2", "@e", "@l", "@m", "@t")
	for _, mode := range []replay.Engines{nil, engines(model{})} {
		heard := 0
		report := verify(t, log, replay.Options{Engines: mode, Progress: func(*receipt.Receipt) { heard++ }})
		signer := receipt.Digest(cutest.Key().Public().(ed25519.PublicKey)).String()
		if report.Verdict != replay.Verified || report.Kind != replay.KindLog || report.Receipts != 16 || heard != 16 || report.Processes != 2 ||
			report.Inferences != 6 || report.Tokens != 24 || len(report.Signers) != 1 || report.Signers[0] != signer || report.Head == nil {
			t.Errorf("%+v", report)
		}
	}
}

func TestRefusals(t *testing.T) {
	log := unitLog(t, &evaltest.Provider{Before: func(context.Context, eval.Question) error {
		return &inference.RequestError{Code: inference.CodePromptTooLong, Message: "9"}
	}}, "@j1")
	for _, test := range []struct {
		engines replay.Engines
		verdict replay.Verdict
	}{{nil, replay.Verified}, {engines(model{refusing: true}), replay.Verified}, {engines(model{}), replay.Diverged}} {
		if report := verify(t, log, replay.Options{Engines: test.engines}); report.Verdict != test.verdict {
			t.Errorf("%+v, want %s", report, test.verdict)
		}
	}
}

// entries takes a log apart.
func entries(t *testing.T, log []byte) (modules [][]byte, entries []*receipt.Entry) {
	t.Helper()
	reader, err := receipt.NewReader(bytes.NewReader(log), int64(len(log)))
	for err == nil {
		var record receipt.Record
		if record, err = reader.Next(); err == nil && record.Entry != nil {
			entries = append(entries, record.Entry)
		} else if err == nil {
			modules = append(modules, record.Module)
		}
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	return modules, entries
}

// forge writes a log with entries that someone changed, signed by that someone.
func forge(t *testing.T, modules [][]byte, entries []*receipt.Entry) []byte {
	t.Helper()
	folder := t.TempDir()
	store, err := receipt.OpenFolder(folder)
	if err != nil {
		t.Fatal(err)
	}
	log, _, err := receipt.OpenLog(store, ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	for _, wasm := range modules {
		if err := log.AppendModule(wasm); err != nil {
			t.Fatal(err)
		}
	}
	for _, entry := range entries {
		entry.Receipt.Input, entry.Receipt.Result = receipt.InputDigest(entry.Message, entry.Env), sha256.Sum256(entry.Result)
		if _, err := log.Append(*entry.Receipt, entry.Message, entry.Env, entry.Result); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	forged, err := os.ReadFile(filepath.Join(folder, receipt.LogName))
	if err != nil {
		t.Fatal(err)
	}
	return forged
}

// rewrite changes the first transcript of an entry.
func rewrite(t *testing.T, entry *receipt.Entry, change func(*transcript.Transcript)) {
	t.Helper()
	recorded, err := transcript.Decode(entry.Receipt.Inferences[0].Transcript)
	if err != nil {
		t.Fatal(err)
	}
	change(recorded)
	if entry.Receipt.Inferences[0].Transcript, err = transcript.Encode(recorded); err != nil {
		t.Fatal(err)
	}
}

// A lie about the step at nonce 2 is found at nonce 2, and named.
func TestLies(t *testing.T) {
	log := unitLog(t, &evaltest.Provider{}, "@c", "@i1", "@c")
	at := func(all []*receipt.Entry) *receipt.Entry {
		for _, entry := range all {
			if entry.Receipt.Nonce == 2 {
				return entry
			}
		}
		return nil
	}
	for _, test := range []struct {
		name string
		lie  func(e *receipt.Entry)
		what string // in feed mode
		deep string // in recompute mode, if that finds it earlier
	}{
		{"result", func(e *receipt.Entry) {
			e.Result = bytes.Replace(e.Result, []byte("question 1"), []byte("question X"), 1)
		}, "result", ""},
		{"gas", func(e *receipt.Entry) { e.Receipt.Gas++ }, "gas", ""},
		{"fault", func(e *receipt.Entry) { e.Receipt.Fault = "trap" }, "fault", ""},
		{"memory after", func(e *receipt.Entry) { e.Receipt.MemoryAfter.Digest[0] ^= 1 }, "memory_after", ""},
		{"memory before", func(e *receipt.Entry) { e.Receipt.MemoryBefore.Bytes++ }, "memory_before", ""},
		{"limit", func(e *receipt.Entry) { e.Receipt.GasMax = 20 }, "inference", ""},
		{"message", func(e *receipt.Entry) { e.Message = bytes.Replace(e.Message, []byte("@i1"), []byte("@i2"), 1) }, "transcript.request", ""},
		{"message id", func(e *receipt.Entry) { e.Receipt.Message[0] ^= 1 }, "message", ""},
		{"nonce in the message", func(e *receipt.Entry) {
			e.Message = bytes.Replace(e.Message, []byte(`"Nonce":2`), []byte(`"Nonce":7`), 1)
		}, "message", ""},
		{"module id", func(e *receipt.Entry) { e.Receipt.Module[0] ^= 1 }, "env", ""},
		{"process in env", func(e *receipt.Entry) { e.Env = bytes.Replace(e.Env, []byte(`"Id":"`), []byte(`"Id":"A`), 1) }, "env", ""},
		{"answer withheld", func(e *receipt.Entry) { e.Receipt.Inferences = nil }, "inference", ""},
		{"answer invented", func(e *receipt.Entry) {
			e.Receipt.Inferences = append(e.Receipt.Inferences, receipt.Inference{Refusal: "no"})
		}, "inference", ""},
		{"answer refused", func(e *receipt.Entry) { e.Receipt.Inferences[0] = receipt.Inference{Refusal: "no"} }, "result", "inference"},
		{"token", func(e *receipt.Entry) { rewrite(t, e, func(r *transcript.Transcript) { r.Output[2]++ }) }, "result", "transcript.output_tokens"},
		{"trace", func(e *receipt.Entry) { rewrite(t, e, func(r *transcript.Transcript) { r.Trace[0]++ }) }, "result", "transcript.trace"},
		{"text", func(e *receipt.Entry) { rewrite(t, e, func(r *transcript.Transcript) { r.Text[0]++ }) }, "result", "transcript.text"},
	} {
		for _, mode := range []replay.Engines{nil, engines(model{})} {
			modules, all := entries(t, log)
			liar := at(all)
			process := liar.Receipt.Process
			test.lie(liar)
			report := verify(t, forge(t, modules, all), replay.Options{Engines: mode})
			want := test.what
			if mode != nil && test.deep != "" {
				want = test.deep
			}
			d := report.Divergence
			if report.Verdict != replay.Diverged || d.What != want || d.Nonce != 2 || d.Process != process {
				t.Errorf("%s: %+v, %v; want %s", test.name, report, d, want)
				continue
			}
			if test.name == "token" && mode != nil && (d.Token != 2 || d.Inference != 0 || !strings.Contains(d.Error(), "inference 0, transcript.output_tokens[2]")) {
				t.Errorf("%s: %v", test.name, d)
			}
		}
	}
}

// What is not evidence at all.
func TestUnusable(t *testing.T) {
	log := unitLog(t, &evaltest.Provider{}, "@i1")
	modules, all := entries(t, log)
	stranger := bytes.Repeat([]byte{1}, ed25519.PublicKeySize)
	noModel := func(context.Context, string, transcript.Digest) (replay.Recomputer, error) {
		return nil, replay.ErrNoModel
	}
	single, err := all[2].Receipt.Encode()
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(single)
	flipped[60] ^= 1
	statement := receipt.Statement{Transcript: all[1].Receipt.Inferences[0].Transcript}
	statement.Sign(cutest.Key())
	statement.Build = "another"
	forgedStatement, err := statement.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		evidence []byte
		options  replay.Options
		says     string
	}{
		{"empty", nil, replay.Options{}, "neither a log"},
		{"text", []byte("hello"), replay.Options{}, "neither a log"},
		{"another version", append([]byte("verbatim log 99\n"), log[16:]...), replay.Options{}, "another version"},
		{"cut", log[:len(log)-1], replay.Options{}, "log record 4 at byte"},
		{"flipped", append(bytes.Clone(log[:len(log)-1]), log[len(log)-1]^1), replay.Options{}, "log record 4 at byte"},
		{"signer", log, replay.Options{Signers: [][]byte{stranger}}, "not trusted"},
		{"no model", log, replay.Options{Engines: noModel}, "model is not here"},
		{"without its beginning", forge(t, modules, all[1:2]), replay.Options{}, "the log begins at nonce"},
		{"wasm that is none", forge(t, nil, nil), replay.Options{}, ""},
		{"forged receipt", flipped, replay.Options{}, "signature"},
		{"half a receipt", single[:40], replay.Options{}, "too early"},
		{"JSON", []byte(`{"a":1}`), replay.Options{}, "unknown field"},
		{"forged statement", forgedStatement, replay.Options{}, "signature"},
		{"transcript without engines", []byte("verbatim-transcript/1\n"), replay.Options{}, "transcript"},
	} {
		report := verify(t, test.evidence, test.options)
		if test.says == "" {
			if report.Verdict != replay.Verified || report.Receipts != 0 || report.Note == "" {
				t.Errorf("%s: %+v", test.name, report)
			}
			continue
		}
		if report.Verdict != replay.Unusable || !strings.Contains(report.Why, test.says) {
			t.Errorf("%s: %+v, want %q", test.name, report, test.says)
		}
	}
}

// One flipped bit anywhere in a log is never verified. (A sample: package receipt tests every bit of a smaller log.)
func TestFlippedBits(t *testing.T) {
	log, host := unitLog(t, &evaltest.Provider{}, "@i1"), cutest.Host(t)
	for i := 0; i < len(log); i += 11 {
		flipped := bytes.Clone(log)
		flipped[i] ^= 1 << (i % 8)
		if report := verify(t, flipped, replay.Options{Host: host}); report.Verdict == replay.Verified {
			t.Fatalf("byte %d: %+v", i, report)
		}
	}
}

func TestReceiptAlone(t *testing.T) {
	_, all := entries(t, unitLog(t, &evaltest.Provider{}, "@i1"))
	single, err := all[1].Receipt.Encode()
	if err != nil || len(all[1].Receipt.Inferences) != 1 {
		t.Fatalf("%d inferences, %v", len(all[1].Receipt.Inferences), err)
	}
	report := verify(t, single, replay.Options{Engines: engines(model{})})
	if report.Verdict != replay.Verified || report.Kind != replay.KindReceipt || report.Inferences != 1 || report.Note == "" {
		t.Errorf("%+v", report)
	}
	rewrite(t, all[1], func(r *transcript.Transcript) { r.Output[1]++ })
	if err := all[1].Receipt.Sign(cutest.Key()); err != nil {
		t.Fatal(err)
	}
	single, _ = all[1].Receipt.Encode()
	report = verify(t, single, replay.Options{Engines: engines(model{})})
	if report.Verdict != replay.Diverged || report.Divergence.What != "transcript.output_tokens" || report.Divergence.Token != 1 {
		t.Errorf("%+v", report)
	}
}

func TestTranscriptAlone(t *testing.T) {
	request := inference.NewRequest("question 1")
	request.Model = eval.ModelEmbedded
	honest := evaltest.Transcript(eval.Question{Model: eval.ModelEmbedded, Request: request})
	lie := *honest
	lie.Output = slices.Clone(honest.Output)
	lie.Output[3]++
	for _, test := range []struct {
		transcript *transcript.Transcript
		verdict    replay.Verdict
	}{{honest, replay.Verified}, {&lie, replay.Diverged}} {
		encoded, err := transcript.Encode(test.transcript)
		asJSON, jsonErr := json.Marshal(test.transcript)
		if err = errors.Join(err, jsonErr); err != nil {
			t.Fatal(err)
		}
		statement := receipt.Statement{Transcript: encoded}
		statement.Sign(cutest.Key())
		asStatement, err := statement.Encode()
		if err != nil {
			t.Fatal(err)
		}
		for kind, evidence := range map[string][]byte{"": encoded, "JSON": asJSON, replay.KindStatement: asStatement} {
			report := verify(t, evidence, replay.Options{Engines: engines(model{})})
			if signed := kind == replay.KindStatement; report.Verdict != test.verdict || (report.Kind == kind) != signed || (len(report.Signers) == 1) != signed {
				t.Errorf("%+v, want %s", report, test.verdict)
			}
			if d := report.Divergence; d != nil && (d.Token != 3 || d.What != "transcript.output_tokens") {
				t.Errorf("%v", d)
			}
		}
	}
}

// A failure of this machine is an error, not a verdict.
func TestFailure(t *testing.T) {
	log := unitLog(t, &evaltest.Provider{}, "@i1")
	broken := errors.New("the device is gone")
	_, err := replay.Verify(background, bytes.NewReader(log), int64(len(log)), replay.Options{
		Host:    cutest.Host(t),
		Engines: func(context.Context, string, transcript.Digest) (replay.Recomputer, error) { return nil, broken },
	})
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}
