package tokenizer

import (
	"math"
	"reflect"
	"testing"
	"unicode"
)

func words(next func(string) int, text string) []string {
	var list []string
	for len(text) > 0 {
		n := next(text)
		list = append(list, text[:n])
		text = text[n:]
	}
	return list
}

// Expected words follow from the regular expressions in the comments of
// nextLlamaBPE and nextSmolLM.
func TestSplitters(t *testing.T) {
	for _, c := range []struct {
		text          string
		llama, smollm []string
	}{
		{"Hello world", []string{"Hello", " world"}, []string{"Hello", " world"}},
		{"I'm we'LL 'til", []string{"I", "'m", " we", "'LL", " '", "til"}, []string{"I", "'m", " we", "'", "LL", " '", "til"}},
		{"'ve'Ve'd'l", []string{"'ve", "'Ve", "'d", "'l"}, []string{"'ve", "'", "Ve", "'d", "'", "l"}},
		{"12345", []string{"123", "45"}, []string{"1", "2", "3", "4", "5"}},
		{"a 1", []string{"a", " ", "1"}, []string{"a", " ", "1"}},
		{"a  1", []string{"a", " ", " ", "1"}, []string{"a", "  ", "1"}},
		{"a  b", []string{"a", " ", " b"}, []string{"a", " ", " b"}},
		{"a\tb", []string{"a", "\tb"}, []string{"a", "\t", "b"}},
		{"a\t\tb", []string{"a", "\t", "\tb"}, []string{"a", "\t", "\t", "b"}},
		{"x\n\n  y", []string{"x", "\n\n", " ", " y"}, []string{"x", "\n\n ", " y"}},
		{"  \n \n", []string{"  \n \n"}, []string{"  \n \n"}},
		{"end  ", []string{"end", "  "}, []string{"end", "  "}},
		{"a, b!\r\nc", []string{"a", ",", " b", "!\r\n", "c"}, []string{"a", ",", " b", "!", "\r", "\n", "c"}},
		{"(word)", []string{"(word", ")"}, []string{"(", "word", ")"}},
		{" ?!", []string{" ?!"}, []string{" ?!"}},
		{"中文3天", []string{"中文", "3", "天"}, []string{"中文", "3", "天"}},
		{"½Ⅷ٣४", []string{"½Ⅷ٣", "४"}, []string{"½", "Ⅷ", "٣", "४"}},
		{"e\u0301a", []string{"e", "\u0301a"}, []string{"e", "\u0301", "a"}},
		{"a\u00a0\u3000b", []string{"a", "\u00a0", "\u3000b"}, []string{"a", "\u00a0", "\u3000", "b"}},
		{"'\u017f", []string{"'\u017f"}, []string{"'", "\u017f"}},
		{"\xffa\xff\xfe", []string{"\xffa", "\xff\xfe"}, []string{"\xff", "a", "\xff\xfe"}},
		{"_x__y", []string{"_x", "__", "y"}, []string{"_", "x", "__", "y"}},
	} {
		if got := words(nextLlamaBPE, c.text); !reflect.DeepEqual(got, c.llama) {
			t.Errorf("llama-bpe of %q:\n got %q\nwant %q", c.text, got, c.llama)
		}
		if got := words(nextSmolLM, c.text); !reflect.DeepEqual(got, c.smollm) {
			t.Errorf("smollm of %q:\n got %q\nwant %q", c.text, got, c.smollm)
		}
	}
}

// The pinned classes are those of the Unicode version that they name, checked
// when the Go release at hand has the same.
func TestClassesArePinned(t *testing.T) {
	if unicode.Version != UnicodeVersion {
		t.Skipf("this Go has Unicode %s, the tables have %s", unicode.Version, UnicodeVersion)
	}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if r >= 0xd800 && r <= 0xdfff {
			continue
		}
		want := other
		switch {
		case unicode.Is(unicode.White_Space, r):
			want = space
		case unicode.Is(unicode.L, r):
			want = letter
		case unicode.Is(unicode.N, r):
			want = number
		}
		if got, size := classify(string(r)); got != want || size != len(string(r)) {
			t.Fatalf("class of %U: got %d (%d bytes), want %d", r, got, size, want)
		}
	}
}

func TestDescendingReversesTheOrder(t *testing.T) {
	scores := []float32{3e38, 1, 1e-40, 0, -1e-40, -1, -3e38}
	for i := 1; i < len(scores); i++ {
		if descending(scores[i-1]) >= descending(scores[i]) {
			t.Errorf("%v is not ordered before %v", scores[i-1], scores[i])
		}
	}
	if negativeZero := float32(math.Copysign(0, -1)); descending(negativeZero) != descending(0) {
		t.Error("-0 and 0 differ")
	}
}
