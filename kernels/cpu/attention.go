package cpu

import (
	"math"
	"unsafe"

	"verbatim/kernels"
	"verbatim/kernels/canon"
)

// queriesMax is the number of query heads that a function handles at once. The generator has the same number.
const queriesMax = 4

// Sizes that shape the work of attention. They change the speed only.
const (
	partialsMax  = 256 << 10 // elements of partial results kept between the two phases
	blockRowsMax = 16        // rows that one item attends for
)

// attend is the task of an Attention. Rows are taken in waves. A wave has three phases: the queries, an item a row, the
// splits, an item a split of a key-value head and a block of rows, and their sums, an item a row.
type attend struct {
	level     *level
	heads     int
	kvHeads   int
	headDim   int
	padded    int
	layer     int
	splitsMax int // of the wave
	spans     []kernels.Span
	dst, q    []float32
	blocks    []rowBlock
	rows      int // of the wave
	phase     attendPhase
	queries   []float32   // scaled queries, (rows, heads, headDim), interleaved within groups of heads
	o         []float32   // (rows, heads, splitsMax, padded)
	m, l      []float32   // (rows, heads, splitsMax)
	workers   [][]float32 // scores, and then the results of softmax
}

type attendPhase int

const (
	scaling attendPhase = iota
	splitting
	summing
)

// rowBlock is consecutive rows of one span.
type rowBlock struct {
	span        *kernels.Span
	first, rows int // within the span
	wave        int // number of its first row in the wave
	split       int // the first that its rows see
	splits      int // from there on
	item        int // its first item
}

func (a *attend) init(threads int) {
	a.workers = make([][]float32, threads)
	for i := range a.workers {
		a.workers[i] = make([]float32, queriesMax*kernels.SplitPositions+2*queriesMax)
	}
}

// splitsAt is the number of splits that a query at a position sees.
func splitsAt(position int) int { return position/kernels.SplitPositions + 1 }

// Attention is section 8 of SPEC.md.
func (b *Backend) Attention(dst, q kernels.Buffer, layer, heads int, spans []kernels.Span) {
	a := &b.attend
	a.dst, a.q, a.layer, a.heads, a.spans = dst.(*buffer).x, q.(*buffer).x, layer, heads, spans
	if len(spans) == 0 {
		return
	}
	c := spans[0].KV.(*kv)
	a.kvHeads, a.headDim, a.padded = c.shape.KVHeads, c.shape.HeadDim, c.padded
	a.start()
	for i := range spans {
		span := &spans[i]
		for row := 0; row < span.Rows; {
			n := min(blockRowsMax, span.Rows-row)
			split := span.KV.(*kv).shape.FirstSeen(span.Position+row) / kernels.SplitPositions
			splits := splitsAt(span.Position+row+n-1) - split
			// A wave takes a block if its partial results fit, and always the first row.
			size := a.heads * max(a.splitsMax, splits) * a.padded
			n = min(n, partialsMax/size-a.rows)
			if n <= 0 && a.rows > 0 {
				a.wave(b.pool)
				continue
			}
			n = max(n, 1)
			splits = splitsAt(span.Position+row+n-1) - split
			a.blocks = append(a.blocks, rowBlock{span: span, first: row, rows: n, wave: a.rows, split: split, splits: splits})
			a.rows += n
			a.splitsMax = max(a.splitsMax, splits)
			row += n
		}
	}
	a.wave(b.pool)
}

// start empties the wave.
func (a *attend) start() {
	a.blocks, a.rows, a.splitsMax = a.blocks[:0], 0, 0
}

// wave computes the rows that were gathered.
func (a *attend) wave(p *pool) {
	items := 0
	for i := range a.blocks {
		a.blocks[i].item = items
		items += a.blocks[i].splits * a.kvHeads
	}
	n := a.rows * a.heads
	a.queries = resize(a.queries, n*a.headDim)
	a.o = resize(a.o, n*a.splitsMax*a.padded)
	a.m, a.l = resize(a.m, n*a.splitsMax), resize(a.l, n*a.splitsMax)
	for phase, items := range [...]int{scaling: a.rows, splitting: items, summing: a.rows} {
		a.phase = attendPhase(phase)
		p.run(a, items)
	}
	a.start()
}

// groupsOf calls f for each group of query heads that share a key-value head.
func (a *attend) groupsOf(kvHead int, f func(head, n int)) {
	share := a.heads / a.kvHeads
	for first := 0; first < share; first += queriesMax {
		f(kvHead*share+first, min(queriesMax, share-first))
	}
}

