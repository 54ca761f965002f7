package mainnet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"verbatim/cu/ao"
	"verbatim/internal/fetch"
)

const (
	resultBytesMax = 256 << 20
	pageBytesMax   = 64 << 20
	scheduleTries  = 20 // messengers may acknowledge before they schedule
	schedulePause  = 250 * time.Millisecond
)

// edge is the part of a scheduler's answer that is looked at.
type edge struct {
	Message    *struct{ ID string }
	Assignment struct{ Tags ao.Tags }
}

func (e edge) slot() (int64, error) { return ao.ParseInt("tag Nonce", e.Assignment.Tags.Get("Nonce")) }

// message is the id of what was assigned.
func (e edge) message() (ao.ID, error) {
	if named := e.Assignment.Tags.Get("Message"); named != "" || e.Message == nil {
		return ao.ParseID(named)
	}
	return ao.ParseID(e.Message.ID)
}

func (n *Node) get(ctx context.Context, address string, bytesMax int64, into any) error {
	body, err := n.fetch.Bytes(ctx, fetch.Request{Method: http.MethodGet, URL: address, BytesMax: bytesMax})
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("GET %s: %w", address, err)
	}
	return nil
}

// unknown tells whether a scheduler says that it has no such thing: the reference does with status 400.
func unknown(err error) bool {
	var refused *fetch.StatusError
	return errors.As(err, &refused) && (refused.Status == http.StatusBadRequest || refused.Status == http.StatusNotFound)
}

// latest is where a scheduler tells the last assignment of a process.
func (n *Node) latest(process ao.ID) string {
	return n.units.SU + "/" + process.String() + "/latest?process-id=" + process.String()
}

// current is the last slot of a process.
func (n *Node) current(ctx context.Context, process ao.ID) (int64, error) {
	var last edge
	err := n.get(ctx, n.latest(process), pageBytesMax, &last)
	if unknown(err) {
		return 0, refuse(http.StatusNotFound, "process %s is not scheduled here", process)
	}
	if err != nil {
		return 0, err
	}
	return last.slot()
}

// slotOf is the slot that a message has on a process. A process is its own first; schedulers answer its id with a page.
func (n *Node) slotOf(ctx context.Context, process, message ao.ID) (int64, error) {
	var placed edge
	if process == message {
		err := n.get(ctx, n.latest(process), pageBytesMax, &placed)
		return 0, err
	}
	if err := n.get(ctx, n.units.SU+"/"+message.String()+"?process-id="+process.String(), pageBytesMax, &placed); err != nil {
		return 0, err
	}
	return placed.slot()
}

// awaitSlot is slotOf for a message that was just sent.
func (n *Node) awaitSlot(ctx context.Context, process, message ao.ID) (slot int64, err error) {
	for try := 0; try < scheduleTries; try++ {
		if slot, err = n.slotOf(ctx, process, message); err == nil || !unknown(err) {
			return slot, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(schedulePause):
		}
	}
	return 0, refuse(http.StatusGatewayTimeout, "message %s was sent to process %s, but not scheduled yet: %w", message, process, err)
}

// messageAt is the message at a slot.
func (n *Node) messageAt(ctx context.Context, process ao.ID, slot int64) (ao.ID, error) {
	query := url.Values{"process-id": {process.String()}, "to-nonce": {strconv.FormatInt(slot, 10)}, "limit": {"1"}}
	if slot > 0 {
		query.Set("from-nonce", strconv.FormatInt(slot-1, 10)) // the lower bound is exclusive
	}
	var page struct{ Edges []struct{ Node edge } }
	err := n.get(ctx, n.units.SU+"/"+process.String()+"?"+query.Encode(), pageBytesMax, &page)
	if unknown(err) || err == nil && len(page.Edges) == 0 {
		return ao.ID{}, refuse(http.StatusNotFound, "process %s has no slot %d", process, slot)
	}
	if err != nil {
		return ao.ID{}, err
	}
	if there, err := page.Edges[0].Node.slot(); err != nil || there != slot {
		return ao.ID{}, errors.Join(fmt.Errorf("the scheduler answered slot %d of process %s for slot %d", there, process, slot), err)
	}
	return page.Edges[0].Node.message()
}

