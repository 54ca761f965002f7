package jinja

import (
	"math"
	"slices"
)

type literal struct{ value any }

func (e literal) evaluate(*renderer, *scope) any { return e.value }

type name string

func (e name) evaluate(r *renderer, s *scope) any {
	r.spend(len(e) / 8)
	if v, ok := s.lookup(string(e)); ok {
		return v
	}
	switch e {
	case "namespace", "range", "dict", "raise_exception", "strftime_now":
		return function(e)
	}
	return undefined{string(e)}
}

type listLiteral struct {
	items []expression
	tuple bool
}

func (e listLiteral) evaluate(r *renderer, s *scope) any {
	r.spend(4)
	l := &list{items: make([]any, len(e.items)), tuple: e.tuple}
	for i, item := range e.items {
		l.items[i] = r.value(item, s)
	}
	return l
}

type dictLiteral struct{ keys, values []expression }

func (e dictLiteral) evaluate(r *renderer, s *scope) any {
	d := &dict{}
	for i := range e.keys {
		key := r.value(e.keys[i], s)
		r.spend(8)
		r.spendKey(key)
		d.set(key, r.value(e.values[i], s))
	}
	return d
}

// spendKey pays for looking a key up.
func (r *renderer) spendKey(key any) {
	if t, ok := key.(text); ok {
		r.spend(len(t))
	}
}

type conditional struct{ condition, value, otherwise expression }

func (e conditional) evaluate(r *renderer, s *scope) any {
	if truth(r.value(e.condition, s)) {
		return r.value(e.value, s)
	}
	if e.otherwise == nil {
		return undefined{"the value of an if without else"}
	}
	return r.value(e.otherwise, s)
}

// logical is and, or if it is not all.
type logical struct {
	all         bool
	left, right expression
}

func (e logical) evaluate(r *renderer, s *scope) any {
	left := r.value(e.left, s)
	if truth(left) != e.all {
		return left
	}
	return r.value(e.right, s)
}

type not struct{ value expression }

func (e not) evaluate(r *renderer, s *scope) any { return !truth(r.value(e.value, s)) }

type negation struct{ value expression }

func (e negation) evaluate(r *renderer, s *scope) any {
	switch v := r.value(e.value, s).(type) {
	case int64:
		return subtract(0, v)
	case float64:
		return -v
	default:
		fail("cannot negate %s", kindOf(v))
		return nil
	}
}

// comparison is a chain: a < b < c is a < b and b < c.
type comparison struct {
	first     expression
	operators []string
	operands  []expression
}

func (e comparison) evaluate(r *renderer, s *scope) any {
	left := r.value(e.first, s)
	for i, operator := range e.operators {
		right := r.value(e.operands[i], s)
		if !r.compare(operator, left, right) {
			return false
		}
		left = right
	}
	return true
}

