package dataitem

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
)

// Chunks that data of the base layer is cut into. The last two share what is left, so that none is smaller than the least,
// unless the data is.
const (
	chunkBytesMax = 256 << 10
	chunkBytesMin = 32 << 10
)

// DataTree is a node of the tree over data of the base layer, as transactions of format 2 sign it. A leaf is
// H(H(H(chunk)) H(end)), a node above is H(H(left) H(right) H(end of left)), where end is a number of 32 bytes, big-endian; a
// node without a neighbour goes up as it is.
type DataTree struct {
	Hash        [sha256.Size]byte
	Start, End  int64             // of the data below it
	content     [sha256.Size]byte // of a leaf: the chunk's
	left, right *DataTree         // nil in a leaf
}

// NewDataTree gives the tree over data. It reads dataBytes bytes and expects no more to come.
func NewDataTree(data io.Reader, dataBytes int64) (*DataTree, error) {
	var level []*DataTree
	buffer := make([]byte, chunkBytesMax)
	for rest := dataBytes; ; {
		size := chunkBytes(rest)
		if _, err := io.ReadFull(data, buffer[:size]); err != nil {
			return nil, fmt.Errorf("data of %d bytes ends %d too early or cannot be read: %w", dataBytes, rest, err)
		}
		whole := rest >= chunkBytesMax // what is left after it is a chunk too, even if that is nothing
		start := dataBytes - rest
		rest -= size
		content := sha256.Sum256(buffer[:size])
		level = append(level, &DataTree{Hash: LeafHash(content, EndNumber(start+size)), Start: start, End: start + size, content: content})
		if !whole {
			break
		}
	}
	if n, err := data.Read(buffer[:1]); n != 0 || err != io.EOF {
		return nil, fmt.Errorf("data of %d bytes goes on or cannot be read: %w", dataBytes, err)
	}
	for len(level) > 1 {
		above := level[:0]
		for i := 0; i < len(level); i += 2 {
			if i+1 == len(level) {
				above = append(above, level[i])
				break
			}
			left, right := level[i], level[i+1]
			above = append(above, &DataTree{Hash: BranchHash(left.Hash, right.Hash, EndNumber(left.End)), Start: left.Start, End: right.End, left: left, right: right})
		}
		level = above
	}
	return level[0], nil
}

// DataRoot gives the root of the tree over data.
func DataRoot(data io.Reader, dataBytes int64) (root [sha256.Size]byte, err error) {
	tree, err := NewDataTree(data, dataBytes)
	if err != nil {
		return root, err
	}
	return tree.Hash, nil
}

// PathTo gives the path to the chunk that holds a byte, and that chunk: hashes of both sides and the end of the left one from
// the root down, then the chunk's hash and its end.
func (t *DataTree) PathTo(at int64) (path []byte, chunk *DataTree) {
	for t.left != nil {
		path = append(append(append(path, t.left.Hash[:]...), t.right.Hash[:]...), EndNumber(t.left.End)...)
		if at < t.left.End {
			t = t.left
		} else {
			t = t.right
		}
	}
	return append(append(path, t.content[:]...), EndNumber(t.End)...), t
}

// chunkBytes is the size of the next chunk of data of which rest bytes are left.
func chunkBytes(rest int64) int64 {
	if rest < chunkBytesMax {
		return rest
	}
	if after := rest - chunkBytesMax; after > 0 && after < chunkBytesMin {
		return (rest + 1) / 2
	}
	return chunkBytesMax
}

// LeafHash is the hash of a leaf of a DataTree: of a chunk's hash and its end.
func LeafHash(content [sha256.Size]byte, end []byte) [sha256.Size]byte {
	return hashOfHashes(content[:], end)
}

// BranchHash is the hash of a node of a DataTree above two others.
func BranchHash(left, right [sha256.Size]byte, end []byte) [sha256.Size]byte {
	return hashOfHashes(left[:], right[:], end)
}

func hashOfHashes(parts ...[]byte) [sha256.Size]byte {
	var all []byte
	for _, part := range parts {
		hash := sha256.Sum256(part)
		all = append(all, hash[:]...)
	}
	return sha256.Sum256(all)
}

// EndNumber is a place in data as a DataTree has it: 32 bytes, big-endian.
func EndNumber(end int64) []byte {
	number := make([]byte, 32)
	binary.BigEndian.PutUint64(number[24:], uint64(end))
	return number
}
