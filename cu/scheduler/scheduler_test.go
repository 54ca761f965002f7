package scheduler

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
)

// unit is a scheduler unit with one process, whose answers a test may spoil.
type unit struct {
	process   ao.ID
	nodes     []map[string]any
	inclusive bool // from-nonce is inclusive
	endless   bool // says that there are more pages when there are none
}

func signer(t *testing.T, seed byte) dataitem.Signer {
	t.Helper()
	key, err := dataitem.NewEd25519Signer([]byte(strings.Repeat(string(rune(seed)), 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, signer dataitem.Signer, draft dataitem.Draft) *dataitem.Item {
	t.Helper()
	item, err := dataitem.Sign(signer, draft)
	if err != nil {
		t.Fatal(err)
	}
	return item
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// wire gives an item as a scheduler shows it.
func wire(item *dataitem.Item) map[string]any {
	var anchor any
	if len(item.Anchor) > 0 {
		anchor = string(item.Anchor)
	}
	return map[string]any{
		"id": item.ID(), "owner": map[string]string{"address": "not looked at", "key": encode(item.Owner)}, "data": ao.ValidText(item.Data),
		"tags": append(ao.Tags{}, item.Tags...), "signature": encode(item.Signature), "anchor": anchor, "target": item.TargetText(),
	}
}

// newUnit schedules a process and some messages.
func newUnit(t *testing.T, messages int) *unit {
	t.Helper()
	user, su := signer(t, 'u'), signer(t, 's')
	spawned := sign(t, user, dataitem.Draft{Data: []byte("boot"), Tags: ao.Tags{{Name: "Data-Protocol", Value: "ao"}, {Name: "Type", Value: "Process"},
		{Name: "Module", Value: ao.ID{7}.String()}, {Name: "Scheduler", Value: dataitem.Address(su.Owner())}}})
	u := &unit{process: spawned.ID()}
	items := []*dataitem.Item{spawned}
	for i := range messages {
		items = append(items, sign(t, user, dataitem.Draft{Target: u.process, Anchor: []byte(fmt.Sprintf("%032d", i)),
			Data: []byte("message " + strconv.Itoa(i)), Tags: ao.Tags{{Name: "Data-Protocol", Value: "ao"}, {Name: "Type", Value: "Message"}}}))
	}
	chain, previous := ao.FirstHashChain(u.process), ao.ID{}
	for nonce, item := range items {
		if nonce > 0 {
			chain = chain.Next(previous)
		}
		assignment := sign(t, su, dataitem.Draft{Tags: ao.Tags{{Name: "Process", Value: u.process.String()}, {Name: "Epoch", Value: "0"},
			{Name: "Nonce", Value: strconv.Itoa(nonce)}, {Name: "Hash-Chain", Value: chain.String()}, {Name: "Block-Height", Value: "000001500000"},
			{Name: "Timestamp", Value: strconv.Itoa(1000 + nonce)}, {Name: "Message", Value: item.ID().String()}}})
		previous = assignment.ID()
		u.nodes = append(u.nodes, map[string]any{"message": wire(item), "assignment": wire(assignment)})
	}
	return u
}

func (u *unit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.Trim(r.URL.Path, "/")
	switch {
	case path == "processes/"+u.process.String():
		message := u.nodes[0]["message"].(map[string]any)
		json.NewEncoder(w).Encode(map[string]any{"process_id": u.process, "block": "000001500000", "owner": message["owner"], "tags": message["tags"],
			"timestamp": 1000, "data": message["data"], "anchor": nil, "signature": message["signature"], "target": nil})
	case path == "timestamp":
		fmt.Fprint(w, `{"timestamp":"1700000000000","block_height":"000001500001"}`)
	case path == u.process.String()+"/latest":
		json.NewEncoder(w).Encode(u.nodes[len(u.nodes)-1])
	case path == u.process.String():
		u.page(w, r)
	default:
		for _, node := range u.nodes {
			if message, _ := node["message"].(map[string]any); message != nil && fmt.Sprint(message["id"]) == path {
				json.NewEncoder(w).Encode(node)
				return
			}
		}
		w.WriteHeader(400)
		fmt.Fprint(w, `{"error":"not found"}`)
	}
}

func (u *unit) page(w http.ResponseWriter, r *http.Request) {
	from, to := 0, len(u.nodes)-1
	if text := r.URL.Query().Get("from-nonce"); text != "" {
		from, _ = strconv.Atoi(text)
		if !u.inclusive {
			from++
		}
	}
	if text := r.URL.Query().Get("to-nonce"); text != "" {
		to, _ = strconv.Atoi(text)
	}
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	edges := []any{}
	for ; from <= to && from < len(u.nodes) && len(edges) < limit; from++ {
		edges = append(edges, map[string]any{"node": u.nodes[from], "cursor": ""})
	}
	more := u.endless || from <= to && from < len(u.nodes)
	json.NewEncoder(w).Encode(map[string]any{"page_info": map[string]bool{"has_next_page": more}, "edges": edges})
}

func (u *unit) client(t *testing.T) *Client {
	t.Helper()
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	client, err := New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func read(t *testing.T, client *Client, process ao.Process, after Position, last int64) (nonces []int64, data []string, err error) {
	for assignment, err := range client.Assignments(t.Context(), process, after, last) {
		if err != nil {
			return nonces, data, err
		}
		nonces = append(nonces, assignment.Nonce)
		data = append(data, assignment.Message.Data.Value)
		if !assignment.Verified {
			t.Errorf("message %s is not verified", assignment.MessageID)
		}
	}
	return nonces, data, nil
}

func TestReads(t *testing.T) {
	for _, inclusive := range []bool{false, true} {
		u := newUnit(t, 250)
		u.inclusive = inclusive
		client := u.client(t)
		process, err := client.Process(t.Context(), u.process)
		if err != nil || process.Module != (ao.ID{7}) || process.BlockHeight != 1500000 || !process.Verified || process.Owner != dataitem.Address(signer(t, 'u').Owner()) {
			t.Fatalf("%+v, %v", process, err)
		}
		nonces, data, err := read(t, client, process, Start(), -1)
		if err != nil || len(nonces) != 251 || nonces[250] != 250 || data[0] != "boot" || data[250] != "message 249" {
			t.Fatalf("inclusive %v: %d assignments, %v", inclusive, len(nonces), err)
		}
		third, err := client.Message(t.Context(), u.process, ao.MustParseID(fmt.Sprint(u.nodes[3]["message"].(map[string]any)["id"])))
		if err != nil || third.Nonce != 3 {
			t.Fatalf("%+v, %v", third, err)
		}
		if nonces, _, err = read(t, client, process, After(third), 120); err != nil || len(nonces) != 117 || nonces[0] != 4 || nonces[116] != 120 {
			t.Errorf("inclusive %v: from 4 to 120: %v, %v", inclusive, nonces, err)
		}
		if latest, err := client.Latest(t.Context(), u.process); err != nil || latest.Nonce != 250 {
			t.Errorf("latest: %+v, %v", latest, err)
		}
		if first, err := client.Message(t.Context(), u.process, u.process); err != nil || first.Nonce != 0 {
			t.Errorf("the process as a message: %+v, %v", first, err)
		}
	}
	if timestamp, height, err := newUnit(t, 0).client(t).Now(t.Context(), ao.ID{}); err != nil || timestamp != 1700000000000 || height != 1500001 {
		t.Errorf("%d, %d, %v", timestamp, height, err)
	}
	if _, err := newUnit(t, 0).client(t).Message(t.Context(), ao.ID{1}, ao.ID{2}); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	// Asked for a message by the id of a process, schedulers answer with a page of that process.
	another := newUnit(t, 2)
	if _, err := another.client(t).Message(t.Context(), ao.ID{1}, another.process); !errors.Is(err, ErrNotFound) {
		t.Errorf("the id of another process: got %v, want %v", err, ErrNotFound)
	}
}

func TestRefuses(t *testing.T) {
	assignment := func(u *unit, nonce int) map[string]any { return u.nodes[nonce]["assignment"].(map[string]any) }
	message := func(u *unit, nonce int) map[string]any { return u.nodes[nonce]["message"].(map[string]any) }
	for _, test := range []struct {
		name  string
		spoil func(u *unit)
		want  error
		read  int // assignments before the error
	}{
		{"a gap", func(u *unit) { u.nodes = append(u.nodes[:2], u.nodes[3:]...) }, ErrSchedule, 2},
		{"two in the wrong order", func(u *unit) { u.nodes[2], u.nodes[3] = u.nodes[3], u.nodes[2] }, ErrSchedule, 2},
		{"the first is missing", func(u *unit) { u.nodes = u.nodes[1:] }, ErrSchedule, 0},
		{"another nonce", func(u *unit) { assignment(u, 2)["tags"].(ao.Tags)[2].Value = "3" }, ErrSignature, 2},
		{"another hash chain", func(u *unit) { assignment(u, 2)["tags"].(ao.Tags)[3].Value = ao.ID{}.String() }, ErrSignature, 2},
		{"another time", func(u *unit) { assignment(u, 2)["tags"].(ao.Tags)[5].Value = "7" }, ErrSignature, 2},
		{"another assignment id", func(u *unit) { assignment(u, 2)["id"] = ao.ID{9} }, ErrSignature, 2},
		{"another's message", func(u *unit) { u.nodes[2]["message"] = u.nodes[3]["message"] }, ErrMalformed, 2},
		{"other data", func(u *unit) { message(u, 2)["data"] = "forged" }, ErrSignature, 2},
		{"other tags", func(u *unit) { message(u, 2)["tags"] = ao.Tags{} }, ErrSignature, 2},
		{"other owner", func(u *unit) { message(u, 2)["owner"] = map[string]string{"key": encode(make([]byte, 32))} }, ErrSignature, 2},
		{"no owner", func(u *unit) { message(u, 2)["owner"] = map[string]string{} }, ErrMalformed, 2},
		{"no assignment", func(u *unit) { u.nodes[2]["assignment"] = nil }, ErrMalformed, 2},
		{"of another process", func(u *unit) { u.nodes[2] = newUnitOther(t).nodes[1] }, ErrMalformed, 2},
		{"pages without end", func(u *unit) { u.endless = true }, ErrMalformed, 5},
	} {
		u := newUnit(t, 4)
		process := ao.Process{ID: u.process, BlockHeight: 1500000}
		test.spoil(u)
		nonces, _, err := read(t, u.client(t), process, Start(), -1)
		if !errors.Is(err, test.want) || len(nonces) != test.read {
			t.Errorf("%s: %v, %v; want %d assignments, then %v", test.name, nonces, err, test.read, test.want)
		}
	}
}

// TestMixedUp: an answer that was meant for somebody else says nothing, above all not that something does not exist.
func TestMixedUp(t *testing.T) {
	u := newUnit(t, 2)
	asked := ao.MustParseID(fmt.Sprint(u.nodes[1]["message"].(map[string]any)["id"]))
	for name, answer := range map[string]any{
		"another message": u.nodes[2],
		"a page":          map[string]any{"edges": []any{map[string]any{"node": u.nodes[0]}}},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(answer) }))
		client, err := New(server.URL)
		if err == nil {
			_, err = client.Message(t.Context(), u.process, asked)
		}
		if !errors.Is(err, ErrMalformed) || errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v, want %v", name, err, ErrMalformed)
		}
		server.Close()
	}
}

// TestOneText: of the texts that base64 reads as one signature only one is taken, because the process sees it.
func TestOneText(t *testing.T) {
	u := newUnit(t, 1)
	message := u.nodes[1]["message"].(map[string]any)
	signature := fmt.Sprint(message["signature"])
	last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", signature[len(signature)-1])
	message["signature"] = signature[:len(signature)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last+1])
	if _, err := u.client(t).Latest(t.Context(), u.process); !errors.Is(err, ErrMalformed) {
		t.Errorf("signature %v for %s: %v, want %v", message["signature"], signature, err, ErrMalformed)
	}
}

