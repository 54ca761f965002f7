package jinja

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A value is one of: nil (none), undefined, bool, int64, float64, text, *list,
// *dict, *namespace, *macro, *loop, method, function. Lists and dictionaries
// never change once they are made.

// Value is a variable for a template.
type Value struct{ value any }

// Variable is a value with its name.
type Variable struct {
	Name  string
	Value Value
}

// Variables are what a template may read.
type Variables []Variable

// String is a string that is trusted like the template itself.
func String(s string) Value { return Value{newText(s, 0)} }

// Content is a string that may hold anything; its characters are marked.
func Content(s string) Value { return Value{newText(s, contentMark)} }

// Bool is true or false.
func Bool(b bool) Value { return Value{b} }

// None is none.
func None() Value { return Value{nil} }

// List is a list of values.
func List(values ...Value) Value {
	l := &list{items: make([]any, len(values))}
	for i, v := range values {
		l.items[i] = v.value
	}
	return Value{l}
}

// Dict is a dictionary with the pairs in this order.
func Dict(pairs ...Variable) Value {
	d := &dict{}
	for _, pair := range pairs {
		d.set(newText(pair.Name, 0), pair.Value.value)
	}
	return Value{d}
}

// text is a string as code points, like Python's. A byte that is no UTF-8 is a
// code point from 0xdc80 on (Python's surrogateescape). contentMark is set in
// those that come from Content.
type text []rune

const (
	contentMark rune = 1 << 30
	escapedByte rune = 0xdc00
)

func newText(s string, mark rune) text {
	t := make(text, 0, len(s))
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && size == 1 {
			r = escapedByte + rune(s[0])
		}
		t = append(t, r|mark)
		s = s[size:]
	}
	return t
}

// appendRune appends the bytes of an unmarked code point.
func appendRune(b []byte, r rune) []byte {
	if r >= escapedByte+0x80 && r <= escapedByte+0xff {
		return append(b, byte(r-escapedByte))
	}
	return utf8.AppendRune(b, r)
}

// String is the text without marks.
func (t text) String() string {
	b := make([]byte, 0, len(t))
	for _, r := range t {
		b = appendRune(b, r&^contentMark)
	}
	return string(b)
}

// spansOf cuts a text where its origin changes.
func spansOf(t text) []Span {
	var spans []Span
	for start := 0; start < len(t); {
		end := start
		for end < len(t) && t[end]&contentMark == t[start]&contentMark {
			end++
		}
		spans = append(spans, Span{Text: t[start:end].String(), Content: t[start]&contentMark != 0})
		start = end
	}
	return spans
}

// undefined is what a name or attribute that does not exist evaluates to.
type undefined struct{ name string }

type list struct {
	items []any
	tuple bool
}

// dict keeps its pairs in the order of insertion.
type dict struct {
	keys   []any
	values []any
	index  map[any]int // by key; a text as its string
}

// hashable is a key as index holds it. Python takes 1, 1.0 and True for the
// same key; here keys are strings and integers.
func hashable(key any) any {
	switch k := key.(type) {
	case text:
		return k.String()
	case int64:
		return k
	}
	fail("%s cannot be a key of a dictionary", kindOf(key))
	return nil
}

func (d *dict) set(key, value any) {
	k := hashable(key)
	if at, ok := d.index[k]; ok {
		d.values[at] = value
		return
	}
	if d.index == nil {
		d.index = map[any]int{}
	}
	d.index[k] = len(d.keys)
	d.keys = append(d.keys, key)
	d.values = append(d.values, value)
}

func (d *dict) get(key any) (any, bool) {
	switch key.(type) {
	case text, int64:
	default:
		return nil, false
	}
	at, ok := d.index[hashable(key)]
	if !ok {
		return nil, false
	}
	return d.values[at], true
}

// namespace is the one value that a template may change.
type namespace struct{ values dict }

// function is a builtin; method is one bound to its value.
type function string

type method struct {
	of   any
	name string
}

// kindOf names the type of a value as Python does.
func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case undefined:
		return "undefined " + strconv.Quote(cut(v.name, 40))
	case bool:
		return "a boolean"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case text:
		return "a string"
	case *list:
		if v.tuple {
			return "a tuple"
		}
		return "a list"
	case *dict:
		return "a dictionary"
	case *namespace:
		return "a namespace"
	}
	return "a function"
}

func truth(v any) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case text:
		return len(v) > 0
	case *list:
		return len(v.items) > 0
	case *dict:
		return len(v.keys) > 0
	}
	return true
}

// number gives an integer (booleans count) or a float.
func number(v any) (n int64, x float64, isFloat, ok bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, 1, false, true
		}
		return 0, 0, false, true
	case int64:
		return v, float64(v), false, true
	case float64:
		return 0, v, true, true
	}
	return 0, 0, false, false
}

// runesOf counts the characters of a variable.
func runesOf(v any) int {
	n := 1
	switch v := v.(type) {
	case text:
		n += len(v)
	case *list:
		for _, item := range v.items {
			n += runesOf(item)
		}
	case *dict:
		for i := range v.keys {
			n += runesOf(v.keys[i]) + runesOf(v.values[i])
		}
	}
	return n
}

