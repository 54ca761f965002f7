package inference_test

import (
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"verbatim/inference"
	"verbatim/models"
)

func TestParseRequest(t *testing.T) {
	want := inference.NewRequest("Hi")
	want.Model, want.MaxTokens, want.Stop = "embedded", 7, []string{"\n", "ü"}
	want.Sampling.Temperature, want.Sampling.TopK, want.Sampling.TopP, want.Sampling.MinP = 0.7, 40, 0.9, 0.05
	want.Sampling.RepetitionPenalty, want.Sampling.RepetitionWindow, want.Sampling.Seed = 1.1, 32, 1<<64-1
	chat := inference.NewRequest("")
	chat.Turns = []models.Turn{{Role: models.System, Content: "Be brief."}, {Role: models.User, Content: "Hi"}}
	held := inference.NewRequest("")
	held.Schema = `{"type":"object","properties":{"b":{"enum":["x y"]},"a":{"type":"null"}}}`
	one := inference.NewRequest("")
	one.Stop = []string{"x"}
	for _, c := range []struct {
		text string
		want inference.Request
	}{
		{`{"model":"embedded","prompt":"Hi","max_tokens":7,"temperature":0.7,"top_k":40,"top_p":0.9,"min_p":5e-2,
			"repetition_penalty":1.1,"repetition_window":32,"seed":18446744073709551615,"stop":["\n","\u00fc"]}`, want},
		{` { "seed" : "18446744073709551615" , "stop" : [ "\n" , "ü" ] , "model":"embedded","prompt":"Hi","max_tokens" : 7,"temperature":0.7,
			"top_k":40,"top_p":0.9,"min_p":0.05,"repetition_penalty":1.1,"repetition_window":32 } `, want},
		{`{"messages":[{"role":"system","content":"Be brief."},{"content":"Hi","role":"user"}]}`, chat},
		{`{"prompt":"","stop":"x"}`, one},
		{`{"prompt":""}`, inference.NewRequest("")},
		{`{"prompt":"","schema": { "type":"object", "properties":{"b":{"enum":["x y"]},"a":{"type":
			"null"}}}}`, held},
	} {
		got, err := inference.ParseRequest([]byte(c.text))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s\ngot  %+v, %v\nwant %+v", c.text, got, err, c.want)
		}
	}
}

func TestBadRequestsAreRefusedByName(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{``, "bad_request: not a JSON object"},
		{`{"prompt":"a"`, "bad_request: not a JSON object"},
		{`{"prompt":"a",}`, "bad_request: not a JSON object"},
		{`[1]`, `bad_request: not a JSON object: it begins with "["`},
		{`null`, `bad_request: not a JSON object: it begins with "<nil>"`},
		{`{"prompt":"a"} {}`, "bad_request: something follows the JSON object"},
		{"{\"prompt\":\"\xff\"}", "bad_request: the request is not UTF-8"},
		{`{"prompt":"a","tools":[]}`, `bad_request: unknown field "tools"`},
		{`{"Prompt":"a"}`, `bad_request: unknown field "Prompt"`},
		{`{"prompt":"a","prompt":"b"}`, `bad_request: field "prompt" appears twice`},
		{`{}`, "bad_request: neither prompt nor messages are given: one of them is needed"},
		{`{"prompt":"a","messages":[{"role":"user","content":"b"}]}`, "bad_request: both prompt and messages are given: one of them is needed"},
		{`{"prompt":null}`, "bad_parameter: prompt is null: it must be a string"},
		{`{"prompt":"a","max_tokens":0}`, "bad_parameter: max_tokens is 0: it must be an integer from 1 to 1048576"},
		{`{"prompt":"a","max_tokens":1048577}`, "bad_parameter: max_tokens is 1048577: it must be an integer from 1 to 1048576"},
		{`{"prompt":"a","max_tokens":1.5}`, "bad_parameter: max_tokens is 1.5: it must be an integer from 1 to 1048576"},
		{`{"prompt":"a","temperature":"0"}`, `bad_parameter: temperature is "0": it must be a number that a float32 can hold`},
		{`{"prompt":"a","temperature":1e39}`, "bad_parameter: temperature is 1e39: it must be a number that a float32 can hold"},
		{`{"prompt":"a","temperature":-1}`, "bad_parameter: temperature is -1: it must be from 0 to 100"},
		{`{"prompt":"a","top_p":0}`, "bad_parameter: top_p is 0: it must be above 0 and at most 1"},
		{`{"prompt":"a","seed":-1}`, "bad_parameter: seed is -1: it must be an integer from 0 to 18446744073709551615"},
		{`{"prompt":"a","seed":18446744073709551616}`, "bad_parameter: seed is 18446744073709551616: it must be an integer from 0 to 18446744073709551615"},
		{`{"prompt":"a","seed":"0x10"}`, "bad_parameter: seed is 0x10: it must be an integer from 0 to 18446744073709551615"},
		{`{"prompt":"a","stop":[1]}`, "bad_parameter: stop[0] is 1: it must be a string"},
		{`{"prompt":"a","stop":[""]}`, "bad_parameter: stop[0] has 0 bytes: 1 to 256"},
		{`{"prompt":"a","schema":null}`, "bad_parameter: schema is null: it must be an object"},
		{`{"prompt":"a","schema":{"type":"integer","minimum":0}}`, `bad_parameter: schema: keyword "minimum" is not supported here`},
		{`{"messages":[]}`, "bad_parameter: messages has 0 entries: 1 to 4096"},
		{`{"messages":[{"role":"tool","content":""}]}`, `bad_parameter: messages[0].role is "tool": it must be system, user or assistant`},
		{`{"messages":[{"role":"user","content":"","name":"x"}]}`, `bad_request: messages[0]: unknown field "name"`},
		{`{"messages":[{"role":"user","content":3}]}`, "bad_parameter: messages[0].content is 3: it must be a string"},
		{`{"messages":["a"]}`, `bad_request: messages[0]: not a JSON object: it begins with "a"`},
		{`{"prompt":"a","model":"` + strings.Repeat("m", 257) + `"}`, "bad_parameter: model has 257 bytes: at most 256"},
		{`{"prompt":"` + strings.Repeat("p", inference.RequestBytesMax) + `"}`, "bad_request: the request has 1048589 bytes: at most 1048576"},
	} {
		_, err := inference.ParseRequest([]byte(c.text))
		var none *inference.RequestError
		if !errors.As(err, &none) || err.Error() != c.want {
			t.Errorf("%.80s: got %v, want %s", c.text, err, c.want)
		}
	}
	atLimit := `{"prompt":"` + strings.Repeat("p", inference.RequestBytesMax-13) + `"}`
	if _, err := inference.ParseRequest([]byte(atLimit)); err != nil || len(atLimit) != inference.RequestBytesMax {
		t.Errorf("a request of %d bytes: %v, want no error", len(atLimit), err)
	}
}

