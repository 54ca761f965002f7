package cuda

import (
	"bytes"
	"math/bits"
	"strconv"
	"unsafe"

	"verbatim/kernels"
	"verbatim/kernels/canon"
)

// attentionState is what attention keeps.
type attentionState struct {
	storeKV, ropeStoreKV, gatherKV, scatterKV *kernel

	attend     map[attendForm]*kernel
	attendTile map[int]*kernel // by length of a head; 0: any
	combine    *kernel

	pool       pool
	kept       scratch // positions on their way
	partials   scratch // o, (rows, heads, slots, stride)
	sums       scratch // m and l, (rows, heads, slots)
	tiles      scratch
	tilesThere []byte
	plan       []tile
	waves      []wave
}

// attendForm names a kernel of src/attend.cuh.
type attendForm struct {
	heads   int // query heads of a block
	headDim int // 0: any
}

func (s *attentionState) find(f finder) {
	s.ropeStoreKV = f.find("rope_store_kv")
	s.storeKV, s.gatherKV, s.scatterKV = f.find("store_kv"), f.find("gather_kv"), f.find("scatter_kv")
	s.combine = f.find("combine_attention")
	s.attend, s.attendTile = map[attendForm]*kernel{}, map[int]*kernel{}
	for headDim, name := range map[int]string{0: "any", 64: "64", 128: "128"} {
		for _, heads := range []int{1, 2, 4, 8} {
			s.attend[attendForm{heads, headDim}] = f.find("attend_" + strconv.Itoa(heads) + "_" + name)
		}
		s.attendTile[headDim] = f.find("attend_tile_" + name)
	}
}

// Sizes that shape the work. They change the speed only.
const (
	partialBytesMax = 64 << 20 // of partial results between the two kernels, unless one row has more
	queriesMax      = 8        // of a block that stands for one row
	tileQueriesMax  = 64       // of a block that stands for several: src/attend_tile.cuh has the same number
	tileQueriesMin  = 16       // of a span that gets such blocks
	attendThreads   = 128
)

// tile is Tile in src/attention.cuh.
type tile struct{ row, rows, head, heads int32 }

// wave is consecutive rows of a batch whose partial results are in memory at once: one launch, and one that combines.
type wave struct {
	first, rows  int // of the batch
	tiles, count int // its tiles in the plan; none: every row stands alone
	splitsMax    int // that a row or a tile sees
}

// attentionArgs is AttentionArgs in src/attention.cuh.
type attentionArgs struct {
	rows, tiles, q, o, ml   uint64
	layerOffset             int64
	heads, kvHeads, headDim int32
	stride, slots           int32
	scale                   float32
}

// combineArgs is CombineArgs in src/attention_combine.cu.
type combineArgs struct {
	rows, out, o, ml              uint64
	codes                         codes // of out; 0: not wanted
	heads, headDim, stride, slots int32
}

// Attention is section 8 of SPEC.md.
func (b *Backend) Attention(dst, q kernels.Buffer, layer, heads int, spans []kernels.Span) {
	if b.failing() || len(spans) == 0 {
		return
	}
	s := &b.attention
	c := spans[0].KV.(*kv)
	rows, count := b.rows(spans)
	if count == 0 {
		return
	}
	args := attentionArgs{
		layerOffset: int64(layer * c.layerBytes()),
		heads:       int32(heads), kvHeads: int32(c.shape.KVHeads), headDim: int32(c.shape.HeadDim),
		stride: int32(ceilDiv(c.shape.HeadDim, 4) * 4),
		scale:  1 / canon.Sqrt(float32(c.shape.HeadDim)),
	}
	s.compose(spans, heads, int(args.stride))
	args.tiles = b.uploadTiles()
	for _, w := range s.waves {
		args.slots = int32(w.slots(w.splitsMax))
		partials := w.rows * heads * int(args.slots)
		args.o = b.need(&s.partials, 4*partials*int(args.stride))
		args.ml = b.need(&s.sums, 8*partials)
		width := uint64(4 * heads * c.shape.HeadDim)
		args.rows = rows + uint64(w.first)*uint64(unsafe.Sizeof(row{}))
		args.q = addressOf(q) + uint64(w.first)*width
		b.attendWave(w, args)
		launch(b, s.combine, [3]int{ceilDiv(heads*c.shape.HeadDim, kernels.SegmentElements), w.rows, 1}, kernels.SegmentElements, 0, combineArgs{
			rows: args.rows, out: addressOf(dst) + uint64(w.first)*width, o: args.o, ml: args.ml,
			heads: args.heads, headDim: args.headDim, stride: args.stride, slots: args.slots,
		})
	}
}

