package localnet

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// This file reads and answers GraphQL queries as far as clients of gateways use the language: one operation with variables,
// selections, aliases, arguments, @skip and @include, and fragments. It does not check types.

const (
	graphqlDepthMax  = 32
	graphqlFieldsMax = 1_000_000 // of all selections of an answer: fragments that repeat fragments grow fast
)

// selection is one field of a query, or a fragment's fields in its place.
type selection struct {
	alias, name string
	arguments   map[string]any
	directives  map[string]map[string]any
	fields      []selection
	spread      string // name of a fragment
	inline      bool   // a fragment without a name
}

// variable stands in an argument for a variable's value.
type variable string

// query is a parsed document.
type query struct {
	fields    []selection
	fragments map[string][]selection
	defaults  map[string]any
	budget    *int // fields that an answer may still have
}

// parseQuery reads a document. Of several operations it takes the last: clients send one.
func parseQuery(text string) (q query, err error) {
	p := &queryParser{rest: text}
	defer func() {
		// The parser panics with its own error type only, and only within this call.
		if recovered := recover(); recovered != nil {
			failure, ours := recovered.(queryError)
			if !ours {
				panic(recovered)
			}
			err = failure
		}
	}()
	q = query{fragments: map[string][]selection{}, defaults: map[string]any{}}
	for p.next(); p.token != ""; {
		switch {
		case p.token == "{":
			q.fields = p.selections(0)
		case p.token == "fragment":
			name := p.next()
			p.next()
			p.expect("on")
			p.next()
			p.directives()
			q.fragments[name] = p.selections(0)
		case p.token == "query":
			if p.next() != "{" && p.token != "(" && p.token != "@" {
				p.next()
			}
			p.variables(q.defaults)
			p.directives()
			q.fields = p.selections(0)
		default:
			p.fail("query, fragment or {")
		}
	}
	return q, nil
}

type queryError struct{ error }

// queryParser looks one token ahead. A token is a punctuator, a name, a number, or a string with its opening quote.
type queryParser struct{ rest, token string }

func (p *queryParser) fail(want string) {
	panic(queryError{fmt.Errorf("GraphQL: %q where %s should be", p.token, want)})
}

func (p *queryParser) expect(token string) {
	if p.token != token {
		p.fail(strconv.Quote(token))
	}
	p.next()
}

// next reads the next token, "" at the end.
func (p *queryParser) next() string {
	for {
		p.rest = strings.TrimLeft(p.rest, " \t\r\n,\ufeff")
		if !strings.HasPrefix(p.rest, "#") {
			break
		}
		_, p.rest, _ = strings.Cut(p.rest, "\n")
	}
	size := 0
	switch {
	case p.rest == "":
	case strings.HasPrefix(p.rest, "..."):
		size = 3
	case p.rest[0] == '"':
		p.token = `"` + p.text()
		return p.token
	default:
		for size < len(p.rest) && (isName(p.rest[size]) || p.rest[size] == '.' && p.rest[0] <= '9' || p.rest[size] == '-' && size == 0) {
			size++
		}
		size = max(size, 1)
	}
	p.token, p.rest = p.rest[:size], p.rest[size:]
	return p.token
}

