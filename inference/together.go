package inference

import (
	"context"
	"errors"
	"fmt"

	"verbatim/models/tokenizer"
)

// Advance evaluates one token in each of some sessions of one engine, all in the same pass as far as they fit. Each has then
// what Decode would have given it alone. After an error the sessions are of no use.
func Advance(ctx context.Context, sessions []*Session, tokens []tokenizer.Token) error {
	if len(sessions) != len(tokens) {
		return fmt.Errorf("inference: %d tokens for %d sessions", len(tokens), len(sessions))
	}
	var errs []error
	asked := 0
	for ; asked < len(sessions); asked++ {
		s := sessions[asked]
		s.one[0] = tokens[asked]
		if err := s.enqueue(ctx, s.one[:], 0); err != nil {
			errs = append(errs, err)
			break
		}
	}
	for _, s := range sessions[:asked] {
		errs = append(errs, s.await())
	}
	return errors.Join(errs...)
}

// Score evaluates tokens and shows the logits after the token with index first and after every later one; they are valid
// during the call. An error of see ends it.
func (s *Session) Score(ctx context.Context, tokens []tokenizer.Token, first int, see func(i int, logits []float32) error) error {
	if first < 0 || first >= len(tokens) {
		return fmt.Errorf("inference: logits from token %d on of %d", first, len(tokens))
	}
	return s.feed(ctx, tokens, first, func(i int, _, logits []float32) error { return see(i, logits) })
}
