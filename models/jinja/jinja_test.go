package jinja_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"verbatim/models/jinja"
)

type turn struct{ Role, Content string }

// variables are those of transformers, with contents marked.
func variables(chat []turn) jinja.Variables {
	var messages []jinja.Value
	for _, t := range chat {
		messages = append(messages, jinja.Dict(
			jinja.Variable{Name: "role", Value: jinja.String(t.Role)},
			jinja.Variable{Name: "content", Value: jinja.Content(t.Content)},
		))
	}
	return jinja.Variables{
		{Name: "messages", Value: jinja.List(messages...)},
		{Name: "add_generation_prompt", Value: jinja.Bool(true)},
		{Name: "tools", Value: jinja.None()},
		{Name: "documents", Value: jinja.None()},
		{Name: "bos_token", Value: jinja.String("<s>")},
		{Name: "eos_token", Value: jinja.String("</s>")},
	}
}

func render(source string, v jinja.Variables) ([]jinja.Span, string, error) {
	template, err := jinja.Parse(source)
	if err != nil {
		return nil, "", err
	}
	spans, err := template.Render(v)
	var b strings.Builder
	for _, s := range spans {
		b.WriteString(s.Text)
	}
	return spans, b.String(), err
}

func readJSON(t testing.TB, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

type expression struct {
	Source, Want string
	Error        string // "raised MESSAGE" or "error"; ours may say more
}

// What Python's jinja2 makes of the same sources: testdata/make.py.
func TestExpressions(t *testing.T) {
	var file struct {
		Chat  []turn
		Cases []expression
	}
	readJSON(t, "expressions.json", &file)
	if len(file.Cases) < 70 {
		t.Fatalf("got %d cases", len(file.Cases))
	}
	for _, c := range file.Cases {
		_, got, err := render(c.Source, variables(file.Chat))
		if message, ok := strings.CutPrefix(c.Error, "raised "); ok {
			if !errors.Is(err, jinja.ErrRaised) || !strings.HasSuffix(err.Error(), message) {
				t.Errorf("%q:\n got %v\nwant %v", c.Source, err, c.Error)
			}
			continue
		}
		if (err != nil) != (c.Error != "") || err == nil && got != c.Want {
			t.Errorf("%q:\n got %q, %v\nwant %q, %v", c.Source, got, err, c.Want, c.Error)
		}
	}
}

// Seventy published templates, ten chats each, against jinja2: testdata/make.py.
func TestPublishedTemplates(t *testing.T) {
	folder := filepath.Join("..", "cache", "vocabularies", "templates")
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("the templates are absent (models/fetch.sh vocabularies fetches them): %v", err)
	}
	var file struct {
		Chats     [][]turn
		Templates []struct {
			Name, SHA256 string
			Results      []string
		}
	}
	readJSON(t, "templates.json", &file)
	for _, c := range file.Templates {
		source, err := os.ReadFile(filepath.Join(folder, c.Name))
		if err != nil {
			t.Fatal(err)
		}
		if digest(source) != c.SHA256 {
			t.Errorf("%s is another version of the template", c.Name)
			continue
		}
		for i, chat := range file.Chats {
			_, got, err := render(string(source), variables(chat))
			want := c.Results[i]
			message, raised := strings.CutPrefix(want, "raised ")
			switch {
			case raised:
				if !errors.Is(err, jinja.ErrRaised) || !strings.HasSuffix(err.Error(), message) {
					t.Errorf("%s, chat %d: got %v, want %s", c.Name, i, err, want)
				}
			case want == "error":
				if err == nil {
					t.Errorf("%s, chat %d: got %q, want an error", c.Name, i, got)
				}
			case err != nil || digest([]byte(got)) != want:
				t.Errorf("%s, chat %d: got %v and\n%s", c.Name, i, err, got)
			}
		}
	}
}

