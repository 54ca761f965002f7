package models

import (
	"errors"
	"fmt"
	"math"

	"verbatim/models/gguf"
	"verbatim/models/tokenizer"
)

// ReadVocabulary collects the tokenizer.ggml.* keys of a file. It also reads
// files that have a vocabulary and no weights.
func ReadVocabulary(file *gguf.File) (tokenizer.Vocabulary, error) {
	v := tokenizer.Vocabulary{}
	var err error
	if v.Model, err = file.String("tokenizer.ggml.model"); err != nil {
		return v, err
	}
	if v.Tokens, err = file.Strings("tokenizer.ggml.tokens"); err != nil {
		return v, err
	}
	if v.Pre, err = file.String("tokenizer.ggml.pre"); unlessAbsent(err) != nil {
		return v, err
	}
	if v.Scores, err = file.Floats("tokenizer.ggml.scores"); unlessAbsent(err) != nil {
		return v, err
	}
	if v.Merges, err = file.Strings("tokenizer.ggml.merges"); unlessAbsent(err) != nil {
		return v, err
	}
	types, err := file.Ints("tokenizer.ggml.token_type")
	if unlessAbsent(err) != nil {
		return v, err
	}
	if err == nil {
		v.Types = make([]tokenizer.Type, len(types))
		for i, kind := range types {
			v.Types[i] = tokenizer.Type(kind)
		}
	}
	if err := readNamedTokens(file, &v); err != nil {
		return v, err
	}
	return v, readRules(file, &v)
}

func unlessAbsent(err error) error {
	if errors.Is(err, gguf.ErrAbsent) {
		return nil
	}
	return err
}

// readNamedTokens reads the ids of special tokens. Converters write 0xFFFFFFFF
// (-1) for "none".
func readNamedTokens(file *gguf.File, v *tokenizer.Vocabulary) error {
	for _, named := range []struct {
		key   string
		token *tokenizer.Token
	}{
		{"tokenizer.ggml.bos_token_id", &v.BOS},
		{"tokenizer.ggml.eos_token_id", &v.EOS},
		{"tokenizer.ggml.eot_token_id", &v.EOT},
		{"tokenizer.ggml.eom_token_id", &v.EOM},
		{"tokenizer.ggml.unknown_token_id", &v.Unknown},
	} {
		*named.token = tokenizer.Absent
		id, err := file.Uint(named.key)
		if unlessAbsent(err) != nil {
			return err
		}
		if err != nil || id == math.MaxUint32 {
			continue
		}
		if id >= uint64(len(v.Tokens)) {
			return fmt.Errorf("model: key %q is %d, outside the vocabulary of %d tokens", named.key, id, len(v.Tokens))
		}
		*named.token = tokenizer.Token(id)
	}
	return nil
}

// readRules reads the yes-or-no rules; those that are absent stay nil.
func readRules(file *gguf.File, v *tokenizer.Vocabulary) error {
	for _, rule := range []struct {
		key    string
		choice **bool
	}{
		{"tokenizer.ggml.add_bos_token", &v.AddBOS},
		{"tokenizer.ggml.add_eos_token", &v.AddEOS},
		{"tokenizer.ggml.add_space_prefix", &v.AddSpacePrefix},
	} {
		yes, err := file.Bool(rule.key)
		if unlessAbsent(err) != nil {
			return err
		}
		if err == nil {
			*rule.choice = &yes
		}
	}
	return nil
}
