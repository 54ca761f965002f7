package dataitem

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"verbatim/cu/ao"
)

func TestDecodeTags(t *testing.T) {
	one := ao.Tags{{Name: "a", Value: "b"}}
	two := append(one, ao.Tag{Name: "c", Value: ""})
	for _, test := range []struct {
		name, raw string
		want      ao.Tags
		ok        bool
	}{
		{"nothing", "", nil, true},
		{"empty array", "\x00", nil, true},
		{"one", "\x02\x02a\x02b\x00", one, true},
		{"two", "\x04\x02a\x02b\x02c\x00\x00", two, true},
		{"two blocks", "\x02\x02a\x02b\x02\x02c\x00\x00", two, true},
		{"negative count with its size", "\x03\x0e\x02a\x02b\x02c\x00\x00", two, true},
		{"negative count, wrong size", "\x03\x10\x02a\x02b\x02c\x00\x00", nil, false},
		{"no end mark", "\x02\x02a\x02b", nil, false},
		{"after the end mark", "\x02\x02a\x02b\x00\x00", nil, false},
		{"length past the end", "\x02\x02a\x7eb\x00", nil, false},
		{"negative length", "\x02\x01a\x02b\x00", nil, false},
		{"integer without end", "\x80\x80\x80", nil, false},
		{"integer of more than 64 bits", strings.Repeat("\xff", 10) + "\x00", nil, false},
		{"smallest count", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", nil, false},
		{"name too long", "\x02\x82\x10" + strings.Repeat("a", 1025) + "\x02b\x00", nil, false},
		{"129 tags", "\x82\x02" + strings.Repeat("\x02a\x02b", 129) + "\x00", nil, false},
	} {
		got, err := decodeTags([]byte(test.raw))
		if (err == nil) != test.ok || (test.ok && !reflect.DeepEqual(got, test.want)) {
			t.Errorf("%s: decodeTags(%q) = %v, %v; want %v", test.name, test.raw, got, err, test.want)
		}
		if err != nil && !errors.Is(err, ErrFormat) {
			t.Errorf("%s: error of another kind: %v", test.name, err)
		}
	}
}

func TestEncodeTags(t *testing.T) {
	raw, err := encodeTags(ao.Tags{{Name: "a", Value: "b"}, {Name: "c", Value: ""}})
	if want := "\x04\x02a\x02b\x02c\x00\x00"; err != nil || string(raw) != want {
		t.Errorf("got %q, %v; want %q", raw, err, want)
	}
	if raw, err := encodeTags(nil); err != nil || len(raw) != 0 {
		t.Errorf("no tags: %q, %v", raw, err)
	}
	// Two values of v bytes: 1 (count) + 2·(1 + 1 + 2 + v) + 1 (end).
	for size, ok := range map[int]bool{2043: true, 2044: false} {
		value := strings.Repeat("v", size)
		raw, err := encodeTags(ao.Tags{{Name: "a", Value: value}, {Name: "b", Value: value}})
		if (err == nil) != ok {
			t.Errorf("two values of %d bytes: %d bytes, %v", size, len(raw), err)
		}
		if _, err := encodeTags(ao.Tags{{Name: "aa", Value: value}, {Name: "b", Value: value}}); err == nil {
			t.Errorf("two values of %d bytes and a byte more: no error", size)
		}
	}
}

// FuzzParse looks for an item that is accepted and not given back byte for byte, and for panics.
func FuzzParse(f *testing.F) {
	for _, vector := range readVectors(f).Items {
		f.Add(vector.Raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		item, err := Parse(raw)
		if err != nil {
			return
		}
		if string(item.Bytes()) != string(raw) {
			t.Errorf("%x came back as %x", raw, item.Bytes())
		}
		item.Verify()
		_ = item.Address()
	})
}

// FuzzParseBundle is FuzzParse for bundles.
func FuzzParseBundle(f *testing.F) {
	f.Add(readVectors(f).Bundle.Raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if items, err := ParseBundle(raw); err == nil && string(Bundle(items)) != string(raw) {
			t.Errorf("%x came back as %x", raw, Bundle(items))
		}
	})
}