// result is what came of a message.
func (n *Node) result(ctx context.Context, process, message ao.ID) (raw json.RawMessage, err error) {
	query := url.Values{"process-id": {process.String()}, "no-busy": {"1"}}
	err = n.get(ctx, n.units.CU+"/result/"+message.String()+"?"+query.Encode(), resultBytesMax, &raw)
	return raw, err
}

// push gives a signed item to the messenger. With wait it also has the process evaluated up to it, as a HyperBEAM node does.
func (n *Node) push(r *http.Request, process ao.ID, given message, wait bool) (answer, error) {
	ctx, item := r.Context(), given.item
	switch {
	case r.Method != http.MethodPost:
		return answer{}, refuse(http.StatusMethodNotAllowed, "messages are pushed with POST, not %s", r.Method)
	case item == nil && given.http:
		return answer{}, refuse(http.StatusUnprocessableEntity, // clients of before 0.0.93 try again with an item then
			"the schedulers of this network take ANS-104 items: sign with signing-format ans104 instead of httpsig")
	case item == nil:
		return answer{}, refuse(http.StatusBadRequest, "what is pushed must be signed: an ANS-104 item with Content-Type application/ans104")
	}
	spawned := item.Tags.Has("Type", "Process") && process.IsZero()
	if spawned {
		process = item.ID()
	} else {
		target, err := ao.ParseID(item.TargetText())
		if err != nil || !process.IsZero() && process != target {
			return answer{}, refuse(http.StatusBadRequest, "the message is for %q, the path for process %s", item.TargetText(), process)
		}
		process = target
		if _, err := n.current(ctx, process); err != nil {
			return answer{}, err
		}
	}
	sent := fetch.Request{
		Method: http.MethodPost, URL: n.units.MU, Body: item.Bytes(), ContentType: "application/octet-stream", BytesMax: pageBytesMax,
	}
	if _, err := n.fetch.Bytes(ctx, sent); err != nil {
		return answer{}, err
	}
	slot, err := n.awaitSlot(ctx, process, item.ID())
	if err != nil {
		return answer{}, err
	}
	done := pushed{Process: process.String(), Slot: slot, ID: item.ID().String()}
	if spawned {
		return answer{value: done, process: done.Process, id: done.ID}, nil
	}
	if wait {
		// The message is scheduled, so the push is good whatever comes of it: who asks for the result hears of a failure.
		if done.Raw, err = n.result(ctx, process, item.ID()); err != nil {
			done.Failure = err.Error()
		} else {
			done.Results = &results{done.Raw}
		}
	}
	return answer{value: done, id: done.ID}, nil
}

// results has what a unit answered. Where it is looked for depends on the version of aoconnect: 0.0.93 wants it under
// "results" and "raw", 0.0.98 under "raw" alone, so the answers to pushes and dry runs have it in both places.
type results struct {
	Raw json.RawMessage `json:"raw"`
}

// pushed is the answer to a push, with the result if it was waited for.
type pushed struct {
	Process string          `json:"process"`
	Slot    int64           `json:"slot"`
	ID      string          `json:"id"`
	Raw     json.RawMessage `json:"raw,omitempty"`
	Results *results        `json:"results,omitempty"`
	Failure string          `json:"compute-failure,omitempty"`
}

// computed is what a process is at a slot, as far as it is shown.
type computed struct {
	Process string  `json:"process"`
	Slot    int64   `json:"slot"`
	Results results `json:"results"`
}

// compute resolves {process}/compute and {process}/now and what follows them.
func (n *Node) compute(r *http.Request, process ao.ID, at step, keys []step) (answer, error) {
	ctx := r.Context()
	places := []string{at.value, at.parameters.Get("slot"), r.URL.Query().Get("slot"), r.Header.Get("Slot")}
	if len(keys) > 0 && keys[0].name == "results" {
		places = append(places, keys[0].value)
	}
	slot, message, err := n.locate(ctx, process, cmp.Or(places...))
	if err != nil {
		return answer{}, err
	}
	shown := computed{Process: process.String(), Slot: slot}
	if shown.Results.Raw, err = n.result(ctx, process, message); err != nil {
		return answer{}, err
	}
	whole, err := encode(shown)
	if err != nil {
		return answer{}, err
	}
	return follow(whole, keys)
}

