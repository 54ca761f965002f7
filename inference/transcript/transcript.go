// Package transcript is the record of one inference: what was asked of which model under which arithmetic, which tokens
// came out, and a digest of the hidden state behind each of them.
//
// Invariants: a transcript has exactly one encoding and Decode accepts nothing else; its Digest commits to every field;
// equal digests mean that every sampled token came from the same bits. The format is FORMAT.md.
//
// The package computes no tokens and judges no answer: package inference makes transcripts and recomputes them.
package transcript

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"unicode/utf8"

	"verbatim/models/tokenizer"
)

// Limits of the format. A transcript beyond them cannot be encoded.
const (
	ArithmeticBytesMax = 64      // of the name of the arithmetic
	TokensMax          = 1 << 22 // of the prompt, and of the output
	TextBytesMax       = 1 << 26 // of the output text
	StopsMax           = 16      // stop strings
	StopBytesMax       = 256     // of one stop string
	SchemaBytesMax     = 1 << 16 // of the schema
)

// Digest is a SHA-256 digest.
type Digest [sha256.Size]byte

// String is the digest in lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is the zero digest, which is that of nothing.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText is String for JSON.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText accepts what String writes and nothing else.
func (d *Digest) UnmarshalText(text []byte) error {
	got, err := ParseDigest(string(text))
	if err != nil {
		return err
	}
	*d = got
	return nil
}

// ParseDigest reads 64 lower-case hexadecimal digits.
func ParseDigest(text string) (Digest, error) {
	var d Digest
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(d) || hex.EncodeToString(raw) != text {
		return d, fmt.Errorf("transcript: %.80q is not a digest (%d lower-case hexadecimal digits)", text, 2*len(d))
	}
	copy(d[:], raw)
	return d, nil
}

// Sampling holds the parameters that turn logits into a token. Their meaning is section 11 of kernels/SPEC.md.
type Sampling struct {
	Temperature       float32
	TopK              uint32 // 0: off
	TopP              float32
	MinP              float32
	RepetitionPenalty float32
	RepetitionWindow  uint32 // tokens
	Seed              uint64
}

// Finish says why an inference ended.
type Finish uint8

// The reasons, in the order in which they are looked for after each token.
const (
	FinishStop       Finish = 1 // the model's end token, which is the last output token
	FinishStopString Finish = 2 // a stop string appeared in the text
	FinishLength     Finish = 3 // max_tokens were sampled
	FinishWindow     Finish = 4 // prompt and output fill the context window
)

var finishNames = [...]string{FinishStop: "stop", FinishStopString: "stop_string", FinishLength: "length", FinishWindow: "window"}

// String is the name used in JSON.
func (f Finish) String() string {
	if f.valid() {
		return finishNames[f]
	}
	return fmt.Sprintf("finish %d", uint8(f))
}

func (f Finish) valid() bool { return f >= FinishStop && f <= FinishWindow }

// ParseFinish is the inverse of String.
func ParseFinish(name string) (Finish, error) {
	for f := FinishStop; f.valid(); f++ {
		if finishNames[f] == name {
			return f, nil
		}
	}
	return 0, fmt.Errorf("transcript: finish reason %.40q is not one of %q", name, finishNames[FinishStop:])
}

// Transcript is the record of one inference.
type Transcript struct {
	Arithmetic string // kernels.Version
	Model      Digest // of the model's file
	Vocabulary Digest // of its vocabulary
	Request    Digest // of the canonical request
	Sampling   Sampling
	MaxTokens  uint32
	Stop       []string          // stop strings, in the order given
	Schema     string            // JSON schema that the text is held to; "": none, and version 1 of the format
	Prompt     []tokenizer.Token // token ids, at least one
	Output     []tokenizer.Token // every sampled token, the end token included, at least one
	Text       []byte            // the output's bytes, cut before a stop string; not always UTF-8
	Finish     Finish
	Trace      Digest // of the hidden states: see Trace
}

// check refuses what the format has no encoding for.
func (t *Transcript) check() error {
	if n := len(t.Arithmetic); n == 0 || n > ArithmeticBytesMax {
		return fmt.Errorf("transcript: arithmetic of %d bytes: it has 1 to %d", n, ArithmeticBytesMax)
	}
	for i := range len(t.Arithmetic) {
		if c := t.Arithmetic[i]; c <= ' ' || c > '~' {
			return fmt.Errorf("transcript: arithmetic %q is not printable ASCII without spaces", t.Arithmetic)
		}
	}
	if err := t.Sampling.check(); err != nil {
		return err
	}
	if err := CheckStops(t.Stop); err != nil {
		return fmt.Errorf("transcript: %w", err)
	}
	if len(t.Schema) > SchemaBytesMax {
		return fmt.Errorf("transcript: schema of %d bytes: at most %d", len(t.Schema), SchemaBytesMax)
	}
	if !utf8.ValidString(t.Schema) {
		return fmt.Errorf("transcript: schema is not UTF-8")
	}
	if err := checkTokens("prompt_tokens", t.Prompt); err != nil {
		return err
	}
	if err := checkTokens("output_tokens", t.Output); err != nil {
		return err
	}
	if len(t.Text) > TextBytesMax {
		return fmt.Errorf("transcript: text of %d bytes: at most %d", len(t.Text), TextBytesMax)
	}
	if !t.Finish.valid() {
		return fmt.Errorf("transcript: finish reason %d is unknown", t.Finish)
	}
	return nil
}

func checkTokens(field string, tokens []tokenizer.Token) error {
	if n := len(tokens); n == 0 || n > TokensMax {
		return fmt.Errorf("transcript: %s has %d tokens: 1 to %d", field, n, TokensMax)
	}
	for i, token := range tokens {
		if token < 0 {
			return fmt.Errorf("transcript: %s[%d] is %d: a token id is not negative", field, i, token)
		}
	}
	return nil
}
