package grammar

import (
	"bytes"
	"slices"
)

// masksMax bounds the masks that a matcher remembers.
const masksMax = 256

// Vocabulary is the bytes of every token, sorted, so that tokens that begin alike are looked at together. It never changes
// and may be used from several goroutines.
type Vocabulary struct {
	texts  [][]byte // by token
	order  []int32  // tokens that have a text, by their texts
	common []int32  // by order: bytes shared with the text before
	ends   []int32
}

// NewVocabulary takes the bytes that each token adds to a text, none for a token that must not be chosen, and the tokens
// that end one, which have none either.
func NewVocabulary(texts [][]byte, ends []int32) *Vocabulary {
	v := &Vocabulary{texts: texts, ends: ends}
	for token, text := range texts {
		if len(text) > 0 {
			v.order = append(v.order, int32(token))
		}
	}
	slices.SortFunc(v.order, func(a, b int32) int {
		if c := bytes.Compare(texts[a], texts[b]); c != 0 {
			return c
		}
		return int(a - b)
	})
	v.common = make([]int32, len(v.order))
	for i := 1; i < len(v.order); i++ {
		a, b := texts[v.order[i-1]], texts[v.order[i]]
		for n := min(len(a), len(b)); int(v.common[i]) < n && a[v.common[i]] == b[v.common[i]]; {
			v.common[i]++
		}
	}
	return v
}

// Matcher follows one text. It is used by one goroutine at a time.
type Matcher struct {
	vocabulary *Vocabulary
	machine    *machine
	state      int32
	masks      map[int32][]uint64
	path       []int32 // scratch: states along a token
}

// NewMatcher begins a text.
func (g *Grammar) NewMatcher(v *Vocabulary) *Matcher {
	return &Matcher{vocabulary: v, machine: newMachine(&g.automaton), masks: map[int32][]uint64{}}
}

// Allowed has bit t%64 of word t/64 set when token t may come next: the text with it is the beginning of a value, or it ends
// a complete one. Valid until the next call.
func (m *Matcher) Allowed() []uint64 {
	if mask, ok := m.masks[m.state]; ok {
		return mask
	}
	if len(m.machine.sets) > machineStatesMax {
		m.state = m.machine.forget(m.state)
		clear(m.masks)
	}
	if len(m.masks) == masksMax {
		clear(m.masks)
	}
	mask := m.mask()
	m.masks[m.state] = mask
	return mask
}

func (m *Matcher) mask() []uint64 {
	v := m.vocabulary
	mask := make([]uint64, (len(v.texts)+63)/64)
	if m.machine.complete[m.state] {
		for _, end := range v.ends {
			mask[end/64] |= 1 << (end % 64)
		}
	}
	m.path = append(m.path[:0], m.state) // path[i] is the state after i bytes of the text looked at last
	for i, token := range v.order {
		text, from := v.texts[token], int(v.common[i])
		if from >= len(m.path) {
			continue // begins with what died
		}
		m.path = m.path[:from+1]
		for _, b := range text[from:] {
			next := m.machine.step(m.path[len(m.path)-1], b)
			if next == dead {
				break
			}
			m.path = append(m.path, next)
		}
		if len(m.path) == len(text)+1 {
			mask[token/64] |= 1 << (token % 64)
		}
	}
	return mask
}

// Take goes on with a token that was allowed.
func (m *Matcher) Take(token int32) {
	for _, b := range m.vocabulary.texts[token] {
		if m.state = m.machine.step(m.state, b); m.state == dead {
			panic("grammar: internal error: a token that was not allowed")
		}
	}
}

// Complete says whether the text is a whole value.
func (m *Matcher) Complete() bool { return m.machine.complete[m.state] }
