package tokenizer

import (
	"fmt"
	"sort"
	"strings"
)

// EncodeOptions are the choices of a caller of Encode.
type EncodeOptions struct {
	BOS     bool // add the BOS and EOS tokens that the vocabulary asks for
	Special bool // let the text of a control token become that token
}

// Part is a stretch of text. Control tokens are looked for only inside special
// parts, so that a template's "<|im_end|>" is a token and a user's is text. The
// parts are otherwise one text: words and merges reach across them.
type Part struct {
	Text    string
	Special bool
}

// Encode turns text into tokens.
//
// With a "llama" vocabulary, a character without a token becomes byte tokens,
// or the unknown token, or an error if there is neither. With a "gpt2"
// vocabulary, a byte without a token is left out, as llama.cpp and Hugging
// Face's tokenizers do; vocabularies trained without them usually lack a few
// control characters and bytes that UTF-8 never uses.
func (t *Tokenizer) Encode(text string, options EncodeOptions) ([]Token, error) {
	return t.EncodeParts([]Part{{Text: text, Special: options.Special}}, options.BOS)
}

// EncodeParts turns a text made of parts into tokens; bos is EncodeOptions.BOS.
func (t *Tokenizer) EncodeParts(parts []Part, bos bool) ([]Token, error) {
	size := 0
	for _, part := range parts {
		if len(part.Text) > TextBytesMax-size {
			return nil, fmt.Errorf("tokenizer: the text exceeds the limit of %d bytes", TextBytesMax)
		}
		size += len(part.Text)
	}
	var tokens []Token
	if bos && t.addBOS {
		tokens = append(tokens, t.vocabulary.BOS)
	}
	for _, f := range t.findFragments(parts) {
		if f.token != Absent {
			tokens = append(tokens, f.token)
			continue
		}
		var err error
		if t.vocabulary.Model == "llama" {
			// A fragment of text is at the start or after a special token.
			tokens, err = t.encodeSentencePiece(tokens, f.text)
		} else {
			tokens = t.encodeByteLevel(tokens, f.text)
		}
		if err != nil {
			return nil, err
		}
	}
	if bos && t.addEOS {
		tokens = append(tokens, t.vocabulary.EOS)
	}
	return tokens, nil
}

// fragment is a special token, or a stretch of text between special tokens.
type fragment struct {
	start, end int // in the text of all parts
	text       string
	token      Token // Absent for text
}

// findSpecials lists the tokens that are looked for in the text itself, longest
// text first, so that the longer of two that begin alike wins.
func (t *Tokenizer) findSpecials() {
	for id, text := range t.vocabulary.Tokens {
		switch t.kind(Token(id)) {
		case Control, Unknown, UserDefined:
			if text != "" {
				t.specials = append(t.specials, Token(id))
			}
		}
	}
	texts := t.vocabulary.Tokens
	sort.SliceStable(t.specials, func(a, b int) bool {
		return len(texts[t.specials[a]]) > len(texts[t.specials[b]])
	})
}

// findFragments cuts the text at special tokens: user-defined ones everywhere,
// the others inside special parts. Like llama.cpp it takes one special token
// after the other, the longest first, and looks for it in what is still text.
func (t *Tokenizer) findFragments(parts []Part) []fragment {
	var text strings.Builder
	var trusted []span
	for _, part := range parts {
		start := text.Len()
		text.WriteString(part.Text)
		if !part.Special {
			continue
		}
		if last := len(trusted) - 1; last >= 0 && trusted[last].end == start {
			trusted[last].end = text.Len()
		} else {
			trusted = append(trusted, span{start, text.Len()})
		}
	}
	if text.Len() == 0 {
		return nil
	}
	whole := text.String()
	fragments := []fragment{{start: 0, end: len(whole), text: whole, token: Absent}}
	for _, special := range t.specials {
		if t.kind(special) != UserDefined && len(trusted) == 0 {
			continue
		}
		if strings.Contains(whole, t.vocabulary.Tokens[special]) {
			fragments = t.cutAt(special, whole, fragments, trusted)
		}
	}
	return fragments
}

// span is a range of byte offsets.
type span struct{ start, end int }

// cutAt cuts the text fragments at every occurrence of one special token.
func (t *Tokenizer) cutAt(special Token, whole string, fragments []fragment, trusted []span) []fragment {
	needle := t.vocabulary.Tokens[special]
	everywhere := t.kind(special) == UserDefined
	var out []fragment
	for _, f := range fragments {
		if f.token != Absent {
			out = append(out, f)
			continue
		}
		start, from := f.start, f.start
		for {
			i := strings.Index(whole[from:f.end], needle)
			if i < 0 {
				break
			}
			at := from + i
			if !everywhere && !within(trusted, at, at+len(needle)) {
				from = at + 1
				continue
			}
			if at > start {
				out = append(out, fragment{start, at, whole[start:at], Absent})
			}
			start, from = at+len(needle), at+len(needle)
			out = append(out, fragment{at, start, "", special})
		}
		if start < f.end {
			out = append(out, fragment{start, f.end, whole[start:f.end], Absent})
		}
	}
	return out
}

// within says whether one of the ascending spans holds [start, end).
func within(spans []span, start, end int) bool {
	i := sort.Search(len(spans), func(i int) bool { return spans[i].end > start })
	return i < len(spans) && spans[i].start <= start && end <= spans[i].end
}
