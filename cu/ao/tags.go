package ao

import (
	"fmt"
	"strings"
)

// Limits on tags. ANS-104 sets them for data items; the network applies them to everything that carries tags.
const (
	TagsMax          = 128  // tags of one item
	TagNameBytesMax  = 1024 // UTF-8 bytes of one name
	TagValueBytesMax = 3072 // UTF-8 bytes of one value
)

// Tag is a name and a value. Names compare byte by byte and may repeat within Tags.
type Tag struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Tags is an ordered list of tags. Order is part of what is signed.
type Tags []Tag

// Get gives the value of the first tag named name, or "".
func (t Tags) Get(name string) string {
	value, _ := t.Lookup(name)
	return value
}

// Lookup gives the value of the first tag named name and whether there is one.
func (t Tags) Lookup(name string) (string, bool) {
	for _, tag := range t {
		if tag.Name == name {
			return tag.Value, true
		}
	}
	return "", false
}

// All gives the values of every tag named name, in order.
func (t Tags) All(name string) []string {
	var values []string
	for _, tag := range t {
		if tag.Name == name {
			values = append(values, tag.Value)
		}
	}
	return values
}

// Has reports whether any tag named name has the value value: Data-Protocol and Type may repeat.
func (t Tags) Has(name, value string) bool {
	for _, tag := range t {
		if tag.Name == name && tag.Value == value {
			return true
		}
	}
	return false
}

// Without gives a copy of t that lacks every tag with one of names.
func (t Tags) Without(names ...string) Tags {
	kept := make(Tags, 0, len(t))
next:
	for _, tag := range t {
		for _, name := range names {
			if tag.Name == name {
				continue next
			}
		}
		kept = append(kept, tag)
	}
	return kept
}

// Append gives a copy of t with one more tag. It never writes to the array behind t.
func (t Tags) Append(name, value string) Tags {
	return append(t[:len(t):len(t)], Tag{name, value})
}

// Check tells which limit t breaks, if any. Empty names and values pass: ANS-104 forbids them, the network does not.
func (t Tags) Check() error {
	if len(t) > TagsMax {
		return fmt.Errorf("tags: %d of them, limit %d", len(t), TagsMax)
	}
	for i, tag := range t {
		switch {
		case len(tag.Name) > TagNameBytesMax:
			return fmt.Errorf("tag %d: name of %d bytes, limit %d", i, len(tag.Name), TagNameBytesMax)
		case len(tag.Value) > TagValueBytesMax:
			return fmt.Errorf("tag %d %q: value of %d bytes, limit %d", i, clip(tag.Name), len(tag.Value), TagValueBytesMax)
		}
	}
	return nil
}

// ParseBytes reads a size as module tags write it: "1-gb", "500-mb", "1024". Units are powers of 1024.
func ParseBytes(text string) (int64, error) {
	digits, shift := strings.ToLower(strings.ReplaceAll(text, "-", "")), 0
	for i, unit := range [...]string{"kb", "mb", "gb", "tb"} {
		if rest, ok := strings.CutSuffix(digits, unit); ok {
			digits, shift = strings.TrimSpace(rest), 10*(i+1)
			break
		}
	}
	number, err := ParseInt("size", digits)
	if err != nil || number > (1<<62)>>shift {
		return 0, fmt.Errorf("size %q: want a whole number with an optional unit kb, mb, gb or tb", clip(text))
	}
	return number << shift, nil
}

// ParseInt reads a whole number that is not negative. Schedulers pad some with zeros ("000001393008"). What names it in errors.
func ParseInt(what, text string) (int64, error) {
	const digitsMax = 18
	if text == "" || len(text) > digitsMax {
		return 0, fmt.Errorf("%s %q: want 1 to %d decimal digits", what, clip(text), digitsMax)
	}
	var n int64
	for i := 0; i < len(text); i++ {
		digit := text[i] - '0'
		if digit > 9 {
			return 0, fmt.Errorf("%s %q: want decimal digits only", what, clip(text))
		}
		n = 10*n + int64(digit)
	}
	return n, nil
}
