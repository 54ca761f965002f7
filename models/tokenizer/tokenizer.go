// Package tokenizer turns text into the tokens of a model's vocabulary and back.
//
// Two algorithms are known, named as in GGUF files: "llama" (SentencePiece
// merging by score, with byte fallback) and "gpt2" (byte-level BPE with merge
// ranks, after a pre-tokenizer has cut the text into words).
//
// Invariants: the same vocabulary and text give the same tokens on every
// machine and with every Go release (the Unicode classes are pinned, see
// UnicodeVersion). Plain text never yields a control token; only parts that the
// caller marks as special do. Any bytes are accepted as text, also invalid UTF-8.
//
// What comes back from Decode is the text that went into Encode, except that
// SentencePiece vocabularies write a space as U+2581, so that a U+2581 in the
// text comes back as a space, and that bytes for which a vocabulary has no
// token are lost: see Encode. The package reads no files and knows no chat
// templates.
package tokenizer

import (
	"errors"
	"fmt"
	"math"
)

// Token is the number of a token in its vocabulary.
type Token int32

// Absent stands for a token that a vocabulary does not have.
const Absent Token = -1

// Limits on vocabularies and texts.
const (
	TokensMax     = 1 << 20
	TokenBytesMax = 1 << 16
	MergesMax     = 1 << 22
	TextBytesMax  = 1 << 24
)

// Type says what a token is for. The numbers are those of GGUF files.
type Type int32

// The token types of GGUF.
const (
	Normal      Type = 1
	Unknown     Type = 2
	Control     Type = 3
	UserDefined Type = 4
	Unused      Type = 5
	Byte        Type = 6
)

// Vocabulary is everything that decides how text becomes tokens.
type Vocabulary struct {
	Model  string    // "llama" or "gpt2"
	Pre    string    // name of the pre-tokenizer, for gpt2
	Tokens []string  // text of each token
	Scores []float32 // of each token; llama only
	Types  []Type    // of each token; nil when all are normal
	Merges []string  // "left right", best first; gpt2 only

	// Absent when the vocabulary does not name them.
	BOS, EOS, EOT, EOM, Unknown Token

	// nil asks for the default of the model and pre-tokenizer.
	AddBOS, AddEOS, AddSpacePrefix *bool
}

// Tokenizer encodes and decodes with one vocabulary. It never changes after New
// and may be used from several goroutines.
type Tokenizer struct {
	vocabulary Vocabulary
	addBOS     bool
	addEOS     bool
	addSpace   bool // a space before the text and after special tokens

	pieces   [][]byte         // bytes that each token stands for in a text
	matching map[string]Token // tokens that plain text may become, by their text
	bytes    [256]Token       // token of each single byte, or Absent
	specials []Token          // tokens found in the text before anything else, longest first
	ends     []Token          // ascending

	words      splitter           // gpt2
	wholeWords map[string]Token   // gpt2: words that are not merged, if the splitter wants it
	merges     map[uint64]merging // gpt2, by mergeKey
	digest     [32]byte
}

// New checks a vocabulary and prepares it. It keeps the slices of v.
func New(v Vocabulary) (*Tokenizer, error) {
	if err := v.check(); err != nil {
		return nil, err
	}
	t := &Tokenizer{vocabulary: v, matching: make(map[string]Token, len(v.Tokens))}
	for id, text := range v.Tokens {
		if !t.matchesPlainText(Token(id)) || text == "" {
			continue
		}
		if first, seen := t.matching[text]; seen {
			return nil, fmt.Errorf("tokenizer: tokens %d and %d are both %q", first, id, text)
		}
		t.matching[text] = Token(id)
	}
	var err error
	switch v.Model {
	case "llama":
		err = t.prepareSentencePiece()
	case "gpt2":
		err = t.prepareByteLevel()
	default:
		err = fmt.Errorf("tokenizer: model %q is not supported (supported: llama, gpt2)", v.Model)
	}
	if err != nil {
		return nil, err
	}
	if err := t.applyRules(); err != nil {
		return nil, err
	}
	t.findSpecials()
	t.findEnds()
	t.digest = t.computeDigest()
	return t, nil
}