// equal is Python's ==.
func (r *renderer) equal(a, b any, depth int) bool {
	r.spend(1)
	if depth > ValueDepthMax {
		fail("values are nested deeper than %d", ValueDepthMax)
	}
	if n, x, aFloat, ok := number(a); ok {
		m, y, bFloat, ok := number(b)
		if !aFloat && !bFloat {
			return ok && n == m
		}
		return ok && x == y
	}
	switch a := a.(type) {
	case nil:
		return b == nil
	case undefined:
		_, ok := b.(undefined)
		return ok
	case text:
		t, ok := b.(text)
		return ok && r.equalText(a, t)
	case *list:
		l, ok := b.(*list)
		if !ok || len(l.items) != len(a.items) || l.tuple != a.tuple {
			return false
		}
		for i := range a.items {
			if !r.equal(a.items[i], l.items[i], depth+1) {
				return false
			}
		}
		return true
	case *dict:
		d, ok := b.(*dict)
		if !ok || len(d.keys) != len(a.keys) {
			return false
		}
		for i, key := range a.keys {
			value, ok := d.get(key)
			if !ok || !r.equal(a.values[i], value, depth+1) {
				return false
			}
		}
		return true
	case *namespace, *macro, *loop, function:
		return a == b
	}
	return false
}

func (r *renderer) equalText(a, b text) bool {
	return len(a) == len(b) && r.hasPrefix(a, b)
}

func (r *renderer) hasPrefix(t, prefix text) bool {
	if len(prefix) > len(t) {
		return false
	}
	for i := range prefix {
		if (t[i]^prefix[i])&^contentMark != 0 {
			r.spend(i / 8)
			return false
		}
	}
	r.spend(len(prefix) / 8)
	return true
}

// find is the index of the first occurrence of part in t from start on, or -1.
func (r *renderer) find(t, part text, start int) int {
	for i := start; i+len(part) <= len(t); i++ {
		r.spend(1)
		if r.hasPrefix(t[i:], part) {
			return i
		}
	}
	return -1
}

// formatFloat is Python's repr of a float.
func formatFloat(x float64) string {
	switch {
	case math.IsInf(x, 1):
		return "inf"
	case math.IsInf(x, -1):
		return "-inf"
	case math.IsNaN(x):
		return "nan"
	}
	if a := math.Abs(x); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(x, 'e', -1, 64)
	}
	s := strconv.FormatFloat(x, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// str is Python's str: what an output or ~ writes.
func (r *renderer) str(v any) text {
	switch v := v.(type) {
	case text:
		return v
	case undefined:
		return nil
	}
	out := r.repr(nil, v, 0)
	r.spend(len(out))
	return out
}

// repr appends Python's repr.
func (r *renderer) repr(out text, v any, depth int) text {
	r.spend(1)
	if depth > ValueDepthMax {
		fail("values are nested deeper than %d", ValueDepthMax)
	}
	switch v := v.(type) {
	case nil:
		return append(out, text("None")...)
	case undefined:
		return append(out, text("Undefined")...)
	case bool:
		if v {
			return append(out, text("True")...)
		}
		return append(out, text("False")...)
	case int64:
		return append(out, text(strconv.FormatInt(v, 10))...)
	case float64:
		return append(out, text(formatFloat(v))...)
	case text:
		return r.reprText(out, v)
	case *list:
		ends := "[]"
		if v.tuple {
			ends = "()"
		}
		out = append(out, rune(ends[0]))
		for i, item := range v.items {
			if i > 0 {
				out = append(out, ',', ' ')
			}
			out = r.repr(out, item, depth+1)
		}
		if v.tuple && len(v.items) == 1 {
			out = append(out, ',')
		}
		return append(out, rune(ends[1]))
	case *dict:
		out = append(out, '{')
		for i, key := range v.keys {
			if i > 0 {
				out = append(out, ',', ' ')
			}
			out = append(r.repr(out, key, depth+1), ':', ' ')
			out = r.repr(out, v.values[i], depth+1)
		}
		return append(out, '}')
	}
	fail("%s cannot be written as text", kindOf(v))
	return nil
}

// reprText quotes as Python does, with ' unless the text has ' and no ".
func (r *renderer) reprText(out, t text) text {
	r.spend(len(t))
	quote := '\''
	if r.find(t, text{'\''}, 0) >= 0 && r.find(t, text{'"'}, 0) < 0 {
		quote = '"'
	}
	out = append(out, quote)
	for _, marked := range t {
		mark, c := marked&contentMark, marked&^contentMark
		switch {
		case c == quote || c == '\\':
			out = append(out, '\\'|mark, marked)
		case c == '\n' || c == '\r' || c == '\t':
			out = append(out, '\\'|mark, rune("tn  r"[c-'\t'])|mark)
		case c < ' ' || c == 0x7f:
			out = append(out, '\\'|mark, 'x'|mark, rune("01"[c>>4&1])|mark, rune("0123456789abcdef"[c&15])|mark)
		default:
			out = append(out, marked)
		}
	}
	return append(out, quote)
}
