package localnet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/arweave"
	"verbatim/cu/dataitem"
	"verbatim/cu/scheduler"
)

func request(t *testing.T, method, url string, body []byte) (int, string) {
	t.Helper()
	asked, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(asked)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(said)
}

// spawn publishes a module and starts a process of it.
func spawn(t *testing.T, n *Network) (module, process ao.ID) {
	t.Helper()
	module, err := n.PublishModule(t.Context(), []byte("\x00asm"), "wasm32-unknown-emscripten4", nil)
	if err == nil {
		process, err = n.Spawn(t.Context(), module, nil, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return module, process
}

// schedule reads what a process has been assigned, checked by the client.
func readSchedule(t *testing.T, urls URLs, process ao.ID) (read []ao.Assignment) {
	t.Helper()
	client, err := scheduler.New(urls.SU)
	if err != nil {
		t.Fatal(err)
	}
	found, err := client.Process(t.Context(), process)
	if err != nil {
		t.Fatal(err)
	}
	for assignment, err := range client.Assignments(t.Context(), found, scheduler.Start(), -1) {
		if err != nil {
			t.Fatal(err)
		}
		read = append(read, assignment)
	}
	return read
}

// eventually waits for what happens behind a client's back.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if happened() {
			return
		}
	}
	t.Fatalf("waited in vain: %s", what)
}

