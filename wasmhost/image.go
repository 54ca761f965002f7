package wasmhost

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync/atomic"
)

// Image is a memory between two messages. It does not change; the image after a message shares with the one before all
// pages that the message left alone, so that keeping both costs the difference.
//
// The pages of 4 KiB are the leaves of a tree in which every node has 16 children: five levels cover 4 GiB. Pages and
// subtrees of zeros are nil. What a format keeps beside the memory (see ABI.md) follows it as it is.
type Image struct {
	root   *node
	size   int // bytes of linear memory, whole pages of 64 KiB
	tail   []byte
	origin *byte // the same for images that come from one another
	base   *node // root of the image that images of the module share with; nil: it shares with none
	own    int   // pages that are not the base's
	waited bool  // the message that left it waited for the host; only a hint
}

const (
	leafBytes  = 4096
	fanout     = 16
	treeLevels = 5 // 16^5 pages of 4 KiB are 4 GiB
)

// node is an inner node, or at the lowest level a page.
type node struct {
	children [fanout]*node
	page     *[leafBytes]byte
	editor   *byte                             // of an inner node: which editor may still change it
	digest   atomic.Pointer[[sha256.Size]byte] // nil until somebody asks
}

// ImageOf takes a memory as Bytes gives it: nil of nothing. The bytes are copied. Whether they are a memory of some module
// is found out when it is used.
func ImageOf(memory []byte) *Image {
	if len(memory) == 0 {
		return nil
	}
	linear := len(memory) &^ (pageBytes - 1)
	return (*Image)(nil).next(memory[:linear], memory[linear:])
}

// Bytes is the memory as Return.Memory gives it.
func (i *Image) Bytes() []byte {
	if i == nil {
		return nil
	}
	out := make([]byte, i.size, i.size+len(i.tail))
	i.root.each(treeLevels, 0, func(page int, p *[leafBytes]byte) { copy(out[page*leafBytes:], p[:]) })
	return append(out, i.tail...)
}

// Size is how many bytes Bytes has.
func (i *Image) Size() int {
	if i == nil {
		return 0
	}
	return i.size + len(i.tail)
}

// Digest commits to all of the image, as receipts do: section 3 of cu/receipt/FORMAT.md. It costs the pages that no image
// before it had hashed.
func (i *Image) Digest() [sha256.Size]byte {
	if i == nil {
		return sha256.Sum256([]byte("verbatim memory 1\n"))
	}
	h := hasher{hash: sha256.New()}
	h.zeros[0] = h.leaf(new([leafBytes]byte))
	for level := 1; level <= treeLevels; level++ {
		h.zeros[level] = h.inner(new(node), level)
	}
	root := h.sum(i.root, treeLevels)
	text := binary.LittleEndian.AppendUint64([]byte("verbatim memory 1\n"), uint64(i.size))
	return sha256.Sum256(append(append(text, root[:]...), i.tail...))
}

// hasher digests nodes; pages are at level 0. Zeros are the digests of trees of zeros.
type hasher struct {
	hash  hash.Hash
	zeros [treeLevels + 1][sha256.Size]byte
}

func (h *hasher) leaf(page *[leafBytes]byte) (out [sha256.Size]byte) {
	h.hash.Reset()
	h.hash.Write([]byte{0})
	h.hash.Write(page[:])
	h.hash.Sum(out[:0])
	return out
}

func (h *hasher) inner(n *node, level int) (out [sha256.Size]byte) {
	var text [1 + fanout*sha256.Size]byte
	text[0] = 1
	for i, child := range n.children {
		sum := h.sum(child, level-1)
		copy(text[1+i*sha256.Size:], sum[:])
	}
	return sha256.Sum256(text[:])
}

func (h *hasher) sum(n *node, level int) [sha256.Size]byte {
	if n == nil {
		return h.zeros[level]
	}
	if known := n.digest.Load(); known != nil {
		return *known
	}
	out := new([sha256.Size]byte)
	if level == 0 {
		*out = h.leaf(n.page)
	} else {
		*out = h.inner(n, level)
	}
	n.digest.Store(out)
	return *out
}

// each visits the pages that are not zeros, in order.
func (n *node) each(level, first int, visit func(page int, p *[leafBytes]byte)) {
	switch {
	case n == nil:
	case level == 0:
		visit(first, n.page)
	default:
		width := 1 << (4 * (level - 1))
		for i, child := range n.children {
			child.each(level-1, first+i*width, visit)
		}
	}
}

// differences visits the pages in which two trees differ: those of to, nil for zeros.
func differences(from, to *node, level, first int, visit func(page int, p *[leafBytes]byte)) {
	if from == to {
		return
	}
	if level == 0 {
		if to == nil {
			visit(first, nil)
		} else {
			visit(first, to.page)
		}
		return
	}
	width := 1 << (4 * (level - 1))
	for i := range fanout {
		differences(from.child(i), to.child(i), level-1, first+i*width, visit)
	}
}

func (n *node) child(i int) *node {
	if n == nil {
		return nil
	}
	return n.children[i]
}

// leaf returns the node of the page with a number, or nil for zeros.
func (n *node) leaf(page int) *node {
	for level := treeLevels - 1; level >= 0 && n != nil; level-- {
		n = n.children[page>>(4*level)&(fanout-1)]
	}
	return n
}

