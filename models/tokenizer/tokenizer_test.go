package tokenizer_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"verbatim/models/tokenizer"
)

type entry struct {
	text  string
	kind  tokenizer.Type
	score float32
}

// sentencePiece is a vocabulary with <unk>, <s>, </s>, all bytes from 3 on, and
// then the given entries from 259 on.
func sentencePiece(entries ...entry) tokenizer.Vocabulary {
	list := []entry{{"<unk>", tokenizer.Unknown, 0}, {"<s>", tokenizer.Control, 0}, {"</s>", tokenizer.Control, 0}}
	for b := range 256 {
		list = append(list, entry{fmt.Sprintf("<0x%02X>", b), tokenizer.Byte, 0})
	}
	v := empty("llama")
	for _, e := range append(list, entries...) {
		v.Tokens = append(v.Tokens, e.text)
		v.Types = append(v.Types, e.kind)
		v.Scores = append(v.Scores, e.score)
	}
	return v
}

func empty(model string) tokenizer.Vocabulary {
	return tokenizer.Vocabulary{
		Model: model, BOS: tokenizer.Absent, EOS: tokenizer.Absent, EOT: tokenizer.Absent, EOM: tokenizer.Absent, Unknown: tokenizer.Absent,
	}
}

func stories() tokenizer.Vocabulary {
	return sentencePiece(
		entry{"▁", tokenizer.Normal, -1}, entry{"a", tokenizer.Normal, -2}, entry{"b", tokenizer.Normal, -3},
		entry{"ab", tokenizer.Normal, -5}, entry{"ba", tokenizer.Normal, -5}, entry{"▁a", tokenizer.Normal, -4},
		entry{"<", tokenizer.Normal, -9}, entry{"/s", tokenizer.Normal, -9}, entry{">", tokenizer.Normal, -9},
		entry{"</s", tokenizer.Normal, -9}, entry{"<end>", tokenizer.UserDefined, 0}, entry{"é", tokenizer.Normal, -6},
	)
}

// byteLevel is a gpt2 vocabulary with all bytes (as GPT-2 writes them, token =
// byte value), the results of the merges, and two control tokens at its end.
func byteLevel(pre string, merges ...string) tokenizer.Vocabulary {
	v := empty("gpt2")
	v.Pre, v.Merges = pre, merges
	next := 256
	for b := range 256 {
		r := rune(b)
		if b < '!' || (b > '~' && b < 0xa1) || b == 0xad {
			r = rune(next)
			next++
		}
		v.Tokens = append(v.Tokens, string(r))
	}
	for _, merge := range merges {
		v.Tokens = append(v.Tokens, strings.Replace(merge, " ", "", 1))
	}
	for range v.Tokens {
		v.Types = append(v.Types, tokenizer.Normal)
	}
	v.Tokens = append(v.Tokens, "<|begin|>", "<|im_end|>")
	v.Types = append(v.Types, tokenizer.Control, tokenizer.Control)
	v.BOS = tokenizer.Token(len(v.Tokens) - 2)
	return v
}

func hello(pre string) tokenizer.Vocabulary {
	return byteLevel(pre, "h e", "l l", "he ll", "Ġ w", "hell o", "Ġ Ġ")
}

func newTokenizer(t testing.TB, v tokenizer.Vocabulary) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.New(v)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func yes(b bool) *bool { return &b }

type tokens = []tokenizer.Token

