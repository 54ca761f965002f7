package jinja

import "strconv"

// jsonWriter writes as Python's json.dumps does with ensure_ascii=False.
type jsonWriter struct {
	r        *renderer
	out      text
	indent   text // nil when all is on one line
	sortKeys bool
}

// json is the filter tojson as transformers defines it.
func (r *renderer) json(v any, a values) text {
	a.between("tojson", 0, 0)
	a.onlyNamed("tojson", "indent", "ensure_ascii", "sort_keys")
	w := &jsonWriter{r: r}
	if ascii, _ := a.named("ensure_ascii"); truth(ascii) {
		fail("the filter tojson with ensure_ascii is not supported")
	}
	sorted, _ := a.named("sort_keys")
	w.sortKeys = truth(sorted)
	indent, _ := a.named("indent")
	switch indent := indent.(type) {
	case nil:
	case int64:
		w.indent = append(text{}, r.repeat(text{' '}, indent)...)
	default:
		fail("the filter tojson got %s as its indent", kindOf(indent))
	}
	w.write(v, 0)
	return w.out
}

// line starts a new line inside so many brackets, if lines are asked for.
func (w *jsonWriter) line(depth int) {
	if w.indent == nil {
		return
	}
	w.out = append(w.out, '\n')
	for range depth {
		w.r.spend(len(w.indent))
		w.out = append(w.out, w.indent...)
	}
}

// comma goes between elements.
func (w *jsonWriter) comma(depth int) {
	w.out = append(w.out, ',')
	if w.indent == nil {
		w.out = append(w.out, ' ')
	}
	w.line(depth)
}

func (w *jsonWriter) write(v any, depth int) {
	w.r.spend(2)
	if depth > ValueDepthMax {
		fail("values are nested deeper than %d", ValueDepthMax)
	}
	switch v := v.(type) {
	case nil:
		w.out = append(w.out, text("null")...)
	case bool, int64:
		w.out = append(w.out, letterCase(w.r.str(v), "lower")...)
	case float64:
		switch s := formatFloat(v); s {
		case "inf", "-inf", "nan":
			fail("the filter tojson got the number %s", s)
		default:
			w.out = append(w.out, text(s)...)
		}
	case text:
		w.string(v)
	case *list:
		if len(v.items) == 0 {
			w.out = append(w.out, '[', ']')
			return
		}
		w.out = append(w.out, '[')
		w.line(depth + 1)
		for i, item := range v.items {
			if i > 0 {
				w.comma(depth + 1)
			}
			w.write(item, depth+1)
		}
		w.line(depth)
		w.out = append(w.out, ']')
	case *dict:
		w.dict(v, depth)
	default:
		fail("the filter tojson got %s", kindOf(v))
	}
}

func (w *jsonWriter) dict(d *dict, depth int) {
	pairs := w.r.pairs(d).items
	if len(pairs) == 0 {
		w.out = append(w.out, '{', '}')
		return
	}
	if w.sortKeys {
		w.r.sort(pairs, func(pair any) any { return pair.(*list).items[0] }, false)
	}
	w.out = append(w.out, '{')
	w.line(depth + 1)
	for i, pair := range pairs {
		if i > 0 {
			w.comma(depth + 1)
		}
		key, value := pair.(*list).items[0], pair.(*list).items[1]
		w.string(w.r.str(key))
		w.out = append(w.out, ':', ' ')
		w.write(value, depth+1)
	}
	w.line(depth)
	w.out = append(w.out, '}')
}

func (w *jsonWriter) string(t text) {
	w.r.spend(2 * len(t))
	w.out = append(w.out, '"')
	for _, marked := range t {
		mark, c := marked&contentMark, marked&^contentMark
		escaped := ""
		switch {
		case c == '"' || c == '\\':
			escaped = "\\" + string(c)
		case c >= '\b' && c <= '\r' && c != '\v':
			escaped = "\\" + string("btn fr"[c-'\b'])
		case c < ' ':
			escaped = "\\u00" + strconv.FormatInt(int64(c>>4), 16) + strconv.FormatInt(int64(c&15), 16)
		}
		if escaped == "" {
			w.out = append(w.out, marked)
			continue
		}
		for _, e := range escaped {
			w.out = append(w.out, e|mark)
		}
	}
	w.out = append(w.out, '"')
}
