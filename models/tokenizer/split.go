package tokenizer

import "fmt"

// splitter is a pre-tokenizer: it cuts text into the words inside which merges
// happen. The published ones are regular expressions; here they are written out,
// so that no text makes them slow and no regular-expression engine decides bits.
//
// A splitter has stages. The first cuts the text into its matches and what lies
// between them; each later one cuts every piece that is left, seeing nothing
// beyond that piece's ends.
type splitter struct {
	stages     []stage
	wholeWords bool // a word that is a token is not merged from its bytes
	addsBOS    bool // unless the vocabulary says otherwise
}

// stage finds the first match in a text that is not empty: it begins after skip
// bytes and has size bytes. Size 0 means that there is none.
type stage func(text string) (skip, size int)

// preTokenizers lists the names that findSplitter knows, for people.
const preTokenizers = "llama-bpe, gpt-2, smollm, qwen2, deepseek-llm, deepseek-coder, default, starcoder, refact, command-r, mpt"

// findSplitter knows the pre-tokenizers by the names of tokenizer.ggml.pre.
func findSplitter(pre string) (splitter, error) {
	switch pre {
	case "llama-bpe", "llama3", "llama-v3":
		return splitter{stages: []stage{everywhere(nextLlamaBPE)}, wholeWords: true, addsBOS: true}, nil
	case "qwen2", "deepseek-r1-qwen":
		return splitter{stages: []stage{everywhere(nextQwen2)}}, nil
	case "gpt-2", "phi-2", "mpt":
		return splitter{stages: []stage{everywhere(nextGPT2)}}, nil
	case "smollm", "starcoder", "refact", "command-r":
		return splitter{stages: []stage{everywhere(nextSmolLM)}}, nil
	case "deepseek-llm":
		return splitter{stages: deepseekLLM()}, nil
	case "deepseek-coder":
		return splitter{stages: deepseekCoder()}, nil
	case "default":
		return splitter{stages: defaultStages()}, nil
	case "":
		return splitter{}, fmt.Errorf("tokenizer: the gpt2 vocabulary names no pre-tokenizer (tokenizer.ggml.pre; supported: %s)", preTokenizers)
	}
	return splitter{}, fmt.Errorf("tokenizer: pre-tokenizer %q is not supported (supported: %s)", pre, preTokenizers)
}

// everywhere is the stage of a function that gives the bytes of the first word
// of a text and so leaves nothing between words.
func everywhere(next func(text string) int) stage {
	return func(text string) (skip, size int) { return 0, next(text) }
}

// split calls word for each word of text, in order.
func (s splitter) split(text string, word func(text string)) { splitStages(s.stages, text, word) }

func splitStages(stages []stage, text string, word func(text string)) {
	if len(stages) == 0 {
		word(text)
		return
	}
	for len(text) > 0 {
		skip, size := stages[0](text)
		if size == 0 {
			skip = len(text)
		}
		if skip > 0 {
			splitStages(stages[1:], text[:skip], word)
		}
		if size > 0 {
			splitStages(stages[1:], text[skip:skip+size], word)
		}
		text = text[skip+size:]
	}
}

// nextLlamaBPE is the pre-tokenizer of Llama 3:
//
//	(?i:'s|'t|'re|'ve|'m|'ll|'d) | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N}{1,3}
//	| ?[^\s\p{L}\p{N}]+[\r\n]* | \s*[\r\n]+ | \s+(?!\S) | \s+
//
// As in llama.cpp, only ASCII letters match the contractions.
func nextLlamaBPE(text string) int { return nextWord(text, 3) }

// nextQwen2 is the pre-tokenizer of Qwen2: that of Llama 3, but every \p{N} is a
// word.
func nextQwen2(text string) int { return nextWord(text, 1) }

// nextWord is nextLlamaBPE with at most numbersMax characters in a number.
func nextWord(text string, numbersMax int) int {
	if n := contraction(text, true); n > 0 {
		return n
	}
	kind, size := classify(text)
	if kind == letter {
		return run(text, 0, letter, -1)
	}
	if kind == number {
		return run(text, 0, number, numbersMax)
	}
	if text[0] != '\r' && text[0] != '\n' {
		if end := run(text, size, letter, -1); end > size {
			return end
		}
	}
	start := 0
	if text[0] == ' ' {
		start = 1
	}
	if end := run(text, start, other, -1); end > start {
		for end < len(text) && (text[end] == '\r' || text[end] == '\n') {
			end++
		}
		return end
	}
	end := run(text, 0, space, -1)
	for i := end; i > 0; i-- {
		if text[i-1] == '\r' || text[i-1] == '\n' {
			return i
		}
	}
	return spaces(text, end)
}

// nextSmolLM is the pre-tokenizer of SmolLM: every \p{N} is a word, and what is
// between them is cut as GPT-2 does:
//
//	's|'t|'re|'ve|'m|'ll|'d | ?\p{L}+ | ?[^\s\p{L}\p{N}]+ | \s+(?!\S) | \s+
//
// where a number counts as the end of the text.
func nextSmolLM(text string) int {
	kind, size := classify(text)
	if kind == number {
		return size
	}
	if kind == space {
		end := run(text, 0, space, -1)
		if end < len(text) {
			if after, _ := classify(text[end:]); after == number {
				return end
			}
		}
	}
	return nextGPT2(text)
}

// nextGPT2 is the pre-tokenizer of GPT-2:
//
//	's|'t|'re|'ve|'m|'ll|'d | ?\p{L}+ | ?\p{N}+ | ?[^\s\p{L}\p{N}]+ | \s+(?!\S) | \s+
func nextGPT2(text string) int {
	if n := contraction(text, false); n > 0 {
		return n
	}
	start := 0
	if text[0] == ' ' {
		start = 1
	}
	for _, kind := range []class{letter, number, other} {
		if end := run(text, start, kind, -1); end > start {
			return end
		}
	}
	return spaces(text, run(text, 0, space, -1))
}

// spaces cuts white space that ends at end: the last character of several stays
// with the word that follows.
func spaces(text string, end int) int {
	if end == len(text) {
		return end
	}
	last := 0
	for i := 0; i < end; {
		_, size := classify(text[i:])
		last = i
		i += size
	}
	if last == 0 {
		return end
	}
	return last
}

// run is where a run of characters of one class that begins at start ends. At
// most charactersMax are taken; -1 means all.
func run(text string, start int, want class, charactersMax int) int {
	for start < len(text) && charactersMax != 0 {
		kind, size := classify(text[start:])
		if kind != want {
			break
		}
		start += size
		charactersMax--
	}
	return start
}

// contraction is the length of an English contraction at the start of text, or 0.
func contraction(text string, anyCase bool) int {
	if len(text) < 2 || text[0] != '\'' {
		return 0
	}
	at := func(i int) byte {
		if i >= len(text) {
			return 0
		}
		c := text[i]
		if anyCase && c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}
	switch at(1) {
	case 's', 't', 'm', 'd':
		return 2
	case 'r', 'v':
		if at(2) == 'e' {
			return 3
		}
	case 'l':
		if at(2) == 'l' {
			return 3
		}
	}
	return 0
}
