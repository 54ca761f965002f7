package dataitem

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"verbatim/cu/ao"
)

type vector struct {
	Name, ID, Owner, Target, Anchor string
	Type                            SignatureType
	Tags                            ao.Tags
	Data, Raw                       []byte
}

type vectors struct {
	Keys            struct{ Ed25519, Ethereum []byte }
	EthereumAddress string
	Items           []vector
	Bundle          struct {
		IDs []string
		Raw []byte
	}
}

// readVectors gives the items of testdata/vectors.json, which arbundles made.
func readVectors(t testing.TB) (read vectors) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &read); err != nil || len(read.Items) < 20 {
		t.Fatalf("%d items, %v", len(read.Items), err)
	}
	return read
}

func check(raw []byte) error {
	item, err := Parse(raw)
	if err != nil {
		return err
	}
	return item.Verify()
}

func TestReadsWhatArbundlesSigned(t *testing.T) {
	for _, want := range readVectors(t).Items {
		item, err := Parse(want.Raw)
		if err != nil {
			t.Errorf("%s: %v", want.Name, err)
			continue
		}
		got := vector{want.Name, item.ID().String(), base64.RawURLEncoding.EncodeToString(item.Owner), item.TargetText(), string(item.Anchor),
			item.Type, item.Tags, item.Data, want.Raw}
		if len(got.Tags) == 0 && len(want.Tags) == 0 {
			got.Tags, want.Tags = nil, nil
		}
		if len(got.Data) == 0 && len(want.Data) == 0 {
			got.Data, want.Data = nil, nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", want.Name, got, want)
		}
		if err := item.Verify(); err != nil {
			t.Errorf("%s: %v", want.Name, err)
		}
		if !bytes.Equal(item.Bytes(), want.Raw) {
			t.Errorf("%s: Bytes does not give back what was parsed", want.Name)
		}
		head, headerBytes, err := ParseHeader(want.Raw[:min(len(want.Raw), HeaderBytesMax)])
		if err != nil || headerBytes != len(want.Raw)-len(item.Data) {
			t.Errorf("%s: header of %d bytes, %v", want.Name, headerBytes, err)
		} else if size, err := head.VerifyStream(bytes.NewReader(want.Raw[headerBytes:])); err != nil || size != int64(len(item.Data)) {
			t.Errorf("%s: from a stream of %d bytes: %v", want.Name, size, err)
		} else if _, err := head.VerifyStream(bytes.NewReader(append(item.Data[:len(item.Data):len(item.Data)], 0))); err == nil {
			t.Errorf("%s: a stream with a byte more is accepted", want.Name)
		}
	}
}

func TestRefusesEveryTruncation(t *testing.T) {
	for _, vector := range readVectors(t).Items {
		for size := range vector.Raw {
			if check(vector.Raw[:size]) == nil {
				t.Errorf("%s: accepted with %d of %d bytes", vector.Name, size, len(vector.Raw))
			}
		}
		if check(append(vector.Raw[:len(vector.Raw):len(vector.Raw)], 0)) == nil {
			t.Errorf("%s: accepted with a byte more", vector.Name)
		}
	}
}

func TestRefusesEveryBitFlip(t *testing.T) {
	for _, vector := range readVectors(t).Items {
		for bit := range 8 * len(vector.Raw) {
			if vector.Name != "ed25519 all" && vector.Name != "ethereum all" && bit%8 != bit/8%8 {
				continue // one bit of each byte will do
			}
			flipped := bytes.Clone(vector.Raw)
			flipped[bit/8] ^= 1 << (bit % 8)
			if err := check(flipped); err == nil {
				t.Errorf("%s: accepted with bit %d of byte %d flipped", vector.Name, bit%8, bit/8)
			} else if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrSignature) {
				t.Errorf("%s: error of neither kind: %v", vector.Name, err)
			}
		}
	}
}

