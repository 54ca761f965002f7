package api_test

// What the reference compute unit's routes promise beyond plain answers: busy, denied, limited, paged both ways.

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"verbatim/api"
	"verbatim/cu"
	"verbatim/cu/ao"
	"verbatim/cu/cron"
	"verbatim/cu/cutest"
	"verbatim/cu/eval"
	"verbatim/cu/eval/evaltest"
)

// A client that need not wait is told that the evaluation goes on, and finds the result later.
func TestBusy(t *testing.T) {
	release := make(chan struct{})
	r := newRigWith(t, &evaltest.Provider{Before: func(context.Context, eval.Question) error { <-release; return nil }}, nil,
		func(c *api.Config) { c.BusyAfter = 20 * time.Millisecond })
	process := r.network.Spawn("p", true)
	message := r.network.Send(process, "@i1")
	path := fmt.Sprintf("/result/%s?process-id=%s", message, process)
	want := fmt.Sprintf(`{"message":"Evaluation of process \"%s\" to \"%s\" is in progress."}`, process, message)
	if answer := r.ask("GET", path, ""); answer.Code != http.StatusAccepted || answer.Body.String() != want {
		t.Errorf("%d %s, want 202 %s", answer.Code, answer.Body, want)
	}
	if answer := r.ask("GET", "/state/"+process.String(), ""); answer.Code != http.StatusAccepted || !strings.Contains(answer.Body.String(), `to \"latest\"`) {
		t.Errorf("state: %d %s", answer.Code, answer.Body)
	}
	time.AfterFunc(40*time.Millisecond, func() { close(release) })
	if answer := r.ask("GET", path+"&no-busy=1", ""); answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), "question 1") {
		t.Errorf("no-busy: %d %s", answer.Code, answer.Body)
	}
	if answer := r.ask("GET", path, ""); answer.Code != http.StatusOK {
		t.Errorf("when it is known: %d %s", answer.Code, answer.Body)
	}
}

