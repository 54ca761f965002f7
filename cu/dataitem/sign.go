package dataitem

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"verbatim/cu/ao"
)

// Signer is a private key. Its three kinds are in this file.
type Signer interface {
	Type() SignatureType
	Owner() []byte // public key as items carry it
	Sign(message []byte) (signature []byte, err error)
}

// Draft is an item before it is signed.
type Draft struct {
	Target ao.ID  // zero: none
	Anchor []byte // 32 bytes, or none
	Tags   ao.Tags
	Data   []byte
}

// Sign makes an item of a draft.
func Sign(signer Signer, draft Draft) (*Item, error) {
	item, err := draft.item(signer.Type(), signer.Owner())
	if err != nil {
		return nil, fmt.Errorf("sign a data item: %w", err)
	}
	if item.Signature, err = signer.Sign(item.signingHash(blobHash(item.Data))); err != nil {
		return nil, fmt.Errorf("sign a data item: %w", err)
	}
	return item, nil
}

// Assemble makes an item of a draft and a signature that somebody else made. It does not verify it.
func Assemble(kind SignatureType, owner, signature []byte, draft Draft) (*Item, error) {
	scheme, err := kind.scheme()
	if err != nil {
		return nil, err
	}
	if len(owner) != scheme.ownerBytes || len(signature) != scheme.signatureBytes {
		return nil, fmt.Errorf("%w: %s with an owner of %d and a signature of %d bytes", ErrFormat, scheme.name, len(owner), len(signature))
	}
	item, err := draft.item(kind, owner)
	if err != nil {
		return nil, err
	}
	item.Signature = signature
	return item, nil
}

func (d Draft) item(kind SignatureType, owner []byte) (*Item, error) {
	if count := len(d.Anchor); count != 0 && count != AnchorBytes {
		return nil, fmt.Errorf("%w: anchor of %d bytes, want none or %d", ErrFormat, count, AnchorBytes)
	}
	rawTags, err := encodeTags(d.Tags)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	item := &Item{Type: kind, Owner: owner, Anchor: d.Anchor, Tags: d.Tags, Data: d.Data, rawTags: rawTags}
	if !d.Target.IsZero() {
		item.Target = d.Target[:]
	}
	return item, nil
}

// RSASigner signs with an Arweave key.
type RSASigner struct{ key *rsa.PrivateKey }

// NewRSASigner wraps a key, which must have 4096 bits and the exponent 65537.
func NewRSASigner(key *rsa.PrivateKey) (*RSASigner, error) {
	if key.N.BitLen() != 8*rsaBytes || key.E != rsaExponent {
		return nil, fmt.Errorf("RSA key of %d bits with exponent %d: Arweave keys have %d and %d", key.N.BitLen(), key.E, 8*rsaBytes, rsaExponent)
	}
	return &RSASigner{key}, nil
}

// GenerateRSA makes a new key. It takes seconds.
func GenerateRSA() (*RSASigner, error) {
	key, err := rsa.GenerateKey(rand.Reader, 8*rsaBytes)
	if err != nil {
		return nil, fmt.Errorf("generate an RSA key: %w", err)
	}
	return NewRSASigner(key)
}

// Type implements Signer.
func (s *RSASigner) Type() SignatureType { return Arweave }

// Owner implements Signer: the modulus, 512 bytes.
func (s *RSASigner) Owner() []byte { return s.key.N.FillBytes(make([]byte, rsaBytes)) }

// Sign implements Signer. Two signatures of one message differ.
func (s *RSASigner) Sign(message []byte) ([]byte, error) {
	hashed := sha256.Sum256(message)
	return rsa.SignPSS(rand.Reader, s.key, crypto.SHA256, hashed[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
}

// Ed25519Signer signs with an Ed25519 key. Making one is instant, and so is signing.
type Ed25519Signer struct{ key ed25519.PrivateKey }

// NewEd25519Signer makes the key of a seed of 32 bytes.
func NewEd25519Signer(seed []byte) (*Ed25519Signer, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("Ed25519 seed of %d bytes, want %d", len(seed), ed25519.SeedSize)
	}
	return &Ed25519Signer{ed25519.NewKeyFromSeed(seed)}, nil
}

// GenerateEd25519 makes a new key.
func GenerateEd25519() (*Ed25519Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return &Ed25519Signer{key}, err
}

// PrivateKey gives the key, for those who sign other things than items with it.
func (s *Ed25519Signer) PrivateKey() ed25519.PrivateKey { return s.key }

// Type implements Signer.
func (s *Ed25519Signer) Type() SignatureType { return ED25519 }

// Owner implements Signer: 32 bytes.
func (s *Ed25519Signer) Owner() []byte { return []byte(s.key.Public().(ed25519.PublicKey)) }

// Sign implements Signer.
func (s *Ed25519Signer) Sign(message []byte) ([]byte, error) {
	return ed25519.Sign(s.key, message), nil
}

// EthereumSigner signs with a secp256k1 key.
type EthereumSigner struct{ key *secp256k1.PrivateKey }

// NewEthereumSigner wraps a private key of 32 bytes, which must be in 1..n-1.
func NewEthereumSigner(key []byte) (*EthereumSigner, error) {
	var scalar secp256k1.ModNScalar
	if len(key) != secp256k1.PrivKeyBytesLen || scalar.SetByteSlice(key) || scalar.IsZero() {
		return nil, fmt.Errorf("secp256k1 key of %d bytes is not a number below the order of the curve", len(key))
	}
	return &EthereumSigner{secp256k1.NewPrivateKey(&scalar)}, nil
}

// Type implements Signer.
func (s *EthereumSigner) Type() SignatureType { return Ethereum }

// Owner implements Signer: the uncompressed point, 65 bytes.
func (s *EthereumSigner) Owner() []byte { return s.key.PubKey().SerializeUncompressed() }

// Sign implements Signer. The signature is r, s, v with v 27 or 28 and its randomness derived from the message (RFC 6979).
func (s *EthereumSigner) Sign(message []byte) ([]byte, error) {
	compact := ecdsa.SignCompact(s.key, personalHash(message), false)
	return append(compact[1:], compact[0]), nil
}
