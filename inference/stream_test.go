package inference

import (
	"fmt"
	"strings"
	"testing"

	"verbatim/models/tokenizer"
)

// byteTokenizer has one token a byte, so that tests cut texts wherever they like.
func byteTokenizer(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	v := tokenizer.Vocabulary{Model: "llama", BOS: tokenizer.Absent, EOS: tokenizer.Absent, EOT: tokenizer.Absent, EOM: tokenizer.Absent, Unknown: tokenizer.Absent}
	for b := range 256 {
		v.Tokens = append(v.Tokens, fmt.Sprintf("<0x%02X>", b))
		v.Types = append(v.Types, tokenizer.Byte)
		v.Scores = append(v.Scores, 0)
	}
	no := false
	v.AddSpacePrefix = &no
	tok, err := tokenizer.New(v)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// Each text is written byte by byte; "|" in want separates what is released at once.
func TestStream(t *testing.T) {
	tok := byteTokenizer(t)
	for _, c := range []struct {
		text    string
		stops   []string
		want    string
		stopped bool
	}{
		{"abc", nil, "a|b|c", false},
		{"aü€😀", nil, "a|ü|€|😀", false},
		{"a\xffb\xe2\x82", nil, "a|\xff|b|\xe2\x82", false}, // never completed
		{"xstopy", []string{"stop"}, "x", true},
		{"xstoy", []string{"stop"}, "x|stoy", false},
		{"xsto", []string{"stop"}, "x|sto", false}, // ends while it might still be one
		{"ststop", []string{"stop"}, "st", true},
		{"aab", []string{"ab"}, "a", true},
		{"xüy", []string{"üy"}, "x", true},
		{"xyz", []string{"z", "yz"}, "x", true}, // the one that begins first
		{"abcd", []string{"bcx", "cd"}, "a|b", true},
		{"stop", []string{"stop"}, "", true},
	} {
		s := newStream(tok, nil, c.stops)
		var released []string
		stopped := false
		for i := 0; i < len(c.text) && !stopped; i++ {
			stopped = s.write(tokenizer.Token(c.text[i]))
			if piece := s.release(); piece != "" {
				released = append(released, piece)
			}
		}
		if !stopped {
			s.finish()
		}
		if piece := s.rest(); piece != "" {
			released = append(released, piece)
		}
		if got := strings.Join(released, "|"); got != c.want || stopped != c.stopped || string(s.text) != strings.Join(released, "") {
			t.Errorf("%q with stops %q: got %q, stopped %v, text %q; want %q, %v", c.text, c.stops, got, stopped, s.text, c.want, c.stopped)
		}
	}
}