// testSigners gives the keys that the vectors were signed with, and an RSA key.
func testSigners(t testing.TB) map[string]Signer {
	t.Helper()
	keys := readVectors(t).Keys
	ed, err := NewEd25519Signer(keys.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	ethereum, err := NewEthereumSigner(keys.Ethereum)
	if err != nil {
		t.Fatal(err)
	}
	wallet, err := os.ReadFile("testdata/wallet.json")
	if err != nil {
		t.Fatal(err)
	}
	arweave, err := ParseJWK(wallet)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]Signer{"ed25519": ed, "ethereum": ethereum, "arweave": arweave}
}

// TestSignsLikeArbundles: Ed25519 and secp256k1 signatures have no randomness, so our items are the same bytes.
func TestSignsLikeArbundles(t *testing.T) {
	signers := testSigners(t)
	for _, want := range readVectors(t).Items {
		name, _, _ := strings.Cut(want.Name, " ")
		if name == "solana" {
			continue
		}
		draft := Draft{Anchor: []byte(want.Anchor), Tags: want.Tags, Data: want.Data}
		if want.Target != "" {
			draft.Target = ao.MustParseID(want.Target)
		}
		item, err := Sign(signers[name], draft)
		if err != nil {
			t.Errorf("%s: %v", want.Name, err)
			continue
		}
		if err := check(item.Bytes()); err != nil {
			t.Errorf("%s: %v", want.Name, err)
		}
		if name != "arweave" && !bytes.Equal(item.Bytes(), want.Raw) {
			t.Errorf("%s:\n got %x\nwant %x", want.Name, item.Bytes(), want.Raw)
		}
	}
}

// TestArbundlesVerifies hands our items to arbundles, when ARBUNDLES names a folder that has it in node_modules.
func TestArbundlesVerifies(t *testing.T) {
	folder := os.Getenv("ARBUNDLES")
	if folder == "" {
		t.Skip("ARBUNDLES is not set: see testdata/README.md")
	}
	script, err := os.ReadFile("testdata/verify.mjs")
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string][]byte{}
	drafts := map[string]Draft{
		"bare": {}, "all": {Target: ao.ID{1, 2, 3}, Anchor: []byte("0123456789abcdefghijklmnopqrstuv"), Data: []byte("data"),
			Tags: ao.Tags{{Name: "é中😀", Value: "<&>\n"}, {Name: "Empty", Value: ""}, {Name: "L", Value: strings.Repeat("y", 3000)}}},
	}
	for signerName, signer := range testSigners(t) {
		for shape, draft := range drafts {
			item, err := Sign(signer, draft)
			if err != nil {
				t.Fatal(err)
			}
			ours[signerName+" "+shape] = item.Bytes()
		}
	}
	input, _ := json.Marshal(ours)
	node := exec.Command("node", "--input-type=module", "-e", strings.Replace(string(script), "readFileSync(0)", "readFileSync('/dev/stdin')", 1))
	node.Dir, node.Stdin, node.Stderr = folder, bytes.NewReader(input), os.Stderr
	output, err := node.Output()
	if err != nil {
		t.Fatal(err)
	}
	var seen map[string]struct {
		Valid              bool
		ID, Target, Anchor string
		Tags               ao.Tags
		Data               []byte
	}
	if err := json.Unmarshal(output, &seen); err != nil {
		t.Fatal(err)
	}
	for name, raw := range ours {
		item, _ := Parse(raw)
		got := seen[name]
		if !got.Valid || got.ID != item.ID().String() || got.Target != item.TargetText() || got.Anchor != string(item.Anchor) ||
			!bytes.Equal(got.Data, item.Data) || len(got.Tags) != len(item.Tags) || (len(got.Tags) > 0 && !reflect.DeepEqual(got.Tags, item.Tags)) {
			t.Errorf("%s: arbundles saw %+v", name, got)
		}
	}
}

