package fetch

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// resuming is a body that goes on where it broke off, with another request for the rest of it (RFC 9110, section 14). Where
// the server has no such rest, or one of something else, it stays broken.
type resuming struct {
	ctx     context.Context
	client  *Client
	request Request
	of      *http.Response // the first
	body    *watched
	at      int64 // bytes so far
	tries   int   // since the last byte
}

func (r *resuming) Read(to []byte) (int, error) {
	for {
		n, err := r.body.Read(to)
		if r.at += int64(n); n > 0 {
			r.tries = 0
		}
		if err == nil || err == io.EOF {
			return n, err
		}
		if !r.goOn() {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// goOn asks for the rest.
func (r *resuming) goOn() bool {
	for r.at > 0 && r.tries < attempts-1 && r.ctx.Err() == nil {
		if r.client.sleep(r.ctx, firstDelay<<r.tries) != nil {
			return false
		}
		r.tries++
		answer, body, err := r.client.ask(r.ctx, r.request, r.at)
		if err != nil && passing(err) {
			continue
		}
		if err != nil {
			return false
		}
		if !r.continues(answer) {
			body.Close()
			return false
		}
		r.body.Close()
		r.body = body
		return true
	}
	return false
}

// continues tells whether an answer is the rest of the first one.
func (r *resuming) continues(answer *http.Response) bool {
	span, total, ok := strings.Cut(answer.Header.Get("Content-Range"), "/")
	if answer.StatusCode != http.StatusPartialContent || !ok || !strings.HasPrefix(span, fmt.Sprintf("bytes %d-", r.at)) {
		return false
	}
	if r.of.ContentLength >= 0 && total != "*" && total != fmt.Sprint(r.of.ContentLength) {
		return false
	}
	return answer.Header.Get("ETag") == r.of.Header.Get("ETag")
}

func (r *resuming) Close() error { return r.body.Close() }
