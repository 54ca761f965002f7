package inference_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"verbatim/inference"
	"verbatim/kernels/quant"
	"verbatim/models/tokenizer"
)

// Sessions that advance together get what they would have got alone, also when they do not fit in one pass.
func TestAdvanceEqualsDecode(t *testing.T) {
	model := smallModel(t, quant.Q8_0)
	engine := newEngine(t, model, 3)
	var sessions []*inference.Session
	var told [][]tokenizer.Token
	for i := range 5 {
		told = append(told, someTokens(2+3*i, i))
		s := newSession(t, engine)
		prefill(t, s, told[i])
		sessions = append(sessions, s)
	}
	for step := range 4 {
		next := someTokens(len(sessions), 100+step)
		if err := inference.Advance(context.Background(), sessions, next); err != nil {
			t.Fatal(err)
		}
		for i, s := range sessions {
			told[i] = append(told[i], next[i])
			same(t, "a session that advanced with others", s, alone(t, model, told[i]))
		}
	}
	if err := inference.Advance(context.Background(), sessions, nil); err == nil {
		t.Error("5 sessions advanced by no tokens: got no error")
	}
}

// Score shows the logits that Prefill of each beginning would have left.
func TestScoreEqualsPrefill(t *testing.T) {
	model := smallModel(t, quant.Q4_0)
	engine := newEngine(t, model, 4)
	tokens := someTokens(11, 1)
	for first := range tokens {
		s := newSession(t, engine)
		at := first
		err := s.Score(context.Background(), tokens, first, func(i int, logits []float32) error {
			if want := alone(t, model, tokens[:i+1]).Logits(); i != at || !slices.Equal(logits, want) {
				t.Errorf("first %d: token %d shown with logits %v, want token %d with %v", first, i, logits[:3], at, want[:3])
			}
			at++
			return nil
		})
		if err != nil || at != len(tokens) {
			t.Errorf("first %d: got %v after token %d, want all %d", first, err, at-1, len(tokens))
		}
	}
	stop := errors.New("stop")
	s := newSession(t, engine)
	if err := s.Score(context.Background(), tokens, 2, func(int, []float32) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want the error of see", err)
	}
	if err := newSession(t, engine).Score(context.Background(), tokens, len(tokens), nil); err == nil {
		t.Error("logits from beyond the last token: got no error")
	}
}
