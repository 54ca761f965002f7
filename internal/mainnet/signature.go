package mainnet

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha512"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// algorithm is the one that HyperBEAM's clients sign requests with. The keyid is the modulus of the key in base64url, and
// its exponent is Arweave's.
const (
	algorithm     = "rsa-pss-sha512"
	exponent      = 65537
	modulusBitMin = 2048
	modulusBitMax = 8192
)

// verifyRequest checks all signatures of a request (RFC 9421) and gives the public key of the first, or nil if it has none.
func verifyRequest(r *http.Request) (owner []byte, err error) {
	inputs, err := parseDictionary(strings.Join(r.Header.Values("Signature-Input"), ", "))
	if err != nil {
		return nil, fmt.Errorf("Signature-Input: %w", err)
	}
	signatures, err := parseDictionary(strings.Join(r.Header.Values("Signature"), ", "))
	if err != nil {
		return nil, fmt.Errorf("Signature: %w", err)
	}
	if len(inputs) != len(signatures) {
		return nil, fmt.Errorf("%d signatures and %d descriptions of signatures", len(signatures), len(inputs))
	}
	for _, input := range inputs {
		signature, there := field(signatures, input.key)
		if !there || signature.kind != kindBytes || input.value.kind != kindList {
			return nil, fmt.Errorf("%s has no signature, or is no list of components", input.key)
		}
		key, err := verify(r, input.value, []byte(signature.text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", input.key, err)
		}
		if owner == nil {
			owner = key
		}
	}
	return owner, nil
}

// verify checks one signature and gives the modulus of its key.
func verify(r *http.Request, input value, signature []byte) (modulus []byte, err error) {
	if named, _ := field(input.parameters, "alg"); named.kind != kindString || named.text != algorithm {
		return nil, fmt.Errorf("its algorithm is %q, want %s", named.text, algorithm)
	}
	if expires, there := field(input.parameters, "expires"); there && (expires.kind != kindInteger || expires.number < time.Now().Unix()) {
		return nil, errors.New("it has expired")
	}
	keyid, _ := field(input.parameters, "keyid")
	if modulus, err = decode64(keyid.text); err != nil || keyid.kind != kindString {
		return nil, errors.New("its keyid is not a public key in base64url")
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: exponent}
	if bits := key.N.BitLen(); bits < modulusBitMin || bits > modulusBitMax {
		return nil, fmt.Errorf("its key has %d bits, want %d to %d", bits, modulusBitMin, modulusBitMax)
	}
	base, err := signatureBase(r, input)
	if err != nil {
		return nil, err
	}
	digest := sha512.Sum512(base)
	if err := rsa.VerifyPSS(key, crypto.SHA512, digest[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}); err != nil {
		return nil, errors.New("it is not of this request")
	}
	return modulus, nil
}

// signatureBase is what is signed (RFC 9421, 2.5): each component on a line, and then the list of them.
func signatureBase(r *http.Request, input value) (base []byte, err error) {
	seen := map[string]bool{}
	for _, item := range input.items {
		if item.kind != kindString || len(item.parameters) > 0 || seen[item.text] {
			return nil, fmt.Errorf("component %q comes twice or has parameters", item.text)
		}
		seen[item.text] = true
		content, err := component(r, item.text)
		if err != nil {
			return nil, err
		}
		base = append(append(append(item.append(base), ": "...), content...), '\n')
	}
	return input.append(append(base, `"@signature-params": `...)), nil
}

// component gives what a signature covers by a name.
func component(r *http.Request, name string) (string, error) {
	switch name {
	case "@method":
		return r.Method, nil
	case "@path":
		return r.URL.EscapedPath(), nil
	case "@query":
		return "?" + r.URL.RawQuery, nil
	case "@authority", "host":
		return strings.ToLower(r.Host), nil
	}
	if strings.HasPrefix(name, "@") || name != strings.ToLower(name) {
		return "", fmt.Errorf("component %q is not known here", name)
	}
	lines := r.Header.Values(name)
	if len(lines) == 0 {
		return "", fmt.Errorf("component %q is not in the request", name)
	}
	trimmed := make([]string, len(lines))
	for i, line := range lines {
		trimmed[i] = strings.Trim(line, " \t")
	}
	return strings.Join(trimmed, ", "), nil
}