// at returns the page with a number, or nil for zeros.
func (n *node) at(page int) *[leafBytes]byte {
	if n = n.leaf(page); n == nil {
		return nil
	}
	return n.page
}

// editor makes a new image from another: nodes it has made itself it changes in place.
type editor struct {
	from  Image // what it began with, but for root, and own, which follow the changes
	token *byte // in the nodes that it has made
}

// edit begins an image that comes from i.
func edit(i *Image) editor {
	e := editor{token: new(byte)}
	if i == nil {
		e.from.origin = new(byte)
	} else {
		e.from = *i
	}
	return e
}

// image ends the changes.
func (e *editor) image(size int, tail []byte) *Image {
	e.from.size, e.from.tail = size, tail
	return &e.from
}

func (e *editor) set(page int, content *[leafBytes]byte) {
	shared := e.from.base.leaf(page)
	at := &e.from.root
	for level := treeLevels - 1; level >= 0; level-- {
		switch {
		case *at == nil:
			*at = &node{editor: e.token}
		case (*at).editor != e.token:
			*at = &node{children: (*at).children, editor: e.token}
		}
		at = &(*at).children[page>>(4*level)&(fanout-1)]
	}
	if *at != nil && *at != shared {
		e.from.own--
	}
	switch {
	case content == nil:
		*at = nil
	case shared != nil && *shared.page == *content:
		*at = shared
	default:
		*at = &node{page: content}
		e.from.own++
	}
}

// change records what a page holds now. It is not recorded if it is what the page held before.
func (e *editor) change(page int, content []byte) (changed bool) {
	old := e.from.root.at(page)
	if old == nil && isZero(content) || old != nil && bytes.Equal(old[:], content) {
		return false
	}
	if isZero(content) {
		e.set(page, nil)
		return true
	}
	e.set(page, (*[leafBytes]byte)(bytes.Clone(content)))
	return true
}

// cut leaves out the pages from a number on: what is shared with may have been larger.
func (e *editor) cut(pages int) {
	e.from.root.each(treeLevels, 0, func(page int, _ *[leafBytes]byte) {
		if page >= pages {
			e.set(page, nil)
		}
	})
}

func isZero(page []byte) bool {
	for i := 0; i < len(page); i += 8 {
		if binary.LittleEndian.Uint64(page[i:]) != 0 {
			return false
		}
	}
	return true
}

// next is the image of a memory, which shares what it can with i.
func (i *Image) next(linear, tail []byte) *Image {
	e := edit(i)
	for page := range len(linear) / leafBytes {
		e.change(page, linear[page*leafBytes:(page+1)*leafBytes])
	}
	e.cut(len(linear) / leafBytes)
	return e.image(len(linear), bytes.Clone(tail))
}

// basePagesMax limits what is kept for others to share with, as long as the module is there.
const basePagesMax = 4096

// found makes the image the one that others share with, if there is none yet and it is small enough.
func (m *Module) found(i *Image) *Image {
	if i.base != nil || i.own > basePagesMax || m.base.Load() != nil {
		return i
	}
	out := *i
	out.base, out.own = i.root, 0
	if !m.base.CompareAndSwap(nil, &out) {
		return i
	}
	return &out
}

// fork gives an image to begin the memory of another process from.
func (i *Image) fork() *Image {
	if i == nil {
		return nil
	}
	return &Image{root: i.root, size: i.size, tail: i.tail, origin: new(byte), base: i.base}
}

// Share gives an image that is the same and shares the pages that memories of processes of this module have in common. It
// is worth while for images that were read from somewhere.
func (m *Module) Share(i *Image) *Image {
	if i == nil || i.base != nil {
		return i
	}
	i = m.found(i)
	base := m.base.Load()
	if base == nil || i.base != nil {
		return i
	}
	i.Digest() // of all nodes, which are compared
	base.Digest()
	out := *i
	out.base = base.root
	out.root = share(base.root, i.root, treeLevels, &out.own)
	return &out
}

// share replaces what two trees have in common by what is the first's. Both have digests. Own goes down by the pages.
func share(base, n *node, level int, own *int) *node {
	if base == nil || n == nil || base == n {
		return n
	}
	if *base.digest.Load() == *n.digest.Load() {
		n.each(level, 0, func(int, *[leafBytes]byte) { *own-- })
		return base
	}
	if level == 0 {
		return n
	}
	out := &node{}
	for k := range fanout {
		out.children[k] = share(base.children[k], n.children[k], level-1, own)
	}
	out.digest.Store(n.digest.Load())
	return out
}

// pageOverhead is what a page takes beside its bytes: its node, and its part of those above.
const pageOverhead = 192

// OwnBytes is about how much room the image takes that images of other processes of its module do not take as well.
func (i *Image) OwnBytes() int64 {
	if i == nil {
		return 0
	}
	return int64(i.own) * (leafBytes + pageOverhead)
}

// SharedBytes is about how much room the pages take that memories of processes of this module have in common.
func (m *Module) SharedBytes() int64 {
	var pages int64
	if base := m.base.Load(); base != nil {
		base.root.each(treeLevels, 0, func(int, *[leafBytes]byte) { pages++ })
	}
	return pages * (leafBytes + pageOverhead)
}
