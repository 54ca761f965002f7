package cuda

import "slices"

// page is device memory for kernels.SplitPositions positions of a session, all layers.
type page struct {
	address uint64
	holders int // KVs that have it; 0: free
	slab    *slab
}

// slab is one allocation that was cut into pages.
type slab struct {
	address   uint64
	pageBytes int
	pages     []page
	used      int // pages that somebody holds
}

// slabBytes is what the driver's allocations are whole numbers of; larger pages are slabs of their own.
const slabBytes = 2 << 20

// pool has the pages of all KVs. Models have pages of different lengths.
type pool struct {
	slabs []*slab
	free  map[int][]*page // by length in bytes
}

// take gives a page that nobody has, with any content.
func (b *Backend) take(pageBytes int) (*page, error) {
	o := &b.attention.pool
	if len(o.free[pageBytes]) == 0 {
		if err := b.addSlab(pageBytes); err != nil {
			return nil, err
		}
	}
	last := len(o.free[pageBytes]) - 1
	p := o.free[pageBytes][last]
	o.free[pageBytes] = o.free[pageBytes][:last]
	p.holders = 1
	p.slab.used++
	return p, nil
}

// addSlab makes free pages.
func (b *Backend) addSlab(pageBytes int) error {
	count := max(1, slabBytes/pageBytes)
	address, err := b.allocate(count * pageBytes)
	if err != nil {
		return err
	}
	o := &b.attention.pool
	if o.free == nil {
		o.free = map[int][]*page{}
	}
	s := &slab{address: address, pageBytes: pageBytes, pages: make([]page, count)}
	o.slabs = append(o.slabs, s)
	for i := count - 1; i >= 0; i-- {
		s.pages[i] = page{address: address + uint64(i*pageBytes), slab: s}
		o.free[pageBytes] = append(o.free[pageBytes], &s.pages[i])
	}
	return nil
}

// put gives back a holder's part of a page, if there is one. What was recorded may still use it: whoever gets it next uses it
// later.
func (b *Backend) put(p *page) {
	if p == nil {
		return
	}
	if p.holders--; p.holders > 0 {
		return
	}
	p.slab.used--
	o := &b.attention.pool
	o.free[p.slab.pageBytes] = append(o.free[p.slab.pageBytes], p)
}

// trimPages retires the slabs that nobody has a page of, and says whether there were any.
func (b *Backend) trimPages() bool {
	o := &b.attention.pool
	before := len(o.slabs)
	for length, pages := range o.free {
		o.free[length] = slices.DeleteFunc(pages, func(p *page) bool { return p.slab.used == 0 })
	}
	o.slabs = slices.DeleteFunc(o.slabs, func(s *slab) bool {
		if s.used == 0 {
			b.retire(s.address)
		}
		return s.used == 0
	})
	return len(o.slabs) < before
}
