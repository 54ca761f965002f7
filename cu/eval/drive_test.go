package eval

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"verbatim/cu/ao"
)

// shelf is a provider that has everything, of a size that it is told, and notes what it was asked for.
type shelf struct {
	Provider
	size  int64
	asked []Opening
	open  int
}

func (s *shelf) Open(_ context.Context, o Opening) (*Content, error) {
	s.asked = append(s.asked, o)
	s.open++
	content := strings.Repeat("x", int(s.size))
	return &Content{SectionReader: io.NewSectionReader(strings.NewReader(content), 0, s.size), Close: func() error { s.open--; return nil }}, nil
}

func tags(pairs ...string) (list ao.Tags) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, ao.Tag{Name: pairs[i], Value: pairs[i+1]})
	}
	return list
}

func callsOf(t *testing.T, provider Provider, process, module ao.Tags, message string) *hostCalls {
	t.Helper()
	env, err := json.Marshal(map[string]any{"Process": map[string]any{"Tags": process}, "Module": map[string]any{"Tags": module}})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := ParseEnv(env)
	if err != nil {
		t.Fatal(err)
	}
	return &hostCalls{provider: provider, env: parsed, message: []byte(message)}
}

// What can be read follows from the tags and the message; what cannot is not asked for and not recorded.
func TestOpening(t *testing.T) {
	id := ao.ID{1}.String()
	extended := tags("Extension", "WeaveDrive", "Scheduler", "s")
	at := `{"Block-Height":100}`
	for _, test := range []struct {
		name            string
		process, module ao.Tags
		message         string
		want            bool
		condition       *Admission
	}{
		{"/data/" + id, extended, nil, at, true, &Admission{Assignments, []string{"s"}, 100}},
		{"/data/" + id, tags("Scheduler", "s"), tags("Extension", "Other", "Extension", "WeaveDrive"), at, true, &Admission{Assignments, []string{"s"}, 100}},
		{"/data/" + id, tags("Scheduler", "s"), nil, at, false, nil},
		{"/data/" + id, tags("Extension", "WeaveDrive"), nil, at, false, nil}, // nobody's word counts
		{"/data/" + id, tags("Extension", "WeaveDrive", "Scheduler", "s", "Scheduler", "z", "Attestor", "a", "Attestor", "", "Attestor", "b"), nil, at, true,
			&Admission{Assignments, []string{"z", "a", "b"}, 100}},
		{"/data/" + id, append(extended, tags("Availability-Type", "Individual")...), tags("Availability-Type", "Library"), at, true, &Admission{Individual, []string{"s"}, 100}},
		{"/data/" + id, extended, tags("Availability-Type", "Library"), at, true, &Admission{Library, []string{"s"}, 100}},
		{"/data/" + id, append(extended, tags("Availability-Type", "Everything")...), nil, at, false, nil},
		{"/data/" + id, extended, nil, `{}`, false, nil},
		{"/data/" + id, extended, nil, `{"Block-Height":"100"}`, false, nil},
		{"/data/" + id, tags("On-Boot", id), nil, at, true, nil},
		{"/data/" + id, tags("On-Boot", id, "On-Boot", "Data"), nil, at, false, nil},
		{"/data/short", extended, nil, at, false, nil},
		{"/tx/" + id, nil, nil, at, true, nil},
		{"/tx/x", nil, nil, at, false, nil},
		{"/block/0", nil, nil, at, true, nil},
		{"/block/100", nil, nil, at, true, nil},
		{"/block/101", nil, nil, at, false, nil},
		{"/block/-1", nil, nil, at, false, nil},
		{"/block/1", nil, nil, `{}`, false, nil},
		{"/block/" + strings.Repeat("x", 64), nil, nil, at, true, nil},
		{"/block/" + strings.Repeat("x", 63) + "?", nil, nil, at, false, nil},
	} {
		s := &shelf{size: 5}
		calls := callsOf(t, s, test.process, test.module, test.message)
		content, err := calls.Open(t.Context(), test.name)
		if err != nil || (content != nil) != test.want || len(s.asked) != len(calls.reads) || test.want && len(s.asked) != 1 {
			t.Errorf("%s, process %v, module %v, %s: there %v, asked %d, recorded %d, %v; want it there: %v", test.name, test.process, test.module, test.message,
				content != nil, len(s.asked), len(calls.reads), err, test.want)
			continue
		}
		if test.want && !reflect.DeepEqual(s.asked[0].Admission, test.condition) {
			t.Errorf("%s, process %v, module %v: condition %+v, want %+v", test.name, test.process, test.module, s.asked[0].Admission, test.condition)
		}
	}
}

// What is recorded: data by its digest, everything else as it is, as far as there is room.
func TestRecordedReads(t *testing.T) {
	id := ao.ID{1}.String()
	for _, test := range []struct {
		size, sum int64
		name      string
		want      ReadKind
	}{
		{InlineBytesMax, 0, "/tx/" + id, ReadInline},
		{InlineBytesMax + 1, 0, "/tx/" + id, ReadAbsent},
		{InlineBytesMax, InlineBytesMaxSum - InlineBytesMax, "/block/1", ReadInline},
		{InlineBytesMax, InlineBytesMaxSum - InlineBytesMax + 1, "/block/1", ReadAbsent},
		{InlineBytesMax + 1, InlineBytesMaxSum, "/data/" + id, ReadDigest},
	} {
		s := &shelf{size: test.size}
		calls := callsOf(t, s, tags("On-Boot", id), nil, `{"Block-Height":1}`)
		calls.inlineBytes = test.sum
		content, err := calls.Open(t.Context(), test.name)
		if err != nil || calls.reads[0].Kind != test.want || (content == nil) != (test.want == ReadAbsent) {
			t.Errorf("%d bytes of %s after %d: kind %d, there %v, %v; want kind %d", test.size, test.name, test.sum, calls.reads[0].Kind, content != nil, err, test.want)
		}
		if calls.closeDrive(); s.open != 0 {
			t.Errorf("%s: %d contents left open", test.name, s.open)
		}
	}
	s := &shelf{}
	calls := callsOf(t, s, nil, nil, fmt.Sprintf(`{"Block-Height":%d}`, 2*ReadsMax))
	for i := range ReadsMax + 1 {
		content, err := calls.Open(t.Context(), fmt.Sprintf("/block/%d", i))
		if err != nil || (content != nil) != (i < ReadsMax) {
			t.Fatalf("name %d: there %v, %v", i, content != nil, err)
		}
	}
	if len(calls.reads) != ReadsMax {
		t.Errorf("%d reads recorded, want %d", len(calls.reads), ReadsMax)
	}
}
