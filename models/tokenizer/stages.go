package tokenizer

import "unicode/utf8"

// deepseekLLM is the pre-tokenizer of DeepSeek LLM:
//
//	[\r\n] ; \s?C+ ; \s?[!-/:-~！-／：-～‘-‟　-。]+ ; \s+$ ; [一-龥ࠀ-一가-퟿]+ ; \p{N}+
//
// where C is the list casedLetters. As in llama.cpp, U+3000 is white space and
// never one of the marks of the third stage.
func deepseekLLM() []stage {
	return []stage{
		lineBreak,
		spaced(func(r rune, _ class) bool { return contains(casedLetters[:], r) }),
		spaced(func(r rune, kind class) bool {
			return r >= '!' && r <= '/' || r >= ':' && r <= '~' || r >= '！' && r <= '／' || r >= '：' && r <= '～' ||
				r >= '‘' && r <= '‟' || r >= '　' && r <= '。' && kind != space
		}),
		trailingSpace,
		runs(1, unboundedRun, isHan),
		runs(1, unboundedRun, isNumber),
	}
}

// deepseekCoder is the pre-tokenizer of DeepSeek Coder:
//
//	[\r\n] ; \s?\p{L}+ ; \s?\p{P}+ ; [一-龥ࠀ-一가-퟿]+ ; \p{N}
func deepseekCoder() []stage {
	return []stage{
		lineBreak,
		spaced(func(_ rune, kind class) bool { return kind == letter }),
		spaced(isPunctuation),
		runs(1, unboundedRun, isHan),
		runs(1, 1, isNumber),
	}
}

// defaultStages is the pre-tokenizer that llama.cpp calls default:
//
//	[\p{P}$+<=>^~|]+ ; the expression of nextGPT2 ; \p{N}+ ; [0-9][0-9][0-9]
func defaultStages() []stage {
	return []stage{
		runs(1, unboundedRun, func(r rune, kind class) bool {
			switch r {
			case '$', '+', '<', '=', '>', '^', '~', '|':
				return true
			}
			return isPunctuation(r, kind)
		}),
		everywhere(nextGPT2),
		runs(1, unboundedRun, isNumber),
		runs(3, 3, func(r rune, _ class) bool { return r >= '0' && r <= '9' }),
	}
}

// unboundedRun is the limit of runs that have none.
const unboundedRun = TextBytesMax

// member says whether a character belongs to a set; kind is its class.
type member func(r rune, kind class) bool

func isNumber(_ rune, kind class) bool { return kind == number }

// isHan is [一-龥ࠀ-一가-퟿], which is more than Chinese and Korean.
func isHan(r rune, kind class) bool {
	return kind != space && (r >= 0x800 && r <= 0x9fa5 || r >= 0xac00 && r <= 0xd7ff)
}

// isPunctuation is \p{P}.
func isPunctuation(r rune, _ class) bool { return contains(punctuation[:], r) }

// lineBreak finds [\r\n].
func lineBreak(text string) (skip, size int) {
	for i := range len(text) {
		if text[i] == '\r' || text[i] == '\n' {
			return i, 1
		}
	}
	return 0, 0
}

// trailingSpace finds \s+$.
func trailingSpace(text string) (skip, size int) {
	start := len(text) // of the run of white space that i is in
	for i := 0; i < len(text); {
		kind, bytes := classify(text[i:])
		if kind != space {
			start = len(text)
		} else if start == len(text) {
			start = i
		}
		i += bytes
	}
	return start, len(text) - start
}

// runs finds from charactersMin to charactersMax characters of a set in a row.
func runs(charactersMin, charactersMax int, in member) stage {
	return func(text string) (skip, size int) {
		start, end, characters := 0, 0, 0
		for end < len(text) && characters < charactersMax {
			r, kind, bytes := character(text[end:])
			if in(r, kind) {
				characters++
				end += bytes
				continue
			}
			if characters >= charactersMin {
				break
			}
			end += bytes
			start, characters = end, 0
		}
		if characters < charactersMin {
			return 0, 0
		}
		return start, end - start
	}
}

