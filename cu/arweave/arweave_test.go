package arweave

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
)

// gateway holds items and may lie about them. With hasItems it serves signed items, as this project's local network does;
// without, only an index and raw data, as public gateways do.
type gateway struct {
	items    map[ao.ID]*dataitem.Item
	hasItems bool
	// transactions are of the base layer, as JSON; their data is in raw, by the same id.
	transactions map[ao.ID][]byte
	raw          map[ao.ID][]byte
	spoil        func(path string, body []byte) []byte
	requests     []string
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.requests = append(g.requests, r.URL.Path)
	switch what, text, _ := strings.Cut(strings.Trim(r.URL.Path, "/"), "/"); {
	case what == "info":
		io.WriteString(w, `{"height":1600001}`)
	case what == "tx" && r.Method == http.MethodGet:
		id, _ := ao.ParseID(text)
		if g.transactions[id] == nil {
			http.NotFound(w, r)
			return
		}
		w.Write(g.spoil(what, g.transactions[id]))
	case what == "tx":
		body, _ := io.ReadAll(r.Body)
		item, err := dataitem.Parse(body)
		if err != nil || item.Verify() != nil {
			http.Error(w, "bad item", 400)
			return
		}
		g.items[item.ID()] = item
	case what == "graphql":
		g.index(w, r)
	default:
		id, _ := ao.ParseID(text)
		if what == "raw" && g.raw[id] != nil {
			w.Write(g.spoil(what, bytes.Clone(g.raw[id])))
			return
		}
		item := g.items[id]
		if item == nil || what == "item" && !g.hasItems {
			http.NotFound(w, r)
			return
		}
		body := item.Data
		if what == "item" {
			body = item.Bytes()
		}
		w.Write(g.spoil(what, bytes.Clone(body)))
	}
}

func (g *gateway) index(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Variables struct{ IDs, Owners []string }
	}
	json.NewDecoder(r.Body).Decode(&asked)
	edges := []any{}
	for id, item := range g.items {
		if len(asked.Variables.IDs) == 1 && asked.Variables.IDs[0] == id.String() || len(asked.Variables.Owners) == 1 && asked.Variables.Owners[0] == item.Address() {
			entry, _ := json.Marshal(map[string]any{"id": id, "signature": base64.RawURLEncoding.EncodeToString(item.Signature),
				"anchor": base64.RawURLEncoding.EncodeToString(item.Anchor), "recipient": item.TargetText(), "tags": append(ao.Tags{}, item.Tags...),
				"owner": map[string]string{"address": item.Address(), "key": base64.RawURLEncoding.EncodeToString(item.Owner)}})
			edges = append(edges, map[string]json.RawMessage{"node": g.spoil("entry", entry)})
		}
	}
	for id := range g.transactions {
		if len(asked.Variables.IDs) == 1 && asked.Variables.IDs[0] == id.String() {
			edges = append(edges, map[string]any{"node": map[string]any{"id": id, "tags": []any{}}})
		}
	}
	json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"transactions": map[string]any{"edges": edges}}})
}

func setUp(t *testing.T, hasItems bool, cacheFolder string) (*gateway, *Client, *dataitem.Item) {
	t.Helper()
	signer, err := dataitem.NewEd25519Signer(bytes.Repeat([]byte{5}, 32))
	if err != nil {
		t.Fatal(err)
	}
	item, err := dataitem.Sign(signer, dataitem.Draft{Target: ao.ID{8}, Anchor: []byte("0123456789abcdefghijklmnopqrstuv"), Data: bytes.Repeat([]byte("wasm"), 50_000),
		Tags: ao.Tags{{Name: "Module-Format", Value: "f"}, {Name: "Url", Value: "http://su"}}})
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{items: map[ao.ID]*dataitem.Item{}, hasItems: hasItems, spoil: func(_ string, body []byte) []byte { return body }}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	client, err := New(Options{Gateway: server.URL, CacheFolder: cacheFolder})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Upload(t.Context(), item); err != nil {
		t.Fatal(err)
	}
	return g, client, item
}

