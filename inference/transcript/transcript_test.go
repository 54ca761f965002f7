package transcript_test

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"verbatim/inference/transcript"
	"verbatim/models/tokenizer"
)

// example is the transcript of FORMAT.md.
func example() *transcript.Transcript {
	fill := func(b byte) (d transcript.Digest) {
		for i := range d {
			d[i] = b
		}
		return d
	}
	trace := transcript.NewTrace()
	trace.Add([]float32{1, -2})
	trace.Add([]float32{0.5, 0})
	trace.Add([]float32{0, 3})
	return &transcript.Transcript{
		Arithmetic: "verbatim/1", Model: fill(0x11), Vocabulary: fill(0x22), Request: fill(0x33),
		Sampling:  transcript.Sampling{Temperature: 0.5, TopK: 40, TopP: 0.9, RepetitionPenalty: 1, RepetitionWindow: 64, Seed: 1 << 63},
		MaxTokens: 8, Stop: []string{"\n"}, Prompt: []tokenizer.Token{1, 403}, Output: []tokenizer.Token{407, 261, 2},
		Text: []byte("hi"), Finish: transcript.FinishStop, Trace: trace.Digest(),
	}
}

// smallest has every field at its least; binary text has no place in a JSON string.
func smallest() *transcript.Transcript {
	return &transcript.Transcript{
		Arithmetic: "x", Prompt: []tokenizer.Token{0}, Output: []tokenizer.Token{math.MaxInt32}, Text: []byte{0xff, 0x00},
		Finish: transcript.FinishWindow,
	}
}

// held is the example with a schema: version 2.
func held() *transcript.Transcript {
	tr := example()
	tr.Schema, tr.Text = `{"type":"array","items":{"const":"ü<"}}`, []byte("[]")
	return tr
}

