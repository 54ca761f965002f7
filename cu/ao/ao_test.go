package ao

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestID(t *testing.T) {
	id := MustParseID(processText)
	for i := range id {
		if id[i] != byte(i) {
			t.Fatalf("byte %d of %s is %d", i, processText, id[i])
		}
	}
	if id.String() != processText {
		t.Errorf("got %s, want %s", id, processText)
	}
	for _, bad := range []string{"", "short", processText + "A", processText[:42] + "9", processText[:42] + "=",
		"+" + processText[1:], "\n" + processText[1:], strings.Repeat("x", 1000)} {
		_, err := ParseID(bad)
		if err == nil {
			t.Errorf("ParseID(%q) did not fail", bad)
		} else if len(bad) > 0 && len(bad) < 60 && !strings.Contains(err.Error(), strings.Trim(bad, "\n")[:3]) {
			t.Errorf("the error %q does not name the input %q", err, bad)
		} else if len(err.Error()) > 200 {
			t.Errorf("error of %d bytes", len(err.Error()))
		}
	}
	var back struct{ A, B ID }
	text, _ := json.Marshal(struct{ A, B ID }{A: id})
	if err := json.Unmarshal(text, &back); err != nil || back.A != id || !back.B.IsZero() {
		t.Errorf("%s came back as %v, %v", text, back, err)
	}
}

func TestHashChain(t *testing.T) {
	process, assignment := ID{1}, ID{2}
	first := FirstHashChain(process)
	if want := sha256.Sum256(process[:]); first != want {
		t.Errorf("first: got %s", first)
	}
	if want := sha256.Sum256(append(assignment[:], first[:]...)); first.Next(assignment) != want {
		t.Errorf("next: got %s", first.Next(assignment))
	}
	if back, err := ParseHashChain(first.String()); err != nil || back != first {
		t.Errorf("parse: %v, %v", back, err)
	}
}

func TestTags(t *testing.T) {
	tags := Tags{{"Type", "Message"}, {"Type", "Process"}, {"X", ""}}
	if got := tags.Get("Type"); got != "Message" {
		t.Errorf("Get: %q", got)
	}
	if !tags.Has("Type", "Process") || tags.Has("type", "Process") {
		t.Error("Has does not see the second value, or ignores case")
	}
	if got := tags.All("Type"); len(got) != 2 {
		t.Errorf("All: %q", got)
	}
	if got := tags.Without("Type"); len(got) != 1 || got[0].Name != "X" {
		t.Errorf("Without: %v", got)
	}
	room := make(Tags, 1, 4)
	a, b := room.Append("a", "1"), room.Append("b", "2")
	if a[1].Name != "a" || b[1].Name != "b" {
		t.Errorf("Append shares memory: %v %v", a, b)
	}
}

