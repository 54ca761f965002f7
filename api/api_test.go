package api_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"verbatim/api"
	"verbatim/cu"
	"verbatim/cu/ao"
	"verbatim/cu/cutest"
	"verbatim/cu/eval"
	"verbatim/cu/eval/evaltest"
	"verbatim/cu/receipt"
)

// rig is a server over a unit over a network.
type rig struct {
	*cutest.Rig
	network *cutest.Network
	handler http.Handler
}

func newRig(t *testing.T, provider eval.Provider) *rig { return newRigWith(t, provider, nil, nil) }

// newRigWith changes what the unit and the server are made of.
func newRigWith(t *testing.T, provider eval.Provider, unit func(*cu.Config), server func(*api.Config)) *rig {
	t.Helper()
	network, metrics := cutest.NewNetwork(), api.NewMetrics()
	inner := cutest.NewRig(t, t.TempDir(), network, cutest.Host(t), provider, func(c *cu.Config) {
		c.Observe = metrics.Observe
		if unit != nil {
			unit(c)
		}
	})
	t.Cleanup(inner.Close)
	config := api.Config{Unit: inner.Unit, Address: "address", Metrics: metrics, Logger: slog.New(slog.DiscardHandler)}
	if server != nil {
		server(&config)
	}
	handler := api.New(config)
	return &rig{inner, network, handler}
}

func (r *rig) ask(method, path, body string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	r.handler.ServeHTTP(recorder, httptest.NewRequest(method, path, strings.NewReader(body)))
	return recorder
}

// get asks and expects an answer.
func (r *rig) get(t *testing.T, path string) string {
	t.Helper()
	answer := r.ask("GET", path, "")
	if answer.Code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, answer.Code, answer.Body)
	}
	return answer.Body.String()
}

