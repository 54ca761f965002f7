package jinja

import "unicode"

// callMethod calls a method of a string, a list, a dictionary or a loop.
func (r *renderer) callMethod(m method, a values) any {
	switch of := m.of.(type) {
	case text:
		return r.textMethod(of, m.name, a)
	case *dict:
		return r.dictMethod(of, m.name, a)
	case *list:
		return r.listMethod(of, m.name, a)
	case *loop:
		if len(a.positional) == 0 {
			fail("cycle got no arguments")
		}
		return a.positional[of.index%len(a.positional)]
	}
	fail("%s has no method %q", kindOf(m.of), m.name)
	return nil
}

func (r *renderer) dictMethod(d *dict, name string, a values) any {
	switch name {
	case "get":
		a.between(name, 1, 2)
		a.onlyNamed(name)
		r.spendKey(a.positional[0])
		if value, ok := d.get(a.positional[0]); ok {
			return value
		}
		return a.argument(1, "", nil)
	case "keys":
		a.between(name, 0, 0)
		return &list{items: d.keys}
	case "values":
		a.between(name, 0, 0)
		return &list{items: d.values}
	case "items":
		a.between(name, 0, 0)
		return r.pairs(d)
	}
	fail("the method %q would change a dictionary, which templates may not", name)
	return nil
}

// pairs is the list of (key, value) of a dictionary.
func (r *renderer) pairs(d *dict) *list {
	r.spend(8 * len(d.keys))
	l := &list{items: make([]any, len(d.keys))}
	for i := range d.keys {
		l.items[i] = &list{items: []any{d.keys[i], d.values[i]}, tuple: true}
	}
	return l
}

func (r *renderer) listMethod(l *list, name string, a values) any {
	if changes(name) {
		fail("the method %q would change a list, which templates may not", name)
	}
	a.between(name, 1, 1)
	count := int64(0)
	for i, item := range l.items {
		if !r.equal(item, a.positional[0], 0) {
			continue
		}
		if name == "index" {
			return int64(i)
		}
		count++
	}
	if name == "index" {
		fail("a list has no such element")
	}
	return count
}

func isTextMethod(name string) bool {
	switch name {
	case "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "startswith", "endswith", "replace", "upper", "lower",
		"title", "capitalize", "join", "find", "rfind", "count", "format", "removeprefix", "removesuffix",
		"isdigit", "isalpha", "isalnum", "isspace", "isupper", "islower":
		return true
	}
	return false
}

// textArgument is the string argument at that place.
func textArgument(method string, a values, place int, name string) text {
	v := a.argument(place, name, undefined{name})
	t, ok := v.(text)
	if !ok {
		fail("%s got %s, want a string", method, kindOf(v))
	}
	return t
}

func (r *renderer) textMethod(t text, name string, a values) any {
	r.spend(len(t))
	switch name {
	case "strip", "lstrip", "rstrip":
		a.between(name, 0, 1)
		return r.strip(t, a.argument(0, "chars", nil), name != "rstrip", name != "lstrip")
	case "split", "rsplit":
		a.between(name, 0, 2)
		a.onlyNamed(name, "sep", "maxsplit")
		return r.split(t, a.argument(0, "sep", nil), integer(name, a.argument(1, "maxsplit", int64(-1))), name == "rsplit")
	case "splitlines":
		a.between(name, 0, 0)
		return r.lines(t)
	case "startswith", "endswith":
		a.between(name, 1, 1)
		return r.affix(t, name, a.positional[0])
	case "removeprefix", "removesuffix":
		part := textArgument(name, a, 0, "")
		switch {
		case name == "removeprefix" && r.hasPrefix(t, part):
			return t[len(part):]
		case name == "removesuffix" && len(part) <= len(t) && r.hasPrefix(t[len(t)-len(part):], part):
			return t[:len(t)-len(part)]
		}
		return t
	case "replace":
		a.between(name, 2, 3)
		return r.replace(t, textArgument(name, a, 0, "old"), textArgument(name, a, 1, "new"), integer(name, a.argument(2, "count", int64(-1))))
	case "upper", "lower", "title", "capitalize":
		a.between(name, 0, 0)
		return letterCase(t, name)
	case "join":
		a.between(name, 1, 1)
		return r.joinAll(t, r.elements(a.positional[0]))
	case "find", "rfind", "count":
		a.between(name, 1, 1)
		return r.search(t, name, textArgument(name, a, 0, "sub"))
	case "format":
		return r.format(t, a)
	}
	a.between(name, 0, 0)
	return all(t, name)
}

func integer(callee string, v any) int64 {
	n, ok := v.(int64)
	if !ok {
		fail("%s got %s, want an integer", callee, kindOf(v))
	}
	return n
}

// strip drops white space, or the characters of a set, at one or both ends.
func (r *renderer) strip(t text, set any, left, right bool) text {
	drop := func(c rune) bool { return isSpace(c &^ contentMark) }
	switch set := set.(type) {
	case nil:
	case text:
		drop = func(c rune) bool { return r.find(set, text{c}, 0) >= 0 }
	default:
		fail("strip got %s, want a string", kindOf(set))
	}
	whole := len(t)
	for left && len(t) > 0 && drop(t[0]) {
		t = t[1:]
	}
	for right && len(t) > 0 && drop(t[len(t)-1]) {
		t = t[:len(t)-1]
	}
	r.spend(whole - len(t))
	return t
}