// No published template turns a content into text of its own: U+E000 is in the
// contents alone.
func TestPublishedTemplatesKeepOrigins(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("..", "cache", "vocabularies", "templates", "*.jinja"))
	if err != nil || len(paths) == 0 {
		t.Skipf("the templates are absent (models/fetch.sh vocabularies fetches them): %v", err)
	}
	rendered := 0
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		spans, text, err := render(string(source), variables([]turn{
			{"user", "\ue000<|im_end|>\n</s>\ue000"}, {"assistant", "<think>\ue000\n</think>\n \ue000\"é "}, {"user", " \ue000"},
		}))
		if err != nil {
			continue
		}
		if strings.Contains(text, "\ue000") {
			rendered++
		}
		for _, span := range spans {
			if !span.Content && strings.Contains(span.Text, "\ue000") {
				t.Errorf("%s: a content is taken for the template's own text: %q", path, span.Text)
			}
		}
	}
	if rendered < 60 {
		t.Errorf("%d templates showed a content, want 60 or more", rendered)
	}
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Whatever a template does to a content, its characters stay marked, and no
// character of the template is.
func TestOriginSurvivesOperations(t *testing.T) {
	chat := []turn{{"user", "  Ab<x>cd\"\n "}}
	for source, want := range map[string][]jinja.Span{
		"<{{ messages[0].content|trim }}>":                                       {{"<", false}, {"Ab<x>cd\"", true}, {">", false}},
		"{{ '<' + messages[0].content[2:4] ~ '>' }}":                             {{"<", false}, {"Ab", true}, {">", false}},
		"{{ messages[0].content.split('<x>')|join('+')|trim }}":                  {{"Ab", true}, {"+", false}, {"cd\"", true}},
		"{{ messages[0].content|replace('<x>', '-')|trim|upper }}":               {{"AB", true}, {"-", false}, {"CD\"", true}},
		"{{ messages[0].content|trim|tojson }}":                                  {{`"`, false}, {`Ab<x>cd\"`, true}, {`"`, false}},
		"{{ [messages[0].content.strip()] }}":                                    {{"['", false}, {`Ab<x>cd"`, true}, {"']", false}},
		"{{ '%s!' % messages[0].content[2] }}":                                   {{"A", true}, {"!", false}},
		"{{ '{}.'.format(messages[0].content[3]) }}":                             {{"b", true}, {".", false}},
		"{% set x %}{{ messages[0].content[2] }}y{% endset %}{{ x }}":            {{"A", true}, {"y", false}},
		"{% macro m(a) %}({{ a }}){% endmacro %}{{ m(messages[0].content[3]) }}": {{"(", false}, {"b", true}, {")", false}},
		"{% for c in messages[0].content if c in 'xc' %}{{ c }},{% endfor %}":    {{"x", true}, {",", false}, {"c", true}, {",", false}},
		"{{ messages[0].content == '  Ab<x>cd\"\\n ' }}":                         {{"True", false}},
		"{{ {'Ab': 1}[messages[0].content[2:4]] }}":                              {{"1", false}},
		"{{ messages[0].role }}":                                                 {{"user", false}},
	} {
		got, _, err := render(source, variables(chat))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", source, got, err, want)
		}
	}
}

func TestBytesThatAreNoTextPass(t *testing.T) {
	_, got, err := render("{{ messages[0].content }}", variables([]turn{{"user", "a\xff\xe2\x82b\x00"}}))
	if want := "a\xff\xe2\x82b\x00"; got != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// Templates that want too much get an error soon, whatever they try.
func TestHostileTemplates(t *testing.T) {
	for name, c := range map[string]struct{ source, want string }{
		"loops":           {"{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", "too much work"},
		"long range":      {"{{ range(9223372036854775807)|length }}", "too much work"},
		"repetition":      {"{{ 'aaaaaaaaaaaaaaaa' * 10000000 }}", "too much work"},
		"long repetition": {"{{ 'a' * 9223372036854775807 }}", "too long"},
		"doubling":        {"{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}", "too much work"},
		"list doubling":   {"{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}", "too much work"},
		"output":          {"{% set x = 'a' * 1000000 %}{% for i in range(1000) %}{{ x }}{% endfor %}", "too much work"},
		"deep value":      {"{% set n = namespace(x=[]) %}{% for i in range(10000) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x }}", "nested deeper"},
		"deep JSON":       {"{% set n = namespace(x=[]) %}{% for i in range(10000) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x|tojson }}", "nested deeper"},
		"deep equality":   {"{% set n = namespace(x=[], y=[]) %}{% for i in range(10000) %}{% set n.x = [n.x] %}{% set n.y = [n.y] %}{% endfor %}{{ n.x == n.y }}", "nested deeper"},
		"wide value":      {"{% set n = namespace(x=[1,1]) %}{% for i in range(90) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x|tojson }}", "too much work"},
		"recursion":       {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "macros inside each other"},
		"replace":         {"{% set x = 'a' * 100000 %}{{ x.replace('', x) }}", "too much work"},
		"indent":          {"{{ ('\\na' * 100000)|indent(100000) }}", "too much work"},
		"power":           {"{{ 10 ** 100 }}", "not supported"},
		"overflow":        {"{{ 9223372036854775807 + 1 }}", "64 bits"},
		"underflow":       {"{{ -9223372036854775807 - 2 }}", "64 bits"},
		"product":         {"{{ 4611686018427387904 * 2 }}", "64 bits"},
		"quotient":        {"{{ 1 // 0 }}", "division by zero"},
		"parentheses":     {"{{ " + strings.Repeat("(", 1000) + "1" + strings.Repeat(")", 1000) + " }}", "levels of nesting"},
		"brackets":        {"{{ " + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + " }}", "levels of nesting"},
		"negations":       {"{{ " + strings.Repeat("-", 1000) + "1 }}", "levels of nesting"},
		"nots":            {"{{ " + strings.Repeat("not ", 1000) + "1 }}", "levels of nesting"},
		"blocks":          {strings.Repeat("{% if 1 %}", 1000), "levels of nesting"},
		"long sum":        {"{{ 1" + strings.Repeat("+1", 20000) + " }}", "levels of evaluation"},
		"filters":         {"{{ 1" + strings.Repeat("|int", 20000) + " }}", "filters in a row"},
		"attributes":      {"{{ a" + strings.Repeat(".a", 20000) + " }}", "in a row"},
		"include":         {`{% include "/etc/passwd" %}`, `the tag "include" is not supported`},
		"import":          {`{% import "os" as os %}`, `the tag "import" is not supported`},
		"python":          {`{{ ''.__class__.__mro__ }}`, "is undefined"},
		"long source":     {strings.Repeat("a", jinja.SourceBytesMax+1), "more than the limit"},
	} {
		start := time.Now()
		_, got, err := render(c.source, variables([]turn{{"user", "x"}}))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %.100q, %v; want an error with %q", name, got, err, c.want)
		}
		if spent := time.Since(start); spent > 20*time.Second {
			t.Errorf("%s: took %v", name, spent)
		}
	}
}

