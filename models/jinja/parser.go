package jinja

import (
	"slices"
	"strconv"
)

// parser reads statements and expressions with the precedences of jinja2.
type parser struct {
	tokens  []token
	next    int
	nesting int
	loops   int // for blocks that are open
}

func (p *parser) peek() token { return p.tokens[p.next] }

// at says whether the next token is of that kind and, if text is not empty, has
// that text.
func (p *parser) at(kind tokenKind, text string) bool {
	t := p.peek()
	return t.kind == kind && (text == "" || t.text == text)
}

func (p *parser) operator(text string) bool { return p.at(tokenOperator, text) }
func (p *parser) keyword(text string) bool  { return p.at(tokenName, text) }

// skip consumes the next token if it is that one.
func (p *parser) skip(kind tokenKind, text string) bool {
	if !p.at(kind, text) {
		return false
	}
	p.next++
	return true
}

func (p *parser) expect(kind tokenKind, text string) token {
	t := p.peek()
	if !p.at(kind, text) {
		if text == "" {
			text = "a name"
		}
		p.unexpected(text)
	}
	p.next++
	return t
}

func (p *parser) unexpected(want string) {
	fail("line %d: %q instead of %s", p.peek().line, cut(p.peek().text, 40), want)
}

func cut(text string, bytesMax int) string {
	if len(text) <= bytesMax {
		return text
	}
	return text[:bytesMax] + "..."
}

// deeper guards against nesting that would exhaust the stack; call the result
// on the way out.
func (p *parser) deeper() func() {
	if p.nesting++; p.nesting > NestingMax {
		fail("line %d: more than %d levels of nesting", p.peek().line, NestingMax)
	}
	return func() { p.nesting-- }
}

// statements reads up to the end of the template or a block tag that is one of
// ends, whose name is left as the next token.
func (p *parser) statements(ends ...string) []statement {
	defer p.deeper()()
	var list []statement
	for {
		switch t := p.peek(); t.kind {
		case tokenData:
			p.next++
			list = append(list, data(newText(t.text, 0)))
		case tokenVariableBegin:
			p.next++
			list = append(list, output{p.tuple(true)})
			p.expect(tokenVariableEnd, "}}")
		case tokenBlockBegin:
			p.next++
			if p.peek().kind == tokenName && slices.Contains(ends, p.peek().text) {
				return list
			}
			list = append(list, p.block()...)
		default:
			if len(ends) > 0 {
				p.unexpected(ends[len(ends)-1])
			}
			return list
		}
	}
}

func (p *parser) blockEnd() { p.expect(tokenBlockEnd, "%}") }

// body reads the statements of a block up to its end tag, which it consumes.
func (p *parser) body(end string) []statement {
	p.blockEnd()
	list := p.statements(end)
	p.expect(tokenName, end)
	p.blockEnd()
	return list
}

func (p *parser) block() []statement {
	t := p.expect(tokenName, "")
	switch t.text {
	case "if":
		return []statement{p.ifBlock()}
	case "for":
		return []statement{p.forBlock()}
	case "set":
		return []statement{p.set()}
	case "macro":
		return []statement{p.macro()}
	case "filter":
		f := p.filterChain(blockText{})
		return []statement{filterBlock{f, p.body("endfilter")}}
	case "generation":
		return p.body("endgeneration")
	case "break", "continue":
		if p.loops == 0 {
			fail("line %d: %s outside a loop", t.line, t.text)
		}
		p.blockEnd()
		if t.text == "break" {
			return []statement{jump(breakLoop)}
		}
		return []statement{jump(continueLoop)}
	}
	fail("line %d: the tag %q is not supported", t.line, cut(t.text, 40))
	return nil
}

func (p *parser) ifBlock() statement {
	var b ifStatement
	for {
		b.conditions = append(b.conditions, p.tuple(false))
		p.blockEnd()
		b.bodies = append(b.bodies, p.statements("elif", "else", "endif"))
		switch p.expect(tokenName, "").text {
		case "elif":
			continue
		case "else":
			b.otherwise = p.body("endif")
			return b
		}
		p.blockEnd()
		return b
	}
}

func (p *parser) forBlock() statement {
	var b forStatement
	b.targets = p.targets()
	p.expect(tokenName, "in")
	b.list = p.tuple(false)
	if p.skip(tokenName, "if") {
		b.condition = p.expression()
	}
	if p.keyword("recursive") {
		fail("line %d: recursive loops are not supported", p.peek().line)
	}
	p.blockEnd()
	p.loops++
	b.body = p.statements("else", "endfor")
	p.loops--
	if p.expect(tokenName, "").text == "else" {
		b.otherwise = p.body("endfor")
		return b
	}
	p.blockEnd()
	return b
}

// targets reads the names that a loop or an assignment binds.
func (p *parser) targets() []string {
	bracket := p.skip(tokenOperator, "(")
	names := []string{p.expect(tokenName, "").text}
	for p.skip(tokenOperator, ",") {
		if !p.at(tokenName, "") || p.keyword("in") {
			break
		}
		names = append(names, p.expect(tokenName, "").text)
	}
	if bracket {
		p.expect(tokenOperator, ")")
	}
	return names
}