// newUnitOther has another process: one message differs, and so do all ids.
func newUnitOther(t *testing.T) *unit {
	t.Helper()
	u := newUnit(t, 1)
	u.nodes[1]["assignment"].(map[string]any)["tags"].(ao.Tags)[0].Value = ao.ID{5}.String()
	return u
}

// TestOldChain: hash chains of old processes are wrong on the public network and are not looked at.
func TestOldChain(t *testing.T) {
	u := newUnit(t, 2)
	at := Position{Nonce: 0, Assignment: ao.ID{1}, HashChain: ao.HashChain{1}}
	if _, _, err := read(t, u.client(t), ao.Process{ID: u.process, BlockHeight: 1_440_000}, at, -1); !errors.Is(err, ErrSchedule) {
		t.Errorf("new process: %v", err)
	}
	if nonces, _, err := read(t, u.client(t), ao.Process{ID: u.process, BlockHeight: 1_439_999}, at, -1); err != nil || len(nonces) != 2 {
		t.Errorf("old process: %v, %v", nonces, err)
	}
	u.nodes = append(u.nodes[:1], u.nodes[2])
	if _, _, err := read(t, u.client(t), ao.Process{ID: u.process}, at, -1); !errors.Is(err, ErrSchedule) {
		t.Errorf("a gap in an old process: %v", err)
	}
}