func TestFetch(t *testing.T) {
	for _, hasItems := range []bool{true, false} {
		_, client, item := setUp(t, hasItems, "")
		got, err := client.Fetch(t.Context(), item.ID())
		if err != nil || !got.Verified || got.ID != item.ID() || got.Owner != item.Address() || !bytes.Equal(got.Data, item.Data) ||
			got.Target != item.TargetText() || !bytes.Equal(got.Anchor, item.Anchor) || got.Tags.Get("Url") != "http://su" {
			t.Errorf("items %v: %+v, %v", hasItems, got, err)
		}
		module, wasm, verified, err := client.Module(t.Context(), item.ID())
		if err != nil || module.Format != "f" || !verified || !bytes.Equal(wasm, item.Data) {
			t.Errorf("items %v: %+v, %v", hasItems, module, err)
		}
		path := filepath.Join(t.TempDir(), "model")
		file, err := client.FetchFile(t.Context(), item.ID(), path, FileBytesMax)
		written, _ := os.ReadFile(path)
		if err != nil || !file.Verified || file.SHA256 != sha256.Sum256(item.Data) || file.DataBytes != int64(len(item.Data)) || !bytes.Equal(written, item.Data) {
			t.Errorf("items %v: file %+v, %v", hasItems, file, err)
		}
		if _, err := client.Fetch(t.Context(), ao.ID{1}); !errors.Is(err, ErrNotFound) {
			t.Errorf("items %v: %v", hasItems, err)
		}
		if _, err := client.FetchFile(t.Context(), ao.ID{1}, path+"2", FileBytesMax); !errors.Is(err, ErrNotFound) {
			t.Errorf("items %v: %v", hasItems, err)
		}
		if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
			t.Errorf("items %v: files left: %v", hasItems, left)
		}
	}
}

// TestLies: a gateway that changes any byte is found out, or, where the signature is not to be had, is not called verified.
func TestLies(t *testing.T) {
	flip := func(at int) func([]byte) []byte {
		return func(body []byte) []byte {
			at := at
			if at < 0 {
				at += len(body)
			}
			body[at] ^= 1
			return body
		}
	}
	for name, spoil := range map[string]func([]byte) []byte{
		"last byte": flip(-1), "signature": flip(5), "owner": flip(70), "tags": flip(190), "shorter": func(body []byte) []byte { return body[:len(body)-1] },
		"longer": func(body []byte) []byte { return append(body, 0) },
	} {
		g, client, item := setUp(t, true, t.TempDir())
		g.spoil = func(path string, body []byte) []byte {
			if path == "item" {
				return spoil(body)
			}
			return body
		}
		if _, err := client.Fetch(t.Context(), item.ID()); !errors.Is(err, ErrForged) {
			t.Errorf("item, %s: %v", name, err)
		}
		path := filepath.Join(t.TempDir(), "model")
		if _, err := client.FetchFile(t.Context(), item.ID(), path, FileBytesMax); !errors.Is(err, ErrForged) {
			t.Errorf("file, %s: %v", name, err)
		}
		if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 0 {
			t.Errorf("file, %s: left %v", name, left)
		}
	}
	g, client, item := setUp(t, false, t.TempDir())
	g.spoil = func(path string, body []byte) []byte {
		if path == "raw" {
			return flip(-1)(body)
		}
		return body
	}
	if got, err := client.Fetch(t.Context(), item.ID()); err != nil || got.Verified {
		t.Errorf("raw data: %v, %v", got.Verified, err)
	}
	if got, err := client.FetchFile(t.Context(), item.ID(), filepath.Join(t.TempDir(), "model"), FileBytesMax); err != nil || got.Verified {
		t.Errorf("raw data to a file: %v, %v", got.Verified, err)
	}
	g.spoil = func(path string, body []byte) []byte {
		if path == "entry" {
			return bytes.Replace(body, []byte(`"http://su"`), []byte(`"http://no"`), 1)
		}
		return body
	}
	if got, err := client.Fetch(t.Context(), item.ID()); err != nil || got.Verified {
		t.Errorf("index: %v, %v", got.Verified, err)
	}
}

