package jinja

// takesArgument says whether a test is written with an operand but without
// parentheses, as in "n is divisibleby 3".
func takesArgument(name string) bool {
	switch name {
	case "divisibleby", "eq", "equalto", "sameas", "ne", "lt", "lessthan", "le", "gt", "greaterthan", "ge", "in":
		return true
	}
	return false
}

// test says whether v passes a test.
func (r *renderer) test(name string, v any, a values) bool {
	_, missing := v.(undefined)
	switch name {
	case "defined":
		return !missing
	case "undefined":
		return missing
	case "none":
		return v == nil
	case "true":
		return v == true
	case "false":
		return v == false
	case "boolean":
		_, ok := v.(bool)
		return ok
	case "integer":
		_, ok := v.(int64)
		return ok
	case "float":
		_, ok := v.(float64)
		return ok
	case "number":
		_, _, _, ok := number(v)
		return ok
	case "string":
		_, ok := v.(text)
		return ok
	case "mapping":
		_, ok := v.(*dict)
		return ok
	case "sequence", "iterable":
		switch v.(type) {
		case text, *list, *dict, undefined:
			return true
		}
		return false
	case "callable":
		switch v.(type) {
		case function, method, *macro:
			return true
		}
		return false
	}
	return r.operatorTest(name, v, a)
}

// operatorTest is a test with an operand, or one of arithmetic.
func (r *renderer) operatorTest(name string, v any, a values) bool {
	operand := func() any {
		a.between(name, 1, 1)
		return a.positional[0]
	}
	switch name {
	case "odd", "even":
		_, remainder := floorDivide(integer(name, v), 2)
		return (remainder == 1) == (name == "odd")
	case "divisibleby":
		_, remainder := floorDivide(integer(name, v), integer(name, operand()))
		return remainder == 0
	case "eq", "equalto", "==":
		return r.equal(v, operand(), 0)
	case "ne", "!=":
		return !r.equal(v, operand(), 0)
	case "lt", "lessthan", "<":
		return r.order(v, operand()) < 0
	case "le", "<=":
		return r.order(v, operand()) <= 0
	case "gt", "greaterthan", ">":
		return r.order(v, operand()) > 0
	case "ge", ">=":
		return r.order(v, operand()) >= 0
	case "in":
		return r.in(v, operand())
	case "lower", "upper":
		t := r.str(v)
		r.spend(len(t))
		return all(t, "is"+name)
	}
	fail("the test %q is not supported", cut(name, 40))
	return false
}
