package transcript

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"verbatim/models/tokenizer"
)

// view is the JSON form: for people and for programs without a decoder of the canonical encoding. The digests in it are
// checked when it is read back. The seed is a string because many JSON readers keep only 53 bits of a number.
type view struct {
	Digest             Digest            `json:"digest"`
	Arithmetic         string            `json:"arithmetic"`
	Model              Digest            `json:"model"`
	Vocabulary         Digest            `json:"vocabulary"`
	Request            Digest            `json:"request"`
	Temperature        float32           `json:"temperature"`
	TopK               uint32            `json:"top_k"`
	TopP               float32           `json:"top_p"`
	MinP               float32           `json:"min_p"`
	RepetitionPenalty  float32           `json:"repetition_penalty"`
	RepetitionWindow   uint32            `json:"repetition_window"`
	Seed               string            `json:"seed"`
	MaxTokens          uint32            `json:"max_tokens"`
	Stop               []string          `json:"stop"`
	Schema             string            `json:"schema,omitempty"` // as text, since its bytes count
	SchemaDigest       *Digest           `json:"schema_digest,omitempty"`
	PromptTokens       []tokenizer.Token `json:"prompt_tokens"`
	PromptTokensDigest Digest            `json:"prompt_tokens_digest"`
	OutputTokens       []tokenizer.Token `json:"output_tokens"`
	OutputTokensDigest Digest            `json:"output_tokens_digest"`
	Text               *string           `json:"text,omitempty"`
	TextBase64         *[]byte           `json:"text_base64,omitempty"` // instead of text when it is not UTF-8
	FinishReason       string            `json:"finish_reason"`
	Trace              Digest            `json:"trace"`
}

// MarshalJSON writes the fields in the order of view, with the digests that follow from them.
func (t *Transcript) MarshalJSON() ([]byte, error) {
	digest, err := t.Digest()
	if err != nil {
		return nil, err
	}
	s := t.Sampling
	v := view{
		Digest: digest, Arithmetic: t.Arithmetic, Model: t.Model, Vocabulary: t.Vocabulary, Request: t.Request,
		Temperature: s.Temperature, TopK: s.TopK, TopP: s.TopP, MinP: s.MinP, RepetitionPenalty: s.RepetitionPenalty,
		RepetitionWindow: s.RepetitionWindow, Seed: strconv.FormatUint(s.Seed, 10), MaxTokens: t.MaxTokens,
		Stop: append([]string{}, t.Stop...), PromptTokens: t.Prompt, PromptTokensDigest: TokensDigest(t.Prompt),
		OutputTokens: t.Output, OutputTokensDigest: TokensDigest(t.Output), FinishReason: t.Finish.String(), Trace: t.Trace,
	}
	if t.Schema != "" {
		schemaDigest := SchemaDigest(t.Schema)
		v.Schema, v.SchemaDigest = t.Schema, &schemaDigest
	}
	if utf8.Valid(t.Text) {
		text := string(t.Text)
		v.Text = &text
	} else {
		v.TextBase64 = &t.Text
	}
	return json.Marshal(v)
}

// UnmarshalJSON reads what MarshalJSON writes. Unknown fields, missing fields and digests that do not follow from the
// other fields are refused.
func (t *Transcript) UnmarshalJSON(data []byte) error {
	var v view
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		return fmt.Errorf("transcript: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("transcript: something follows the JSON object")
	}
	seed, err := strconv.ParseUint(v.Seed, 10, 64)
	if err != nil || strconv.FormatUint(seed, 10) != v.Seed {
		return fmt.Errorf("transcript: seed %.40q is not a number below 2^64 in plain decimal", v.Seed)
	}
	finish, err := ParseFinish(v.FinishReason)
	if err != nil {
		return err
	}
	got := Transcript{
		Arithmetic: v.Arithmetic, Model: v.Model, Vocabulary: v.Vocabulary, Request: v.Request,
		Sampling:  Sampling{v.Temperature, v.TopK, v.TopP, v.MinP, v.RepetitionPenalty, v.RepetitionWindow, seed},
		MaxTokens: v.MaxTokens, Stop: v.Stop, Schema: v.Schema, Prompt: v.PromptTokens, Output: v.OutputTokens,
		Finish: finish, Trace: v.Trace,
	}
	switch {
	case v.Text != nil && v.TextBase64 == nil:
		got.Text = []byte(*v.Text)
	case v.Text == nil && v.TextBase64 != nil:
		got.Text = *v.TextBase64
	default:
		return fmt.Errorf("transcript: exactly one of text and text_base64 must be present")
	}
	if err := got.checkView(&v); err != nil {
		return err
	}
	*t = got
	return nil
}

// checkView compares the digests that a view states with those of its fields.
func (t *Transcript) checkView(v *view) error {
	digest, err := t.Digest()
	if err != nil {
		return err
	}
	if (v.Schema == "") != (v.SchemaDigest == nil) {
		return fmt.Errorf("transcript: schema and schema_digest: one is there without the other")
	}
	if v.SchemaDigest != nil && *v.SchemaDigest != SchemaDigest(t.Schema) {
		return fmt.Errorf("transcript: schema_digest is %v, but the schema gives %v", *v.SchemaDigest, SchemaDigest(t.Schema))
	}
	for _, pair := range []struct {
		field          string
		stated, actual Digest
	}{
		{"prompt_tokens_digest", v.PromptTokensDigest, TokensDigest(t.Prompt)},
		{"output_tokens_digest", v.OutputTokensDigest, TokensDigest(t.Output)},
		{"digest", v.Digest, digest},
	} {
		if pair.stated != pair.actual {
			return fmt.Errorf("transcript: %s is %v, but the fields give %v", pair.field, pair.stated, pair.actual)
		}
	}
	return nil
}