func isName(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// text reads a string, quotes included, and gives what it says.
func (p *queryParser) text() string {
	if rest, block := strings.CutPrefix(p.rest, `"""`); block {
		content, after, ended := strings.Cut(rest, `"""`)
		if !ended {
			p.fail(`"""`)
		}
		p.rest = after
		return strings.TrimSpace(content)
	}
	for end := 1; end < len(p.rest) && p.rest[end] != '\n'; end++ {
		switch p.rest[end] {
		case '\\':
			end++
		case '"':
			var said string
			if json.Unmarshal([]byte(p.rest[:end+1]), &said) != nil {
				p.fail("a string")
			}
			p.rest = p.rest[end+1:]
			return said
		}
	}
	p.fail("the end of a string")
	return ""
}

// variables reads "($a: [ID!]! = default, ...)" and keeps the defaults.
func (p *queryParser) variables(defaults map[string]any) {
	if p.token != "(" {
		return
	}
	for p.next(); p.token != ")"; {
		p.expect("$")
		name := p.token
		p.next()
		p.expect(":")
		for p.token == "[" {
			p.next()
		}
		for p.next(); p.token == "]" || p.token == "!"; {
			p.next()
		}
		if p.token == "=" {
			p.next()
			defaults[name] = p.value(0)
		}
	}
	p.next()
}

func (p *queryParser) selections(depth int) (fields []selection) {
	if depth > graphqlDepthMax {
		p.fail("less depth")
	}
	for p.expect("{"); p.token != "}"; {
		fields = append(fields, p.selection(depth))
	}
	p.next()
	return fields
}

func (p *queryParser) selection(depth int) (s selection) {
	if p.token == "..." {
		if p.next(); p.token == "on" {
			p.next()
			p.next()
			s.inline = true
		} else if isName((p.token + " ")[0]) {
			s.spread = p.token
			p.next()
		} else {
			s.inline = true
		}
		s.directives = p.directives()
		if s.inline {
			s.fields = p.selections(depth + 1)
		}
		return s
	}
	if p.token == "" || !isName(p.token[0]) {
		p.fail("a field")
	}
	s.name, s.alias = p.token, p.token
	if p.next(); p.token == ":" {
		s.name = p.next()
		p.next()
	}
	s.arguments = p.arguments()
	s.directives = p.directives()
	if p.token == "{" {
		s.fields = p.selections(depth + 1)
	}
	return s
}

func (p *queryParser) arguments() map[string]any {
	arguments := map[string]any{}
	if p.token != "(" {
		return arguments
	}
	for p.next(); p.token != ")"; {
		name := p.token
		p.next()
		p.expect(":")
		arguments[name] = p.value(0)
	}
	p.next()
	return arguments
}

func (p *queryParser) directives() map[string]map[string]any {
	directives := map[string]map[string]any{}
	for p.token == "@" {
		name := p.next()
		p.next()
		directives[name] = p.arguments()
	}
	return directives
}

func (p *queryParser) value(depth int) any {
	if depth > graphqlDepthMax {
		p.fail("less depth")
	}
	token := p.token
	switch {
	case token == "":
		p.fail("a value")
	case token == "$":
		name := variable(p.next())
		p.next()
		return name
	case token == "[":
		list := []any{}
		for p.next(); p.token != "]"; {
			list = append(list, p.value(depth+1))
		}
		p.next()
		return list
	case token == "{":
		object := map[string]any{}
		for p.next(); p.token != "}"; {
			name := p.token
			p.next()
			p.expect(":")
			object[name] = p.value(depth + 1)
		}
		p.next()
		return object
	}
	p.next()
	switch {
	case token[0] == '"':
		return token[1:]
	case token == "true" || token == "false":
		return token == "true"
	case token == "null":
		return nil
	case token[0] == '-' || token[0] <= '9':
		number, err := strconv.ParseFloat(token, 64)
		if err != nil {
			p.fail("a number")
		}
		return number
	}
	return token // an enum value
}

// resolver gives the value of one top-level field. Values are maps, slices and scalars; project picks what was asked for.
type resolver func(arguments map[string]any) (any, error)

// answer resolves a query.
func (q query) answer(variables map[string]any, fields map[string]resolver) (map[string]any, error) {
	for name, value := range q.defaults {
		if _, given := variables[name]; !given {
			variables[name] = value
		}
	}
	budget := graphqlFieldsMax
	q.budget = &budget
	data := map[string]any{}
	for _, field := range q.expand(q.fields, variables, 0) {
		resolve, known := fields[field.name]
		if !known {
			return nil, fmt.Errorf("GraphQL: no field %q here", field.name)
		}
		value, err := resolve(substitute(field.arguments, variables).(map[string]any))
		if err != nil {
			return nil, err
		}
		data[field.alias] = q.project(value, field.fields, variables)
	}
	if budget <= 0 {
		return nil, fmt.Errorf("GraphQL: the answer has more than %d fields", graphqlFieldsMax)
	}
	return data, nil
}

// expand puts fragments in place and drops what directives leave out.
func (q query) expand(fields []selection, variables map[string]any, depth int) (expanded []selection) {
	if depth > graphqlDepthMax {
		return nil // a fragment that contains itself
	}
	for _, field := range fields {
		skip, _ := substitute(field.directives["skip"]["if"], variables).(bool)
		include, conditional := substitute(field.directives["include"]["if"], variables).(bool)
		if *q.budget--; *q.budget <= 0 {
			return expanded
		}
		switch {
		case skip || conditional && !include:
		case field.inline:
			expanded = append(expanded, q.expand(field.fields, variables, depth+1)...)
		case field.spread != "":
			expanded = append(expanded, q.expand(q.fragments[field.spread], variables, depth+1)...)
		default:
			expanded = append(expanded, field)
		}
	}
	return expanded
}

func (q query) project(value any, fields []selection, variables map[string]any) any {
	if len(fields) == 0 {
		return value
	}
	switch value := value.(type) {
	case map[string]any:
		picked := map[string]any{}
		for _, field := range q.expand(fields, variables, 0) {
			picked[field.alias] = q.project(value[field.name], field.fields, variables)
		}
		return picked
	case []any:
		picked := make([]any, len(value))
		for i := range value {
			picked[i] = q.project(value[i], fields, variables)
		}
		return picked
	}
	return value
}

// substitute puts the values of variables in place.
func substitute(value any, variables map[string]any) any {
	switch value := value.(type) {
	case variable:
		return variables[string(value)]
	case []any:
		list := make([]any, len(value))
		for i := range value {
			list[i] = substitute(value[i], variables)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(value))
		for name := range value {
			object[name] = substitute(value[name], variables)
		}
		return object
	}
	return value
}
