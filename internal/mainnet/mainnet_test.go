package mainnet

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
)

// recorded are requests of aoconnect 0.0.98, made by e2e/aoconnect/record.mjs.
type recorded struct {
	Process, Module, Address string
	Requests                 []struct {
		Label, Method, Path string
		Headers             map[string]string
		Body                []byte
	}
}

func readRecorded(t testing.TB) (r recorded) {
	t.Helper()
	text, err := os.ReadFile("testdata/requests.json")
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// units are a scheduler, a messenger and a compute unit that answer as units do.
type units struct {
	mu       sync.Mutex
	schedule map[string][]string // process to messages in order
	late     int                 // so many questions for a message that was just sent find nothing
	failing  bool                // the compute unit
}

func (u *units) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	process := r.URL.Query().Get("process-id")
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case r.Method == "POST" && parts[0] == "mu":
		u.send(w, r)
	case parts[0] == "cu" && u.failing:
		http.Error(w, `{"error":"no such luck"}`, http.StatusUnprocessableEntity)
	case parts[0] == "cu" && parts[1] == "result" && r.URL.Query().Get("no-busy") == "":
		w.WriteHeader(http.StatusAccepted) // what a unit that is busy may say
	case parts[0] == "cu" && parts[1] == "result":
		fmt.Fprintf(w, `{"Messages":[{"Data":"m1"},{"Data":"m2"}],"Output":{"data":"of %s","Number":7},"GasUsed":0}`, parts[2])
	case parts[0] == "cu" && parts[1] == "dry-run":
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, `{"Messages":[],"Output":%s}`, body)
	case len(u.schedule[parts[1]]) > 0 && len(parts) == 3:
		u.slot(w, parts[1], len(u.schedule[parts[1]])-1)
	case len(u.schedule[parts[1]]) > 0:
		slot, _ := strconv.Atoi(r.URL.Query().Get("to-nonce"))
		from := -1
		if given := r.URL.Query().Get("from-nonce"); given != "" {
			from, _ = strconv.Atoi(given)
		}
		io.WriteString(w, `{"page_info":{"has_next_page":false},"edges":[`)
		if slot < len(u.schedule[parts[1]]) && from == slot-1 {
			io.WriteString(w, `{"node":`)
			u.slot(w, parts[1], slot)
			io.WriteString(w, `}`)
		}
		io.WriteString(w, `]}`)
	case slices.Contains(u.schedule[process], parts[1]) && u.late == 0:
		u.slot(w, process, slices.Index(u.schedule[process], parts[1]))
	default:
		u.late = max(u.late-1, 0)
		http.Error(w, `{"error":"message not found"}`, http.StatusBadRequest)
	}
}

func (u *units) slot(w io.Writer, process string, slot int) {
	fmt.Fprintf(w, `{"message":{"id":%q},"assignment":{"tags":[{"name":"Process","value":%q},{"name":"Nonce","value":"%d"}]}}`, u.schedule[process][slot], process, slot)
}

func (u *units) send(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	item, err := dataitem.Parse(body)
	if err == nil {
		err = item.Verify()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	process := item.TargetText()
	if item.Tags.Has("Type", "Process") {
		process = item.ID().String()
	}
	u.schedule[process] = append(u.schedule[process], item.ID().String())
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprintf(w, `{"message":"Processing DataItem","id":%q}`, item.ID())
}

// network gives a node over units that know the recorded process, with two messages.
func network(t testing.TB) (*Node, *units, recorded) {
	t.Helper()
	known := readRecorded(t)
	u := &units{schedule: map[string][]string{known.Process: {known.Process, messageID(1), messageID(2)}}}
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	return New(Units{MU: server.URL + "/mu", SU: server.URL + "/su", CU: server.URL + "/cu"}, known.Address), u, known
}

func messageID(n byte) string { return ao.ID{n}.String() }

func ask(n *Node, method, path string, body []byte, headers ...string) (int, string, http.Header) {
	r := httptest.NewRequest(method, path, strings.NewReader(string(body)))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String()), w.Header()
}

