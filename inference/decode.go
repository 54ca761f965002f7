package inference

import (
	"context"

	"verbatim/models/tokenizer"
)

// Decode evaluates one token. Afterwards Logits says what may follow it. It is Prefill of one token: there is no second
// path that could give other bits.
func (s *Session) Decode(ctx context.Context, token tokenizer.Token) error {
	return s.Prefill(ctx, []tokenizer.Token{token})
}