// scaleRow fills a row of queries: a group of n heads that begins at head h has element i of head h+g at h*headDim + i*n + g.
func (a *attend) scaleRow(row int) {
	block, inSpan := a.blockOf(row)
	scale := 1 / canon.Sqrt(float32(a.headDim))
	width := a.heads * a.headDim
	from := a.q[(block.span.Row+inSpan)*width:][:width]
	to := a.queries[row*width:][:width]
	for kvHead := range a.kvHeads {
		a.groupsOf(kvHead, func(head, n int) {
			interleave(to[head*a.headDim:][:n*a.headDim], from[head*a.headDim:][:n*a.headDim], n, scale)
		})
	}
}

// blockOf is the block that a row of the wave is in, and the row's number in the span.
func (a *attend) blockOf(row int) (block *rowBlock, inSpan int) {
	i := len(a.blocks) - 1
	for a.blocks[i].wave > row {
		i--
	}
	block = &a.blocks[i]
	return block, block.first + row - block.wave
}

// interleave multiplies n vectors by scale and writes their first elements, then their second ones, and so on.
func interleave(to, from []float32, n int, scale float32) {
	size := len(from) / n
	if n == 4 {
		x0, x1, x2, x3 := from[:size], from[size:][:size], from[2*size:][:size], from[3*size:][:size]
		for i := range size {
			y := (*[4]float32)(to[4*i:])
			y[0], y[1], y[2], y[3] = float32(x0[i]*scale), float32(x1[i]*scale), float32(x2[i]*scale), float32(x3[i]*scale)
		}
		return
	}
	for g := range n {
		for i, v := range from[g*size:][:size] {
			to[i*n+g] = float32(v * scale)
		}
	}
}

// run computes one item of a phase.
func (a *attend) run(item, worker int) {
	switch a.phase {
	case scaling:
		a.scaleRow(item)
	case splitting:
		a.splitItem(item, worker)
	case summing:
		a.sumRow(item)
	}
}

// splitItem attends for a block of rows to a split of a key-value head.
func (a *attend) splitItem(item, worker int) {
	i := len(a.blocks) - 1
	for a.blocks[i].item > item {
		i--
	}
	block := &a.blocks[i]
	item -= block.item
	kvHead, split := item/block.splits, item%block.splits
	c := block.span.KV.(*kv)
	begin := (block.split + split) * kernels.SplitPositions
	pg := c.pages[a.layer*a.kvHeads+kvHead][block.split+split]
	// Decoding reads each page once, and pages lie anywhere: ask for the values while the scores are computed, and for the keys
	// of this worker's next item while the values are summed.
	var far, next []uint16
	if block.rows == 1 {
		far = pg.values
		if item++; item < block.splits*a.kvHeads {
			next = c.pages[a.layer*a.kvHeads+item/block.splits][block.split+item%block.splits].keys
		}
	}
	for row := range block.rows {
		position := block.span.Position + block.first + row
		seen, unseen := position+1-begin, c.shape.FirstSeen(position)-begin
		if seen <= 0 || unseen >= kernels.SplitPositions {
			continue
		}
		share := a.heads / a.kvHeads
		for first := 0; first < share; first += queriesMax {
			a.split(pg, block.wave+row, kvHead*share+first, min(queriesMax, share-first), split,
				max(unseen, 0), min(seen, kernels.SplitPositions), a.workers[worker], far, next)
			far, next = nil, nil
		}
	}
}

// split attends for heads head..head+queries-1 of a row of the wave to the first n positions of a page, but for the first
// unseen ones. It asks for far, and then for next.
func (a *attend) split(pg page, row, head, queries, split, unseen, n int, e []float32, far, next []uint16) {
	q := a.queries[(row*a.heads+head)*a.headDim:]
	a.level.scorePage(e, pg.keys, q, queries, n, a.headDim, far)
	first := (row*a.heads + head) * a.splitsMax
	a.softmax(e, queries, unseen, n, first+split)
	a.level.sumPage(a.o[(first+split)*a.padded:], a.splitsMax*a.padded, pg.values[unseen*a.padded:], e[unseen:], queries, n-unseen, a.padded, next)
}

// softmax replaces the scores of a split by their weights and keeps the largest and the sums, those of the first query at
// index.
func (a *attend) softmax(e []float32, queries, unseen, n, index int) {
	f := a.level.softmaxes[queries-1]
	whole := (n + canon.Lanes - 1) / canon.Lanes * canon.Lanes
	for g := range queries {
		scores := e[g*kernels.SplitPositions:][:kernels.SplitPositions]
		hide(scores[:unseen])
		if f != nil {
			hide(scores[n:whole])
		} else {
			a.m[index+g*a.splitsMax], a.l[index+g*a.splitsMax] = a.level.softmaxVector(scores, n)
		}
	}
	if f != nil {
		ml := e[queriesMax*kernels.SplitPositions:]
		f(&e[0], uint64(whole), &ml[0])
		for g := range queries {
			a.m[index+g*a.splitsMax], a.l[index+g*a.splitsMax] = ml[g], ml[queriesMax+g]
		}
	}
}

// hide makes scores such that they are not the largest and their exp is +0.
func hide(scores []float32) {
	for i := range scores {
		scores[i] = float32(math.Inf(-1))
	}
}