// TestRecorded gives the node what aoconnect sent.
func TestRecorded(t *testing.T) {
	n, u, known := network(t)
	u.late = 2
	result := func(id string) string {
		return `{"Messages":[{"Data":"m1"},{"Data":"m2"}],"Output":{"data":"of ` + id + `","Number":7},"GasUsed":0}`
	}
	wanted := []struct {
		status int
		body   string // a substring; what is between stars depends on the recording
	}{
		{200, known.Address},
		{200, `"slot":0,`}, // the spawn
		{200, `"slot":3,`}, // the message, with its result
		{200, `{"raw":` + result(messageID(1)) + `}`},
		{200, "3"},
		{200, `{"raw":` + result(messageID(2)) + `}`},
		{200, `"Data":"some data","Tags":[{"name":"Action","value":"Info"},{"name":"Text","value":"a b/c ü=1"},{"name":"Data-Protocol","value":"ao"},{"name":"Type","value":"Message"},{"name":"Variant","value":"ao.N.1"}]`},
		{200, "3"},
		{200, `{"raw":` + result(messageID(2)) + `}`},
		{200, `{"address":"` + known.Address + `"}`},
		{200, `{"process":"` + known.Process + `","slot":1,"results":{"raw":` + result(messageID(1)) + `}}`},
		{400, "Content-Digest"},
		{200, `{"address":"` + known.Address + `"}`},
		{422, "sign with signing-format ans104"},
	}
	if len(wanted) != len(known.Requests) {
		t.Fatalf("%d requests were recorded, want %d", len(known.Requests), len(wanted))
	}
	for i, request := range known.Requests {
		var headers []string
		for name, value := range request.Headers {
			headers = append(headers, name, value)
		}
		status, body, header := ask(n, request.Method, request.Path, request.Body, headers...)
		if status != wanted[i].status || !strings.Contains(body, wanted[i].body) {
			t.Errorf("%s %s (%s): got %d %s, want %d %s", request.Method, request.Path, request.Label, status, body, wanted[i].status, wanted[i].body)
		}
		if request.Label == "spawn" && request.Method == "POST" {
			if _, err := ao.ParseID(header.Get("Process")); err != nil || len(u.schedule[header.Get("Process")]) != 1 {
				t.Errorf("spawn: header Process: %q, %v", header.Get("Process"), err)
			}
		}
	}
}

// TestDamaged: whatever is changed in a signed request, it is refused, or it was not covered by the signature.
func TestDamaged(t *testing.T) {
	n, _, known := network(t)
	for _, request := range known.Requests {
		signed := request.Headers["signature"] != ""
		if request.Label != "message" && request.Label != "request of headers" {
			continue
		}
		headers := func(changed, value string) (all []string) {
			for name, was := range request.Headers {
				if name == changed {
					was = value
				}
				all = append(all, name, was)
			}
			return all
		}
		if !signed {
			for at := 0; at < len(request.Body); at += 7 {
				body := append([]byte{}, request.Body...)
				body[at] ^= 1 << (at % 8)
				if status, said, _ := ask(n, request.Method, request.Path, body, headers("", "")...); status != 400 {
					t.Errorf("bit %d of byte %d: %d %s", at%8, at, status, said)
				}
				if status, said, _ := ask(n, request.Method, request.Path, request.Body[:at], headers("", "")...); status != 400 {
					t.Errorf("%d bytes of it: %d %s", at, status, said)
				}
			}
			continue
		}
		for name, value := range request.Headers {
			for at := 0; at < len(value); at += 1 + len(value)/40 {
				changed := []byte(value)
				changed[at] ^= 1
				if status, said, _ := ask(n, request.Method, request.Path, request.Body, headers(name, string(changed))...); status != 400 {
					t.Errorf("%s with character %d changed: %d %s", name, at, status, said)
				}
			}
		}
	}
}

