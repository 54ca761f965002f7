package grammar_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"verbatim/inference/grammar"
)

// bytesAndWords is a vocabulary of all single bytes, some longer texts, a token without text and an end, the last.
func bytesAndWords() ([][]byte, int32) {
	var texts [][]byte
	for b := range 256 {
		texts = append(texts, []byte{byte(b)})
	}
	for _, s := range []string{`{"`, `":`, `",`, `"}`, `true`, `false`, `null`, `12`, `34.5`, `e1`, `ab`, "ü", "\xbcx", `\u`, `\"`, `[[`, `]]`, `},{`, `"a"`, " x", `{"a":`} {
		texts = append(texts, []byte(s))
	}
	return append(texts, nil, nil), int32(len(texts) + 1)
}

// generate takes random tokens that are allowed; most of the time, of these, those that end things.
func generate(t testing.TB, g *grammar.Grammar, random *rand.Rand, tokensMax int) (text []byte, complete bool) {
	t.Helper()
	texts, end := bytesAndWords()
	m := g.NewMatcher(grammar.NewVocabulary(texts, []int32{end}))
	for range tokensMax {
		var allowed, closing []int32
		for token, mask := int32(0), m.Allowed(); int(token) < len(texts); token++ {
			if mask[token/64]>>(token%64)&1 == 0 {
				continue
			}
			allowed = append(allowed, token)
			if token == end || bytes.ContainsAny(texts[token], `"}]`) && !bytes.ContainsAny(texts[token], `\[{`) {
				closing = append(closing, token)
			}
		}
		if len(allowed) == 0 {
			t.Fatalf("after %q nothing is allowed", text)
		}
		if len(closing) > 0 && random.IntN(4) > 0 {
			allowed = closing
		}
		token := allowed[random.IntN(len(allowed))]
		if token == end {
			if !m.Complete() {
				t.Fatalf("%q may end and is not complete", text)
			}
			return text, true
		}
		m.Take(token)
		text = append(text, texts[token]...)
	}
	return text, false
}

// valid is a validator of its own, for the keywords that grammars know, and more than they do: anything else may follow.
func valid(root, schema map[string]any, v any) bool {
	sub := func(s any, v any) bool { return valid(root, s.(map[string]any), v) }
	if ref, ok := schema["$ref"].(string); ok {
		name := ref[strings.LastIndex(ref, "/")+1:]
		return sub(root["$defs"].(map[string]any)[name], v)
	}
	matches := 0
	for _, name := range []string{"anyOf", "oneOf"} {
		options, ok := schema[name].([]any)
		for _, s := range options {
			if sub(s, v) {
				matches++
			}
		}
		if ok && (matches == 0 || name == "oneOf" && matches != 1) {
			return false
		}
	}
	if values, ok := schema["enum"].([]any); ok && !slices.Contains(values, v) {
		return false
	}
	if value, ok := schema["const"]; ok && value != v {
		return false
	}
	types, ok := schema["type"].([]any)
	if !ok && schema["type"] != nil {
		types = []any{schema["type"]}
	}
	if types != nil && !slices.ContainsFunc(types, func(name any) bool { return isType(name.(string), v) }) {
		return false
	}
	within := func(n int, least, greatest string) bool {
		low, hasLow := schema[least].(float64)
		high, hasHigh := schema[greatest].(float64)
		return (!hasLow || n >= int(low)) && (!hasHigh || n <= int(high))
	}
	switch v := v.(type) {
	case string:
		return within(utf8.RuneCountInString(v), "minLength", "maxLength")
	case []any:
		return within(len(v), "minItems", "maxItems") && (schema["items"] == nil || !slices.ContainsFunc(v, func(item any) bool { return !sub(schema["items"], item) }))
	case map[string]any:
		return validObject(root, schema, v)
	}
	return true
}

func validObject(root, schema, v map[string]any) bool {
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			return false
		}
	}
	for name, value := range v {
		s, ok := properties[name]
		if !ok && schema["additionalProperties"] == false || ok && !valid(root, s.(map[string]any), value) {
			return false
		}
	}
	return true
}

func isType(name string, v any) bool {
	switch v := v.(type) {
	case string:
		return name == "string"
	case float64:
		return name == "number" || name == "integer" && v == float64(int64(v))
	case bool:
		return name == "boolean"
	case nil:
		return name == "null"
	case []any:
		return name == "array"
	}
	return name == "object"
}

