package inference

import (
	"context"

	"verbatim/models/tokenizer"
)

// Decode evaluates one token. Afterwards Logits says what may follow it. It takes the way that Prefill takes: there is no
// second one that could give other bits. It allocates nothing once the session's memory has its size.
func (s *Session) Decode(ctx context.Context, token tokenizer.Token) error {
	s.one[0] = token
	return s.Prefill(ctx, s.one[:])
}