func (p *parser) set() statement {
	b := setStatement{targets: p.targets()}
	if len(b.targets) == 1 && p.skip(tokenOperator, ".") {
		b.attribute = p.expect(tokenName, "").text
	}
	if p.skip(tokenOperator, "=") {
		b.value = p.tuple(true)
		p.blockEnd()
		return b
	}
	b.value = blockText{}
	if p.operator("|") {
		b.value = p.filterTail(blockText{})
	}
	b.body = p.body("endset")
	return b
}

func (p *parser) macro() statement {
	m := &macro{name: p.expect(tokenName, "").text}
	p.expect(tokenOperator, "(")
	for !p.operator(")") {
		m.parameters = append(m.parameters, p.expect(tokenName, "").text)
		var value expression
		if p.skip(tokenOperator, "=") {
			value = p.expression()
		}
		m.defaults = append(m.defaults, value)
		if !p.skip(tokenOperator, ",") {
			break
		}
	}
	p.expect(tokenOperator, ")")
	loops := p.loops
	p.loops = 0
	m.body = p.body("endmacro")
	p.loops = loops
	return macroStatement{m}
}

// tuple reads an expression, or several with commas between them.
func (p *parser) tuple(conditional bool) expression {
	read := p.expression
	if !conditional {
		read = p.or
	}
	first := read()
	if !p.operator(",") {
		return first
	}
	items := []expression{first}
	for p.skip(tokenOperator, ",") {
		if p.tupleEnds() {
			break
		}
		items = append(items, read())
	}
	return listLiteral{items, true}
}

func (p *parser) tupleEnds() bool {
	return p.at(tokenVariableEnd, "") || p.at(tokenBlockEnd, "") || p.operator(")") || p.operator("=")
}

// expression reads "a if b else c" and what binds closer.
func (p *parser) expression() expression {
	defer p.deeper()()
	value := p.or()
	for p.skip(tokenName, "if") {
		condition := p.or()
		var otherwise expression
		if p.skip(tokenName, "else") {
			otherwise = p.expression()
		}
		value = conditional{condition, value, otherwise}
	}
	return value
}

func (p *parser) or() expression {
	left := p.and()
	for p.skip(tokenName, "or") {
		left = logical{false, left, p.and()}
	}
	return left
}

func (p *parser) and() expression {
	left := p.not()
	for p.skip(tokenName, "and") {
		left = logical{true, left, p.not()}
	}
	return left
}

func (p *parser) not() expression {
	defer p.deeper()()
	if p.skip(tokenName, "not") {
		return not{p.not()}
	}
	return p.compare()
}

// compare reads chains like a < b <= c.
func (p *parser) compare() expression {
	first := p.sum()
	var c comparison
	for {
		t := p.peek()
		operator := ""
		switch {
		case t.kind == tokenOperator && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, t.text), p.keyword("in"):
			operator = t.text
			p.next++
		case p.keyword("not") && p.tokens[p.next+1].kind == tokenName && p.tokens[p.next+1].text == "in":
			operator = "not in"
			p.next += 2
		}
		if operator == "" {
			break
		}
		c.operators = append(c.operators, operator)
		c.operands = append(c.operands, p.sum())
	}
	if c.operators == nil {
		return first
	}
	c.first = first
	return c
}

// binary reads a chain of operators of one precedence.
func (p *parser) binary(operand func() expression, operators ...string) expression {
	left := operand()
	for p.peek().kind == tokenOperator && slices.Contains(operators, p.peek().text) {
		operator := p.peek().text
		p.next++
		left = binary{operator, left, operand()}
	}
	return left
}

func (p *parser) sum() expression     { return p.binary(p.concat, "+", "-") }
func (p *parser) concat() expression  { return p.binary(p.product, "~") }
func (p *parser) product() expression { return p.binary(p.power, "*", "/", "//", "%") }
func (p *parser) power() expression {
	return p.binary(func() expression { return p.unary(true) }, "**")
}

func (p *parser) unary(filters bool) expression {
	defer p.deeper()()
	var value expression
	switch {
	case p.skip(tokenOperator, "-"):
		value = negation{p.unary(false)}
	case p.skip(tokenOperator, "+"):
		value = p.unary(false)
	default:
		value = p.postfix(p.primary())
	}
	if filters {
		value = p.filterTail(value)
	}
	return value
}