func TestCache(t *testing.T) {
	folder := t.TempDir()
	g, client, item := setUp(t, true, folder)
	fetch := func() {
		t.Helper()
		if got, err := client.Fetch(t.Context(), item.ID()); err != nil || !got.Verified || !bytes.Equal(got.Data, item.Data) {
			t.Fatalf("%v, %v", got.Verified, err)
		}
	}
	fetch()
	before := len(g.requests)
	if fetch(); len(g.requests) != before {
		t.Errorf("asked the gateway for what is in the cache: %q", g.requests[before:])
	}
	path := filepath.Join(folder, item.ID().String())
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{"bit": append([]byte{raw[0] ^ 1}, raw[1:]...), "end": raw[:len(raw)-1], "empty": nil} {
		if err := os.WriteFile(path, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		before := len(g.requests)
		if fetch(); len(g.requests) == before {
			t.Errorf("%s: a damaged file is served", name)
		}
	}
	// What cannot be kept is still answered.
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	fetch()
}

func TestLocate(t *testing.T) {
	_, client, item := setUp(t, false, "")
	if found, err := client.Locate(t.Context(), item.Address()); err != nil || found.URL != "http://su" {
		t.Errorf("%q, %v", found, err)
	}
	if _, err := client.Locate(t.Context(), "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	if height, err := client.BlockHeight(t.Context()); err != nil || height != 1600001 {
		t.Errorf("%d, %v", height, err)
	}
}

func TestMessage(t *testing.T) {
	item := Fetched{ID: ao.ID{1}, Owner: "o", Target: "t", Anchor: []byte("a"), Data: []byte("d\xff"), Signature: "s", Tags: ao.Tags{{Name: "From-Process", Value: "p"}}}
	for exclude, want := range map[string]string{
		"": `{"Id":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","Signature":"s","Data":"d�","Owner":"o","Target":"t","Anchor":"YQ","From":"p",` +
			`"Tags":[{"name":"From-Process","value":"p"}],"Timestamp":0,"Block-Height":0,"Cron":false,"Read-Only":false}`,
		"Data,Tags,Signature,Anchor": `{"Id":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","Owner":"o","Target":"t","From":"o",` +
			`"Tags":[],"Timestamp":0,"Block-Height":0,"Cron":false,"Read-Only":false}`,
	} {
		if got := string(item.Message(strings.Split(exclude, ",")).AppendJSON(nil)); got != want {
			t.Errorf("without %q:\n got %s\nwant %s", exclude, got, want)
		}
	}
}

// What the first gateway does not have, the next may have, whichever way items are fetched.
func TestFallback(t *testing.T) {
	for _, hasItems := range []bool{true, false} {
		_, _, item := setUp(t, hasItems, "")
		other, client, _ := setUp(t, hasItems, "")
		other.items = map[ao.ID]*dataitem.Item{}
		if _, err := client.Fetch(t.Context(), item.ID()); !errors.Is(err, ErrNotFound) {
			t.Fatalf("items %v: %v", hasItems, err)
		}
		_, has, _ := setUp(t, hasItems, "")
		both, err := New(Options{Gateway: client.gateways[0], Fallbacks: has.gateways})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := both.Fetch(t.Context(), item.ID()); err != nil || !got.Verified || !bytes.Equal(got.Data, item.Data) {
			t.Errorf("items %v: %+v, %v", hasItems, got.ID, err)
		}
		if _, err := both.Fetch(t.Context(), ao.ID{1}); !errors.Is(err, ErrNotFound) {
			t.Errorf("items %v: what nobody has: %v", hasItems, err)
		}
		path := t.TempDir() + "/file"
		if file, err := both.FetchFile(t.Context(), item.ID(), path, FileBytesMax); err != nil || !file.Verified {
			t.Errorf("items %v: to a file: %v", hasItems, err)
		}
	}
}
