package tokenizer

// symbol is a piece of a word while it is being merged. Symbols form a list in
// text order; a symbol that was merged into its left neighbour has size 0.
type symbol struct {
	prev, next int
	start      int // byte offset in the word
	size       int // bytes
	token      Token
}

// candidate is a pair of neighbours that could be merged.
type candidate struct {
	order uint32 // the lowest is merged first; ties go to the leftmost
	left  int
	right int
	size  int   // of both symbols when the pair was proposed
	token Token // of the merged symbol
}

func (c candidate) before(d candidate) bool {
	return c.order < d.order || (c.order == d.order && c.left < d.left)
}

// queue is a binary heap of candidates, the first to merge on top. For one left
// symbol only the newest pair is still valid, so ties cannot remain and the
// order of merges does not depend on the heap.
type queue []candidate

func (q *queue) push(c candidate) {
	h := append(*q, c)
	i := len(h) - 1
	for i > 0 && h[i].before(h[(i-1)/2]) {
		h[i], h[(i-1)/2] = h[(i-1)/2], h[i]
		i = (i - 1) / 2
	}
	*q = h
}

func (q *queue) pop() candidate {
	h := *q
	top := h[0]
	last := len(h) - 1
	h[0] = h[last]
	h = h[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].before(h[least]) {
				least = child
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	*q = h
	return top
}

// proposer says whether two neighbouring symbols can be merged, into which
// token, and with what order.
type proposer func(left, right symbol) (order uint32, token Token, ok bool)

// link makes a list of the symbols, which stand in text order.
func link(symbols []symbol) {
	for i := range symbols {
		symbols[i].prev = i - 1
		symbols[i].next = i + 1
	}
	if len(symbols) > 0 {
		symbols[len(symbols)-1].next = -1
	}
}

// mergeAll merges the best pair of neighbours until none can be merged. Symbol
// 0 stays the head of the list. Time is O(n log n) in the number of symbols.
func mergeAll(symbols []symbol, propose proposer) {
	var q queue
	consider := func(left, right int) {
		if left < 0 || right < 0 {
			return
		}
		order, token, ok := propose(symbols[left], symbols[right])
		if ok {
			q.push(candidate{order, left, right, symbols[left].size + symbols[right].size, token})
		}
	}
	for i := 1; i < len(symbols); i++ {
		consider(i-1, i)
	}
	for len(q) > 0 {
		c := q.pop()
		left, right := &symbols[c.left], &symbols[c.right]
		if left.size == 0 || right.size == 0 || left.size+right.size != c.size {
			continue // one of the two was merged with another meanwhile
		}
		left.size, left.token = c.size, c.token
		right.size = 0
		left.next = right.next
		if right.next >= 0 {
			symbols[right.next].prev = c.left
		}
		consider(left.prev, c.left)
		consider(c.left, left.next)
	}
}
