package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The kinds of failures. What a unit cannot notice is no failure but a lie, and is left out: schedulers do not sign their
// clock, nor gateways what their index says of blocks.
const (
	refused    = "connection refused"
	status500  = "status 500"
	status502  = "status 502"
	status429  = "status 429"
	hang       = "no answer"
	stalled    = "answer stands still"
	cut        = "body cut, connection closed"
	reset      = "body cut, connection reset"
	short      = "body cut, length adapted"
	flipped    = "one bit of the body flipped"
	page       = "an HTML page instead"
	mixed      = "the answer to another request"
	slow       = "slow answer"
	trickle    = "body in small pieces"
	outageLong = "long outage"
)

// odds are how often a kind is chosen, among all that are.
type odds struct {
	kind   string
	weight int
}

func allOdds() []odds {
	return []odds{
		{status500, 10}, {status502, 10}, {status429, 10}, {cut, 10}, {reset, 10}, {short, 6}, {flipped, 6}, {page, 4}, {mixed, 4},
		{slow, 16}, {trickle, 8},
	}
}

// front stands before a unit and, while it is told to, lets requests fail. Which request fails is drawn from a seed in the
// order of arrival.
type front struct {
	name    string
	url     string
	address string
	handler http.Handler

	rate     atomic.Uint64 // failures among a million requests
	requests atomic.Int64

	mu       sync.Mutex
	random   *rand.Rand
	counts   map[string]int64
	before   map[string][]byte // an earlier answer, by kind of request
	bag      []string          // kinds that have not come yet in this round
	server   *http.Server
	hanging  int
	hangsMax int
}

func newFront(name string, handler http.Handler, seed uint64) (*front, error) {
	f := &front{name: name, handler: handler, random: rand.New(rand.NewPCG(seed, 1)), counts: map[string]int64{}, before: map[string][]byte{}}
	return f, f.open("127.0.0.1:0")
}

// open listens, the first time on a free port and then on the same again.
func (f *front) open(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for the %s: %w", f.name, err)
	}
	f.address, f.url = listener.Addr().String(), "http://"+listener.Addr().String()
	f.server = &http.Server{Handler: http.HandlerFunc(f.serve), ReadHeaderTimeout: 30 * time.Second}
	go f.server.Serve(listener)
	return nil
}

func (f *front) close() { f.server.Close() }

