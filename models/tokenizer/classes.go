package tokenizer

import (
	"sort"
	"unicode/utf8"
)

//go:generate go run generate.go

// UnicodeVersion is the version of Unicode whose classes L, N and P cut words. It is
// pinned by a table in this package: a Go release with newer tables would cut
// texts with new characters differently.
const UnicodeVersion = "15.0.0"

// class is what a pre-tokenizer distinguishes in a character.
type class uint8

const (
	other  class = iota // also each byte of invalid UTF-8
	letter              // \p{L}
	number              // \p{N}
	space               // \s: the property White_Space
)

// runeSpan is an inclusive range of characters.
type runeSpan struct{ low, high rune }

// classify gives the class and the size in bytes of the first character of text.
func classify(text string) (class, int) {
	if c := text[0]; c < utf8.RuneSelf {
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			return letter, 1
		case c >= '0' && c <= '9':
			return number, 1
		case c == ' ' || (c >= '\t' && c <= '\r'):
			return space, 1
		}
		return other, 1
	}
	r, size := utf8.DecodeRuneInString(text)
	switch {
	case r == utf8.RuneError && size == 1:
		return other, 1
	case isSpace(r):
		return space, size
	case contains(letters[:], r):
		return letter, size
	case contains(numbers[:], r):
		return number, size
	}
	return other, size
}

// isSpace is White_Space beyond ASCII, which has not changed since Unicode 6.3.
func isSpace(r rune) bool {
	switch r {
	case 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000:
		return true
	}
	return r >= 0x2000 && r <= 0x200a
}

func contains(spans []runeSpan, r rune) bool {
	i := sort.Search(len(spans), func(i int) bool { return spans[i].high >= r })
	return i < len(spans) && spans[i].low <= r
}
