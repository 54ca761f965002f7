package receipt

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
)

// StatementMagic begins the encoding of a statement; its last byte is the version.
const StatementMagic = "VBSTMT\x00\x01"

const statementDomain = "verbatim/statement/1\n"

// Statement is a transcript that its signer vouches for outside of any process: an answer at a command line.
type Statement struct {
	Signer     [ed25519.PublicKeySize]byte
	Device     string // for information
	Build      string // for information
	Transcript []byte // the canonical encoding of package transcript
	Signature  [ed25519.SignatureSize]byte
}

func (s *Statement) appendBody(to []byte) []byte {
	w := writer{to: append(to, StatementMagic...)}
	w.fixed(s.Signer[:])
	w.bytes([]byte(s.Device))
	w.bytes([]byte(s.Build))
	w.bytes(s.Transcript)
	return w.to
}

// Digest identifies s: the SHA-256 of a domain and everything that is signed.
func (s *Statement) Digest() Digest { return sha256.Sum256(s.appendBody([]byte(statementDomain))) }

// Sign sets the signer and the signature.
func (s *Statement) Sign(key ed25519.PrivateKey) {
	copy(s.Signer[:], key.Public().(ed25519.PublicKey))
	digest := s.Digest()
	copy(s.Signature[:], ed25519.Sign(key, digest[:]))
}

// Verify checks the signature against the signer that s names.
func (s *Statement) Verify() error {
	digest := s.Digest()
	if !ed25519.Verify(s.Signer[:], digest[:], s.Signature[:]) {
		return fmt.Errorf("statement: %w", ErrSignature)
	}
	return nil
}

// Encode gives the one encoding of s. It fails if s breaks a limit.
func (s *Statement) Encode() ([]byte, error) {
	switch {
	case len(s.Device) > TextBytesMax || len(s.Build) > TextBytesMax:
		return nil, fmt.Errorf("statement: device of %d and build of %d bytes, limit %d", len(s.Device), len(s.Build), TextBytesMax)
	case len(s.Transcript) > TranscriptBytesMax:
		return nil, fmt.Errorf("statement: transcript of %d bytes, limit %d", len(s.Transcript), TranscriptBytesMax)
	}
	return append(s.appendBody(nil), s.Signature[:]...), nil
}

// DecodeStatement reads an encoding. It checks the form and not the signature.
func DecodeStatement(encoded []byte) (*Statement, error) {
	if len(encoded) < len(StatementMagic) || string(encoded[:len(StatementMagic)]) != StatementMagic {
		return nil, fmt.Errorf("statement: it does not begin with %q (another version, or no statement)", StatementMagic)
	}
	s, in := new(Statement), reader{rest: encoded[len(StatementMagic):]}
	in.fixed(s.Signer[:])
	s.Device = string(in.bytes("device", TextBytesMax))
	s.Build = string(in.bytes("build", TextBytesMax))
	s.Transcript = in.bytes("transcript", TranscriptBytesMax)
	in.fixed(s.Signature[:])
	if err := in.end(); err != nil {
		return nil, fmt.Errorf("statement: %w", err)
	}
	return s, nil
}