func TestAddress(t *testing.T) {
	vectors := readVectors(t)
	signer := testSigners(t)["ethereum"]
	if got := Address(signer.Owner()); got != vectors.EthereumAddress {
		t.Errorf("got %s, ethers says %s", got, vectors.EthereumAddress)
	}
	// From RFC 8032's first test key: SHA-256 of the public key.
	public, _ := hex.DecodeString("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
	if got, want := Address(public), "If4x36FUomFia_hUBG_SJxt77UtqvkWqWId-9H-XIbk"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestRefusesHighS(t *testing.T) {
	for _, vector := range readVectors(t).Items {
		if vector.Name != "ethereum all" {
			continue
		}
		// (r, n-s) with the other recovery byte is the second signature that plain ECDSA accepts.
		order, _ := hex.DecodeString("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
		twin := bytes.Clone(vector.Raw)
		borrow := 0
		for i := 31; i >= 0; i-- {
			difference := int(order[i]) - int(twin[2+32+i]) - borrow
			borrow = 0
			if difference < 0 {
				difference, borrow = difference+256, 1
			}
			twin[2+32+i] = byte(difference)
		}
		twin[2+64] ^= 27 ^ 28
		if err := check(twin); err == nil || !strings.Contains(err.Error(), "lower half") {
			t.Errorf("the twin signature: %v", err)
		}
	}
}

func TestBundle(t *testing.T) {
	vectors := readVectors(t)
	items, err := ParseBundle(vectors.Bundle.Raw)
	if err != nil || len(items) != len(vectors.Bundle.IDs) {
		t.Fatalf("%d items, %v", len(items), err)
	}
	for i, item := range items {
		if item.ID().String() != vectors.Bundle.IDs[i] || item.Verify() != nil {
			t.Errorf("item %d is %s, %v", i, item.ID(), item.Verify())
		}
	}
	if !bytes.Equal(Bundle(items), vectors.Bundle.Raw) {
		t.Error("Bundle does not give back what was parsed")
	}
	for size := range vectors.Bundle.Raw {
		items, err := ParseBundle(vectors.Bundle.Raw[:size])
		if err == nil && items[len(items)-1].Verify() == nil {
			t.Errorf("accepted with %d of %d bytes", size, len(vectors.Bundle.Raw))
		}
	}
	other := bytes.Clone(vectors.Bundle.Raw)
	other[bundleNumberBytes+bundleNumberBytes] ^= 1
	if _, err := ParseBundle(other); !errors.Is(err, ErrFormat) {
		t.Errorf("another id in the header: %v", err)
	}
	huge := bytes.Clone(vectors.Bundle.Raw)
	for i := range 8 {
		huge[i] = 0xff
	}
	if _, err := ParseBundle(huge); !errors.Is(err, ErrFormat) {
		t.Errorf("2^64-1 items: %v", err)
	}
}

func TestWallets(t *testing.T) {
	for name, signer := range testSigners(t) {
		text, err := MarshalJWK(signer)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseJWK(text)
		if err != nil || !bytes.Equal(back.Owner(), signer.Owner()) || back.Type() != signer.Type() {
			t.Errorf("%s: %v", name, err)
			continue
		}
		item, err := Sign(back, Draft{Data: []byte("x")})
		if err != nil || item.Verify() != nil || !bytes.Equal(item.Owner, signer.Owner()) {
			t.Errorf("%s: an item of the key that was read: %v", name, err)
		}
	}
	if key, err := rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	} else if _, err := NewRSASigner(key); err == nil {
		t.Error("an RSA key of 2048 bits is accepted")
	}
	for _, bad := range []string{"", "{}", `{"kty":"RSA"}`, `{"kty":"OKP","crv":"Ed25519","d":"AA"}`, `{"kty":"EC","crv":"secp256k1","d":"AA"}`,
		`{"kty":"RSA","n":"AQ","e":"AQAB","d":"AQ","p":"AQ","q":"AQ"}`} {
		if _, err := ParseJWK([]byte(bad)); err == nil {
			t.Errorf("ParseJWK(%s) does not fail", bad)
		}
	}
}