func TestScheduleFromManyClients(t *testing.T) {
	network, urls := listen(t, t.TempDir())
	_, process := spawn(t, network)
	var clients sync.WaitGroup
	for client := range 8 {
		clients.Go(func() {
			for i := range 10 {
				if _, err := network.Send(t.Context(), process, nil, []byte(fmt.Sprint(client, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	read := readSchedule(t, urls, process)
	if len(read) != 81 {
		t.Fatalf("%d assignments, want 81", len(read))
	}
	for i := 1; i < len(read); i++ {
		if read[i].Timestamp <= read[i-1].Timestamp || !read[i].Verified {
			t.Errorf("assignment %d: timestamps %d, %d, verified %v", i, read[i-1].Timestamp, read[i].Timestamp, read[i].Verified)
		}
	}
}

func TestGoesOnAfterRestart(t *testing.T) {
	folder := t.TempDir()
	network, urls := listen(t, folder)
	module, process := spawn(t, network)
	for i := range 3 {
		if _, err := network.Send(t.Context(), process, nil, []byte(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	before, su := readSchedule(t, urls, process), network.SUAddress()
	if _, err := Open(Options{Folder: folder}); err == nil {
		t.Error("two networks run in one folder")
	}
	if err := network.Close(); err != nil {
		t.Error(err)
	}
	// What a crash in the middle of a write leaves: half a line, an upload in part.
	for _, name := range []string{"index.log", "schedule.log", "messenger.log"} {
		log, err := os.OpenFile(filepath.Join(folder, name), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		log.WriteString(`{"half":"` + strings.Repeat("x", 10000))
		log.Close()
	}
	os.WriteFile(filepath.Join(folder, "items", "part-1"), []byte("x"), 0o644)

	network, urls = listen(t, folder)
	if network.SUAddress() != su {
		t.Error("the scheduler has another key")
	}
	if _, err := network.Send(t.Context(), process, nil, []byte("after")); err != nil {
		t.Fatal(err)
	}
	after := readSchedule(t, urls, process)
	if len(after) != len(before)+1 {
		t.Fatalf("%d assignments, want %d", len(after), len(before)+1)
	}
	for i := range before {
		if before[i].ID != after[i].ID {
			t.Errorf("assignment %d changed", i)
		}
	}
	if status, said := request(t, "GET", urls.Gateway+"/raw/"+module.String(), nil); status != 200 || said != "\x00asm" {
		t.Errorf("module: %d %q", status, said)
	}
	if parts, _ := filepath.Glob(filepath.Join(folder, "items", "part-*")); len(parts) != 0 {
		t.Errorf("left: %v", parts)
	}
	eventually(t, "everything is pushed", func() bool { return waiting(network) == 0 })
	network.Close()
	if network, _ = listen(t, folder); len(network.plans.slots(process)) != len(after) || waiting(network) != 0 {
		t.Errorf("after a third start: %d assignments, %d tasks wait", len(network.plans.slots(process)), waiting(network))
	}
}

// waiting counts the tasks of the messenger.
func waiting(n *Network) (tasks int) {
	n.messenger.mu.Lock()
	defer n.messenger.mu.Unlock()
	for _, queue := range n.messenger.queues {
		tasks += len(queue)
	}
	return tasks
}

func TestDamageIsNamed(t *testing.T) {
	for _, name := range []string{"index.log", "schedule.log", "messenger.log"} {
		folder := t.TempDir()
		network, _ := listen(t, folder)
		spawn(t, network)
		network.Close()
		path := filepath.Join(folder, name)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		content[20] ^= 0x80
		os.WriteFile(path, content, 0o644)
		if _, err := Open(Options{Folder: folder}); err == nil || !strings.Contains(err.Error(), name+" line 1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRefusesBadItems(t *testing.T) {
	network, urls := listen(t, t.TempDir())
	_, process := spawn(t, network)
	good, err := dataitem.Sign(network.Developer(), dataitem.Draft{Target: process, Data: []byte("x"), Tags: ao.Tags{
		{Name: "Data-Protocol", Value: "ao"}, {Name: "Type", Value: "Message"}}})
	if err != nil {
		t.Fatal(err)
	}
	forged := good.Bytes()
	forged[len(forged)-1] ^= 1
	stored := len(network.store.all())
	for _, url := range []string{urls.MU + "/", urls.SU + "/", urls.Gateway + "/tx", urls.Gateway + "/tx/arweave", urls.MU + "/monitor/" + process.String()} {
		for name, body := range map[string][]byte{"forged": forged, "empty": nil, "noise": []byte("\x01\x00noise"), "cut": good.Bytes()[:100]} {
			status, said := request(t, "POST", url, body)
			if status != 400 || !strings.Contains(said, `"error":"`) {
				t.Errorf("%s %s: %d %s", url, name, status, said)
			}
		}
	}
	if now := len(network.store.all()); now != stored {
		t.Errorf("%d items were stored", now-stored)
	}
	if status, said := request(t, "POST", urls.MU, good.Bytes()); status != 202 {
		t.Errorf("good: %d %s", status, said)
	}
	if status, said := request(t, "POST", urls.MU, good.Bytes()); status != 400 || !strings.Contains(said, "already scheduled") {
		t.Errorf("twice: %d %s", status, said)
	}
	if parts, _ := filepath.Glob(filepath.Join(network.folder, "items", "part-*")); len(parts) != 0 {
		t.Errorf("left: %v", parts)
	}
}

func TestPushes(t *testing.T) {
	network, urls := listen(t, t.TempDir())
	module, asking := spawn(t, network)
	_, answering := spawn(t, network)
	wallet := ao.ID{42}
	do := fmt.Sprintf(`"Messages":[{"Target":%q,"Anchor":"short","Tags":[{"name":"Type","value":"forged"},{"name":"Action","value":"Pong"},{"name":"N","value":7}],`+
		`"Data":"hello"},{"Target":%q,"Tags":[{"name":"Action","value":"Note"}]}],"Spawns":[{"Tags":[{"name":"Module","value":%q},{"name":"Name","value":"child"}],"Data":"boot"}],`+
		`"Assignments":[{"Processes":[%q],"Message":%q}]`, answering, wallet, module, answering, module)
	message, err := network.Send(t.Context(), asking, ao.Tags{{Name: "Do", Value: do}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the asking process hears of its child", func() bool { return len(network.plans.slots(asking)) == 3 })
	eventually(t, "the answering process gets a message and an assignment", func() bool { return len(network.plans.slots(answering)) == 3 })

	pushed := readSchedule(t, urls, answering)[1].Message
	want := ao.Tags{{Name: "Action", Value: "Pong"}, {Name: "N", Value: "7"}, {Name: "Data-Protocol", Value: "ao"}, {Name: "Type", Value: "Message"},
		{Name: "From-Process", Value: asking.String()}, {Name: "From-Module", Value: module.String()}, {Name: "Pushed-For", Value: message.String()}}
	if fmt.Sprint(pushed.Tags) != fmt.Sprint(want) || pushed.From != asking.String() || pushed.ForwardedBy.Value != network.MUAddress() ||
		pushed.Data.Value != "hello" || pushed.Owner != network.MUAddress() || len(pushed.Anchor.Value) != 32 {
		t.Errorf("\n got %+v\nwant %v", pushed, want)
	}
	if assigned := readSchedule(t, urls, answering)[2]; !assigned.Hydrate || assigned.MessageID != module {
		t.Errorf("assigned: %+v", assigned)
	}
	spawned := readSchedule(t, urls, asking)[2].Message
	child, err := ao.ParseID(spawned.Tags.Get("Process"))
	if err != nil || spawned.Tags.Get("Action") != "Spawned" || spawned.Tags.Get("Name") != "child" {
		t.Errorf("%v, %+v", err, spawned.Tags)
	}
	boot := readSchedule(t, urls, child)[0].Message
	if boot.Data.Value != "boot" || boot.Tags.Get("Scheduler") != network.SUAddress() || boot.Tags.Get("From-Process") != asking.String() {
		t.Errorf("%+v", boot)
	}
	found := ask(t, urls, `{transactions(recipients:["`+wallet.String()+`"]){edges{node{id tags{name value}}}}}`, nil)
	if !strings.Contains(found, `"value":"Note"`) {
		t.Errorf("the wallet's message: %s", found)
	}
	// The same again is no news: the messenger signs the same, and the scheduler knows it.
	if status, said := request(t, "POST", urls.MU+"/push/"+message.String()+"/0?process-id="+asking.String(), nil); status != 202 {
		t.Errorf("%d %s", status, said)
	}
	eventually(t, "the second push is done", func() bool { return waiting(network) == 0 })
	if a, b := len(network.plans.slots(asking)), len(network.plans.slots(answering)); a != 3 || b != 3 {
		t.Errorf("a second push gave %d and %d assignments", a, b)
	}
}

// TestStrange: what the public network's messengers would leave out is named.
func TestStrange(t *testing.T) {
	for text, want := range map[string]string{
		`{"Anchor":"1","Tags":[{"name":"a","value":"b"}]}`: "",
		`{"Tags":[]}`:    "no Anchor",
		`{"Anchor":"1"}`: "no Tags",
		`{"Anchor":"1","Tags":[{"name":"a","value":["b"]}]}`:            `a tag "a" whose value is not a string`,
		`{"Anchor":"1","Tags":[{"name":"a","value":"b"},{"name":"c"}]}`: `a tag "c" whose value is not a string`,
	} {
		var message outItem
		if err := json.Unmarshal([]byte(text), &message); err != nil {
			t.Fatal(err)
		}
		if got := message.strange(); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// TestPushesOn: what a pushed message causes is pushed for the message that began it, and a tag can name more recipients.
func TestPushesOn(t *testing.T) {
	network, urls := listen(t, t.TempDir())
	_, first := spawn(t, network)
	_, second := spawn(t, network)
	inner, _ := json.Marshal(fmt.Sprintf(`"Messages":[{"Target":%q,"Tags":[{"name":"Back","value":"yes"},{"name":"Assignments","value":[%q]}]}],"Spawns":[],"Assignments":[]`, first, second))
	do := fmt.Sprintf(`"Messages":[{"Target":%q,"Tags":[{"name":"Do","value":%s}]}],"Spawns":[],"Assignments":[]`, second, inner)
	began, err := network.Send(t.Context(), first, ao.Tags{{Name: "Do", Value: do}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answer comes back, and is assigned", func() bool { return len(network.plans.slots(first)) == 3 && len(network.plans.slots(second)) == 3 })
	back := readSchedule(t, urls, first)[2].Message
	if back.Tags.Get("Pushed-For") != began.String() || back.Tags.Get("Back") != "yes" || back.Tags.Get("Assignments") != "" || back.From != second.String() {
		t.Errorf("%+v", back.Tags)
	}
	if also := readSchedule(t, urls, second)[2]; !also.Hydrate || also.MessageID.String() != back.ID.Value {
		t.Errorf("%+v", also)
	}
}

// TestSamePushByTwoMessengers: the second delivery of one message of a process is refused, whoever signed it.
func TestSamePushByTwoMessengers(t *testing.T) {
	network, urls := listen(t, t.TempDir())
	_, process := spawn(t, network)
	draft := dataitem.Draft{Target: process, Data: []byte("x"), Tags: ao.Tags{{Name: "Data-Protocol", Value: "ao"}, {Name: "Type", Value: "Message"},
		{Name: "From-Process", Value: ao.ID{3}.String()}, {Name: "Pushed-For", Value: "a"}}}
	one, err := dataitem.Sign(network.Developer(), draft)
	if err != nil {
		t.Fatal(err)
	}
	draft.Tags = ao.Tags{{Name: "Pushed-For", Value: "b"}, draft.Tags[2], draft.Tags[1], draft.Tags[0]}
	two, err := dataitem.Sign(network.mu, draft)
	if err != nil {
		t.Fatal(err)
	}
	if status, said := request(t, "POST", urls.SU, one.Bytes()); status != 200 {
		t.Errorf("%d %s", status, said)
	}
	if status, said := request(t, "POST", urls.SU, two.Bytes()); status != 400 || !strings.Contains(said, "already scheduled") {
		t.Errorf("%d %s", status, said)
	}
	network.TakeCopies()
	assign := urls.SU + "/?process-id=" + process.String() + "&assign=" + one.ID().String()
	for url, body := range map[string][]byte{urls.SU: two.Bytes(), assign: nil} {
		if status, said := request(t, "POST", url, body); status != 200 {
			t.Errorf("with copies: %d %s", status, said)
		}
	}
	if status, said := request(t, "POST", urls.SU, one.Bytes()); status != 400 {
		t.Errorf("the same item twice: %d %s", status, said)
	}
	if placed, _ := network.plans.find(process, one.ID()); placed.assigned || len(network.plans.slots(process)) != 4 {
		t.Errorf("%+v of %d", placed, len(network.plans.slots(process)))
	}
}

func TestPages(t *testing.T) {
	network, urls := listen(t, t.TempDir())
	_, process := spawn(t, network)
	for range 3 {
		if _, err := network.Send(t.Context(), process, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	slots := network.plans.slots(process)
	at := func(nonce int) string { return fmt.Sprint(slots[nonce].timestamp) }
	for query, want := range map[string]string{
		"": "0 1 2 3", "from=" + at(0): "1 2 3", "from=" + at(0) + "&to=" + at(2): "1 2", "to=" + at(0): "0", "from-nonce=1": "2 3", "from-nonce=0&to-nonce=2": "1 2",
		"limit=2": "0 1 more", "from=undefined&to=undefined&limit=4": "0 1 2 3", "from=" + at(3): "",
	} {
		_, said := request(t, "GET", urls.SU+"/"+process.String()+"?process-id="+process.String()+"&"+query, nil)
		var page struct {
			Info struct {
				More bool `json:"has_next_page"`
			} `json:"page_info"`
			Edges []struct {
				Node struct{ Assignment struct{ Tags ao.Tags } }
			}
		}
		if err := json.Unmarshal([]byte(said), &page); err != nil {
			t.Fatalf("%s: %v", said, err)
		}
		var got []string
		for _, edge := range page.Edges {
			got = append(got, edge.Node.Assignment.Tags.Get("Nonce"))
		}
		if page.Info.More {
			got = append(got, "more")
		}
		if strings.Join(got, " ") != want {
			t.Errorf("?%s: %q, want %q", query, got, want)
		}
	}
}

// TestPushesAfterRestart: without a compute unit tasks wait, across a restart too.
func TestPushesAfterRestart(t *testing.T) {
	folder := t.TempDir()
	network, err := Open(Options{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	_, asking := spawn(t, network)
	do := `"Messages":[{"Target":"SELF","Tags":[],"Data":"to myself"}],"Spawns":[],"Assignments":[]`
	if _, err := network.Send(t.Context(), asking, ao.Tags{{Name: "Do", Value: do}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := network.Close(); err != nil {
		t.Fatal(err)
	}
	// What a crash leaves between the note of a task and the assignment of its message: nobody was told that it was taken.
	log, err := os.OpenFile(filepath.Join(folder, "messenger.log"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(log, `{"process":%q,"message":%q}`+"\n", asking, ao.ID{9})
	log.Close()
	network, urls := listen(t, folder)
	eventually(t, "nothing waits", func() bool { return waiting(network) == 0 })
	eventually(t, "the message of before is pushed", func() bool { return len(network.plans.slots(asking)) == 3 })
	if read := readSchedule(t, urls, asking); read[2].Message.Data.Value != "to myself" {
		t.Errorf("%+v", read[2])
	}
}

func ask(t *testing.T, urls URLs, text string, variables map[string]any) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": text, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	_, said := request(t, "POST", urls.Gateway+"/graphql", body)
	return strings.TrimSpace(said)
}

func TestGraphQL(t *testing.T) {
	network, urls := listen(t, t.TempDir())
	var ids []string
	for i := range 25 {
		id, err := network.Publish(t.Context(), []byte{byte(i)}, ao.Tags{{Name: "Kind", Value: fmt.Sprint("k", i%2)}, {Name: "N", Value: fmt.Sprint(i)}})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id.String())
	}
	all := map[string]any{"ids": ids[:1]}
	for _, test := range []struct {
		query     string
		variables map[string]any
		want      string
	}{
		{`query Q($ids: [ID!]!) { transactions(ids: $ids) { edges { node { id tags { name value } } } } }`, all,
			`{"data":{"transactions":{"edges":[{"node":{"id":"` + ids[0] + `","tags":[{"name":"Kind","value":"k0"},{"name":"N","value":"0"}]}}]}}}`},
		{`query ($ids: [ID!]!, $no: Boolean! = true, $yes: Boolean!) { transactions(ids: $ids) { edges { node { a: id signature @skip(if: $no) recipient @include(if: $yes) ...F } } } } fragment F on Transaction { data { size } }`,
			map[string]any{"ids": ids[:1], "yes": true}, `{"data":{"transactions":{"edges":[{"node":{"a":"` + ids[0] + `","data":{"size":"1"},"recipient":""}}]}}}`},
		{`{ transactions(tags: [{name: "Kind", values: ["k1"]}], first: 1, sort: HEIGHT_ASC) { pageInfo { hasNextPage } edges { node { id } } } }`, nil,
			`{"data":{"transactions":{"edges":[{"node":{"id":"` + ids[1] + `"}}],"pageInfo":{"hasNextPage":true}}}}`},
		{`{ transactions(tags: {name: "Kind", values: "k1", op: NEQ}, first: 1, owners: "` + keyDigest(network.developer.Owner()) + `") { edges { node { id } } } } # newest first`, nil,
			`{"data":{"transactions":{"edges":[{"node":{"id":"` + ids[24] + `"}}]}}}`},
		{`{ transaction(id: "` + ids[3] + `") { id block { height } } }`, nil, fmt.Sprintf(`{"data":{"transaction":{"block":{"height":%d},"id":%q}}}`, network.height(), ids[3])},
		{`{ blocks(height: {min: 1600000, max: 1600001}, sort: HEIGHT_ASC) { edges { node { height timestamp } } } }`, nil,
			`{"data":{"blocks":{"edges":[{"node":{"height":1600000,"timestamp":1700000000}},{"node":{"height":1600001,"timestamp":1700000120}}]}}}`},
		{`{ transactions(ids: [], block: {max: 3}) { edges { cursor } } }`, nil, `{"data":{"transactions":{"edges":[]}}}`},
		{`{ transactions(ids: ["` + ids[7] + `", "` + ids[5] + `", "` + ids[6] + `", "` + ids[5] + `"], first: 2, sort: INGESTED_AT_ASC) { pageInfo { hasNextPage } edges { cursor node { id } } } }`, nil,
			`{"data":{"transactions":{"edges":[{"cursor":"6","node":{"id":"` + ids[5] + `"}},{"cursor":"7","node":{"id":"` + ids[6] + `"}}],"pageInfo":{"hasNextPage":true}}}}`},
		{`{ transactions(ids: ["` + ids[7] + `", "` + ids[5] + `", "` + ids[6] + `"], after: "7", sort: HEIGHT_ASC) { edges { node { id } } } }`, nil,
			`{"data":{"transactions":{"edges":[{"node":{"id":"` + ids[7] + `"}}]}}}`},
		{`{ transactions(ids: ["` + ids[7] + `", "` + ids[5] + `", "` + ids[6] + `"], after: "7") { edges { node { id } } } }`, nil,
			`{"data":{"transactions":{"edges":[{"node":{"id":"` + ids[5] + `"}}]}}}`},
		{`{ transactions(bundledIn: ["` + ids[0] + `"]) { edges { node { id } } } block(id: "` + network.chain.hash(1_600_001) + `") { height } }`, nil,
			`{"data":{"block":{"height":1600001},"transactions":{"edges":[]}}}`},
		{`{ ...f } fragment f on X { ...f ...f ...f }`, nil, `{"errors":[{"message":"GraphQL: the answer has more than 1000000 fields"}]}`},
		{`{ nothing }`, nil, `{"errors":[{"message":"GraphQL: no field \"nothing\" here"}]}`},
	} {
		if got := ask(t, urls, test.query, test.variables); got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.query, got, test.want)
		}
	}
	seen, after := 0, ""
	for page := 0; page < 10; page++ {
		var answer struct {
			Data struct {
				Transactions struct {
					PageInfo struct{ HasNextPage bool }
					Edges    []struct{ Cursor string }
				}
			}
		}
		said := ask(t, urls, `query($after:String){transactions(after:$after,tags:[{name:"Kind",values:["k0","k1"]}]){pageInfo{hasNextPage} edges{cursor}}}`, map[string]any{"after": after})
		if err := json.Unmarshal([]byte(said), &answer); err != nil {
			t.Fatalf("%s: %v", said, err)
		}
		seen += len(answer.Data.Transactions.Edges)
		if !answer.Data.Transactions.PageInfo.HasNextPage {
			break
		}
		after = answer.Data.Transactions.Edges[len(answer.Data.Transactions.Edges)-1].Cursor
	}
	if seen != 25 {
		t.Errorf("pages hold %d items, want 25", seen)
	}
}

func TestGateway(t *testing.T) {
	network, urls := listen(t, "")
	id, err := network.Publish(t.Context(), []byte("0123456789"), ao.Tags{{Name: "Content-Type", Value: "text/x"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/raw/", "/"} {
		asked, _ := http.NewRequest("GET", urls.Gateway+path+id.String(), nil)
		asked.Header.Set("Range", "bytes=2-4")
		answer, err := http.DefaultClient.Do(asked)
		if err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != 206 || string(said) != "234" || answer.Header.Get("Content-Type") != "text/x" || answer.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %q %v", path, answer.StatusCode, said, answer.Header)
		}
		asked.Header.Set("Range", "bytes=0100-10") // what WeaveDrive asks for at the end of 10 bytes
		if answer, err = http.DefaultClient.Do(asked); err != nil {
			t.Fatal(err)
		}
		said, _ = io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != 200 || string(said) != "0123456789" {
			t.Errorf("%s: an invalid range: %d %q", path, answer.StatusCode, said)
		}
		head, err := http.Head(urls.Gateway + path + id.String())
		if err != nil || head.ContentLength != 10 {
			t.Errorf("%s: HEAD %+v, %v", path, head, err)
		}
	}
	for path, want := range map[string]int{"/info": 200, "/block/height/1600000": 200, "/block/height/99999999": 404, "/tx/" + id.String(): 200,
		"/tx/" + id.String() + "/status": 200, "/item/" + ao.ID{1}.String(): 404, "/raw/x": 404, "/tx_anchor": 200, "/price/10": 200} {
		if status, said := request(t, "GET", urls.Gateway+path, nil); status != want {
			t.Errorf("%s: %d %s", path, status, said)
		}
	}
	client, err := arweave.New(arweave.Options{Gateway: urls.Gateway})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := client.Fetch(t.Context(), id); err != nil || !got.Verified || string(got.Data) != "0123456789" {
		t.Errorf("%+v, %v", got, err)
	}
	if found, err := client.Locate(t.Context(), network.SUAddress()); err != nil || found.URL != urls.SU || found.TTL != time.Hour {
		t.Errorf("the scheduler is at %q, %v; want %s", found, err, urls.SU)
	}
	items := []*dataitem.Item{}
	for i := range 2 {
		item, err := dataitem.Sign(network.Developer(), dataitem.Draft{Data: []byte{byte(i)}, Tags: ao.Tags{{Name: "In", Value: "a bundle"}}})
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
	bundle, err := dataitem.Sign(network.Developer(), dataitem.Draft{Data: dataitem.Bundle(items), Tags: ao.Tags{{Name: "Bundle-Format", Value: "binary"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Upload(t.Context(), bundle); err != nil {
		t.Error(err)
	}
	if got, err := client.Fetch(t.Context(), items[1].ID()); err != nil || !got.Verified {
		t.Errorf("an item of a bundle: %v", err)
	}
	in := fmt.Sprintf(`{"data":{"transactions":{"edges":[{"node":{"bundledIn":{"id":%[2]q},"id":%[1]q,"parent":{"id":%[2]q}}}]}}}`, items[1].ID(), bundle.ID())
	if got := ask(t, urls, `{transactions(bundledIn:"`+bundle.ID().String()+`",first:1){edges{node{id bundledIn{id} parent{id}}}}}`, nil); got != in {
		t.Errorf("\n got %s\nwant %s", got, in)
	}
	folder := network.folder
	if err := network.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("the temporary folder is still there: %v", err)
	}
}

// FuzzQuery looks for queries that hang or crash the gateway.
func FuzzQuery(f *testing.F) {
	for _, text := range []string{`{a}`, `query Q($a: [B!]! = [1, {c: "d"}], $e: F) @g { h: i(j: $a, k: -1.5) { ...l ... on m @include(if: $e) { n } } } fragment l on o { p }`,
		"{ a(b: \"\"\"c\"\"\") # d\n }", `{ a(b: "\u00e9\"") }`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := parseQuery(text)
		if err != nil {
			return
		}
		value := func(map[string]any) (any, error) { return map[string]any{"i": []any{map[string]any{"n": 1}}}, nil }
		parsed.answer(map[string]any{}, map[string]resolver{"a": value, "h": value, "i": value})
	})
}
