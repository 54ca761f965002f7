package grammar

// Digits of numbers: more than these could not be told apart as float64, or would overflow it.
const (
	digitsMax         = 15
	exponentDigitsMax = 2
)

// automaton reads the texts of a schema byte by byte. It is not deterministic: machine makes it so as far as it is needed.
type automaton struct {
	states  []state
	class   [256]uint8 // bytes that no edge tells apart have the same
	classes int
	end     int
}

type state struct {
	edges []edge
	jumps []int // states that are reached without a byte
}

// edge leads to a state with a byte from low to high.
type edge struct {
	low, high byte
	to        int
}

// add makes a state. Beyond StatesMax it gives the last one again, so that Compile ends and can refuse.
func (a *automaton) add() int {
	if len(a.states) < StatesMax {
		a.states = append(a.states, state{})
	}
	return len(a.states) - 1
}

func (a *automaton) full() bool { return len(a.states) >= StatesMax }

func (a *automaton) edge(from int, low, high byte, to int) {
	a.states[from].edges = append(a.states[from].edges, edge{low, high, to})
}

func (a *automaton) jump(from, to int) { a.states[from].jumps = append(a.states[from].jumps, to) }

// next is an edge to a new state.
func (a *automaton) next(from int, low, high byte) int {
	to := a.add()
	a.edge(from, low, high, to)
	return to
}

// literal reads a text.
func (a *automaton) literal(from int, s string) int {
	for i := 0; i < len(s) && !a.full(); i++ {
		from = a.next(from, s[i], s[i])
	}
	return from
}

// value reads a value of n and gives the state after it.
func (a *automaton) value(n *node, from int) int {
	switch n.kind {
	case object:
		return a.object(n, from)
	case array:
		return a.array(n, from)
	case text:
		return a.text(n, from)
	case integer:
		end := a.add()
		a.edge(from, '0', '0', end)
		a.natural(from, a.next(from, '-', '-'), end)
		return end
	case number:
		return a.number(from)
	}
	end := a.add()
	switch n.kind {
	case boolean:
		a.jump(a.literal(from, "true"), end)
		a.jump(a.literal(from, "false"), end)
	case null:
		a.jump(a.literal(from, "null"), end)
	case literals:
		for _, v := range n.values {
			s := v.text
			if v.kind == '"' {
				s = quote(s)
			}
			a.jump(a.literal(from, s), end)
		}
	case anyOf:
		for _, option := range n.options {
			a.jump(a.value(option, from), end)
		}
	default:
		panic("grammar: internal error: no automaton for " + string(n.kind))
	}
	return end
}

// natural reads a number from 1 on, from either of two states.
func (a *automaton) natural(from, negative, end int) {
	digit := a.next(from, '1', '9')
	a.edge(negative, '1', '9', digit)
	a.digits(digit, end, digitsMax-1)
}

// digits reads up to n more digits.
func (a *automaton) digits(from, end, n int) {
	a.jump(from, end)
	for range n {
		from = a.next(from, '0', '9')
		a.jump(from, end)
	}
}

// number reads what JSON calls a number.
func (a *automaton) number(from int) int {
	whole, fraction, end := a.add(), a.add(), a.add()
	negative := a.next(from, '-', '-')
	a.edge(from, '0', '0', whole)
	a.edge(negative, '0', '0', whole)
	a.natural(from, negative, whole)
	a.jump(whole, fraction)
	a.digits(a.next(a.next(whole, '.', '.'), '0', '9'), fraction, digitsMax-1)
	a.jump(fraction, end)
	exponent, signed := a.add(), a.add()
	a.edge(fraction, 'E', 'E', exponent)
	a.edge(fraction, 'e', 'e', exponent)
	a.edge(exponent, '+', '+', signed)
	a.edge(exponent, '-', '-', signed)
	a.jump(exponent, signed)
	a.digits(a.next(signed, '0', '9'), end, exponentDigitsMax-1)
	return end
}

func (a *automaton) text(n *node, from int) int {
	at, end := a.next(from, '"', '"'), a.add()
	for range n.min {
		if a.full() {
			return end
		}
		to := a.add()
		a.character(at, to)
		at = to
	}
	a.edge(at, '"', '"', end)
	if n.max < 0 {
		a.character(at, at)
	}
	for i := n.min; i < n.max && !a.full(); i++ {
		to := a.add()
		a.character(at, to)
		a.edge(to, '"', '"', end)
		at = to
	}
	return end
}