// check generates from a schema and validates. A text that was cut off is only looked at for its UTF-8.
func check(t testing.TB, schema string, seed uint64, rounds int) {
	t.Helper()
	g, err := grammar.Compile([]byte(schema))
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	var parsed map[string]any
	if err := json.Unmarshal([]byte(schema), &parsed); err != nil {
		t.Fatal(err)
	}
	whole := 0
	for round := range rounds {
		text, complete := generate(t, g, rand.New(rand.NewPCG(seed, uint64(round))), 600)
		if !complete {
			continue
		}
		whole++
		var v any
		if err := json.Unmarshal(text, &v); err != nil || !utf8.Valid(text) || !valid(parsed, parsed, v) {
			t.Fatalf("seed %d, round %d: schema %s: %q, %v: does not satisfy it", seed, round, schema, text, err)
		}
	}
	if whole == 0 {
		t.Errorf("seed %d: schema %s: no text was completed", seed, schema)
	}
}

var schemas = []string{
	`{"type":"boolean"}`, `{"type":"null"}`, `{"type":"integer"}`, `{"type":"number"}`, `{"type":"string"}`,
	`{"type":"string","minLength":2,"maxLength":5}`, `{"type":"string","maxLength":0}`, `{"type":["string","null"],"maxLength":3}`,
	`{"const":"a\"b\\\n\u0001ü😀"}`, `{"enum":["yes","no",3,-2.5e1,null,true]}`, `{"type":"integer","enum":[1,2,10]}`,
	`{"type":"array","items":{"type":"integer"}}`, `{"type":"array","items":{"type":"boolean"},"minItems":2,"maxItems":4}`,
	`{"type":"array","items":{"type":"null"},"maxItems":0}`, `{"type":"array","items":{"type":"null"},"minItems":3}`,
	`{"type":"object"}`, `{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string","maxLength":4},"ü\"":{"type":"null"}}}`,
	`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"null"},"c":{"type":"boolean"}},"required":["b"],"additionalProperties":false}`,
	`{"anyOf":[{"type":"integer"},{"type":"number"},{"type":"string","maxLength":2}]}`,
	`{"oneOf":[{"type":"object","properties":{"kind":{"const":"a"},"x":{"type":"integer"}},"required":["kind"]},{"type":"object","properties":{"kind":{"const":"b"}},"required":["kind"]},{"type":"null"}]}`,
	`{"$defs":{"p":{"type":"object","properties":{"x":{"$ref":"#/$defs/n"},"y":{"$ref":"#/$defs/n"}},"required":["x","y"]},"n":{"type":"integer"}},"type":"array","items":{"$ref":"#/$defs/p"},"minItems":1}`,
	`{"type":"object","title":"t","description":"d","properties":{"type":{"enum":["x"]},"list":{"type":"array","items":{"type":"array","items":{"type":["boolean","null"]},"maxItems":2}}},"required":["list","type"]}`,
}

func TestTextsSatisfyTheirSchema(t *testing.T) {
	for _, schema := range schemas {
		check(t, schema, 1, 40)
	}
}

// Random schemas, by what they are made of.
func randomSchema(random *rand.Rand, depth int) string {
	leaf := []string{`{"type":"integer"}`, `{"type":"string","maxLength":3}`, `{"enum":["a","b",1]}`, `{"type":"boolean"}`, `{"type":"number"}`, `{"const":null}`}
	if depth == 0 {
		return leaf[random.IntN(len(leaf))]
	}
	switch random.IntN(4) {
	case 0:
		low := random.IntN(3)
		return fmt.Sprintf(`{"type":"array","items":%s,"minItems":%d,"maxItems":%d}`, randomSchema(random, depth-1), low, low+random.IntN(3))
	case 1:
		return fmt.Sprintf(`{"anyOf":[%s,%s]}`, randomSchema(random, depth-1), randomSchema(random, depth-1))
	case 2:
		return leaf[random.IntN(len(leaf))]
	}
	var properties, required []string
	for i := range random.IntN(4) {
		name := fmt.Sprintf(`"p%d"`, i)
		properties = append(properties, name+":"+randomSchema(random, depth-1))
		if random.IntN(2) == 0 {
			required = append(required, name)
		}
	}
	return fmt.Sprintf(`{"type":"object","properties":{%s},"required":[%s],"additionalProperties":false}`, strings.Join(properties, ","), strings.Join(required, ","))
}

func TestRandomSchemas(t *testing.T) {
	for seed := range uint64(60) {
		check(t, randomSchema(rand.New(rand.NewPCG(seed, 0)), 3), seed, 6)
	}
}

