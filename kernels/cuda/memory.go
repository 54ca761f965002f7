package cuda

import (
	"fmt"
	"unsafe"

	"verbatim/kernels"
)

// memory counts what the backend holds on the card.
type memory struct {
	budget int64
	used   int64
	sizes  map[uint64]int64 // of live allocations, by address

	retired []uint64 // to be freed when what was recorded has run
}

// allocationBytes is what sizes of device memory are rounded up to, and what addresses are multiples of.
const allocationBytes = 256

// allocate gives device memory, with any content; the address is a multiple of allocationBytes. The error wraps
// kernels.ErrMemory when there is none left.
func (b *Backend) allocate(bytes int) (uint64, error) {
	size := int64(ceilDiv(max(bytes, 1), allocationBytes)) * allocationBytes
	m := &b.memory
	if m.used+size > m.budget {
		b.trimPages()
	}
	if m.used+size > m.budget && len(m.retired) > 0 {
		if err := b.flush(); err != nil {
			return 0, err
		}
	}
	if m.used+size > m.budget {
		return 0, fmt.Errorf("%w: %d bytes beside %d in use; the budget is %d", kernels.ErrMemory, size, m.used, m.budget)
	}
	leave, err := b.enter()
	defer leave()
	if err != nil {
		return 0, err
	}
	address, err := b.driver.allocate(int(size))
	if err != nil {
		return 0, b.scarce(err)
	}
	m.used += size
	m.sizes[address] = size
	return address, nil
}

// Memory implements kernels.Metered.
func (b *Backend) Memory() (used, budget int64) { return b.memory.used, b.memory.budget }

// retire frees memory as soon as what was recorded so far has run.
func (b *Backend) retire(address uint64) {
	if address != 0 {
		b.memory.retired = append(b.memory.retired, address)
	}
}

// releaseRetired frees what nothing uses any more: what was recorded has run. The context is current.
func (b *Backend) releaseRetired() error {
	m := &b.memory
	for len(m.retired) > 0 {
		last := len(m.retired) - 1
		address := m.retired[last]
		m.retired = m.retired[:last]
		b.fetched = fetched{} // what was read there cannot be read again
		m.used -= m.sizes[address]
		delete(m.sizes, address)
		if err := b.driver.free(address); err != nil {
			return b.failed(err)
		}
	}
	return nil
}

// scratch is device memory that an operator needs for the moment. It grows, and stays where it is otherwise.
type scratch struct {
	address uint64
	bytes   int
}

// need gives s at least bytes bytes, with any content, and returns its address; 0 after a failure, which Read reports.
func (b *Backend) need(s *scratch, bytes int) uint64 {
	if bytes <= s.bytes {
		return s.address
	}
	address, err := b.allocate(bytes)
	if err != nil {
		b.fail(fmt.Errorf("device scratch of %d bytes: %w", bytes, err))
		return 0
	}
	b.retire(s.address)
	s.address, s.bytes = address, bytes
	return address
}

// staging is pinned host memory through which bytes go to the card and come from it. It empties whenever all that was recorded
// has run, so that the same list of commands finds the same bytes at the same place.
type staging struct {
	base  unsafe.Pointer
	bytes int
	used  int
}

const stagingBytes = 16 << 20

// upload records a copy of src to device memory; src may change afterwards. Copies and fills are recorded after a failure too,
// so that what the host knows of device memory stays true; launches are not. Address 0, which need gives when there is no
// memory, is passed over.
func (b *Backend) upload(to uint64, src []byte) {
	for len(src) > 0 && to != 0 && b.dead == nil {
		s := &b.staging
		n := min(len(src), s.bytes-s.used)
		if n == 0 {
			if err := b.flush(); err != nil {
				b.fail(err)
			}
			continue
		}
		copy(unsafe.Slice((*byte)(s.base), s.bytes)[s.used:], src[:n])
		b.list.all = append(b.list.all, command{kind: copyIn, to: to, from: uint64(s.used), bytes: n})
		s.used = min(ceilDiv(s.used+n, 64)*64, s.bytes)
		to, src = to+uint64(n), src[n:]
	}
}

// copyDevice records a copy within device memory; the two do not overlap.
func (b *Backend) copyDevice(to, from uint64, bytes int) {
	if bytes > 0 && to != 0 && from != 0 {
		b.list.all = append(b.list.all, command{kind: copyWithin, to: to, from: from, bytes: bytes})
	}
}

// zero records that device memory becomes 0.
func (b *Backend) zero(address uint64, bytes int) {
	if bytes > 0 && address != 0 {
		b.list.all = append(b.list.all, command{kind: fillZero, to: address, bytes: bytes})
	}
}

// download runs all that was recorded and copies device memory to dst. It returns what failed since the last download.
func (b *Backend) download(dst []byte, from uint64) error {
	leave, err := b.enter()
	defer leave()
	if err == nil {
		err = b.submit()
	}
	if err == nil && len(dst) == 0 {
		err = b.wait() // staging is about to be used again
	}
	for err == nil && len(dst) > 0 {
		n := min(len(dst), b.staging.bytes)
		var at int
		if at, err = b.fetch(from, n); err == nil {
			copy(dst, unsafe.Slice((*byte)(b.staging.base), b.staging.bytes)[at:][:n])
		}
		dst, from = dst[n:], from+uint64(n)
	}
	return b.finish(err)
}

// bytesOf views numbers as bytes.
func bytesOf[T float32 | int32 | uint16 | uint32 | uint64 | int8](x []T) []byte {
	if len(x) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), len(x)*int(unsafe.Sizeof(x[0])))
}
