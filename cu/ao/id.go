// Package ao is the vocabulary of the ao network: identifiers, tags, processes, modules, messages, assignments, results.
//
// It also fixes the three byte sequences that evaluation depends on: the JSON of a message and of its environment as a
// module's handle function receives them, and the canonical encoding of a result that receipts digest.
//
// Invariants: no I/O, no clock, no randomness; the same value always encodes to the same bytes. The package does not
// verify signatures (package dataitem does) and does not fetch anything (packages scheduler and arweave do).
package ao

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// IDBytes is the size of an identifier: a SHA-256 digest of a signature.
const IDBytes = 32

// idChars is the length of the text form: unpadded base64url of 32 bytes.
const idChars = 43

// ID names a data item, transaction, process, module, message or wallet address. The zero ID stands for "none".
type ID [IDBytes]byte

// ParseID reads the 43-character base64url form. Exactly one text stands for each ID: unused trailing bits must be zero.
func ParseID(text string) (ID, error) {
	raw, err := parse32("id", text)
	return ID(raw), err
}

// MustParseID is ParseID for constants and tests. It panics where ParseID fails.
func MustParseID(text string) ID {
	id, err := ParseID(text)
	if err != nil {
		panic("ao: internal error: " + err.Error())
	}
	return id
}

// String gives the 43-character base64url form.
func (id ID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// IsZero reports whether id is the zero ID, which stands for "none".
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText implements encoding.TextMarshaler; the zero ID gives the empty text.
func (id ID) MarshalText() ([]byte, error) {
	if id.IsZero() {
		return nil, nil
	}
	return []byte(id.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler; the empty text gives the zero ID.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*id = ID{}
		return nil
	}
	parsed, err := ParseID(string(text))
	if err == nil {
		*id = parsed
	}
	return err
}

// HashChain binds an assignment to everything assigned before it on the same process.
type HashChain [sha256.Size]byte

// ParseHashChain reads the 43-character base64url form.
func ParseHashChain(text string) (HashChain, error) {
	raw, err := parse32("hash chain", text)
	return HashChain(raw), err
}

// String gives the 43-character base64url form.
func (h HashChain) String() string { return base64.RawURLEncoding.EncodeToString(h[:]) }

// FirstHashChain is the hash chain value of a process's first assignment (nonce 0).
func FirstHashChain(process ID) HashChain { return sha256.Sum256(process[:]) }

// Next is the hash chain value of the assignment that follows the assignment previous, whose own value is h.
func (h HashChain) Next(previous ID) HashChain {
	var both [2 * sha256.Size]byte
	copy(both[:], previous[:])
	copy(both[sha256.Size:], h[:])
	return sha256.Sum256(both[:])
}

func parse32(what, text string) (raw [32]byte, err error) {
	if len(text) != idChars {
		return raw, fmt.Errorf("%s %q: %d characters, want %d of base64url", what, clip(text), len(text), idChars)
	}
	decoded, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(decoded) != len(raw) {
		// base64 skips line breaks, so a text of 43 characters may still be too short.
		return raw, fmt.Errorf("%s %q: not base64url of 32 bytes", what, clip(text))
	}
	copy(raw[:], decoded)
	return raw, nil
}

// clip keeps error messages short whatever the input was.
func clip(text string) string {
	const charsMax = 64
	if len(text) <= charsMax {
		return text
	}
	return text[:charsMax] + "..."
}
