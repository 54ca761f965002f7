// Package grammar holds an answer to a JSON schema: it says which tokens may come next so that the text is, byte by byte,
// the beginning of a value that the schema accepts. GRAMMAR.md says which schemas there are and what the texts look like.
//
// Invariants: what is allowed depends on the schema, the vocabulary and the tokens so far, and on nothing else. A text that
// is complete parses and satisfies the schema; every beginning that is allowed can be completed, given a vocabulary that
// has all single bytes. Schemas that cannot be held to are refused by the keyword.
//
// The package knows no logits and chooses nothing: package sampler does.
package grammar

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Limits on schemas.
const (
	SchemaBytesMax = 1 << 16
	DepthMax       = 64      // of schemas in one another
	NodesMax       = 1 << 12 // schemas, each $ref counted with all below it
	LengthMax      = 1 << 14 // of minLength, maxLength, minItems and maxItems
	StatesMax      = 1 << 17 // of the automaton
)

// Grammar is a compiled schema. It never changes and may be used from several goroutines.
type Grammar struct {
	automaton automaton
}

// Compile reads a JSON schema.
func Compile(schema []byte) (*Grammar, error) {
	if len(schema) > SchemaBytesMax {
		return nil, fmt.Errorf("schema: %d bytes: at most %d", len(schema), SchemaBytesMax)
	}
	if !utf8.Valid(schema) {
		return nil, fmt.Errorf("schema: not UTF-8")
	}
	root, err := parseJSON(schema)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	r := reader{root: root, open: map[string]bool{}}
	n, err := r.schema(root, "schema", 0)
	if err != nil {
		return nil, err
	}
	g := &Grammar{}
	end := g.automaton.value(n, g.automaton.add())
	if len(g.automaton.states) >= StatesMax {
		return nil, fmt.Errorf("schema: its automaton has more than %d states: long strings and lists within lists take many", StatesMax)
	}
	g.automaton.finish(end)
	return g, nil
}

// jsonValue is a JSON value that keeps the order of an object's members.
type jsonValue struct {
	kind    byte // { [ " 0 t f n
	text    string
	names   []string
	members []jsonValue // of an object by names, or of a list
}

// parseJSON reads one value. Its errors do not use the words of the JSON parser, which may change: processes see them.
func parseJSON(data []byte) (jsonValue, error) {
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	v, err := readValue(decoder, 0)
	if _, end := decoder.Token(); err == nil && end != io.EOF {
		err = fmt.Errorf("something follows the JSON value")
	}
	return v, err
}

func readValue(decoder *json.Decoder, depth int) (jsonValue, error) {
	notJSON := fmt.Errorf("not JSON")
	if depth > 2*DepthMax {
		return jsonValue{}, fmt.Errorf("nested more than %d deep", 2*DepthMax)
	}
	t, err := decoder.Token()
	if err != nil {
		return jsonValue{}, notJSON
	}
	switch t := t.(type) {
	case string:
		return jsonValue{kind: '"', text: t}, nil
	case json.Number:
		return jsonValue{kind: '0', text: t.String()}, nil
	case bool:
		if t {
			return jsonValue{kind: 't', text: "true"}, nil
		}
		return jsonValue{kind: 'f', text: "false"}, nil
	case nil:
		return jsonValue{kind: 'n', text: "null"}, nil
	}
	v := jsonValue{kind: byte(t.(json.Delim))}
	seen := map[string]bool{}
	for decoder.More() {
		if v.kind == '{' {
			name, err := decoder.Token()
			if err != nil {
				return v, notJSON
			}
			if seen[name.(string)] {
				return v, fmt.Errorf("%+.40q appears twice", name)
			}
			seen[name.(string)] = true
			v.names = append(v.names, name.(string))
		}
		member, err := readValue(decoder, depth+1)
		if err != nil {
			return v, err
		}
		v.members = append(v.members, member)
	}
	if _, err := decoder.Token(); err != nil {
		return v, notJSON
	}
	return v, nil
}

// member is an object's member, and whether it has it.
func (v *jsonValue) member(name string) (jsonValue, bool) {
	for i, n := range v.names {
		if n == name {
			return v.members[i], true
		}
	}
	return jsonValue{}, false
}

// quote is a string as JSON, with as few escapes as there can be.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ':
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
