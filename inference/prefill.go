package inference

import (
	"context"
	"fmt"

	"verbatim/models/tokenizer"
)

// Prefill evaluates tokens, a chunk in each pass. Afterwards Logits says what may follow the last one. It ends between two
// passes when ctx does.
func (s *Session) Prefill(ctx context.Context, tokens []tokenizer.Token) error {
	if err := s.enqueue(ctx, tokens, len(tokens)-1); err != nil {
		return err
	}
	return s.await()
}

// feed evaluates tokens and shows the states and logits after the token with index first and all later ones, a chunk at a
// time.
func (s *Session) feed(ctx context.Context, tokens []tokenizer.Token, first int, visit visitor) error {
	for from := 0; from < len(tokens); {
		wanted := max(from, first)
		end := min(len(tokens), wanted+s.engine.chunkTokens)
		if err := s.enqueue(ctx, tokens[from:end], wanted-from); err != nil {
			return err
		}
		if err := s.await(); err != nil {
			return err
		}
		if err := s.show(wanted, visit); err != nil {
			return err
		}
		from = end
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
