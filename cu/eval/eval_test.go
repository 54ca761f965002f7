package eval_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"verbatim/cu/ao"
	"verbatim/cu/eval"
	"verbatim/cu/eval/evaltest"
	"verbatim/inference"
	"verbatim/inference/transcript"
)

const env = `{"Process":{"Id":"p","Owner":"o","Tags":[]},"Module":{"Id":"m","Owner":"o","Tags":[]}}`

var limits = eval.Limits{GasMax: 1_000_000, MemoryBytesMax: 1 << 20}

func module(t testing.TB) *eval.Module {
	t.Helper()
	ctx := context.Background()
	host, err := eval.NewHost(ctx, "", eval.InstanceBytesDefault)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close(ctx) })
	compiled, err := host.Compile(ctx, evaltest.Module(), "")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

func step(m *eval.Module, memory *eval.Image, command string) eval.Step {
	return eval.Step{Module: m, Memory: memory, Message: fmt.Appendf(nil, `{"Data":%q}`, command), Env: []byte(env), Limits: limits}
}

func evaluate(t testing.TB, s eval.Step, provider eval.Provider) eval.Outcome {
	t.Helper()
	outcome, err := eval.Evaluate(context.Background(), s, provider)
	if err != nil {
		t.Fatalf("%s: %v", s.Message, err)
	}
	return outcome
}

func TestMemoryIsCarriedOn(t *testing.T) {
	m, memory := module(t), (*eval.Image)(nil)
	for n := 1; n <= 3; n++ {
		outcome := evaluate(t, step(m, memory, "@c"), nil)
		if want := fmt.Sprintf(`"%04d"`, n); string(outcome.Result.Output) != want {
			t.Fatalf("output %s, want %s", outcome.Result.Output, want)
		}
		if outcome.Gas == 0 || outcome.Result.GasUsed != int64(outcome.Gas) {
			t.Errorf("gas %d, in the result %d", outcome.Gas, outcome.Result.GasUsed)
		}
		memory = outcome.Memory
	}
}

// Whatever a process does wrong is an outcome that leaves its memory as it was.
func TestWhatGoesWrongLeavesTheMemory(t *testing.T) {
	m := module(t)
	before := evaluate(t, step(m, nil, "@c"), nil).Memory
	for _, test := range []struct{ command, fault, errorPart, messages string }{
		{"@e", "", "as asked", `[{"Target":"someone"}]`},
		{"@x", "", "not ok", `[]`},
		{"@b", "bad result", "bad result", `[]`},
		{"@t", "trap", "unreachable", `[]`},
		{"@l", "out of gas", "gas limit", `[]`},
		{"@g", "memory limit", "memory limit", `[]`},
	} {
		kept := before.Bytes()
		outcome := evaluate(t, step(m, before, test.command), nil)
		if outcome.Fault != test.fault || !strings.Contains(string(outcome.Result.Error), test.errorPart) {
			t.Errorf("%s: fault %q, error %s; want fault %q, error %q", test.command, outcome.Fault, outcome.Result.Error, test.fault, test.errorPart)
		}
		if string(outcome.Result.Messages) != test.messages {
			t.Errorf("%s: messages %s, want %s", test.command, outcome.Result.Messages, test.messages)
		}
		if outcome.Memory != before || !bytes.Equal(before.Bytes(), kept) {
			t.Errorf("%s: the memory has changed", test.command)
		}
		if next := evaluate(t, step(m, outcome.Memory, "@c"), nil); string(next.Result.Output) != `"0002"` {
			t.Errorf("%s: afterwards %s", test.command, next.Result.Output)
		}
		if cold := evaluate(t, step(m, nil, test.command), nil); cold.Memory != nil {
			t.Errorf("%s: a cold start left %d bytes of memory", test.command, cold.Memory.Size())
		}
	}
}