func TestSentencePieceEncoding(t *testing.T) {
	tok := newTokenizer(t, stories())
	plain, special := tokenizer.EncodeOptions{}, tokenizer.EncodeOptions{Special: true}
	for _, c := range []struct {
		text    string
		options tokenizer.EncodeOptions
		want    tokens
	}{
		{"", plain, nil},
		{"", tokenizer.EncodeOptions{BOS: true}, tokens{1}},
		{"a", tokenizer.EncodeOptions{BOS: true}, tokens{1, 264}},
		{" a", plain, tokens{259, 264}},
		{"ab", plain, tokens{264, 261}},           // ▁a (-4) before ab (-5)
		{"bab", plain, tokens{259, 263, 261}},     // ba and ab at -5: the leftmost
		{"bé", plain, tokens{259, 261, 270}},      // a character that is a token
		{"bü", plain, tokens{259, 261, 198, 191}}, // its bytes, when it is not
		{"b\xfe", plain, tokens{259, 261, 257}},
		{"</s>", plain, tokens{259, 268, 267}}, // text, not the control token
		{"</s>a", special, tokens{2, 264}},
		{"b<end>b", plain, tokens{259, 261, 269, 259, 261}},
		{"<unk>", special, tokens{0}},
	} {
		got, err := tok.Encode(c.text, c.options)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q %+v: got %v, %v; want %v", c.text, c.options, got, err, c.want)
		}
	}
}

func TestByteLevelEncoding(t *testing.T) {
	for _, c := range []struct {
		pre, text string
		special   bool
		want      tokens
	}{
		{"smollm", "hello world", false, tokens{260, 259, 'o', 'r', 'l', 'd'}},
		{"smollm", "hehell", false, tokens{256, 258}},
		{"smollm", "  1", false, tokens{261, '1'}},
		{"llama-bpe", "  1", false, tokens{' ', ' ', '1'}},
		{"smollm", "\x00\xff", false, tokens{0, 255}},
		{"smollm", "he<|im_end|>", false, tokens{256, '<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|', '>'}},
		{"smollm", "he<|im_end|>ll", true, tokens{256, 263, 257}},
	} {
		tok := newTokenizer(t, hello(c.pre))
		got, err := tok.Encode(c.text, tokenizer.EncodeOptions{Special: c.special})
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s, %q: got %v, %v; want %v", c.pre, c.text, got, err, c.want)
		}
	}
}

// With llama-bpe a word that is a token is taken whole, even if no merges lead
// to it; with smollm merges decide alone.
func TestWholeWords(t *testing.T) {
	for pre, want := range map[string]tokens{"llama-bpe": {257}, "smollm": {'x', 'y', 'z'}} {
		v := byteLevel(pre, "h e")
		v.Tokens = append(v.Tokens[:257], append([]string{"xyz"}, v.Tokens[257:]...)...)
		v.Types = append([]tokenizer.Type{tokenizer.Normal}, v.Types...)
		v.BOS++
		got, err := newTokenizer(t, v).Encode("xyz", tokenizer.EncodeOptions{})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, %v; want %v", pre, got, err, want)
		}
	}
}

func TestBytesWithoutTokens(t *testing.T) {
	v := hello("smollm")
	v.Tokens[1] = "no byte" // the byte 1 has no token any more
	got, err := newTokenizer(t, v).Encode("a\x01b", tokenizer.EncodeOptions{})
	if want := (tokens{'a', 'b'}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("gpt2: got %v, %v; want %v", got, err, want)
	}
	v = empty("llama")
	v.Tokens, v.Scores = []string{"a", "▁"}, []float32{0, 0}
	if _, err := newTokenizer(t, v).Encode("ab", tokenizer.EncodeOptions{}); err == nil || !strings.Contains(err.Error(), `"b" has no token`) {
		t.Errorf("llama: got %v", err)
	}
	v.Unknown = 0
	got, err = newTokenizer(t, v).Encode("b", tokenizer.EncodeOptions{})
	if want := (tokens{1, 0}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("llama with an unknown token: got %v, %v; want %v", got, err, want)
	}
}

