package tokenizer

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// wordMark is how SentencePiece vocabularies write a space.
const wordMark = "\u2581"

// prepareSentencePiece fills what the "llama" model needs.
func (t *Tokenizer) prepareSentencePiece() error {
	v := &t.vocabulary
	if len(v.Scores) != len(v.Tokens) {
		return fmt.Errorf("tokenizer: %d scores for %d tokens", len(v.Scores), len(v.Tokens))
	}
	t.pieces = make([][]byte, len(v.Tokens))
	for i := range t.bytes {
		t.bytes[i] = Absent
	}
	for id, text := range v.Tokens {
		switch t.kind(Token(id)) {
		case Byte:
			b, err := parseByteToken(text)
			if err != nil {
				return fmt.Errorf("tokenizer: token %d: %w", id, err)
			}
			if t.bytes[b] != Absent {
				return fmt.Errorf("tokenizer: tokens %d and %d are both the byte %#02x", t.bytes[b], id, b)
			}
			t.bytes[b] = Token(id)
			t.pieces[id] = []byte{b}
		case Normal, Unused:
			t.pieces[id] = []byte(strings.ReplaceAll(text, wordMark, " "))
		default:
			t.pieces[id] = []byte(text)
		}
	}
	t.defaultSpecials()
	return nil
}

// defaultSpecials names the tokens that the first "llama" files left unnamed:
// 0 unknown, 1 BOS, 2 EOS, when they are of the right type.
func (t *Tokenizer) defaultSpecials() {
	v := &t.vocabulary
	for _, d := range []struct {
		name  *Token
		token Token
		kind  Type
	}{{&v.Unknown, 0, Unknown}, {&v.BOS, 1, Control}, {&v.EOS, 2, Control}} {
		if *d.name == Absent && t.Contains(d.token) && t.kind(d.token) == d.kind {
			*d.name = d.token
		}
	}
}

// parseByteToken reads a text like "<0x0A>".
func parseByteToken(text string) (byte, error) {
	if len(text) == 6 && strings.HasPrefix(text, "<0x") && text[5] == '>' {
		if n, err := strconv.ParseUint(text[3:5], 16, 8); err == nil {
			return byte(n), nil
		}
	}
	return 0, fmt.Errorf("%q is not a byte token (like <0x0A>)", text)
}

// encodeSentencePiece appends the tokens of text: start with one symbol a
// character and merge the two neighbours whose joint text is the token with the
// best score, the leftmost at equal scores, until no joint text is a token. A
// space goes before the text if the vocabulary asks for one.
func (t *Tokenizer) encodeSentencePiece(tokens []Token, text string) ([]Token, error) {
	if t.addSpace {
		text = " " + text
	}
	text = strings.ReplaceAll(text, " ", wordMark)
	symbols := make([]symbol, 0, len(text))
	for start := 0; start < len(text); {
		_, size := utf8.DecodeRuneInString(text[start:])
		token, ok := t.matching[text[start:start+size]]
		if !ok {
			token = Absent
		}
		symbols = append(symbols, symbol{start: start, size: size, token: token})
		start += size
	}
	link(symbols)
	mergeAll(symbols, func(left, right symbol) (uint32, Token, bool) {
		token, ok := t.matching[text[left.start:right.start+right.size]]
		if !ok {
			return 0, Absent, false
		}
		return descending(t.vocabulary.Scores[token]), token, true
	})
	for i := 0; i >= 0 && i < len(symbols); i = symbols[i].next {
		s := symbols[i]
		if s.token != Absent {
			tokens = append(tokens, s.token)
			continue
		}
		var err error
		if tokens, err = t.fallBack(tokens, text[s.start:s.start+s.size]); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// fallBack appends the bytes of a character that is no token.
func (t *Tokenizer) fallBack(tokens []Token, character string) ([]Token, error) {
	complete := true
	for i := range len(character) {
		complete = complete && t.bytes[character[i]] != Absent
	}
	if complete {
		for i := range len(character) {
			tokens = append(tokens, t.bytes[character[i]])
		}
		return tokens, nil
	}
	if t.vocabulary.Unknown == Absent {
		return nil, fmt.Errorf("tokenizer: %q has no token, nor have its bytes, and the vocabulary has no unknown token", character)
	}
	return append(tokens, t.vocabulary.Unknown), nil
}

// descending maps finite floats to integers in the opposite order, equal floats
// to equal integers.
func descending(score float32) uint32 {
	bits := math.Float32bits(score + 0) // -0 becomes +0
	if bits>>31 == 0 {
		return ^(bits | 1<<31)
	}
	return bits
}
