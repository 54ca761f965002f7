package grammar

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

type kind string

const (
	object   kind = "object"
	array    kind = "array"
	text     kind = "string"
	integer  kind = "integer"
	number   kind = "number"
	boolean  kind = "boolean"
	null     kind = "null"
	literals kind = "enum"
	anyOf    kind = "anyOf"
)

// node is a schema that was understood.
type node struct {
	kind       kind
	properties []property  // of an object, in order
	closed     bool        // an object that says it has no others
	min, max   int         // items or characters; max -1: no bound
	item       *node       // of an array
	values     []jsonValue // of literals
	options    []*node     // of anyOf
}

type property struct {
	name     string
	required bool
	value    *node
}

// reader turns JSON into nodes.
type reader struct {
	root  jsonValue
	open  map[string]bool // $refs that are being read
	nodes int
}

// annotations say nothing about the value.
var annotations = [...]string{"$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$defs", "definitions"}

// keywordsOf are the keywords beside type that a type has.
func keywordsOf(k kind) []string {
	switch k {
	case object:
		return []string{"properties", "required", "additionalProperties"}
	case array:
		return []string{"items", "minItems", "maxItems"}
	case text:
		return []string{"minLength", "maxLength"}
	}
	return nil
}

// only refuses keywords other than annotations and those that are given.
func only(v *jsonValue, path string, keywords ...string) error {
	for _, name := range v.names {
		if !slices.Contains(keywords, name) && !slices.Contains(annotations[:], name) {
			if len(keywords) == 1 {
				return fmt.Errorf("%s: keyword %+.40q is not supported beside %s", path, name, keywords[0])
			}
			return fmt.Errorf("%s: keyword %+.40q is not supported here", path, name)
		}
	}
	return nil
}

func (r *reader) schema(v jsonValue, path string, depth int) (*node, error) {
	if r.nodes++; r.nodes > NodesMax || depth > DepthMax {
		return nil, fmt.Errorf("%.80s: more than %d schemas, or nested more than %d deep", path, NodesMax, DepthMax)
	}
	if v.kind != '{' {
		return nil, fmt.Errorf("%s: a schema must be an object", path)
	}
	if ref, ok := v.member("$ref"); ok {
		return r.reference(&v, ref, path, depth)
	}
	for _, name := range []string{"anyOf", "oneOf"} {
		if options, ok := v.member(name); ok {
			return r.alternatives(&v, name, options, path, depth)
		}
	}
	types, err := typesOf(&v, path)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"enum", "const"} {
		if values, ok := v.member(name); ok {
			return enumeration(&v, name, values, types, path)
		}
	}
	if len(types) == 0 {
		return nil, fmt.Errorf("%s: one of type, enum, const, anyOf, oneOf and $ref is needed", path)
	}
	keywords := []string{"type", "type"}
	for _, t := range types {
		keywords = append(keywords, keywordsOf(t)...)
	}
	if err := only(&v, path, keywords...); err != nil {
		return nil, err
	}
	options := make([]*node, len(types))
	for i, t := range types {
		if options[i], err = r.typed(&v, t, path, depth); err != nil {
			return nil, err
		}
	}
	if len(options) == 1 {
		return options[0], nil
	}
	return &node{kind: anyOf, options: options}, nil
}

func (r *reader) reference(v *jsonValue, ref jsonValue, path string, depth int) (*node, error) {
	if err := only(v, path, "$ref"); err != nil {
		return nil, err
	}
	for _, folder := range []string{"$defs", "definitions"} {
		name, ok := strings.CutPrefix(ref.text, "#/"+folder+"/")
		if !ok || ref.kind != '"' {
			continue
		}
		definitions, _ := r.root.member(folder)
		definition, ok := definitions.member(name)
		if !ok {
			return nil, fmt.Errorf("%s: $ref %+.80q: there is no such definition", path, ref.text)
		}
		if r.open[ref.text] {
			return nil, fmt.Errorf("%s: $ref %+.80q is recursive, which is not supported", path, ref.text)
		}
		r.open[ref.text] = true
		n, err := r.schema(definition, ref.text, depth+1)
		r.open[ref.text] = false
		return n, err
	}
	return nil, fmt.Errorf("%s: $ref %+.80q: it must be #/$defs/NAME or #/definitions/NAME", path, ref.text)
}

