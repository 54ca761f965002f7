package transcript

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"verbatim/models/tokenizer"
)

// Tags begin everything that is hashed, so that no digest of one kind can be taken for another.
const (
	versionTag = "verbatim-transcript/1\n" // without a schema
	schemaTag  = "verbatim-transcript/2\n" // with one
	digestTag  = "verbatim-transcript-digest/1\n"
	tokensTag  = "verbatim-tokens/1\n"
)

// Encode is the canonical encoding of FORMAT.md. It fails when t is beyond a limit of the format.
func Encode(t *Transcript) ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	b := make([]byte, 0, 512+4*(len(t.Prompt)+len(t.Output))+len(t.Text)+len(t.Schema))
	if t.Schema == "" {
		b = append(b, versionTag...)
	} else {
		b = append(b, schemaTag...)
	}
	b = appendBytes(b, t.Arithmetic)
	b = append(b, t.Model[:]...)
	b = append(b, t.Vocabulary[:]...)
	b = append(b, t.Request[:]...)
	b = appendFloat(b, t.Sampling.Temperature)
	b = binary.LittleEndian.AppendUint32(b, t.Sampling.TopK)
	b = appendFloat(b, t.Sampling.TopP)
	b = appendFloat(b, t.Sampling.MinP)
	b = appendFloat(b, t.Sampling.RepetitionPenalty)
	b = binary.LittleEndian.AppendUint32(b, t.Sampling.RepetitionWindow)
	b = binary.LittleEndian.AppendUint64(b, t.Sampling.Seed)
	b = binary.LittleEndian.AppendUint32(b, t.MaxTokens)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(t.Stop)))
	for _, stop := range t.Stop {
		b = appendBytes(b, stop)
	}
	if t.Schema != "" {
		b = appendBytes(b, t.Schema)
	}
	b = appendTokens(b, t.Prompt)
	b = appendTokens(b, t.Output)
	b = appendBytes(b, string(t.Text))
	b = append(b, byte(t.Finish))
	return append(b, t.Trace[:]...), nil
}

func appendBytes(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
}

func appendFloat(b []byte, f float32) []byte {
	return binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
}

func appendTokens(b []byte, tokens []tokenizer.Token) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(tokens)))
	for _, token := range tokens {
		b = binary.LittleEndian.AppendUint32(b, uint32(token))
	}
	return b
}

// Digest commits to every field of t. It fails when t has no encoding.
func (t *Transcript) Digest() (Digest, error) {
	encoding, err := Encode(t)
	if err != nil {
		return Digest{}, err
	}
	return sha256.Sum256(append([]byte(digestTag), encoding...)), nil
}

// SchemaDigest is the digest of a schema's bytes.
func SchemaDigest(schema string) Digest { return sha256.Sum256([]byte(schema)) }

// TokensDigest is the digest of a list of token ids.
func TokensDigest(tokens []tokenizer.Token) Digest {
	return sha256.Sum256(appendTokens([]byte(tokensTag), tokens))
}

// check refuses numbers that have no place in a transcript. The ranges of the parameters are the sampler's business.
func (s Sampling) check() error {
	for _, f := range []struct {
		field string
		value float32
	}{
		{"temperature", s.Temperature}, {"top_p", s.TopP}, {"min_p", s.MinP}, {"repetition_penalty", s.RepetitionPenalty},
	} {
		// Signs and exponents of all ones are refused by bits: -0 would be a second encoding of 0.
		if bits := math.Float32bits(f.value); bits >= 0x7F800000 {
			return fmt.Errorf("transcript: %s is %v (bits 0x%08x): not a finite number without sign", f.field, f.value, bits)
		}
	}
	return nil
}

// CheckStops refuses stop strings that a transcript cannot hold.
func CheckStops(stops []string) error {
	if len(stops) > StopsMax {
		return fmt.Errorf("%d stop strings: at most %d", len(stops), StopsMax)
	}
	for i, stop := range stops {
		if len(stop) == 0 || len(stop) > StopBytesMax {
			return fmt.Errorf("stop[%d] has %d bytes: 1 to %d", i, len(stop), StopBytesMax)
		}
		if !utf8.ValidString(stop) {
			return fmt.Errorf("stop[%d] is not UTF-8", i)
		}
	}
	return nil
}

