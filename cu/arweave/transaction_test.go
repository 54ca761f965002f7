package arweave

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
)

// baseLayer is a gateway with the transactions of cu/dataitem/testdata, which its index shows without signatures.
func baseLayer(t *testing.T) (*gateway, *Client, []ao.ID) {
	t.Helper()
	raw, err := os.ReadFile("../dataitem/testdata/transactions.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Bytes       int
		Transaction json.RawMessage
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	g := &gateway{items: map[ao.ID]*dataitem.Item{}, transactions: map[ao.ID][]byte{}, raw: map[ao.ID][]byte{},
		spoil: func(_ string, body []byte) []byte { return body }}
	var ids []ao.ID
	for _, vector := range vectors {
		transaction, err := dataitem.ParseTransaction(vector.Transaction)
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, vector.Bytes)
		for i := range data {
			data[i] = byte(i*31 + i>>8)
		}
		g.transactions[transaction.ID()], g.raw[transaction.ID()] = vector.Transaction, data
		ids = append(ids, transaction.ID())
	}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	client, err := New(Options{Gateway: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	return g, client, ids
}

// What lies on the base layer is verified by its transaction, in memory and in files.
func TestFetchBaseLayer(t *testing.T) {
	g, client, ids := baseLayer(t)
	path := filepath.Join(t.TempDir(), "data")
	for _, id := range ids {
		want := g.raw[id]
		got, err := client.Fetch(t.Context(), id)
		if err != nil || !got.Verified || got.ID != id || !bytes.Equal(got.Data, want) || got.Tags.Get("Content-Type") == "" {
			t.Errorf("%d bytes: verified %v, %d bytes, %v", len(want), got.Verified, len(got.Data), err)
		}
		file, err := client.FetchFile(t.Context(), id, path, int64(len(want)))
		if err != nil || !file.Verified || file.DataBytes != int64(len(want)) || file.SHA256 != sha256.Sum256(want) {
			t.Errorf("%d bytes to a file: %+v, %v", len(want), file, err)
		}
		if _, err := client.FetchFile(t.Context(), id, path, int64(len(want))-1); err == nil {
			t.Errorf("%d bytes to a file: no error with a limit of one less", len(want))
		}
	}
}

func TestForgedBaseLayer(t *testing.T) {
	g, client, ids := baseLayer(t)
	path := filepath.Join(t.TempDir(), "data")
	for name, spoil := range map[string]func(what string, body []byte) []byte{
		"a bit":   func(_ string, body []byte) []byte { body[len(body)/2] ^= 1; return body },
		"longer":  func(_ string, body []byte) []byte { return append(body, 0) },
		"shorter": func(_ string, body []byte) []byte { return body[:len(body)-1] },
	} {
		g.spoil = func(what string, body []byte) []byte {
			if what == "raw" {
				return spoil(what, body)
			}
			return body
		}
		for _, id := range ids {
			if got, err := client.Fetch(t.Context(), id); !errors.Is(err, ErrForged) {
				t.Errorf("%s, %d bytes: verified %v, %v", name, len(g.raw[id]), got.Verified, err)
			}
			if _, err := client.FetchFile(t.Context(), id, path, FileBytesMax); !errors.Is(err, ErrForged) {
				t.Errorf("%s, %d bytes to a file: %v", name, len(g.raw[id]), err)
			}
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a forged file is there: %v", err)
	}
	g.spoil = func(what string, body []byte) []byte {
		return bytes.Replace(body, []byte(`"reward":"12345"`), []byte(`"reward":"12346"`), 1)
	}
	if _, _, err := client.Transaction(t.Context(), ids[0]); !errors.Is(err, ErrUnverified) {
		t.Errorf("another reward: %v, want %v", err, ErrUnverified)
	}
	g.transactions[ids[0]] = g.transactions[ids[1]]
	if _, _, err := client.Transaction(t.Context(), ids[0]); !errors.Is(err, ErrForged) {
		t.Errorf("another transaction: %v, want %v", err, ErrForged)
	}
}
