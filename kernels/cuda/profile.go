package cuda

import (
	"cmp"
	"slices"
)

// KernelTime is what the launches of a kernel took on the card.
type KernelTime struct {
	Name     string  `json:"name"`
	Launches int     `json:"launches"`
	Seconds  float64 `json:"seconds"`
}

// profile takes the time of every launch between two events of its own.
type profile struct {
	on     bool
	events []uint64
	marked []*kernel // launches since the last wait: their events are at twice their index
	times  map[*kernel]*KernelTime
}

// Profile begins to measure every launch, or ends it; graphs are not used meanwhile, and everything is slower. What was measured
// before is forgotten when it begins.
func (b *Backend) Profile(on bool) {
	b.profile.on = on
	if on {
		b.profile.times = map[*kernel]*KernelTime{}
	}
}

// KernelTimes is what was measured, the longest first.
func (b *Backend) KernelTimes() []KernelTime {
	var all []KernelTime
	for _, t := range b.profile.times {
		all = append(all, *t)
	}
	slices.SortFunc(all, func(x, y KernelTime) int {
		return cmp.Or(cmp.Compare(y.Seconds, x.Seconds), cmp.Compare(x.Name, y.Name))
	})
	return all
}

// mark records an event on the stream.
func (b *Backend) mark(index int) error {
	p := &b.profile
	for len(p.events) <= index {
		event, err := b.driver.eventCreate()
		if err != nil {
			return err
		}
		p.events = append(p.events, event)
	}
	return b.driver.eventRecord(p.events[index], b.stream)
}

// measured launches a kernel between two events.
func (b *Backend) measured(list *commands, c *command) error {
	p := &b.profile
	at := 2 * len(p.marked)
	if err := b.mark(at); err != nil {
		return err
	}
	if err := b.launchNow(list, c); err != nil {
		return err
	}
	p.marked = append(p.marked, c.kernel)
	return b.mark(at + 1)
}

// collect adds up what lies between the events. All of them have happened.
func (b *Backend) collect() error {
	p := &b.profile
	for i, k := range p.marked {
		milliseconds, err := b.driver.eventMilliseconds(p.events[2*i], p.events[2*i+1])
		if err != nil {
			return err
		}
		t := p.times[k]
		if t == nil {
			t = &KernelTime{Name: k.name}
			p.times[k] = t
		}
		t.Launches++
		t.Seconds += float64(milliseconds) / 1000
	}
	p.marked = p.marked[:0]
	return nil
}