// The example of REQUEST.md: the JSON there has the encoding and digest there.
func TestRequestExample(t *testing.T) {
	doc, err := os.ReadFile("REQUEST.md")
	if err != nil {
		t.Fatal(err)
	}
	var example, digits, digest string
	for line := range strings.Lines(string(doc)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, `{"model"`) && example == "":
			example = line
		case strings.HasPrefix(line, "| ") && strings.Count(line, "|") == 2 && !strings.Contains(line, "---"):
			part, _, _ := strings.Cut(line[2:], "|")
			digits += strings.ReplaceAll(strings.TrimSpace(part), " ", "")
		case strings.HasPrefix(line, "digest "):
			digest = strings.TrimPrefix(line, "digest ")
		}
	}
	request, err := inference.ParseRequest([]byte(example))
	if err != nil {
		t.Fatalf("%s: %v", example, err)
	}
	if got := request.Digest().String(); got != digest {
		t.Errorf("the digest is %s, REQUEST.md says %s", got, digest)
	}
	encoding, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	if got := request.Encode(); string(got) != string(encoding) {
		t.Errorf("the encoding is\n%x, REQUEST.md says\n%x", got, encoding)
	}
}

// Every field but Logprobs is in the digest.
func TestRequestDigestCoversEveryField(t *testing.T) {
	base := inference.NewRequest("a")
	seen := map[string]string{base.Digest().String(): "nothing"}
	for name, change := range map[string]func(r *inference.Request){
		"model":              func(r *inference.Request) { r.Model = "x" },
		"prompt":             func(r *inference.Request) { r.Prompt = "b" },
		"turns":              func(r *inference.Request) { r.Turns = []models.Turn{{Role: "user", Content: "a"}} },
		"role":               func(r *inference.Request) { r.Turns = []models.Turn{{Role: "system", Content: "a"}} },
		"schema":             func(r *inference.Request) { r.Schema = `{"type":"null"}` },
		"max_tokens":         func(r *inference.Request) { r.MaxTokens++ },
		"temperature":        func(r *inference.Request) { r.Sampling.Temperature = 1 },
		"top_k":              func(r *inference.Request) { r.Sampling.TopK = 1 },
		"top_p":              func(r *inference.Request) { r.Sampling.TopP = 0.5 },
		"min_p":              func(r *inference.Request) { r.Sampling.MinP = 0.5 },
		"repetition_penalty": func(r *inference.Request) { r.Sampling.RepetitionPenalty = 2 },
		"repetition_window":  func(r *inference.Request) { r.Sampling.RepetitionWindow = 1 },
		"seed":               func(r *inference.Request) { r.Sampling.Seed = 1 },
		"stop":               func(r *inference.Request) { r.Stop = []string{"a"} },
		"stops":              func(r *inference.Request) { r.Stop = []string{"a", "b"} },
	} {
		r := base
		change(&r)
		digest := r.Digest().String()
		if other, ok := seen[digest]; ok {
			t.Errorf("a change of %s gives the digest of %s", name, other)
		}
		seen[digest] = name
	}
	r := base
	r.Logprobs = 5
	if r.Digest() != base.Digest() {
		t.Error("logprobs change the digest")
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(`{"prompt":"a","seed":"7","stop":["x"],"temperature":0.5}`))
	f.Add([]byte(`{"messages":[{"role":"user","content":"a"}],"max_tokens":3}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		request, err := inference.ParseRequest(data)
		var none *inference.RequestError
		if err != nil && !errors.As(err, &none) {
			t.Fatalf("%q: %v is not a RequestError", data, err)
		}
		if err == nil && request.Check() != nil {
			t.Fatalf("%q was parsed and fails its check: %v", data, request.Check())
		}
	})
}