// A dry run that nobody waited for is not lost either: over a connection that is gone after the 202, it goes on.
func TestBusyDryRun(t *testing.T) {
	release, entered, provider := make(chan struct{}), make(chan struct{}, 9), &evaltest.Provider{}
	provider.Before = func(ctx context.Context, _ eval.Question) error {
		entered <- struct{}{}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r := newRigWith(t, provider, nil, func(c *api.Config) { c.BusyAfter = 200 * time.Millisecond })
	process := r.network.Spawn("p", true)
	for r.ask("GET", "/state/"+process.String(), "").Code != http.StatusOK { // the process is ready, and so the dry run begins at once
		time.Sleep(time.Millisecond)
	}
	server := httptest.NewServer(r.handler)
	defer server.Close()
	ask := func() int {
		answer, err := http.Post(server.URL+"/dry-run?process-id="+process.String(), "application/json", strings.NewReader(`{"Data":"@i1"}`))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	if got := ask(); got != http.StatusAccepted {
		t.Fatalf("%d, want 202", got)
	}
	<-entered
	time.Sleep(10 * time.Millisecond)
	close(release)
	for begin := time.Now(); ask() != http.StatusOK; time.Sleep(5 * time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("never done")
		}
	}
	if provider.Asked() != 1 {
		t.Errorf("the model was asked %d times", provider.Asked())
	}
}

func TestAccess(t *testing.T) {
	allowed, denied := cutest.ID("allowed"), cutest.ID("denied")
	for _, test := range []struct {
		access cu.Access
		serves map[ao.ID]bool
	}{
		{cu.Access{}, map[ao.ID]bool{allowed: true, denied: true}},
		{cu.Access{Denied: []ao.ID{denied}}, map[ao.ID]bool{allowed: true, denied: false}},
		{cu.Access{Processes: []ao.ID{allowed}}, map[ao.ID]bool{allowed: true, denied: false}},
		{cu.Access{Owners: []string{"nobody"}}, map[ao.ID]bool{allowed: false, denied: false}},
		{cu.Access{Owners: []string{cutest.ID("owner").String()}}, map[ao.ID]bool{allowed: true, denied: true}},
	} {
		r := newRigWith(t, &evaltest.Provider{}, func(c *cu.Config) { c.Access = test.access }, nil)
		for process, serves := range test.serves {
			name := "denied"
			if process == allowed {
				name = "allowed"
			}
			r.network.Spawn(name, true)
			for _, path := range []string{fmt.Sprintf("GET /result/%s?process-id=%[1]s", process), fmt.Sprintf("GET /state/%s", process),
				fmt.Sprintf("GET /cron/%s", process), fmt.Sprintf("POST /dry-run?process-id=%s", process)} {
				method, target, _ := strings.Cut(path, " ")
				answer := r.ask(method, target, `{"Data":"@c"}`)
				if (answer.Code == http.StatusForbidden) == serves || (!serves && !strings.Contains(answer.Body.String(), "Access denied for process")) {
					t.Errorf("%+v: %s: %d %s", test.access, path, answer.Code, answer.Body)
				}
			}
		}
	}
}

// Each client may ask for so many dry runs; answers that are known already do not count.
func TestRates(t *testing.T) {
	r := newRigWith(t, &evaltest.Provider{}, nil, func(c *api.Config) { c.DryRuns, c.DryRunWindow = 2, time.Hour })
	process := r.network.Spawn("p", true)
	ask := func(client, data string) int {
		request := httptest.NewRequest("POST", "/dry-run?process-id="+process.String(), strings.NewReader(`{"Data":"`+data+`"}`))
		request.RemoteAddr = client + ":1"
		request.Header.Set("X-Forwarded-For", data) // anybody can say that
		recorder := httptest.NewRecorder()
		r.handler.ServeHTTP(recorder, request)
		return recorder.Code
	}
	for i, test := range []struct {
		client, data string
		want         int
	}{{"10.0.0.1", "a", 200}, {"10.0.0.1", "a", 200}, {"10.0.0.1", "a", 200}, {"10.0.0.1", "b", 200}, {"10.0.0.1", "c", 429}, {"10.0.0.2", "c", 200}} {
		if got := ask(test.client, test.data); got != test.want {
			t.Errorf("request %d: %d, want %d", i, got, test.want)
		}
	}
}

// Dry runs on an older memory, and on one that was current a moment ago.
func TestDryRunTo(t *testing.T) {
	r := newRig(t, &evaltest.Provider{})
	process := r.network.Spawn("p", true)
	first := r.network.Send(process, "@c")
	r.network.Send(process, "@c")
	ask := func(query, age string) string {
		request := httptest.NewRequest("POST", "/dry-run?process-id="+process.String()+query, strings.NewReader(`{"Data":"@c"}`))
		request.Header.Set("x-max-age", age)
		recorder := httptest.NewRecorder()
		r.handler.ServeHTTP(recorder, request)
		return recorder.Body.String()
	}
	for _, test := range []struct{ query, age, want string }{
		{"", "0", `"0004"`}, {"&to=" + first.String(), "0", `"0003"`}, {"", "3600000", `"0004"`},
	} {
		if got := ask(test.query, test.age); !strings.Contains(got, test.want) {
			t.Errorf("%+v: %s", test, got)
		}
	}
	r.network.Send(process, "@c")
	if got := ask("", "3600000"); !strings.Contains(got, `"0004"`) {
		t.Errorf("within its age: %s", got)
	}
	if got := ask("", "0"); !strings.Contains(got, `"0005"`) {
		t.Errorf("the same body on a memory that has moved on: %s", got)
	}
}

// Cron results are found by /cron and /results alike, page after page, by the cursors that clients hand back.
func TestCronRoutes(t *testing.T) {
	r := newRig(t, &evaltest.Provider{})
	r.network.SetBlocks([]cron.Point{{Height: 100, Timestamp: 1000}, {Height: 101, Timestamp: 4000}})
	process := r.network.Spawn("p", true, ao.Tag{Name: "Cron-Interval", Value: "1-second"}, ao.Tag{Name: "Cron-Interval", Value: "1-block"})
	r.network.SetNow(5500)
	type page struct {
		PageInfo struct{ HasNextPage bool }
		Edges    []struct {
			Node   struct{ Output string }
			Cursor string
		}
	}
	walk := func(path string) (outputs, cursors []string) {
		from := ""
		for {
			var p page
			if err := json.Unmarshal([]byte(r.get(t, path+"limit=2&from="+from)), &p); err != nil {
				t.Fatal(err)
			}
			for _, edge := range p.Edges {
				raw, _ := base64.StdEncoding.DecodeString(edge.Cursor)
				outputs, cursors, from = append(outputs, edge.Node.Output), append(cursors, string(raw)), edge.Cursor
			}
			if !p.PageInfo.HasNextPage {
				return outputs, cursors
			}
		}
	}
	outputs, cursors := walk("/cron/" + process.String() + "?")
	if fmt.Sprint(outputs) != "[0002 0003 0004 0005 0006]" || cursors[2] != `{"timestamp":4000,"ordinate":"0","cron":"0-1-block","sort":"ASC"}` {
		t.Errorf("cron: %v %v", outputs, cursors)
	}
	if outputs, _ = walk("/results/" + process.String() + "?"); fmt.Sprint(outputs) != "[0001 0002 0003 0004 0005 0006]" {
		t.Errorf("results: %v", outputs)
	}
	if outputs, cursors = walk("/results/" + process.String() + "?sort=DESC&"); fmt.Sprint(outputs) != "[0006 0005 0004 0003 0002 0001]" || !strings.Contains(cursors[0], `"sort":"DESC"`) {
		t.Errorf("results in descending order: %v %v", outputs, cursors)
	}
	if got := r.get(t, "/metrics"); !strings.Contains(got, `ao_cu_ao_process_total_evaluations_total{message_type="cron",process_error="false",stream_type="primary"} 5`) &&
		!strings.Contains(got, `ao_cu_ao_process_total_evaluations{message_type="cron",process_error="false",stream_type="primary"} 5`) {
		t.Errorf("metrics:\n%s", got)
	}
}

// Who asks for a process that has far to go is turned away while it goes there, and the first who asked is not.
func TestBehind(t *testing.T) {
	release := make(chan struct{})
	r := newRigWith(t, &evaltest.Provider{Before: func(context.Context, eval.Question) error { <-release; return nil }}, func(c *cu.Config) { c.BehindMax = 2 }, nil)
	process := r.network.Spawn("p", true)
	r.network.Send(process, "@c")
	r.network.Send(process, "@i1")
	for range 3 {
		r.network.Send(process, "@c")
	}
	last := r.network.Send(process, "@c")
	path := fmt.Sprintf("/result/%s?process-id=%s", last, process)
	first := make(chan int)
	go func() { first <- r.ask("GET", path, "").Code }()
	for history, _ := r.Log.Steps(process); history.Steps < 2; history, _ = r.Log.Steps(process) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(5 * time.Millisecond)
	if answer := r.ask("GET", path, ""); answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), "Nonce limit exceeded") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	close(release)
	if code := <-first; code != http.StatusOK {
		t.Errorf("who asked first got %d", code)
	}
}