func TestShapes(t *testing.T) {
	r := newRig(t, &evaltest.Provider{})
	process := r.network.Spawn("p", true)
	ok, failed := r.network.Send(process, "@c"), r.network.Send(process, "@e")
	gas := regexp.MustCompile(`"GasUsed":\d+`)
	result := func(message ao.ID) string {
		return gas.ReplaceAllString(r.get(t, fmt.Sprintf("/result/%s?process-id=%s", message, process)), `"GasUsed":1`)
	}
	if got, want := result(ok), `{"Messages":[],"Assignments":[],"Spawns":[],"Output":"0002","GasUsed":1}`; got != want {
		t.Errorf("result:\n got %s\nwant %s", got, want)
	}
	if got, want := result(failed), `{"Messages":[{"Target":"someone"}],"Assignments":[],"Spawns":[],"Output":"","GasUsed":1,"Error":"as asked"}`; got != want {
		t.Errorf("result with an error:\n got %s\nwant %s", got, want)
	}
	cursor := func(timestamp, nonce int) string {
		return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"timestamp":%d,"ordinate":"%d","cron":null,"sort":"ASC"}`, timestamp, nonce))
	}
	want := `{"pageInfo":{"hasNextPage":true},"edges":[{"node":{"Messages":[],"Assignments":[],"Spawns":[],"Output":"0001"},"cursor":"` + cursor(1000, 0) + `"}]}`
	if got := r.get(t, fmt.Sprintf("/results/%s?limit=1", process)); got != want {
		t.Errorf("results:\n got %s\nwant %s", got, want)
	}
	want = `{"pageInfo":{"hasNextPage":false},"edges":[{"node":{"Messages":[],"Assignments":[],"Spawns":[],"Output":"0002"},"cursor":"` + cursor(2000, 1) + `"}]}`
	for _, from := range []string{cursor(1000, 0), strings.TrimRight(cursor(1000, 0), "="), "1000"} {
		if got := r.get(t, fmt.Sprintf("/results/%s?from=%s", process, from)); got != want {
			t.Errorf("results from %s:\n got %s\nwant %s", from, got, want)
		}
	}
	if got := r.get(t, fmt.Sprintf("/results/%s?sort=DESC&limit=1", process)); !strings.Contains(got, `"0002"`) || !strings.Contains(got, `"hasNextPage":true`) {
		t.Errorf("descending: %s", got)
	}
	if got := r.get(t, "/results/"+cutest.ID("nobody").String()); got != `{"pageInfo":{"hasNextPage":false},"edges":[]}` {
		t.Errorf("results of nobody: %s", got)
	}
	var root struct {
		Address   string
		Timestamp int64
	}
	if err := json.Unmarshal([]byte(r.get(t, "/")), &root); err != nil || root.Address != "address" || time.Since(time.UnixMilli(root.Timestamp)).Abs() > time.Minute {
		t.Errorf("root: %+v, %v", root, err)
	}
}

func TestState(t *testing.T) {
	r := newRig(t, &evaltest.Provider{})
	process := r.network.Spawn("p", true)
	r.network.Send(process, "@c")
	answer := r.ask("GET", "/state/"+process.String(), "")
	entry, err := r.Log.At(process, 1)
	if err != nil || receipt.Digest(eval.ImageOf(answer.Body.Bytes()).Digest()) != entry.Receipt.MemoryAfter.Digest {
		t.Errorf("%d bytes, %v", answer.Body.Len(), err)
	}
	for name, want := range map[string]string{"Last-Timestamp": "2000", "Last-Ordinate": "1", "Last-Block-Height": "101", "Content-Type": "application/octet-stream"} {
		if got := answer.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestDryRun(t *testing.T) {
	r := newRig(t, &evaltest.Provider{})
	process := r.network.Spawn("p", true)
	answer := r.ask("POST", "/dry-run?process-id="+process.String(), `{"Id":"1234","Owner":"1234","Data":"@i2","Anchor":"0","Tags":[]}`)
	if answer.Code != 200 || !strings.HasPrefix(answer.Body.String(), `{"Messages":[],"Assignments":[],"Spawns":[],"Output":{"text":"answer to \"question 2\""`) {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

func TestReceipts(t *testing.T) {
	r := newRig(t, &evaltest.Provider{})
	process := r.network.Spawn("p", true)
	message := r.network.Send(process, "@i2")
	path := fmt.Sprintf("/receipts/%s?process-id=%s", message, process)
	if answer := r.ask("GET", path, ""); answer.Code != http.StatusNotFound {
		t.Errorf("before the evaluation: %d %s", answer.Code, answer.Body)
	}
	r.get(t, fmt.Sprintf("/result/%s?process-id=%s", message, process))
	var view struct {
		Digest     receipt.Digest
		Process    string
		Nonce      int64
		Inferences []struct{ Transcript struct{ Text string } }
		Encoded    []byte
	}
	if err := json.Unmarshal([]byte(r.get(t, path)), &view); err != nil {
		t.Fatal(err)
	}
	decoded, err := receipt.Decode(view.Encoded)
	if err != nil || decoded.Verify() != nil || decoded.Digest() != view.Digest || view.Process != process.String() || view.Nonce != 1 ||
		len(view.Inferences) != 1 || view.Inferences[0].Transcript.Text != `answer to "question 2"` {
		t.Errorf("%+v, %v", view, err)
	}
	var head receipt.Head
	if err := json.Unmarshal([]byte(r.get(t, "/receipts/head")), &head); err != nil || head.Receipts != 2 || head.Receipt != view.Digest {
		t.Errorf("head: %+v, %v", head, err)
	}
	log := r.ask("GET", "/receipts/log", "").Body.Bytes()
	if reader, err := receipt.NewReader(bytes.NewReader(log), int64(len(log))); err != nil || int64(len(log)) != head.Bytes {
		t.Errorf("log: %v, %d bytes, %v", reader, len(log), err)
	}
}

// Every error is {"error": text} with a status of its kind.
func TestErrors(t *testing.T) {
	var failing error
	r := newRig(t, &evaltest.Provider{Before: func(context.Context, eval.Question) error { return failing }})
	process := r.network.Spawn("p", true)
	broken := r.network.Spawn("broken", true, ao.Tag{Name: "Module", Value: "x"}, ao.Tag{Name: "Memory-Limit", Value: "lots"})
	message, unknown := r.network.Send(process, "@i1"), cutest.ID("unknown")
	failing = errors.New("the device is gone")
	for _, test := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/nothing", "", 404, "no such route"},
		{"GET", "/result/" + message.String(), "", 400, "process-id"},
		{"GET", "/result/short?process-id=" + process.String(), "", 400, "message"},
		{"GET", fmt.Sprintf("/result/%s?process-id=%s", unknown, process), "", 404, unknown.String()},
		{"GET", fmt.Sprintf("/result/%s?process-id=%s", message, process), "", 500, "the device is gone"},
		{"GET", fmt.Sprintf("/result/%s?process-id=%s", broken, broken), "", 422, "Memory-Limit"},
		{"GET", "/results/" + process.String() + "?limit=0", "", 400, "limit"},
		{"GET", "/results/" + process.String() + "?limit=x", "", 400, "limit"},
		{"GET", "/results/" + process.String() + "?sort=UP", "", 400, "sort"},
		{"GET", "/results/" + process.String() + "?from=%21%21", "", 400, "cursor"},
		{"GET", "/state/" + unknown.String(), "", 404, unknown.String()},
		{"GET", "/state/" + process.String() + "?to=x", "", 400, "milliseconds"},
		{"GET", "/cron/" + unknown.String(), "", 404, unknown.String()},
		{"POST", "/dry-run?process-id=" + process.String() + "&to=short", "{}", 400, "to"},
		{"POST", "/dry-run?process-id=" + process.String(), "nonsense", 400, "JSON"},
		{"POST", "/dry-run?process-id=" + process.String(), strings.Repeat(" ", api.BodyBytesMax+1), 413, "too large"},
		{"GET", "/receipts/x?process-id=y", "", 400, "process-id"},
	} {
		answer := r.ask(test.method, test.path, test.body)
		var body struct{ Error string }
		if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil || answer.Code != test.status || !strings.Contains(body.Error, test.says) {
			t.Errorf("%s %s: %d %.300s, want %d and %q", test.method, test.path, answer.Code, answer.Body, test.status, test.says)
		}
	}
	r.network.Down(true)
	if answer := r.ask("GET", "/state/"+process.String(), ""); answer.Code != http.StatusBadGateway {
		t.Errorf("network down: %d %s", answer.Code, answer.Body)
	}
	if got := r.get(t, "/health"); got != `{"status":"ok"}` {
		t.Errorf("health: %s", got)
	}
	r.Unit.Close()
	if answer := r.ask("GET", "/health", ""); answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), "shutting down") {
		t.Errorf("health after close: %d %s", answer.Code, answer.Body)
	}
}

// A bug in an evaluation is an error for who asked, and the daemon answers the next request.
func TestPanic(t *testing.T) {
	bug := true
	r := newRig(t, &evaltest.Provider{Before: func(context.Context, eval.Question) error {
		if bug {
			panic("a bug")
		}
		return nil
	}})
	process := r.network.Spawn("p", true)
	path := fmt.Sprintf("/result/%s?process-id=%s", r.network.Send(process, "@i1"), process)
	if answer := r.ask("GET", path, ""); answer.Code != http.StatusInternalServerError {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	if answer := r.ask("POST", "/dry-run?process-id="+process.String(), `{"Data":"@i1"}`); answer.Code != http.StatusInternalServerError {
		t.Errorf("dry run: %d %s", answer.Code, answer.Body)
	}
	bug = false
	r.get(t, path)
}

// HEAD is GET without the body, and a path that only looks like a route is answered like any other unknown one.
func TestHeadAndNoRoute(t *testing.T) {
	r := newRig(t, &evaltest.Provider{})
	for _, test := range []struct {
		method, path string
		want         int
	}{{"HEAD", "/", 200}, {"HEAD", "/health", 200}, {"HEAD", "/result/x", 400}, {"GET", "/result/", 404}, {"BREW", "/", 404}} {
		if got := r.ask(test.method, test.path, ""); got.Code != test.want || got.Header().Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s %s: got %d %s, want %d and JSON", test.method, test.path, got.Code, got.Header().Get("Content-Type"), test.want)
		}
	}
	if metrics := r.get(t, "/metrics"); strings.Contains(metrics, "BREW") {
		t.Error("a method that a stranger made up became a label of the metrics")
	}
}

func TestMetrics(t *testing.T) {
	r := newRig(t, &evaltest.Provider{})
	process := r.network.Spawn("p", true)
	r.get(t, fmt.Sprintf("/result/%s?process-id=%s", r.network.Send(process, "@j1"), process))
	r.get(t, fmt.Sprintf("/result/%s?process-id=%s", r.network.Send(process, "@e"), process))
	for r.Unit.Load().Evaluating > 0 { // the result is there a moment before nothing is left to do
		time.Sleep(time.Millisecond)
	}
	metrics := r.get(t, "/metrics")
	for _, want := range []string{
		`verbatim_cu_evaluations_total{kind="message",outcome="ok"} 2`, `verbatim_cu_evaluations_total{kind="message",outcome="error"} 1`,
		`verbatim_cu_tokens_total{kind="message"} 8`, `verbatim_cu_inferences_total{kind="message"} 2`,
		`verbatim_cu_evaluation_seconds_count{kind="message"} 3`, `verbatim_http_requests_in_flight 1`,
		`verbatim_http_request_seconds_count{method="GET",route="/result/:messageTxId",status="200"} 2`,
		"verbatim_cu_processes 1\n", "verbatim_cu_processes_evaluating 0\n", "verbatim_cu_dry_runs 0\n", fmt.Sprintf("verbatim_cu_memory_bytes %v\n", float64(r.Unit.Load().MemoryBytes)),
		"verbatim_log_receipts 3\n", fmt.Sprintf("verbatim_log_bytes %v\n", float64(r.Unit.Head().Bytes)),
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
}

// A daemon that is told to stop lets requests finish.
func TestServe(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	r := newRig(t, &evaltest.Provider{Before: func(context.Context, eval.Question) error {
		close(entered)
		<-release
		return nil
	}})
	process := r.network.Spawn("p", true)
	message := r.network.Send(process, "@i1")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served, answered := make(chan error, 1), make(chan string, 1)
	go func() { served <- api.Serve(ctx, listener, r.handler, 10*time.Second) }()
	go func() {
		answer, err := http.Get(fmt.Sprintf("http://%s/result/%s?process-id=%s", listener.Addr(), message, process))
		if err != nil {
			answered <- err.Error()
			return
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		answered <- string(body)
	}()
	<-entered
	stop()
	time.Sleep(10 * time.Millisecond)
	close(release)
	if got := <-answered; !strings.Contains(got, "question 1") {
		t.Errorf("the request under way got %s", got)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := http.Get(fmt.Sprintf("http://%s/", listener.Addr())); err == nil {
		t.Error("still answering")
	}
}