// A chain of steps gives the same whether each goes on from the memory that the one before gave or from its bytes.
func TestMemoryIsItsBytes(t *testing.T) {
	m, memory := module(t), (*eval.Image)(nil)
	for i, command := range []string{"@c", "@c", "@e", "@c", "@t", "@l", "@g", "@c", "@x", "@i1", "@c"} {
		want := evaluate(t, step(m, eval.ImageOf(memory.Bytes()), command), &evaltest.Provider{})
		got := evaluate(t, step(m, memory, command), &evaltest.Provider{})
		if got.Result.Digest() != want.Result.Digest() || got.Gas != want.Gas || got.Fault != want.Fault || got.Memory.Digest() != want.Memory.Digest() {
			t.Errorf("step %d, %s:\n got %s gas %d fault %q\nwant %s gas %d fault %q", i, command, got.Result.AppendJSON(nil), got.Gas, got.Fault,
				want.Result.AppendJSON(nil), want.Gas, want.Fault)
		}
		memory = got.Memory
	}
}

func TestSameStepSameOutcome(t *testing.T) {
	m := module(t)
	for _, command := range []string{"@c", "@i1", "@j1", "@e", "@l"} {
		a := evaluate(t, step(m, nil, command), &evaltest.Provider{})
		b := evaluate(t, step(m, nil, command), &evaltest.Provider{})
		if a.Result.Digest() != b.Result.Digest() || a.Memory.Digest() != b.Memory.Digest() || a.Gas != b.Gas {
			t.Errorf("%s: %s and %s, gas %d and %d", command, a.Result.AppendJSON(nil), b.Result.AppendJSON(nil), a.Gas, b.Gas)
		}
	}
}

func TestInference(t *testing.T) {
	m, provider := module(t), &evaltest.Provider{}
	outcome := evaluate(t, step(m, nil, "@j7"), provider)
	if !strings.Contains(string(outcome.Result.Output), `"text":"answer to \"question 7\""`) {
		t.Errorf("output %s", outcome.Result.Output)
	}
	if len(outcome.Inferences) != 2 || provider.Asked() != 2 {
		t.Fatalf("%d inferences, %d questions", len(outcome.Inferences), provider.Asked())
	}
	want := inference.NewRequest("question 7")
	want.Model = eval.ModelEmbedded
	for i, made := range outcome.Inferences {
		if d := transcript.Compare(made.Transcript, evaltest.Transcript(eval.Question{Index: i, Model: eval.ModelEmbedded, Request: want})); d != nil {
			t.Errorf("inference %d: %s", i, d)
		}
	}
}

// The model is the request's, or that of the process's tag, or the embedded one; never a file.
func TestWhichModel(t *testing.T) {
	m := module(t)
	id := strings.Repeat("A", 43)
	for _, test := range []struct{ command, tags, model string }{
		{"@i1", `[]`, "embedded"},
		{"@i1", `[{"name":"Inference-Model","value":"` + id + `"}]`, id},
		{"@i1", `[{"name":"Inference-Model","value":"/etc/passwd"}]`, ""},
		{"@i1", `[{"name":"Inference-Model","value":"../x.gguf"}]`, ""},
		{"@m", `[]`, ""},
	} {
		asked := ""
		provider := &evaltest.Provider{Before: func(_ context.Context, q eval.Question) error {
			asked = q.Model
			return nil
		}}
		s := step(m, nil, test.command)
		s.Env = []byte(`{"Process":{"Id":"p","Tags":` + test.tags + `}}`)
		outcome := evaluate(t, s, provider)
		if asked != test.model {
			t.Errorf("%s with tags %s: model %q, want %q", test.command, test.tags, asked, test.model)
		}
		if refused := strings.Contains(string(outcome.Result.Output), `"error"`); refused != (test.model == "") {
			t.Errorf("%s with tags %s: output %s", test.command, test.tags, outcome.Result.Output)
		}
		if test.model == "" && len(outcome.Inferences) != 0 {
			t.Errorf("%s with tags %s: what follows from the request alone needs no record", test.command, test.tags)
		}
	}
}

