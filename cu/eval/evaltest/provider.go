package evaltest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"sync"

	"verbatim/cu/eval"
	"verbatim/inference/transcript"
	"verbatim/models/tokenizer"
)

// Provider answers every question without a model, the same question always with the same transcript, and has a drive of its
// own.
type Provider struct {
	// Before is called with each question, if it is set; its error is the answer then.
	Before func(ctx context.Context, q eval.Question) error
	// Files are what lies on the drive, by name.
	Files map[string]string

	mu    sync.Mutex
	asked int
}

// Asked gives the number of questions so far.
func (p *Provider) Asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// Answer implements eval.Provider.
func (p *Provider) Answer(ctx context.Context, q eval.Question) (*transcript.Transcript, error) {
	p.mu.Lock()
	p.asked++
	p.mu.Unlock()
	if p.Before != nil {
		if err := p.Before(ctx, q); err != nil {
			return nil, err
		}
	}
	return Transcript(q), nil
}

// Open implements eval.Provider: the drive holds what Files says.
func (p *Provider) Open(_ context.Context, o eval.Opening) (*eval.Content, error) {
	content, ok := p.Files[o.Name]
	if !ok {
		return nil, nil
	}
	return &eval.Content{
		SectionReader: io.NewSectionReader(strings.NewReader(content), 0, int64(len(content))), SHA256: sha256.Sum256([]byte(content)),
	}, nil
}

// Transcript is the provider's answer to q.
func Transcript(q eval.Question) *transcript.Transcript {
	seed := sha256.Sum256([]byte(q.Request.Prompt))
	t := &transcript.Transcript{
		Arithmetic: "test/1", Model: sha256.Sum256([]byte(q.Model)), Vocabulary: sha256.Sum256([]byte("vocabulary")),
		Request: q.Request.Digest(), MaxTokens: uint32(q.Request.MaxTokens), Stop: q.Request.Stop,
		Text: fmt.Appendf(nil, "answer to %q", q.Request.Prompt), Finish: transcript.FinishStop, Trace: seed,
	}
	t.Sampling.TopP, t.Sampling.RepetitionPenalty = 1, 1
	for i := range 4 {
		t.Prompt = append(t.Prompt, tokenizer.Token(seed[i]))
		t.Output = append(t.Output, tokenizer.Token(seed[i+4]))
	}
	return t
}
