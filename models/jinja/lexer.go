package jinja

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind int

const (
	tokenEnd tokenKind = iota
	tokenData
	tokenVariableBegin // {{
	tokenVariableEnd
	tokenBlockBegin // {%
	tokenBlockEnd
	tokenName
	tokenString
	tokenInteger
	tokenFloat
	tokenOperator
)

type token struct {
	kind tokenKind
	text string // of a string, with its escapes resolved
	line int
}

// lexer cuts a template into tokens, as jinja2's does with trim_blocks (a line
// feed after a block or comment is dropped) and lstrip_blocks (white space
// before one at the start of a line is dropped). lineStart says that what was
// read last ended a line.
type lexer struct {
	rest      string
	line      int
	lineStart bool
	tokens    []token
}

func lex(source string) []token {
	source = strings.ReplaceAll(strings.ReplaceAll(source, "\r\n", "\n"), "\r", "\n")
	l := &lexer{rest: strings.TrimSuffix(source, "\n"), line: 1, lineStart: true}
	for l.rest != "" {
		l.data()
	}
	l.emit(tokenEnd, "the end")
	return l.tokens
}

func (l *lexer) emit(kind tokenKind, text string) {
	l.tokens = append(l.tokens, token{kind, text, l.line})
}

// take consumes n bytes.
func (l *lexer) take(n int) string {
	text := l.rest[:n]
	l.rest = l.rest[n:]
	l.line += strings.Count(text, "\n")
	if n > 0 {
		l.lineStart = text[n-1] == '\n'
	}
	return text
}

// data reads text up to the next tag, and the tag.
func (l *lexer) data() {
	at := -1
	for i := 0; i+1 < len(l.rest); i++ {
		if l.rest[i] == '{' && strings.IndexByte("{%#", l.rest[i+1]) >= 0 {
			at = i
			break
		}
	}
	if at < 0 {
		l.emit(tokenData, l.take(len(l.rest)))
		return
	}
	kind := l.rest[at+1]
	sign := byte(0)
	if at+2 < len(l.rest) {
		sign = l.rest[at+2]
	}
	startOfLine := l.lineStart
	text := l.take(at)
	switch {
	case sign == '-':
		text = strings.TrimRightFunc(text, isSpace)
	case sign != '+' && kind != '{':
		text = stripLine(text, startOfLine)
	}
	if text != "" {
		l.emit(tokenData, text)
	}
	l.take(2)
	if sign == '-' || sign == '+' {
		l.take(1)
	}
	switch kind {
	case '{':
		l.emit(tokenVariableBegin, "{{")
		l.tag("}}", tokenVariableEnd)
	case '#':
		l.comment()
	default:
		if !l.raw() {
			l.emit(tokenBlockBegin, "{%")
			l.tag("%}", tokenBlockEnd)
		}
	}
}

// stripLine drops the white space after the last line feed, or from the start if
// the text starts a line.
func stripLine(text string, startOfLine bool) string {
	start := strings.LastIndexByte(text, '\n') + 1
	if (start > 0 || startOfLine) && strings.TrimFunc(text[start:], isSpace) == "" {
		return text[:start]
	}
	return text
}

// endTag consumes the end of a tag if it is next: "-" before it drops white
// space after it; without "+" a line feed after a block or comment is dropped.
func (l *lexer) endTag(end string) bool {
	switch {
	case strings.HasPrefix(l.rest, "-"+end):
		l.take(1 + len(end))
		l.take(len(l.rest) - len(strings.TrimLeftFunc(l.rest, isSpace)))
	case end != "}}" && strings.HasPrefix(l.rest, "+"+end):
		l.take(1 + len(end))
	case strings.HasPrefix(l.rest, end):
		l.take(len(end))
		if end != "}}" && strings.HasPrefix(l.rest, "\n") {
			l.take(1)
		}
	default:
		return false
	}
	return true
}

func (l *lexer) comment() {
	at := strings.Index(l.rest, "#}")
	if at < 0 {
		fail("line %d: a comment does not end", l.line)
	}
	if at > 0 && (l.rest[at-1] == '-' || l.rest[at-1] == '+') {
		at--
	}
	l.take(at)
	l.endTag("#}")
}

// raw reads a raw block, of which "{%" is already read.
func (l *lexer) raw() bool {
	inner := strings.TrimLeftFunc(l.rest, isSpace)
	after, found := strings.CutPrefix(inner, "raw")
	after = strings.TrimLeftFunc(after, isSpace)
	if !found || !(strings.HasPrefix(after, "%}") || strings.HasPrefix(after, "-%}")) {
		return false
	}
	l.take(len(l.rest) - len(after) + 2)
	if strings.HasPrefix(after, "-") {
		l.take(1)
		l.take(len(l.rest) - len(strings.TrimLeftFunc(l.rest, isSpace)))
	}
	for i := 0; ; i++ {
		at := strings.Index(l.rest[i:], "{%")
		if at < 0 {
			fail("line %d: a raw block does not end", l.line)
		}
		i += at
		tag := l.rest[i+2:]
		sign := ""
		if tag != "" && (tag[0] == '-' || tag[0] == '+') {
			sign, tag = tag[:1], tag[1:]
		}
		after, found := strings.CutPrefix(strings.TrimLeftFunc(tag, isSpace), "endraw")
		if !found {
			continue
		}
		after = strings.TrimLeftFunc(after, isSpace)
		startOfLine := l.lineStart
		text := l.take(i)
		if sign == "-" {
			text = strings.TrimRightFunc(text, isSpace)
		} else if sign == "" {
			text = stripLine(text, startOfLine)
		}
		l.emit(tokenData, text)
		l.take(len(l.rest) - len(after))
		if !l.endTag("%}") {
			fail("line %d: endraw is not followed by %%}", l.line)
		}
		return true
	}
}

