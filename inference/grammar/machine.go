package grammar

import (
	"encoding/binary"
	"slices"
)

// Places of a machine that are not states.
const (
	dead    = -1
	unknown = -2
)

// machineStatesMax bounds what a machine remembers; beyond it, it begins anew.
const machineStatesMax = 1 << 14

// machine is an automaton made deterministic, a state when it is first reached.
type machine struct {
	automaton *automaton
	sets      [][]int32 // by state: the automaton's states that it stands for, those with edges and the end
	next      []int32   // (states, classes)
	complete  []bool
	byKey     map[string]int32
	seen      []bool  // scratch
	reached   []int32 // scratch
	key       []byte  // scratch
}

func newMachine(a *automaton) *machine {
	m := &machine{automaton: a, seen: make([]bool, len(a.states)), byKey: map[string]int32{}}
	m.reach(0)
	m.intern()
	return m
}

// reach adds a state and all that it jumps to.
func (m *machine) reach(state int32) {
	if m.seen[state] {
		return
	}
	m.seen[state] = true
	first := len(m.reached)
	m.reached = append(m.reached, state)
	for i := first; i < len(m.reached); i++ {
		for _, to := range m.automaton.states[m.reached[i]].jumps {
			if !m.seen[to] {
				m.seen[to] = true
				m.reached = append(m.reached, int32(to))
			}
		}
	}
}

// intern gives the number of the state that stands for what was reached.
func (m *machine) intern() int32 {
	complete := m.seen[m.automaton.end]
	for _, s := range m.reached {
		m.seen[s] = false
	}
	set := slices.DeleteFunc(m.reached, func(s int32) bool {
		return len(m.automaton.states[s].edges) == 0 && int(s) != m.automaton.end
	})
	m.reached = m.reached[:0]
	if len(set) == 0 {
		return dead
	}
	slices.Sort(set)
	m.key = m.key[:0]
	for _, s := range set {
		m.key = binary.LittleEndian.AppendUint32(m.key, uint32(s))
	}
	if state, ok := m.byKey[string(m.key)]; ok {
		return state
	}
	state := int32(len(m.sets))
	m.byKey[string(m.key)] = state
	m.sets = append(m.sets, slices.Clone(set))
	m.complete = append(m.complete, complete)
	for range m.automaton.classes {
		m.next = append(m.next, unknown)
	}
	return state
}

// step is the state after a byte, or dead.
func (m *machine) step(state int32, b byte) int32 {
	at := int(state)*m.automaton.classes + int(m.automaton.class[b])
	if m.next[at] == unknown {
		for _, s := range m.sets[state] {
			for _, e := range m.automaton.states[s].edges {
				if e.low <= b && b <= e.high {
					m.reach(int32(e.to))
				}
			}
		}
		m.next[at] = m.intern()
	}
	return m.next[at]
}

// forget begins anew at a state, which gets another number.
func (m *machine) forget(state int32) int32 {
	m.reached = append(m.reached[:0], m.sets[state]...)
	for _, s := range m.reached {
		m.seen[s] = true
	}
	m.sets, m.next, m.complete = nil, nil, nil
	clear(m.byKey)
	return m.intern()
}
