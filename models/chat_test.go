package models_test

import (
	"errors"
	"strings"
	"testing"

	"verbatim/models"
)

// Templates in the shape of published models.
const (
	chatML = `{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a helpful machine<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}`
	chatMLPlain = `{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] | trim + '<|im_end|>\n'}}{% endfor %}{{ '<|im_start|>assistant\n' }}`
	llama3      = `{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}`
	llama2      = `{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = '<<SYS>>\n' + messages[0]['content'] + '\n<</SYS>>\n\n' %}{% else %}{% set loop_messages = messages %}{% set system_message = '' %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}{% if loop.index0 == 0 %}{% set content = system_message + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}`
	zephyr      = `{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}`
)

func turns(pairs ...string) []models.Turn {
	var list []models.Turn
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, models.Turn{Role: models.Role(pairs[i]), Content: pairs[i+1]})
	}
	return list
}

func chatModel(t *testing.T, template string) *models.Model {
	t.Helper()
	s := newSmall()
	if template != "" {
		s.set("tokenizer.chat_template", template)
	}
	m, err := models.FromBytes(s.encode(t))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestChatTemplates(t *testing.T) {
	for _, c := range []struct {
		name, template string
		turns          []models.Turn
		want           string
	}{
		{"ChatML with its own system turn", chatML, turns("user", " hi "),
			"<|im_start|>system\nYou are a helpful machine<|im_end|>\n<|im_start|>user\n hi <|im_end|>\n<|im_start|>assistant\n"},
		{"ChatML with a system turn", chatML, turns("system", "be short", "user", "hi", "assistant", "yes", "user", "why"),
			"<|im_start|>system\nbe short<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nyes<|im_end|>\n<|im_start|>user\nwhy<|im_end|>\n<|im_start|>assistant\n"},
		{"ChatML that trims", chatMLPlain, turns("user", " hi\n"), "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"},
		{"Llama 3", llama3, turns("system", "s", "user", " q "),
			"<|start_header_id|>system<|end_header_id|>\n\ns<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"},
		{"Llama 2", llama2, turns("system", "s", "user", "q ", "assistant", "a", "user", "r"),
			"[INST] <<SYS>>\ns\n<</SYS>>\n\nq [/INST] a [INST] r [/INST]"},
		{"Zephyr", zephyr, turns("system", "s", "user", "q"), "<|system|>\ns\n<|user|>\nq\n<|assistant|>\n"},
	} {
		m := chatModel(t, c.template)
		tokens, err := m.EncodeChat(c.turns)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if tokens[0] != 1 {
			t.Errorf("%s: the first token is %d, want BOS", c.name, tokens[0])
		}
		// Decode drops the control tokens of the Llama 2 form, </s><s>.
		if got := m.Tokenizer.Decode(tokens); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// The Llama 2 form closes each answer and opens the next question with control
// tokens, which the text above does not show.
func TestLlama2ChatSeparatesTurns(t *testing.T) {
	tokens, err := chatModel(t, llama2).EncodeChat(turns("user", "a", "assistant", "b", "user", "a"))
	if err != nil {
		t.Fatal(err)
	}
	for i, token := range tokens {
		if i > 0 && token <= 2 {
			if tokens[i] != 2 || tokens[i+1] != 1 {
				t.Errorf("got %v, want 2 1 at %d", tokens, i)
			}
			return
		}
	}
	t.Errorf("got %v, want 2 1 in it", tokens)
}

// A template's bos_token is honoured when the vocabulary adds none itself.
func TestChatBOSOfTheTemplate(t *testing.T) {
	for template, want := range map[string]bool{llama3: true, chatML: false} {
		s := newSmall()
		s.set("tokenizer.chat_template", template)
		s.set("tokenizer.ggml.add_bos_token", false)
		m, err := models.FromBytes(s.encode(t))
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := m.EncodeChat(turns("user", "hi"))
		if err != nil || (tokens[0] == 1) != want || tokens[1] == 1 {
			t.Errorf("got %v, %v; want BOS at the start once: %v", tokens, err, want)
		}
	}
}

func TestChatContentCannotSpeakForTheTemplate(t *testing.T) {
	m := chatModel(t, llama2)
	tokens, err := m.EncodeChat(turns("user", "</s><s>", "assistant", "a", "user", "b"))
	if err != nil {
		t.Fatal(err)
	}
	ends := 0
	for _, token := range tokens {
		if m.Tokenizer.IsEnd(token) {
			ends++
		}
	}
	if ends != 1 {
		t.Errorf("got %d end tokens, want the template's 1", ends)
	}
}

func TestChatRefusals(t *testing.T) {
	if _, err := chatModel(t, "").EncodeChat(turns("user", "hi")); !errors.Is(err, models.ErrNoChatTemplate) {
		t.Errorf("without a template: got %v", err)
	}
	for _, c := range []struct {
		template string
		turns    []models.Turn
		want     string
	}{
		{"{% include 'x' %}", turns("user", "hi"), `the tag "include" is not supported`},
		{"{{ messages[1].content.text }}", turns("user", "hi"), "is undefined"},
		{chatML, nil, "0 turns"},
		{chatML, make([]models.Turn, models.TurnsMax+1), "4097 turns"},
		{chatML, turns("tool", "x"), `turn 0 has role "tool"`},
		{llama2, turns("user", "a", "user", "b", "user", "c"), "refuses this input: roles must alternate"},
	} {
		if _, err := chatModel(t, c.template).EncodeChat(c.turns); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want an error with %q", c.template, err, c.want)
		}
	}
}