// Decode reads one canonical encoding and refuses every other input, trailing bytes included.
func Decode(b []byte) (*Transcript, error) {
	d := decoder{left: b}
	tag := string(d.take("version", len(versionTag)))
	if d.err == nil && tag != versionTag && tag != schemaTag {
		return nil, fmt.Errorf("transcript: the first bytes are %q, not %q or %q", tag, versionTag, schemaTag)
	}
	t := &Transcript{Arithmetic: string(d.bytes("arithmetic", ArithmeticBytesMax))}
	copy(t.Model[:], d.take("model", len(t.Model)))
	copy(t.Vocabulary[:], d.take("vocabulary", len(t.Vocabulary)))
	copy(t.Request[:], d.take("request", len(t.Request)))
	t.Sampling.Temperature = math.Float32frombits(d.uint32("temperature"))
	t.Sampling.TopK = d.uint32("top_k")
	t.Sampling.TopP = math.Float32frombits(d.uint32("top_p"))
	t.Sampling.MinP = math.Float32frombits(d.uint32("min_p"))
	t.Sampling.RepetitionPenalty = math.Float32frombits(d.uint32("repetition_penalty"))
	t.Sampling.RepetitionWindow = d.uint32("repetition_window")
	t.Sampling.Seed = d.uint64("seed")
	t.MaxTokens = d.uint32("max_tokens")
	for range d.count("stop", StopsMax, 4) {
		t.Stop = append(t.Stop, string(d.bytes("stop", StopBytesMax)))
	}
	if tag == schemaTag {
		t.Schema = string(d.bytes("schema", SchemaBytesMax))
		if d.err == nil && t.Schema == "" {
			return nil, fmt.Errorf("transcript: an empty schema: without one, the first bytes are %q", versionTag)
		}
	}
	t.Prompt = d.tokens("prompt_tokens")
	t.Output = d.tokens("output_tokens")
	t.Text = d.bytes("text", TextBytesMax)
	if finish := d.take("finish_reason", 1); d.err == nil {
		t.Finish = Finish(finish[0])
	}
	copy(t.Trace[:], d.take("trace", len(t.Trace)))
	if d.err != nil {
		return nil, d.err
	}
	if len(d.left) != 0 {
		return nil, fmt.Errorf("transcript: %d bytes after the end", len(d.left))
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	return t, nil
}

// decoder takes fields off the front; after the first error it returns zeros.
type decoder struct {
	left []byte
	err  error
}

var errTruncated = errors.New("truncated")

func (d *decoder) take(field string, n int) []byte {
	if d.err == nil && n > len(d.left) {
		d.err = fmt.Errorf("transcript: %s: %w: %d bytes wanted, %d left", field, errTruncated, n, len(d.left))
	}
	if d.err != nil {
		return nil
	}
	taken := d.left[:n:n]
	d.left = d.left[n:]
	return taken
}

func (d *decoder) uint32(field string) uint32 {
	if b := d.take(field, 4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64(field string) uint64 {
	if b := d.take(field, 8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// count reads a number of items of at least itemBytes each, and checks it before anything is allocated.
func (d *decoder) count(field string, countMax, itemBytes int) int {
	n := int64(d.uint32(field))
	if d.err != nil {
		return 0
	}
	if n > int64(countMax) {
		d.err = fmt.Errorf("transcript: %s: length %d: at most %d", field, n, countMax)
		return 0
	}
	if need := n * int64(itemBytes); need > int64(len(d.left)) {
		d.err = fmt.Errorf("transcript: %s: %w: %d bytes wanted, %d left", field, errTruncated, need, len(d.left))
		return 0
	}
	return int(n)
}

func (d *decoder) bytes(field string, bytesMax int) []byte {
	return append([]byte{}, d.take(field, d.count(field, bytesMax, 1))...)
}

func (d *decoder) tokens(field string) []tokenizer.Token {
	tokens := make([]tokenizer.Token, d.count(field, TokensMax, 4))
	for i := range tokens {
		tokens[i] = tokenizer.Token(d.uint32(field))
	}
	return tokens
}
