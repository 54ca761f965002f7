package receipt

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
)

// ErrSignature says that a receipt is not what its signer signed.
var ErrSignature = errors.New("the signature is not of this receipt")

// Digest identifies r: the SHA-256 of a domain and everything that is signed. The signature is not part of it.
func (r *Receipt) Digest() Digest { return sha256.Sum256(r.appendBody([]byte(receiptDomain))) }

// Sign sets the signer and the signature. The key's owner answers for every other field.
func (r *Receipt) Sign(key ed25519.PrivateKey) error {
	if err := r.check(); err != nil {
		return err
	}
	copy(r.Signer[:], key.Public().(ed25519.PublicKey))
	copy(r.Signature[:], ed25519.Sign(key, r.signed()))
	return nil
}

// Verify checks the signature against the signer that r names. Whether that is the right signer is for the caller to say.
func (r *Receipt) Verify() error {
	if !ed25519.Verify(r.Signer[:], r.signed(), r.Signature[:]) {
		return fmt.Errorf("receipt %d (process %s, nonce %d): %w", r.Sequence, r.Process, r.Nonce, ErrSignature)
	}
	return nil
}

func (r *Receipt) signed() []byte {
	digest := r.Digest()
	return append([]byte(signatureDomain), digest[:]...)
}
