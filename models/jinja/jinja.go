// Package jinja renders the chat templates of model files: the part of the Jinja
// language that they use, with the settings of Hugging Face's transformers
// (trim_blocks, lstrip_blocks, break and continue, immutable values).
//
// A template comes from a file that nobody vouches for. Invariants: rendering
// reads nothing but the variables it is given (there are no files, imports,
// clocks or chance), ends within a budget of work that also bounds its memory,
// gives the same output on every machine, and never panics. Each character of
// the output is known to come from the template or from a Content variable,
// whatever operations it went through, so that a caller can keep what users
// write apart from what the template says.
//
// What is not supported is refused by name: include, import, extends, call and
// with blocks, recursive loops, *args and **kwargs, and rarely used filters.
// Differences from Python: integers have 64 bits, and upper, lower, title and
// capitalize map single characters to single characters.
package jinja

import (
	"errors"
	"fmt"
)

// Limits on templates and their evaluation.
const (
	SourceBytesMax = 1 << 18
	NestingMax     = 100     // of expressions and blocks
	CallsMax       = 50      // of macros inside macros
	ValueDepthMax  = 100     // of lists and dictionaries inside each other
	OutputRunesMax = 1 << 24 // as many as a tokenizer reads
	WorkBase       = 4 << 20 // steps that any rendering may take
	WorkPerRune    = 32      // more for every character of the variables
)

// ErrRaised is wrapped by the error of a template that called raise_exception.
var ErrRaised = errors.New("the template refuses this input")

// Template is a parsed template. It does not change and may be shared.
type Template struct{ body []statement }

// Span is a stretch of output of one origin.
type Span struct {
	Text    string
	Content bool // from a Content variable, not from the template
}

// Parse reads a template.
func Parse(source string) (t *Template, err error) {
	if len(source) > SourceBytesMax {
		return nil, fmt.Errorf("jinja: the template has %d bytes, more than the limit of %d", len(source), SourceBytesMax)
	}
	defer catch(&err)
	p := &parser{tokens: lex(source)}
	body := p.statements()
	if !p.at(tokenEnd, "") {
		p.unexpected("the end of the template")
	}
	return &Template{body: body}, nil
}

// Render evaluates the template with variables, which are not changed.
func (t *Template) Render(variables Variables) (spans []Span, err error) {
	defer catch(&err)
	r := &renderer{work: WorkBase}
	globals := &scope{values: make(map[string]any, len(variables))}
	for _, v := range variables {
		globals.values[v.Name] = v.Value.value
		r.work += WorkPerRune * int64(runesOf(v.Value.value))
	}
	r.execute(t.body, globals)
	return spansOf(r.out), nil
}

// failure carries an error up to Parse or Render: the language is recursive, and
// an error may come from every node.
type failure struct{ err error }

func fail(format string, arguments ...any) {
	panic(failure{fmt.Errorf("jinja: "+format, arguments...)})
}

// catch turns a failure into an error and lets other panics pass.
func catch(err *error) {
	switch caught := recover().(type) {
	case nil:
	case failure:
		*err = caught.err
	default:
		panic(caught)
	}
}