// TestBinaryData: a scheduler cannot show data that is not text, so nobody can verify it.
func TestBinaryData(t *testing.T) {
	u := newUnit(t, 0)
	item := sign(t, signer(t, 'u'), dataitem.Draft{Target: u.process, Data: []byte{0xff, 0, 'a'}})
	assigned := sign(t, signer(t, 's'), dataitem.Draft{Tags: ao.Tags{{Name: "Process", Value: u.process.String()}, {Name: "Epoch", Value: "0"},
		{Name: "Nonce", Value: "1"}, {Name: "Hash-Chain", Value: ao.ID{}.String()}, {Name: "Block-Height", Value: "1"}, {Name: "Timestamp", Value: "1"},
		{Name: "Message", Value: item.ID().String()}, {Name: "Exclude", Value: "Data"}, {Name: "Exclude", Value: "Tags"}}})
	u.nodes = append(u.nodes, map[string]any{"message": wire(item), "assignment": wire(assigned)})
	got, err := u.client(t).Message(t.Context(), u.process, item.ID())
	if err != nil || got.Verified || got.Message.Data.Value != "\ufffd\x00a" || len(got.Exclude) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	u.nodes[1]["message"].(map[string]any)["data"] = nil
	if got, err = u.client(t).Latest(t.Context(), u.process); err != nil || got.Verified || !got.Message.Data.Null {
		t.Errorf("without data: %+v, %v", got, err)
	}
	u.nodes[1]["message"] = nil
	if got, err = u.client(t).Latest(t.Context(), u.process); err != nil || !got.Hydrate || got.MessageID != item.ID() {
		t.Errorf("an assigned item: %+v, %v", got, err)
	}
}

func TestRefusesProcess(t *testing.T) {
	u := newUnit(t, 0)
	u.nodes[0]["message"].(map[string]any)["data"] = "forged"
	// The anchor is not shown, so it may be what is missing: an anchor is needed to tell a forgery for sure.
	if process, err := u.client(t).Process(t.Context(), u.process); err != nil || process.Verified {
		t.Errorf("%+v, %v", process, err)
	}
	u.nodes[0]["message"].(map[string]any)["signature"] = encode(make([]byte, 64))
	if _, err := u.client(t).Process(t.Context(), u.process); !errors.Is(err, ErrSignature) {
		t.Errorf("%v", err)
	}
	if _, err := u.client(t).Process(t.Context(), ao.ID{1}); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
}
