package dataitem

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"

	"verbatim/cu/ao"
)

// Transaction is one of Arweave's base layer, as nodes show it in JSON: GET /tx/{id}. Its signature does not cover the data
// but, in format 2, the root of a tree over it.
type Transaction struct {
	Format    int
	Signature []byte
	Owner     []byte // RSA modulus; none if the signature is of secp256k1
	Target    []byte // 32 bytes, or none
	Anchor    []byte // the member last_tx
	Tags      ao.Tags
	Quantity  string // decimal, as it is signed
	Reward    string // likewise
	DataSize  int64  // in bytes; 0 in format 1 unless the node says it
	// Denomination is 0 unless the network's currency has been divided again, which is signed too.
	Denomination int64
	DataRoot     []byte // see package function DataRoot; none in format 1 and without data
	Data         []byte // what the node shows of it; in format 1 it is signed
}

// TransactionBytesMax is the longest JSON of a transaction: format 1 may hold 10 MB of data.
const TransactionBytesMax = 32 << 20

// base64Text is base64url in JSON.
type base64Text []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *base64Text) UnmarshalText(text []byte) (err error) {
	*b, err = base64.RawURLEncoding.DecodeString(string(text))
	return err
}

// ParseTransaction reads a node's JSON. It checks the form, not the signature.
func ParseTransaction(raw []byte) (*Transaction, error) {
	var shown struct {
		Format    int             `json:"format"`
		Signature base64Text      `json:"signature"`
		Owner     base64Text      `json:"owner"`
		Target    base64Text      `json:"target"`
		Anchor    base64Text      `json:"last_tx"`
		DataRoot  base64Text      `json:"data_root"`
		Data      base64Text      `json:"data"`
		DataSize  json.RawMessage `json:"data_size"`
		Division  json.RawMessage `json:"denomination"`
		Quantity  string          `json:"quantity"`
		Reward    string          `json:"reward"`
		Tags      []struct {
			Name  base64Text `json:"name"`
			Value base64Text `json:"value"`
		} `json:"tags"`
	}
	if len(raw) > TransactionBytesMax {
		return nil, fmt.Errorf("%w: transaction of %d bytes, limit %d", ErrFormat, len(raw), TransactionBytesMax)
	}
	if err := json.Unmarshal(raw, &shown); err != nil {
		return nil, fmt.Errorf("%w: transaction: %w", ErrFormat, err)
	}
	if shown.Format != 1 && shown.Format != 2 {
		return nil, fmt.Errorf("%w: transaction of format %d, want 1 or 2", ErrFormat, shown.Format)
	}
	t := &Transaction{Format: shown.Format, Signature: shown.Signature, Owner: shown.Owner, Target: shown.Target, Anchor: shown.Anchor,
		Quantity: shown.Quantity, Reward: shown.Reward, DataRoot: shown.DataRoot, Data: shown.Data}
	for _, number := range [...]struct {
		name string
		raw  json.RawMessage
		to   *int64
	}{{"data_size", shown.DataSize, &t.DataSize}, {"denomination", shown.Division, &t.Denomination}} {
		text := trimQuotes(number.raw)
		if text == "" || text == "null" {
			continue
		}
		parsed, err := strconv.ParseInt(text, 10, 64)
		if err != nil || parsed < 0 {
			return nil, fmt.Errorf("%w: transaction with %s %q", ErrFormat, number.name, text)
		}
		*number.to = parsed
	}
	for _, tag := range shown.Tags {
		t.Tags = append(t.Tags, ao.Tag{Name: string(tag.Name), Value: string(tag.Value)})
	}
	return t, nil
}

// trimQuotes gives a number that may be written as a string, as older nodes and gateways do.
func trimQuotes(raw json.RawMessage) string {
	text := string(raw)
	if len(text) >= 2 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	return text
}

// ID is the SHA-256 of the signature.
func (t *Transaction) ID() ao.ID { return sha256.Sum256(t.Signature) }

// Address is the owner's: the SHA-256 of the key in base64url.
func (t *Transaction) Address() string { return ao.ID(sha256.Sum256(t.Owner)).String() }

// Unbound reports whether the transaction is signed with secp256k1 and names no owner: its id, the digest of the signature,
// then says nothing of the rest, since every message makes the signature that of some key.
func (t *Transaction) Unbound() bool { return len(t.Owner) == 0 && len(t.Signature) == secp256k1Bytes }

// secp256k1Bytes is the length of a signature r, s, recovery number.
const secp256k1Bytes = 65

// TargetText is the target in base64url, or "".
func (t *Transaction) TargetText() string { return (&Item{Target: t.Target}).TargetText() }

// SigningMessage is what the owner signs: in format 2 a deep hash, in format 1 the fields one after the other.
func (t *Transaction) SigningMessage() []byte {
	if t.Format == 1 {
		var message []byte
		for _, part := range [...][]byte{t.Owner, t.Target, t.Data, []byte(t.Quantity), []byte(t.Reward), t.Anchor} {
			message = append(message, part...)
		}
		for _, tag := range t.Tags {
			message = append(append(message, tag.Name...), tag.Value...)
		}
		return message
	}
	tags := make([][sha512.Size384]byte, len(t.Tags))
	for i, tag := range t.Tags {
		tags[i] = listHash(blobHash([]byte(tag.Name)), blobHash([]byte(tag.Value)))
	}
	parts := [][sha512.Size384]byte{blobHash([]byte("2"))}
	if t.Denomination > 0 {
		parts = append([][sha512.Size384]byte{blobHash([]byte(strconv.FormatInt(t.Denomination, 10)))}, parts...)
	}
	parts = append(parts, blobHash(t.Owner), blobHash(t.Target), blobHash([]byte(t.Quantity)), blobHash([]byte(t.Reward)), blobHash(t.Anchor), listHash(tags...),
		blobHash([]byte(strconv.FormatInt(t.DataSize, 10))), blobHash(t.DataRoot))
	hash := listHash(parts...)
	return hash[:]
}

// Verify checks that the owner signed all but, in format 2, the data. Its error wraps ErrSignature.
func (t *Transaction) Verify() error {
	var err error
	switch {
	case t.Format == 1 && t.Denomination > 0:
		err = fmt.Errorf("%w: format 1 with a denomination is not known here", ErrSignature)
	case len(t.Owner) == 0 || len(t.Owner) > rsaBytes:
		err = fmt.Errorf("%w: an owner of %d bytes, want 1 to %d", ErrSignature, len(t.Owner), rsaBytes)
	default:
		if errRSA := verifyRSA(t.Owner, t.SigningMessage(), t.Signature); errRSA != nil {
			err = fmt.Errorf("%w: %w", ErrSignature, errRSA)
		}
	}
	if err != nil {
		return fmt.Errorf("transaction %s: %w", t.ID(), err)
	}
	return nil
}
