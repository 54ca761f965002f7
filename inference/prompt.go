package inference

import (
	"errors"

	"verbatim/models"
	"verbatim/models/tokenizer"
)

// promptTokens turns a request into the tokens of its prompt. In a raw prompt the text of a control token is text: a
// process that passes a user's words on cannot be made to end a turn by them. Only a chat template's own markers become
// control tokens. The error is a *RequestError.
func (e *Engine) promptTokens(r *Request) ([]tokenizer.Token, error) {
	t := e.model.Tokenizer
	if r.Turns != nil {
		tokens, err := e.model.EncodeChat(r.Turns)
		if errors.Is(err, models.ErrNoChatTemplate) {
			return nil, refuse(CodeNoChatTemplate, "%v", err)
		}
		if err != nil {
			return nil, refuse(CodeBadParameter, "%v", err)
		}
		return tokens, nil
	}
	tokens, err := t.Encode(r.Prompt, tokenizer.EncodeOptions{BOS: true})
	if err != nil {
		return nil, refuse(CodeBadParameter, "prompt: %v", err)
	}
	if bos, ok := t.BOS(); len(tokens) == 0 && ok {
		return []tokenizer.Token{bos}, nil
	}
	if len(tokens) == 0 {
		return nil, refuse(CodeBadParameter, "the prompt gives no tokens, and the model has none that begins a text")
	}
	return tokens, nil
}