// sumRow combines the splits of a row of the wave, all heads.
func (a *attend) sumRow(row int) {
	block, inSpan := a.blockOf(row)
	position := block.span.Position + inSpan
	firstSplit := block.span.KV.(*kv).shape.FirstSeen(position) / kernels.SplitPositions
	splits := splitsAt(position) - firstSplit
	firstSplit -= block.split
	for head := range a.heads {
		first := (row*a.heads+head)*a.splitsMax + firstSplit
		out := a.dst[((block.span.Row+inSpan)*a.heads+head)*a.headDim:][:a.headDim]
		a.combine(out, first, splits)
	}
}

func (a *attend) combine(out []float32, first, splits int) {
	m := a.m[first]
	for _, v := range a.m[first+1 : first+splits] {
		if v > m {
			m = v
		}
	}
	clear(out)
	l := float32(0)
	for k := first; k < first+splits; k++ {
		w := float32(1) // exp(0)
		if d := a.m[k] - m; d != 0 {
			w = canon.Exp(d)
		}
		l = canon.FMA(a.l[k], w, l)
		a.level.accumulateVector(out, a.o[k*a.padded:][:len(out)], w)
	}
	a.level.scaleVector(out, out, 1/l)
}

// prefetchHalf asks for the keys or values of a page, if there are any.
func (l *level) prefetchHalf(half []uint16) {
	if l.prefetch != nil && len(half) > 0 {
		l.prefetch(bytesOf(&half[0]), uint64(2*len(half)))
	}
}

const pageRow = 2 * kernels.SplitPositions // bytes of one element's keys of a page

// scorePage writes the scores of at least n positions, (queries, SplitPositions). q is interleaved. It asks for far, which may
// be nil.
func (l *level) scorePage(scores []float32, keys []uint16, q []float32, queries, n, headDim int, far []uint16) {
	position := 0
	if l.far != nil && len(far) >= len(keys) {
		for ; n-position > farLanes-headLanes; position += farLanes {
			l.far.scores[queries-1](&scores[position], 4*kernels.SplitPositions, bytesOf(&keys[position]), pageRow, &q[0], uint64(headDim), bytesOf(&far[position]))
		}
	} else {
		l.prefetchHalf(far)
	}
	for _, f := range l.heads {
		for ; n-position > f.lanes-headLanes; position += f.lanes {
			f.scores[queries-1](&scores[position], 4*kernels.SplitPositions, bytesOf(&keys[position]), pageRow, &q[0], uint64(headDim))
		}
	}
	for ; position < n; position++ {
		for g := range queries {
			s := float32(0)
			for i := range headDim {
				s = canon.FMA(q[i*queries+g], canon.FromF16(keys[i*kernels.SplitPositions+position]), s)
			}
			scores[g*kernels.SplitPositions+position] = s
		}
	}
}

// sumPage writes the weighted values of n positions to o, one query after stride elements. It asks for far, which may be nil.
func (l *level) sumPage(o []float32, stride int, values []uint16, e []float32, queries, n, padded int, far []uint16) {
	element := 0
	if l.far != nil && len(far) >= n*padded {
		for ; padded-element >= farLanes; element += farLanes {
			l.far.values[queries-1](&o[element], uint64(4*stride), bytesOf(&values[element]), uint64(2*padded), &e[0], 4*kernels.SplitPositions, uint64(n), bytesOf(&far[element]))
		}
	} else {
		l.prefetchHalf(far)
	}
	for _, f := range l.heads {
		for ; padded-element >= f.lanes; element += f.lanes {
			f.values[queries-1](&o[element], uint64(4*stride), bytesOf(&values[element]), uint64(2*padded), &e[0], 4*kernels.SplitPositions, uint64(n))
		}
	}
	for ; element < padded; element++ {
		for g := range queries {
			s := float32(0)
			for j := range n {
				s = canon.FMA(e[g*kernels.SplitPositions+j], canon.FromF16(values[j*padded+element]), s)
			}
			o[g*stride+element] = s
		}
	}
}

func bytesOf(p *uint16) *byte { return (*byte)(unsafe.Pointer(p)) }

// softmaxVector finds the largest of the first n scores, replaces them by exp(score - m) and gives their strided sum.
// e has room for n rounded up to a multiple of 32.
func (l *level) softmaxVector(e []float32, n int) (m, sum float32) {
	if l.softmax != nil {
		whole := (n + canon.Lanes - 1) / canon.Lanes * canon.Lanes
		hide(e[n:whole])
		return l.softmax(&e[0], uint64(whole))
	}
	m = e[0]
	for _, v := range e[1:n] {
		if v > m {
			m = v
		}
	}
	for i := range n {
		e[i] = canon.Exp(e[i] - m)
	}
	return m, canon.StridedSum(e[:n])
}
