// Package fetch makes HTTP requests to units of the ao network: it tries again after passing faults, limits what an answer
// may weigh, and gives errors that name the request.
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
	attempts       = 5
	firstDelay     = 250 * time.Millisecond // doubles after each attempt
	errorBytesMax  = 1 << 10                // of an error answer's body, kept for the message
	headersTimeout = 5 * time.Minute        // a unit may evaluate before it answers
)

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
}

// Client makes requests. It is safe for concurrent use.
type Client struct {
	http  *http.Client
	sleep func(context.Context, time.Duration) error
}

// New gives a client with connections of its own.
func New() *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = headersTimeout
	return &Client{http: &http.Client{Transport: transport}, sleep: sleep}
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
	delay := firstDelay
	for attempt := 1; ; attempt++ {
		err := c.once(ctx, request, use)
		if err == nil || !passing(err) || attempt == attempts || ctx.Err() != nil {
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
	made, err := http.NewRequestWithContext(ctx, request.Method, request.URL, bytes.NewReader(request.Body))
	if err != nil {
		return err
	}
	if request.ContentType != "" {
		made.Header.Set("Content-Type", request.ContentType)
	}
	answer, err := c.http.Do(made)
	if err != nil {
		return passingError{err}
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		body, _ := io.ReadAll(io.LimitReader(answer.Body, errorBytesMax))
		return &StatusError{answer.StatusCode, string(body)}
	}
	err = use(answer)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return passingError{err} // the connection broke in the middle of the body
	}
	return err
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
