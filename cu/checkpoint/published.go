package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/klauspost/compress/gzip"

	"verbatim/cu/ao"
	"verbatim/wasmhost"
)

// Published describes a checkpoint that compute units keep for each other on Arweave: a data item of type Checkpoint, whose
// data is the memory, compressed with gzip.
type Published struct {
	ID    ao.ID  // of the item; zero before it is signed
	Owner string // address of who signed it

	Process, Module        ao.ID
	Nonce, Epoch           int64 // of the last assignment
	Assignment             ao.ID
	HashChain              ao.HashChain
	Timestamp, BlockHeight int64  // of the last message
	Cron                   string // the last message was one of this cron; "" if it was assigned
	Gzip                   bool
	SHA256                 [sha256.Size]byte // of the memory
}

// Tags gives the tags of the item, as the reference compute unit writes them. Unit names the program.
func (p Published) Tags(unit string) ao.Tags {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	tags := ao.Tags{
		{Name: "Data-Protocol", Value: "ao"}, {Name: "Variant", Value: "ao.TN.1"}, {Name: "Type", Value: "Checkpoint"},
		{Name: "Module", Value: p.Module.String()}, {Name: "Process", Value: p.Process.String()}, {Name: "Nonce", Value: number(p.Nonce)},
		{Name: "Timestamp", Value: number(p.Timestamp)}, {Name: "Block-Height", Value: number(p.BlockHeight)},
		{Name: "Content-Type", Value: "application/octet-stream"}, {Name: "SHA-256", Value: hex.EncodeToString(p.SHA256[:])},
		{Name: "Content-Encoding", Value: "gzip"}, {Name: "Unit-Identifier", Value: unit}, {Name: "Ordinate", Value: number(p.Nonce)},
		{Name: "Assignment", Value: p.Assignment.String()}, {Name: "Hash-Chain", Value: p.HashChain.String()},
	}
	if p.Epoch != 0 {
		tags = append(tags, ao.Tag{Name: "Epoch", Value: number(p.Epoch)})
	}
	if p.Cron != "" {
		tags = append(tags, ao.Tag{Name: "Cron-Interval", Value: p.Cron})
	}
	return tags
}

// ParsePublished reads the tags of an item. Those without the assignment and its hash chain are refused: what follows them
// could not be checked.
func ParsePublished(id ao.ID, owner string, tags ao.Tags) (p Published, err error) {
	p = Published{ID: id, Owner: owner, Cron: tags.Get("Cron-Interval")}
	if !tags.Has("Type", "Checkpoint") || !tags.Has("Data-Protocol", "ao") {
		return p, fmt.Errorf("item %s is no checkpoint", id)
	}
	for _, field := range [...]struct {
		name string
		into *ao.ID
	}{{"Process", &p.Process}, {"Module", &p.Module}, {"Assignment", &p.Assignment}} {
		if err == nil {
			*field.into, err = ao.ParseID(tags.Get(field.name))
		}
	}
	if err == nil {
		p.HashChain, err = ao.ParseHashChain(tags.Get("Hash-Chain"))
	}
	for _, field := range [...]struct {
		name string
		into *int64
	}{{"Nonce", &p.Nonce}, {"Timestamp", &p.Timestamp}, {"Block-Height", &p.BlockHeight}, {"Epoch", &p.Epoch}} {
		if text, ok := tags.Lookup(field.name); err == nil && (ok || field.name != "Epoch") {
			*field.into, err = ao.ParseInt("tag "+field.name, text)
		}
	}
	if err == nil {
		digest, hexErr := hex.DecodeString(tags.Get("SHA-256"))
		if err = hexErr; err == nil && len(digest) != len(p.SHA256) {
			err = fmt.Errorf("tag SHA-256 of %d bytes", len(digest))
		}
		copy(p.SHA256[:], digest)
	}
	switch encoding := tags.Get("Content-Encoding"); {
	case err != nil:
	case encoding == "gzip":
		p.Gzip = true
	case encoding != "":
		err = fmt.Errorf("tag Content-Encoding is %.40q", encoding)
	}
	if err != nil {
		return p, fmt.Errorf("checkpoint %s: %w", id, err)
	}
	return p, nil
}

// Pack compresses the bytes of a memory as checkpoints are published.
func Pack(memory *wasmhost.Image) ([]byte, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err == nil {
		_, err = memory.WriteTo(w)
		err = errors.Join(err, w.Close())
	}
	return packed.Bytes(), err
}

// Unpack gives the memory in the data of an item, if it is the one that the item's tags say.
func (p Published) Unpack(data []byte) (*wasmhost.Image, error) {
	memory := data
	if p.Gzip {
		r, err := gzip.NewReader(bytes.NewReader(data))
		if err == nil {
			memory, err = io.ReadAll(io.LimitReader(r, MemoryBytesMax+1))
		}
		if err != nil {
			return nil, fmt.Errorf("checkpoint %s: %w", p.ID, err)
		}
	}
	switch {
	case len(memory) > MemoryBytesMax:
		return nil, fmt.Errorf("checkpoint %s: more than %d bytes of memory", p.ID, uint64(MemoryBytesMax))
	case sha256.Sum256(memory) != p.SHA256:
		return nil, fmt.Errorf("checkpoint %s: its memory is not the one that its tag SHA-256 says", p.ID)
	}
	return wasmhost.ImageOf(memory), nil
}
