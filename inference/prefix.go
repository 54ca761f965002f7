package inference

import (
	"slices"

	"verbatim/kernels"
	"verbatim/models/tokenizer"
)

// prefixTokensMin is how many tokens a session must be spared before it takes them from the prefixes.
const prefixTokensMin = 16

// prefixes keeps keys and values of sequences that were evaluated, by their tokens, so that what the next one begins with is
// not computed again. It is a tree: a node is a page, up to kernels.SplitPositions tokens that follow those of its parent.
// Tokens are compared, not digests of them. When it is full, the page that was used longest ago goes.
//
// Invariant: a node's KV holds what the model gives for its tokens after its parent's, from whichever session it came. So
// taking it changes no bit.
type prefixes struct {
	backend  kernels.Backend
	shape    kernels.KVShape // of a page
	pagesMax int
	clock    uint64
	root     prefix
	nodes    []*prefix    // all but the root
	spare    []kernels.KV // of nodes that went
	path     []*prefix    // of the last match
}

type prefix struct {
	tokens   []tokenizer.Token
	kv       kernels.KV // at position 0 stands the first of tokens
	parent   *prefix
	children []*prefix
	used     uint64 // the clock when it was last used
}

// newPrefixes keeps at most bytesMax bytes of keys and values.
func newPrefixes(backend kernels.Backend, shape kernels.KVShape, bytesMax int) prefixes {
	shape.PositionsMax = kernels.SplitPositions
	return prefixes{backend: backend, shape: shape, pagesMax: max(0, bytesMax) / (2 * shape.PositionElements() * kernels.SplitPositions)}
}

// match finds the longest beginning of tokens that is kept, and leaves its nodes in path.
func (c *prefixes) match(tokens []tokenizer.Token) int {
	c.path = c.path[:0]
	node, total := &c.root, 0
	for {
		var best *prefix
		most := 0
		for _, child := range node.children {
			if n := common(child.tokens, tokens[total:]); n > most {
				best, most = child, n
			}
		}
		if best == nil {
			return total
		}
		c.path = append(c.path, best)
		total += most
		if most < kernels.SplitPositions {
			return total
		}
		node = best
	}
}

// take copies the last match, total tokens, to a session's KV that has the first position of them already.
func (c *prefixes) take(kv kernels.KV, position, total int) {
	c.clock++
	for i, node := range c.path {
		first := i * kernels.SplitPositions
		n := min(kernels.SplitPositions, total-first)
		if node.used = c.clock; first+n > position {
			c.backend.CopyKV(kv, node.kv, first, 0, n)
		}
	}
}

// keep adds tokens, whose keys and values are in kv.
func (c *prefixes) keep(kv kernels.KV, tokens []tokenizer.Token) {
	c.clock++
	node := &c.root
	for first := 0; first < len(tokens) && c.pagesMax > 0; first += kernels.SplitPositions {
		page := tokens[first:min(first+kernels.SplitPositions, len(tokens))]
		next := node.find(page)
		if next == nil {
			if next = c.add(node); next == nil {
				return
			}
		}
		next.used = c.clock
		if len(next.tokens) < len(page) {
			next.tokens = append(next.tokens[:0], page...)
			c.backend.CopyKV(next.kv, kv, 0, first, len(page))
		}
		node = next
	}
}

// find is the child that begins with page, or one that page begins with.
func (p *prefix) find(page []tokenizer.Token) *prefix {
	for _, child := range p.children {
		if n := common(child.tokens, page); n == len(page) || n == len(child.tokens) {
			return child
		}
	}
	return nil
}

// add makes an empty child; nil if there is no room.
func (c *prefixes) add(parent *prefix) *prefix {
	if len(c.nodes) == c.pagesMax && !c.evict() {
		return nil
	}
	child := &prefix{parent: parent}
	if last := len(c.spare) - 1; last >= 0 {
		child.kv, c.spare = c.spare[last], c.spare[:last]
	} else if kv, err := c.backend.NewKV(c.shape); err == nil {
		child.kv = kv
	} else {
		return nil // no memory for what only saves time
	}
	parent.children = append(parent.children, child)
	c.nodes = append(c.nodes, child)
	return child
}

// evict removes the leaf that was used longest ago, and says whether there was one that is not in use.
func (c *prefixes) evict() bool {
	oldest := -1
	for i, node := range c.nodes {
		if len(node.children) == 0 && node.used < c.clock && (oldest < 0 || node.used < c.nodes[oldest].used) {
			oldest = i
		}
	}
	if oldest < 0 {
		return false
	}
	node := c.nodes[oldest]
	c.nodes = slices.Delete(c.nodes, oldest, oldest+1)
	node.parent.children = slices.DeleteFunc(node.parent.children, func(child *prefix) bool { return child == node })
	c.spare = append(c.spare, node.kv)
	return true
}

// drop gives the memory of the page that was used longest ago back to the backend, and says whether there was one.
func (c *prefixes) drop() bool {
	c.clock++ // nothing is being taken or kept
	if !c.evict() {
		return false
	}
	_ = c.backend.Reserve(c.spare[len(c.spare)-1], 0, 0) // if it fails, the next Reserve will too
	return true
}

// common is the length of what two lists begin with alike.
func common(a, b []tokenizer.Token) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// adopt spares a session in the pass what is kept of its prompt, up to the first token whose state is wanted.
func (e *Engine) adopt(s *Session) {
	if !s.shares || s.wanted-s.position < prefixTokensMin {
		return
	}
	if total := e.prefixes.match(s.tokens[:s.wanted]); total-s.position >= prefixTokensMin {
		e.prefixes.take(s.kv, s.position, total)
		s.position = total
	}
}

// follows says whether a session had better wait for another in the pass, which computes the same.
func (e *Engine) follows(s *Session) bool {
	if !s.shares || e.prefixes.pagesMax == 0 {
		return false
	}
	for _, other := range e.batch.picked {
		if other.shares && other.rows > 1 && common(other.tokens[:other.wanted], s.tokens[:s.wanted])-s.position >= prefixTokensMin {
			return true
		}
	}
	return false
}

// keep gives the pages and prompts that a pass completed to the prefixes.
func (e *Engine) keep() {
	for _, s := range e.batch.picked {
		if !s.shares || s.rows == 1 {
			continue
		}
		end := s.position + s.rows
		if end < len(s.tokens) {
			end = end / kernels.SplitPositions * kernels.SplitPositions
		}
		if end > s.position {
			e.prefixes.keep(s.kv, s.tokens[:end])
		}
	}
}
