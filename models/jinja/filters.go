package jinja

import (
	"slices"
	"strconv"
	"strings"
)

// filter applies a filter.
func (r *renderer) filter(name string, v any, a values) any {
	switch name {
	case "trim":
		a.between(name, 0, 1)
		return r.strip(r.str(v), a.argument(0, "chars", nil), true, true)
	case "length", "count":
		return length(v)
	case "string", "safe":
		return r.str(v)
	case "default", "d":
		a.between(name, 0, 2)
		a.onlyNamed(name, "default_value", "boolean")
		_, missing := v.(undefined)
		if missing || truth(a.argument(1, "boolean", false)) && !truth(v) {
			return a.argument(0, "default_value", text(nil))
		}
		return v
	case "tojson":
		return r.json(v, a)
	case "upper", "lower", "title", "capitalize":
		t := r.str(v)
		r.spend(len(t))
		return letterCase(t, name)
	case "replace":
		a.between(name, 2, 3)
		return r.replace(r.str(v), textArgument(name, a, 0, "old"), textArgument(name, a, 1, "new"), integer(name, a.argument(2, "count", int64(-1))))
	case "indent":
		return r.indent(r.str(v), a)
	case "int", "float":
		return r.convert(v, name, a)
	case "abs":
		if _, _, _, ok := number(v); ok && r.order(v, int64(0)) < 0 {
			return negation{literal{v}}.evaluate(r, nil)
		}
		return v
	}
	return r.listFilter(name, v, a)
}

func length(v any) any {
	switch v := v.(type) {
	case text:
		return int64(len(v))
	case *list:
		return int64(len(v.items))
	case *dict:
		return int64(len(v.keys))
	case undefined:
		return int64(0)
	}
	fail("%s has no length", kindOf(v))
	return nil
}

// listFilter applies a filter of lists.
func (r *renderer) listFilter(name string, v any, a values) any {
	switch name {
	case "list":
		return &list{items: r.elements(v)}
	case "items":
		if d, ok := v.(*dict); ok {
			return r.pairs(d)
		}
		if _, ok := v.(undefined); ok {
			return &list{}
		}
		fail("the filter items got %s, want a dictionary", kindOf(v))
	case "join":
		return r.joinFilter(r.elements(v), a)
	case "first", "last":
		items := r.elements(v)
		switch {
		case len(items) == 0:
			return undefined{"the " + name + " element"}
		case name == "first":
			return items[0]
		}
		return items[len(items)-1]
	case "reverse":
		if t, ok := v.(text); ok {
			t = slices.Clone(t)
			slices.Reverse(t)
			r.spend(len(t))
			return t
		}
		items := slices.Clone(r.elements(v))
		slices.Reverse(items)
		r.spend(8 * len(items))
		return &list{items: items}
	case "map", "select", "reject", "selectattr", "rejectattr":
		var items []any
		if truth(v) { // these take none for an empty list
			items = r.elements(v)
		}
		if name == "map" {
			return r.mapped(items, a)
		}
		return r.selected(name, items, a)
	case "sort", "min", "max", "unique":
		return r.sorted(name, r.elements(v), a)
	case "dictsort":
		d, ok := v.(*dict)
		if !ok || len(a.positional)+len(a.names) > 0 {
			fail("the filter dictsort got %s with %d arguments, want a dictionary and none", kindOf(v), len(a.positional)+len(a.names))
		}
		items := r.pairs(d).items
		r.sort(items, func(item any) any { return item.(*list).items[0] }, false)
		return &list{items: items}
	case "sum":
		total := any(int64(0))
		for _, item := range r.elements(v) {
			total = binary{"+", literal{total}, literal{item}}.evaluate(r, nil)
		}
		return total
	}
	fail("the filter %q is not supported", cut(name, 40))
	return nil
}

// path follows an attribute like "a.b.0".
func (r *renderer) path(v any, attribute any) any {
	if n, ok := attribute.(int64); ok {
		return r.item(v, n)
	}
	t, ok := attribute.(text)
	if !ok {
		fail("an attribute is %s, want a string", kindOf(attribute))
	}
	for _, part := range strings.Split(t.String(), ".") {
		r.spend(1)
		if n, err := strconv.ParseInt(part, 10, 64); err == nil {
			v = r.item(v, n)
			continue
		}
		v = r.item(v, newText(part, 0))
	}
	return v
}

func (r *renderer) joinFilter(items []any, a values) any {
	a.between("join", 0, 2)
	a.onlyNamed("join", "d", "attribute")
	if attribute := a.argument(1, "attribute", nil); attribute != nil {
		items = slices.Clone(items)
		for i := range items {
			items[i] = r.path(items[i], attribute)
		}
	}
	return r.joinAll(r.str(a.argument(0, "d", text(nil))), items)
}

