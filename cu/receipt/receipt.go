// Package receipt is the signed record of one evaluation, and the log that keeps such records.
//
// A receipt says: process P, at this nonce, with this module, with memory of this digest, given input of this digest, gave
// memory and a result of those digests, and asked a model these questions and got these answers. Whoever holds the module
// and the model can evaluate the step again and compare. FORMAT.md is the normative text of every encoding here.
//
// Invariants: a receipt has exactly one encoding, and the decoder refuses every other; each receipt holds the digest of the
// receipt before it in its log, so a log is one history; Log.Append returns only after the record is on stable storage.
//
// The package neither evaluates nor compares (packages eval and replay do), and it has no opinion on who the signer ought
// to be: it only says who it is. All but the files log.go, append.go and file.go is deterministic and does no I/O.
package receipt

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"

	"verbatim/cu/ao"
	"verbatim/inference/transcript"
)

// Digest is a SHA-256 digest. The zero digest stands for "none".
type Digest = transcript.Digest

// Memory identifies the whole memory of a process by its digest and its size; no memory is zero bytes. The digest is that
// of a tree over the memory's pages, as section 3 of FORMAT.md says, and in receipts of versions 1 and 2 the SHA-256 of the
// bytes.
type Memory struct {
	Digest Digest
	Bytes  uint64
}

// BootNonce is the nonce of the step that gives a process its own item as first message, where the schedule of that
// process begins with something else. No assignment stands behind that step.
const BootNonce = -1

// Inference is one question of the process to a model and what came back: either a transcript or a refusal.
type Inference struct {
	// Transcript is the canonical encoding of package transcript; nil if the request was refused.
	Transcript []byte
	// Refusal is why the request got no answer, as the process was told; "" if there is a transcript.
	Refusal string
}

// Kinds of a Read.
const (
	ReadAbsent = 0 // there is no such item, or the process may not read it
	ReadDigest = 1 // the name says what it is; Digest and Bytes say it of the whole of it
	ReadInline = 2 // what the name does not determine: the content stands in the receipt
)

// Read is what the drive held under a name when the process first opened it.
type Read struct {
	Name    string
	Kind    uint8
	Digest  Digest // SHA-256; of ReadDigest
	Bytes   uint64 // of ReadDigest
	Content []byte // of ReadInline, which may be empty
}

// Receipt is the record of one evaluation. Device and Build inform the reader and are not compared in a replay.
type Receipt struct {
	Version  uint8 // of its format: Version, or an earlier one in old logs
	Signer   [ed25519.PublicKeySize]byte
	Sequence uint64 // position among the receipts of its log, from 0
	Previous Digest // digest of the receipt before it in the log; zero at sequence 0

	Process    ao.ID
	Message    ao.ID
	Assignment ao.ID // zero at BootNonce and of cron messages
	Epoch      int64
	Nonce      int64 // of a cron message: that of the assignment before it, BootNonce if there is none

	// Cron names the cron of the process whose message this is; "" if the message was assigned. A cron message has no id,
	// no assignment and no epoch.
	Cron string
	// Duplicate says that the message came before, with nonce Original, and was not evaluated again: memory stays as it was,
	// and the result is that of the first time.
	Duplicate bool
	Original  int64

	Module       ao.ID
	ModuleDigest Digest // SHA-256 of the wasm
	ModuleFormat string // tag Module-Format

	GasMax         uint64 // the limits that held: an evaluation depends on them
	MemoryBytesMax uint64

	MemoryBefore Memory
	Input        Digest // of the message and the environment: see InputDigest
	MemoryAfter  Memory
	Result       Digest // SHA-256 of ao.Result's canonical encoding
	Gas          uint64
	Fault        string // kind of the fault that ended the evaluation; "" if handle returned a result

	Inferences []Inference
	Reads      []Read // of the drive, in the order in which names were first opened

	Device string
	Build  string

	Signature [ed25519.SignatureSize]byte
}

// InputDigest binds the two arguments of handle: the JSON of the message and of the environment.
func InputDigest(message, env []byte) Digest {
	w := writer{to: []byte(inputDomain)}
	w.bytes(message)
	w.bytes(env)
	return sha256.Sum256(w.to)
}

