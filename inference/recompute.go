package inference

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"verbatim/inference/grammar"
	"verbatim/inference/sampler"
	"verbatim/inference/transcript"
	"verbatim/kernels"
	"verbatim/models/tokenizer"
)

// ErrNotComparable says that a transcript belongs to another model or arithmetic: this engine cannot judge it.
var ErrNotComparable = errors.New("the transcript is not of this model and arithmetic")

// Divergence is the first point in which a recorded transcript is not what the model gives.
type Divergence struct {
	Field      string `json:"field"` // as in the transcript's JSON
	Index      int    `json:"index"` // of the token within the field; -1 when the field is a single value
	Recorded   string `json:"recorded"`
	Recomputed string `json:"recomputed"`
}

func (d *Divergence) String() string {
	field := d.Field
	if d.Index >= 0 {
		field = fmt.Sprintf("%s[%d]", d.Field, d.Index)
	}
	return fmt.Sprintf("%s: recorded %s, recomputed %s", field, d.Recorded, d.Recomputed)
}

// errDiverged ends the evaluation at the first divergence, which is kept aside.
var errDiverged = errors.New("inference: diverged")

// Recompute checks a transcript by evaluating prompt and output as one prompt and choosing every token anew: at the speed
// of a prefill, and to the last bit. It returns the first divergence, or nil. An error says that nothing was found out.
func (e *Engine) Recompute(ctx context.Context, recorded *transcript.Transcript) (*Divergence, error) {
	if recorded.Arithmetic != kernels.Version || recorded.Model != transcript.Digest(e.model.Digest) {
		return nil, fmt.Errorf("recompute a transcript of model %v under %q with model %v under %q: %w",
			recorded.Model, recorded.Arithmetic, e.model.Digest, kernels.Version, ErrNotComparable)
	}
	if d := e.implausible(recorded); d != nil {
		return d, nil
	}
	question := *recorded
	question.Output, question.Text, question.Finish, question.Trace = nil, nil, 0, transcript.Digest{}
	a, err := e.beginAt(question)
	if err != nil {
		return nil, err
	}
	diverged, err := e.replay(ctx, a, recorded)
	if err != nil || diverged != nil {
		return diverged, err
	}
	if !a.done {
		return &Divergence{"finish_reason", -1, recorded.Finish.String(), "no reason to stop here"}, nil
	}
	if d := transcript.Compare(recorded, &a.transcript); d != nil {
		return &Divergence{d.Field, d.Index, d.A, d.B}, nil
	}
	return nil, nil
}

// RecomputeRequest is Recompute of the answer to this very request.
func (e *Engine) RecomputeRequest(ctx context.Context, request Request, recorded *transcript.Transcript) (*Divergence, error) {
	question, err := e.Question(request)
	var none *RequestError
	if errors.As(err, &none) {
		return &Divergence{"request", -1, "an answer", none.Error()}, nil
	}
	if err != nil {
		return nil, err
	}
	if d := transcript.CompareQuestion(recorded, &question); d != nil {
		return &Divergence{d.Field, d.Index, d.A, d.B}, nil
	}
	return e.Recompute(ctx, recorded)
}

// replay evaluates the recorded tokens and compares each choice with the record.
func (e *Engine) replay(ctx context.Context, a *answer, recorded *transcript.Transcript) (*Divergence, error) {
	session, err := e.NewSession()
	if err != nil {
		return nil, err
	}
	defer session.Close()
	session.shares = false // an audit relies on nothing that was computed before
	last := len(recorded.Output) - 1
	tokens := append(append([]tokenizer.Token(nil), recorded.Prompt...), recorded.Output[:last]...)
	first := len(recorded.Prompt) - 1
	var diverged *Divergence
	err = session.feed(ctx, tokens, first, func(i int, state, logits []float32) error {
		index := i - first
		said := recorded.Output[index]
		event, err := a.next(state, logits, 0)
		var none *RequestError
		switch {
		case errors.As(err, &none):
			diverged = &Divergence{"output_tokens", index, tokenWords(said), none.Error()}
		case err != nil:
			return err
		case event.Token != said:
			diverged = &Divergence{"output_tokens", index, tokenWords(said), tokenWords(event.Token)}
		case a.done && index < last:
			diverged = &Divergence{"output_tokens", index + 1, tokenWords(recorded.Output[index+1]),
				"nothing (the answer ends: " + a.transcript.Finish.String() + ")"}
		default:
			return nil
		}
		return errDiverged
	})
	if err != nil && !errors.Is(err, errDiverged) {
		return nil, err
	}
	return diverged, nil
}

func tokenWords(token tokenizer.Token) string { return "token " + strconv.Itoa(int(token)) }

// implausible finds what this model can never have recorded, before anything is computed: it is also what must not reach
// the kernels.
func (e *Engine) implausible(t *transcript.Transcript) *Divergence {
	if _, err := transcript.Encode(t); err != nil {
		return &Divergence{"transcript", -1, err.Error(), "a transcript that can be encoded"}
	}
	vocabulary := transcript.Digest(e.model.Tokenizer.Digest())
	if t.Vocabulary != vocabulary {
		return &Divergence{"vocabulary", -1, t.Vocabulary.String(), vocabulary.String()}
	}
	var bad *sampler.ParameterError
	if errors.As(sampler.Parameters(t.Sampling).Check(), &bad) {
		return &Divergence{bad.Parameter, -1, bad.Value, "refused: it must be " + bad.Range}
	}
	if t.Schema != "" {
		if _, err := grammar.Compile([]byte(t.Schema)); err != nil {
			return &Divergence{"schema", -1, strconv.Quote(t.Schema), "refused: " + err.Error()}
		}
	}
	if t.MaxTokens < 1 || t.MaxTokens > MaxTokensMax {
		return &Divergence{"max_tokens", -1, strconv.Itoa(int(t.MaxTokens)), "refused"}
	}
	outside := fmt.Sprintf("no such token in the vocabulary of %d", e.model.Tokenizer.Size())
	if i, ok := e.contains(t.Prompt); !ok {
		return &Divergence{"prompt_tokens", i, tokenWords(t.Prompt[i]), outside}
	}
	if i, ok := e.contains(t.Output); !ok {
		return &Divergence{"output_tokens", i, tokenWords(t.Output[i]), outside}
	}
	room := e.ContextTokensMax() - len(t.Prompt)
	if room < 1 {
		return &Divergence{"prompt_tokens", len(t.Prompt) - 1, tokenWords(t.Prompt[len(t.Prompt)-1]),
			fmt.Sprintf("refused: no room in the context window of %d", e.ContextTokensMax())}
	}
	if len(t.Output) > room {
		return &Divergence{"output_tokens", room, tokenWords(t.Output[room]),
			fmt.Sprintf("nothing (the context window of %d is full)", e.ContextTokensMax())}
	}
	return nil
}
