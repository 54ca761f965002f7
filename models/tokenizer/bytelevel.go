package tokenizer

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// merging is what a pair of neighbouring tokens becomes.
type merging struct {
	rank  uint32
	token Token
}

func mergeKey(left, right Token) uint64 { return uint64(uint32(left))<<32 | uint64(uint32(right)) }

// byteRunes is GPT-2's way of writing bytes as visible characters: printable
// Latin-1 stands for itself, the others are numbered from U+0100.
func byteRunes() (runes [256]rune) {
	next := rune(256)
	for b := range runes {
		printable := (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae
		if printable {
			runes[b] = rune(b)
		} else {
			runes[b] = next
			next++
		}
	}
	return runes
}

// prepareByteLevel fills what the "gpt2" model needs.
func (t *Tokenizer) prepareByteLevel() error {
	v := &t.vocabulary
	words, err := findSplitter(v.Pre)
	if err != nil {
		return err
	}
	t.words = words
	if len(v.Merges) == 0 {
		return errors.New("tokenizer: a gpt2 vocabulary needs merges and has none")
	}
	runes := byteRunes()
	bytesOf := make(map[rune]byte, len(runes))
	for b, r := range runes {
		bytesOf[r] = byte(b)
		t.bytes[b] = Absent
		if token, ok := t.matching[string(r)]; ok {
			t.bytes[b] = token
		}
	}
	t.pieces = make([][]byte, len(v.Tokens))
	for id, text := range v.Tokens {
		t.pieces[id] = []byte(text)
		if kind := t.kind(Token(id)); kind == Normal || kind == Unused {
			if piece, ok := spellBytes(text, bytesOf); ok {
				t.pieces[id] = piece
			}
		}
	}
	if t.words.wholeWords {
		t.wholeWords = make(map[string]Token, len(v.Tokens))
		for id, piece := range t.pieces {
			_, seen := t.wholeWords[string(piece)]
			if t.kind(Token(id)) == Normal && len(piece) > 0 && !seen {
				t.wholeWords[string(piece)] = Token(id)
			}
		}
	}
	return t.prepareMerges()
}

// spellBytes gives the bytes that a token's visible characters stand for. A
// token with other characters (some files have such) stands for its own text.
func spellBytes(text string, bytesOf map[rune]byte) ([]byte, bool) {
	piece := make([]byte, 0, len(text))
	for _, r := range text {
		b, ok := bytesOf[r]
		if !ok {
			return nil, false
		}
		piece = append(piece, b)
	}
	return piece, utf8.ValidString(text)
}

// prepareMerges resolves the merges to tokens. Both sides of a merge and its
// result must be tokens.
func (t *Tokenizer) prepareMerges() error {
	ids := make(map[string]Token, len(t.vocabulary.Tokens))
	for id, text := range t.vocabulary.Tokens {
		ids[text] = Token(id)
	}
	t.merges = make(map[uint64]merging, len(t.vocabulary.Merges))
	for rank, merge := range t.vocabulary.Merges {
		if merge == "" {
			return fmt.Errorf("tokenizer: merge %d is empty", rank)
		}
		// The first character is never the separator.
		space := strings.IndexByte(merge[1:], ' ') + 1
		if space == 0 {
			return fmt.Errorf("tokenizer: merge %d, %q, has no space between two tokens", rank, merge)
		}
		left, leftOK := ids[merge[:space]]
		right, rightOK := ids[merge[space+1:]]
		token, ok := ids[merge[:space]+merge[space+1:]]
		if !leftOK || !rightOK || !ok {
			return fmt.Errorf("tokenizer: merge %d, %q: a side or the result is not in the vocabulary", rank, merge)
		}
		key := mergeKey(left, right)
		if _, seen := t.merges[key]; !seen {
			t.merges[key] = merging{rank: uint32(rank), token: token}
		}
	}
	return nil
}

// encodeByteLevel appends the tokens of text: in each word, start with one
// symbol a byte and merge the neighbours whose merge has the lowest rank, the
// leftmost at equal ranks, until none is left.
func (t *Tokenizer) encodeByteLevel(tokens []Token, text string) []Token {
	var symbols []symbol
	t.words.split(text, func(word string) {
		if token, ok := t.wholeWords[word]; ok {
			tokens = append(tokens, token)
			return
		}
		symbols = symbols[:0]
		for i := range len(word) {
			if token := t.bytes[word[i]]; token != Absent {
				symbols = append(symbols, symbol{start: i, size: 1, token: token})
			}
		}
		link(symbols)
		mergeAll(symbols, func(left, right symbol) (uint32, Token, bool) {
			m, ok := t.merges[mergeKey(left.token, right.token)]
			return m.rank, m.token, ok
		})
		for i := 0; i >= 0 && i < len(symbols); i = symbols[i].next {
			tokens = append(tokens, symbols[i].token)
		}
	})
	return tokens
}
