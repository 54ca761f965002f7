// Package scheduler is a client of scheduler units: it reads processes and their assignments, and checks what it reads.
//
// What is checked of every assignment: its process is the one asked for; nonces follow one another without a gap; the hash
// chain continues from the one before; its id is the digest of its signature, and the signature is the scheduler's over
// exactly these tags. A scheduler can therefore not hand out one order today and another tomorrow under the same ids.
//
// What is checked of a message or process: that its owner signed it. Schedulers show data and anchors as text, so where
// these are not UTF-8 the signed bytes cannot be had from them. If the signature does not verify and something may be
// missing (no anchor is shown, or text has replacement characters), Verified is false; the item must be fetched by id from
// a gateway for the check. Otherwise a wrong signature is an error.
//
// The package does not choose a scheduler, does not fetch assigned items (Hydrate), and keeps nothing.
package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"

	"verbatim/cu/ao"
	"verbatim/internal/fetch"
)

const (
	pageAssignments = 100
	pageBytesMax    = 256 << 20 // assignments carry up to 10 MiB each
	answerBytesMax  = 32 << 20
	// Hash chains of processes spawned on the public network before this height are known to be wrong.
	chainedFromHeight = 1_440_000
)

// Errors that callers tell apart with errors.Is. Failures to reach the scheduler wrap none of them.
var (
	ErrNotFound  = errors.New("the scheduler does not know it")
	ErrMalformed = errors.New("the scheduler's answer is malformed")
	ErrSchedule  = errors.New("the schedule is broken")      // a gap, another order, a wrong hash chain
	ErrSignature = errors.New("a signature does not verify") // of an assignment or a message
)

// Client talks to one scheduler unit. It is safe for concurrent use.
type Client struct {
	base  string
	fetch *fetch.Client
}

// New gives a client of the scheduler at a base URL such as http://localhost:4003.
func New(base string) (*Client, error) {
	parsed, err := url.Parse(base)
	if err != nil || parsed.Scheme == "" || parsed.Host == "" {
		return nil, fmt.Errorf("scheduler URL %q: want http://host:port", base)
	}
	return &Client{base: strings.TrimRight(base, "/"), fetch: fetch.New()}, nil
}

// URL gives the base URL.
func (c *Client) URL() string { return c.base }

// Process reads a process.
func (c *Client) Process(ctx context.Context, id ao.ID) (ao.Process, error) {
	var answer wireProcess
	if err := c.get(ctx, "/processes/"+id.String(), nil, answerBytesMax, &answer); err != nil {
		return ao.Process{}, fmt.Errorf("read process %s: %w", id, err)
	}
	process, err := answer.process(id)
	if err != nil {
		return ao.Process{}, fmt.Errorf("read process %s: %w", id, err)
	}
	return process, nil
}

// Message reads the assignment of a message to a process. The order is not checked: there is nothing to check it against.
// The process itself is the message of its first assignment.
func (c *Client) Message(ctx context.Context, process, message ao.ID) (ao.Assignment, error) {
	if message == process {
		return c.first(ctx, process)
	}
	assignment, err := c.one(ctx, process, message, "", "message "+message.String())
	if err == nil && assignment.MessageID != message {
		err = fmt.Errorf("read message %s of process %s: %w: it is message %s", message, process, ErrMalformed, assignment.MessageID)
	}
	return assignment, err
}

// Latest reads the last assignment of a process.
func (c *Client) Latest(ctx context.Context, process ao.ID) (ao.Assignment, error) {
	return c.one(ctx, process, process, "/latest", "the latest assignment")
}

// first reads assignment 0: a scheduler that is asked for the message that is the process answers with its schedule.
func (c *Client) first(ctx context.Context, process ao.ID) (ao.Assignment, error) {
	var page wirePage
	query := url.Values{"process-id": {process.String()}, "limit": {"1"}}
	if err := c.get(ctx, "/"+process.String(), query, answerBytesMax, &page); err != nil {
		return ao.Assignment{}, fmt.Errorf("read the first assignment of process %s: %w", process, err)
	}
	if len(page.Edges) == 0 {
		return ao.Assignment{}, fmt.Errorf("read the first assignment of process %s: %w", process, ErrNotFound)
	}
	assignment, err := page.Edges[0].Node.assignment(process)
	if err == nil {
		_, err = follow(ao.Process{ID: process, BlockHeight: assignment.BlockHeight}, Start(), assignment)
	}
	if err != nil {
		return ao.Assignment{}, fmt.Errorf("read the first assignment of process %s: %w", process, err)
	}
	return assignment, nil
}

// one reads the assignment that is at the path of an id and what comes after it.
func (c *Client) one(ctx context.Context, process, id ao.ID, after, what string) (ao.Assignment, error) {
	var answer struct {
		wireNode
		Edges []struct {
			Node wireNode `json:"node"`
		} `json:"edges"` // a page: the id is that of a process
	}
	err := c.get(ctx, "/"+id.String()+after, url.Values{"process-id": {process.String()}}, answerBytesMax, &answer)
	if err == nil && answer.Assignment == nil && answer.Edges != nil {
		err = fmt.Errorf("%w as a message: it is a process", ErrNotFound)
		if len(answer.Edges) > 0 && (answer.Edges[0].Node.Assignment == nil || answer.Edges[0].Node.Assignment.Tags.Get("Process") != id.String()) {
			err = fmt.Errorf("%w: a page of another schedule", ErrMalformed)
		}
	}
	if err != nil {
		return ao.Assignment{}, fmt.Errorf("read %s of process %s: %w", what, process, err)
	}
	assignment, err := answer.assignment(process)
	if err != nil {
		return ao.Assignment{}, fmt.Errorf("read %s of process %s: %w", what, process, err)
	}
	return assignment, nil
}

