// Package fetch makes HTTP requests to units of the ao network: it tries again after passing faults, gives up on answers that
// stand still, limits what they may weigh, and gives errors that name the request.
//
// It does not interpret answers, and it keeps nothing between requests.
package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	attempts        = 5
	attemptsStalled = 2                      // a unit that keeps silent has cost much time already
	firstDelay      = 250 * time.Millisecond // doubles after each attempt
	errorBytesMax   = 1 << 10                // of an error answer's body, kept for the message
	silenceMax      = 30 * time.Second       // before an answer begins, and between any two bytes of it
	patience        = 5 * time.Minute        // the same, of units that evaluate before they answer
)

// ErrStalled says that no byte of an answer came for too long.
var ErrStalled = errors.New("no answer")

// ErrTooLarge says that an answer is longer than its limit.
var ErrTooLarge = errors.New("answer is too large")

// StatusError is an answer with a status other than 2xx.
type StatusError struct {
	Status int
	Body   string // its beginning
}

func (e *StatusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("status %d: %s", e.Status, e.Body))
}

// NotFound reports whether err is a StatusError with status 404.
func NotFound(err error) bool {
	var status *StatusError
	return errors.As(err, &status) && status.Status == http.StatusNotFound
}

// Request is one request. Body may be sent several times.
type Request struct {
	Method      string
	URL         string
	Body        []byte
	ContentType string
	BytesMax    int64 // of the answer
	Resumes     bool  // a body that breaks off is asked for from there on; for answers that are verified as a whole
}

// Client makes requests. It is safe for concurrent use.
type Client struct {
	http    *http.Client
	silence time.Duration
	sleep   func(context.Context, time.Duration) error
}

// New gives a client with connections of its own, for units that answer at once.
func New() *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	return &Client{http: &http.Client{Transport: transport}, silence: silenceMax, sleep: sleep}
}

// NewPatient gives a client for units that evaluate before they answer.
func NewPatient() *Client {
	c := New()
	c.silence = patience
	return c
}

// Bytes gives the body of the answer.
func (c *Client) Bytes(ctx context.Context, request Request) (body []byte, err error) {
	err = c.Stream(ctx, request, func(answer *http.Response) error {
		body, err = io.ReadAll(io.LimitReader(answer.Body, request.BytesMax+1))
		if err == nil && int64(len(body)) > request.BytesMax {
			err = fmt.Errorf("%w: more than %d bytes", ErrTooLarge, request.BytesMax)
		}
		return err
	})
	return body, err
}

// Stream hands a good answer to use, which must read its body and stop at Request.BytesMax. After a passing fault, in use
// too, it asks again and calls use again; use must then start over.
func (c *Client) Stream(ctx context.Context, request Request, use func(*http.Response) error) error {
	delay, stalls := firstDelay, 0
	for attempt := 1; ; attempt++ {
		err := c.once(ctx, request, use)
		if errors.Is(err, ErrStalled) {
			stalls++
		}
		if err == nil || !passing(err) || attempt == attempts || stalls == attemptsStalled || ctx.Err() != nil {
			if err != nil {
				return fmt.Errorf("%s %s: %w", request.Method, request.URL, err)
			}
			return nil
		}
		if err := c.sleep(ctx, delay); err != nil {
			return fmt.Errorf("%s %s: %w", request.Method, request.URL, err)
		}
		delay *= 2
	}
}

func (c *Client) once(ctx context.Context, request Request, use func(*http.Response) error) error {
	answer, body, err := c.ask(ctx, request, 0)
	if err != nil {
		return err
	}
	r := &resuming{ctx: ctx, client: c, request: request, of: answer, body: body}
	defer r.Close()
	if request.Resumes {
		answer.Body = r
	}
	if err = use(answer); err != nil && r.body.err != nil {
		return passingError{r.body.err} // the connection broke in the middle of the body
	}
	return err
}

// ask makes a request for an answer from a byte on. The answer's body is also given as what it is; closing it ends the request.
func (c *Client) ask(ctx context.Context, request Request, from int64) (*http.Response, *watched, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	stall := time.AfterFunc(c.silence, func() { cancel(fmt.Errorf("%w in %v", ErrStalled, c.silence)) })
	body := &watched{ctx: ctx, progress: func() { stall.Reset(c.silence) }, end: func() { stall.Stop(); cancel(nil) }}
	made, err := http.NewRequestWithContext(ctx, request.Method, request.URL, bytes.NewReader(request.Body))
	if err != nil {
		body.end()
		return nil, nil, err
	}
	if request.ContentType != "" {
		made.Header.Set("Content-Type", request.ContentType)
	}
	if request.Resumes {
		made.Header.Set("Accept-Encoding", "identity") // else bytes could be counted in two ways
	}
	if from > 0 {
		made.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	answer, err := c.http.Do(made)
	if err != nil {
		body.end()
		return nil, nil, passingError{because(ctx, err)}
	}
	body.from, answer.Body = answer.Body, body
	if answer.StatusCode/100 != 2 {
		defer body.Close()
		said, _ := io.ReadAll(io.LimitReader(body, errorBytesMax))
		return nil, nil, &StatusError{answer.StatusCode, string(said)}
	}
	return answer, body, nil
}

// because gives the reason for which a context ended in place of the error that came of it.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, ErrStalled) {
		return cause
	}
	return err
}

// watched is a body that tells when something of it came, and remembers how it broke.
type watched struct {
	ctx      context.Context
	from     io.ReadCloser
	progress func()
	end      func()
	err      error // other than io.EOF
}

func (w *watched) Read(to []byte) (int, error) {
	n, err := w.from.Read(to)
	if n > 0 {
		w.progress()
	}
	if err != nil && err != io.EOF {
		w.err = because(w.ctx, err)
	}
	return n, err
}

func (w *watched) Close() error {
	defer w.end()
	return w.from.Close()
}

// passingError marks a fault of the network.
type passingError struct{ error }

func (e passingError) Unwrap() error { return e.error }

// passing tells whether the same request may succeed later.
func passing(err error) bool {
	var status *StatusError
	if errors.As(err, &status) {
		return status.Status >= 500 || status.Status == http.StatusTooManyRequests
	}
	var network passingError
	return errors.As(err, &network) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

func sleep(ctx context.Context, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