// tag reads the tokens of a tag up to its end, which is not looked for inside
// brackets.
func (l *lexer) tag(end string, endKind tokenKind) {
	depth := 0
	for {
		l.take(len(l.rest) - len(strings.TrimLeftFunc(l.rest, isSpace)))
		if l.rest == "" {
			fail("line %d: a tag does not end with %s", l.line, end)
		}
		if depth == 0 && l.endTag(end) {
			l.emit(endKind, end)
			return
		}
		switch c := l.rest[0]; {
		case c == '\'' || c == '"':
			l.string(c)
		case c >= '0' && c <= '9':
			l.number()
		case isNameRune(l.rest):
			l.name()
		default:
			switch c {
			case '(', '[', '{':
				depth++
			case ')', ']', '}':
				depth--
			}
			l.operator()
		}
	}
}

func isNameRune(text string) bool {
	r, _ := utf8.DecodeRuneInString(text)
	return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r)
}

func (l *lexer) name() {
	n := 0
	for n < len(l.rest) && isNameRune(l.rest[n:]) {
		_, size := utf8.DecodeRuneInString(l.rest[n:])
		n += size
	}
	l.emit(tokenName, l.take(n))
}

func (l *lexer) number() {
	n, kind := 0, tokenInteger
	digits := func() {
		for n < len(l.rest) && (l.rest[n] >= '0' && l.rest[n] <= '9' || l.rest[n] == '_') {
			n++
		}
	}
	digit := func(i int) bool { return i < len(l.rest) && l.rest[i] >= '0' && l.rest[i] <= '9' }
	digits()
	if n < len(l.rest) && l.rest[n] == '.' && digit(n+1) {
		kind = tokenFloat
		n++
		digits()
	}
	if n < len(l.rest) && l.rest[n]|0x20 == 'e' {
		sign := 0
		if n+1 < len(l.rest) && (l.rest[n+1] == '+' || l.rest[n+1] == '-') {
			sign = 1
		}
		if digit(n + 1 + sign) {
			kind = tokenFloat
			n += 1 + sign
			digits()
		}
	}
	l.emit(kind, strings.ReplaceAll(l.take(n), "_", ""))
}

// operator reads the longest operator.
func (l *lexer) operator() {
	if len(l.rest) >= 2 {
		switch l.rest[:2] {
		case "==", "!=", ">=", "<=", "//", "**":
			l.emit(tokenOperator, l.take(2))
			return
		}
	}
	if strings.IndexByte("+-/*%~[](){}><=.:|,", l.rest[0]) < 0 {
		fail("line %d: %q is not part of the language", l.line, l.rest[:1])
	}
	l.emit(tokenOperator, l.take(1))
}

// string reads a string literal with Python's escapes.
func (l *lexer) string(quote byte) {
	var b strings.Builder
	i := 1
	for {
		if i >= len(l.rest) {
			fail("line %d: a string does not end", l.line)
		}
		c := l.rest[i]
		if c == quote {
			break
		}
		if c != '\\' || i+1 >= len(l.rest) {
			b.WriteByte(c)
			i++
			continue
		}
		i += l.escape(&b, l.rest[i:])
	}
	l.take(i + 1)
	l.lineStart = false
	l.emit(tokenString, b.String())
}

// escape writes what the escape at the start of text stands for and returns its
// length. An unknown escape stands for itself.
func (l *lexer) escape(b *strings.Builder, text string) int {
	digits := 0
	switch c := text[1]; c {
	case '\n':
	case '\\', '\'', '"':
		b.WriteByte(c)
	case 'a', 'b', 'f', 'n', 'r', 't', 'v':
		b.WriteByte("\a\b\f\n\r\t\v"[strings.IndexByte("abfnrtv", c)])
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	case 'N', '0', '1', '2', '3', '4', '5', '6', '7':
		fail("line %d: the escape \\%c is not supported", l.line, c)
	default:
		b.WriteString(text[:1])
		return 1
	}
	if digits == 0 {
		return 2
	}
	if len(text) < 2+digits {
		fail("line %d: a string does not end", l.line)
	}
	n, err := strconv.ParseUint(text[2:2+digits], 16, 32)
	if err != nil || !utf8.ValidRune(rune(n)) {
		fail("line %d: %q is not a character", l.line, text[:2+digits])
	}
	b.WriteRune(rune(n))
	return 2 + digits
}

// isSpace is Python's str.isspace.
func isSpace(r rune) bool {
	switch r {
	case ' ', 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000:
		return true
	}
	return r >= '\t' && r <= '\r' || r >= 0x1c && r <= 0x1f || r >= 0x2000 && r <= 0x200a
}