func FuzzCompile(f *testing.F) {
	for i, schema := range schemas {
		f.Add([]byte(schema), uint64(i))
	}
	f.Fuzz(func(t *testing.T, schema []byte, seed uint64) {
		g, err := grammar.Compile(schema)
		if err != nil {
			return
		}
		text, complete := generate(t, g, rand.New(rand.NewPCG(seed, 3)), 100)
		var parsed map[string]any
		if !complete || bytes.Contains(schema, []byte("efinitions")) || json.Unmarshal(schema, &parsed) != nil {
			return
		}
		var v any
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if !bytes.Contains(schema, []byte("$ref")) && !valid(parsed, parsed, v) {
			t.Fatalf("schema %s: %q does not satisfy it", schema, text)
		}
	})
}

// Texts by hand: what is the beginning of a value, what is a whole one, and what is neither.
func TestTexts(t *testing.T) {
	const point = `{"type":"object","properties":{"x":{"type":"number"},"tag":{"type":"string","maxLength":2}},"required":["x"]}`
	for _, c := range []struct{ schema, text, want string }{
		{point, `{"x":1}`, "whole"}, {point, `{"x":-0.5e-3,"tag":"ü\n"}`, "whole"}, {point, `{"x":1,"ta`, "begins"}, {point, `{"x":1,`, "begins"},
		{point, `{}`, "no"}, {point, `{"tag":"a","x":1}`, "no"}, {point, `{"x":1,}`, "no"}, {point, `{ "x":1}`, "no"}, {point, `{"x":01}`, "no"},
		{point, `{"x":1,"tag":"abc"}`, "no"}, {point, `{"x":1,"tag":"\u12`, "begins"}, {point, `{"x":.5}`, "no"}, {point, `{"x":1,"x":2}`, "no"},
		{`{"type":"string"}`, "\"\xc3", "begins"}, {`{"type":"string"}`, "\"\xc3\"", "no"}, {`{"type":"string"}`, "\"\xed\xa0", "no"}, {`{"type":"string"}`, "\"\n", "no"},
		{`{"type":"string"}`, `"\ud800`, "no"}, {`{"type":"string"}`, `"\u00e9"`, "whole"}, {`{"type":"string"}`, "\"\xf4\x90", "no"},
		{`{"type":"integer"}`, "-0", "no"}, {`{"type":"integer"}`, "0", "whole"}, {`{"type":"integer"}`, "00", "no"}, {`{"type":"integer"}`, "1.0", "no"},
		{`{"type":"integer"}`, "123456789012345", "whole"}, {`{"type":"integer"}`, "1234567890123456", "no"}, {`{"type":"number"}`, "1e100", "no"}, {`{"type":"number"}`, "1e99", "whole"},
		{`{"type":"array","items":{"type":"null"},"minItems":1,"maxItems":2}`, "[]", "no"}, {`{"type":"array","items":{"type":"null"},"minItems":1,"maxItems":2}`, "[null,null]", "whole"},
		{`{"type":"array","items":{"type":"null"},"minItems":1,"maxItems":2}`, "[null,null,", "no"}, {`{"type":"array","items":{"type":"null"}}`, "[]", "whole"},
	} {
		g, err := grammar.Compile([]byte(c.schema))
		if err != nil {
			t.Fatal(err)
		}
		texts, end := bytesAndWords()
		m := g.NewMatcher(grammar.NewVocabulary(texts, []int32{end}))
		got := "begins"
		for _, b := range []byte(c.text) {
			if m.Allowed()[b/64]>>(b%64)&1 == 0 {
				got = "no"
				break
			}
			m.Take(int32(b))
		}
		if got != "no" && m.Complete() {
			got = "whole"
		}
		if got != c.want {
			t.Errorf("schema %s, text %q: %s, want %s", c.schema, c.text, got, c.want)
		}
	}
}

// A mask is what taking each token byte by byte says.
func TestMaskIsOfEachToken(t *testing.T) {
	texts, end := bytesAndWords()
	v := grammar.NewVocabulary(texts, []int32{end})
	for _, schema := range schemas {
		g, err := grammar.Compile([]byte(schema))
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(5, 5))
		m := g.NewMatcher(v)
		var text []byte
		for range 60 {
			mask := slices.Clone(m.Allowed())
			var allowed []int32
			for token := range int32(len(texts)) {
				single := g.NewMatcher(v)
				for _, b := range text {
					single.Take(int32(b))
				}
				want := len(texts[token]) > 0
				for _, b := range texts[token] {
					if want = single.Allowed()[b/64]>>(b%64)&1 == 1; !want {
						break
					}
					single.Take(int32(b))
				}
				if token == end {
					want = m.Complete()
				}
				if got := mask[token/64]>>(token%64)&1 == 1; got != want {
					t.Fatalf("schema %s, after %q, token %d (%q): allowed %v, want %v", schema, text, token, texts[token], got, want)
				}
				if want && token != end {
					allowed = append(allowed, token)
				}
			}
			if len(allowed) == 0 || len(text) > 40 {
				break
			}
			token := allowed[random.IntN(len(allowed))]
			m.Take(token)
			text = append(text, texts[token]...)
		}
	}
}

