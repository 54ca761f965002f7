package models

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

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
// turn follows.
//
// Templates are recognised by family, not run: ChatML, Llama 3 and Llama 2. The
// text is that of the template; control tokens are recognised in the template's
// own text only, never in a turn's content.
func (m *Model) EncodeChat(turns []Turn) ([]tokenizer.Token, error) {
	parts, err := renderChat(m.ChatTemplate, turns)
	if err != nil {
		return nil, err
	}
	// The vocabulary's rule adds the BOS token; when there is no rule and the
	// template asks for it, it is part of the text.
	if bos, ok := m.Tokenizer.BOS(); ok && !m.Tokenizer.AddsBOS() && strings.Contains(m.ChatTemplate, "bos_token") {
		parts = append([]tokenizer.Part{{Text: string(m.Tokenizer.Piece(bos)), Special: true}}, parts...)
	}
	return m.Tokenizer.EncodeParts(parts, true)
}

// renderChat is the text of a chat without the BOS token at its start.
func renderChat(template string, turns []Turn) ([]tokenizer.Part, error) {
	if template == "" {
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
	has := func(marker string) bool { return strings.Contains(template, marker) }
	switch {
	case has("tools"):
		// Templates that offer tools say more than the plain forms below.
	case has("<|im_start|>") && has("<|im_end|>"):
		return renderChatML(template, turns), nil
	case has("<|start_header_id|>") && has("<|end_header_id|>") && has("<|eot_id|>"):
		return renderLlama3(template, turns), nil
	case has("[INST]") && has("[/INST]") && has("<<SYS>>"):
		return renderLlama2(turns)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(template), "\n")
	return nil, fmt.Errorf("chat: the model's template is none of the supported families (ChatML, Llama 3, Llama 2, without tools); it begins %q", cut(first, 120))
}

func cut(text string, bytesMax int) string {
	if len(text) <= bytesMax {
		return text
	}
	return text[:bytesMax] + "..."
}

// script collects the parts of a rendered chat.
type script struct{ parts []tokenizer.Part }

func (s *script) template(text string) {
	s.parts = append(s.parts, tokenizer.Part{Text: text, Special: true})
}

func (s *script) content(text string) {
	s.parts = append(s.parts, tokenizer.Part{Text: text})
}

// trimmed is what the template does to contents: most trim them if they say so.
func trimmed(template string, content string) string {
	if strings.Contains(template, "trim") || strings.Contains(template, ".strip()") {
		return strip(content)
	}
	return content
}

// strip removes white space at both ends as Python's str.strip does.
func strip(text string) string {
	return strings.TrimFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || (r >= 0x1c && r <= 0x1f)
	})
}

// renderChatML writes "<|im_start|>role\ncontent<|im_end|>\n" for each turn. When
// the chat has no system turn at its start, a template may bring its own.
func renderChatML(template string, turns []Turn) []tokenizer.Part {
	var s script
	if system, ok := defaultSystem(template); ok && turns[0].Role != System {
		s.template("<|im_start|>system\n" + system + "<|im_end|>\n")
	}
	for _, turn := range turns {
		s.template("<|im_start|>" + string(turn.Role) + "\n")
		s.content(trimmed(template, turn.Content))
		s.template("<|im_end|>\n")
	}
	s.template("<|im_start|>assistant\n")
	return s.parts
}

// defaultSystem finds the system turn that a ChatML template writes itself: a
// literal that holds the turn's head, text and end. The line feed stands in the
// template as itself or as \n.
func defaultSystem(template string) (string, bool) {
	for _, lineFeed := range []string{"\n", `\n`} {
		_, rest, found := strings.Cut(template, "<|im_start|>system"+lineFeed)
		if !found {
			continue
		}
		text, _, found := strings.Cut(rest, "<|im_end|>")
		if found && !strings.ContainsAny(text, `'"{}+`) {
			return strings.ReplaceAll(text, `\n`, "\n"), true
		}
	}
	return "", false
}

// renderLlama3 writes a header, a blank line, the content and <|eot_id|>.
func renderLlama3(template string, turns []Turn) []tokenizer.Part {
	var s script
	for _, turn := range turns {
		s.template("<|start_header_id|>" + string(turn.Role) + "<|end_header_id|>\n\n")
		s.content(trimmed(template, turn.Content))
		s.template("<|eot_id|>")
	}
	s.template("<|start_header_id|>assistant<|end_header_id|>\n\n")
	return s.parts
}

// renderLlama2 writes "[INST] question [/INST] answer </s><s>" and so on, with the
// system turn inside the first question. Questions and answers must alternate.
func renderLlama2(turns []Turn) ([]tokenizer.Part, error) {
	var s script
	system := ""
	if turns[0].Role == System {
		system = turns[0].Content
		turns = turns[1:]
	}
	if len(turns)%2 == 0 {
		return nil, errors.New("chat: the model's template wants questions and answers in turn, with a question last")
	}
	for i, turn := range turns {
		want := User
		if i%2 == 1 {
			want = Assistant
		}
		if turn.Role != want {
			return nil, fmt.Errorf("chat: the model's template wants questions and answers in turn; turn %d is of the %s instead of the %s", i, turn.Role, want)
		}
		if want == Assistant {
			s.template(" ")
			s.content(strip(turn.Content))
			s.template(" </s>")
			continue
		}
		if i > 0 {
			s.template("<s>")
		}
		s.template("[INST] ")
		if i == 0 && system != "" {
			s.content(strip("<<SYS>>\n" + system + "\n<</SYS>>\n\n" + turn.Content))
		} else {
			s.content(strip(turn.Content))
		}
		s.template(" [/INST]")
	}
	return s.parts, nil
}
