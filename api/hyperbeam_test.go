package api_test

// A HyperBEAM node asks for one slot after the other and brings what was assigned. The method: a node that is made up here
// plays a schedule to one unit slot by slot, to another in pages, and to a third from a memory on; they must agree.

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"verbatim/api"
	"verbatim/cu"
	"verbatim/cu/ao"
	"verbatim/cu/cutest"
	"verbatim/cu/eval/evaltest"
)

// node keeps a schedule.
type node struct {
	process ao.ID
	edges   []string
	chain   ao.HashChain
	last    ao.ID // assignment
}

func newNode(messages ...string) *node {
	n := &node{process: cutest.ID("process"), chain: ao.FirstHashChain(cutest.ID("process"))}
	n.assign(n.process, "", ao.Tags{{Name: "Data-Protocol", Value: "ao"}, {Name: "Type", Value: "Process"}, {Name: "Module", Value: cutest.ModuleID().String()}})
	for i, data := range messages {
		n.assign(cutest.ID(fmt.Sprint("message ", i)), data, ao.Tags{{Name: "Type", Value: "Message"}})
	}
	return n
}

func (n *node) assign(message ao.ID, data string, tags ao.Tags) {
	slot := len(n.edges)
	if slot > 0 {
		n.chain = n.chain.Next(n.last)
	}
	n.last = cutest.ID(fmt.Sprint("assignment ", slot))
	text, _ := json.Marshal(map[string]any{"cursor": slot, "node": map[string]any{
		"message": map[string]any{"Id": message, "Owner": cutest.ID("owner"), "Anchor": "", "Data": data, "Signature": "", "Target": n.process, "Tags": tags},
		"assignment": map[string]any{"Id": n.last, "Tags": []map[string]any{
			{"name": "Process", "value": n.process}, {"name": "Epoch", "value": "0"}, {"name": "Slot", "value": slot}, {"name": "Timestamp", "value": fmt.Sprint(1000 * (slot + 1))},
			{"name": "Block-Height", "value": fmt.Sprintf("%012d", 100+slot)}, {"name": "Hash-Chain", "value": n.chain.String()},
		}},
	}})
	n.edges = append(n.edges, string(text))
}

// page gives slots as nodes send them.
func (n *node) page(from, to int) string {
	return `{"page_info":{"process":"` + n.process.String() + `","has_next_page":"false","timestamp":"99000"},"edges":[` + strings.Join(n.edges[from:to+1], ",") + `]}`
}

func newDelegatedRig(t *testing.T) *rig {
	var delivered *cu.Delivered
	return newRigWith(t, &evaltest.Provider{}, func(c *cu.Config) {
		delivered = cu.NewDelivered(c.Log, nil)
		c.Scheduler = delivered
	}, func(c *api.Config) { c.Delivered = delivered })
}