func (r *renderer) compare(operator string, left, right any) bool {
	switch operator {
	case "==":
		return r.equal(left, right, 0)
	case "!=":
		return !r.equal(left, right, 0)
	case "in":
		return r.in(left, right)
	case "not in":
		return !r.in(left, right)
	}
	order := r.order(left, right)
	switch operator {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

// order is negative, zero or positive as a is below, at or above b.
func (r *renderer) order(a, b any) int {
	n, x, aFloat, aOK := number(a)
	m, y, bFloat, bOK := number(b)
	switch {
	case aOK && bOK && (aFloat || bFloat):
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	case aOK && bOK:
		switch {
		case n < m:
			return -1
		case n > m:
			return 1
		}
		return 0
	}
	t, aText := a.(text)
	u, bText := b.(text)
	if !aText || !bText {
		fail("%s and %s have no order", kindOf(a), kindOf(b))
	}
	r.spend(min(len(t), len(u)))
	return slices.CompareFunc(t, u, func(c, d rune) int { return int(c&^contentMark) - int(d&^contentMark) })
}

// in is Python's "item in container".
func (r *renderer) in(item, container any) bool {
	switch c := container.(type) {
	case text:
		t, ok := item.(text)
		if !ok {
			fail("%s cannot be in a string", kindOf(item))
		}
		return r.find(c, t, 0) >= 0
	case *dict:
		r.spendKey(item)
		_, ok := c.get(item)
		return ok
	}
	for _, each := range r.elements(container) {
		if r.equal(item, each, 0) {
			return true
		}
	}
	return false
}

type binary struct {
	operator    string
	left, right expression
}

func (e binary) evaluate(r *renderer, s *scope) any {
	left, right := r.value(e.left, s), r.value(e.right, s)
	if e.operator == "~" {
		return r.join(r.str(left), r.str(right))
	}
	switch a := left.(type) {
	case text:
		switch b := right.(type) {
		case text:
			if e.operator == "+" {
				return r.join(a, b)
			}
		case int64:
			if e.operator == "*" {
				return r.repeat(a, b)
			}
		}
		if e.operator == "%" {
			return r.percent(a, right)
		}
	case *list:
		if b, ok := right.(*list); ok && e.operator == "+" && a.tuple == b.tuple {
			r.spend(8 * (len(a.items) + len(b.items)))
			return &list{items: slices.Concat(a.items, b.items), tuple: a.tuple}
		}
	}
	n, x, aFloat, aOK := number(left)
	m, y, bFloat, bOK := number(right)
	if !aOK || !bOK {
		fail("%s %s %s is not possible", kindOf(left), e.operator, kindOf(right))
	}
	if aFloat || bFloat || e.operator == "/" {
		return floatArithmetic(e.operator, x, y)
	}
	return integerArithmetic(e.operator, n, m)
}

func (r *renderer) join(a, b text) text {
	r.spend(len(a) + len(b))
	return slices.Concat(a, b)
}

func (r *renderer) repeat(t text, count int64) text {
	if count <= 0 || len(t) == 0 {
		return nil
	}
	if count > OutputRunesMax {
		fail("a string repeated %d times is too long", count)
	}
	r.spend(int(count) * min(len(t), OutputRunesMax))
	return slices.Repeat(t, int(count))
}

func overflow() { fail("an integer exceeds 64 bits") }

func subtract(a, b int64) int64 {
	if c := a - b; (c < a) == (b > 0) {
		return c
	}
	overflow()
	return 0
}

func add(a, b int64) int64 {
	if c := a + b; (c > a) == (b > 0) {
		return c
	}
	overflow()
	return 0
}

func multiply(a, b int64) int64 {
	c := a * b
	if a != 0 && (c/a != b || a == -1 && b == math.MinInt64) {
		overflow()
	}
	return c
}

// floorDivide rounds the quotient down, as Python does; the remainder has the
// sign of b.
func floorDivide(a, b int64) (quotient, remainder int64) {
	if b == 0 {
		fail("division by zero")
	}
	if b == -1 {
		return subtract(0, a), 0
	}
	quotient, remainder = a/b, a%b
	if remainder != 0 && (remainder < 0) != (b < 0) {
		quotient, remainder = quotient-1, remainder+b
	}
	return quotient, remainder
}

func integerArithmetic(operator string, a, b int64) any {
	switch operator {
	case "+":
		return add(a, b)
	case "-":
		return subtract(a, b)
	case "*":
		return multiply(a, b)
	case "//":
		quotient, _ := floorDivide(a, b)
		return quotient
	case "%":
		_, remainder := floorDivide(a, b)
		return remainder
	}
	if b < 0 || b > 64 && a != 0 && a != 1 {
		fail("%d ** %d is not supported", a, b)
	}
	power := int64(1)
	for range min(b, 64) {
		power = multiply(power, a)
	}
	return power
}

func floatArithmetic(operator string, a, b float64) any {
	switch operator {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		if b == 0 {
			fail("division by zero")
		}
		return a / b
	}
	fail("%s of floats is not supported", operator)
	return nil
}

type attribute struct {
	value expression
	name  string
}

func (e attribute) evaluate(r *renderer, s *scope) any {
	r.spend(len(e.name) / 8)
	return getAttribute(r.value(e.value, s), e.name)
}

// getAttribute is v.name: a method, or else what v holds under that name.
func getAttribute(v any, name string) any {
	switch v := v.(type) {
	case undefined:
		fail("%s is undefined and has no %q", cut(v.name, 40), cut(name, 40))
	case text:
		if isTextMethod(name) {
			return method{v, name}
		}
	case *list:
		if name == "index" || name == "count" || changes(name) {
			return method{v, name}
		}
	case *dict:
		switch name {
		case "items", "keys", "values", "get":
			return method{v, name}
		}
		if value, ok := v.get(newText(name, 0)); ok {
			return value
		}
		if changes(name) {
			return method{v, name}
		}
	case *namespace:
		if value, ok := v.values.get(newText(name, 0)); ok {
			return value
		}
	case *loop:
		return v.attribute(name)
	case *macro:
		if name == "name" {
			return newText(v.name, 0)
		}
	}
	return undefined{name}
}

// changes lists Python's methods that change a list or a dictionary, which
// transformers forbids too.
func changes(name string) bool {
	switch name {
	case "append", "extend", "insert", "pop", "remove", "reverse", "sort", "clear", "update", "setdefault", "popitem":
		return true
	}
	return false
}

type subscript struct{ value, index expression }

func (e subscript) evaluate(r *renderer, s *scope) any {
	return r.item(r.value(e.value, s), r.value(e.index, s))
}

// item is v[index]; what is not there is undefined.
func (r *renderer) item(v, index any) any {
	n, isInteger := index.(int64)
	key, isText := index.(text)
	r.spend(len(key))
	switch v := v.(type) {
	case undefined:
		fail("%s is undefined and has no elements", cut(v.name, 40))
	case *list:
		if isInteger {
			if i, ok := position(n, len(v.items)); ok {
				return v.items[i]
			}
		}
	case text:
		if isInteger {
			if i, ok := position(n, len(v)); ok {
				return v[i : i+1]
			}
		}
	case *dict:
		if value, ok := v.get(index); ok {
			return value
		}
	}
	if isText {
		return getAttribute(v, key.String())
	}
	return undefined{"an element"}
}

// position counts a negative index from the end.
func position(index int64, length int) (int, bool) {
	if index < 0 {
		index += int64(length)
	}
	return int(index), index >= 0 && index < int64(length)
}

type slice struct {
	value expression
	parts [3]expression // from, to, step; nil where absent
}

func (e slice) evaluate(r *renderer, s *scope) any {
	value := r.value(e.value, s)
	var parts [3]*int64
	for i, part := range e.parts {
		if part == nil {
			continue
		}
		switch n := r.value(part, s).(type) {
		case nil:
		case int64:
			parts[i] = &n
		default:
			fail("a slice cannot have %s as its limit", kindOf(n))
		}
	}
	switch v := value.(type) {
	case text:
		return text(sliced(r, v, parts))
	case *list:
		return &list{items: sliced(r, v.items, parts), tuple: v.tuple}
	case undefined:
		fail("%s is undefined and has no slices", cut(v.name, 40))
	}
	fail("%s has no slices", kindOf(value))
	return nil
}

// sliced is Python's items[from:to:step].
func sliced[T any](r *renderer, items []T, parts [3]*int64) []T {
	length, step := int64(len(items)), int64(1)
	if parts[2] != nil {
		step = *parts[2]
	}
	if step == 0 {
		fail("a slice has step 0")
	}
	from, to, low, high := int64(0), length, int64(0), length
	if step < 0 {
		from, to, low, high = length-1, -1, -1, length-1
	}
	limit := func(part *int64, otherwise int64) int64 {
		if part == nil {
			return otherwise
		}
		n := *part
		if n < 0 {
			n = max(n, -length-1) + length
		}
		return min(max(n, low), high)
	}
	from, to = limit(parts[0], from), limit(parts[1], to)
	step = min(max(step, -length-1), length+1)
	var out []T
	for i := from; step > 0 && i < to || step < 0 && i > to; i += step {
		out = append(out, items[i])
	}
	r.spend(4 * len(out))
	return out
}

type arguments struct {
	positional []expression
	names      []string
	named      []expression
}

// values are evaluated arguments.
type values struct {
	positional  []any
	names       []string
	namedValues []any
}

func (r *renderer) values(a arguments, s *scope) values {
	v := values{names: a.names}
	for _, e := range a.positional {
		v.positional = append(v.positional, r.value(e, s))
	}
	for _, e := range a.named {
		v.namedValues = append(v.namedValues, r.value(e, s))
	}
	return v
}

func (v values) named(name string) (any, bool) {
	if i := slices.Index(v.names, name); i >= 0 {
		return v.namedValues[i], true
	}
	return nil, false
}

// argument is the one at that place or of that name; otherwise if absent.
func (v values) argument(place int, name string, otherwise any) any {
	if place < len(v.positional) {
		return v.positional[place]
	}
	if value, ok := v.named(name); ok {
		return value
	}
	return otherwise
}

// onlyNamed refuses named arguments with other names.
func (v values) onlyNamed(callee string, names ...string) {
	for _, name := range v.names {
		if !slices.Contains(names, name) {
			fail("%s has no argument %q", callee, cut(name, 40))
		}
	}
}

// between refuses too few or too many positional arguments.
func (v values) between(callee string, low, high int) {
	if n := len(v.positional); n < low || n > high {
		fail("%s got %d arguments, want %d to %d", callee, n, low, high)
	}
}

type call struct {
	callee    expression
	arguments arguments
}

func (e call) evaluate(r *renderer, s *scope) any {
	callee := r.value(e.callee, s)
	a := r.values(e.arguments, s)
	switch f := callee.(type) {
	case *macro:
		return f.call(r, a)
	case method:
		return r.callMethod(f, a)
	case function:
		return r.callFunction(string(f), a)
	}
	fail("%s cannot be called", kindOf(callee))
	return nil
}

type filter struct {
	value     expression
	name      string
	arguments arguments
}

func (e filter) evaluate(r *renderer, s *scope) any {
	value := r.value(e.value, s)
	return r.filter(e.name, value, r.values(e.arguments, s))
}

type test struct {
	value     expression
	name      string
	arguments arguments
}

func (e test) evaluate(r *renderer, s *scope) any {
	value := r.value(e.value, s)
	return r.test(e.name, value, r.values(e.arguments, s))
}
