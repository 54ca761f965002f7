package inference

import (
	"context"
	"fmt"

	"verbatim/models/tokenizer"
)

// Prefill evaluates tokens in chunks. Afterwards Logits says what may follow the last one. It ends between two chunks
// when ctx does.
func (s *Session) Prefill(ctx context.Context, tokens []tokenizer.Token) error {
	return s.feed(ctx, tokens, len(tokens)-1, func(int, []float32, []float32) error { return nil })
}

// feed evaluates tokens in chunks and shows the states and logits after the token with index first and all later ones.
func (s *Session) feed(ctx context.Context, tokens []tokenizer.Token, first int, visit visitor) error {
	if err := s.admit(tokens); err != nil {
		return err
	}
	for from := 0; from < len(tokens); from += s.engine.chunkTokens {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("inference: stopped at position %d: %w", s.position, err)
		}
		chunk := tokens[from:min(from+s.engine.chunkTokens, len(tokens))]
		wantedFrom := min(max(first-from, 0), len(chunk))
		shifted := func(i int, state, logits []float32) error { return visit(from+i, state, logits) }
		if err := s.evaluate(chunk, wantedFrom, shifted); err != nil {
			return err
		}
	}
	return nil
}

// admit refuses tokens that cannot be evaluated.
func (s *Session) admit(tokens []tokenizer.Token) error {
	if len(tokens) == 0 {
		return fmt.Errorf("inference: no tokens to evaluate")
	}
	if i, ok := s.engine.contains(tokens); !ok {
		return fmt.Errorf("inference: token %d is outside the vocabulary of %d", tokens[i], s.engine.model.Hyperparameters.Vocab)
	}
	if window := s.engine.ContextTokensMax(); len(tokens) > window-s.position {
		return fmt.Errorf("inference: %d tokens from position %d on exceed the context window of %d", len(tokens), s.position, window)
	}
	return nil
}
