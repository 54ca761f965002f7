package dataitem

import (
	"crypto/sha512"
	"io"
	"strconv"
)

// signingHash is the message that an item's owner signs: the deep hash of the list
// ["dataitem", "1", signature type in decimal, owner, target, anchor, tags, data].
// Data comes as its own deep hash, so that it need not be in memory.
func (it *Item) signingHash(data [sha512.Size384]byte) []byte {
	hash := listHash(
		blobHash([]byte("dataitem")), blobHash([]byte("1")), blobHash([]byte(strconv.Itoa(int(it.Type)))),
		blobHash(it.Owner), blobHash(it.Target), blobHash(it.Anchor), blobHash(it.rawTags), data,
	)
	return hash[:]
}

// ContentHash is the deep hash of a draft as if nobody's key had signed it: the same for all signers. The network knows a
// second delivery of one message by it.
func (d Draft) ContentHash() ([sha512.Size384]byte, error) {
	item, err := d.item(Arweave, nil)
	if err != nil {
		return [sha512.Size384]byte{}, err
	}
	return [sha512.Size384]byte(item.signingHash(blobHash(item.Data))), nil
}

// blobHash is the deep hash of a byte string: H(H("blob" length) H(data)), with H = SHA-384.
func blobHash(data []byte) [sha512.Size384]byte { return tagged(int64(len(data)), sha512.Sum384(data)) }

func tagged(dataBytes int64, data [sha512.Size384]byte) [sha512.Size384]byte {
	return hashPair(sha512.Sum384(strconv.AppendInt([]byte("blob"), dataBytes, 10)), data)
}

func blobHashStream(data io.Reader) (hash [sha512.Size384]byte, dataBytes int64, err error) {
	running := sha512.New384()
	if dataBytes, err = io.Copy(running, data); err != nil {
		return hash, dataBytes, err
	}
	running.Sum(hash[:0])
	return tagged(dataBytes, hash), dataBytes, nil
}

// listHash is the deep hash of a list: start from H("list" length), then fold each element's deep hash in.
func listHash(elements ...[sha512.Size384]byte) [sha512.Size384]byte {
	sum := sha512.Sum384(strconv.AppendInt([]byte("list"), int64(len(elements)), 10))
	for _, element := range elements {
		sum = hashPair(sum, element)
	}
	return sum
}

func hashPair(left, right [sha512.Size384]byte) [sha512.Size384]byte {
	var both [2 * sha512.Size384]byte
	copy(both[:], left[:])
	copy(both[sha512.Size384:], right[:])
	return sha512.Sum384(both[:])
}
