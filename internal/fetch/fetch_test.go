package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// client counts the pauses instead of making them.
func client(pauses *[]time.Duration) *Client {
	c := New()
	c.sleep = func(ctx context.Context, delay time.Duration) error {
		*pauses = append(*pauses, delay)
		return ctx.Err()
	}
	return c
}

func TestTriesAgain(t *testing.T) {
	for _, test := range []struct {
		name   string
		status []int // one an attempt, the last for ever
		calls  int
		ok     bool
	}{
		{"good at once", []int{200}, 1, true},
		{"good at last", []int{503, 500, 429, 502, 200}, 5, true},
		{"never good", []int{503}, 5, false},
		{"the caller's fault", []int{400}, 1, false},
		{"not found", []int{404}, 1, false},
	} {
		calls := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(test.status[min(calls, len(test.status)-1)])
			calls++
			fmt.Fprint(w, "body")
		}))
		var pauses []time.Duration
		body, err := client(&pauses).Bytes(context.Background(), Request{Method: "GET", URL: server.URL, BytesMax: 4})
		server.Close()
		if calls != test.calls || (err == nil) != test.ok || (test.ok && string(body) != "body") || len(pauses) != calls-1 {
			t.Errorf("%s: %d calls, %v pauses, %q, %v", test.name, calls, pauses, body, err)
		}
		if status := new(StatusError); !test.ok && (!errors.As(err, &status) || status.Body != "body" || NotFound(err) != (test.name == "not found")) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestLimit(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "12345") }))
	defer server.Close()
	if body, err := New().Bytes(context.Background(), Request{Method: "GET", URL: server.URL, BytesMax: 5}); err != nil || len(body) != 5 {
		t.Errorf("at the limit: %q, %v", body, err)
	}
	if _, err := New().Bytes(context.Background(), Request{Method: "GET", URL: server.URL, BytesMax: 4}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("above the limit: %v", err)
	}
}

func TestBrokenBody(t *testing.T) {
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			w.Header().Set("Content-Length", "100")
		}
		fmt.Fprint(w, "whole")
	}))
	defer server.Close()
	var pauses []time.Duration
	body, err := client(&pauses).Bytes(context.Background(), Request{Method: "GET", URL: server.URL, BytesMax: 200})
	if string(body) != "whole" || err != nil || calls != 2 {
		t.Errorf("%q, %v after %d calls", body, err, calls)
	}
}

// A unit that keeps silent, before its answer or within it, is asked once more and then given up on.
func TestStalled(t *testing.T) {
	for name, begun := range map[string]string{"before the answer": "", "within the answer": "half"} {
		var calls atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			if begun != "" {
				w.Header().Set("Content-Length", "100")
				fmt.Fprint(w, begun)
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done()
		}))
		var pauses []time.Duration
		c := client(&pauses)
		c.silence = 200 * time.Millisecond
		if _, err := c.Bytes(context.Background(), Request{Method: "GET", URL: server.URL, BytesMax: 200}); !errors.Is(err, ErrStalled) || calls.Load() != 2 {
			t.Errorf("%s: %v after %d calls, want ErrStalled after 2", name, err, calls.Load())
		}
		server.Close()
	}
}

// A slow answer is no stalled one: each byte of it counts.
func TestSlow(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 10 {
			fmt.Fprint(w, "x")
			w.(http.Flusher).Flush()
			time.Sleep(60 * time.Millisecond)
		}
	}))
	defer server.Close()
	var pauses []time.Duration
	c := client(&pauses)
	c.silence = 500 * time.Millisecond
	if body, err := c.Bytes(context.Background(), Request{Method: "GET", URL: server.URL, BytesMax: 200}); err != nil || len(body) != 10 {
		t.Errorf("%q, %v", body, err)
	}
}

// A connection that is reset in the middle of a body is a passing fault, as one that just ends.
func TestReset(t *testing.T) {
	var calls atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) > 1 {
			fmt.Fprint(w, "whole")
			return
		}
		connection, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprint(buffered, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		buffered.Flush()
		connection.(*net.TCPConn).SetLinger(0)
		connection.Close()
	}))
	defer server.Close()
	var pauses []time.Duration
	body, err := client(&pauses).Bytes(context.Background(), Request{Method: "GET", URL: server.URL, BytesMax: 200})
	if string(body) != "whole" || err != nil || calls.Load() != 2 {
		t.Errorf("%q, %v after %d calls", body, err, calls.Load())
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := New().Bytes(ctx, Request{Method: "GET", URL: "http://127.0.0.1:1", BytesMax: 1})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "http://127.0.0.1:1") {
		t.Errorf("%v", err)
	}
}
