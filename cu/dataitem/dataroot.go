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

// rootNode is a node of the tree over data: its hash, and where the data below it ends.
type rootNode struct {
	hash [sha256.Size]byte
	end  int64
}

// DataRoot gives the root of the tree over data, as transactions of format 2 sign it. It reads dataBytes bytes and expects
// no more to come. A leaf is H(H(H(chunk)) H(end)), a node above is H(H(left) H(right) H(end of left)), where end is a
// number of 32 bytes, big-endian; a node without a neighbour goes up as it is.
func DataRoot(data io.Reader, dataBytes int64) (root [sha256.Size]byte, err error) {
	var level []rootNode
	buffer := make([]byte, chunkBytesMax)
	for rest := dataBytes; ; {
		size := chunkBytes(rest)
		if _, err := io.ReadFull(data, buffer[:size]); err != nil {
			return root, fmt.Errorf("data of %d bytes ends %d too early or cannot be read: %w", dataBytes, rest, err)
		}
		whole := rest >= chunkBytesMax // what is left after it is a chunk too, even if that is nothing
		rest -= size
		chunk := sha256.Sum256(buffer[:size])
		level = append(level, rootNode{hashOfHashes(chunk[:], endNumber(dataBytes-rest)), dataBytes - rest})
		if !whole {
			break
		}
	}
	if n, err := data.Read(buffer[:1]); n != 0 || err != io.EOF {
		return root, fmt.Errorf("data of %d bytes goes on or cannot be read: %w", dataBytes, err)
	}
	for len(level) > 1 {
		above := level[:0]
		for i := 0; i < len(level); i += 2 {
			if i+1 == len(level) {
				above = append(above, level[i])
				break
			}
			left, right := level[i], level[i+1]
			above = append(above, rootNode{hashOfHashes(left.hash[:], right.hash[:], endNumber(left.end)), right.end})
		}
		level = above
	}
	return level[0].hash, nil
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

func hashOfHashes(parts ...[]byte) [sha256.Size]byte {
	var all []byte
	for _, part := range parts {
		hash := sha256.Sum256(part)
		all = append(all, hash[:]...)
	}
	return sha256.Sum256(all)
}

func endNumber(end int64) []byte {
	number := make([]byte, 32)
	binary.BigEndian.PutUint64(number[24:], uint64(end))
	return number
}
