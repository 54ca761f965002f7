package cuda

import (
	"fmt"

	"verbatim/kernels"
)

// kv is a session's keys and values: pages of kernels.SplitPositions positions of all layers, as src/kv.cuh draws them. CopyKV
// lets KVs share a page: nobody writes to a page that is shared, and who wants to takes a copy of its own first.
//
// The table of page addresses lies in device memory, so that a launch need not change when a page is added.
type kv struct {
	shape kernels.KVShape
	table uint64 // device address of the page addresses, by split; stays
	pages []*page
}

func (c *kv) PositionsMax() int { return c.shape.PositionsMax }

// headDimMax is the longest head that the kernels of attention have room for.
const headDimMax = 256

// headBytes is the length of a layer's keys and values of one head in a page: head_bytes in src/kv.cuh.
func headBytes(headDim int) int {
	return (ceilDiv(headDim, 8)*8 + headDim) * kernels.SplitPositions * 2
}

// layerBytes is the length of a layer in a page.
func (c *kv) layerBytes() int { return c.shape.KVHeads * headBytes(c.shape.HeadDim) }

// pageBytes is the length of a page.
func (c *kv) pageBytes() int { return c.shape.Layers * c.layerBytes() }

// splitsOf is the number of splits that the first positions lie in.
func splitsOf(positions int) int { return ceilDiv(positions, kernels.SplitPositions) }

// NewKV returns an empty KV. It takes memory for the table of pages only.
func (b *Backend) NewKV(shape kernels.KVShape) (kernels.KV, error) {
	if shape.Layers <= 0 || shape.KVHeads <= 0 || shape.HeadDim <= 0 || shape.PositionsMax <= 0 {
		return nil, fmt.Errorf("make a KV cache: %+v", shape)
	}
	if shape.HeadDim > headDimMax {
		return nil, fmt.Errorf("make a KV cache: heads of %d elements, at most %d", shape.HeadDim, headDimMax)
	}
	splits := splitsOf(shape.PositionsMax)
	table, err := b.allocate(8 * splits)
	if err != nil {
		return nil, fmt.Errorf("make a KV cache of %d positions: %w", shape.PositionsMax, err)
	}
	return &kv{shape: shape, table: table, pages: make([]*page, splits)}, nil
}

// Reserve gives dst pages of its own for the positions, so that storing there cannot fail. What it held at later positions is
// lost. When there is no memory, it keeps what it had.
func (b *Backend) Reserve(dst kernels.KV, first, positions int) error {
	c := dst.(*kv)
	c.admit(first, positions)
	if b.dead != nil {
		return b.dead
	}
	if positions > 0 {
		for split := first / kernels.SplitPositions; split < splitsOf(first+positions); split++ {
			if err := b.own(c, split); err != nil {
				return fmt.Errorf("reserve positions %d to %d: %w", first, first+positions-1, err)
			}
		}
	}
	b.cut(c, first+positions)
	return nil
}

// cut gives back the pages behind the first positions.
func (b *Backend) cut(c *kv, positions int) {
	for split := splitsOf(positions); split < len(c.pages); split++ {
		b.put(c.pages[split])
		c.pages[split] = nil
	}
}

// own makes the page of a split one that no other KV shares.
func (b *Backend) own(c *kv, split int) error {
	before := c.pages[split]
	if before != nil && before.holders == 1 {
		return nil
	}
	p, err := b.take(c.pageBytes())
	if err != nil {
		return err
	}
	if before != nil {
		b.copyDevice(p.address, before.address, c.pageBytes())
		b.put(before)
	}
	b.setPage(c, split, p)
	return nil
}

// setPage enters a page in the table, on the card as well.
func (b *Backend) setPage(c *kv, split int, p *page) {
	c.pages[split] = p
	b.upload(c.table+8*uint64(split), bytesOf([]uint64{p.address}))
}

