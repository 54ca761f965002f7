// Package dataitem reads, verifies, writes and signs ANS-104 data items and bundles: the signed envelope of everything
// that travels on the ao network.
//
//	signature type  2   little-endian
//	signature       64..512, by type
//	owner           32..512, by type: the public key
//	target          1 + 0 or 32: presence byte, then the address
//	anchor          1 + 0 or 32: presence byte, then the anchor
//	tag count       8   little-endian
//	tag bytes       8   little-endian
//	tags            Avro array of {name: bytes, value: bytes}
//	data            the rest
//
// Invariants: what Parse accepts, Bytes gives back byte for byte; an item that Verify accepts has no other encoding with
// the same ID. No I/O, no clock. The package does not decide who may sign what, and it does not look inside the data.
//
// Where it is stricter than the arbundles library, which is the reference in practice: presence bytes other than 0 and 1,
// bytes after the tags' end, a wrong tag count for zero tags, and an Ethereum signature whose recovery byte is wrong are
// refused. Where it is more lenient than the text of ANS-104: empty tag names and values pass, as they do there.
package dataitem

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/sha3"

	"verbatim/cu/ao"
)

// Limits of the format.
const (
	TagsBytesMax = 4096 // Avro encoding of all tags
	AnchorBytes  = 32
	TargetBytes  = 32
	// HeaderBytesMax is the most that may come before the data.
	HeaderBytesMax = 2 + 512 + 512 + 1 + TargetBytes + 1 + AnchorBytes + 16 + TagsBytesMax
)

// Errors that callers tell apart with errors.Is.
var (
	ErrFormat    = errors.New("not an ANS-104 data item")
	ErrSignature = errors.New("signature does not verify")
)

// Item is a data item. Its slices may share memory with what Parse was given; treat them as read-only.
type Item struct {
	Type      SignatureType
	Signature []byte
	Owner     []byte // public key
	Target    []byte // 32 bytes, or none
	Anchor    []byte // 32 bytes, or none
	Tags      ao.Tags
	Data      []byte

	// rawTags are the tags as they were signed: Avro has several encodings of one array.
	rawTags []byte
}

// Parse reads one item that fills raw. It checks the form, not the signature.
func Parse(raw []byte) (*Item, error) {
	item, headerBytes, err := ParseHeader(raw)
	if err != nil {
		return nil, err
	}
	item.Data = raw[headerBytes:]
	return item, nil
}

// ParseHeader reads everything before the data from the first bytes of an item: HeaderBytesMax of them are always enough.
// The item it gives has no Data; the data starts at headerBytes.
func ParseHeader(prefix []byte) (item *Item, headerBytes int, err error) {
	r := reader{rest: prefix}
	item = &Item{Type: SignatureType(r.uint16())}
	if r.err != nil {
		return nil, 0, r.err
	}
	scheme, err := item.Type.scheme()
	if err != nil {
		return nil, 0, err
	}
	item.Signature = r.bytes("signature", scheme.signatureBytes)
	item.Owner = r.bytes("owner", scheme.ownerBytes)
	item.Target = r.optional("target", TargetBytes)
	item.Anchor = r.optional("anchor", AnchorBytes)
	tags, tagBytes := r.uint64("tag count"), r.uint64("tag bytes")
	if r.err == nil && tags > ao.TagsMax {
		r.err = fmt.Errorf("%w: %d tags, limit %d", ErrFormat, tags, ao.TagsMax)
	}
	if r.err == nil && tagBytes > TagsBytesMax {
		r.err = fmt.Errorf("%w: %d bytes of tags, limit %d", ErrFormat, tagBytes, TagsBytesMax)
	}
	item.rawTags = r.bytes("tags", int(tagBytes))
	if r.err != nil {
		return nil, 0, r.err
	}
	if item.Tags, err = decodeTags(item.rawTags); err != nil {
		return nil, 0, err
	}
	if uint64(len(item.Tags)) != tags {
		return nil, 0, fmt.Errorf("%w: %d tags, header says %d", ErrFormat, len(item.Tags), tags)
	}
	return item, len(prefix) - len(r.rest), nil
}

// ID is the SHA-256 of the signature.
func (it *Item) ID() ao.ID { return sha256.Sum256(it.Signature) }

