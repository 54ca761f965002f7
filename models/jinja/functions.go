package jinja

import (
	"math"
	"strconv"
)

// callFunction calls a builtin function.
func (r *renderer) callFunction(name string, a values) any {
	switch name {
	case "namespace":
		a.between(name, 0, 0)
		return &namespace{*named(a)}
	case "dict":
		a.between(name, 0, 0)
		return named(a)
	case "range":
		return r.integers(a)
	case "raise_exception":
		a.between(name, 1, 1)
		raise(r.str(a.positional[0]))
	}
	a.between(name, 1, 1)
	format, ok := a.positional[0].(text)
	if !ok {
		fail("%s got %s, want a string", name, kindOf(a.positional[0]))
	}
	r.spend(len(format))
	return date(format)
}

func named(a values) *dict {
	d := &dict{}
	for i, name := range a.names {
		d.set(newText(name, 0), a.namedValues[i])
	}
	return d
}

func (r *renderer) integers(a values) any {
	a.between("range", 1, 3)
	a.onlyNamed("range")
	limits := [3]int64{0, 0, 1}
	for i, v := range a.positional {
		n, ok := v.(int64)
		if !ok {
			fail("range got %s, want integers", kindOf(v))
		}
		limits[i] = n
	}
	if len(a.positional) == 1 {
		limits[0], limits[1] = 0, limits[0]
	}
	from, to, step := limits[0], limits[1], limits[2]
	if step == 0 {
		fail("range has step 0")
	}
	l := &list{}
	for n := from; step > 0 && n < to || step < 0 && n > to; n = add(n, step) {
		r.spend(8)
		l.items = append(l.items, n)
		if step > 0 && n > math.MaxInt64-step || step < 0 && n < math.MinInt64-step {
			break
		}
	}
	return l
}

// Today is the date that strftime_now gives: a prompt must not depend on when it
// is made. It is the date that the templates of Llama 3.1 and later fall back to
// where that function is missing.
const Today = "2024-07-26"

// date writes Today in a strftime format.
func date(format text) text {
	var out text
	for i := 0; i < len(format); i++ {
		if format[i]&^contentMark != '%' {
			out = append(out, format[i])
			continue
		}
		i++
		flag := ""
		if i < len(format) && format[i] == '-' {
			flag = "-"
			i++
		}
		if i == len(format) {
			fail("strftime_now: the format ends in the middle of a field")
		}
		field, ok := dateField(flag + string(format[i]&^contentMark))
		if !ok {
			fail("strftime_now: the field %%%s%c is not supported", flag, format[i]&^contentMark)
		}
		out = append(out, text(field)...)
	}
	return out
}

func dateField(code string) (string, bool) {
	switch code {
	case "%":
		return "%", true
	case "d", "-d", "e":
		return "26", true
	case "b", "h":
		return "Jul", true
	case "B":
		return "July", true
	case "m":
		return "07", true
	case "-m":
		return "7", true
	case "y":
		return "24", true
	case "Y":
		return "2024", true
	case "a":
		return "Fri", true
	case "A":
		return "Friday", true
	case "j":
		return "208", true
	case "F":
		return Today, true
	case "H", "M", "S":
		return "00", true
	case "I":
		return "12", true
	case "-H", "-M", "-S":
		return "0", true
	case "p":
		return "AM", true
	case "T":
		return "00:00:00", true
	}
	return "", false
}

// percent is Python's "format % values" with the fields %s, %d and %%.
func (r *renderer) percent(format text, v any) text {
	items := []any{v}
	if l, ok := v.(*list); ok && l.tuple {
		items = l.items
	}
	var out text
	for i := 0; i < len(format); i++ {
		if format[i]&^contentMark != '%' {
			out = append(out, format[i])
			continue
		}
		if i++; i == len(format) {
			fail("a %% format ends in the middle of a field")
		}
		code := format[i] &^ contentMark
		if code == '%' {
			out = append(out, format[i])
			continue
		}
		if code != 's' && code != 'd' {
			fail("the field %%%c of a %% format is not supported", code)
		}
		if len(items) == 0 {
			fail("a %% format has more fields than values")
		}
		if _, isInteger := items[0].(int64); code == 'd' && !isInteger {
			fail("the field %%d got %s", kindOf(items[0]))
		}
		t := r.str(items[0])
		r.spend(len(t))
		out, items = append(out, t...), items[1:]
	}
	if len(items) > 0 {
		fail("a %% format has fewer fields than values")
	}
	r.spend(len(out))
	return out
}

// format is Python's str.format with the fields {}, {0} and {name}.
func (r *renderer) format(format text, a values) text {
	var out text
	next := int64(0)
	for i := 0; i < len(format); i++ {
		c := format[i] &^ contentMark
		doubled := i+1 < len(format) && format[i+1]&^contentMark == c
		if c != '{' && c != '}' || doubled {
			out = append(out, format[i])
			if c == '{' || c == '}' {
				i++
			}
			continue
		}
		end := r.find(format, text{'}'}, i)
		if c == '}' || end < 0 {
			fail("a single %c in a format", c)
		}
		field := format[i+1 : end].String()
		i = end
		if field == "" {
			field = strconv.FormatInt(next, 10)
			next++
		}
		value, ok := a.named(field)
		if n, err := strconv.ParseInt(field, 10, 32); err == nil && n >= 0 && n < int64(len(a.positional)) {
			value, ok = a.positional[n], true
		}
		if !ok {
			fail("the field {%s} of a format is not supported or has no value", cut(field, 40))
		}
		t := r.str(value)
		r.spend(len(t))
		out = append(out, t...)
	}
	r.spend(len(out))
	return out
}
