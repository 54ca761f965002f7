package localnet

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"verbatim/cu/arweave"
	"verbatim/cu/dataitem"
)

// vector is a transaction that arweave.js signed, over data of a size at which the tree over it changes its form.
type vector struct {
	Bytes       int64
	Transaction json.RawMessage
	parsed      *dataitem.Transaction
	data        []byte
}

func readVectors(t testing.TB) (vectors []vector) {
	t.Helper()
	text, err := os.ReadFile("../../cu/dataitem/testdata/transactions.json")
	if err == nil {
		err = json.Unmarshal(text, &vectors)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := range vectors {
		v := &vectors[i]
		if v.parsed, err = dataitem.ParseTransaction(v.Transaction); err != nil {
			t.Fatal(err)
		}
		v.data = make([]byte, v.Bytes)
		for at := range v.data {
			v.data[at] = byte(at*31 + at>>8)
		}
	}
	return vectors
}

// chunksOf gives the bodies of POST /chunk for data.
func (v vector) chunksOf(t testing.TB) (bodies [][]byte) {
	t.Helper()
	tree, err := dataitem.NewDataTree(bytes.NewReader(v.data), v.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for at := int64(0); at < v.Bytes; {
		path, leaf := tree.PathTo(at)
		place := span{leaf.Start, leaf.End}
		body, err := json.Marshal(map[string]string{
			"data_root": encode(v.parsed.DataRoot), "data_size": fmt.Sprint(v.Bytes), "data_path": encode(path), "offset": fmt.Sprint(place.end - 1),
			"chunk": encode(v.data[place.start:place.end]),
		})
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, body)
		at = place.end
	}
	return bodies
}

// TestTransactions: transactions come whole or in chunks, are checked, outlive a restart in the middle, and are there in every
// way that clients ask for them.
func TestTransactions(t *testing.T) {
	folder := t.TempDir()
	network, urls := listen(t, folder)
	vectors := readVectors(t)
	for _, v := range vectors {
		if status, said := request(t, "POST", urls.Gateway+"/tx", v.Transaction); status != 200 {
			t.Fatalf("%d bytes: %d %s", v.Bytes, status, said)
		}
		if v.parsed.Format == 1 || v.Bytes == 0 {
			continue
		}
		path := urls.Gateway + "/tx/" + v.parsed.ID().String()
		if status, said := request(t, "GET", path, nil); status != 202 || said != "Pending" {
			t.Errorf("%d bytes: %d %s", v.Bytes, status, said)
		}
		bodies := v.chunksOf(t)
		flipped := bytes.Replace(bodies[0], []byte(`"chunk":"`), []byte(`"chunk":"AAAA`), 1)
		if status, said := request(t, "POST", urls.Gateway+"/chunk", flipped); status != 400 || !strings.Contains(said, "invalid_proof") && !strings.Contains(said, "chunk_too_big") {
			t.Errorf("%d bytes: another chunk: %d %s", v.Bytes, status, said)
		}
		for _, body := range bodies[1:] {
			if status, said := request(t, "POST", urls.Gateway+"/chunk", body); status != 200 {
				t.Errorf("%d bytes: %d %s", v.Bytes, status, said)
			}
		}
	}
	if status, said := request(t, "POST", urls.Gateway+"/chunk", []byte(`{"data_root":"x"}`)); status != 400 || !strings.Contains(said, "invalid_json") {
		t.Errorf("%d %s", status, said)
	}
	if err := network.Close(); err != nil {
		t.Fatal(err)
	}
	network, urls = listen(t, folder)
	for _, v := range vectors {
		if v.parsed.Format == 2 && v.Bytes > 0 {
			if status, said := request(t, "POST", urls.Gateway+"/chunk", v.chunksOf(t)[0]); status != 200 {
				t.Errorf("%d bytes: %d %s", v.Bytes, status, said)
			}
		}
	}
	weave := network.store.weave
	if err := network.Close(); err != nil {
		t.Fatal(err)
	}
	network, urls = listen(t, folder)
	if network.store.weave != weave || len(network.arrivals.open) > 0 {
		t.Errorf("a weave of %d bytes became one of %d; %d still wait", weave, network.store.weave, len(network.arrivals.open))
	}
	client, err := arweave.New(arweave.Options{Gateway: urls.Gateway})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		checkStored(t, urls, v)
		if got, err := client.Fetch(t.Context(), v.parsed.ID()); err != nil || !got.Verified || !bytes.Equal(got.Data, v.data) {
			t.Errorf("%d bytes: fetched %v, %v", v.Bytes, got.Verified, err)
		}
	}
}

