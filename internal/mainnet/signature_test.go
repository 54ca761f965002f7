package mainnet

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestSignatureBase is the example of RFC 9421, B.2.3.
func TestSignatureBase(t *testing.T) {
	r := httptest.NewRequest("POST", "http://example.com/foo?param=Value&Pet=dog", strings.NewReader(`{"hello": "world"}`))
	digest := "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
	for name, value := range map[string]string{
		"Date": "Tue, 20 Apr 2021 02:07:55 GMT", "Content-Type": "application/json", "Content-Digest": digest, "Content-Length": "18",
	} {
		r.Header.Set(name, value)
	}
	covered := `("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss"`
	want := `"date": Tue, 20 Apr 2021 02:07:55 GMT
"@method": POST
"@path": /foo
"@query": ?param=Value&Pet=dog
"@authority": example.com
"content-type": application/json
"content-digest": ` + digest + `
"content-length": 18
"@signature-params": ` + covered
	members, err := parseDictionary("sig=" + covered)
	if err != nil {
		t.Fatal(err)
	}
	got, err := signatureBase(r, members[0].value)
	if err != nil || string(got) != want {
		t.Errorf("%v\ngot\n%s\nwant\n%s", err, got, want)
	}
}

// sign makes a signature of a request as HyperBEAM's clients do, over a list of components and parameters after alg and keyid.
func sign(t *testing.T, r *http.Request, key *rsa.PrivateKey, name, components, more string) {
	t.Helper()
	covered := fmt.Sprintf(`(%s);alg="rsa-pss-sha512";keyid="%s"%s`, components, base64.RawURLEncoding.EncodeToString(key.N.Bytes()), more)
	members, err := parseDictionary(name + "=" + covered)
	if err != nil {
		t.Fatal(err)
	}
	base, err := signatureBase(r, members[0].value)
	if err != nil {
		base = []byte(components)
	}
	digest := sha512.Sum512(base)
	signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA512, digest[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Add("Signature-Input", name+"="+covered)
	r.Header.Add("Signature", name+"=:"+base64.StdEncoding.EncodeToString(signature)+":")
}

func newKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestVerifyRequest(t *testing.T) {
	key, other, small := newKey(t, modulusBitMin), newKey(t, modulusBitMin), newKey(t, 1536)
	request := func() *http.Request {
		r := httptest.NewRequest("GET", "http://node.example/a/b?c=d", nil)
		r.Header["X"] = []string{" one ", "two"}
		r.Header.Set("Name", "a, b")
		return r
	}
	all := `"name" "x" "@method" "@path" "@query" "@authority"`
	soon := fmt.Sprintf(";expires=%d", time.Now().Add(time.Hour).Unix())
	for name, test := range map[string]struct {
		components, more string
		key              *rsa.PrivateKey
		change           func(*http.Request)
		want             string
	}{
		"good":                {components: all},
		"nothing covered":     {},
		"not yet expired":     {components: all, more: soon},
		"expired":             {components: all, more: ";expires=1600000000", want: "expired"},
		"expires badly":       {components: all, more: `;expires="never"`, want: "expired"},
		"another value":       {components: all, change: func(r *http.Request) { r.Header.Set("Name", "a, c") }, want: "not of this request"},
		"order of values":     {components: all, change: func(r *http.Request) { r.Header["X"] = []string{"two", "one"} }, want: "not of this request"},
		"another method":      {components: all, change: func(r *http.Request) { r.Method = "POST" }, want: "not of this request"},
		"another path":        {components: all, change: func(r *http.Request) { r.URL.Path = "/a/c" }, want: "not of this request"},
		"a field is gone":     {components: all, change: func(r *http.Request) { r.Header.Del("Name") }, want: "not in the request"},
		"not covered":         {components: `"x"`, change: func(r *http.Request) { r.Header.Set("Name", "other") }},
		"twice":               {components: `"x" "x"`, want: "twice"},
		"parameters":          {components: `"x";sf`, want: "parameters"},
		"a derived component": {components: `"@status"`, want: "not known"},
		"upper case":          {components: `"Name"`, want: "not known"},
		"a small key":         {components: all, key: small, want: "1536 bits"},
		"no signature": {components: all, change: func(r *http.Request) {
			r.Header.Set("Signature", strings.Replace(r.Header.Get("Signature"), "sig", "gis", 1))
		}, want: "no signature"},
		"no description": {components: all, change: func(r *http.Request) { r.Header.Del("Signature-Input") }, want: "0 descriptions"},
		"another algorithm": {components: all, change: func(r *http.Request) {
			r.Header.Set("Signature-Input", strings.Replace(r.Header.Get("Signature-Input"), "sha512", "sha256", 1))
		}, want: "algorithm"},
		"a second one, wrong": {components: all, change: func(r *http.Request) {
			sign(t, r, other, "second", `"name"`, "")
			r.Header["Signature-Input"][1] = strings.Replace(r.Header["Signature-Input"][1], `("name")`, `("x")`, 1)
		}, want: "second"},
		"a second one, right": {components: all, change: func(r *http.Request) { sign(t, r, other, "second", `"name"`, "") }},
	} {
		r, signer := request(), key
		if test.key != nil {
			signer = test.key
		}
		sign(t, r, signer, "sig", test.components, test.more)
		if test.change != nil {
			test.change(r)
		}
		owner, err := verifyRequest(r)
		switch {
		case test.want == "" && (err != nil || !bytes.Equal(owner, key.N.Bytes())):
			t.Errorf("%s: got %x, %v, want the key", name, owner, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
	if owner, err := verifyRequest(request()); owner != nil || err != nil {
		t.Errorf("unsigned: %x, %v", owner, err)
	}
}
