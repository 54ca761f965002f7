package transcript_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"verbatim/inference/transcript"
)

var write = flag.Bool("write", false, "write testdata/vectors.json anew: only with a new version of the format")

const vectorsPath = "testdata/vectors.json"

// vector is one transcript in all its forms.
type vector struct {
	Name     string                 `json:"name"`
	Encoding string                 `json:"encoding_hex"`
	JSON     *transcript.Transcript `json:"transcript"`
}

func vectors(t *testing.T) []vector {
	var out []vector
	for _, v := range []vector{{Name: "example of FORMAT.md", JSON: example()}, {Name: "smallest", JSON: smallest()}, {Name: "with a schema", JSON: held()}} {
		v.Encoding = hex.EncodeToString(encode(t, v.JSON))
		out = append(out, v)
	}
	return out
}

// The file is what other implementations test against, so it must be what this one does.
func TestVectors(t *testing.T) {
	got, err := json.MarshalIndent(vectors(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *write {
		if err := os.WriteFile(vectorsPath, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(vectorsPath)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got\n%s", vectorsPath, got)
	}
}

// The example in FORMAT.md, hexadecimal and JSON, is the first vector.
func TestFormatExample(t *testing.T) {
	text, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	want := hex.EncodeToString(encode(t, example()))
	var got strings.Builder
	for line := range strings.Lines(string(text)) {
		if field, isExample := strings.CutPrefix(line, "    | "); isExample {
			digits, _, _ := strings.Cut(field, "|")
			got.WriteString(strings.ReplaceAll(strings.TrimSpace(digits), " ", ""))
		}
	}
	if got.String() != want {
		t.Errorf("FORMAT.md encodes\n%s, want\n%s", got.String(), want)
	}
	view, err := json.MarshalIndent(example(), "    ", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "    "+string(view)) {
		t.Errorf("FORMAT.md lacks this JSON:\n    %s", view)
	}
}
