package mainnet

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"

	"verbatim/cu/dataitem"
)

const bodyBytesMax = 16 << 20

// message is what a request carries besides its path.
type message struct {
	item *dataitem.Item // nil: none
	http bool           // the request itself is signed
}

// unsigned is what aoconnect sends as an item when it was given no signer: JavaScript's text of an object.
const unsigned = "[object Object]"

// read takes the message of a request and verifies whatever signature it has.
func read(w http.ResponseWriter, r *http.Request) (message, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyBytesMax))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return message{}, refuse(http.StatusRequestEntityTooLarge, "a body of more than %d bytes", bodyBytesMax)
	}
	if err != nil {
		return message{}, refuse(http.StatusBadRequest, "read the body: %w", err)
	}
	owner, err := verifyRequest(r)
	if err != nil {
		return message{}, refuse(http.StatusBadRequest, "HTTP message signature: %w", err)
	}
	given := message{http: owner != nil}
	if !isItem(r.Header) {
		return given, checkDigest(r.Header.Get("Content-Digest"), body)
	}
	if len(body) == 0 || string(body) == unsigned {
		return given, nil
	}
	if given.item, err = dataitem.Parse(body); err == nil {
		err = given.item.Verify()
	}
	if err != nil {
		return message{}, refuse(http.StatusBadRequest, "the body: %w", err)
	}
	return given, nil
}

// isItem tells whether a body says that it is a data item.
func isItem(header http.Header) bool {
	return strings.HasPrefix(header.Get("Content-Type"), "application/ans104") || header.Get("Codec-Device") == "ans104@1.0"
}

// checkDigest compares a body with the SHA-256 in its Content-Digest (RFC 9530), if there is one.
func checkDigest(field string, body []byte) error {
	if field == "" {
		return nil
	}
	members, err := parseDictionary(field)
	if err != nil {
		return refuse(http.StatusBadRequest, "Content-Digest: %w", err)
	}
	for _, m := range members {
		if m.key != "sha-256" {
			continue
		}
		if digest := sha256.Sum256(body); m.value.kind != kindBytes || m.value.text != string(digest[:]) {
			return refuse(http.StatusBadRequest, "Content-Digest: the body has the SHA-256 %s", base64.StdEncoding.EncodeToString(digest[:]))
		}
	}
	return nil
}