func encode(t testing.TB, tr *transcript.Transcript) []byte {
	t.Helper()
	b, err := transcript.Encode(tr)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func digest(t testing.TB, tr *transcript.Transcript) transcript.Digest {
	t.Helper()
	d, err := tr.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRoundTrips(t *testing.T) {
	for _, tr := range []*transcript.Transcript{example(), smallest(), held()} {
		b := encode(t, tr)
		got, err := transcript.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := transcript.Compare(got, tr); d != nil || !bytes.Equal(encode(t, got), b) {
			t.Errorf("decode(encode(%+v)) = %+v: %v", tr, got, d)
		}
		text, err := json.Marshal(tr)
		if err != nil {
			t.Fatal(err)
		}
		var fromJSON transcript.Transcript
		if err := json.Unmarshal(text, &fromJSON); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if !bytes.Equal(encode(t, &fromJSON), b) {
			t.Errorf("from JSON %s: %+v, want %+v", text, fromJSON, tr)
		}
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	for _, tr := range []*transcript.Transcript{example(), held()} {
		everyTruncationIsRefused(t, encode(t, tr))
	}
}

func everyTruncationIsRefused(t *testing.T, b []byte) {
	for n := range b {
		if got, err := transcript.Decode(b[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes decode to %+v", n, len(b), got)
		}
	}
	if got, err := transcript.Decode(append(b, 0)); err == nil {
		t.Fatalf("a trailing byte decodes to %+v", got)
	}
}

// A flipped bit is refused or changes the digest, and Compare names the field.
func TestEveryBitFlipIsNoticed(t *testing.T) {
	everyBitFlipIsNoticed(t, example())
	everyBitFlipIsNoticed(t, held())
}

func everyBitFlipIsNoticed(t *testing.T, want *transcript.Transcript) {
	b, wantDigest := encode(t, want), digest(t, want)
	for bit := range 8 * len(b) {
		flipped := bytes.Clone(b)
		flipped[bit/8] ^= 1 << (bit % 8)
		got, err := transcript.Decode(flipped)
		if err != nil {
			continue
		}
		if digest(t, got) == wantDigest {
			t.Errorf("bit %d flipped: the digest is the same", bit)
		}
		if transcript.Compare(got, want) == nil {
			t.Errorf("bit %d flipped: Compare sees no difference", bit)
		}
		if !bytes.Equal(encode(t, got), flipped) {
			t.Errorf("bit %d flipped: a second encoding of %+v", bit, got)
		}
	}
}

// Each change is one field beyond what the format holds, or at its limit.
func TestLimits(t *testing.T) {
	negativeZero := float32(math.Copysign(0, -1))
	for name, c := range map[string]struct {
		change func(tr *transcript.Transcript)
		bad    string
	}{
		"arithmetic empty": {func(tr *transcript.Transcript) { tr.Arithmetic = "" }, "arithmetic"},
		"arithmetic 64":    {func(tr *transcript.Transcript) { tr.Arithmetic = strings.Repeat("a", 64) }, ""},
		"arithmetic 65":    {func(tr *transcript.Transcript) { tr.Arithmetic = strings.Repeat("a", 65) }, "arithmetic"},
		"arithmetic space": {func(tr *transcript.Transcript) { tr.Arithmetic = "a b" }, "arithmetic"},
		"NaN":              {func(tr *transcript.Transcript) { tr.Sampling.TopP = float32(math.NaN()) }, "top_p"},
		"infinite":         {func(tr *transcript.Transcript) { tr.Sampling.MinP = float32(math.Inf(1)) }, "min_p"},
		"negative zero":    {func(tr *transcript.Transcript) { tr.Sampling.Temperature = negativeZero }, "temperature"},
		"negative":         {func(tr *transcript.Transcript) { tr.Sampling.RepetitionPenalty = -1 }, "repetition_penalty"},
		"16 stops":         {func(tr *transcript.Transcript) { tr.Stop = strings.Split("abcdefghijklmnop", "") }, ""},
		"17 stops":         {func(tr *transcript.Transcript) { tr.Stop = strings.Split("abcdefghijklmnopq", "") }, "stop"},
		"stop empty":       {func(tr *transcript.Transcript) { tr.Stop = []string{""} }, "stop[0]"},
		"stop 256":         {func(tr *transcript.Transcript) { tr.Stop = []string{strings.Repeat("a", 256)} }, ""},
		"stop 257":         {func(tr *transcript.Transcript) { tr.Stop = []string{strings.Repeat("a", 257)} }, "stop[0]"},
		"stop not UTF-8":   {func(tr *transcript.Transcript) { tr.Stop = []string{"a", "\xff"} }, "stop[1]"},
		"schema 2^16":      {func(tr *transcript.Transcript) { tr.Schema = strings.Repeat("a", 1<<16) }, ""},
		"schema 2^16+1":    {func(tr *transcript.Transcript) { tr.Schema = strings.Repeat("a", 1<<16+1) }, "schema"},
		"schema not UTF-8": {func(tr *transcript.Transcript) { tr.Schema = "\xff" }, "schema"},
		"no prompt":        {func(tr *transcript.Transcript) { tr.Prompt = nil }, "prompt_tokens"},
		"negative token":   {func(tr *transcript.Transcript) { tr.Output[1] = -1 }, "output_tokens[1]"},
		"no output":        {func(tr *transcript.Transcript) { tr.Output = nil }, "output_tokens"},
		"tokens 2^22":      {func(tr *transcript.Transcript) { tr.Output = make([]tokenizer.Token, 1<<22) }, ""},
		"tokens 2^22+1":    {func(tr *transcript.Transcript) { tr.Output = make([]tokenizer.Token, 1<<22+1) }, "output_tokens"},
		"text 2^26+1":      {func(tr *transcript.Transcript) { tr.Text = make([]byte, 1<<26+1) }, "text"},
		"finish 0":         {func(tr *transcript.Transcript) { tr.Finish = 0 }, "finish"},
		"finish 5":         {func(tr *transcript.Transcript) { tr.Finish = 5 }, "finish"},
	} {
		tr := example()
		c.change(tr)
		_, err := transcript.Encode(tr)
		if c.bad == "" && err != nil || c.bad != "" && (err == nil || !strings.Contains(err.Error(), c.bad)) {
			t.Errorf("%s: error %v, want one about %q", name, err, c.bad)
		}
	}
}

func TestCompareNamesTheFirstDifference(t *testing.T) {
	for _, c := range []struct {
		change func(tr *transcript.Transcript)
		want   string
	}{
		{func(tr *transcript.Transcript) {}, "<nil>"},
		{func(tr *transcript.Transcript) { tr.Arithmetic = "verbatim/2" }, "arithmetic: verbatim/1 against verbatim/2"},
		{func(tr *transcript.Transcript) { tr.Sampling.Seed++ }, "seed: 9223372036854775808 against 9223372036854775809"},
		{func(tr *transcript.Transcript) { tr.Sampling.TopP = math.Nextafter32(0.9, 1) }, "top_p: 0.9 against 0.90000004"},
		{func(tr *transcript.Transcript) { tr.Stop = nil }, `stop[0]: "\n" against nothing (0 stop strings)`},
		{func(tr *transcript.Transcript) { tr.Schema = "{}" }, `schema: none against "{}" (44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a)`},
		{func(tr *transcript.Transcript) { tr.Prompt[1] = 7 }, "prompt_tokens[1]: token 403 against token 7"},
		{func(tr *transcript.Transcript) { tr.Output = tr.Output[:2] }, "output_tokens[2]: token 2 against nothing (2 tokens)"},
		{func(tr *transcript.Transcript) { tr.Output[1], tr.Text = 9, nil }, "output_tokens[1]: token 261 against token 9"},
		{func(tr *transcript.Transcript) { tr.Finish = transcript.FinishLength }, "finish_reason: stop against length"},
		{func(tr *transcript.Transcript) { tr.Text = []byte("ho") }, `text[1]: "i" against "o"`},
	} {
		changed := example()
		c.change(changed)
		got := "<nil>"
		if d := transcript.Compare(example(), changed); d != nil {
			got = d.String()
		}
		if got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	changed := example()
	changed.Trace[31] ^= 1
	if d := transcript.Compare(example(), changed); d == nil || d.Field != "trace" {
		t.Errorf("trace changed: got %v", d)
	}
}

// Every field that Transcript has is in the encoding and in Compare: a field added later and forgotten fails here.
func TestNoFieldIsForgotten(t *testing.T) {
	want := digest(t, example())
	var walk func(v reflect.Value, path string)
	tr := example()
	check := func(path string) {
		if got := digest(t, tr); got == want {
			t.Errorf("%s changed: the digest is the same", path)
		}
		if transcript.Compare(tr, example()) == nil {
			t.Errorf("%s changed: Compare sees no difference", path)
		}
	}
	walk = func(v reflect.Value, path string) {
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(v.Field(i), path+"."+v.Type().Field(i).Name)
			}
			return
		case reflect.Uint8, reflect.Uint32, reflect.Uint64:
			v.SetUint(v.Uint() + 1)
		case reflect.Float32:
			v.SetFloat(v.Float() + 1)
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Array:
			changed := reflect.New(v.Type()).Elem()
			v.Set(changed)
		case reflect.Slice:
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
			if v.Type().Elem().Kind() == reflect.String {
				v.Index(v.Len() - 1).SetString("y")
			}
		default:
			t.Fatalf("%s: no test for a %v", path, v.Kind())
		}
		check(path)
		v.Set(old)
	}
	walk(reflect.ValueOf(tr).Elem(), "Transcript")
}

func TestJSONIsStrict(t *testing.T) {
	text, err := json.Marshal(held())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{`"top_k":40`, `"top_k":41`, "digest"},
		{`"prompt_tokens":[1,403]`, `"prompt_tokens":[1,404]`, "prompt_tokens_digest"},
		{`"output_tokens":[407,261,2]`, `"output_tokens":[407,2]`, "output_tokens_digest"},
		{`"text":"[]"`, `"text":"[]","text_base64":"aGk="`, "text_base64"},
		{`"text":"[]"`, `"words":"[]"`, "words"},
		{`"text":"[]",`, ``, "text"},
		{`"schema":"{`, `"schema":" {`, "schema_digest"},
		{`"schema_digest":`, `"schema_digest":null,"x":`, "x"},
		{`"schema":`, `"schema":"","x":`, "x"},
		{`"seed":"9223372036854775808"`, `"seed":"09223372036854775808"`, "seed"},
		{`"seed":"9223372036854775808"`, `"seed":"18446744073709551616"`, "seed"},
		{`"finish_reason":"stop"`, `"finish_reason":"stopped"`, "finish"},
		{`"model":"11`, `"model":"1`, "digest"},
		{`"model":"11`, `"model":"A1`, "digest"},
		{`"temperature":0.5`, `"temperature":1e39`, "temperature"},
	} {
		changed := strings.Replace(string(text), c.old, c.new, 1)
		if changed == string(text) {
			t.Fatalf("%s is not in %s", c.old, text)
		}
		var tr transcript.Transcript
		if err := json.Unmarshal([]byte(changed), &tr); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s for %s: error %v, want one about %s", c.new, c.old, err, c.want)
		}
	}
}

// The order and the bits of the states both count.
func TestTrace(t *testing.T) {
	chain := func(states ...[]float32) transcript.Digest {
		trace := transcript.NewTrace()
		for _, state := range states {
			trace.Add(state)
		}
		return trace.Digest()
	}
	a, b := []float32{1, 2}, []float32{2, 1}
	seen := map[transcript.Digest]string{}
	for name, d := range map[string]transcript.Digest{
		"none": chain(), "a": chain(a), "b": chain(b), "ab": chain(a, b), "ba": chain(b, a), "one state": chain([]float32{1, 2, 2, 1}),
		"+0": chain([]float32{0}), "-0": chain([]float32{float32(math.Copysign(0, -1))}),
	} {
		if other, ok := seen[d]; ok {
			t.Errorf("%q and %q have the same digest", name, other)
		}
		seen[d] = name
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(f, example()))
	f.Add(encode(f, smallest()))
	f.Add(encode(f, held()))
	f.Fuzz(func(t *testing.T, b []byte) {
		tr, err := transcript.Decode(b)
		if err != nil {
			return
		}
		if again := encode(t, tr); !bytes.Equal(again, b) {
			t.Fatalf("decoded from %x, encodes as %x", b, again)
		}
		text, err := json.Marshal(tr)
		if err != nil {
			t.Fatal(err)
		}
		var back transcript.Transcript
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if d := transcript.Compare(tr, &back); d != nil {
			t.Fatalf("%s: %v", text, d)
		}
	})
}
