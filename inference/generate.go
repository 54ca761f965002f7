package inference

import (
	"context"
	"errors"
	"fmt"

	"verbatim/inference/grammar"
	"verbatim/inference/sampler"
	"verbatim/inference/transcript"
	"verbatim/kernels"
	"verbatim/models/tokenizer"
)

// Event tells of one output token as soon as it is known. The first event comes when the prompt has been evaluated, so
// callers can time prefill and decode by it.
type Event struct {
	Index    int // of the token in the output
	Token    tokenizer.Token
	Text     string // what is now certain to follow in the text; never part of a character unless the output ends in one
	Logprobs []sampler.Logprob
}

// Completion is a finished inference.
type Completion struct {
	Transcript transcript.Transcript
	Text       string              // the texts of all events; the transcript's text
	Logprobs   [][]sampler.Logprob // by output token, when the request asked for them
}

// Generate answers a request. onToken, if not nil, is told of every token before the next is chosen. The error is a
// *RequestError when the request has no answer; else it is a failure, which ctx ending is too.
func (e *Engine) Generate(ctx context.Context, request Request, onToken func(Event)) (Completion, error) {
	var c Completion
	a, err := e.begin(request)
	if err != nil {
		return c, err
	}
	session, err := e.NewSession()
	if err != nil {
		return c, err
	}
	defer session.Close()
	session.generates = true
	if err := session.enqueue(ctx, a.transcript.Prompt, len(a.transcript.Prompt)-1); err != nil {
		return c, err
	}
	for !a.done {
		event, err := a.step(ctx, session, request.Logprobs)
		if err != nil {
			return Completion{}, err
		}
		if request.Logprobs > 0 {
			c.Logprobs = append(c.Logprobs, event.Logprobs)
		}
		if onToken != nil {
			session.tell(onToken, event)
		}
	}
	c.Transcript = a.transcript
	c.Text = string(a.transcript.Text)
	return c, nil
}

// step waits for the evaluation of the last token, chooses the next one and asks for its evaluation, so that others can
// take it along while onToken is told of it.
func (a *answer) step(ctx context.Context, session *Session, logprobs int) (Event, error) {
	if err := ctx.Err(); err != nil {
		return Event{}, fmt.Errorf("inference: stopped at position %d: %w", len(a.tokens), err)
	}
	if err := session.await(); err != nil {
		return Event{}, err
	}
	event, err := a.next(session.State(), session.Logits(), logprobs)
	if err == nil && !a.done {
		err = session.enqueue(ctx, a.tokens[len(a.tokens)-1:], 0)
	}
	return event, err
}

// answer is an inference on its way from a prompt to a transcript. Generate and Recompute both build one.
type answer struct {
	engine     *Engine
	transcript transcript.Transcript
	tokens     []tokenizer.Token // prompt and output
	sampler    *sampler.Sampler
	matcher    *grammar.Matcher // nil without a schema
	stream     *stream
	trace      *transcript.Trace
	done       bool
}

// Question is the transcript of a request as far as it is known before the first token is computed: no output, no text, no
// finish reason, no trace. The error is a *RequestError.
func (e *Engine) Question(request Request) (transcript.Transcript, error) {
	t := transcript.Transcript{
		Arithmetic: kernels.Version,
		Model:      transcript.Digest(e.model.Digest),
		Vocabulary: transcript.Digest(e.model.Tokenizer.Digest()),
		Sampling:   transcript.Sampling(request.Sampling),
		MaxTokens:  uint32(request.MaxTokens),
		Stop:       request.Stop,
		Schema:     request.Schema,
	}
	if err := request.Check(); err != nil {
		return t, err
	}
	if request.Schema != "" && len(e.model.Tokenizer.Ends()) == 0 {
		return t, refuse(CodeBadParameter, "schema: the model has no token that ends an answer")
	}
	t.Request = request.Digest()
	var err error
	if t.Prompt, err = e.promptTokens(&request); err != nil {
		return t, err
	}
	if n, window := len(t.Prompt), e.ContextTokensMax(); n >= window {
		return t, refuse(CodePromptTooLong, "the prompt has %d tokens, which leaves no room in the context window of %d", n, window)
	}
	return t, nil
}

func (e *Engine) begin(request Request) (*answer, error) {
	question, err := e.Question(request)
	if err != nil {
		return nil, err
	}
	return e.beginAt(question)
}

// beginAt starts the answer to a question that has been checked.
func (e *Engine) beginAt(question transcript.Transcript) (*answer, error) {
	s, err := sampler.New(sampler.Parameters(question.Sampling))
	if err != nil {
		return nil, err
	}
	a := &answer{
		engine: e, transcript: question, sampler: s, trace: transcript.NewTrace(),
		tokens: append([]tokenizer.Token(nil), question.Prompt...),
		stream: newStream(e.model.Tokenizer, question.Prompt, question.Stop),
	}
	if question.Schema != "" {
		g, err := grammar.Compile([]byte(question.Schema))
		if err != nil {
			return nil, err
		}
		a.matcher = g.NewMatcher(e.vocabulary())
	}
	return a, nil
}

// next takes the state and logits after the last of a.tokens, samples the token that follows, and decides whether the
// answer ends with it.
func (a *answer) next(state, logits []float32, logprobs int) (Event, error) {
	var mask sampler.Mask
	if a.matcher != nil {
		mask = a.matcher.Allowed()
	}
	token, err := a.sampler.Sample(logits, a.tokens, mask)
	if err != nil {
		return Event{}, a.outcome(err)
	}
	if a.matcher != nil {
		a.matcher.Take(int32(token))
	}
	event := Event{Index: len(a.transcript.Output), Token: token}
	if event.Logprobs, err = sampler.Logprobs(logits, logprobs); err != nil {
		return Event{}, a.outcome(err)
	}
	a.trace.Add(state)
	a.tokens = append(a.tokens, token)
	a.transcript.Output = append(a.transcript.Output, token)
	if finish := a.finishAfter(token); finish != 0 {
		a.done = true
		a.transcript.Finish = finish
		a.transcript.Text = a.stream.text
		a.transcript.Trace = a.trace.Digest()
		event.Text = a.stream.rest()
	} else {
		event.Text = a.stream.release()
	}
	return event, nil
}

// finishAfter gives the token's text to the stream and says why the answer ends with it; 0 means that it goes on.
func (a *answer) finishAfter(token tokenizer.Token) transcript.Finish {
	var finish transcript.Finish
	switch {
	case a.engine.model.Tokenizer.IsEnd(token):
		finish = transcript.FinishStop
	case a.stream.write(token):
		return transcript.FinishStopString
	case len(a.transcript.Output) == int(a.transcript.MaxTokens):
		finish = transcript.FinishLength
	case len(a.tokens) == a.engine.ContextTokensMax():
		finish = transcript.FinishWindow
	default:
		return 0
	}
	a.stream.finish()
	return finish
}

// outcome turns the sampler's complaint about logits into an outcome. Which logit it was is not the same on every
// backend, so only the position is told.
func (a *answer) outcome(err error) error {
	if errors.Is(err, sampler.ErrNothingAllowed) {
		return refuse(CodeRefused, "no token of the vocabulary goes on with the schema at position %d", len(a.tokens))
	}
	if errors.Is(err, sampler.ErrNonFinite) {
		return refuse(CodeNonFiniteLogits, "the model gave a logit that is not finite at position %d", len(a.tokens)-1)
	}
	return err
}