func TestRefused(t *testing.T) {
	deep := func(n int) string {
		return strings.Repeat(`{"type":"array","items":`, n) + `{"type":"null"}` + strings.Repeat("}", n)
	}
	for _, c := range []struct{ schema, want string }{
		{`{"type":"integer","minimum":3}`, `schema: keyword "minimum" is not supported here`},
		{`{"type":"object","properties":{"a":{"type":"string","pattern":"x"}}}`, `schema.a: keyword "pattern" is not supported here`},
		{`{"type":"string","format":"date"}`, `"format"`}, {`{"type":"string","minItems":1}`, `"minItems"`}, {`{"not":{"type":"null"}}`, "is needed"},
		{`{}`, "one of type, enum"}, {`true`, "must be an object"}, {`[]`, "must be an object"}, {`{"type":"thing"}`, `type "thing"`}, {`{"type":["null","null"]}`, "different names"},
		{`{"type":"array"}`, "items is needed"}, {`{"type":"array","items":{"type":"null"},"minItems":3,"maxItems":2}`, "nothing can be both"},
		{`{"type":"string","maxLength":-1}`, "maxLength is -1"}, {`{"type":"string","maxLength":16385}`, "maxLength is 16385"}, {`{"type":"string","maxLength":16384}`, "more than 131072 states"},
		{`{"type":"object","properties":{},"required":["a"]}`, `"a" is not among the properties`}, {`{"type":"object","additionalProperties":{"type":"null"}}`, "must be true or false"},
		{`{"enum":[]}`, "enum must be a list"}, {`{"enum":[[]]}`, "not supported"}, {`{"enum":[1],"type":"string"}`, "not of the type"}, {`{"const":1e999}`, "float64"},
		{`{"$ref":"#/$defs/a"}`, "no such definition"}, {`{"$ref":"http://x"}`, "it must be"}, {`{"$defs":{"a":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}`, "recursive"},
		{`{"$defs":{"a":{"type":"null"}},"$ref":"#/$defs/a","type":"null"}`, `"type" is not supported beside $ref`},
		{`{"oneOf":[{"type":"integer"},{"type":"number"}]}`, "might satisfy both 0 and 1"}, {`{"oneOf":[{"type":"object"},{"type":"object"}]}`, "might satisfy both"}, {`{"anyOf":[]}`, "list of schemas"},
		{`{"type":"null","type":"null"}`, "appears twice"}, {`{"type":"null"} x`, "follows"}, {`{"type":"null"`, "not JSON"}, {"", "not JSON"}, {"\"\xff\"", "UTF-8"},
		{strings.Repeat(" ", grammar.SchemaBytesMax+1), "bytes: at most"}, {deep(grammar.DepthMax + 1), "nested more than"}, {strings.Repeat("[", 1000), "nested more than"},
	} {
		if _, err := grammar.Compile([]byte(c.schema)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80s: %v, want an error with %s", c.schema, err, c.want)
		}
	}
	for _, schema := range []string{deep(grammar.DepthMax), `{"type":"null"}` + strings.Repeat(" ", grammar.SchemaBytesMax-15)} {
		if _, err := grammar.Compile([]byte(schema)); err != nil {
			t.Errorf("%.80s: %v", schema, err)
		}
	}
}

// A long text makes a machine forget; what is allowed stays the same.
func TestManyStates(t *testing.T) {
	g, err := grammar.Compile([]byte(`{"type":"string","maxLength":7000}`))
	if err != nil {
		t.Fatal(err)
	}
	texts, end := bytesAndWords()
	m := g.NewMatcher(grammar.NewVocabulary(texts, []int32{end}))
	m.Take('"')
	for i := range 7000 {
		if i%10 == 0 && m.Allowed()['a'/64]>>('a'%64)&1 == 0 {
			t.Fatalf("after %d characters no more are allowed", i)
		}
		m.Take('a')
	}
	if mask := m.Allowed(); mask['a'/64]>>('a'%64)&1 == 1 || mask['"'/64]>>('"'%64)&1 == 0 {
		t.Error("after 7000 characters another is allowed, or the end is not")
	}
}