func (r *reader) alternatives(v *jsonValue, name string, list jsonValue, path string, depth int) (*node, error) {
	if err := only(v, path, name); err != nil {
		return nil, err
	}
	if list.kind != '[' || len(list.members) == 0 {
		return nil, fmt.Errorf("%s: %s must be a list of schemas", path, name)
	}
	n := &node{kind: anyOf}
	for i, option := range list.members {
		o, err := r.schema(option, fmt.Sprintf("%s.%s[%d]", path, name, i), depth+1)
		if err != nil {
			return nil, err
		}
		for j, other := range n.options {
			if name == "oneOf" && !disjoint(o, other) {
				return nil, fmt.Errorf("%s: oneOf: a value might satisfy both %d and %d: tell them apart, or use anyOf", path, j, i)
			}
		}
		n.options = append(n.options, o)
	}
	return n, nil
}

// typesOf reads type, one or a list; none if there is none.
func typesOf(v *jsonValue, path string) ([]kind, error) {
	t, ok := v.member("type")
	if !ok {
		return nil, nil
	}
	names := []jsonValue{t}
	if t.kind == '[' && len(t.members) > 0 {
		names = t.members
	}
	var types []kind
	for _, name := range names {
		k := kind(name.text)
		switch k {
		case object, array, text, integer, number, boolean, null:
		default:
			return nil, fmt.Errorf("%s: type %+.40q: it must be one of object, array, string, integer, number, boolean, null, or a list of them", path, name.text)
		}
		if name.kind != '"' || slices.Contains(types, k) {
			return nil, fmt.Errorf("%s: type must be a name or a list of different names", path)
		}
		types = append(types, k)
	}
	return types, nil
}

func enumeration(v *jsonValue, name string, values jsonValue, types []kind, path string) (*node, error) {
	if err := only(v, path, name, "type"); err != nil {
		return nil, err
	}
	n := &node{kind: literals, values: []jsonValue{values}}
	if name == "enum" {
		if values.kind != '[' || len(values.members) == 0 {
			return nil, fmt.Errorf("%s: enum must be a list of values", path)
		}
		n.values = values.members
	}
	for i, value := range n.values {
		if value.kind == '{' || value.kind == '[' {
			return nil, fmt.Errorf("%s: %s: value %d is an object or a list, which is not supported", path, name, i)
		}
		if _, err := strconv.ParseFloat(value.text, 64); value.kind == '0' && err != nil {
			return nil, fmt.Errorf("%s: %s: value %d is %.40s, which float64 cannot hold", path, name, i, value.text)
		}
		fits := func(t kind) bool {
			return kindOf(value) == t || kindOf(value) == number && t == integer && !strings.ContainsAny(value.text, ".eE")
		}
		if types != nil && !slices.ContainsFunc(types, fits) {
			return nil, fmt.Errorf("%s: %s: value %d is not of the type that type says", path, name, i)
		}
	}
	return n, nil
}

func kindOf(v jsonValue) kind {
	switch v.kind {
	case '"':
		return text
	case '0':
		return number
	case 'n':
		return null
	}
	return boolean
}

// typed reads the keywords of one type.
func (r *reader) typed(v *jsonValue, t kind, path string, depth int) (*node, error) {
	n := &node{kind: t, max: -1}
	var err error
	switch t {
	case object:
		return n, r.object(n, v, path, depth)
	case text:
		n.min, n.max, err = bounds(v, path, "minLength", "maxLength")
	case array:
		if n.min, n.max, err = bounds(v, path, "minItems", "maxItems"); err != nil {
			return nil, err
		}
		items, ok := v.member("items")
		if !ok {
			return nil, fmt.Errorf("%s: items is needed", path)
		}
		n.item, err = r.schema(items, path+".items", depth+1)
	}
	return n, err
}

