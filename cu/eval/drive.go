package eval

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"verbatim/cu/ao"
	"verbatim/wasmhost"
)

// Limits of what one evaluation may open of the drive. They bound its receipt, and are part of the contract with processes:
// beyond them there is no file.
const (
	ReadsMax            = 1024
	InlineBytesMax      = 4 << 20  // of one answer that goes into the receipt
	InlineBytesMaxSum   = 16 << 20 // of all of them
	blockHashBytes      = 64       // base64url
	base64URL           = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	extensionWeaveDrive = "WeaveDrive"
)

// Availability says who must have vouched for an item of data before a process may read it: the tag Availability-Type.
type Availability string

// The kinds of availability; each includes those before it.
const (
	Assignments Availability = "Assignments" // an attestation
	Individual  Availability = "Individual"  // a message that the item is available
	Library     Availability = "Library"     // a message with a list of items
)

// Admission is the condition on which a process may read an item of data.
type Admission struct {
	Availability Availability
	Attestors    []string // addresses of those whose word counts
	Height       int64    // of the message that is evaluated: nothing counts that came later
}

// Opening is a name of the drive that a process opens, for the first time in this evaluation.
type Opening struct {
	Index     int        // of the name among those of its evaluation
	Name      string     // "/data/ID", "/tx/ID", "/block/HEIGHT" or "/block/HASH"
	Admission *Admission // nil: none is needed
}

// Part gives what stands behind the folder in the opening's name.
func (o Opening) Part() string { return o.Name[strings.LastIndexByte(o.Name, '/')+1:] }

// Content is what lies under a name. It can be read until Close.
type Content struct {
	*io.SectionReader
	SHA256 [sha256.Size]byte
	Close  func() error // may be nil
}

// ReadKind says how a read is recorded.
type ReadKind uint8

// The kinds of reads.
const (
	ReadAbsent ReadKind = iota // there is nothing, or not for this process
	ReadDigest                 // the name determines the content; its digest and size are enough
	ReadInline                 // the content itself
)

// Read is a name that went to the provider, and what came back.
type Read struct {
	Name   string
	Kind   ReadKind
	SHA256 [sha256.Size]byte // of ReadDigest
	Bytes  int64             // of ReadDigest
	Inline []byte            // of ReadInline
}

// hasDrive reports whether modules of this kind have a drive: as in the reference, those of the format it came with, and
// those that ask for it.
func hasDrive(format string, module ao.Tags) bool {
	return wasmhost.Format(format) == wasmhost.Emscripten64 || module.Has("Extension", extensionWeaveDrive)
}

// Open implements wasmhost.Drive.
func (h *hostCalls) Open(ctx context.Context, name string) (*io.SectionReader, error) {
	admission, possible := h.admission(name)
	if !possible || len(h.reads) == ReadsMax {
		return nil, nil // for everyone who evaluates this: there is nothing to record
	}
	content, err := h.provider.Open(ctx, Opening{Index: len(h.reads), Name: name, Admission: admission})
	if err != nil {
		return nil, err
	}
	read := Read{Name: name}
	if content != nil {
		if content.Close != nil {
			h.opened = append(h.opened, content.Close)
		}
		if read, err = h.record(name, content); err != nil {
			return nil, err
		}
	}
	h.reads = append(h.reads, read)
	if read.Kind == ReadAbsent {
		return nil, nil
	}
	return content.SectionReader, nil
}

// record tells how content is recorded. Data is what its id says; everything else goes into the receipt, or is too large.
func (h *hostCalls) record(name string, content *Content) (Read, error) {
	size := content.Size()
	if strings.HasPrefix(name, "/data/") {
		return Read{Name: name, Kind: ReadDigest, SHA256: content.SHA256, Bytes: size}, nil
	}
	if size > InlineBytesMax || size > InlineBytesMaxSum-h.inlineBytes {
		return Read{Name: name}, nil
	}
	inline := make([]byte, size)
	if n, err := content.ReadAt(inline, 0); n < len(inline) {
		return Read{}, fmt.Errorf("read %s: %w", name, err)
	}
	h.inlineBytes += size
	return Read{Name: name, Kind: ReadInline, Inline: inline}, nil
}

// closeDrive ends the use of what was opened. That a file which was only read does not close changes nothing.
func (h *hostCalls) closeDrive() {
	for _, end := range h.opened {
		_ = end()
	}
}

// admission gives the condition on which a name may be read, and whether there can be anything at all. Blocks that are later
// than the message are not there: whoever evaluates it at once and whoever does so next year find the same.
func (h *hostCalls) admission(name string) (condition *Admission, possible bool) {
	folder, part, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if folder == "block" {
		if len(part) == blockHashBytes {
			return nil, strings.Trim(part, base64URL) == ""
		}
		height, err := ao.ParseInt("height", part)
		return nil, err == nil && height <= heightOf(h.message)
	}
	if _, err := ao.ParseID(part); err != nil {
		return nil, false
	}
	if folder == "tx" {
		return nil, true
	}
	return h.env.admission(part, heightOf(h.message))
}

// heightOf gives the block height of a message; -1 if it has none.
func heightOf(message []byte) int64 {
	said := struct {
		Height int64 `json:"Block-Height"`
	}{-1}
	if err := json.Unmarshal(message, &said); err != nil {
		return -1
	}
	return said.Height
}

// admission follows the reference: what the process boots from is always there; everything else needs the extension, a
// known availability, and someone whose word counts. Of tags that repeat, the last counts, but for Attestor and Extension.
func (e *Env) admission(id string, height int64) (condition *Admission, possible bool) {
	process, module := e.Process.Tags, e.Module.Tags
	if last(process, "On-Boot") == id {
		return nil, true
	}
	if !module.Has("Extension", extensionWeaveDrive) && !process.Has("Extension", extensionWeaveDrive) {
		return nil, false
	}
	availability := Availability(last(process, "Availability-Type"))
	if availability == "" {
		availability = Availability(last(module, "Availability-Type"))
	}
	if availability == "" {
		availability = Assignments
	}
	if availability != Assignments && availability != Individual && availability != Library {
		return nil, false
	}
	attestors := append([]string{last(process, "Scheduler")}, process.All("Attestor")...)
	attestors = slices.DeleteFunc(attestors, func(address string) bool { return address == "" })
	if height < 0 || len(attestors) == 0 {
		return nil, false
	}
	return &Admission{availability, attestors, height}, true
}

func last(tags ao.Tags, name string) string {
	values := tags.All(name)
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}
