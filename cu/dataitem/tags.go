package dataitem

import (
	"encoding/binary"
	"fmt"

	"verbatim/cu/ao"
)

// encodeTags writes the Avro array {name: bytes, value: bytes}: one block with a positive count, then the end mark.
// No tags are no bytes.
func encodeTags(tags ao.Tags) ([]byte, error) {
	if err := tags.Check(); err != nil {
		return nil, err
	}
	if len(tags) == 0 {
		return nil, nil
	}
	to := binary.AppendVarint(nil, int64(len(tags)))
	for _, tag := range tags {
		to = append(binary.AppendVarint(to, int64(len(tag.Name))), tag.Name...)
		to = append(binary.AppendVarint(to, int64(len(tag.Value))), tag.Value...)
	}
	to = binary.AppendVarint(to, 0)
	if len(to) > TagsBytesMax {
		return nil, fmt.Errorf("tags: %d bytes encoded, limit %d", len(to), TagsBytesMax)
	}
	return to, nil
}

// decodeTags reads any Avro encoding of the array: several blocks, and blocks with a negative count followed by their size
// in bytes. Avro's variable-length integers are Go's: zigzag, then base 128 from the low end.
func decodeTags(raw []byte) (ao.Tags, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	r := reader{rest: raw}
	var tags ao.Tags
	for {
		count, sized := r.varint("block count"), false
		if count < 0 {
			count, sized = -count, true
		}
		if r.err != nil || count == 0 {
			break
		}
		blockBytes := int64(0)
		if sized {
			blockBytes = r.varint("block size")
		}
		before := len(r.rest)
		for ; count != 0 && r.err == nil; count-- {
			if len(tags) == ao.TagsMax {
				return nil, fmt.Errorf("%w: more than %d tags", ErrFormat, ao.TagsMax)
			}
			tags = append(tags, ao.Tag{Name: string(r.sized("tag name")), Value: string(r.sized("tag value"))})
		}
		if consumed := int64(before - len(r.rest)); r.err == nil && sized && consumed != blockBytes {
			return nil, fmt.Errorf("%w: block of tags is %d bytes, it says %d", ErrFormat, consumed, blockBytes)
		}
	}
	if r.err == nil && len(r.rest) != 0 {
		r.err = fmt.Errorf("%w: %d bytes after the last tag", ErrFormat, len(r.rest))
	}
	if r.err != nil {
		return nil, r.err
	}
	if err := tags.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return tags, nil
}

func (r *reader) varint(what string) int64 {
	if r.err != nil {
		return 0
	}
	value, size := binary.Varint(r.rest)
	if size <= 0 {
		r.err = fmt.Errorf("%w: %s: bad variable-length integer", ErrFormat, what)
		return 0
	}
	r.rest = r.rest[size:]
	return value
}

func (r *reader) sized(what string) []byte {
	count := r.varint(what)
	if r.err == nil && (count < 0 || count > int64(len(r.rest))) {
		r.err = fmt.Errorf("%w: %s of %d bytes, %d left", ErrFormat, what, count, len(r.rest))
	}
	return r.bytes(what, int(count))
}
