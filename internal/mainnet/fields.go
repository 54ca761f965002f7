package mainnet

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// This file reads and writes structured fields (RFC 9651), as much of them as signatures need: dictionaries whose members
// are items or inner lists of items. Decimals, dates and display strings are refused, and so is a key that comes twice.

type kind int

const (
	kindString kind = iota
	kindToken
	kindBytes
	kindInteger
	kindBoolean
	kindList
)

// value is an item or, of kindList, an inner list, with its parameters.
type value struct {
	kind       kind
	text       string // of a string, a token, or bytes
	number     int64  // of an integer or a boolean
	items      []value
	parameters []pair
}

// pair is a key with its value: a member of a dictionary, or a parameter.
type pair struct {
	key   string
	value value
}

// field gives the value of a key.
func field(pairs []pair, key string) (value, bool) {
	for _, p := range pairs {
		if p.key == key {
			return p.value, true
		}
	}
	return value{}, false
}

var errField = errors.New("not a structured field")

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"
	// what keys and tokens are made of (RFC 9651, 3.1.2 and 3.3.4)
	keyFirst   = lower + "*"
	keyOther   = lower + digits + "_-.*"
	tokenFirst = lower + upper + "*"
	tokenOther = lower + upper + digits + ":/!#$%&'*+-.^_`|~"

	integerDigits = 15

	// what a reader must take at least (RFC 9651, 3.1.2 and 3.2), and at most here: each key is compared with those before
	membersMax    = 1024
	parametersMax = 256
)

// fieldReader reads what is left of a field.
type fieldReader struct{ rest string }

