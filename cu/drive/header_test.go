package drive

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

// The expected texts are what Node 20 prints for JSON.stringify(JSON.parse(text)).
func TestRewrite(t *testing.T) {
	for text, want := range map[string]string{
		` { "b" : 1 , "a" : [ ] , "c" : { } , "d" : [ { "x" : null } , [ true , false ] ] } `: `{"b":1,"a":[],"c":{},"d":[{"x":null},[true,false]]}`,
		`["\u00e9\ud83d\ude00\u2028\/\b\f\n\r\t\u0001\"\\<>&"]`:                               "[\"é😀\u2028/\\b\\f\\n\\r\\t\\u0001\\\"\\\\<>&\"]",
		`[1.0, 1e3, 1e21, 1.5e-7, 0.000001, 12345678901234567890, -0.5]`:                      `[1,1000,1e+21,1.5e-7,0.000001,12345678901234567000,-0.5]`,
		`"x"`: `"x"`,
		`7`:   `7`,
	} {
		got, err := rewrite([]byte(text))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestWithAddress(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:             `{"ownerAddress":"address"}`,
		`{ "id": "x\n"}`: `{"id":"x\n","ownerAddress":"address"}`,
	} {
		if got, err := withAddress([]byte(text), "address"); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{``, `[]`, `null`, `{`, `{"ownerAddress":"x"}`, `{} {}`} {
		if got, err := withAddress([]byte(text), "address"); err == nil {
			t.Errorf("%s: %s, want an error", text, got)
		}
	}
}

// Whatever is JSON means the same afterwards, and is written once and for all.
func FuzzRewrite(f *testing.F) {
	raw, err := os.ReadFile("../dataitem/testdata/transactions.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw[:bytes.IndexByte(raw, '\n')])
	f.Add([]byte(`{"a":[1,{"b":"c"},[]],"d":{}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var want, got any
		if json.Unmarshal(raw, &want) != nil {
			return
		}
		once, err := rewrite(raw)
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if err := json.Unmarshal(once, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: %q, %v", raw, once, err)
		}
		if twice, err := rewrite(once); err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%q: first %q, then %q, %v", raw, once, twice, err)
		}
	})
}