// spaced finds characters of a set in a row, with the white space before them if
// there is any.
func spaced(in member) stage {
	words := runs(1, unboundedRun, in)
	return func(text string) (skip, size int) {
		skip, size = words(text)
		if size == 0 || skip == 0 {
			return skip, size
		}
		last := skip - 1
		for last > 0 && !utf8.RuneStart(text[last]) {
			last--
		}
		if kind, bytes := classify(text[last:]); kind == space && last+bytes == skip {
			return last, size + bytes
		}
		return skip, size
	}
}

// character gives the first character of text, its class and size. A byte of
// invalid UTF-8 is utf8.RuneError.
func character(text string) (r rune, kind class, size int) {
	r, size = utf8.DecodeRuneInString(text)
	kind, _ = classify(text)
	return r, kind, size
}

// casedLetters is the list of letters in DeepSeek's expression, ascending.
var casedLetters = [...]runeSpan{
	{0x41, 0x5a}, {0x61, 0x7a}, {0xb5, 0xb5}, {0xc0, 0xd6}, {0xd8, 0xf6}, {0xf8, 0x1ba},
	{0x1bc, 0x1bf}, {0x1c4, 0x293}, {0x295, 0x2af}, {0x370, 0x373}, {0x376, 0x377}, {0x37b, 0x37d},
	{0x37f, 0x37f}, {0x386, 0x386}, {0x388, 0x38a}, {0x38c, 0x38c}, {0x38e, 0x3a1}, {0x3a3, 0x3f5},
	{0x3f7, 0x481}, {0x48a, 0x52f}, {0x531, 0x556}, {0x10a0, 0x10c5}, {0x13a0, 0x13f5}, {0x13f8, 0x13fd},
	{0x1c90, 0x1cba}, {0x1cbd, 0x1cbf}, {0x1d00, 0x1d2b}, {0x1d6b, 0x1d77}, {0x1d79, 0x1d9a}, {0x1e00, 0x1f15},
	{0x1f18, 0x1f1d}, {0x1f20, 0x1f45}, {0x1f48, 0x1f4d}, {0x1f50, 0x1f57}, {0x1f59, 0x1f59}, {0x1f5b, 0x1f5b},
	{0x1f5d, 0x1f5d}, {0x1f5f, 0x1f7d}, {0x1f80, 0x1fb4}, {0x1fb6, 0x1fbc}, {0x1fbe, 0x1fbe}, {0x1fc2, 0x1fc4},
	{0x1fc6, 0x1fcc}, {0x1fd0, 0x1fd3}, {0x1fd6, 0x1fdb}, {0x1fe0, 0x1fec}, {0x1ff2, 0x1ff4}, {0x1ff6, 0x1ffc},
	{0x2102, 0x2102}, {0x2107, 0x2107}, {0x210a, 0x2113}, {0x2115, 0x2115}, {0x2119, 0x211d}, {0x2124, 0x2124},
	{0x2126, 0x2126}, {0x2128, 0x2128}, {0x212a, 0x212d}, {0x212f, 0x2134}, {0x2139, 0x2139}, {0x213c, 0x213f},
	{0x2145, 0x2149}, {0x214e, 0x214e}, {0x2183, 0x2184}, {0x2c00, 0x2c7b}, {0x2c7e, 0x2ce4}, {0x2ceb, 0x2cee},
	{0x2cf2, 0x2cf3}, {0xa640, 0xa66d}, {0xa680, 0xa69b}, {0xa722, 0xa76f}, {0xa771, 0xa787}, {0xa78b, 0xa78e},
	{0xab70, 0xabbf}, {0xfb00, 0xfb06}, {0xfb13, 0xfb17}, {0xff21, 0xff3a}, {0xff41, 0xff5a}, {0x10400, 0x1044f},
	{0x104b0, 0x104d3}, {0x104d8, 0x104fb}, {0x10c80, 0x10cb2}, {0x10cc0, 0x10cf2}, {0x118a0, 0x118df}, {0x1e900, 0x1e943},
}
