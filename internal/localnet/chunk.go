package localnet

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"verbatim/cu/dataitem"
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
	pathBranchBytes = 96
	pathLeafBytes   = 64
	pathBytesMax    = 256 << 10
)

var errProof = errors.New("invalid_proof") // the word that clients know

type hash = [sha256.Size]byte

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
		if dataitem.BranchHash(left, right, end) != root {
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
	if hash(path[:32]) != content || dataitem.LeafHash(content, path[32:]) != root || note != place.end || place.end-place.start != int64(len(chunk)) ||
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