func TestRefusalsAreOutcomes(t *testing.T) {
	m := module(t)
	for _, refusal := range []error{&eval.Refusal{Why: "prompt_too_long: 9"}, &inference.RequestError{Code: inference.CodePromptTooLong, Message: "9"},
		fmt.Errorf("wrapped: %w", &eval.Refusal{Why: "prompt_too_long: 9"})} {
		outcome := evaluate(t, step(m, nil, "@i1"), &evaltest.Provider{Before: func(context.Context, eval.Question) error { return refusal }})
		if len(outcome.Inferences) != 1 || outcome.Inferences[0].Refusal != "prompt_too_long: 9" ||
			!strings.Contains(string(outcome.Result.Output), `"code":"prompt_too_long","message":"9"`) {
			t.Errorf("%v: %+v, output %s", refusal, outcome.Inferences, outcome.Result.Output)
		}
	}
}

func TestFailuresAreNotOutcomes(t *testing.T) {
	m := module(t)
	broken := errors.New("the device is gone")
	_, err := eval.Evaluate(context.Background(), step(m, nil, "@i1"), &evaltest.Provider{Before: func(context.Context, eval.Question) error { return broken }})
	if !errors.Is(err, broken) {
		t.Errorf("a provider that fails: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := eval.Evaluate(ctx, step(m, nil, "@l"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ended: %v", err)
	}
	other := &evaltest.Provider{}
	_, err = eval.Evaluate(context.Background(), step(m, nil, "@i1"), answerOther{other})
	if err == nil || !strings.Contains(err.Error(), "answers request") {
		t.Errorf("an answer to another question: %v", err)
	}
}

// answerOther answers a question that was not asked.
type answerOther struct{ *evaltest.Provider }

func (a answerOther) Answer(ctx context.Context, q eval.Question) (*transcript.Transcript, error) {
	q.Request.Prompt = "another"
	return a.Provider.Answer(ctx, q)
}

func TestLimitsOf(t *testing.T) {
	unit := eval.Limits{GasMax: 100, MemoryBytesMax: 1000}
	for _, test := range []struct{ compute, memory, gasMax, bytesMax uint64 }{{0, 0, 100, 1000}, {50, 500, 50, 500}, {200, 2000, 100, 1000}} {
		got := eval.LimitsOf(ao.Module{ComputeLimit: int64(test.compute), MemoryLimitBytes: int64(test.memory)}, unit)
		if want := (eval.Limits{GasMax: test.gasMax, MemoryBytesMax: test.bytesMax}); got != want {
			t.Errorf("tags %d and %d: %+v, want %+v", test.compute, test.memory, got, want)
		}
	}
}

// A Compute-Limit counts in the gas of the module's format, of which the reference's is used up faster.
func TestLimitsOfReferenceGas(t *testing.T) {
	unit := eval.Limits{GasMax: 100, MemoryBytesMax: 1000}
	for _, test := range []struct {
		format  string
		compute int64
		want    uint64
	}{
		{"wasm32-unknown-emscripten-metering", 5_000, 5_000}, {"wasm32-unknown-emscripten-metering", 20_000, 10_000},
		{"wasm32-unknown-emscripten2", 0, 10_000}, {"wasm32-unknown-emscripten4", 5_000, 100}, {"wasm32-unknown-plain", 50, 50},
	} {
		got := eval.LimitsOf(ao.Module{Format: test.format, ComputeLimit: test.compute}, unit)
		if got.GasMax != test.want {
			t.Errorf("%s, Compute-Limit %d: %d, want %d", test.format, test.compute, got.GasMax, test.want)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	ctx := context.Background()
	host, err := eval.NewHost(ctx, "", eval.InstanceBytesDefault)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close(ctx)
	for name, wasm := range map[string][]byte{"empty": nil, "not wasm": []byte("hello"), "no handle": []byte("\x00asm\x01\x00\x00\x00"),
		"cut": evaltest.Module()[:100]} {
		if _, err := host.Compile(ctx, wasm, ""); !errors.Is(err, eval.ErrModule) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := host.Compile(ctx, evaltest.Module(), "wasm128-unknown"); !errors.Is(err, eval.ErrModule) {
		t.Errorf("unknown format: %v", err)
	}
}