// checkStored asks for a transaction in every way.
func checkStored(t *testing.T, urls URLs, v vector) {
	id := v.parsed.ID().String()
	status, said := request(t, "GET", urls.Gateway+"/tx/"+id, nil)
	shown, err := dataitem.ParseTransaction([]byte(said))
	if status != 200 || err != nil || shown.Verify() != nil || shown.ID() != v.parsed.ID() {
		t.Errorf("%d bytes: %d %s %v", v.Bytes, status, said, err)
	}
	for _, path := range []string{"/raw/" + id, "/" + id} {
		if status, said := request(t, "GET", urls.Gateway+path, nil); status != 200 || said != string(v.data) {
			t.Errorf("%s of %d bytes: %d, %d bytes", path, v.Bytes, status, len(said))
		}
	}
	if status, said := request(t, "GET", urls.Gateway+"/tx/"+id+"/data_root", nil); status != 200 || said != encode(v.parsed.DataRoot) {
		t.Errorf("%d bytes: data_root %d %s", v.Bytes, status, said)
	}
	if status, said := request(t, "GET", urls.Gateway+"/tx/"+id+"/data", nil); status != 200 || said != encode(v.data) {
		t.Errorf("%d bytes: data %d, %d characters", v.Bytes, status, len(said))
	}
	if status, _ := request(t, "GET", urls.Gateway+"/item/"+id, nil); status != 404 {
		t.Errorf("%d bytes: /item is %d", v.Bytes, status)
	}
	found := ask(t, urls, `{transactions(ids:["`+id+`"]){edges{node{id data{size} bundledIn{id} owner{address}}}}}`, nil)
	if want := fmt.Sprintf(`{"data":{"transactions":{"edges":[{"node":{"bundledIn":null,"data":{"size":"%d"},"id":%q,"owner":{"address":%q}}}]}}}`, v.Bytes, id, v.parsed.Address()); found != want {
		t.Errorf("\n got %s\nwant %s", found, want)
	}
	if v.Bytes == 0 {
		return
	}
	// As arweave.js reads it: from the offset on, chunk after chunk.
	var place struct{ Size, Offset json.Number }
	_, said = request(t, "GET", urls.Gateway+"/tx/"+id+"/offset", nil)
	if err := json.Unmarshal([]byte(said), &place); err != nil {
		t.Fatalf("%s: %v", said, err)
	}
	end, _ := place.Offset.Int64()
	var read []byte
	for int64(len(read)) < v.Bytes {
		var got struct {
			Chunk string
			Path  string `json:"data_path"`
		}
		_, said := request(t, "GET", fmt.Sprint(urls.Gateway, "/chunk/", end-v.Bytes+1+int64(len(read))), nil)
		if err := json.Unmarshal([]byte(said), &got); err != nil {
			t.Fatalf("%s: %v", said, err)
		}
		chunk, _ := base64.RawURLEncoding.DecodeString(got.Chunk)
		path, _ := base64.RawURLEncoding.DecodeString(got.Path)
		if v.parsed.Format == 2 {
			if _, err := checkPath(hash(v.parsed.DataRoot), v.Bytes, int64(len(read)), path, chunk); err != nil {
				t.Fatalf("chunk at %d of %d: %v", len(read), v.Bytes, err)
			}
		}
		read = append(read, chunk...)
	}
	if !bytes.Equal(read, v.data) {
		t.Errorf("%d bytes in chunks are others", v.Bytes)
	}
}

// TestRefusesTransactions: what is not signed, or not what was signed, is not kept.
func TestRefusesTransactions(t *testing.T) {
	_, urls := listen(t, t.TempDir())
	v := readVectors(t)[0]
	for what, change := range map[string]func(map[string]any){
		"another reward":     func(m map[string]any) { m["reward"] = "999" },
		"another size":       func(m map[string]any) { m["data_size"] = "2" },
		"data, but another":  func(m map[string]any) { m["data"] = encode([]byte("!")) },
		"data, but too much": func(m map[string]any) { m["data"] = encode([]byte("!!")) },
		"no format":          func(m map[string]any) { delete(m, "format") },
	} {
		var fields map[string]any
		if err := json.Unmarshal(v.Transaction, &fields); err != nil {
			t.Fatal(err)
		}
		change(fields)
		body, _ := json.Marshal(fields)
		if status, said := request(t, "POST", urls.Gateway+"/tx", body); status != 400 {
			t.Errorf("%s: %d %s", what, status, said)
		}
	}
	if status, _ := request(t, "GET", urls.Gateway+"/tx/"+v.parsed.ID().String(), nil); status != 404 {
		t.Errorf("it is there: %d", status)
	}
	if status, said := request(t, "POST", urls.Gateway+"/chunk", v.chunksOf(t)[0]); status != 400 || !strings.Contains(said, "data_root_not_found") {
		t.Errorf("a chunk of nothing: %d %s", status, said)
	}
}

