package models_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"verbatim/models"
	"verbatim/models/gguf"
	"verbatim/models/tokenizer"
)

// shared is a file of the folder of reference models, or a skip.
func shared(t testing.TB, parts ...string) string {
	t.Helper()
	folder := os.Getenv("VERBATIM_SHARED")
	if folder == "" {
		t.Skip("VERBATIM_SHARED does not name the folder of reference models")
	}
	path := filepath.Join(append([]string{folder, "models"}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("reference file is absent: %v", err)
	}
	return path
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func openTokenizer(t testing.TB, path string) *tokenizer.Tokenizer {
	t.Helper()
	file, err := gguf.Parse(readFile(t, path))
	if err != nil {
		t.Fatal(err)
	}
	v, err := models.ReadVocabulary(file)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.New(v)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// checkCases runs llama.cpp's vocabulary tests: texts in one file, a line of ids for
// each in another. The last of the 47 is empty.
func checkCases(t *testing.T, tok *tokenizer.Tokenizer, input, output string) {
	t.Helper()
	texts := strings.Split(string(readFile(t, input)), "\n__ggml_vocab_test__\n")
	lines := strings.Split(string(readFile(t, output)), "\n")
	if len(texts) != len(lines) || len(texts) != 47 {
		t.Fatalf("%d texts and %d lines of ids, want 47 of each", len(texts), len(lines))
	}
	for i, text := range texts {
		var want []tokenizer.Token
		for _, field := range strings.Fields(lines[i]) {
			id, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, tokenizer.Token(id))
		}
		got, err := tok.Encode(text, tokenizer.EncodeOptions{})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("case %d, %q:\n got %v, %v\nwant %v", i, text, got, err, want)
		}
		if back := tok.Decode(got); back != text {
			t.Errorf("case %d: decoded %q, want %q", i, back, text)
		}
	}
}

func TestLlamaSentencePieceCases(t *testing.T) {
	path := shared(t, "vocab", "ggml-vocab-llama-spm.gguf")
	checkCases(t, openTokenizer(t, path), path+".inp", path+".out")
}

// llama.cpp's own vocabularies and cases.
func TestPublishedVocabularies(t *testing.T) {
	folder := filepath.Join("cache", "vocabularies")
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("the vocabularies are absent (models/fetch.sh vocabularies fetches them): %v", err)
	}
	for _, name := range []string{
		"llama-spm", "phi-3", "llama-bpe", "gpt-2", "qwen2", "deepseek-llm", "deepseek-coder", "starcoder", "refact", "command-r", "mpt",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(folder, "ggml-vocab-"+name+".gguf")
			tok := openTokenizer(t, path)
			checkCases(t, tok, path+".inp", path+".out")
			checkRoundTrips(t, tok)
		})
	}
}

// checkRoundTrips encodes and decodes texts put together from pieces that
// tokenizers find hard.
func checkRoundTrips(t *testing.T, tok *tokenizer.Tokenizer) {
	t.Helper()
	pieces := []string{
		"a", " ", "  ", "\n", "\r\n", "\t", "'s", "'LL", "Hello", " wörld", "中文", "한국어", "ｶﾅ", "١٢٣", "3.14159", "1000000", "½", "🦙", "👩‍👩‍👧",
		"e\u0301", "\u00a0", "\u3000", "\u200b", "...", "!?", "</s>", "<|im_end|>", "<0x41>", "ﬁ", "Ǆ", "\u2028", "{}", "ÿ", "\U000e0041",
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var b strings.Builder
		for range 1 + random.IntN(12) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		text := b.String()
		tokens, err := tok.Encode(text, tokenizer.EncodeOptions{})
		if got := tok.Decode(tokens); err != nil || got != text {
			t.Fatalf("got %q, %v; want %q, tokens %v", got, err, text, tokens)
		}
	}
}

func TestDeepSeekCoderCases(t *testing.T) {
	path := shared(t, "vocab", "ggml-vocab-deepseek-coder.gguf")
	checkCases(t, openTokenizer(t, path), path+".inp", path+".out")
}

func TestLlama2Prompts(t *testing.T) {
	tok := openTokenizer(t, shared(t, "vocab", "ggml-vocab-llama-spm.gguf"))
	var cases []struct {
		Prompt string
		BOS    bool
		IDs    []tokenizer.Token
	}
	if err := json.Unmarshal(readFile(t, shared(t, "golden", "llama2_tokenizer_test_c.json")), &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) != 5 {
		t.Fatalf("got %d cases, want 5", len(cases))
	}
	for _, c := range cases {
		got, err := tok.Encode(c.Prompt, tokenizer.EncodeOptions{BOS: c.BOS})
		if err != nil || !reflect.DeepEqual(got, c.IDs) {
			t.Errorf("%q:\n got %v, %v\nwant %v", c.Prompt, got, err, c.IDs)
		}
	}
}
