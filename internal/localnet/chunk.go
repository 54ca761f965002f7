package localnet

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Data of transactions travels in chunks, each with a path up the tree whose root the transaction signs. A path is a node
// after the other from the root down, a branch being
//
//	hash of the left (32)   hash of the right (32)   where the left ends (32, big-endian)
//
// and the leaf at its end
//
//	hash of the chunk (32)   where it ends (32)

const (
	chunkBytesMax   = 256 << 10
	chunkBytesMin   = 32 << 10 // unless the data is smaller
	pathBranchBytes = 96
	pathLeafBytes   = 64
	pathBytesMax    = 256 << 10
)

var errProof = errors.New("invalid_proof") // the word that clients know

type hash [sha256.Size]byte

// span is the place of a chunk in the data of its transaction.
type span struct{ start, end int64 }

// checkPath follows a path to a byte of the data and gives the place of the chunk that holds it.
func checkPath(root hash, dataBytes, at int64, path, chunk []byte) (span, error) {
	place := span{0, dataBytes}
	for len(path) > pathLeafBytes {
		if len(path) < pathBranchBytes+pathLeafBytes {
			return place, fmt.Errorf("%w: a path ends in the middle of a branch", errProof)
		}
		left, right, end := hash(path[:32]), hash(path[32:64]), path[64:96]
		if branchHash(left, right, end) != root {
			return place, fmt.Errorf("%w: a branch is not what the one above it says", errProof)
		}
		note, err := position(end)
		if err != nil {
			return place, err
		}
		if at < note {
			root, place.end = left, min(place.end, note)
		} else {
			root, place.start = right, max(place.start, note)
		}
		path = path[pathBranchBytes:]
	}
	if len(path) != pathLeafBytes {
		return place, fmt.Errorf("%w: a path without a leaf", errProof)
	}
	note, err := position(path[32:])
	if err != nil {
		return place, err
	}
	content := hash(sha256.Sum256(chunk))
	if hash(path[:32]) != content || leafHash(content, path[32:]) != root || note != place.end || place.end-place.start != int64(len(chunk)) ||
		at < place.start || at >= place.end {
		return place, fmt.Errorf("%w: the chunk is not the one that the path leads to", errProof)
	}
	return place, nil
}

// position reads a number of 32 bytes.
func position(number []byte) (int64, error) {
	for _, high := range number[:24] {
		if high != 0 {
			return 0, fmt.Errorf("%w: a path leads beyond any data", errProof)
		}
	}
	at := binary.BigEndian.Uint64(number[24:])
	if at > 1<<62 {
		return 0, fmt.Errorf("%w: a path leads beyond any data", errProof)
	}
	return int64(at), nil
}

func note(at int64) []byte {
	number := make([]byte, 32)
	binary.BigEndian.PutUint64(number[24:], uint64(at))
	return number
}

func leafHash(content hash, end []byte) hash { return hashOf(content[:], end) }

func branchHash(left, right hash, end []byte) hash { return hashOf(left[:], right[:], end) }

// hashOf is the hash of the hashes of parts.
func hashOf(parts ...[]byte) hash {
	var all []byte
	for _, part := range parts {
		sum := sha256.Sum256(part)
		all = append(all, sum[:]...)
	}
	return sha256.Sum256(all)
}

// node is one of the tree over data.
type node struct {
	hash        hash
	content     hash // of a leaf: the chunk's
	place       span
	left, right *node
}

// treeOver reads data and gives the tree over it. A node without a neighbour goes up as it is.
func treeOver(data io.Reader, dataBytes int64) (*node, error) {
	var level []*node
	buffer := make([]byte, chunkBytesMax)
	for start := int64(0); ; {
		left := dataBytes - start
		size := min(left, chunkBytesMax)
		if rest := left - chunkBytesMax; rest > 0 && rest < chunkBytesMin {
			size = (left + 1) / 2
		}
		if _, err := io.ReadFull(data, buffer[:size]); err != nil {
			return nil, err
		}
		content := hash(sha256.Sum256(buffer[:size]))
		level = append(level, &node{hash: leafHash(content, note(start+size)), content: content, place: span{start, start + size}})
		start += size
		if left < chunkBytesMax {
			break // a whole chunk at the end is followed by an empty one
		}
	}
	for len(level) > 1 {
		above := level[:0]
		for i := 0; i < len(level); i += 2 {
			if i+1 == len(level) {
				above = append(above, level[i])
				break
			}
			left, right := level[i], level[i+1]
			above = append(above, &node{hash: branchHash(left.hash, right.hash, note(left.place.end)), place: span{left.place.start, right.place.end}, left: left, right: right})
		}
		level = above
	}
	return level[0], nil
}

// pathTo gives the path to the chunk that holds a byte, and its place.
func (n *node) pathTo(at int64) (path []byte, place span) {
	for n.left != nil {
		path = append(append(append(path, n.left.hash[:]...), n.right.hash[:]...), note(n.left.place.end)...)
		if at < n.left.place.end {
			n = n.left
		} else {
			n = n.right
		}
	}
	return append(append(path, n.content[:]...), note(n.place.end)...), n.place
}
