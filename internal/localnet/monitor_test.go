package localnet

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
)

// cronCU is a compute unit of which only crons are asked: pages by the cursor that they follow. It keeps the cursors that it
// was asked with.
type cronCU struct {
	pages map[string]string

	mu    sync.Mutex
	asked []string
}

func (c *cronCU) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/results/"):
		fmt.Fprint(w, `{"pageInfo":{"hasNextPage":true},"edges":[{"node":{},"cursor":"begin"}]}`)
	case strings.HasPrefix(r.URL.Path, "/cron/"):
		from := r.URL.Query().Get("from")
		c.mu.Lock()
		c.asked = append(c.asked, from)
		c.mu.Unlock()
		said := c.pages[from]
		if said == "" {
			said = `{"pageInfo":{"hasNextPage":false},"edges":[]}`
		}
		fmt.Fprint(w, said)
	default:
		fmt.Fprint(w, `{"Messages":[],"Spawns":[],"Assignments":[],"Output":""}`)
	}
}

func (c *cronCU) times() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.asked)
}

func signedFor(t *testing.T, network *Network, process ao.ID) []byte {
	t.Helper()
	item, err := dataitem.Sign(network.Developer(), dataitem.Draft{Target: process, Data: []byte("1984")})
	if err != nil {
		t.Fatal(err)
	}
	return item.Bytes()
}

// TestMonitor: what crons send is sent on, once, from the last result on, page after page, across a restart, until it is stopped.
func TestMonitor(t *testing.T) {
	folder := t.TempDir()
	open := func(cu *cronCU) (*Network, URLs) {
		network, err := Open(Options{Folder: folder, Log: t.Logf})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { network.Close() })
		urls, err := network.Listen("127.0.0.1", Ports{})
		if err != nil {
			t.Fatal(err)
		}
		network.messenger.monitors.every = time.Millisecond
		network.ServeCU(cu, urls.CU)
		return network, urls
	}
	cu := &cronCU{pages: map[string]string{}}
	network, urls := open(cu)
	_, ticking := spawn(t, network)
	_, told := spawn(t, network)
	edge := func(cursor, node string) string { return fmt.Sprintf(`{"cursor":%q,"node":{%s}}`, cursor, node) }
	message := func(anchor string) string {
		return fmt.Sprintf(`"Messages":[{"Target":%q,"Anchor":%q,"Data":"tick","Tags":[{"name":"Action","value":"Tick"}]}]`, told, anchor)
	}
	cu.pages["begin"] = `{"pageInfo":{"hasNextPage":true},"edges":[` + edge("one", message("1")) + "," + edge("two", `"Messages":[{"Target":"nobody"}]`) + `]}`
	cu.pages["two"] = `{"pageInfo":{"hasNextPage":false},"edges":[` + edge("three", message("3")) + `]}`

	address := urls.MU + "/monitor/" + ticking.String()
	for what, body := range map[string][]byte{"for another process": signedFor(t, network, told), "not signed": []byte("x")} {
		if status, said := request(t, "POST", address, body); status != 400 {
			t.Errorf("%s: %d %s", what, status, said)
		}
	}
	if status, said := request(t, "POST", urls.MU+"/monitor/"+ao.ID{1}.String(), signedFor(t, network, ao.ID{1})); status != 400 {
		t.Errorf("of nobody: %d %s", status, said)
	}
	for range 2 {
		if status, said := request(t, "POST", address, signedFor(t, network, ticking)); status != 200 || said != "Monitoring process" {
			t.Fatalf("%d %s", status, said)
		}
	}
	eventually(t, "two crons are sent on", func() bool { return len(network.plans.slots(told)) == 3 })
	for _, tick := range readSchedule(t, urls, told)[1:] {
		if tags := tick.Message.Tags; tick.Message.From != ticking.String() || tags.Get("Action") != "Tick" || tags.Has("Pushed-For", tags.Get("Pushed-For")) {
			t.Errorf("%+v", tick.Message)
		}
	}
	eventually(t, "the cursor is kept", func() bool {
		kept, _ := os.ReadFile(filepath.Join(folder, "monitors.json"))
		return strings.Contains(string(kept), "three")
	})
	if err := network.Close(); err != nil {
		t.Error(err)
	}

	cu = &cronCU{pages: map[string]string{"three": `{"pageInfo":{"hasNextPage":false},"edges":[` + edge("four", message("4")) + `]}`}}
	network, urls = open(cu)
	eventually(t, "it goes on after a restart", func() bool { return len(network.plans.slots(told)) == 4 && cu.times() > 3 })
	cu.mu.Lock()
	if cu.asked[0] != "three" || cu.asked[1] != "four" {
		t.Errorf("asked with %q", cu.asked)
	}
	cu.mu.Unlock()
	address = urls.MU + "/monitor/" + ticking.String()
	if status, said := request(t, "DELETE", address, signedFor(t, network, ticking)); status != 200 {
		t.Errorf("%d %s", status, said)
	}
	eventually(t, "nobody asks any more", func() bool {
		before := cu.times()
		time.Sleep(30 * time.Millisecond)
		return cu.times() == before
	})
	if status, said := request(t, "DELETE", address, signedFor(t, network, ticking)); status != 400 {
		t.Errorf("not monitored: %d %s", status, said)
	}
	if kept, _ := os.ReadFile(filepath.Join(folder, "monitors.json")); strings.TrimSpace(string(kept)) != "{}" {
		t.Errorf("%s", kept)
	}
}