// check tells which limit or rule r breaks, if any. Encode and Decode both hold to it.
func (r *Receipt) check() error {
	switch {
	case r.Nonce < BootNonce:
		return fmt.Errorf("receipt: nonce %d is below %d", r.Nonce, BootNonce)
	case r.Epoch < 0:
		return fmt.Errorf("receipt: epoch %d is negative", r.Epoch)
	case (r.Nonce == BootNonce || r.Cron != "") != r.Assignment.IsZero():
		return fmt.Errorf("receipt: nonce %d with assignment %s: exactly nonce %d and cron messages have none", r.Nonce, r.Assignment, BootNonce)
	case r.Cron != "" && (!r.Message.IsZero() || r.Epoch != 0):
		return fmt.Errorf("receipt: cron %q with message %s and epoch %d: cron messages have neither", r.Cron, r.Message, r.Epoch)
	case r.Duplicate && (r.Original < 0 || r.Original >= r.Nonce || r.Cron != ""):
		return fmt.Errorf("receipt: nonce %d repeats nonce %d: want an earlier one, of an assigned message", r.Nonce, r.Original)
	case r.Duplicate && (r.MemoryBefore != r.MemoryAfter || r.Gas != 0 || r.Fault != "" || len(r.Inferences) != 0 || len(r.Reads) != 0):
		return fmt.Errorf("receipt: nonce %d repeats nonce %d and yet was evaluated", r.Nonce, r.Original)
	case !r.Duplicate && r.Original != 0:
		return fmt.Errorf("receipt: nonce %d names an original, %d, and repeats none", r.Nonce, r.Original)
	case (r.Sequence == 0) != r.Previous.IsZero():
		return fmt.Errorf("receipt: sequence %d with previous %s: exactly sequence 0 has none", r.Sequence, r.Previous)
	}
	if err := r.checkVersion(); err != nil {
		return err
	}
	for _, text := range [...]struct{ name, value string }{
		{"cron", r.Cron}, {"module format", r.ModuleFormat}, {"fault", r.Fault}, {"device", r.Device}, {"build", r.Build},
	} {
		if len(text.value) > TextBytesMax {
			return fmt.Errorf("receipt: %s of %d bytes, limit %d", text.name, len(text.value), TextBytesMax)
		}
	}
	if err := r.checkInferences(); err != nil {
		return err
	}
	return r.checkReads()
}

// checkVersion makes sure that every receipt has one encoding: the versions before 3 tell apart what is special.
func (r *Receipt) checkVersion() error {
	special := r.Cron != "" || r.Duplicate
	switch {
	case r.Version < 1 || r.Version > Version:
		return fmt.Errorf("receipt: version %d, known are 1 to %d", r.Version, Version)
	case r.Version < 3 && special != (r.Version == 2):
		return fmt.Errorf("receipt: version %d of cron %q, duplicate %v: version 2 is of these, and version 1 of others", r.Version, r.Cron, r.Duplicate)
	case r.Version < 3 && len(r.Reads) != 0:
		return fmt.Errorf("receipt: version %d with reads of the drive, which version 3 has", r.Version)
	}
	return nil
}

func (r *Receipt) checkInferences() error {
	if len(r.Inferences) > InferencesMax {
		return fmt.Errorf("receipt: %d inferences, limit %d", len(r.Inferences), InferencesMax)
	}
	for i, inference := range r.Inferences {
		switch {
		case (inference.Transcript == nil) == (inference.Refusal == ""):
			return fmt.Errorf("receipt: inference %d: want either a transcript or a refusal", i)
		case len(inference.Transcript) > TranscriptBytesMax:
			return fmt.Errorf("receipt: inference %d: transcript of %d bytes, limit %d", i, len(inference.Transcript), TranscriptBytesMax)
		case len(inference.Refusal) > RefusalBytesMax:
			return fmt.Errorf("receipt: inference %d: refusal of %d bytes, limit %d", i, len(inference.Refusal), RefusalBytesMax)
		}
	}
	return nil
}

func (r *Receipt) checkReads() error {
	if len(r.Reads) > ReadsMax {
		return fmt.Errorf("receipt: %d reads, limit %d", len(r.Reads), ReadsMax)
	}
	known := map[string]bool{}
	for i, read := range r.Reads {
		switch {
		case read.Name == "" || len(read.Name) > TextBytesMax:
			return fmt.Errorf("receipt: read %d: name of %d bytes, want 1 to %d", i, len(read.Name), TextBytesMax)
		case known[read.Name]:
			return fmt.Errorf("receipt: read %d: %q was read before", i, read.Name)
		case read.Kind > ReadInline:
			return fmt.Errorf("receipt: read %d: kind %d, known are 0 to %d", i, read.Kind, ReadInline)
		case (read.Kind == ReadInline) != (read.Content != nil) || len(read.Content) > ReadBytesMax:
			return fmt.Errorf("receipt: read %d of kind %d: content of %d bytes, limit %d, and only kind %d has any", i, read.Kind, len(read.Content), ReadBytesMax, ReadInline)
		case read.Kind != ReadDigest && (!read.Digest.IsZero() || read.Bytes != 0):
			return fmt.Errorf("receipt: read %d of kind %d: only kind %d has a digest and a size", i, read.Kind, ReadDigest)
		}
		known[read.Name] = true
	}
	return nil
}
