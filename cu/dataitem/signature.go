package dataitem

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strconv"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// SignatureType says how an item is signed.
type SignatureType uint16

// The signature types that this package knows. arbundles defines more (Aptos, typed Ethereum data, Kyve).
const (
	Arweave  SignatureType = 1 // RSA-PSS, 4096 bits, SHA-256
	ED25519  SignatureType = 2
	Ethereum SignatureType = 3 // secp256k1 over an EIP-191 personal message
	Solana   SignatureType = 4 // Ed25519 over the message in hexadecimal
)

const (
	rsaBytes           = 512
	rsaExponent        = 65537 // every Arweave key has it; items do not carry it
	ethereumOwnerBytes = 65
)

// scheme is what a signature type stands for. Sizes in bytes. Verify explains why a signature is not good.
type scheme struct {
	name                       string
	signatureBytes, ownerBytes int
	verify                     func(owner, message, signature []byte) error
}

func (t SignatureType) scheme() (scheme, error) {
	switch t {
	case Arweave:
		return scheme{"Arweave RSA-PSS", rsaBytes, rsaBytes, verifyRSA}, nil
	case ED25519:
		return scheme{"Ed25519", ed25519.SignatureSize, ed25519.PublicKeySize, verifyEd25519}, nil
	case Ethereum:
		return scheme{"Ethereum secp256k1", 65, ethereumOwnerBytes, verifyEthereum}, nil
	case Solana:
		return scheme{"Solana Ed25519", ed25519.SignatureSize, ed25519.PublicKeySize, verifySolana}, nil
	}
	return scheme{}, fmt.Errorf("%w: unknown signature type %d", ErrFormat, t)
}

// TypesOf gives the signature types whose public keys and signatures have these sizes, in bytes.
func TypesOf(ownerBytes, signatureBytes int) (types []SignatureType) {
	for _, kind := range [...]SignatureType{Arweave, ED25519, Ethereum, Solana} {
		if scheme, err := kind.scheme(); err == nil && scheme.ownerBytes == ownerBytes && scheme.signatureBytes == signatureBytes {
			types = append(types, kind)
		}
	}
	return types
}

func verifyRSA(owner, message, signature []byte) error {
	key := rsa.PublicKey{N: new(big.Int).SetBytes(owner), E: rsaExponent}
	hashed := sha256.Sum256(message)
	// The salt's length differs between arweave.js in browsers (32) and on Node (as long as possible).
	return rsa.VerifyPSS(&key, crypto.SHA256, hashed[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto})
}

func verifyEd25519(owner, message, signature []byte) error {
	if !ed25519.Verify(owner, message, signature) {
		return errors.New("wrong")
	}
	return nil
}

func verifySolana(owner, message, signature []byte) error {
	return verifyEd25519(owner, []byte(hex.EncodeToString(message)), signature)
}

// verifyEthereum recovers the key from the signature r, s, v and compares it. High s and a wrong v are refused, or anyone
// could make a second item, with another ID, of what someone signed.
func verifyEthereum(owner, message, signature []byte) error {
	r, s, v := signature[:32], signature[32:64], signature[64]
	if v < 27 {
		v += 27
	}
	if v != 27 && v != 28 {
		return fmt.Errorf("recovery byte is %d, want 27 or 28", signature[64])
	}
	var scalar secp256k1.ModNScalar
	if scalar.SetByteSlice(s) || scalar.IsOverHalfOrder() {
		return errors.New("s is not in the lower half")
	}
	compact := append(append([]byte{v}, r...), s...)
	key, _, err := ecdsa.RecoverCompact(compact, personalHash(message))
	if err != nil {
		return err
	}
	if string(key.SerializeUncompressed()) != string(owner) {
		return errors.New("another key signed it")
	}
	return nil
}

// personalHash is EIP-191's hash of a personal message.
func personalHash(message []byte) []byte {
	prefix := strconv.AppendInt([]byte("\x19Ethereum Signed Message:\n"), int64(len(message)), 10)
	return keccak256(append(prefix, message...))
}
