package cuda

import "unsafe"

// fetched is what download has in staging, and what it expects to be asked for. A step of many sequences reads the states and
// logits of each by itself; waiting for each by itself would take as long as the step. So what was read after the last commands
// is brought in one go when reading begins there again.
type fetched struct {
	there    []extent // in staging one after the other, until the next command
	seen     []extent // read since the last command
	expected []extent // read the time before
}

// extent is a piece of device memory.
type extent struct {
	address uint64
	bytes   int
}

const extentsMax = 8 // that are remembered; neighbours are one

// begin says that commands follow: what is in staging will be old.
func (f *fetched) begin() {
	f.there = f.there[:0]
	if len(f.seen) > 0 {
		f.expected, f.seen = f.seen, f.expected[:0]
	}
}

// saw remembers a read.
func (f *fetched) saw(from uint64, n int) {
	if last := len(f.seen) - 1; last >= 0 && f.seen[last].address+uint64(f.seen[last].bytes) == from {
		f.seen[last].bytes += n
	} else if len(f.seen) < extentsMax {
		f.seen = append(f.seen, extent{from, n})
	}
}

// find gives the place in staging.
func (f *fetched) find(from uint64, n int) (at int, ok bool) {
	for _, e := range f.there {
		if e.has(from, n) {
			return at + int(from-e.address), true
		}
		at += e.bytes
	}
	return 0, false
}

func (e extent) has(from uint64, n int) bool {
	return from >= e.address && from+uint64(n) <= e.address+uint64(e.bytes)
}

// plan makes there what is wanted now and what is expected to be wanted next, at most most bytes; n is not more.
func (f *fetched) plan(from uint64, n, most int) {
	f.there = append(f.there[:0], extent{from, n})
	most -= n
	for i, e := range f.expected {
		if !e.has(from, n) {
			continue
		}
		more := min(int(e.address+uint64(e.bytes)-from)-n, most)
		f.there[0].bytes += more
		most -= more
		for _, next := range f.expected[i+1:] {
			if next.bytes = min(next.bytes, most); next.bytes > 0 {
				f.there = append(f.there, next)
				most -= next.bytes
			}
		}
		return
	}
}

// fetch brings n bytes of device memory to staging, which has room for them, and says where they are. The context is current.
// What is copied out through staging comes after what is copied in from there, in the order of the stream.
func (b *Backend) fetch(from uint64, n int) (at int, err error) {
	f := &b.fetched
	f.saw(from, n)
	if at, ok := f.find(from, n); ok {
		return at, nil
	}
	f.plan(from, n, b.staging.bytes)
	to := b.staging.base
	for _, e := range f.there {
		if err := b.driver.copyOut(to, e.address, e.bytes, b.stream); err != nil {
			f.there = f.there[:0]
			return 0, b.failed(err)
		}
		to = unsafe.Add(to, e.bytes)
	}
	if err := b.wait(); err != nil {
		f.there = f.there[:0]
		return 0, err
	}
	return 0, nil
}