func (p *parser) primary() expression {
	t := p.peek()
	p.next++
	switch {
	case t.kind == tokenName:
		switch t.text {
		case "true", "True":
			return literal{true}
		case "false", "False":
			return literal{false}
		case "none", "None":
			return literal{nil}
		}
		return name(t.text)
	case t.kind == tokenString:
		value := newText(t.text, 0)
		for p.at(tokenString, "") {
			value = append(value, newText(p.peek().text, 0)...)
			p.next++
		}
		return literal{value}
	case t.kind == tokenInteger:
		n, err := strconv.ParseInt(t.text, 10, 64)
		if err != nil {
			fail("line %d: the integer %s is too large", t.line, cut(t.text, 40))
		}
		return literal{n}
	case t.kind == tokenFloat:
		x, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			fail("line %d: the number %s is out of range", t.line, cut(t.text, 40))
		}
		return literal{x}
	case t.kind == tokenOperator && t.text == "(":
		if p.skip(tokenOperator, ")") {
			return listLiteral{nil, true}
		}
		value := p.tuple(true)
		p.expect(tokenOperator, ")")
		return value
	case t.kind == tokenOperator && t.text == "[":
		return listLiteral{p.list("]"), false}
	case t.kind == tokenOperator && t.text == "{":
		return p.dictionary()
	}
	p.next--
	p.unexpected("an expression")
	return nil
}

// list reads expressions with commas between them up to the closing bracket.
func (p *parser) list(end string) []expression {
	var items []expression
	for !p.operator(end) {
		items = append(items, p.expression())
		if !p.skip(tokenOperator, ",") {
			break
		}
	}
	p.expect(tokenOperator, end)
	return items
}

func (p *parser) dictionary() expression {
	var d dictLiteral
	for !p.operator("}") {
		d.keys = append(d.keys, p.expression())
		p.expect(tokenOperator, ":")
		d.values = append(d.values, p.expression())
		if !p.skip(tokenOperator, ",") {
			break
		}
	}
	p.expect(tokenOperator, "}")
	return d
}

// postfix reads attributes, subscripts and calls.
func (p *parser) postfix(value expression) expression {
	for depth := 0; ; depth++ {
		if depth > NestingMax {
			fail("line %d: more than %d attributes, subscripts and calls in a row", p.peek().line, NestingMax)
		}
		switch {
		case p.skip(tokenOperator, "."):
			t := p.peek()
			p.next++
			switch t.kind {
			case tokenName:
				value = attribute{value, t.text}
			case tokenInteger:
				p.next--
				value = subscript{value, p.primary()}
			default:
				p.next--
				p.unexpected("an attribute")
			}
		case p.skip(tokenOperator, "["):
			value = p.subscript(value)
		case p.skip(tokenOperator, "("):
			value = call{value, p.arguments()}
		default:
			return value
		}
	}
}

// subscript reads what stands in brackets: an index or a slice.
func (p *parser) subscript(value expression) expression {
	var parts [3]expression
	colons := 0
	for !p.operator("]") {
		if p.skip(tokenOperator, ":") {
			if colons++; colons > 2 {
				p.unexpected("]")
			}
			continue
		}
		if parts[colons] != nil {
			p.unexpected("]")
		}
		parts[colons] = p.expression()
	}
	p.expect(tokenOperator, "]")
	if colons > 0 {
		return slice{value, parts}
	}
	if parts[0] == nil {
		p.unexpected("an index")
	}
	return subscript{value, parts[0]}
}

// arguments reads the arguments of a call up to the closing parenthesis.
func (p *parser) arguments() arguments {
	var a arguments
	for !p.operator(")") {
		if p.operator("*") || p.operator("**") {
			fail("line %d: %s in a call is not supported", p.peek().line, p.peek().text)
		}
		following := p.tokens[min(p.next+1, len(p.tokens)-1)]
		if p.at(tokenName, "") && following.kind == tokenOperator && following.text == "=" {
			a.names = append(a.names, p.expect(tokenName, "").text)
			p.next++
			a.named = append(a.named, p.expression())
		} else if a.names != nil {
			p.unexpected("an argument with a name")
		} else {
			a.positional = append(a.positional, p.expression())
		}
		if !p.skip(tokenOperator, ",") {
			break
		}
	}
	p.expect(tokenOperator, ")")
	return a
}

// filterTail reads the filters, tests and calls that follow an operand.
func (p *parser) filterTail(value expression) expression {
	for depth := 0; ; depth++ {
		if depth > NestingMax {
			fail("line %d: more than %d filters in a row", p.peek().line, NestingMax)
		}
		switch {
		case p.skip(tokenOperator, "|"):
			value = p.filterChain(value)
		case p.skip(tokenName, "is"):
			value = p.test(value)
		case p.skip(tokenOperator, "("):
			value = call{value, p.arguments()}
		default:
			return value
		}
	}
}

// filterChain reads the name and arguments of one filter, and in a filter block
// those that follow it.
func (p *parser) filterChain(value expression) expression {
	f := filter{value: value, name: p.expect(tokenName, "").text}
	if p.skip(tokenOperator, "(") {
		f.arguments = p.arguments()
	}
	if _, block := value.(blockText); block {
		return p.filterTail(f)
	}
	return f
}

func (p *parser) test(value expression) expression {
	negated := p.skip(tokenName, "not")
	t := test{value: value, name: p.expect(tokenName, "").text}
	if p.skip(tokenOperator, "(") {
		t.arguments = p.arguments()
	} else if takesArgument(t.name) {
		t.arguments.positional = []expression{p.postfix(p.primary())}
	}
	if negated {
		return not{t}
	}
	return t
}