func TestLimitsAreReached(t *testing.T) {
	for name, source := range map[string]string{
		"source":      strings.Repeat("a", jinja.SourceBytesMax),
		"macros":      "{% macro f(n) %}{% if n > 1 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(50) }}",
		"work":        "{% for i in range(100000) %}{{ i }}{% endfor %}",
		"the integer": "{{ 9223372036854775807 }}{{ -9223372036854775807 - 1 }}",
	} {
		if _, _, err := render(source, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadTemplatesAreRefused(t *testing.T) {
	for source, want := range map[string]string{
		"a\n{% if x %}":                     "line 2: \"the end\" instead of endif",
		"{{ 'a }}":                          "a string does not end",
		"{{ a":                              "a tag does not end with }}",
		"{# a":                              "a comment does not end",
		"{% raw %}":                         "a raw block does not end",
		"{{ }}":                             "instead of an expression",
		"{{ a b }}":                         `"b" instead of }}`,
		"{{ a ? b }}":                       `"?" is not part of the language`,
		"{% for x y %}":                     `"y" instead of in`,
		"{% endif %}":                       `the tag "endif" is not supported`,
		"{% break %}":                       "break outside a loop",
		"{% for a in b recursive %}":        "recursive loops",
		"{{ f(*a) }}":                       "* in a call",
		"{{ f(a=1, 2) }}":                   "an argument with a name",
		"{{ 99999999999999999999 }}":        "too large",
		`{{ "\u12" }}`:                      "is not a character",
		`{{ "\N{DASH}" }}`:                  `the escape \N is not supported`,
		"{{ 1|nosuch }}":                    `the filter "nosuch" is not supported`,
		"{{ 1 is nosuch }}":                 `the test "nosuch" is not supported`,
		"{{ strftime_now('%Z') }}":          "%Z is not supported",
		"{{ raise_exception('not here') }}": "refuses this input: not here",
	} {
		if _, got, err := render(source, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %q, %v; want an error with %q", source, got, err, want)
		}
	}
}

// Rendering is a function of its input, ends, and keeps the characters of
// contents apart from those of the template.
func FuzzRender(f *testing.F) {
	var sources []string
	readJSON(f, "sources.json", &sources)
	for _, source := range sources {
		f.Add(source, "<|im_end|>\n é\xff")
	}
	f.Fuzz(func(t *testing.T, source, content string) {
		// U+E000 is in contents alone, so it is marked wherever it comes out.
		source = strings.ReplaceAll(source, "\ue000", "")
		source = strings.ReplaceAll(source, "e000", "")
		source = strings.ReplaceAll(source, "E000", "")
		template, err := jinja.Parse(source)
		if err != nil {
			return
		}
		chat := variables([]turn{{"user", "\ue000" + content}, {"assistant", content}})
		spans, err := template.Render(chat)
		again, errAgain := template.Render(chat)
		if !reflect.DeepEqual(spans, again) || (err == nil) != (errAgain == nil) || err != nil && err.Error() != errAgain.Error() {
			t.Fatalf("%q: two results: %+v, %v and %+v, %v", source, spans, err, again, errAgain)
		}
		for _, span := range spans {
			if !span.Content && strings.Contains(span.Text, "\ue000") {
				t.Fatalf("%q: a content is taken for the template's own text: %q", source, span.Text)
			}
		}
	})
}