// admit panics for positions that a KV cannot have.
func (c *kv) admit(first, positions int) {
	if first < 0 || positions < 0 || first+positions > c.shape.PositionsMax {
		panic(fmt.Sprintf("cuda: internal error: positions %d to %d of at most %d", first, first+positions, c.shape.PositionsMax))
	}
}

// storeKVArgs is StoreKVArgs in src/store_kv.cu.
type storeKVArgs struct {
	rows, k, v  uint64
	layerOffset int64
	kvHeads     int32
	headDim     int32
}

const storeThreads = 256

// ropeStoreKVArgs is RopeStoreArgs in src/store_kv.cu.
type ropeStoreKVArgs struct {
	rows             uint64
	x                [3]uint64 // queries, keys, values
	cosSin           uint64
	layerOffset      int64
	heads            [2]int32
	headDim, rotated int32
}

// StoreKV keeps keys and values, section 8 of SPEC.md.
func (b *Backend) StoreKV(layer int, k, v kernels.Buffer, spans []kernels.Span) {
	if b.failing() || len(spans) == 0 {
		return
	}
	c := spans[0].KV.(*kv)
	rope, rotates := b.takeRope(k, c, spans) // before pages are recorded
	for _, span := range spans {
		c := span.KV.(*kv)
		c.admit(span.Position, span.Rows)
		for split := span.Position / kernels.SplitPositions; split < splitsOf(span.Position+span.Rows); split++ {
			if err := b.own(c, split); err != nil {
				b.fail(fmt.Errorf("store positions %d to %d: %w", span.Position, span.Position+span.Rows-1, err))
				return
			}
		}
	}
	layerOffset := int64(layer * c.layerBytes())
	rows, count := b.rows(spans)
	if count == 0 {
		return
	}
	if rotates {
		pairs := int(max(rope.heads[0], rope.heads[1])) * c.shape.HeadDim / 2
		launch(b, b.attention.ropeStoreKV, [3]int{count, ceilDiv(pairs, storeThreads), 3}, storeThreads, 0, ropeStoreKVArgs{
			rows: rows, x: [3]uint64{rope.x[0], rope.x[1], addressOf(v)}, cosSin: rope.cosSin, layerOffset: layerOffset,
			heads: rope.heads, headDim: rope.headDim, rotated: rope.rotated,
		})
		return
	}
	launch(b, b.attention.storeKV, [3]int{ceilDiv(c.shape.KVHeads*c.shape.HeadDim, storeThreads), count, 1}, storeThreads, 0, storeKVArgs{
		rows: rows, k: addressOf(k), v: addressOf(v), layerOffset: layerOffset,
		kvHeads: int32(c.shape.KVHeads), headDim: int32(c.shape.HeadDim),
	})
}

// takeRope takes back the launch just before, if it rotates these keys and the queries of the same rows: the launch that keeps
// them does it then.
func (b *Backend) takeRope(k kernels.Buffer, c *kv, spans []kernels.Span) (ropeArgs, bool) {
	end := &spans[len(spans)-1]
	args, command := last[ropeArgs](b, b.small.rope)
	if command == nil || command.grid[2] != 2 || args.x[1] != addressOf(k) || int(command.grid[0]) != end.Row+end.Rows ||
		int(args.heads[1]) != c.shape.KVHeads || int(args.headDim) != c.shape.HeadDim || c.shape.HeadDim%2 != 0 {
		return ropeArgs{}, false
	}
	taken := *args
	b.dropLast()
	return taken, true
}