func TestPaths(t *testing.T) {
	n, u, known := network(t)
	p := known.Process
	of := func(n byte) string { return "of " + messageID(n) }
	for _, test := range []struct {
		path   string
		status int
		want   string
	}{
		{"/~meta@1.0/info", 200, `{"address":"` + known.Address + `"}`},
		{"/~meta@1.0/info/address/serialize~json@1.0", 200, `"` + known.Address + `"`},
		{"/~meta@1.0/info/port", 404, "port"},
		{"/~meta@1.0", 404, "no such path"},
		{"/", 404, "the path is empty"},
		{"/nothing", 404, "no such path"},
		{"/" + p, 404, "slot/current"},
		{"/" + p + "~process@1.0/slot/current", 200, "2"},
		{"/" + p + "/slot/next", 404, "no such path"},
		{"/" + messageID(9) + "/slot/current", 404, "not scheduled here"},
		{"/" + p + "/now/results/raw/Output/data", 200, of(2)},
		{"/" + p + "/compute/results/raw/output/DATA", 200, of(2)},
		{"/" + p + "/compute=1/results/raw/Output/data", 200, of(1)},
		{"/" + p + "~process@1.0/compute&slot=1/results/raw/Output/data", 200, of(1)},
		{"/" + p + "/compute/results/raw/Output/data?slot=0", 200, "of " + p},
		{"/" + p + "/compute/results=" + messageID(1) + "/raw/Output/data", 200, of(1)},
		{"/" + p + "/compute/results=" + p + "/raw/Output/data", 200, "of " + p},
		{"/" + p + "/compute/results=1/raw/Output/Number", 200, "7"},
		{"/" + p + "/compute/results=1/raw/Output/Number/serialize~json@1.0", 200, `"7"`},
		{"/" + p + "/compute/results=1/raw/Messages/2", 200, `{"Data":"m2"}`},
		{"/" + p + "/compute/results=1/raw/Messages/3", 404, "no key"},
		{"/" + p + "/compute/results=1/raw/Messages/0", 404, "no key"},
		{"/" + p + "/compute/results=1/raw/Spawns", 404, "no key"},
		{"/" + p + "/compute/results=1/raw/Output/data/more", 404, "no key"},
		{"/" + p + "/compute/slot", 200, "2"},
		{"/" + p + "/compute/results=3", 404, "has no slot 3"},
		{"/" + p + "/compute/results=-1", 400, "slot"},
		{"/" + p + "/compute/results=x", 400, "slot"},
		{"/" + p + "/compute/results=" + messageID(9), 404, "not scheduled on"},
		{"/" + messageID(9) + "/compute/results=0", 404, "has no slot 0"},
		{"/" + messageID(9) + "/now", 404, "not scheduled here"},
		{"/" + p + "/as=execution/compute", 200, `"Id":"1234","Owner":"1234"`},
		{"/" + p + "/as=execution/compute&A=1&&B=a%26b", 200, `"Tags":[{"name":"A","value":"1"},{"name":"B","value":"a&b"}`},
		{"/" + p + "/as=execution/computer", 404, "no such path"},
		{"/" + p + "/push", 404, "no such path"},
		{"/push", 405, "POST"},
	} {
		status, said, header := ask(n, "GET", test.path, nil)
		if status != test.status || !strings.Contains(said, test.want) || status == 200 && !strings.Contains(test.want, `"`) && said != test.want {
			t.Errorf("GET %s: got %d %s, want %d %s", test.path, status, said, test.status, test.want)
		}
		if status != 200 && header.Get("Content-Type") != "application/json" {
			t.Errorf("GET %s: an error of type %q", test.path, header.Get("Content-Type"))
		}
	}
	u.failing = true
	if status, said, _ := ask(n, "GET", "/"+p+"/now", nil); status != 422 || said != `{"error":"no such luck"}` {
		t.Errorf("a compute unit that refuses: %d %s", status, said)
	}
}

// push signs and pushes.
func push(t *testing.T, n *Node, path string, draft dataitem.Draft) (int, string, *dataitem.Item) {
	t.Helper()
	signer, err := dataitem.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	item, err := dataitem.Sign(signer, draft)
	if err != nil {
		t.Fatal(err)
	}
	status, said, _ := ask(n, "POST", path, item.Bytes(), "Content-Type", "application/ans104")
	return status, said, item
}

func TestPush(t *testing.T) {
	n, u, known := network(t)
	process := ao.MustParseID(known.Process)
	message := dataitem.Draft{Target: process, Data: []byte("x"), Tags: ao.Tags{{Name: "Type", Value: "Message"}}}
	status, said, item := push(t, n, "/push", message)
	if want := fmt.Sprintf(`{"process":"%s","slot":3,"id":"%s","raw":{`, process, item.ID()); status != 200 || !strings.HasPrefix(said, want) ||
		!strings.Contains(said, `,"results":{"raw":{"Messages":`) {
		t.Errorf("to its target: %d %s, want %s and the results", status, said, want)
	}
	for slot, path := range map[int]string{4: "/" + known.Process + "~process@1.0/schedule", 5: "/~scheduler@1.0/schedule"} {
		u.schedule[known.Process] = u.schedule[known.Process][:slot]
		status, said, item = push(t, n, path, message)
		if want := fmt.Sprintf(`{"process":"%s","slot":%d,"id":"%s"}`, process, slot, item.ID()); status != 200 || said != want {
			t.Errorf("%s: %d %s, want %s", path, status, said, want)
		}
		u.schedule[known.Process] = append(u.schedule[known.Process], messageID(7))
	}
	for name, test := range map[string]struct {
		path   string
		draft  dataitem.Draft
		status int
	}{
		"to nobody":         {"/push", dataitem.Draft{}, 400},
		"to somebody else":  {"/" + known.Process + "/push", dataitem.Draft{Target: ao.ID{9}}, 400},
		"to an unknown":     {"/push", dataitem.Draft{Target: ao.ID{9}}, 404},
		"a process as such": {"/" + known.Process + "/push", dataitem.Draft{Tags: ao.Tags{{Name: "Type", Value: "Process"}}}, 400},
	} {
		if status, said, _ := push(t, n, test.path, test.draft); status != test.status {
			t.Errorf("%s: %d %s, want %d", name, status, said, test.status)
		}
	}
	if status, said, _ := ask(n, "POST", "/push", []byte("hello")); status != 400 || !strings.Contains(said, "must be signed") {
		t.Errorf("unsigned: %d %s", status, said)
	}
	if status, said, _ := ask(n, "POST", "/push", make([]byte, bodyBytesMax+1), "Content-Type", "application/ans104"); status != 413 {
		t.Errorf("too large: %d %s", status, said)
	}
	u.failing = true
	if status, said, _ := push(t, n, "/push", message); status != 200 || !strings.Contains(said, "no such luck") {
		t.Errorf("scheduled, but not evaluated: %d %s", status, said)
	}
}