// outage refuses connections for a while, and breaks those that are open.
func (f *front) outage(length time.Duration, kind string) error {
	f.count(kind)
	f.server.Close()
	time.Sleep(length)
	var err error
	for range 100 { // the port may be taken by an outgoing connection of somebody else for a moment
		if err = f.open(f.address); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

func (f *front) count(kind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[kind]++
}

// choose draws what happens to a request: "" is nothing.
func (f *front) choose() (kind string, number uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if number = f.random.Uint64(); number%1_000_000 >= f.rate.Load() {
		return "", 0
	}
	if f.hanging < f.hangsMax {
		f.hanging++
		kind = hang
		if f.hanging%2 == 0 {
			kind = stalled
		}
		return kind, f.random.Uint64()
	}
	// From a bag, so that a short run sees every kind too.
	if len(f.bag) == 0 {
		for _, o := range allOdds() {
			for range o.weight {
				f.bag = append(f.bag, o.kind)
			}
		}
		f.random.Shuffle(len(f.bag), func(i, j int) { f.bag[i], f.bag[j] = f.bag[j], f.bag[i] })
		for i, o := range allOdds() { // one of each first
			j := i
			for f.bag[j] != o.kind {
				j++
			}
			f.bag[i], f.bag[j] = f.bag[j], f.bag[i]
		}
	}
	kind, f.bag = f.bag[0], f.bag[1:]
	return kind, f.random.Uint64()
}

func (f *front) serve(w http.ResponseWriter, r *http.Request) {
	f.requests.Add(1)
	kind, number := f.choose()
	if kind == "" {
		f.handler.ServeHTTP(w, r)
		return
	}
	f.fail(kind, number, w, r)
}

// fail answers wrongly, late or not at all.
func (f *front) fail(kind string, number uint64, w http.ResponseWriter, r *http.Request) {
	switch kind {
	case status500, status502, status429:
		f.count(kind)
		code, _ := strconv.Atoi(strings.TrimPrefix(kind, "status "))
		http.Error(w, "as the soak wants it", code)
		return
	case hang:
		f.count(kind)
		<-r.Context().Done()
		return
	case page:
		f.count(kind)
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!DOCTYPE html><html><body><h1>Please sign in to this network</h1></body></html>")
		return
	case slow:
		f.count(kind)
		time.Sleep(time.Duration(50+number%1450) * time.Millisecond)
		f.handler.ServeHTTP(w, r)
		return
	}
	answer := newRecorder()
	f.handler.ServeHTTP(answer, r)
	body := answer.body.Bytes()
	if answer.status != http.StatusOK || len(body) < 4 {
		f.pass(w, answer, body, len(body)) // nothing to spoil
		return
	}
	f.spoil(kind, number, w, r, answer, body)
}

// spoil answers with a body that is damaged on its way.
func (f *front) spoil(kind string, number uint64, w http.ResponseWriter, r *http.Request, answer *recorder, body []byte) {
	keep := 1 + int(number%uint64(len(body)-1))
	switch kind {
	case stalled:
		f.count(kind)
		f.pass(w, answer, body[:keep], len(body))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case cut:
		f.count(kind)
		f.pass(w, answer, body[:keep], len(body))
		panic(http.ErrAbortHandler)
	case reset:
		f.count(kind)
		f.reset(w, body[:keep], len(body))
	case short:
		f.count(kind)
		f.pass(w, answer, body[:keep], keep)
	case flipped:
		spoiled := flip(r.URL.Path, body, number)
		if spoiled != nil {
			f.count(kind)
			body = spoiled
		}
		f.pass(w, answer, body, len(body))
	case mixed:
		if other := f.other(r, body); other != nil {
			f.count(kind)
			body = other
		}
		f.pass(w, answer, body, len(body))
	case trickle:
		f.count(kind)
		piece := len(body)/8 + 1
		f.pass(w, answer, nil, len(body))
		for at := 0; at < len(body); at += piece {
			w.Write(body[at:min(at+piece, len(body))])
			w.(http.Flusher).Flush()
			time.Sleep(5 * time.Millisecond)
		}
	}
}

func (f *front) pass(w http.ResponseWriter, answer *recorder, body []byte, length int) {
	for name, values := range answer.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(length))
	w.WriteHeader(answer.status)
	w.Write(body)
}

func (f *front) reset(w http.ResponseWriter, body []byte, length int) {
	connection, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(buffered, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", length)
	buffered.Write(body)
	buffered.Flush()
	connection.(*net.TCPConn).SetLinger(0)
	connection.Close()
}

// other gives the answer to an earlier request of the same kind. Of the clock and of blocks it would be a lie.
func (f *front) other(r *http.Request, body []byte) []byte {
	kind := r.Method + " " + strings.SplitN(strings.Trim(r.URL.Path, "/"), "/", 2)[0]
	if parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/"); len(parts[0]) == 43 {
		kind = r.Method + " id " + strings.Join(parts[1:], "/")
	}
	if unsigned(r.URL.Path) {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	earlier := f.before[kind]
	f.before[kind] = bytes.Clone(body)
	if bytes.Equal(earlier, body) {
		return nil
	}
	return earlier
}

// unsigned tells whether nobody signs what is answered at a path.
func unsigned(path string) bool { return path == "/timestamp" || path == "/graphql" || path == "/info" }

// flip changes one bit within what somebody has signed: of an item any, of JSON one in a signature or in tags. nil: there is
// no such place.
func flip(path string, body []byte, number uint64) []byte {
	if unsigned(path) {
		return nil
	}
	low, high := 0, len(body)
	if body[0] == '{' {
		name := []byte(`"signature":"`)
		low = bytes.Index(body, name) + len(name)
		if low < len(name) {
			return nil
		}
		if high = bytes.IndexByte(body[low:], '"'); high <= 0 {
			return nil
		}
		high += low
	}
	spoiled := bytes.Clone(body)
	spoiled[low+int(number%uint64(high-low))] ^= 1 << (number >> 32 % 7)
	return spoiled
}