// attendWave records the launch that makes a wave's partial results.
func (b *Backend) attendWave(w wave, args attentionArgs) {
	s := &b.attention
	heads, kvHeads, headDim := int(args.heads), int(args.kvHeads), int(args.headDim)
	form := attendForm{queriesMax, headDim}
	if s.attendTile[headDim] == nil {
		form.headDim = 0
	}
	if w.count > 0 {
		tiled := args
		tiled.tiles += uint64(w.tiles) * uint64(unsafe.Sizeof(tile{}))
		launch(b, s.attendTile[form.headDim], [3]int{int(args.slots), kvHeads, w.count}, attendThreads, 0, tiled)
	} else {
		group := heads / kvHeads
		for form.heads/2 >= group {
			form.heads /= 2
		}
		launch(b, s.attend[form], [3]int{int(args.slots), kvHeads * ceilDiv(group, form.heads), w.rows}, attendThreads, 0, args)
	}
}

// slots is the room for the partial results of a head. Where rows stand alone it is rounded up to a power of two, so that a
// session's launches stay the same for as many steps as it has taken, and can be replayed.
func (w *wave) slots(splits int) int {
	if w.count > 0 {
		return splits
	}
	return 1 << bits.Len(uint(splits-1))
}

// compose cuts a batch into waves, and rows that share keys and values into tiles.
func (s *attentionState) compose(spans []kernels.Span, heads, stride int) {
	s.plan, s.waves = s.plan[:0], s.waves[:0]
	group := heads / spans[0].KV.(*kv).shape.KVHeads
	for i := range spans {
		span := &spans[i]
		if span.Rows*group < tileQueriesMin || span.Rows == 1 {
			for r := range span.Rows {
				s.add(span, r, 1, heads, stride, nil)
			}
			continue
		}
		for r := 0; r < span.Rows; {
			rows := min(max(1, tileQueriesMax/group), span.Rows-r)
			s.add(span, r, rows, heads, stride, s.cut(span.Row+r, rows, group))
			r += rows
		}
	}
}

// cut makes the tiles of some rows: one, unless a group has more heads than a tile has queries.
func (s *attentionState) cut(row, rows, group int) []tile {
	first := len(s.plan)
	for head := 0; head < group; head += tileQueriesMax {
		s.plan = append(s.plan, tile{int32(row), int32(rows), int32(head), int32(min(group-head, tileQueriesMax))})
	}
	return s.plan[first:]
}

// add puts rows of a span, all of them in tiles or none, into the last wave, or the first of a new one.
func (s *attentionState) add(span *kernels.Span, first, rows, heads, stride int, tiles []tile) {
	c := span.KV.(*kv)
	c.admit(span.Position, span.Rows)
	position := span.Position + first
	splits := (position+rows-1)/kernels.SplitPositions - c.shape.FirstSeen(position)/kernels.SplitPositions + 1
	at := span.Row + first
	if n := len(s.waves); n > 0 {
		w := &s.waves[n-1]
		all := at + rows - w.first
		slots := w.slots(max(w.splitsMax, splits))
		if (w.count > 0) == (len(tiles) > 0) && 4*all*heads*slots*stride <= partialBytesMax {
			w.rows, w.splitsMax = all, max(w.splitsMax, splits)
			w.count += len(tiles)
			s.place(tiles, w.first)
			return
		}
	}
	s.waves = append(s.waves, wave{first: at, rows: rows, tiles: len(s.plan) - len(tiles), count: len(tiles), splitsMax: splits})
	s.place(tiles, at)
}

// place counts the rows of tiles from their wave's first row on.
func (s *attentionState) place(tiles []tile, first int) {
	for i := range tiles {
		tiles[i].row -= int32(first)
	}
}

// uploadTiles gives the device address of the plan, which the layers of a pass share.
func (b *Backend) uploadTiles() uint64 {
	s := &b.attention
	if len(s.plan) == 0 {
		return 0
	}
	text := unsafe.Slice((*byte)(unsafe.Pointer(&s.plan[0])), len(s.plan)*int(unsafe.Sizeof(tile{})))
	before := s.tiles.address
	address := b.need(&s.tiles, len(text))
	if address != 0 && (address != before || !bytes.Equal(text, s.tilesThere)) {
		b.upload(address, text)
		s.tilesThere = append(s.tilesThere[:0], text...)
	}
	return address
}