// TestOddTrees: data may lie under another tree than ours, which no path shows. It is refused when all of it is there, the
// transaction is forgotten, and the network starts again.
func TestOddTrees(t *testing.T) {
	folder := t.TempDir()
	network, urls := listen(t, folder)
	chunks := [][]byte{[]byte("two chunks "), []byte("where one would do")}
	left, right := int64(len(chunks[0])), int64(len(chunks[1]))
	contents := [...]hash{sha256.Sum256(chunks[0]), sha256.Sum256(chunks[1])}
	leaves := [...]hash{dataitem.LeafHash(contents[0], dataitem.EndNumber(left)), dataitem.LeafHash(contents[1], dataitem.EndNumber(left+right))}
	root := dataitem.BranchHash(leaves[0], leaves[1], dataitem.EndNumber(left))
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	odd := &dataitem.Transaction{Format: 2, Owner: key.N.Bytes(), Quantity: "0", Reward: "0", DataSize: left + right, DataRoot: root[:]}
	signed := sha256.Sum256(odd.SigningMessage())
	if odd.Signature, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, signed[:], nil); err != nil {
		t.Fatal(err)
	}
	posted, err := json.Marshal(transactionJSON(odd, odd.DataSize))
	if err != nil {
		t.Fatal(err)
	}
	if status, said := request(t, "POST", urls.Gateway+"/tx", posted); status != 200 {
		t.Fatalf("%d %s", status, said)
	}
	for i, end := range [...]int64{left, left + right} {
		path := slices.Concat(leaves[0][:], leaves[1][:], dataitem.EndNumber(left), contents[i][:], dataitem.EndNumber(end))
		body, err := json.Marshal(map[string]string{"data_root": encode(root[:]), "data_size": fmt.Sprint(left + right), "data_path": encode(path),
			"offset": fmt.Sprint(end - 1), "chunk": encode(chunks[i])})
		if err != nil {
			t.Fatal(err)
		}
		if status, said := request(t, "POST", urls.Gateway+"/chunk", body); (status == 200) != (i == 0) {
			t.Errorf("chunk %d: %d %s", i, status, said)
		}
	}
	if status, said := request(t, "GET", urls.Gateway+"/tx/"+odd.ID().String(), nil); status != 404 {
		t.Errorf("got %d %s, want 404: it is forgotten", status, said)
	}
	if err := network.Close(); err != nil {
		t.Fatal(err)
	}
	listen(t, folder)
}

// TestPaths: every change of a path or chunk is noticed.
func TestPaths(t *testing.T) {
	for _, v := range readVectors(t) {
		if v.parsed.Format == 1 || v.Bytes == 0 {
			continue
		}
		tree, err := dataitem.NewDataTree(bytes.NewReader(v.data), v.Bytes)
		if err != nil || !bytes.Equal(tree.Hash[:], v.parsed.DataRoot) {
			t.Fatalf("%d bytes: root %x (%v), want %x", v.Bytes, tree.Hash, err, v.parsed.DataRoot)
		}
		path, leaf := tree.PathTo(v.Bytes / 2)
		place := span{leaf.Start, leaf.End}
		chunk := v.data[place.start:place.end]
		if got, err := checkPath(tree.Hash, v.Bytes, v.Bytes/2, path, chunk); err != nil || got != place {
			t.Errorf("%d bytes: %v %v, want %v", v.Bytes, got, err, place)
		}
		for at := range path {
			changed := bytes.Clone(path)
			changed[at] ^= 1
			for _, wrong := range [][]byte{changed, path[:at]} {
				if _, err := checkPath(tree.Hash, v.Bytes, v.Bytes/2, wrong, chunk); !errors.Is(err, errProof) {
					t.Fatalf("%d bytes, byte %d of the path: %v", v.Bytes, at, err)
				}
			}
		}
		for _, at := range []int64{-1, place.start - 1, place.end, v.Bytes} {
			if _, err := checkPath(tree.Hash, v.Bytes, at, path, chunk); !errors.Is(err, errProof) {
				t.Errorf("%d bytes: the path leads to byte %d: %v", v.Bytes, at, err)
			}
		}
		if _, err := checkPath(tree.Hash, v.Bytes+1, v.Bytes/2, path, chunk); place.end == v.Bytes && v.Bytes%chunkBytesMax != 0 && !errors.Is(err, errProof) {
			t.Errorf("%d bytes: another size: %v", v.Bytes, err)
		}
	}
}

// FuzzPath looks for paths that crash, or that lead to a chunk that is not there.
func FuzzPath(f *testing.F) {
	v := readVectors(f)[0]
	tree, err := dataitem.NewDataTree(bytes.NewReader(v.data), v.Bytes)
	if err != nil {
		f.Fatal(err)
	}
	path, _ := tree.PathTo(0)
	f.Add(path, v.data, v.Bytes, int64(0))
	f.Fuzz(func(t *testing.T, path, chunk []byte, size, at int64) {
		place, err := checkPath(tree.Hash, size, at, path, chunk)
		if err == nil && (size != v.Bytes || !bytes.Equal(chunk, v.data[place.start:place.end])) {
			t.Errorf("%x leads to %v of %d", path, place, size)
		}
	})
}
