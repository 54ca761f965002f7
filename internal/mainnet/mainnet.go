// Package mainnet is a thin façade in the way of a HyperBEAM node over the units of a legacy ao network, so that clients of
// "mainnet" (aoconnect with MODE 'mainnet', the aos command line) spawn, push and read there:
//
//	GET  /~meta@1.0/info[/address]
//	POST /push, /~scheduler@1.0/schedule                        a signed process, or a signed message to its target
//	POST /{process}~process@1.0/push, .../schedule              a signed message
//	     /{process}/slot/current
//	     /{process}/compute/results={slot or message}           also compute=N, compute&slot=N, now
//	     /{process}/now/results/raw/Output/data                 any path into a result
//	     /{process}/as=execution/compute&{tag}={value}...       a dry run
//
// The device after a process (~process@1.0) may be left out, and what only reads may be asked with GET or POST. Keys into a
// result are found whatever their case, items of lists by number from 1, as there.
//
// Invariants: a signature that comes with a request is right, or the request is refused (ANS-104 items, and HTTP message
// signatures as RFC 9421 has them); the façade signs nothing and keeps nothing: who asks its units sees the same.
//
// It does not schedule messages that are signed as HTTP messages, because the schedulers behind it take data items; it does
// not sign its answers; it knows no devices but those above, and no payments.
package mainnet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"verbatim/cu/ao"
	"verbatim/internal/fetch"
)

// Units are the addresses of what answers behind the façade.
type Units struct{ MU, SU, CU string }

// Node is the façade.
type Node struct {
	units   Units
	address string
	fetch   *fetch.Client
}

// New gives a node over units. Clients make its address the Scheduler and, unless they say otherwise, the Authority of the
// processes that they spawn.
func New(units Units, address string) *Node {
	return &Node{units: units, address: address, fetch: fetch.NewPatient()}
}

// answer is what a path resolves to. A text goes out as it is unless the client wants JSON.
type answer struct {
	value   any
	process string // of a process that was just spawned
	id      string // of the message that was just scheduled
}

// problem is an error with the status that it has over HTTP.
type problem struct {
	status int
	error
}

func (p problem) Unwrap() error { return p.error }

func refuse(status int, format string, arguments ...any) error {
	return problem{status, fmt.Errorf(format, arguments...)}
}

// ServeHTTP implements http.Handler.
func (n *Node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Allow-Methods", "GET, HEAD, POST")
	header.Set("Access-Control-Allow-Headers", "*")
	header.Set("Access-Control-Expose-Headers", "*")
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	resolved, err := n.resolve(w, r)
	if err != nil {
		fail(w, err)
		return
	}
	if resolved.process != "" {
		header.Set("Process", resolved.process)
	}
	if resolved.id != "" {
		header.Set("Id", resolved.id)
	}
	if text, plain := resolved.value.(string); plain && !wantsJSON(r) {
		header.Set("Content-Type", "text/plain; charset=utf-8")
		w.Write([]byte(text)) // the client may have gone
		return
	}
	body, err := encode(resolved.value)
	if err != nil {
		fail(w, err)
		return
	}
	header.Set("Content-Type", "application/json")
	w.Write(body)
}

// wantsJSON tells whether a text should come as JSON too.
func wantsJSON(r *http.Request) bool {
	return strings.HasSuffix(r.URL.Path, "/serialize~json@1.0") || strings.Contains(r.Header.Get("Accept"), "application/json") ||
		strings.Contains(r.Header.Get("Require-Codec"), "json") || strings.Contains(r.Header.Get("Accept-Codec"), "json")
}

func encode(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), err
}

// fail answers with an error. What a unit refused has the unit's status and text.
func fail(w http.ResponseWriter, err error) {
	status, text := http.StatusBadGateway, err.Error()
	var refused *fetch.StatusError
	var known problem
	switch {
	case errors.As(err, &known):
		status = known.status
	case errors.As(err, &refused):
		status = refused.Status
		var said struct{ Error string }
		if json.Unmarshal([]byte(refused.Body), &said) == nil && said.Error != "" {
			text = said.Error
		}
	}
	body, _ := encode(map[string]string{"error": text})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

// resolve finds what a request asks for.
func (n *Node) resolve(w http.ResponseWriter, r *http.Request) (answer, error) {
	given, err := read(w, r)
	if err != nil {
		return answer{}, err
	}
	escaped, tags, isDryRun := strings.Cut(r.URL.EscapedPath(), "/as=execution/compute")
	steps, err := parsePath(escaped)
	if err != nil {
		return answer{}, err
	}
	if last := len(steps) - 1; last >= 0 && steps[last].name == "serialize" {
		steps = steps[:last]
	}
	if len(steps) == 0 {
		return answer{}, refuse(http.StatusNotFound, "the path is empty; ask /~meta@1.0/info")
	}
	first, rest := steps[0], steps[1:]
	process, err := ao.ParseID(first.name)
	switch {
	case err == nil && isDryRun:
		return n.dryRun(r.Context(), process, tags, given)
	case err == nil:
		return n.ofProcess(r, process, rest, given)
	case first.name == "" && first.device == "meta@1.0" && len(rest) > 0 && rest[0].name == "info":
		return n.info(rest[1:])
	case first.name == "push" && len(rest) == 0,
		first.name == "" && first.device == "scheduler@1.0" && len(rest) == 1 && rest[0].name == "schedule":
		return n.push(r, ao.ID{}, given, first.name == "push")
	}
	return answer{}, refuse(http.StatusNotFound, "no such path: %s", r.URL.Path)
}

func (n *Node) info(keys []step) (answer, error) {
	switch {
	case len(keys) == 0:
		return answer{value: map[string]string{"address": n.address}}, nil
	case len(keys) == 1 && keys[0].name == "address":
		return answer{value: n.address}, nil
	}
	return answer{}, refuse(http.StatusNotFound, "no such key of ~meta@1.0/info: %q", keys[0].name)
}

// ofProcess resolves what comes after the id of a process.
func (n *Node) ofProcess(r *http.Request, process ao.ID, steps []step, given message) (answer, error) {
	if len(steps) == 0 {
		return answer{}, refuse(http.StatusNotFound, "process %s: ask for its slot/current, compute or now", process)
	}
	first, rest := steps[0], steps[1:]
	switch {
	case (first.name == "push" || first.name == "schedule") && len(rest) == 0 && r.Method == http.MethodPost:
		return n.push(r, process, given, first.name == "push")
	case first.name == "slot" && len(rest) == 1 && rest[0].name == "current":
		slot, err := n.current(r.Context(), process)
		return answer{value: strconv.FormatInt(slot, 10)}, err
	case first.name == "compute" || first.name == "now":
		return n.compute(r, process, first, rest)
	}
	return answer{}, refuse(http.StatusNotFound, "process %s: no such path: %s", process, r.URL.Path)
}