func (v *Vocabulary) check() error {
	n := len(v.Tokens)
	switch {
	case n == 0:
		return errors.New("tokenizer: the vocabulary is empty")
	case n > TokensMax:
		return fmt.Errorf("tokenizer: %d tokens exceed the limit of %d", n, TokensMax)
	case len(v.Merges) > MergesMax:
		return fmt.Errorf("tokenizer: %d merges exceed the limit of %d", len(v.Merges), MergesMax)
	case v.Types != nil && len(v.Types) != n:
		return fmt.Errorf("tokenizer: %d token types for %d tokens", len(v.Types), n)
	}
	for id, text := range v.Tokens {
		if len(text) > TokenBytesMax {
			return fmt.Errorf("tokenizer: token %d has %d bytes, more than the limit of %d", id, len(text), TokenBytesMax)
		}
	}
	for id, kind := range v.Types {
		if kind < Normal || kind > Byte {
			return fmt.Errorf("tokenizer: token %d has unknown type %d", id, kind)
		}
	}
	for id, score := range v.Scores {
		if math.IsNaN(float64(score)) || math.IsInf(float64(score), 0) {
			return fmt.Errorf("tokenizer: token %d has score %v, which is not finite", id, score)
		}
	}
	for _, named := range []struct {
		name  string
		token Token
	}{{"bos", v.BOS}, {"eos", v.EOS}, {"eot", v.EOT}, {"eom", v.EOM}, {"unknown", v.Unknown}} {
		if named.token != Absent && (named.token < 0 || int(named.token) >= n) {
			return fmt.Errorf("tokenizer: the %s token is %d, outside the vocabulary of %d", named.name, named.token, n)
		}
	}
	return nil
}

// applyRules settles the questions that vocabularies often leave open, as
// llama.cpp does: "llama" and the Llama 3 pre-tokenizer add a BOS token, and
// "llama" a space before the text, unless the vocabulary says otherwise.
func (t *Tokenizer) applyRules() error {
	v := &t.vocabulary
	sentencePiece := v.Model == "llama"
	choose := func(choice *bool, otherwise bool) bool {
		if choice != nil {
			return *choice
		}
		return otherwise
	}
	t.addBOS = choose(v.AddBOS, v.BOS != Absent && (sentencePiece || t.words.addsBOS))
	t.addEOS = choose(v.AddEOS, false)
	t.addSpace = sentencePiece && choose(v.AddSpacePrefix, true)
	if t.addBOS && v.BOS == Absent {
		return errors.New("tokenizer: the vocabulary asks for a BOS token and names none")
	}
	if t.addEOS && v.EOS == Absent {
		return errors.New("tokenizer: the vocabulary asks for an EOS token and names none")
	}
	return nil
}

// kind is the type of a token of the vocabulary.
func (t *Tokenizer) kind(token Token) Type {
	if t.vocabulary.Types == nil {
		return Normal
	}
	return t.vocabulary.Types[token]
}

// matchesPlainText says whether text that is not marked special may become this
// token. llama.cpp lets merges reach control tokens too ("</s>" typed by a user
// ends up as the EOS token); SentencePiece itself does not, nor do we.
func (t *Tokenizer) matchesPlainText(token Token) bool {
	kind := t.kind(token)
	return kind == Normal || kind == UserDefined || kind == Unused
}

// findEnds collects the tokens that end an answer: those that the vocabulary
// names, and control tokens with the texts that chat models use. Files often
// name only one of them.
func (t *Tokenizer) findEnds() {
	v := &t.vocabulary
	for id, text := range v.Tokens {
		token := Token(id)
		named := token == v.EOS || token == v.EOT || token == v.EOM
		if named || (t.kind(token) == Control && isEndText(text)) {
			t.ends = append(t.ends, token)
		}
	}
}

func isEndText(text string) bool {
	switch text {
	case "</s>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|endoftext|>", "<|im_end|>":
		return true
	}
	return false
}

// Size is the number of tokens.
func (t *Tokenizer) Size() int { return len(t.vocabulary.Tokens) }

// BOS is the token that begins a sequence.
func (t *Tokenizer) BOS() (Token, bool) { return t.vocabulary.BOS, t.vocabulary.BOS != Absent }

// EOS is the token that ends a sequence.
func (t *Tokenizer) EOS() (Token, bool) { return t.vocabulary.EOS, t.vocabulary.EOS != Absent }

// AddsBOS says whether EncodeOptions.BOS has an effect.
func (t *Tokenizer) AddsBOS() bool { return t.addBOS }

// IsEnd says whether the token ends an answer.
func (t *Tokenizer) IsEnd(token Token) bool {
	for _, end := range t.ends {
		if token == end {
			return true
		}
	}
	return false
}

// Ends lists the tokens that end an answer, ascending.
func (t *Tokenizer) Ends() []Token { return append([]Token(nil), t.ends...) }

// Contains says whether the token is in the vocabulary.
func (t *Tokenizer) Contains(token Token) bool {
	return token >= 0 && int(token) < len(t.vocabulary.Tokens)
}

// Digest identifies the vocabulary and its rules: see computeDigest.
func (t *Tokenizer) Digest() [32]byte { return t.digest }