func (r *renderer) mapped(items []any, a values) any {
	l := &list{}
	attribute, byAttribute := a.named("attribute")
	if !byAttribute && len(a.positional) == 0 {
		fail("the filter map needs a filter or an attribute")
	}
	for _, item := range items {
		r.spend(8)
		if byAttribute {
			value := r.path(item, attribute)
			if _, missing := value.(undefined); missing {
				if otherwise, ok := a.named("default"); ok {
					value = otherwise
				}
			}
			l.items = append(l.items, value)
			continue
		}
		rest := a
		rest.positional = a.positional[1:]
		l.items = append(l.items, r.filter(textArgument("map", a, 0, "").String(), item, rest))
	}
	return l
}

// selected is select, reject, selectattr or rejectattr.
func (r *renderer) selected(name string, items []any, a values) any {
	l := &list{}
	byAttribute := strings.HasSuffix(name, "attr")
	if byAttribute && len(a.positional) == 0 {
		fail("the filter %s needs an attribute", name)
	}
	rest := a
	if byAttribute {
		rest.positional = a.positional[1:]
	}
	for _, item := range items {
		r.spend(8)
		value := item
		if byAttribute {
			value = r.path(item, a.positional[0])
		}
		keep := truth(value)
		if len(rest.positional) > 0 {
			arguments := rest
			arguments.positional = rest.positional[1:]
			keep = r.test(textArgument(name, rest, 0, "").String(), value, arguments)
		}
		if keep == strings.HasPrefix(name, "select") {
			l.items = append(l.items, item)
		}
	}
	return l
}

// sorted is sort, min, max or unique; strings are compared without case unless
// the template asks for it.
func (r *renderer) sorted(name string, items []any, a values) any {
	a.between(name, 0, 0)
	a.onlyNamed(name, "attribute", "reverse", "case_sensitive")
	attribute, byAttribute := a.named("attribute")
	sensitive, _ := a.named("case_sensitive")
	key := func(item any) any {
		if byAttribute {
			item = r.path(item, attribute)
		}
		if t, ok := item.(text); ok && !truth(sensitive) {
			r.spend(len(t))
			return letterCase(t, "lower")
		}
		return item
	}
	switch name {
	case "unique":
		l := &list{}
		for _, item := range items {
			known := func(other any) bool { return r.equal(key(item), key(other), 0) }
			if !slices.ContainsFunc(l.items, known) {
				l.items = append(l.items, item)
			}
		}
		return l
	case "sort":
		reverse, _ := a.named("reverse")
		items = slices.Clone(items)
		r.sort(items, key, truth(reverse))
		return &list{items: items}
	}
	if len(items) == 0 {
		return undefined{"the " + name + " element"}
	}
	best := items[0]
	for _, item := range items[1:] {
		if order := r.order(key(item), key(best)); name == "min" && order < 0 || name == "max" && order > 0 {
			best = item
		}
	}
	return best
}

// sort keeps the order of equal elements, also in reverse.
func (r *renderer) sort(items []any, key func(item any) any, reverse bool) {
	r.spend(8 * len(items))
	slices.SortStableFunc(items, func(a, b any) int {
		r.spend(1)
		order := r.order(key(a), key(b))
		if reverse {
			return -order
		}
		return order
	})
}

// indent puts white space before every line but the first, and before that one
// if asked to; blank lines stay as they are unless asked to.
func (r *renderer) indent(t text, a values) any {
	a.between("indent", 0, 3)
	a.onlyNamed("indent", "width", "first", "blank")
	var margin text
	switch width := a.argument(0, "width", int64(4)).(type) {
	case int64:
		margin = r.repeat(text{' '}, width)
	case text:
		margin = width
	default:
		fail("indent got %s, want an integer", kindOf(width))
	}
	first, blank := truth(a.argument(1, "first", false)), truth(a.argument(2, "blank", false))
	var out text
	for i, line := range r.split(t, text{'\n'}, -1, false).items {
		line := line.(text)
		if i > 0 {
			out = append(out, '\n')
		}
		if (i > 0 || first) && (len(line) > 0 || blank && i > 0) {
			r.spend(len(margin))
			out = append(out, margin...)
		}
		r.spend(len(line))
		out = append(out, line...)
	}
	return out
}

// convert is int or float; what is no number becomes the default.
func (r *renderer) convert(v any, name string, a values) any {
	a.between(name, 0, 1)
	a.onlyNamed(name, "default")
	n, x, isFloat, ok := number(v)
	if t, isText := v.(text); isText {
		s := strings.TrimFunc(t.String(), isSpace)
		r.spend(len(t))
		if parsed, err := strconv.ParseInt(s, 10, 64); err == nil {
			n, x, ok = parsed, float64(parsed), true
		} else if parsed, err := strconv.ParseFloat(s, 64); err == nil && !strings.ContainsAny(s, "_xXpP") {
			x, isFloat, ok = parsed, true, true
		}
	}
	switch {
	case !ok && name == "float":
		return a.argument(0, "default", 0.0)
	case !ok:
		return a.argument(0, "default", int64(0))
	case name == "float":
		return x
	case isFloat && !(x > -1<<62 && x < 1<<62):
		overflow()
	case isFloat:
		return int64(x)
	}
	return n
}