func (r *reader) object(n *node, v *jsonValue, path string, depth int) error {
	properties, ok := v.member("properties")
	if ok && properties.kind != '{' {
		return fmt.Errorf("%s: properties must be an object", path)
	}
	if more, ok := v.member("additionalProperties"); ok {
		if more.kind != 't' && more.kind != 'f' {
			return fmt.Errorf("%s: additionalProperties must be true or false: no others are generated", path)
		}
		n.closed = more.kind == 'f'
	}
	required, ok := v.member("required")
	if ok && required.kind != '[' {
		return fmt.Errorf("%s: required must be a list", path)
	}
	for i, name := range properties.names {
		value, err := r.schema(properties.members[i], path+"."+name, depth+1)
		if err != nil {
			return err
		}
		n.properties = append(n.properties, property{name: name, value: value})
	}
	for _, name := range required.members {
		i := slices.IndexFunc(n.properties, func(p property) bool { return p.name == name.text })
		if i < 0 || name.kind != '"' {
			return fmt.Errorf("%s: required: %+.40q is not among the properties", path, name.text)
		}
		n.properties[i].required = true
	}
	return nil
}

// bounds reads a least and a greatest number; -1 if there is no greatest.
func bounds(v *jsonValue, path, least, greatest string) (low, high int, err error) {
	low, high = 0, -1
	for _, name := range []string{least, greatest} {
		value, ok := v.member(name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(value.text, 10, 32)
		if err != nil || value.kind != '0' || n > LengthMax {
			return 0, 0, fmt.Errorf("%s: %s is %.20s: it must be an integer from 0 to %d", path, name, value.text, LengthMax)
		}
		if name == least {
			low = int(n)
		} else {
			high = int(n)
		}
	}
	if high >= 0 && low > high {
		return 0, 0, fmt.Errorf("%s: %s is %d and %s %d: nothing can be both", path, least, low, greatest, high)
	}
	return low, high, nil
}

// disjoint says whether certainly no value satisfies both.
func disjoint(a, b *node) bool {
	for _, pair := range [][2]*node{{a, b}, {b, a}} {
		if pair[0].kind == anyOf {
			for _, option := range pair[0].options {
				if !disjoint(option, pair[1]) {
					return false
				}
			}
			return true
		}
	}
	if a.kind == literals && b.kind == literals {
		for _, x := range a.values {
			for _, y := range b.values {
				// Numbers have many spellings; they are not compared.
				if kindOf(x) == kindOf(y) && (x.kind == '0' || x.text == y.text) {
					return false
				}
			}
		}
		return true
	}
	if a.kind == object && b.kind == object {
		return lacks(a, b) || lacks(b, a) || slices.ContainsFunc(a.properties, func(p property) bool {
			q, ok := b.find(p.name)
			return ok && (p.required || q.required) && disjoint(p.value, q.value)
		})
	}
	for _, k := range kindsOf(a) {
		if slices.Contains(kindsOf(b), k) {
			return false
		}
	}
	return true
}

// lacks says whether a property that a requires is none of b's, which has no others.
func lacks(a, b *node) bool {
	return b.closed && slices.ContainsFunc(a.properties, func(p property) bool {
		_, ok := b.find(p.name)
		return p.required && !ok
	})
}

// find is the property of an object by name.
func (n *node) find(name string) (property, bool) {
	i := slices.IndexFunc(n.properties, func(p property) bool { return p.name == name })
	if i < 0 {
		return property{}, false
	}
	return n.properties[i], true
}

// kindsOf are the types that a node's values have; integers count as numbers.
func kindsOf(n *node) []kind {
	switch n.kind {
	case integer:
		return []kind{number}
	case literals:
		var kinds []kind
		for _, v := range n.values {
			kinds = append(kinds, kindOf(v))
		}
		return kinds
	}
	return []kind{n.kind}
}
