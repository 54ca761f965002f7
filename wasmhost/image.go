package wasmhost

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
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
	zeros := zeroDigests()
	text := binary.LittleEndian.AppendUint64([]byte("verbatim memory 1\n"), uint64(i.size))
	root := i.root.sum(treeLevels, &zeros)
	return sha256.Sum256(append(append(text, root[:]...), i.tail...))
}

// zeroDigests are the digests of trees of zeros, by level.
func zeroDigests() (out [treeLevels + 1][sha256.Size]byte) {
	out[0] = sha256.Sum256(make([]byte, 1+leafBytes))
	for level := 1; level <= treeLevels; level++ {
		out[level] = sha256.Sum256(append([]byte{1}, bytes.Repeat(out[level-1][:], fanout)...))
	}
	return out
}

// sum is the digest of a node at a level; pages are at level 0.
func (n *node) sum(level int, zeros *[treeLevels + 1][sha256.Size]byte) [sha256.Size]byte {
	if n == nil {
		return zeros[level]
	}
	if known := n.digest.Load(); known != nil {
		return *known
	}
	var out [sha256.Size]byte
	if level == 0 {
		out = sha256.Sum256(append([]byte{0}, n.page[:]...))
	} else {
		text := []byte{1}
		for _, child := range n.children {
			sum := child.sum(level-1, zeros)
			text = append(text, sum[:]...)
		}
		out = sha256.Sum256(text)
	}
	n.digest.Store(&out)
	return out
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

// at returns the page with a number, or nil for zeros.
func (n *node) at(page int) *[leafBytes]byte {
	for level := treeLevels - 1; level >= 0 && n != nil; level-- {
		n = n.children[page>>(4*level)&(fanout-1)]
	}
	if n == nil {
		return nil
	}
	return n.page
}

// editor makes the tree of a new image from that of another: nodes it has made itself it changes in place.
type editor struct {
	root *node
	own  map[*node]bool
}

func (e *editor) set(page int, content *[leafBytes]byte) {
	at := &e.root
	for level := treeLevels - 1; level >= 0; level-- {
		switch {
		case *at == nil:
			*at = &node{}
			e.own[*at] = true
		case !e.own[*at]:
			*at = &node{children: (*at).children}
			e.own[*at] = true
		}
		at = &(*at).children[page>>(4*level)&(fanout-1)]
	}
	*at = nil
	if content != nil {
		*at = &node{page: content}
	}
}

// change records what a page holds now. It is not recorded if it is what the page held before.
func (e *editor) change(page int, content []byte) (changed bool) {
	old := e.root.at(page)
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
	e, origin := edit(i)
	for page := range len(linear) / leafBytes {
		e.change(page, linear[page*leafBytes:(page+1)*leafBytes])
	}
	return &Image{root: e.root, size: len(linear), tail: bytes.Clone(tail), origin: origin}
}

// edit begins an image that comes from i.
func edit(i *Image) (editor, *byte) {
	if i == nil {
		return editor{own: map[*node]bool{}}, new(byte)
	}
	return editor{root: i.root, own: map[*node]bool{}}, i.origin
}
