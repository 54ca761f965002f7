package inference_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"verbatim/inference"
	"verbatim/inference/transcript"
	"verbatim/kernels"
	"verbatim/kernels/quant"
	"verbatim/models"
	"verbatim/models/tokenizer"
)

// A prompt that fills more than one attention split, whole and in chunks, down to token by token, in every type of weights.
func TestChunksChangeNothing(t *testing.T) {
	prompt := strings.Repeat("the ab ü ", 18)
	for _, kind := range everyType {
		model := smallModel(t, kind)
		var want inference.Completion
		for _, chunkTokens := range []int{smallWindow, 1, 7, 64} {
			got := generate(t, newEngine(t, model, chunkTokens), lively(prompt, 30, 5))
			if chunkTokens == smallWindow {
				want = got
				if n := len(got.Transcript.Prompt); n <= kernels.SplitPositions {
					t.Fatalf("a prompt of %d tokens tests nothing: want more than %d", n, kernels.SplitPositions)
				}
				continue
			}
			if d := transcript.Compare(&got.Transcript, &want.Transcript); d != nil {
				t.Errorf("%v, chunks of %d against whole: %v", kind, chunkTokens, d)
			}
		}
	}
}

// Prompt plus output, prefilled at once, leaves the logits that decoding left.
func TestPrefillEqualsDecode(t *testing.T) {
	engine := newEngine(t, smallModel(t, quant.Q8_0), 0)
	ctx := context.Background()
	tokens := make([]tokenizer.Token, smallWindow)
	for i := range tokens {
		tokens[i] = tokenizer.Token(i * 7 % 269)
	}
	slow, err := engine.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	for i, token := range tokens {
		if err := slow.Decode(ctx, token); err != nil {
			t.Fatal(err)
		}
		switch i + 1 {
		case 1, 31, 32, 33, 127, 128, 129, 130, 255, 256, 257, smallWindow:
		default:
			continue
		}
		fast, err := engine.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if err := fast.Prefill(ctx, tokens[:i+1]); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(fast.Logits(), slow.Logits()) || !slices.Equal(fast.State(), slow.State()) || fast.Position() != slow.Position() {
			t.Errorf("%d tokens at once and one by one: the logits differ", i+1)
		}
		fast.Close()
	}
	if err := slow.Decode(ctx, 5); err == nil {
		t.Errorf("a token beyond the window of %d was accepted", smallWindow)
	}
}

// The trace in a transcript is the chain of the states that decoding token by token shows.
func TestTraceIsOfTheHiddenStates(t *testing.T) {
	engine := newEngine(t, smallModel(t, quant.Q4_0), 0)
	got := generate(t, engine, lively("the ab", 20, 2)).Transcript
	session, err := engine.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	trace := transcript.NewTrace()
	for i, token := range append(slices.Clone(got.Prompt), got.Output[:len(got.Output)-1]...) {
		if err := session.Decode(context.Background(), token); err != nil {
			t.Fatal(err)
		}
		if i+1 >= len(got.Prompt) {
			trace.Add(session.State())
		}
	}
	if got.Trace != trace.Digest() {
		t.Errorf("trace %v, want %v", got.Trace, trace.Digest())
	}
}

// Logits of a few rows at a time, as with a huge vocabulary, and of all rows are the same.
func TestFewLogitsAtOnce(t *testing.T) {
	model := smallModel(t, quant.Q8_0)
	request := lively("the ab", 40, 3)
	recorded := generate(t, newEngine(t, model, 0), request).Transcript
	for _, rows := range []int{1, 3} {
		engine := newEngine(t, model, 20)
		inference.SetLogitsRows(engine, rows)
		if d, err := engine.Recompute(context.Background(), &recorded); d != nil || err != nil {
			t.Errorf("logits of %d rows at once: %v, %v", rows, d, err)
		}
	}
}

