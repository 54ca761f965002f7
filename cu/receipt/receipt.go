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
	"encoding/hex"
	"fmt"

	"verbatim/cu/ao"
)

// Digest is a SHA-256 digest. Its text form is lower-case hexadecimal.
type Digest [sha256.Size]byte

// String gives the 64 hexadecimal digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether d is the zero digest, which stands for "none".
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error {
	if len(text) != 2*len(d) {
		return fmt.Errorf("digest: %d characters, want %d hexadecimal digits", len(text), 2*len(d))
	}
	if _, err := hex.Decode(d[:], text); err != nil {
		return fmt.Errorf("digest: %w", err)
	}
	return nil
}

// Memory identifies the whole linear memory of a process by its digest and its size. A process that has not run yet has
// no memory: zero bytes, and the digest of nothing.
type Memory struct {
	Digest Digest `json:"sha256"`
	Bytes  uint64 `json:"bytes"`
}

// MemoryOf digests memory.
func MemoryOf(memory []byte) Memory {
	return Memory{Digest: sha256.Sum256(memory), Bytes: uint64(len(memory))}
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

// Receipt is the record of one evaluation. Device and Build inform the reader and are not compared in a replay.
type Receipt struct {
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
	case r.Duplicate && (r.MemoryBefore != r.MemoryAfter || r.Gas != 0 || r.Fault != "" || len(r.Inferences) != 0):
		return fmt.Errorf("receipt: nonce %d repeats nonce %d and yet was evaluated", r.Nonce, r.Original)
	case !r.Duplicate && r.Original != 0:
		return fmt.Errorf("receipt: nonce %d names an original, %d, and repeats none", r.Nonce, r.Original)
	case (r.Sequence == 0) != r.Previous.IsZero():
		return fmt.Errorf("receipt: sequence %d with previous %s: exactly sequence 0 has none", r.Sequence, r.Previous)
	case len(r.Inferences) > InferencesMax:
		return fmt.Errorf("receipt: %d inferences, limit %d", len(r.Inferences), InferencesMax)
	}
	for _, text := range [...]struct{ name, value string }{
		{"cron", r.Cron}, {"module format", r.ModuleFormat}, {"fault", r.Fault}, {"device", r.Device}, {"build", r.Build},
	} {
		if len(text.value) > TextBytesMax {
			return fmt.Errorf("receipt: %s of %d bytes, limit %d", text.name, len(text.value), TextBytesMax)
		}
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
