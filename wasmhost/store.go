package wasmhost

import (
	"context"
	"slices"
	"sync"
)

// store keeps the instances of all modules of a host that wait for their next message, as far as their memories fit into a
// budget; the newest stays in any case. The one that waited longest goes first.
type store struct {
	mu       sync.Mutex
	bytesMax int64
	bytes    int64
	waiting  []*warm // the one that waited longest first
}

// instanceBytes is about what an instance takes beside its memory, as measured with aos: stacks and tables of the engine.
const instanceBytes = 256 << 10

// take gives the instance of a module that holds the image, or else one that holds something of the same origin, or else, if
// the budget is used up, the one that waited longest; nil if there is none. It must be able to become the image: a memory
// cannot shrink.
func (s *store) take(m *Module, image *Image) *warm {
	if image == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	full := s.bytes >= s.bytesMax-s.bytesMax/8
	found, best := -1, 0
	for i, w := range s.waiting {
		worth := 0
		switch {
		case w.module != m:
		case w.holds == image:
			worth = 3
		case w.holds.size > image.size:
		case w.holds.origin == image.origin:
			worth = 2
		case full:
			worth = 1
		}
		if worth > best {
			found, best = i, worth
		}
	}
	if found < 0 {
		return nil
	}
	w := s.waiting[found]
	s.waiting = slices.Delete(s.waiting, found, found+1)
	s.bytes -= w.bytes
	return w
}

// give lets an instance wait. Those that waited longest make room, and are closed.
func (s *store) give(ctx context.Context, w *warm) {
	w.bytes = w.memory.bytes() + instanceBytes
	s.mu.Lock()
	s.waiting = append(s.waiting, w)
	s.bytes += w.bytes
	n := 0
	for s.bytes > s.bytesMax && n < len(s.waiting)-1 {
		s.bytes -= s.waiting[n].bytes
		n++
	}
	leaving := slices.Clone(s.waiting[:n])
	s.waiting = slices.Delete(s.waiting, 0, n)
	s.mu.Unlock()
	for _, w := range leaving {
		w.close(ctx)
	}
}

// forget drops the instances of a module whose runtime closes them.
func (s *store) forget(m *Module) { s.drop(func(w *warm) bool { return w.module == m }) }

// drop takes out the instances that go.
func (s *store) drop(goes func(*warm) bool) (gone []*warm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.DeleteFunc(s.waiting, func(w *warm) bool {
		if !goes(w) {
			return false
		}
		s.bytes -= w.bytes
		gone = append(gone, w)
		return true
	})
	return gone
}

// Release closes the instances that wait with a memory which comes from the image, or from which the image comes: nobody will
// go on from it soon.
func (m *Module) Release(ctx context.Context, image *Image) {
	if image == nil {
		return
	}
	for _, w := range m.store.drop(func(w *warm) bool { return w.holds.origin == image.origin }) {
		w.close(ctx)
	}
}

// Kept tells how many instances of modules wait for a message, and about how much memory they take.
func (h *Host) Kept() (instances int, bytes int64) {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	return len(h.store.waiting), h.store.bytes
}