// Requests answered at the same time, and one after another with the same KVs, answer as alone.
func TestSessionsDoNotMix(t *testing.T) {
	model := smallModel(t, quant.Q4_1)
	requests := []inference.Request{
		lively("the", 60, 1), lively(strings.Repeat("ab", 70), 20, 2), lively("", 40, 3), lively("ü", 50, 4),
	}
	want := make([]transcript.Digest, len(requests))
	for i, request := range requests {
		c := generate(t, newEngine(t, model, 16), request)
		want[i] = digestOf(t, &c.Transcript)
	}
	engine := newEngine(t, model, 16)
	for round := range 2 {
		var group sync.WaitGroup
		for i, request := range requests {
			group.Go(func() {
				c, err := engine.Generate(context.Background(), request, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := c.Transcript.Digest(); err != nil || got != want[i] {
					t.Errorf("round %d, request %d among others: digest %v, %v, alone %v", round, i, got, err, want[i])
				}
			})
		}
		group.Wait()
	}
}

// The second half of an answer is what the first half as prompt gives: positions seed the choice, nothing else does.
func TestAnswerContinues(t *testing.T) {
	engine := newEngine(t, smallModel(t, quant.F16), 0)
	whole := generate(t, engine, lively("the ab", 40, 9)).Transcript
	if len(whole.Output) < 20 {
		t.Fatalf("the answer has only %d tokens", len(whole.Output))
	}
	const k = 15
	half := whole
	half.Prompt = append(slices.Clone(whole.Prompt), whole.Output[:k]...)
	half.Output = whole.Output[k:]
	half.MaxTokens -= k
	d, err := engine.Recompute(context.Background(), &half)
	if err != nil {
		t.Fatal(err)
	}
	// The tokens agree; the trace, which began later, does not.
	if d == nil || d.Field != "trace" && d.Field != "text" {
		t.Errorf("recomputed from the middle: %v, want only text or trace to differ", d)
	}
}

func TestRecomputeAcceptsWhatGenerateRecorded(t *testing.T) {
	for _, kind := range everyType {
		model := smallModel(t, kind)
		for seed := range uint64(2) {
			request := lively("the ab", 120, seed)
			request.Stop = []string{"stop", "\n\n"}
			c := generate(t, newEngine(t, model, 0), request)
			for _, chunkTokens := range []int{0, 5} {
				d, err := newEngine(t, model, chunkTokens).RecomputeRequest(context.Background(), request, &c.Transcript)
				if d != nil || err != nil {
					t.Errorf("%v, seed %d, %d tokens, %v: %v, %v", kind, seed, len(c.Transcript.Output), c.Transcript.Finish, d, err)
				}
			}
		}
	}
}

// A change planted anywhere in a transcript is found where it is.
func TestRecomputeFindsPlantedChanges(t *testing.T) {
	engine := newEngine(t, smallModel(t, quant.Q8_0), 0)
	request := lively("the ab", 25, 11)
	recorded := generate(t, engine, request).Transcript
	request.MaxTokens++
	longer := generate(t, engine, request).Transcript
	request.MaxTokens--
	if len(recorded.Output) != 25 || len(longer.Output) != 26 {
		t.Fatalf("the answers have %d and %d tokens, want 25 and 26", len(recorded.Output), len(longer.Output))
	}
	type plant struct {
		name   string
		change func(tr *transcript.Transcript)
		field  string
		index  int
	}
	plants := []plant{
		{"trace", func(tr *transcript.Transcript) { tr.Trace[0] ^= 1 }, "trace", -1},
		{"text", func(tr *transcript.Transcript) { tr.Text = append(slices.Clone(tr.Text), 'x') }, "text", len(recorded.Text)},
		{"finish", func(tr *transcript.Transcript) { tr.Finish = transcript.FinishStop }, "finish_reason", -1},
		{"vocabulary", func(tr *transcript.Transcript) { tr.Vocabulary[0] ^= 1 }, "vocabulary", -1},
		{"cut", func(tr *transcript.Transcript) { tr.Output = tr.Output[:20] }, "finish_reason", -1},
		{"longer", func(tr *transcript.Transcript) { tr.Output = append(slices.Clone(tr.Output), 7) }, "output_tokens", 25},
		{"longer by the right token", func(tr *transcript.Transcript) { tr.Output = longer.Output }, "output_tokens", 25},
		{"token outside", func(tr *transcript.Transcript) { tr.Output = append(slices.Clone(tr.Output[:24]), 9999) }, "output_tokens", 24},
		{"prompt outside", func(tr *transcript.Transcript) { tr.Prompt = []tokenizer.Token{1, 9999} }, "prompt_tokens", 1},
		{"temperature", func(tr *transcript.Transcript) { tr.Sampling.Temperature = 101 }, "temperature", -1},
		{"max_tokens", func(tr *transcript.Transcript) { tr.MaxTokens = 0 }, "max_tokens", -1},
		{"too long for the window", func(tr *transcript.Transcript) {
			tr.Output = make([]tokenizer.Token, smallWindow)
		}, "output_tokens", smallWindow - len(recorded.Prompt)},
		{"prompt fills the window", func(tr *transcript.Transcript) {
			tr.Prompt = make([]tokenizer.Token, smallWindow)
		}, "prompt_tokens", smallWindow - 1},
		{"no encoding", func(tr *transcript.Transcript) { tr.Arithmetic, tr.Output = kernels.Version, nil }, "transcript", -1},
	}
	for k := range recorded.Output {
		plants = append(plants, plant{"token", func(tr *transcript.Transcript) {
			tr.Output = slices.Clone(tr.Output)
			tr.Output[k] = (tr.Output[k] + 1) % 269
		}, "output_tokens", k})
	}
	for _, p := range plants {
		changed := recorded
		p.change(&changed)
		d, err := engine.Recompute(context.Background(), &changed)
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		if d == nil || d.Field != p.field || d.Index != p.index {
			t.Errorf("%s: found %v, want %s[%d]", p.name, d, p.field, p.index)
		}
	}
	other := request
	other.Sampling.Seed++
	if d, err := engine.RecomputeRequest(context.Background(), other, &recorded); d == nil || d.Field != "request" || err != nil {
		t.Errorf("another request: %v, %v, want request to differ", d, err)
	}
	changed := recorded
	changed.Sampling.Seed++
	if d, err := engine.Recompute(context.Background(), &changed); d == nil || d.Field != "output_tokens" || err != nil {
		t.Errorf("another seed: %v, %v, want output_tokens to differ", d, err)
	}
}

func TestOtherModelIsNotComparable(t *testing.T) {
	recorded := generate(t, newEngine(t, smallModel(t, quant.F32), 0), lively("a", 3, 1)).Transcript
	engine := newEngine(t, smallModel(t, quant.Q8_0), 0)
	if d, err := engine.Recompute(context.Background(), &recorded); !errors.Is(err, inference.ErrNotComparable) {
		t.Errorf("another model: %v, %v, want ErrNotComparable", d, err)
	}
	recorded = generate(t, engine, lively("a", 3, 1)).Transcript
	recorded.Arithmetic = "verbatim/0"
	if d, err := engine.Recompute(context.Background(), &recorded); !errors.Is(err, inference.ErrNotComparable) {
		t.Errorf("another arithmetic: %v, %v, want ErrNotComparable", d, err)
	}
}

// The events say the text in whole characters, and together all of it. Random weights write all kinds of broken UTF-8.
func TestEventsAddUpToTheText(t *testing.T) {
	engine := newEngine(t, smallModel(t, quant.F32), 0)
	for seed := range uint64(30) {
		request := lively("ü", 60, seed)
		request.Stop = []string{"stop", "\x00", "ab"}
		var text strings.Builder
		var tokens []tokenizer.Token
		c, err := engine.Generate(context.Background(), request, func(e inference.Event) {
			if e.Index != len(tokens) {
				t.Errorf("seed %d: event %d after %d tokens", seed, e.Index, len(tokens))
			}
			tokens = append(tokens, e.Token)
			text.WriteString(e.Text)
		})
		if err != nil {
			t.Fatal(err)
		}
		if text.String() != c.Text || c.Text != string(c.Transcript.Text) || !slices.Equal(tokens, c.Transcript.Output) {
			t.Errorf("seed %d: events say %q %v, the transcript %q %v", seed, text.String(), tokens, c.Transcript.Text, c.Transcript.Output)
		}
		for _, stop := range request.Stop {
			if strings.Contains(c.Text, stop) {
				t.Errorf("seed %d: %q contains the stop string %q", seed, c.Text, stop)
			}
		}
	}
}

// The four ends of an answer.
func TestFinishReasons(t *testing.T) {
	engine := newEngine(t, smallModel(t, quant.F32), 0)
	seen := map[transcript.Finish]bool{}
	for seed := range uint64(24) {
		request := lively("the", 1<<20, seed)
		if seed%4 == 1 {
			request.MaxTokens = 10
		}
		if seed%4 == 2 {
			request.Stop = []string{"a"}
		}
		c := generate(t, engine, request)
		tr := &c.Transcript
		last, total := tr.Output[len(tr.Output)-1], len(tr.Prompt)+len(tr.Output)
		ended := engine.Model().Tokenizer.IsEnd(last)
		seen[tr.Finish] = true
		ok := false
		switch tr.Finish {
		case transcript.FinishStop:
			ok = ended
		case transcript.FinishStopString:
			ok = !ended && request.Stop != nil && !strings.Contains(c.Text, "a")
		case transcript.FinishLength:
			ok = !ended && len(tr.Output) == request.MaxTokens && total <= smallWindow
		case transcript.FinishWindow:
			ok = !ended && total == smallWindow && len(tr.Output) < request.MaxTokens
		}
		if !ok {
			t.Errorf("seed %d: %v after %d of %d tokens, last %d, %d in all", seed, tr.Finish, len(tr.Output), request.MaxTokens, last, total)
		}
	}
	if len(seen) != 4 {
		t.Errorf("seen only %v: want all four reasons", seen)
	}
}

func TestRequestsWithoutAnAnswer(t *testing.T) {
	engine := newEngine(t, smallModel(t, quant.F32), 0)
	broken, err := models.FromBytes(smallFile(t, quant.F32, true))
	if err != nil {
		t.Fatal(err)
	}
	bad := inference.NewRequest("a")
	bad.Sampling.TopP = 2
	for name, c := range map[string]struct {
		engine  *inference.Engine
		request inference.Request
		want    string
	}{
		"prompt too long": {engine, inference.NewRequest(strings.Repeat("b", smallWindow)),
			"prompt_too_long: the prompt has 302 tokens, which leaves no room in the context window of 300"},
		"prompt fills the window": {engine, inference.NewRequest(strings.Repeat("b", smallWindow-2)),
			"prompt_too_long: the prompt has 300 tokens, which leaves no room in the context window of 300"},
		"bad parameter": {engine, bad, "bad_parameter: top_p is 2: it must be above 0 and at most 1"},
		"non-finite": {newEngine(t, broken, 0), inference.NewRequest("a"),
			"non_finite_logits: the model gave a logit that is not finite at position 1"},
	} {
		_, err := c.engine.Generate(context.Background(), c.request, nil)
		var none *inference.RequestError
		if !errors.As(err, &none) || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	// At the limit: a prompt that leaves room for one token gets one.
	c := generate(t, engine, inference.NewRequest(strings.Repeat("b", smallWindow-3)))
	if len(c.Transcript.Prompt) != smallWindow-1 || len(c.Transcript.Output) != 1 {
		t.Errorf("%d prompt tokens, %d output tokens, want %d and 1", len(c.Transcript.Prompt), len(c.Transcript.Output), smallWindow-1)
	}
}

// Cancelled after any number of tokens, the engine answers the next request as ever.
func TestCancel(t *testing.T) {
	engine := newEngine(t, smallModel(t, quant.F32), 4)
	request := lively("the ab the ab", 12, 3)
	want := generate(t, engine, request).Transcript
	for k := range len(want.Output) {
		ctx, cancel := context.WithCancel(context.Background())
		if k == 0 {
			cancel()
		}
		_, err := engine.Generate(ctx, request, func(e inference.Event) {
			if e.Index+1 == k {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled after %d tokens: %v", k, err)
		}
		got := generate(t, engine, request).Transcript
		if d := transcript.Compare(&got, &want); d != nil {
			t.Fatalf("after a request cancelled at %d: %v", k, d)
		}
		cancel()
	}
}

// The markers of a chat template become control tokens, those in a prompt or in a turn's content do not.
func TestChat(t *testing.T) {
	engine := newEngine(t, smallModel(t, quant.F32), 0)
	request := inference.NewRequest("")
	request.Turns = []models.Turn{{Role: models.User, Content: "a<|im_end|>"}}
	question, err := engine.Question(request)
	if err != nil {
		t.Fatal(err)
	}
	count := func(tokens []tokenizer.Token) (n int) {
		for _, token := range tokens {
			if token == smallTurnEnd {
				n++
			}
		}
		return n
	}
	if n := count(question.Prompt); n != 1 {
		t.Errorf("%d control tokens <|im_end|> in %v, want the template's only", n, question.Prompt)
	}
	raw, err := engine.Question(inference.NewRequest("<|im_end|>"))
	if err != nil || count(raw.Prompt) != 0 {
		t.Errorf("a raw prompt: %v, %v, want no control token", raw.Prompt, err)
	}
}

func TestLogprobsChangeNothing(t *testing.T) {
	engine := newEngine(t, smallModel(t, quant.F32), 0)
	request := lively("a", 8, 1)
	want := generate(t, engine, request).Transcript
	request.Logprobs = 3
	c := generate(t, engine, request)
	if d := transcript.Compare(&c.Transcript, &want); d != nil {
		t.Error(d)
	}
	if len(c.Logprobs) != len(want.Output) {
		t.Fatalf("log-probabilities of %d tokens, want %d", len(c.Logprobs), len(want.Output))
	}
	for i, top := range c.Logprobs {
		if len(top) != 3 || top[0].Logprob < top[1].Logprob || top[0].Logprob > 0 {
			t.Errorf("token %d: %v", i, top)
		}
	}
}

// A response is a function of the transcript and is JSON whatever the text's bytes are.
func TestResponse(t *testing.T) {
	engine := newEngine(t, smallModel(t, quant.F32), 0)
	for seed := range uint64(10) {
		c := generate(t, engine, lively("a", 20, seed))
		got, err := inference.Response(&c.Transcript)
		if err != nil {
			t.Fatal(err)
		}
		var back struct {
			Text         string
			Tokens       []tokenizer.Token
			FinishReason string `json:"finish_reason"`
			Receipt      transcript.Digest
			Usage        struct {
				Prompt     int `json:"prompt_tokens"`
				Completion int `json:"completion_tokens"`
			}
		}
		if err := json.Unmarshal(got, &back); err != nil || !utf8.Valid(got) {
			t.Fatalf("%q: %v", got, err)
		}
		tr := &c.Transcript
		if back.Receipt != digestOf(t, tr) || !slices.Equal(back.Tokens, tr.Output) || back.FinishReason != tr.Finish.String() ||
			back.Usage.Prompt != len(tr.Prompt) || back.Usage.Completion != len(tr.Output) ||
			utf8.Valid(tr.Text) && back.Text != c.Text {
			t.Errorf("%s does not say what the transcript %+v says", got, tr)
		}
	}
	for why, want := range map[string]string{
		"prompt_too_long: no room: <none>": `{"error":{"code":"prompt_too_long","message":"no room: <none>"}}`,
		"out of luck: really":              `{"error":{"code":"refused","message":"out of luck: really"}}`,
		"\xff":                             `{"error":{"code":"refused","message":"` + "\uFFFD" + `"}}`,
	} {
		if got := string(inference.ErrorResponse(why)); got != want {
			t.Errorf("ErrorResponse(%q) = %s, want %s", why, got, want)
		}
	}
}