func TestTagLimits(t *testing.T) {
	text := func(bytes int) string { return strings.Repeat("x", bytes) }
	for _, test := range []struct {
		name string
		tags Tags
		ok   bool
	}{
		{"none", nil, true},
		{"longest", Tags{{text(TagNameBytesMax), text(TagValueBytesMax)}}, true},
		{"name too long", Tags{{text(TagNameBytesMax + 1), "v"}}, false},
		{"value too long", Tags{{"n", text(TagValueBytesMax + 1)}}, false},
		{"empty name", Tags{{"", "v"}}, true},
		{"empty value", Tags{{"n", ""}}, true},
	} {
		if err := test.tags.Check(); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	many := make(Tags, TagsMax)
	for i := range many {
		many[i] = Tag{"n", "v"}
	}
	if err := many.Check(); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if err := many.Append("n", "v").Check(); err == nil {
		t.Error("no error above the limit")
	}
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{"1-gb": 1 << 30, "500-mb": 500 << 20, "16-GB": 16 << 30, "1024": 1024, "2 kb": 2048,
		"1-tb": 1 << 40, "": -1, "gb": -1, "-": -1, "1.5-gb": -1, "1-pb": -1, "99999999999999-gb": -1, "9-gbgb": -1, "0x1": -1} {
		got, err := ParseBytes(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("ParseBytes(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestParseInt(t *testing.T) {
	for text, want := range map[string]int64{"000001393008": 1393008, "0": 0, "999999999999999999": 999999999999999999,
		"": -1, "-1": -1, "1e3": -1, "1.0": -1, " 1": -1, "1000000000000000000": -1} {
		got, err := ParseInt("n", text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("ParseInt(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestProcessAndModule(t *testing.T) {
	id := MustParseID(processText)
	tags := Tags{{"Data-Protocol", "x"}, {"Data-Protocol", "ao"}, {"Type", "Process"}, {"Module", moduleText}, {"Scheduler", "s"},
		{"Memory-Limit", "2-mb"}}
	process, err := NewProcess(id, "o", tags)
	if err != nil || process.Module.String() != moduleText || process.Scheduler != "s" {
		t.Fatalf("%+v, %v", process, err)
	}
	for _, name := range []string{"Data-Protocol", "Type", "Module"} {
		if _, err := NewProcess(id, "o", tags.Without(name)); err == nil {
			t.Errorf("a process without the tag %s is accepted", name)
		}
	}
	module, err := NewModule(id, "o", Tags{{"Module-Format", "f"}, {"Memory-Limit", "1-gb"}, {"Compute-Limit", "9000000000000"}})
	if err != nil || module.MemoryLimitBytes != 1<<30 || module.ComputeLimit != 9e12 {
		t.Fatalf("%+v, %v", module, err)
	}
	if module, err = module.WithProcess(process); err != nil || module.MemoryLimitBytes != 2<<20 || module.ComputeLimit != 9e12 {
		t.Errorf("%+v, %v", module, err)
	}
	if _, err := NewModule(id, "o", nil); err == nil {
		t.Error("a module without Module-Format is accepted")
	}
}

func TestParseHandle(t *testing.T) {
	for _, test := range []struct{ returned, want string }{
		{`{"ok":true,"response":{"Output":{"data":"2"},"Messages":[ {"b":1,"a":"<"} ],"Spawns":[],"Assignments":[],"Patches":[1],"Memory":3}}`,
			`{"Messages":[ {"b":1,"a":"<"} ],"Assignments":[],"Spawns":[],"Output":{"data":"2"},"GasUsed":0}`},
		{`{"ok":true,"response":{"Messages":null,"messages":[1],"Error":""}}`, `{"Messages":[],"Assignments":[],"Spawns":[],"Output":"","GasUsed":0}`},
		{`{"ok":true,"response":{"Error":"bad"}}`, `{"Messages":[],"Assignments":[],"Spawns":[],"Output":"","GasUsed":0,"Error":"bad"}`},
		{`{"ok":false,"response":"why"}`, `{"Messages":[],"Assignments":[],"Spawns":[],"Output":"","GasUsed":0,"Error":"why"}`},
		{`{"ok":"true"}`, `{"Messages":[],"Assignments":[],"Spawns":[],"Output":"","GasUsed":0,"Error":"handle answered ok=false without a response"}`},
		{`{"ok":true}`, ""}, {`{"ok":true,"response":[]}`, ""}, {`nonsense`, ""}, {``, ""},
		{`{"ok":true,"response":{"Messages":{"a":1}}}`, ""},
	} {
		result, err := ParseHandle([]byte(test.returned))
		got := ""
		if err == nil {
			got = string(result.AppendJSON(nil))
		} else if !errors.Is(err, ErrHandle) {
			t.Errorf("%s: error %v is not ErrHandle", test.returned, err)
		}
		if got != test.want {
			t.Errorf("%s:\n got %s, %v\nwant %s", test.returned, got, err, test.want)
		}
	}
}

func TestResultRoundTrip(t *testing.T) {
	for _, result := range []Result{FailedText("a \"b\"\n"), {Messages: json.RawMessage(`[1, 2]`), Assignments: json.RawMessage(`[]`),
		Spawns: json.RawMessage(`[]`), Output: json.RawMessage(`{"x" : "<"}`), GasUsed: 12}} {
		encoded := result.AppendJSON(nil)
		back, err := ParseResult(encoded)
		if err != nil || string(back.AppendJSON(nil)) != string(encoded) || back.Digest() != sha256.Sum256(encoded) {
			t.Errorf("%s came back as %s, %v", encoded, back.AppendJSON(nil), err)
		}
	}
}

// FuzzResult looks for a text that is accepted and yet is not the one encoding of what it gives.
func FuzzResult(f *testing.F) {
	f.Add(FailedText("x").AppendJSON(nil))
	f.Add([]byte(`{"Messages":[],"Assignments":[],"Spawns":[],"Output":"","GasUsed":01}`))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		if result, err := ParseResult(encoded); err == nil && string(result.AppendJSON(nil)) != string(encoded) {
			t.Errorf("%q came back as %q", encoded, result.AppendJSON(nil))
		}
		ParseHandle(encoded)
	})
}