func TestRules(t *testing.T) {
	encode := func(v tokenizer.Vocabulary) tokens {
		got, err := newTokenizer(t, v).Encode("b", tokenizer.EncodeOptions{BOS: true})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	check := func(name string, got, want tokens) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	v := stories()
	v.AddBOS = yes(false)
	check("llama without BOS", encode(v), tokens{259, 261})
	v = stories()
	v.AddEOS, v.AddSpacePrefix = yes(true), yes(false)
	check("llama with EOS and no space", encode(v), tokens{1, 261, 2})
	check("smollm by default", encode(hello("smollm")), tokens{'b'})
	check("llama-bpe by default", encode(hello("llama-bpe")), tokens{262, 'b'})
	w := hello("smollm")
	w.AddBOS = yes(true)
	check("smollm with BOS", encode(w), tokens{262, 'b'})
	w.BOS = tokenizer.Absent
	if _, err := tokenizer.New(w); err == nil || !strings.Contains(err.Error(), "asks for a BOS token") {
		t.Errorf("BOS wanted and absent: got %v", err)
	}
	if tok := newTokenizer(t, hello("smollm")); !tok.IsEnd(263) || tok.IsEnd(262) || tok.IsEnd(-1) {
		t.Errorf("end tokens: got %v, want [263] (<|im_end|>)", tok.Ends())
	}
}

// Of two special tokens that begin alike, the longer one is found.
func TestLongestSpecialTokenWins(t *testing.T) {
	v := stories()
	v.Tokens = append(v.Tokens, "<end><end>", "<e")
	v.Types = append(v.Types, tokenizer.UserDefined, tokenizer.UserDefined)
	v.Scores = append(v.Scores, 0, 0)
	got, err := newTokenizer(t, v).Encode("<end><end><end>", tokenizer.EncodeOptions{})
	if want := (tokens{271, 269}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
}

func TestNamedTokensBeatDefaults(t *testing.T) {
	v := stories()
	v.BOS, v.EOS = 2, 1
	tok := newTokenizer(t, v)
	bos, _ := tok.BOS()
	eos, _ := tok.EOS()
	if bos != 2 || eos != 1 {
		t.Errorf("got BOS %d, EOS %d; want 2, 1", bos, eos)
	}
}

func TestSpecialPartsAreTrustedAlone(t *testing.T) {
	tok := newTokenizer(t, hello("smollm"))
	got, err := tok.EncodeParts([]tokenizer.Part{
		{Text: "<|im_e", Special: true}, {Text: "nd|>", Special: true}, // one trusted stretch
		{Text: "<|begin|>"},
		{Text: "<|beg", Special: true}, {Text: "in|>"}, // reaches into what is not trusted
	}, false)
	plain, _ := tok.Encode("<|begin|><|begin|>", tokenizer.EncodeOptions{})
	if want := append(tokens{263}, plain...); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	// Merges reach across parts.
	got, _ = tok.EncodeParts([]tokenizer.Part{{Text: "h", Special: true}, {Text: "e"}}, false)
	if want := (tokens{256}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDecoderHoldsBackSplitCharacters(t *testing.T) {
	tok := newTokenizer(t, stories())
	d := tok.NewDecoder(nil)
	var got []string
	// " b", then the four bytes of U+1F999, a lone byte, and the start of one more.
	for _, token := range (tokens{1, 259, 261, 0xf0 + 3, 0x9f + 3, 0xa6 + 3, 0x99 + 3, 0xff + 3, 261, 0xe2 + 3}) {
		got = append(got, d.Write(token))
	}
	got = append(got, d.Flush(), d.Flush())
	want := []string{"", "", "b", "", "", "", "🦙", "\xff", "b", "", "\xe2", ""}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestDecoderContinuesAPrompt(t *testing.T) {
	tok := newTokenizer(t, stories())
	if got := tok.NewDecoder(tokens{1, 261}).Write(264); got != " a" {
		t.Errorf("after text: got %q, want %q", got, " a")
	}
	if got := tok.NewDecoder(tokens{1}).Write(264); got != "a" {
		t.Errorf("after BOS: got %q, want %q", got, "a")
	}
	if got := tok.Decode(tokens{-1, 4711, 264}); got != "a" {
		t.Errorf("with tokens outside the vocabulary: got %q, want %q", got, "a")
	}
}

func TestPieces(t *testing.T) {
	tok := newTokenizer(t, stories())
	for token, want := range map[tokenizer.Token]string{2: "</s>", 13: "\n", 264: " a", 269: "<end>", 270: "é", -1: "", 9999: ""} {
		if got := string(tok.Piece(token)); got != want {
			t.Errorf("piece %d: got %q, want %q", token, got, want)
		}
	}
	if got := string(newTokenizer(t, hello("smollm")).Piece(259)); got != " w" {
		t.Errorf("byte-level piece: got %q, want %q", got, " w")
	}
}

func TestBadVocabulariesAreRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(v *tokenizer.Vocabulary)
		gpt2  bool
		want  string
	}{
		{"empty", func(v *tokenizer.Vocabulary) { v.Tokens = nil }, false, "is empty"},
		{"model", func(v *tokenizer.Vocabulary) { v.Model = "t5" }, false, `model "t5" is not supported`},
		{"types", func(v *tokenizer.Vocabulary) { v.Types = v.Types[1:] }, false, "270 token types for 271 tokens"},
		{"type", func(v *tokenizer.Vocabulary) { v.Types[7] = 9 }, false, "token 7 has unknown type 9"},
		{"scores", func(v *tokenizer.Vocabulary) { v.Scores = nil }, false, "0 scores for 271 tokens"},
		{"score", func(v *tokenizer.Vocabulary) { v.Scores[4] = float32(math.NaN()) }, false, "token 4 has score NaN"},
		{"bos", func(v *tokenizer.Vocabulary) { v.BOS = 271 }, false, "the bos token is 271, outside"},
		{"negative", func(v *tokenizer.Vocabulary) { v.EOT = -2 }, false, "the eot token is -2, outside"},
		{"twice", func(v *tokenizer.Vocabulary) { v.Tokens[260] = "b" }, false, `tokens 260 and 261 are both "b"`},
		{"byte", func(v *tokenizer.Vocabulary) { v.Tokens[5] = "<0xG0>" }, false, "not a byte token"},
		{"byte twice", func(v *tokenizer.Vocabulary) { v.Tokens[5] = "<0x03>" }, false, "tokens 5 and 6 are both the byte 0x03"},
		{"long token", func(v *tokenizer.Vocabulary) { v.Tokens[260] = strings.Repeat("x", tokenizer.TokenBytesMax+1) }, false, "token 260 has 65537 bytes"},
		{"long token at the limit", func(v *tokenizer.Vocabulary) { v.Tokens[260] = strings.Repeat("x", tokenizer.TokenBytesMax) }, false, ""},
		{"many tokens", func(v *tokenizer.Vocabulary) { v.Tokens = make([]string, tokenizer.TokensMax+1) }, false, "1048577 tokens exceed"},
		{"many merges", func(v *tokenizer.Vocabulary) { v.Merges = make([]string, tokenizer.MergesMax+1) }, true, "4194305 merges exceed"},
		{"no merges", func(v *tokenizer.Vocabulary) { v.Merges = nil }, true, "needs merges"},
		{"no pre-tokenizer", func(v *tokenizer.Vocabulary) { v.Pre = "" }, true, "names no pre-tokenizer"},
		{"pre-tokenizer", func(v *tokenizer.Vocabulary) { v.Pre = "tekken" }, true, `"tekken" is not supported (supported: llama-bpe, gpt-2, `},
		{"merge", func(v *tokenizer.Vocabulary) { v.Merges[0] = "he" }, true, `merge 0, "he", has no space`},
		{"empty merge", func(v *tokenizer.Vocabulary) { v.Merges[0] = "" }, true, "merge 0 is empty"},
		{"merge of strangers", func(v *tokenizer.Vocabulary) { v.Merges[0] = "h x" }, true, "not in the vocabulary"},
	} {
		v := stories()
		if c.gpt2 {
			v = hello("smollm")
		}
		c.spoil(&v)
		_, err := tokenizer.New(v)
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
	tok := newTokenizer(t, stories())
	if _, err := tok.Encode(strings.Repeat("a", tokenizer.TextBytesMax+1), tokenizer.EncodeOptions{}); err == nil || !strings.Contains(err.Error(), "limit of 16777216") {
		t.Errorf("long text: got %v", err)
	}
}

// Golden digests: they stand in receipts, so a change here is a change of the
// encoding's version.
func TestDigests(t *testing.T) {
	for _, c := range []struct {
		name string
		v    tokenizer.Vocabulary
		want string
	}{
		{"stories", stories(), "7a886b6ca03c19694d296c581536aca02e4d7ce5900634ddb67f71737f34b55b"},
		{"hello", hello("smollm"), "5787613c8e4d4c0d925601000c6b10d70723e955e4e825cd1a06b301897b1926"},
	} {
		digest := newTokenizer(t, c.v).Digest()
		if got := hex.EncodeToString(digest[:]); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// Whatever can change how text is read changes the digest.
func TestDigestSeesEveryPart(t *testing.T) {
	for name, change := range map[string]func(v *tokenizer.Vocabulary){
		"token":   func(v *tokenizer.Vocabulary) { v.Tokens[270] = "è" },
		"type":    func(v *tokenizer.Vocabulary) { v.Types[270] = tokenizer.Control },
		"score":   func(v *tokenizer.Vocabulary) { v.Scores[270] = -7 },
		"eot":     func(v *tokenizer.Vocabulary) { v.EOT = 5 },
		"add bos": func(v *tokenizer.Vocabulary) { v.AddBOS = yes(false) },
		"add eos": func(v *tokenizer.Vocabulary) { v.AddEOS = yes(true) },
		"space":   func(v *tokenizer.Vocabulary) { v.AddSpacePrefix = yes(false) },
	} {
		v := stories()
		change(&v)
		if newTokenizer(t, v).Digest() == newTokenizer(t, stories()).Digest() {
			t.Errorf("%s: the digest did not change", name)
		}
	}
	v := hello("smollm")
	v.Merges[0], v.Merges[1] = v.Merges[1], v.Merges[0]
	if newTokenizer(t, v).Digest() == newTokenizer(t, hello("smollm")).Digest() {
		t.Error("order of merges: the digest did not change")
	}
	// What is left open and what is said outright are the same rules.
	same := stories()
	same.BOS, same.EOS, same.Unknown, same.AddBOS, same.AddEOS, same.AddSpacePrefix = 1, 2, 0, yes(true), yes(false), yes(true)
	if newTokenizer(t, same).Digest() != newTokenizer(t, stories()).Digest() {
		t.Error("the same rules, spelled out: the digest changed")
	}
}

func FuzzRoundTrip(f *testing.F) {
	for _, text := range []string{"", "hello world", " ab  </s><end>\n", "é🦙\xff\xe2", "I'LL 12345 '", "<|im_end|>"} {
		f.Add(text)
	}
	list := map[string]*tokenizer.Tokenizer{"llama": newTokenizer(f, stories())}
	for _, pre := range []string{"llama-bpe", "smollm", "gpt-2", "qwen2", "deepseek-llm", "deepseek-coder", "default"} {
		list[pre] = newTokenizer(f, hello(pre))
	}
	f.Fuzz(func(t *testing.T, text string) {
		for name, tok := range list {
			want := text
			if name == "llama" {
				want = strings.ReplaceAll(text, "\u2581", " ")
			}
			encoded, err := tok.Encode(text, tokenizer.EncodeOptions{BOS: true})
			if err != nil {
				t.Fatalf("%s, %q: %v", name, text, err)
			}
			if got := tok.Decode(encoded); got != want {
				t.Errorf("%s: got %q, want %q, tokens %v", name, got, want, encoded)
			}
			d := tok.NewDecoder(nil)
			var streamed strings.Builder
			for i, token := range encoded {
				if bos, _ := tok.BOS(); tok.IsEnd(token) || (token == bos && i > 0) {
					t.Errorf("%s, %q: text became the control token %d", name, text, token)
				}
				chunk := d.Write(token)
				if utf8.ValidString(want) && !utf8.ValidString(chunk) {
					t.Errorf("%s, %q: the stream was split inside a character: %q", name, text, chunk)
				}
				streamed.WriteString(chunk)
			}
			streamed.WriteString(d.Flush())
			if streamed.String() != want {
				t.Errorf("%s: streamed %q, want %q", name, streamed.String(), want)
			}
		}
	})
}
