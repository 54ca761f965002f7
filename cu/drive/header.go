package drive

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"verbatim/cu/ao"
	"verbatim/cu/arweave"
	"verbatim/cu/dataitem"
)

// addressMember is what the reference adds to a transaction's JSON.
const addressMember = "ownerAddress"

// withAddress gives a node's JSON of a transaction as the reference shows it: without white space, strings and numbers as
// JavaScript writes them, and with the address of the owner as a last member.
func withAddress(raw []byte, address string) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return nil, err
	}
	if members == nil {
		return nil, errors.New("it is not an object")
	}
	if _, ok := members[addressMember]; ok {
		return nil, fmt.Errorf("it has a member %s already", addressMember)
	}
	shown, err := rewrite(raw)
	if err != nil {
		return nil, err
	}
	shown = bytes.TrimSuffix(shown, []byte("}"))
	if len(members) > 0 {
		shown = append(shown, ',')
	}
	shown = append(ao.AppendText(shown, addressMember), ':')
	return append(ao.AppendText(shown, address), '}'), nil
}

// rewrite gives JSON as JSON.stringify writes what JSON.parse made of it.
func rewrite(raw []byte) (to []byte, err error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	var open []byte   // '{' or '[', and for an object whose next text is a name, 'n'
	separated := true // nothing goes before the next value
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return to, nil
		}
		if err != nil {
			return nil, err
		}
		end, isDelim := token.(json.Delim)
		if isDelim && (end == '}' || end == ']') {
			to, open, separated = append(to, byte(end)), open[:len(open)-1], false
			continue
		}
		if !separated {
			to = append(to, ',')
		}
		if named := len(open) > 0 && open[len(open)-1] == 'n'; named {
			to = append(ao.AppendText(to, token.(string)), ':')
			open[len(open)-1], separated = '{', true
			continue
		}
		if to, err = appendToken(to, token); err != nil {
			return nil, err
		}
		separated = isDelim
		if len(open) > 0 && open[len(open)-1] == '{' {
			open[len(open)-1] = 'n'
		}
		if isDelim {
			kind := byte('[')
			if end == '{' {
				kind = 'n'
			}
			open = append(open, kind)
		}
	}
}

func appendToken(to []byte, token json.Token) ([]byte, error) {
	switch token := token.(type) {
	case json.Delim:
		return append(to, byte(token)), nil
	case string:
		return ao.AppendText(to, token), nil
	}
	plain, err := json.Marshal(token) // numbers as in ECMAScript
	return append(to, plain...), err
}

// showsItem reports whether a transaction's JSON says of a verified item what its owner signed.
func showsItem(t *dataitem.Transaction, item arweave.Fetched) bool {
	return t.ID() == item.ID && dataitem.Address(t.Owner) == item.Owner && t.TargetText() == item.Target && slices.Equal(t.Tags, item.Tags) &&
		bytes.Equal(t.Anchor, item.Anchor) && base64.RawURLEncoding.EncodeToString(t.Signature) == item.Signature &&
		t.DataSize == int64(len(item.Data))
}
