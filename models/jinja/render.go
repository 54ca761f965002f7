package jinja

import "errors"

// scope holds the variables of a block: the template, one round of a loop, or a
// call of a macro.
type scope struct {
	values map[string]any
	outer  *scope
}

func (s *scope) lookup(name string) (any, bool) {
	for ; s != nil; s = s.outer {
		if v, ok := s.values[name]; ok {
			return v, true
		}
	}
	return nil, false
}

// bind sets a variable of this scope; an outer one of that name stays.
func (s *scope) bind(name string, value any) {
	if s.values == nil {
		s.values = map[string]any{}
	}
	s.values[name] = value
}

// renderer is one evaluation of a template.
type renderer struct {
	out   text
	work  int64 // left
	depth int   // of expressions and statements being evaluated
	calls int   // of macros being evaluated
}

// scopeCost is the price of a scope, which is large for a value.
const scopeCost = 16

// evaluationDepthMax keeps long chains of operators from exhausting the stack.
const evaluationDepthMax = 4000

// spend takes n steps from the budget. Every node costs one, and every element
// or character that is copied or compared, so that the budget bounds memory too.
func (r *renderer) spend(n int) {
	if r.work -= int64(n); r.work < 0 {
		fail("the template takes too much work or memory")
	}
}

// signal is how a statement ends: on to the next, or out of a loop.
type signal int

const (
	proceed signal = iota
	breakLoop
	continueLoop
)

type statement interface {
	run(r *renderer, s *scope) signal
}

type expression interface {
	evaluate(r *renderer, s *scope) any
}

func (r *renderer) execute(list []statement, s *scope) signal {
	if r.depth++; r.depth > evaluationDepthMax {
		fail("more than %d levels of evaluation", evaluationDepthMax)
	}
	defer func() { r.depth-- }()
	for _, each := range list {
		r.spend(1)
		if sig := each.run(r, s); sig != proceed {
			return sig
		}
	}
	return proceed
}

func (r *renderer) value(e expression, s *scope) any {
	if r.depth++; r.depth > evaluationDepthMax {
		fail("more than %d levels of evaluation", evaluationDepthMax)
	}
	defer func() { r.depth-- }()
	r.spend(1)
	return e.evaluate(r, s)
}

func (r *renderer) write(t text) {
	r.spend(len(t))
	if len(t) > OutputRunesMax-len(r.out) {
		fail("the output exceeds %d characters", OutputRunesMax)
	}
	r.out = append(r.out, t...)
}

// captured is what statements write.
func (r *renderer) captured(list []statement, s *scope) text {
	outside := r.out
	r.out = nil
	r.execute(list, s)
	inside := r.out
	r.out = outside
	return inside
}

type data text

func (d data) run(r *renderer, _ *scope) signal {
	r.write(text(d))
	return proceed
}

type output struct{ value expression }

func (o output) run(r *renderer, s *scope) signal {
	r.write(r.str(r.value(o.value, s)))
	return proceed
}

type jump signal

func (j jump) run(*renderer, *scope) signal { return signal(j) }

type ifStatement struct {
	conditions []expression
	bodies     [][]statement
	otherwise  []statement
}

func (b ifStatement) run(r *renderer, s *scope) signal {
	for i, condition := range b.conditions {
		if truth(r.value(condition, s)) {
			return r.execute(b.bodies[i], s)
		}
	}
	return r.execute(b.otherwise, s)
}

type setStatement struct {
	targets   []string
	attribute string // of the one target, if it is a namespace
	value     expression
	body      []statement // of a block, whose text value sees as blockText
}

func (b setStatement) run(r *renderer, s *scope) signal {
	inner := s
	if b.body != nil {
		inner = &scope{outer: s}
		inner.bind(blockName, r.captured(b.body, inner))
	}
	value := r.value(b.value, inner)
	r.spend(len(b.attribute))
	if b.attribute == "" {
		r.assign(b.targets, value, s)
		return proceed
	}
	target, _ := s.lookup(b.targets[0])
	space, ok := target.(*namespace)
	if !ok {
		fail("cannot set attribute %q of %s", b.attribute, kindOf(target))
	}
	space.values.set(newText(b.attribute, 0), value)
	return proceed
}

// blockName is the variable under which blockText finds a block's text; no
// template can write it.
const blockName = "{%"

// blockText is the text of a set or filter block.
type blockText struct{}

func (blockText) evaluate(_ *renderer, s *scope) any {
	t, _ := s.lookup(blockName)
	if t == nil {
		return text(nil)
	}
	return t
}