func parseDictionary(text string) ([]pair, error) {
	r := fieldReader{strings.Trim(text, " ")}
	var members []pair
	for r.rest != "" {
		m, err := r.pair(r.value)
		if err == nil {
			if _, twice := field(members, m.key); twice {
				err = fmt.Errorf("key %s comes twice", m.key)
			} else if len(members) == membersMax {
				err = fmt.Errorf("more than %d keys", membersMax)
			}
		}
		members = append(members, m)
		if r.skip(" \t"); err == nil && r.rest != "" {
			if !r.take(",") {
				err = errors.New("no comma")
			} else if r.skip(" \t"); r.rest == "" {
				err = errors.New("a comma at the end")
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w, before %.20q", errField, err, r.rest)
		}
	}
	return members, nil
}

func (r *fieldReader) skip(set string) { r.rest = strings.TrimLeft(r.rest, set) }

func (r *fieldReader) take(text string) (there bool) {
	r.rest, there = strings.CutPrefix(r.rest, text)
	return there
}

// word takes as many characters of a set as there are.
func (r *fieldReader) word(set string) string {
	word := r.rest[:len(r.rest)-len(strings.TrimLeft(r.rest, set))]
	r.rest = r.rest[len(word):]
	return word
}

// pair reads key=value; a key alone has the value true and, in a dictionary, maybe parameters.
func (r *fieldReader) pair(read func() (value, error)) (p pair, err error) {
	if r.rest == "" || !strings.Contains(keyFirst, r.rest[:1]) {
		return p, errors.New("no key")
	}
	p.key = r.word(keyOther)
	if r.take("=") {
		p.value, err = read()
		return p, err
	}
	p.value = value{kind: kindBoolean, number: 1}
	return p, nil
}

// value reads an item or an inner list, and its parameters.
func (r *fieldReader) value() (v value, err error) {
	if !r.take("(") {
		return r.item()
	}
	v.kind = kindList
	for r.skip(" "); !r.take(")"); r.skip(" ") {
		if len(v.items) > 0 && r.rest != "" && r.rest[0] == '(' {
			return v, errors.New("a list in a list")
		}
		item, err := r.item()
		if err != nil {
			return v, err
		}
		if v.items = append(v.items, item); r.rest == "" || r.rest[0] != ' ' && r.rest[0] != ')' {
			return v, errors.New("no space after an item")
		}
	}
	v.parameters, err = r.parameters()
	return v, err
}

func (r *fieldReader) item() (value, error) {
	v, err := r.bare()
	if err == nil {
		v.parameters, err = r.parameters()
	}
	return v, err
}

func (r *fieldReader) parameters() (parameters []pair, err error) {
	for r.take(";") {
		r.skip(" ")
		p, err := r.pair(r.bare)
		if err != nil {
			return nil, err
		}
		if _, twice := field(parameters, p.key); twice {
			return nil, fmt.Errorf("parameter %s comes twice", p.key)
		}
		if len(parameters) == parametersMax {
			return nil, fmt.Errorf("more than %d parameters", parametersMax)
		}
		parameters = append(parameters, p)
	}
	return parameters, nil
}

// bare reads an item without parameters.
func (r *fieldReader) bare() (value, error) {
	switch {
	case r.take(`"`):
		return r.quoted()
	case r.take(":"):
		encoded, rest, closed := strings.Cut(r.rest, ":")
		raw, err := decode64(encoded)
		if !closed || err != nil {
			return value{}, errors.New("bytes that are not base64 between colons")
		}
		r.rest = rest
		return value{kind: kindBytes, text: string(raw)}, nil
	case r.take("?"):
		bit := r.word("01")
		if len(bit) != 1 {
			return value{}, errors.New("a boolean that is neither ?0 nor ?1")
		}
		return value{kind: kindBoolean, number: int64(bit[0] - '0')}, nil
	case r.rest != "" && strings.Contains(tokenFirst, r.rest[:1]):
		return value{kind: kindToken, text: r.word(tokenOther)}, nil
	}
	sign := ""
	if r.take("-") {
		sign = "-"
	}
	word := r.word(digits)
	number, err := strconv.ParseInt(sign+word, 10, 64)
	if err != nil || len(word) > integerDigits || strings.HasPrefix(r.rest, ".") {
		return value{}, errors.New("no item that is known here")
	}
	return value{kind: kindInteger, number: number}, nil
}

// quoted reads a string after its first quote: printable ASCII, where \" and \\ are the only escapes.
func (r *fieldReader) quoted() (value, error) {
	var text []byte
	for i := 0; i < len(r.rest); i++ {
		switch c := r.rest[i]; {
		case c == '"':
			r.rest = r.rest[i+1:]
			return value{kind: kindString, text: string(text)}, nil
		case c == '\\' && i+1 < len(r.rest) && (r.rest[i+1] == '"' || r.rest[i+1] == '\\'):
			i++
			text = append(text, r.rest[i])
		case c == '\\' || c < 0x20 || c > 0x7e:
			return value{}, fmt.Errorf("character %q in a string", c)
		default:
			text = append(text, c)
		}
	}
	return value{}, errors.New("a string without end")
}

// decode64 reads base64, padded or not. Clients of ao write bytes in the alphabet of URLs too, which RFC 9651 does not know.
func decode64(encoded string) ([]byte, error) {
	return base64.RawStdEncoding.Strict().DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(encoded, "=")))
}

// append writes a value as RFC 9651 has it: the only way, which is what is signed.
func (v value) append(out []byte) []byte {
	switch v.kind {
	case kindString:
		out = append(append(append(out, '"'), strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v.text)...), '"')
	case kindToken:
		out = append(out, v.text...)
	case kindBytes:
		out = append(append(append(out, ':'), base64.StdEncoding.EncodeToString([]byte(v.text))...), ':')
	case kindInteger:
		out = strconv.AppendInt(out, v.number, 10)
	case kindBoolean:
		out = append(out, '?', byte('0'+v.number))
	case kindList:
		out = append(out, '(')
		for i, item := range v.items {
			if i > 0 {
				out = append(out, ' ')
			}
			out = item.append(out)
		}
		out = append(out, ')')
	}
	for _, p := range v.parameters {
		out = append(append(out, ';'), p.key...)
		if p.value.kind != kindBoolean || p.value.number == 0 {
			out = p.value.append(append(out, '='))
		}
	}
	return out
}