// Now reads the scheduler's clock: milliseconds since 1970, and the height of the newest Arweave block.
func (c *Client) Now(ctx context.Context, process ao.ID) (timestamp, blockHeight int64, err error) {
	var answer struct {
		Timestamp   json.RawMessage `json:"timestamp"`
		BlockHeight json.RawMessage `json:"block_height"`
	}
	if err := c.get(ctx, "/timestamp", url.Values{"process-id": {process.String()}}, answerBytesMax, &answer); err != nil {
		return 0, 0, fmt.Errorf("read the scheduler's clock: %w", err)
	}
	// Both come as texts, and from some versions as numbers.
	if timestamp, err = ao.ParseInt("timestamp", strings.Trim(string(answer.Timestamp), `"`)); err == nil {
		blockHeight, err = ao.ParseInt("block height", strings.Trim(string(answer.BlockHeight), `"`))
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read the scheduler's clock: %w: %w", ErrMalformed, err)
	}
	return timestamp, blockHeight, nil
}

// Position is a place in the schedule of a process: after the assignment that it describes.
type Position struct {
	Nonce      int64
	Assignment ao.ID
	HashChain  ao.HashChain
}

// After gives the position after an assignment.
func After(assignment ao.Assignment) Position {
	return Position{assignment.Nonce, assignment.ID, assignment.HashChain}
}

// Start is the position before the first assignment of a process.
func Start() Position { return Position{Nonce: -1} }

// Assignments reads what follows a position, in order and checked, up to the nonce last inclusive (negative: to the end).
// The sequence ends after its first error.
func (c *Client) Assignments(ctx context.Context, process ao.Process, after Position, last int64) iter.Seq2[ao.Assignment, error] {
	return func(yield func(ao.Assignment, error) bool) {
		if err := c.walk(ctx, process, after, last, func(assignment ao.Assignment) bool { return yield(assignment, nil) }); err != nil {
			yield(ao.Assignment{}, fmt.Errorf("read assignments of process %s after nonce %d: %w", process.ID, after.Nonce, err))
		}
	}
}

func (c *Client) walk(ctx context.Context, process ao.Process, at Position, last int64, use func(ao.Assignment) bool) error {
	for last < 0 || at.Nonce < last {
		query := url.Values{"process-id": {process.ID.String()}, "limit": {strconv.Itoa(pageAssignments)}}
		if at.Nonce >= 0 {
			query.Set("from-nonce", strconv.FormatInt(at.Nonce, 10))
		}
		if last >= 0 {
			query.Set("to-nonce", strconv.FormatInt(last, 10))
		}
		var page wirePage
		if err := c.get(ctx, "/"+process.ID.String(), query, pageBytesMax, &page); err != nil {
			return err
		}
		before := at.Nonce
		for _, edge := range page.Edges {
			assignment, err := edge.Node.assignment(process.ID)
			if err != nil {
				return err
			}
			if assignment.Nonce <= before && before >= 0 {
				continue // some schedulers take from-nonce as inclusive
			}
			if last >= 0 && assignment.Nonce > last {
				return nil
			}
			if at, err = follow(process, at, assignment); err != nil {
				return err
			}
			if !use(assignment) {
				return nil
			}
		}
		if !page.PageInfo.HasNextPage {
			return nil
		}
		if at.Nonce == before {
			return fmt.Errorf("%w: a page without new assignments says that there are more", ErrMalformed)
		}
	}
	return nil
}

// follow checks that an assignment is the next one after a position, and gives the position after it.
func follow(process ao.Process, at Position, assignment ao.Assignment) (Position, error) {
	if assignment.Nonce != at.Nonce+1 {
		return at, fmt.Errorf("%w: nonce %d follows %d", ErrSchedule, assignment.Nonce, at.Nonce)
	}
	want := ao.FirstHashChain(process.ID)
	if at.Nonce >= 0 {
		want = at.HashChain.Next(at.Assignment)
	}
	if process.BlockHeight >= chainedFromHeight && assignment.HashChain != want {
		return at, fmt.Errorf("%w: hash chain of nonce %d is %s, want %s", ErrSchedule, assignment.Nonce, assignment.HashChain, want)
	}
	return After(assignment), nil
}

func (c *Client) get(ctx context.Context, path string, query url.Values, bytesMax int64, into any) error {
	address := c.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	body, err := c.fetch.Bytes(ctx, fetch.Request{Method: "GET", URL: address, BytesMax: bytesMax})
	var status *fetch.StatusError
	if errors.As(err, &status) && (status.Status == 400 || status.Status == 404) {
		// The reference scheduler says 400 for whatever it does not know.
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("GET %s: %w: %w", address, ErrMalformed, err)
	}
	return nil
}
