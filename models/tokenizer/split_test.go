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

// Expected words were made with Python's package regex from the expressions in
// the comments of each splitter, one stage after the other.
func TestStages(t *testing.T) {
	for _, c := range []struct {
		text string
		want map[string][]string
	}{
		{"I'm we'LL 12345", map[string][]string{
			"gpt-2":          {"I", "'m", " we", "'", "LL", " 12345"},
			"qwen2":          {"I", "'m", " we", "'LL", " ", "1", "2", "3", "4", "5"},
			"deepseek-llm":   {"I", "'", "m", " we", "'", "LL", " ", "12345"},
			"deepseek-coder": {"I", "'", "m", " we", "'", "LL", " ", "1", "2", "3", "4", "5"},
			"default":        {"I", "'", "m", " we", "'", "LL", " ", "123", "45"},
		}},
		{"a  b\t\tc ", map[string][]string{
			"gpt-2":          {"a", " ", " b", "\t", "\t", "c", " "},
			"qwen2":          {"a", " ", " b", "\t", "\tc", " "},
			"deepseek-llm":   {"a", " ", " b", "\t", "\tc", " "},
			"deepseek-coder": {"a", " ", " b", "\t", "\tc", " "},
			"default":        {"a", " ", " b", "\t", "\t", "c", " "},
		}},
		{"x\r\n\n  y", map[string][]string{
			"gpt-2":          {"x", "\r\n\n ", " y"},
			"qwen2":          {"x", "\r\n\n", " ", " y"},
			"deepseek-llm":   {"x", "\r", "\n", "\n", " ", " y"},
			"deepseek-coder": {"x", "\r", "\n", "\n", " ", " y"},
			"default":        {"x", "\r\n\n ", " y"},
		}},
		{"中文3天 ٣½x", map[string][]string{
			"gpt-2":          {"中文", "3", "天", " ٣½", "x"},
			"qwen2":          {"中文", "3", "天", " ", "٣", "½", "x"},
			"deepseek-llm":   {"中文", "3", "天", " ", "٣½", "x"},
			"deepseek-coder": {"中文", "3", "天", " ", "٣", "½", "x"},
			"default":        {"中文", "3", "天", " ", "٣½", "x"},
		}},
		{"(a+b)=$1234.5|", map[string][]string{
			"gpt-2":          {"(", "a", "+", "b", ")=$", "1234", ".", "5", "|"},
			"qwen2":          {"(a", "+b", ")=$", "1", "2", "3", "4", ".", "5", "|"},
			"deepseek-llm":   {"(", "a", "+", "b", ")=$", "1234", ".", "5", "|"},
			"deepseek-coder": {"(", "a", "+", "b", ")", "=$", "1", "2", "3", "4", ".", "5", "|"},
			"default":        {"(", "a", "+", "b", ")=$", "123", "4", ".", "5", "|"},
		}},
		{"\u3000。 ！a\u00a0b", map[string][]string{
			"gpt-2":          {"\u3000", "。", " ！", "a", "\u00a0", "b"},
			"qwen2":          {"\u3000", "。", " ！", "a", "\u00a0b"},
			"deepseek-llm":   {"\u3000", "。", " ！", "a", "\u00a0b"},
			"deepseek-coder": {"\u3000", "。", " ！", "a", "\u00a0b"},
			"default":        {"\u3000", "。", " ", "！", "a", "\u00a0", "b"},
		}},
		{"éա ƻǅ", map[string][]string{
			"gpt-2":          {"éա", " ƻǅ"},
			"qwen2":          {"éա", " ƻǅ"},
			"deepseek-llm":   {"é", "ա ƻ", "ǅ"},
			"deepseek-coder": {"éա", " ƻǅ"},
			"default":        {"éա", " ƻǅ"},
		}},
	} {
		for pre, want := range c.want {
			splitter, err := findSplitter(pre)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			splitter.split(c.text, func(word string) { got = append(got, word) })
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s of %q:\n got %q\nwant %q", pre, c.text, got, want)
			}
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
		if got := isPunctuation(r, other); got != unicode.Is(unicode.P, r) {
			t.Fatalf("%U is punctuation: got %v", r, got)
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