// CopyKV shares whole pages where both firsts begin one, and copies position by position elsewhere.
func (b *Backend) CopyKV(dst, src kernels.KV, dstFirst, srcFirst, positions int) {
	to, from := dst.(*kv), src.(*kv)
	to.admit(dstFirst, positions)
	if b.failing() {
		return
	}
	if dstFirst%kernels.SplitPositions == 0 && srcFirst%kernels.SplitPositions == 0 {
		for i := range splitsOf(positions) {
			b.share(to, dstFirst/kernels.SplitPositions+i, from.pages[srcFirst/kernels.SplitPositions+i])
		}
		b.cut(to, dstFirst+positions)
		return
	}
	for done := 0; done < positions; {
		n := min(positions-done, kernels.SplitPositions)
		kept := b.need(&b.attention.kept, 2*n*from.shape.PositionElements())
		b.move(b.attention.gatherKV, from, kept, srcFirst+done, n)
		if !b.scatter(to, kept, dstFirst+done, n) {
			return
		}
		done += n
	}
	b.cut(to, dstFirst+positions)
}

// share enters a page that another KV has.
func (b *Backend) share(c *kv, split int, p *page) {
	if p == c.pages[split] {
		return
	}
	p.holders++
	b.put(c.pages[split])
	b.setPage(c, split, p)
}

// scatter writes kept to positions that it makes c's own; false after a failure.
func (b *Backend) scatter(c *kv, kept uint64, first, positions int) bool {
	for split := first / kernels.SplitPositions; split < splitsOf(first+positions); split++ {
		if err := b.own(c, split); err != nil {
			b.fail(fmt.Errorf("write positions %d to %d: %w", first, first+positions-1, err))
			return false
		}
	}
	b.move(b.attention.scatterKV, c, kept, first, positions)
	return true
}

// moveKVArgs is MoveKVArgs in src/copy_kv.cu.
type moveKVArgs struct {
	pages, kept              uint64
	first, positions, layers int32
	kvHeads, headDim         int32
	_                        int32
}

// move copies positions between c and kept, (layers, 2, positions, kvHeads, headDim).
func (b *Backend) move(k *kernel, c *kv, kept uint64, first, positions int) {
	s := &c.shape
	launch(b, k, [3]int{ceilDiv(positions*s.KVHeads*s.HeadDim, storeThreads), 2, s.Layers}, storeThreads, 0, moveKVArgs{
		pages: c.table, kept: kept, first: int32(first), positions: int32(positions),
		layers: int32(s.Layers), kvHeads: int32(s.KVHeads), headDim: int32(s.HeadDim),
	})
}

// ReadKV gathers a page's worth of positions at a time in the order of dst.
func (b *Backend) ReadKV(dst []uint16, src kernels.KV, first, positions int) error {
	c := src.(*kv)
	width := c.shape.KVHeads * c.shape.HeadDim
	for done := 0; done < positions; {
		n := min(positions-done, kernels.SplitPositions)
		part := make([]uint16, n*c.shape.PositionElements())
		kept := b.need(&b.attention.kept, 2*len(part))
		if kept == 0 {
			return b.flush()
		}
		b.move(b.attention.gatherKV, c, kept, first+done, n)
		if err := b.download(bytesOf(part), kept); err != nil {
			return fmt.Errorf("read positions %d to %d: %w", first, first+positions-1, err)
		}
		for half := range 2 * c.shape.Layers {
			copy(dst[(half*positions+done)*width:][:n*width], part[half*n*width:])
		}
		done += n
	}
	return nil
}

// WriteKV is the inverse of ReadKV.
func (b *Backend) WriteKV(dst kernels.KV, src []uint16, first, positions int) {
	c := dst.(*kv)
	c.admit(first, positions)
	if b.failing() {
		return
	}
	width := c.shape.KVHeads * c.shape.HeadDim
	for done := 0; done < positions; {
		n := min(positions-done, kernels.SplitPositions)
		kept := b.need(&b.attention.kept, 2*n*c.shape.PositionElements())
		for half := range 2 * c.shape.Layers {
			b.upload(kept+uint64(2*half*n*width), bytesOf(src[(half*positions+done)*width:][:n*width]))
		}
		if !b.scatter(c, kept, first+done, n) {
			return
		}
		done += n
	}
	b.cut(c, first+positions)
}
