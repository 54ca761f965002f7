package dataitem

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"verbatim/cu/ao"
)

// A bundle is a count, then for each item its size and ID, then the items. Numbers are 32 bytes, little-endian.
const (
	bundleNumberBytes = 32
	bundleEntryBytes  = bundleNumberBytes + ao.IDBytes
)

// ParseBundle reads a bundle that fills raw. It checks the form of the items and their IDs, not their signatures.
func ParseBundle(raw []byte) ([]*Item, error) {
	r := reader{rest: raw}
	count := r.number("item count")
	if r.err == nil && count > uint64(len(r.rest)/bundleEntryBytes) {
		r.err = fmt.Errorf("%w: bundle of %d items in %d bytes", ErrFormat, count, len(raw))
	}
	entries := reader{rest: r.bytes("bundle header", int(count)*bundleEntryBytes)}
	if r.err != nil {
		return nil, r.err
	}
	items := make([]*Item, 0, count)
	for i := uint64(0); i < count; i++ {
		size, id := entries.number("item size"), entries.bytes("item id", ao.IDBytes)
		if entries.err == nil && size > uint64(len(r.rest)) {
			entries.err = fmt.Errorf("%w: bundle item %d of %d bytes, %d left", ErrFormat, i, size, len(r.rest))
		}
		if entries.err != nil {
			return nil, entries.err
		}
		item, err := Parse(r.bytes("item", int(size)))
		if err != nil {
			return nil, fmt.Errorf("bundle item %d: %w", i, err)
		}
		if item.ID() != ao.ID(id) {
			return nil, fmt.Errorf("%w: bundle item %d is %s, header says %s", ErrFormat, i, item.ID(), ao.ID(id))
		}
		items = append(items, item)
	}
	if len(r.rest) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after the last item of the bundle", ErrFormat, len(r.rest))
	}
	return items, nil
}

// Bundle gives the encoding of items as a bundle.
func Bundle(items []*Item) []byte {
	to := appendNumber(nil, len(items))
	var bodies []byte
	for _, item := range items {
		body, id := item.Bytes(), item.ID()
		to = append(appendNumber(to, len(body)), id[:]...)
		bodies = append(bodies, body...)
	}
	return append(to, bodies...)
}

func appendNumber(to []byte, value int) []byte {
	to = binary.LittleEndian.AppendUint64(to, uint64(value))
	return append(to, make([]byte, bundleNumberBytes-8)...)
}

func (r *reader) number(what string) uint64 {
	raw := r.bytes(what, bundleNumberBytes)
	if r.err != nil {
		return 0
	}
	if len(bytes.Trim(raw[8:], "\x00")) != 0 {
		r.err = fmt.Errorf("%w: %s of 2^64 or more", ErrFormat, what)
		return 0
	}
	return binary.LittleEndian.Uint64(raw)
}
