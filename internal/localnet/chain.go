package localnet

import (
	"crypto/sha512"
	"fmt"
	"strconv"
)

// chain is the Arweave that the network pretends to stand on: a block every two minutes since its first, nothing in them.
// Heights are above those before which clients do not check hash chains.
type chain struct{}

const (
	firstHeight   = 1_600_000
	firstSeconds  = 1_700_000_000 // Unix time of the first block
	blockInterval = 120           // seconds
)

func (chain) first() int64 { return firstHeight }

// height is the newest block's at a time in seconds.
func (chain) height(seconds int64) int64 {
	return firstHeight + max(seconds-firstSeconds, 0)/blockInterval
}

// seconds is the time of a block.
func (chain) seconds(height int64) int64 { return firstSeconds + (height-firstHeight)*blockInterval }

// hash stands for the hash of a block.
func (chain) hash(height int64) string {
	sum := sha512.Sum384([]byte("localnet block " + strconv.FormatInt(height, 10)))
	return encode(sum[:])
}

// find gives the height of a block with a hash, of those up to the newest.
func (c chain) find(hash string, newest int64) (int64, error) {
	for height := newest; height >= firstHeight; height-- {
		if c.hash(height) == hash {
			return height, nil
		}
	}
	return 0, fmt.Errorf("block %s: %w", hash, errNotStored)
}
