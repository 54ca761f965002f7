package dataitem

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
)

// jwk is a private JSON Web Key: RFC 7518 (RSA), RFC 8037 (Ed25519), RFC 8812 (secp256k1). Numbers are base64url.
type jwk struct {
	KeyType  string `json:"kty"`
	Curve    string `json:"crv,omitempty"`
	N        string `json:"n,omitempty"`
	Exponent string `json:"e,omitempty"`
	X        string `json:"x,omitempty"`
	Y        string `json:"y,omitempty"`
	D        string `json:"d,omitempty"`
	P        string `json:"p,omitempty"`
	Q        string `json:"q,omitempty"`
	DP       string `json:"dp,omitempty"`
	DQ       string `json:"dq,omitempty"`
	QI       string `json:"qi,omitempty"`
}

// ParseJWK reads a wallet file. Arweave wallets are RSA keys; Ed25519 and secp256k1 keys work too.
func ParseJWK(text []byte) (Signer, error) {
	var key jwk
	if err := json.Unmarshal(text, &key); err != nil {
		return nil, fmt.Errorf("wallet is not a JSON Web Key: %w", err)
	}
	switch {
	case key.KeyType == "RSA":
		return parseRSA(key)
	case key.KeyType == "OKP" && key.Curve == "Ed25519":
		seed, err := number("d", key.D)
		if err != nil {
			return nil, err
		}
		return NewEd25519Signer(seed)
	case key.KeyType == "EC" && key.Curve == "secp256k1":
		scalar, err := number("d", key.D)
		if err != nil {
			return nil, err
		}
		return NewEthereumSigner(scalar)
	}
	return nil, fmt.Errorf("wallet has key type %q, curve %q: want RSA, or OKP with Ed25519, or EC with secp256k1", key.KeyType, key.Curve)
}

func parseRSA(key jwk) (Signer, error) {
	var numbers [5]*big.Int
	for i, field := range [...]struct{ name, value string }{{"n", key.N}, {"e", key.Exponent}, {"d", key.D}, {"p", key.P}, {"q", key.Q}} {
		raw, err := number(field.name, field.value)
		if err != nil {
			return nil, err
		}
		numbers[i] = new(big.Int).SetBytes(raw)
	}
	if !numbers[1].IsInt64() || numbers[1].Int64() != rsaExponent {
		return nil, fmt.Errorf("wallet: RSA exponent is %v, want %d", numbers[1], rsaExponent)
	}
	private := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: numbers[0], E: rsaExponent}, D: numbers[2], Primes: []*big.Int{numbers[3], numbers[4]},
	}
	if err := private.Validate(); err != nil {
		return nil, fmt.Errorf("wallet: %w", err)
	}
	private.Precompute()
	return NewRSASigner(private)
}

// MarshalJWK writes a wallet file, private key included.
func MarshalJWK(signer Signer) ([]byte, error) {
	text := base64.RawURLEncoding.EncodeToString
	var key jwk
	switch signer := signer.(type) {
	case *RSASigner:
		k := signer.key
		key = jwk{
			KeyType: "RSA", N: text(k.N.Bytes()), Exponent: "AQAB", D: text(k.D.Bytes()), P: text(k.Primes[0].Bytes()), Q: text(k.Primes[1].Bytes()),
			DP: text(k.Precomputed.Dp.Bytes()), DQ: text(k.Precomputed.Dq.Bytes()), QI: text(k.Precomputed.Qinv.Bytes()),
		}
	case *Ed25519Signer:
		key = jwk{KeyType: "OKP", Curve: "Ed25519", X: text(signer.Owner()), D: text(signer.key.Seed())}
	case *EthereumSigner:
		owner := signer.Owner()
		key = jwk{KeyType: "EC", Curve: "secp256k1", X: text(owner[1:33]), Y: text(owner[33:]), D: text(signer.key.Serialize())}
	default:
		return nil, fmt.Errorf("no wallet format for a signer of type %T", signer)
	}
	return json.Marshal(key)
}

func number(name, text string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 {
		// The value is not shown: it may be a private key.
		return nil, fmt.Errorf("wallet: %q is missing or not base64url", name)
	}
	return raw, nil
}