func TestHyperBEAM(t *testing.T) {
	n := newNode("@c", "@e", "@i4", "@c")
	post := func(r *rig, slot int, body string) *httptest.ResponseRecorder {
		return r.ask("POST", fmt.Sprintf("/result/%d?process-id=%s", slot, n.process), body)
	}
	one, pages := newDelegatedRig(t), newDelegatedRig(t)
	if answer := one.ask("GET", "/status", ""); answer.Code != 200 {
		t.Errorf("status: %d", answer.Code)
	}
	if answer := one.ask("POST", "/snapshot/"+n.process.String(), ""); answer.Code != 404 || !strings.Contains(answer.Body.String(), `"success":false`) {
		t.Errorf("a snapshot of nothing: %d %s", answer.Code, answer.Body)
	}
	var bySlot []string
	for slot := range n.edges {
		answer := post(one, slot, n.page(slot, slot))
		if answer.Code != 200 || answer.Header().Get("slot") != fmt.Sprint(slot) || answer.Header().Get("cu-cached") != "false" {
			t.Fatalf("slot %d: %d %s %v", slot, answer.Code, answer.Body, answer.Header())
		}
		bySlot = append(bySlot, answer.Body.String())
	}
	if answer := post(pages, 4, n.page(0, 4)); answer.Code != 200 || answer.Body.String() != bySlot[4] || !strings.Contains(bySlot[4], `"0004"`) {
		t.Errorf("a page: %d %s, want %s", answer.Code, answer.Body, bySlot[4])
	}
	if answer := post(pages, 3, ""); answer.Code != 200 || answer.Body.String() != bySlot[3] || answer.Header().Get("cu-cached") != "true" {
		t.Errorf("a known slot: %d %s, want %s", answer.Code, answer.Body, bySlot[3])
	}
	state := one.get(t, "/state/"+n.process.String())
	if got := pages.get(t, "/state/"+n.process.String()); got != state {
		t.Errorf("memories differ: %d and %d bytes", len(got), len(state))
	}
	snapshot := one.ask("POST", "/snapshot/"+n.process.String(), "")
	if snapshot.Code != 200 || snapshot.Header().Get("snapshot-nonce") != "4" || snapshot.Header().Get("snapshot-hash-chain") != n.chain.String() {
		t.Errorf("snapshot: %d %s %v", snapshot.Code, snapshot.Body, snapshot.Header())
	}
	third := newDelegatedRig(t)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write([]byte(state))
	w.Close()
	request := httptest.NewRequest("POST", "/state", &packed)
	for name, value := range map[string]string{"process": n.process.String(), "module": cutest.ModuleID().String(), "assignment": n.last.String(),
		"hash-chain": n.chain.String(), "timestamp": "5000", "nonce": "4", "block-height": "104"} {
		request.Header.Set(name, value)
	}
	adopted := httptest.NewRecorder()
	third.handler.ServeHTTP(adopted, request)
	if adopted.Code != 200 {
		t.Fatalf("state: %d %s", adopted.Code, adopted.Body)
	}
	n.assign(cutest.ID("last"), "@c", ao.Tags{})
	want := post(one, 5, n.page(5, 5)).Body.String()
	third.network.Spawn("process", true) // what slot 0 would have said
	if answer := post(third, 5, n.page(5, 5)); answer.Code != 404 {
		t.Errorf("a memory of a process that nobody knows: %d %s", answer.Code, answer.Body)
	}
	if answer := post(third, 5, n.page(0, 0)); answer.Code != 200 || answer.Body.String() != want {
		t.Errorf("from a memory on: %d %s, want %s", answer.Code, answer.Body, want)
	}
}

func TestHyperBEAMRefusals(t *testing.T) {
	n := newNode("@c", "@c")
	r := newDelegatedRig(t)
	broken := *n
	broken.edges = append([]string{}, n.edges...)
	broken.edges[1] = strings.Replace(broken.edges[1], `"Hash-Chain","value":"`, `"Hash-Chain","value":"A`, 1)
	for _, test := range []struct {
		path, body string
		status     int
		says       string
	}{
		{"/result/0?process-id=" + n.process.String(), n.page(0, 0), 200, ""},
		{"/result/2?process-id=" + n.process.String(), n.page(2, 2), 400, "slot 1"},
		{"/result/1?process-id=" + n.process.String(), broken.page(1, 1), 400, "hash chain"},
		{"/result/1?process-id=" + n.process.String(), "nonsense", 400, "invalid"},
		{"/result/x?process-id=" + n.process.String(), n.page(1, 1), 400, "slot"},
		{"/result/1?process-id=" + cutest.ID("other").String(), n.page(1, 1), 400, "is of process"},
		{"/result/2?process-id=" + n.process.String(), n.page(1, 2), 200, ""},
		{"/state", "nonsense", 400, "header process"},
	} {
		answer := r.ask("POST", test.path, test.body)
		if answer.Code != test.status || !strings.Contains(answer.Body.String(), test.says) {
			t.Errorf("POST %s: %d %s, want %d and %q", test.path, answer.Code, answer.Body, test.status, test.says)
		}
	}
	if answer := newDelegatedRig(t).ask("POST", "/result/1?process-id="+n.process.String(), n.page(1, 1)); answer.Code != 404 || !strings.Contains(answer.Body.String(), "slot 0") {
		t.Errorf("a slot of a process that nobody knows: %d %s", answer.Code, answer.Body)
	}
	plain := newRig(t, &evaltest.Provider{})
	for _, path := range []string{"/result/1?process-id=" + n.process.String(), "/state", "/snapshot/" + n.process.String()} {
		if answer := plain.ask("POST", path, "{}"); answer.Code != 404 {
			t.Errorf("POST %s where nobody may: %d", path, answer.Code)
		}
	}
}
