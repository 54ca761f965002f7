package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// breaking serves content in pieces: each answer breaks off after so many bytes.
type breaking struct {
	content []byte
	piece   int
	change  func(call int, h http.Header) // of an answer's headers; may be nil
	ranges  []string
}

func (b *breaking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.ranges = append(b.ranges, r.Header.Get("Range"))
	from, status := 0, http.StatusOK
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); n == 1 {
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(b.content)-1, len(b.content)))
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(b.content)-from))
	w.Header().Set("ETag", `"1"`)
	if b.change != nil {
		b.change(len(b.ranges), w.Header())
	}
	w.WriteHeader(status)
	w.Write(b.content[from:min(from+b.piece, len(b.content))])
}

func TestResume(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1000)
	for _, test := range []struct {
		name   string
		piece  int
		change func(call int, h http.Header)
		uses   int // how often the body was begun
		calls  int
		ok     bool
	}{
		{"whole at once", 16000, nil, 1, 1, true},
		{"in four pieces", 4000, nil, 1, 4, true},
		{"in many pieces", 1000, nil, 1, 16, true},
		{"nothing comes", 0, nil, attempts, attempts, false},
		{"something else comes", 15000, func(call int, h http.Header) { h.Set("ETag", fmt.Sprint(call)) }, attempts, 2 * attempts, false},
		{"of another length", 15000, func(call int, h http.Header) {
			if call == 2 {
				h.Set("Content-Range", "bytes 15000-16000/16001")
			}
		}, 2, 4, true},
		{"from elsewhere", 15000, func(call int, h http.Header) {
			if call == 2 {
				h.Set("Content-Range", "bytes 14999-15999/16000")
			}
		}, 2, 4, true},
	} {
		handler := &breaking{content: content, piece: test.piece, change: test.change}
		server := httptest.NewServer(handler)
		var pauses []time.Duration
		uses, got := 0, []byte(nil)
		err := client(&pauses).Stream(context.Background(), Request{Method: "GET", URL: server.URL, Resumes: true}, func(answer *http.Response) (err error) {
			uses++
			got, err = io.ReadAll(answer.Body)
			return err
		})
		server.Close()
		if (err == nil) != test.ok || test.ok && !bytes.Equal(got, content) || uses != test.uses || len(handler.ranges) != test.calls {
			t.Errorf("%s: %d bytes, %v; begun %d times, want %d; ranges %q, want %d", test.name, len(got), err, uses, test.uses, handler.ranges, test.calls)
		}
	}
}

// A server without ranges is asked for everything again.
func TestResumeWithoutRanges(t *testing.T) {
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		w.Header().Set("Content-Length", "10")
		fmt.Fprint(w, "0123456789"[:min(10, 3*calls)])
	}))
	defer server.Close()
	var pauses []time.Duration
	body, err := client(&pauses).Bytes(context.Background(), Request{Method: "GET", URL: server.URL, BytesMax: 10, Resumes: true})
	if string(body) != "0123456789" || err != nil {
		t.Errorf("%q, %v after %d calls", body, err, calls)
	}
}

// Who does not want the rest any more is not kept.
func TestResumeCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	server := httptest.NewServer(&breaking{content: make([]byte, 100), piece: 10, change: func(int, http.Header) { cancel() }})
	defer server.Close()
	var pauses []time.Duration
	_, err := client(&pauses).Bytes(ctx, Request{Method: "GET", URL: server.URL, BytesMax: 100, Resumes: true})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