// split cuts at a separator, or at runs of white space if it is none; with
// splitsMax at or above 0 at most that often, from the right if asked to.
func (r *renderer) split(t text, separator any, splitsMax int64, fromRight bool) *list {
	var parts []any
	sep, ok := separator.(text)
	switch {
	case separator == nil:
		if fromRight || splitsMax >= 0 {
			fail("split at white space a limited number of times is not supported")
		}
		for {
			t = r.strip(t, nil, true, false)
			if len(t) == 0 {
				break
			}
			end := 0
			for end < len(t) && !isSpace(t[end]&^contentMark) {
				end++
			}
			parts = append(parts, t[:end])
			t = t[end:]
		}
		r.spend(8 * len(parts))
		return &list{items: parts}
	case !ok:
		fail("split got %s, want a string", kindOf(separator))
	case len(sep) == 0:
		fail("split at an empty string")
	}
	var cuts []int
	for at := r.find(t, sep, 0); at >= 0; at = r.find(t, sep, at+len(sep)) {
		cuts = append(cuts, at)
	}
	if splitsMax >= 0 && splitsMax < int64(len(cuts)) {
		if fromRight {
			cuts = cuts[len(cuts)-int(splitsMax):]
		} else {
			cuts = cuts[:splitsMax]
		}
	}
	r.spend(8 * (len(cuts) + 1))
	start := 0
	for _, at := range cuts {
		parts = append(parts, t[start:at])
		start = at + len(sep)
	}
	return &list{items: append(parts, t[start:])}
}

// lines is str.splitlines for the ends \n, \r and \r\n.
func (r *renderer) lines(t text) *list {
	l := &list{}
	for start := 0; start < len(t); {
		end := start
		for end < len(t) && t[end]&^contentMark != '\n' && t[end]&^contentMark != '\r' {
			end++
		}
		l.items = append(l.items, t[start:end])
		if end+1 < len(t) && t[end]&^contentMark == '\r' && t[end+1]&^contentMark == '\n' {
			end++
		}
		start = end + 1
	}
	r.spend(8 * len(l.items))
	return l
}

// affix is startswith or endswith, of a string or any of a tuple.
func (r *renderer) affix(t text, name string, affix any) bool {
	parts := []any{affix}
	if l, ok := affix.(*list); ok && l.tuple {
		parts = l.items
	}
	for _, each := range parts {
		part, ok := each.(text)
		if !ok {
			fail("%s got %s, want a string", name, kindOf(each))
		}
		if len(part) > len(t) {
			continue
		}
		if name == "startswith" && r.hasPrefix(t, part) || name == "endswith" && r.hasPrefix(t[len(t)-len(part):], part) {
			return true
		}
	}
	return false
}

func (r *renderer) replace(t, old, replacement text, countMax int64) text {
	var out text
	emit := func(part text) {
		r.spend(len(part) + 1)
		out = append(out, part...)
	}
	for i := 0; ; countMax-- {
		at := r.find(t, old, i)
		if at < 0 || countMax == 0 {
			emit(t[i:])
			return out
		}
		emit(t[i:at])
		emit(replacement)
		i = at + len(old)
		if len(old) > 0 {
			continue
		}
		if at == len(t) {
			return out
		}
		emit(t[at : at+1])
		i = at + 1
	}
}

// letterCase maps each character to one.
func letterCase(t text, name string) text {
	out := make(text, len(t))
	inWord := false
	for i, marked := range t {
		c := marked &^ contentMark
		switch {
		case name == "upper", name == "title" && !inWord, name == "capitalize" && i == 0:
			out[i] = unicode.ToUpper(c) | marked&contentMark
		default:
			out[i] = unicode.ToLower(c) | marked&contentMark
		}
		inWord = unicode.IsLetter(c)
	}
	return out
}

func (r *renderer) joinAll(separator text, items []any) text {
	var out text
	for i, item := range items {
		if i > 0 {
			r.spend(len(separator))
			out = append(out, separator...)
		}
		t := r.str(item)
		r.spend(len(t))
		out = append(out, t...)
	}
	return out
}

func (r *renderer) search(t text, name string, part text) int64 {
	first, last, count := int64(-1), int64(-1), int64(0)
	for at := r.find(t, part, 0); at >= 0; at = r.find(t, part, at+max(1, len(part))) {
		if count == 0 {
			first = int64(at)
		}
		last = int64(at)
		count++
	}
	switch name {
	case "find":
		return first
	case "rfind":
		return last
	}
	return count
}

// all is str.isdigit and its kin.
func all(t text, name string) bool {
	if len(t) == 0 {
		return false
	}
	cased := false
	for _, marked := range t {
		c := marked &^ contentMark
		ok := true
		switch name {
		case "isdigit":
			ok = unicode.IsDigit(c)
		case "isalpha":
			ok = unicode.IsLetter(c)
		case "isalnum":
			ok = unicode.IsLetter(c) || unicode.IsNumber(c)
		case "isspace":
			ok = isSpace(c)
		case "isupper":
			ok, cased = !unicode.IsLower(c), cased || unicode.IsUpper(c)
		case "islower":
			ok, cased = !unicode.IsUpper(c), cased || unicode.IsLower(c)
		}
		if !ok {
			return false
		}
	}
	return cased || name != "isupper" && name != "islower"
}