// character reads one Unicode character of a string, raw or escaped: UTF-8 of RFC 3629, no surrogates.
func (a *automaton) character(from, to int) {
	a.edge(from, ' ', '!', to)
	a.edge(from, '#', '[', to)
	a.edge(from, ']', 0x7F, to)
	one, two, three := a.add(), a.add(), a.add() // bytes to follow
	a.edge(one, 0x80, 0xBF, to)
	a.edge(two, 0x80, 0xBF, one)
	a.edge(three, 0x80, 0xBF, two)
	a.edge(from, 0xC2, 0xDF, one)
	a.edge(a.next(from, 0xE0, 0xE0), 0xA0, 0xBF, one)
	a.edge(from, 0xE1, 0xEC, two)
	a.edge(a.next(from, 0xED, 0xED), 0x80, 0x9F, one)
	a.edge(from, 0xEE, 0xEF, two)
	a.edge(a.next(from, 0xF0, 0xF0), 0x90, 0xBF, two)
	a.edge(from, 0xF1, 0xF3, three)
	a.edge(a.next(from, 0xF4, 0xF4), 0x80, 0x8F, two)

	escape := a.next(from, '\\', '\\')
	for _, c := range []byte(`"\/bfnrt`) {
		a.edge(escape, c, c, to)
	}
	code, second, third, fourth, surrogate := a.next(escape, 'u', 'u'), a.add(), a.add(), a.add(), a.add()
	for _, r := range []edge{
		{'0', '9', second}, {'a', 'c', second}, {'A', 'C', second}, {'e', 'f', second}, {'E', 'F', second},
		{'d', 'd', surrogate}, {'D', 'D', surrogate},
	} {
		a.edge(code, r.low, r.high, r.to)
	}
	a.edge(surrogate, '0', '7', third)
	a.hexadecimal(second, third)
	a.hexadecimal(third, fourth)
	a.hexadecimal(fourth, to)
}

func (a *automaton) hexadecimal(from, to int) {
	a.edge(from, '0', '9', to)
	a.edge(from, 'a', 'f', to)
	a.edge(from, 'A', 'F', to)
}

func (a *automaton) array(n *node, from int) int {
	open, end := a.next(from, '[', '['), a.add()
	if n.min == 0 {
		a.edge(open, ']', ']', end)
	}
	copies := max(n.min, 1)
	if n.max >= 0 {
		copies = n.max
	}
	for i := range copies {
		if a.full() {
			return end
		}
		begin := a.add()
		if i == 0 {
			a.jump(open, begin)
		} else {
			a.edge(open, ',', ',', begin)
		}
		open = a.value(n.item, begin)
		if i+1 >= n.min {
			a.edge(open, ']', ']', end)
		}
		if n.max < 0 && i == copies-1 {
			a.edge(open, ',', ',', begin)
		}
	}
	return end
}

// object reads the properties in order. Before each there are two states: no property has been read yet, or some has.
func (a *automaton) object(n *node, from int) int {
	none, some, end := a.next(from, '{', '{'), a.add(), a.add()
	for _, p := range n.properties {
		if a.full() {
			return end
		}
		begin, noneAfter, someAfter := a.add(), a.add(), a.add()
		a.jump(none, begin)
		a.edge(some, ',', ',', begin)
		if !p.required {
			a.jump(none, noneAfter)
			a.jump(some, someAfter)
		}
		a.jump(a.value(p.value, a.literal(begin, quote(p.name)+":")), someAfter)
		none, some = noneAfter, someAfter
	}
	a.edge(none, '}', '}', end)
	a.edge(some, '}', '}', end)
	return end
}

// finish sets the state in which a text is complete, and sorts the bytes into classes.
func (a *automaton) finish(end int) {
	a.end = end
	var begins [257]bool
	for _, s := range a.states {
		for _, e := range s.edges {
			begins[e.low], begins[int(e.high)+1] = true, true
		}
	}
	class := uint8(0)
	for b := range a.class {
		if b > 0 && begins[b] {
			class++
		}
		a.class[b] = class
	}
	a.classes = int(class) + 1
}
