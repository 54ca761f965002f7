package models

import (
	"errors"
	"fmt"
	"strings"

	"verbatim/models/jinja"
	"verbatim/models/tokenizer"
)

// Turn is one contribution to a chat.
type Turn struct {
	Role    Role
	Content string
}

// Role is who speaks in a turn.
type Role string

// The roles that chat templates know.
const (
	System    Role = "system"
	User      Role = "user"
	Assistant Role = "assistant"
)

// TurnsMax is the limit on the turns of a chat.
const TurnsMax = 4096

// ErrNoChatTemplate is returned for a model that was not trained on chats.
var ErrNoChatTemplate = errors.New("the model has no chat template: give a prompt instead of messages")

// EncodeChat turns a chat into the tokens of a prompt that the assistant's next
// turn follows, by the model's chat template. Control tokens are recognised in
// the template's own text only, never in a turn's content.
//
// The template sees messages, add_generation_prompt (true), bos_token and
// eos_token, and none for tools and documents, as with Hugging Face's
// transformers. A template that refuses the chat gives an error that is
// jinja.ErrRaised and says why.
func (m *Model) EncodeChat(turns []Turn) ([]tokenizer.Token, error) {
	if m.ChatTemplate == "" {
		return nil, ErrNoChatTemplate
	}
	if len(turns) == 0 || len(turns) > TurnsMax {
		return nil, fmt.Errorf("chat: %d turns (1 to %d are allowed)", len(turns), TurnsMax)
	}
	for i, turn := range turns {
		if turn.Role != System && turn.Role != User && turn.Role != Assistant {
			return nil, fmt.Errorf("chat: turn %d has role %q (system, user and assistant are allowed)", i, turn.Role)
		}
	}
	template, err := jinja.Parse(m.ChatTemplate)
	if err != nil {
		return nil, fmt.Errorf("chat: the model's template: %w", err)
	}
	bos, eos := m.tokenText(m.Tokenizer.BOS()), m.tokenText(m.Tokenizer.EOS())
	spans, err := template.Render(chatVariables(turns, bos, eos))
	if err != nil {
		return nil, fmt.Errorf("chat: the model's template: %w", err)
	}
	parts := make([]tokenizer.Part, len(spans))
	for i, span := range spans {
		parts[i] = tokenizer.Part{Text: span.Text, Special: !span.Content}
	}
	// The vocabulary's rule and the template may both ask for the BOS token.
	if m.Tokenizer.AddsBOS() && len(parts) > 0 && parts[0].Special {
		parts[0].Text = strings.TrimPrefix(parts[0].Text, bos)
	}
	return m.Tokenizer.EncodeParts(parts, true)
}

// tokenText is the text of a token, or "" if the vocabulary has none.
func (m *Model) tokenText(token tokenizer.Token, ok bool) string {
	if !ok {
		return ""
	}
	return string(m.Tokenizer.Piece(token))
}

func chatVariables(turns []Turn, bos, eos string) jinja.Variables {
	messages := make([]jinja.Value, len(turns))
	for i, turn := range turns {
		messages[i] = jinja.Dict(
			jinja.Variable{Name: "role", Value: jinja.String(string(turn.Role))},
			jinja.Variable{Name: "content", Value: jinja.Content(turn.Content)},
		)
	}
	return jinja.Variables{
		{Name: "messages", Value: jinja.List(messages...)},
		{Name: "add_generation_prompt", Value: jinja.Bool(true)},
		{Name: "bos_token", Value: jinja.String(bos)},
		{Name: "eos_token", Value: jinja.String(eos)},
		{Name: "tools", Value: jinja.None()},
		{Name: "documents", Value: jinja.None()},
	}
}