// locate finds a slot by its number or its message; "" is the current one.
func (n *Node) locate(ctx context.Context, process ao.ID, reference string) (slot int64, message ao.ID, err error) {
	if message, err = ao.ParseID(reference); err == nil {
		slot, err = n.slotOf(ctx, process, message)
		if unknown(err) {
			err = refuse(http.StatusNotFound, "message %s is not scheduled on process %s", message, process)
		}
		return slot, message, err
	}
	if reference == "" {
		slot, err = n.current(ctx, process)
	} else if slot, err = ao.ParseInt("slot", reference); err != nil {
		err = refuse(http.StatusBadRequest, "%w", err)
	}
	if err != nil {
		return 0, ao.ID{}, err
	}
	message, err = n.messageAt(ctx, process, slot)
	return slot, message, err
}

// follow resolves keys in JSON: of objects whatever their case, of lists from 1. Texts and numbers come as text.
func follow(value json.RawMessage, keys []step) (answer, error) {
	for _, key := range keys {
		next, there := member(value, key.name)
		if !there {
			return answer{}, refuse(http.StatusNotFound, "no key %q", key.name)
		}
		value = next
	}
	var text string
	if json.Unmarshal(value, &text) == nil && len(value) > 0 && value[0] == '"' {
		return answer{value: text}, nil
	}
	if first := value[0]; first != '{' && first != '[' {
		return answer{value: string(value)}, nil
	}
	return answer{value: value}, nil
}

func member(value json.RawMessage, key string) (json.RawMessage, bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(value, &fields) == nil {
		if found, there := fields[key]; there {
			return found, true
		}
		for name, found := range fields {
			if strings.EqualFold(name, key) {
				return found, true
			}
		}
		return nil, false
	}
	var items []json.RawMessage
	place, err := ao.ParseInt("place", key)
	if err != nil || json.Unmarshal(value, &items) != nil || place < 1 || place > int64(len(items)) {
		return nil, false
	}
	return items[place-1], true
}

// dryRunMessage is the body of a dry run, with what aoconnect's legacy mode sends where nothing is said.
type dryRunMessage struct {
	ID     string `json:"Id"`
	Owner  string
	Target string
	Data   string
	Tags   ao.Tags
	Anchor string
}

// dryRun evaluates a message whose tags are in the path and whose data is an item's, if there is one; its signer is the owner.
func (n *Node) dryRun(ctx context.Context, process ao.ID, parameters string, given message) (answer, error) {
	if parameters != "" && parameters[0] != '&' {
		return answer{}, refuse(http.StatusNotFound, "process %s: no such path: /as=execution/compute%s", process, parameters)
	}
	tags, err := parseParameters(strings.TrimSuffix(parameters, "/serialize~json@1.0"))
	if err != nil {
		return answer{}, err
	}
	for _, tag := range [...]ao.Tag{{Name: "Data-Protocol", Value: "ao"}, {Name: "Type", Value: "Message"}, {Name: "Variant", Value: "ao.N.1"}} {
		if !tags.Has(tag.Name, tag.Value) {
			tags = tags.Append(tag.Name, tag.Value)
		}
	}
	asked := dryRunMessage{ID: "1234", Owner: "1234", Target: process.String(), Data: "1234", Tags: tags, Anchor: "0"}
	if given.item != nil {
		asked.ID, asked.Owner, asked.Data = given.item.ID().String(), given.item.Address(), ao.ValidText(given.item.Data)
	}
	body, err := encode(asked)
	if err != nil {
		return answer{}, err
	}
	raw, err := n.fetch.Bytes(ctx, fetch.Request{
		Method: http.MethodPost, URL: n.units.CU + "/dry-run?process-id=" + process.String(), Body: body,
		ContentType: "application/json", BytesMax: resultBytesMax,
	})
	if err != nil {
		return answer{}, err
	}
	return answer{value: struct {
		Process ao.ID           `json:"process"`
		Raw     json.RawMessage `json:"raw"`
		Results results         `json:"results"`
	}{process, raw, results{raw}}}, nil
}
