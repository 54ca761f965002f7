package transcript

import (
	"fmt"
	"math"
	"strconv"

	"verbatim/models/tokenizer"
)

// Difference is the first field in which two transcripts differ.
type Difference struct {
	Field string // as in JSON
	Index int    // of the token, stop string or byte within the field; -1 when the field is a single value
	A, B  string // the two values, in words
}

func (d *Difference) String() string {
	field := d.Field
	if d.Index >= 0 {
		field = fmt.Sprintf("%s[%d]", d.Field, d.Index)
	}
	return fmt.Sprintf("%s: %s against %s", field, d.A, d.B)
}

// Compare is the first difference between a and b, or nil: what was asked first, then the tokens, then the rest.
func Compare(a, b *Transcript) *Difference {
	if d := CompareQuestion(a, b); d != nil {
		return d
	}
	if d := compareTokens("output_tokens", a.Output, b.Output); d != nil {
		return d
	}
	if d := single("finish_reason", a.Finish.String(), b.Finish.String()); d != nil {
		return d
	}
	if d := compareText(a.Text, b.Text); d != nil {
		return d
	}
	return single("trace", a.Trace.String(), b.Trace.String())
}

// CompareQuestion compares only what stands before the first sampled token: arithmetic, model, request, parameters and
// prompt.
func CompareQuestion(a, b *Transcript) *Difference {
	for _, pair := range [][3]string{
		{"arithmetic", a.Arithmetic, b.Arithmetic},
		{"model", a.Model.String(), b.Model.String()},
		{"vocabulary", a.Vocabulary.String(), b.Vocabulary.String()},
		{"request", a.Request.String(), b.Request.String()},
		{"temperature", floatWords(a.Sampling.Temperature), floatWords(b.Sampling.Temperature)},
		{"top_k", uintWords(a.Sampling.TopK), uintWords(b.Sampling.TopK)},
		{"top_p", floatWords(a.Sampling.TopP), floatWords(b.Sampling.TopP)},
		{"min_p", floatWords(a.Sampling.MinP), floatWords(b.Sampling.MinP)},
		{"repetition_penalty", floatWords(a.Sampling.RepetitionPenalty), floatWords(b.Sampling.RepetitionPenalty)},
		{"repetition_window", uintWords(a.Sampling.RepetitionWindow), uintWords(b.Sampling.RepetitionWindow)},
		{"seed", strconv.FormatUint(a.Sampling.Seed, 10), strconv.FormatUint(b.Sampling.Seed, 10)},
		{"max_tokens", uintWords(a.MaxTokens), uintWords(b.MaxTokens)},
	} {
		if d := single(pair[0], pair[1], pair[2]); d != nil {
			return d
		}
	}
	if d := compareStops(a.Stop, b.Stop); d != nil {
		return d
	}
	if a.Schema != b.Schema {
		return &Difference{Field: "schema", Index: -1, A: schemaWords(a.Schema), B: schemaWords(b.Schema)}
	}
	return compareTokens("prompt_tokens", a.Prompt, b.Prompt)
}

func schemaWords(schema string) string {
	if schema == "" {
		return "none"
	}
	return fmt.Sprintf("%+.40q (%v)", schema, SchemaDigest(schema))
}

func single(field, a, b string) *Difference {
	if a == b {
		return nil
	}
	return &Difference{Field: field, Index: -1, A: a, B: b}
}

// Floats are compared by bits and shown by value; the shortest decimal of a float32 is different for different bits.
func floatWords(f float32) string {
	if f == 0 && math.Signbit(float64(f)) {
		return "-0"
	}
	return strconv.FormatFloat(float64(f), 'g', -1, 32)
}

func uintWords(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

func compareTokens(field string, a, b []tokenizer.Token) *Difference {
	word := func(tokens []tokenizer.Token, i int) string {
		if i < len(tokens) {
			return fmt.Sprintf("token %d", tokens[i])
		}
		return fmt.Sprintf("nothing (%d tokens)", len(tokens))
	}
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return &Difference{Field: field, Index: i, A: word(a, i), B: word(b, i)}
		}
	}
	return nil
}

func compareStops(a, b []string) *Difference {
	word := func(stops []string, i int) string {
		if i < len(stops) {
			return strconv.Quote(stops[i])
		}
		return fmt.Sprintf("nothing (%d stop strings)", len(stops))
	}
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return &Difference{Field: "stop", Index: i, A: word(a, i), B: word(b, i)}
		}
	}
	return nil
}

func compareText(a, b []byte) *Difference {
	const excerptBytes = 24
	word := func(text []byte, i int) string {
		if i < len(text) {
			return strconv.Quote(string(text[i:min(i+excerptBytes, len(text))]))
		}
		return fmt.Sprintf("nothing (%d bytes)", len(text))
	}
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return &Difference{Field: "text", Index: i, A: word(a, i), B: word(b, i)}
		}
	}
	return nil
}