// Header gives the encoding up to the data.
func (it *Item) Header() []byte {
	to := make([]byte, 0, 2+len(it.Signature)+len(it.Owner)+len(it.Target)+len(it.Anchor)+18+len(it.rawTags))
	to = binary.LittleEndian.AppendUint16(to, uint16(it.Type))
	to = append(append(to, it.Signature...), it.Owner...)
	to = appendOptional(to, it.Target)
	to = appendOptional(to, it.Anchor)
	to = binary.LittleEndian.AppendUint64(to, uint64(len(it.Tags)))
	to = binary.LittleEndian.AppendUint64(to, uint64(len(it.rawTags)))
	return append(to, it.rawTags...)
}

// Bytes gives the encoding.
func (it *Item) Bytes() []byte { return append(it.Header(), it.Data...) }

// Verify checks that the owner signed target, anchor, tags and data. Its error wraps ErrSignature.
func (it *Item) Verify() error {
	return it.verify(it.signingHash(blobHash(it.Data)))
}

// VerifyStream is Verify for an item from ParseHeader whose data comes from a reader. It says how much it read.
func (it *Item) VerifyStream(data io.Reader) (dataBytes int64, err error) {
	hash, dataBytes, err := blobHashStream(data)
	if err != nil {
		return dataBytes, fmt.Errorf("data item %s: %w", it.ID(), err)
	}
	return dataBytes, it.verify(it.signingHash(hash))
}

func (it *Item) verify(message []byte) error {
	scheme, err := it.Type.scheme()
	if err != nil {
		return err
	}
	if err := scheme.verify(it.Owner, message, it.Signature); err != nil {
		return fmt.Errorf("data item %s: %w (%s): %w", it.ID(), ErrSignature, scheme.name, err)
	}
	return nil
}

// Address is the name ao knows the owner by: the SHA-256 of the public key in base64url, or for an Ethereum key the
// checksummed 0x address.
func (it *Item) Address() string { return Address(it.Owner) }

// TargetText is the target in base64url, or "".
func (it *Item) TargetText() string {
	if len(it.Target) != TargetBytes {
		return ""
	}
	return ao.ID(it.Target).String()
}

// Address gives the ao address of a public key, see Item.Address. Ethereum keys are told by their 65 bytes.
func Address(owner []byte) string {
	if len(owner) == ethereumOwnerBytes {
		return ethereumAddress(owner)
	}
	return ao.ID(sha256.Sum256(owner)).String()
}

// ethereumAddress derives 0x... from an uncompressed public key, with the mixed-case checksum of ERC-55.
func ethereumAddress(owner []byte) string {
	address := []byte(hex.EncodeToString(keccak256(owner[1:])[12:]))
	for i, nibbles := 0, keccak256(address); i < len(address); i++ {
		nibble := nibbles[i/2] >> 4
		if i%2 == 1 {
			nibble = nibbles[i/2] & 15
		}
		if address[i] >= 'a' && nibble >= 8 {
			address[i] -= 'a' - 'A'
		}
	}
	return "0x" + string(address)
}

func keccak256(data []byte) []byte {
	hash := sha3.NewLegacyKeccak256()
	hash.Write(data)
	return hash.Sum(nil)
}

func appendOptional(to, value []byte) []byte {
	if len(value) == 0 {
		return append(to, 0)
	}
	return append(append(to, 1), value...)
}

// reader takes fields off the front of an item. After the first error it gives nothing.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) bytes(what string, count int) []byte {
	if r.err != nil {
		return nil
	}
	if len(r.rest) < count {
		r.err = fmt.Errorf("%w: %s: %d bytes left, want %d", ErrFormat, what, len(r.rest), count)
		return nil
	}
	taken := r.rest[:count:count]
	r.rest = r.rest[count:]
	return taken
}

func (r *reader) uint16() uint16 {
	if raw := r.bytes("signature type", 2); raw != nil {
		return binary.LittleEndian.Uint16(raw)
	}
	return 0
}

func (r *reader) uint64(what string) uint64 {
	if raw := r.bytes(what, 8); raw != nil {
		return binary.LittleEndian.Uint64(raw)
	}
	return 0
}

func (r *reader) optional(what string, count int) []byte {
	present := r.bytes(what, 1)
	if r.err != nil || present[0] == 0 {
		return nil
	}
	if present[0] != 1 {
		r.err = fmt.Errorf("%w: %s: presence byte %d, want 0 or 1", ErrFormat, what, present[0])
		return nil
	}
	return r.bytes(what, count)
}
