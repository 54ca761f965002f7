package mainnet

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// write gives the only way to write a dictionary.
func write(members []pair) string {
	parts := make([]string, len(members))
	for i, m := range members {
		parts[i] = m.key
		if m.value.kind != kindBoolean || m.value.number == 0 {
			parts[i] += "=" + string(m.value.append(nil))
		}
	}
	return strings.Join(parts, ", ")
}

func TestDictionary(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "",
		"  a=1 ":                          "a=1",
		"a=1,b=2 \t,\tc":                  "a=1, b=2, c",
		`sig=("@method" "x-y");alg="z"`:   `sig=("@method" "x-y");alg="z"`,
		`s=(  "a"   b  :AQI:  ) ;x`:       "error", // parameters follow without a space
		`s=(  "a"   b  :AQI:  );  x;y=?0`: `s=("a" b :AQI=:);x;y=?0`,
		`s=("a";q=1;r "b")`:               `s=("a";q=1;r "b")`,
		`s=()`:                            `s=()`,
		`q="a\"b\\c"`:                     `q="a\"b\\c"`,
		`d=:-_8=:`:                        `d=:+/8=:`, // ao's clients write the alphabet of URLs
		`d=:AQI:`:                         `d=:AQI=:`,
		`n=-15, t=a/b:c, *k=?1`:           `n=-15, t=a/b:c, *k`,
		"n=007":                           "n=7",
		"a=1,":                            "error",
		"a=1 b=2":                         "error",
		"a=1, a=2":                        "error",
		"a=1;x=1;x=2":                     "error",
		"A=1":                             "error",
		"=1":                              "error",
		"a=":                              "error",
		`a="x`:                            "error",
		`a="x\n"`:                         "error",
		"a=\"x\ty\"":                      "error",
		"a=\"\x7f\"":                      "error",
		"a=:A:":                           "error",
		"a=:AR==:":                        "error", // bits of no byte
		"a=:AQI":                          "error",
		"a=?2":                            "error",
		"a=?":                             "error",
		"a=?11":                           "error",
		"a=1.5":                           "error",
		"a=1234567890123456":              "error",
		"a=123456789012345":               "a=123456789012345",
		`a=("x"y)`:                        "error",
		`a=("x"`:                          "error",
		`a=((1) 2)`:                       "error",
		`a=(1 (2))`:                       "error",
		"a=@1659578233":                   "error",
	} {
		members, err := parseDictionary(text)
		got := write(members)
		if err != nil {
			if got = "error"; !errors.Is(err, errField) {
				t.Errorf("%q: %v is no errField", text, err)
			}
		}
		if got != want {
			t.Errorf("%q: got %q (%v), want %q", text, got, err, want)
		}
	}
}

// keys gives n keys, each once.
func keys(n int, separator string) string {
	var out strings.Builder
	for i := range n {
		fmt.Fprintf(&out, "%sk%d", separator, i)
	}
	return strings.TrimPrefix(out.String(), ",")
}

func TestDictionaryLimits(t *testing.T) {
	for text, good := range map[string]bool{
		keys(membersMax, ","):              true,
		keys(membersMax+1, ","):            false,
		"a=1" + keys(parametersMax, ";"):   true,
		"a=1" + keys(parametersMax+1, ";"): false,
	} {
		if members, err := parseDictionary(text); (err == nil) != good {
			t.Errorf("%.20q... of %d bytes: got %d members, error %v; want good %v", text, len(text), len(members), err, good)
		}
	}
}

// FuzzDictionary: what is read, written and read again is the same, and written the same.
func FuzzDictionary(f *testing.F) {
	for _, seed := range []string{`sig1=("@method" "@path" "x";a);alg="rsa-pss-sha512";keyid="AQAB", b=:AQI=:`, `a=1, b;c="d\\", *x=?0`, "sha-256=:AAEC:", `k="\"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		members, err := parseDictionary(text)
		if err != nil {
			return
		}
		written := write(members)
		again, err := parseDictionary(written)
		if err != nil || write(again) != written {
			t.Errorf("%q is written %q, which is read as %q, %v", text, written, write(again), err)
		}
	})
}