// TestDryRun: the signer of an item is the owner of the message, so what is forged is not evaluated.
func TestDryRun(t *testing.T) {
	n, _, known := network(t)
	path := "/" + known.Process + "/as=execution/compute&Type=Message&Action=Info"
	status, said, item := push(t, n, path, dataitem.Draft{Data: []byte("some data")})
	want := fmt.Sprintf(`{"Id":"%s","Owner":"%s","Target":"%s","Data":"some data","Tags":[{"name":"Type","value":"Message"},`+
		`{"name":"Action","value":"Info"},{"name":"Data-Protocol","value":"ao"},{"name":"Variant","value":"ao.N.1"}],"Anchor":"0"}`,
		item.ID(), item.Address(), known.Process)
	if status != 200 || strings.Count(said, want) != 2 || !strings.Contains(said, `"results":{"raw":`) {
		t.Errorf("got %d %s, want %s in both places", status, said, want)
	}
	forged := append([]byte{}, item.Bytes()...)
	forged[len(forged)-1] ^= 1
	if status, said, _ := ask(n, "POST", path, forged, "Codec-Device", "ans104@1.0"); status != 400 || !strings.Contains(said, "does not verify") {
		t.Errorf("forged: %d %s", status, said)
	}
}

func TestDigest(t *testing.T) {
	n, _, _ := network(t)
	body := []byte("body")
	for field, want := range map[string]int{
		"": 200, "sha-256=:Iw2DWN52t2FpvRvWYdtXOf9cOjfREKiOw3Zq1JMuD6w=:": 400, "sha-512=:AAAA:": 200, "sha-256=": 400, "sha-256=1": 400,
		"sha-256=:" + base64.StdEncoding.EncodeToString(digestOf(body)) + ":":    200,
		"sha-256=:" + base64.RawURLEncoding.EncodeToString(digestOf(body)) + ":": 200,
	} {
		if status, said, _ := ask(n, "POST", "/~meta@1.0/info", body, "Content-Digest", field); status != want {
			t.Errorf("%q: %d %s, want %d", field, status, said, want)
		}
	}
}

func TestBrowsers(t *testing.T) {
	n, _, _ := network(t)
	status, _, header := ask(n, "OPTIONS", "/push", nil)
	if status != 204 || header.Get("Access-Control-Allow-Headers") != "*" || header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%d %v", status, header)
	}
	if _, _, header = ask(n, "GET", "/~meta@1.0/info", nil); header.Get("Access-Control-Expose-Headers") != "*" {
		t.Errorf("a page cannot read the header Process: %v", header)
	}
}

// FuzzPath: no path brings the node down, and what is read is not more than what was given.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/a~b=c&d=e/f", "//", "/%2F&%3D=/", "/~x@1.0", "/=&=", "/a%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, escaped string) {
		steps, err := parsePath(escaped)
		length := 0
		for _, s := range steps {
			length += len(s.name) + len(s.device) + len(s.value)
			for _, p := range s.parameters {
				length += len(p.Name) + len(p.Value)
			}
		}
		if err == nil && length > len(escaped) {
			t.Errorf("%q: %+v", escaped, steps)
		}
	})
}

func digestOf(body []byte) []byte {
	digest := sha256.Sum256(body)
	return digest[:]
}