type filterBlock struct {
	value expression
	body  []statement
}

func (b filterBlock) run(r *renderer, s *scope) signal {
	inner := &scope{outer: s}
	inner.bind(blockName, r.captured(b.body, inner))
	r.write(r.str(r.value(b.value, inner)))
	return proceed
}

// assign binds one target to a value, or several to its elements.
func (r *renderer) assign(targets []string, value any, s *scope) {
	for _, target := range targets {
		r.spend(len(target) / 8)
	}
	if len(targets) == 1 {
		s.bind(targets[0], value)
		return
	}
	items := r.elements(value)
	if len(items) != len(targets) {
		fail("%d values for %d names", len(items), len(targets))
	}
	for i, target := range targets {
		s.bind(target, items[i])
	}
}

type forStatement struct {
	targets   []string
	list      expression
	condition expression // nil when every element counts
	body      []statement
	otherwise []statement
}

// loop is the variable of that name inside a loop.
type loop struct {
	items []any
	index int
}

func (b forStatement) run(r *renderer, s *scope) signal {
	items := r.elements(r.value(b.list, s))
	if b.condition != nil {
		var kept []any
		for _, item := range items {
			r.spend(scopeCost)
			inner := &scope{outer: s}
			r.assign(b.targets, item, inner)
			if truth(r.value(b.condition, inner)) {
				kept = append(kept, item)
			}
		}
		items = kept
	}
	if len(items) == 0 {
		return r.execute(b.otherwise, &scope{outer: s})
	}
	for i, item := range items {
		r.spend(scopeCost)
		inner := &scope{outer: s}
		inner.bind("loop", &loop{items, i})
		r.assign(b.targets, item, inner)
		if r.execute(b.body, inner) == breakLoop {
			break
		}
	}
	return proceed
}

// attribute of a loop variable.
func (l *loop) attribute(name string) any {
	n, length := int64(l.index), int64(len(l.items))
	switch name {
	case "index0":
		return n
	case "index":
		return n + 1
	case "revindex0":
		return length - n - 1
	case "revindex":
		return length - n
	case "length":
		return length
	case "first":
		return l.index == 0
	case "last":
		return n == length-1
	case "previtem":
		if l.index > 0 {
			return l.items[l.index-1]
		}
	case "nextitem":
		if n < length-1 {
			return l.items[l.index+1]
		}
	case "cycle":
		return method{l, name}
	}
	return undefined{name}
}

// elements is what a loop over v visits.
func (r *renderer) elements(v any) []any {
	switch v := v.(type) {
	case undefined:
		return nil
	case *list:
		return v.items
	case *dict:
		return v.keys
	case text:
		r.spend(4 * len(v))
		items := make([]any, len(v))
		for i := range v {
			items[i] = v[i : i+1]
		}
		return items
	}
	fail("%s has no elements", kindOf(v))
	return nil
}

// macro is a function that a template defines. It sees the variables of the
// scope that defines it.
type macro struct {
	name       string
	parameters []string
	defaults   []expression // nil where there is none
	body       []statement
	scope      *scope
}

type macroStatement struct{ macro *macro }

func (b macroStatement) run(_ *renderer, s *scope) signal {
	m := *b.macro
	m.scope = s
	s.bind(m.name, &m)
	return proceed
}

func (m *macro) call(r *renderer, a values) any {
	if r.calls++; r.calls > CallsMax {
		fail("more than %d macros inside each other", CallsMax)
	}
	if len(a.positional) > len(m.parameters) {
		fail("macro %q takes %d arguments, not %d", m.name, len(m.parameters), len(a.positional))
	}
	r.spend(scopeCost + len(m.parameters)*(1+len(a.names)))
	inner := &scope{outer: m.scope}
	for i, parameter := range m.parameters {
		value, given := a.named(parameter)
		switch {
		case i < len(a.positional):
			value = a.positional[i]
		case given:
		case m.defaults[i] != nil:
			value = r.value(m.defaults[i], inner)
		default:
			value = undefined{parameter}
		}
		inner.bind(parameter, value)
	}
	a.onlyNamed("macro "+m.name, m.parameters...)
	out := r.captured(m.body, inner)
	r.calls--
	return out
}

// raise is what raise_exception does.
func raise(message text) {
	panic(failure{&raised{cut(message.String(), 1000)}})
}

// raised is the error of raise_exception.
type raised struct{ message string }

func (e *raised) Error() string   { return "jinja: " + ErrRaised.Error() + ": " + e.message }
func (e *raised) Is(t error) bool { return errors.Is(ErrRaised, t) }
