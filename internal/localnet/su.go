package localnet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
)

const (
	messageBytesMax = 16 << 20 // of an item sent to a scheduler or messenger
	pageSlots       = 100      // assignments a page, unless the client says otherwise
	pageBytesMax    = 64 << 20 // a page is cut short when its messages weigh more
)

var errNotAO = errors.New("not a message or process of ao")

// SU serves the scheduler unit:
//
//	POST /                              a signed message or process: gets the next nonce
//	POST /?process-id=P&assign=ID       assigns an item that is on the gateway [&exclude=A,B]
//	GET  /{process}                     assignments: from, to (timestamps) or from-nonce, to-nonce; limit
//	GET  /{message}?process-id=P        one assignment
//	GET  /{process}/latest              the last one
//	GET  /processes/{process}
//	GET  /timestamp, GET /
//
// Of a range the lower bound is exclusive, the upper inclusive.
func (n *Network) SU() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", n.postSchedule)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		reply(w, http.StatusOK, map[string]any{"timestamp": n.now().UnixMilli(), "address": n.SUAddress()})
	})
	mux.HandleFunc("GET /timestamp", func(w http.ResponseWriter, r *http.Request) {
		reply(w, http.StatusOK, map[string]string{
			"timestamp": strconv.FormatInt(n.now().UnixMilli(), 10), "block_height": fmt.Sprintf("%012d", n.height()),
		})
	})
	mux.HandleFunc("GET /processes/{id}", n.getProcess)
	mux.HandleFunc("GET /{id}", n.getSchedule)
	mux.HandleFunc("GET /{id}/{what}", n.getLatest)
	return allowBrowsers(mux)
}

func (n *Network) postSchedule(w http.ResponseWriter, r *http.Request) {
	var placed slot
	var err error
	if assigned := r.URL.Query().Get("assign"); assigned != "" {
		placed, err = n.assign(r.URL.Query().Get("process-id"), assigned, r.URL.Query().Get("exclude"))
	} else {
		var stored *entry
		if stored, err = n.keep(r.Body, messageBytesMax); err == nil {
			placed, err = n.schedule(stored)
		}
	}
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]any{"timestamp": placed.timestamp, "id": placed.message})
}

// schedule gives a stored message or process its nonce.
func (n *Network) schedule(stored *entry) (slot, error) {
	item, err := n.store.load(stored.id)
	if err != nil {
		return slot{}, err
	}
	if !item.Tags.Has("Data-Protocol", "ao") {
		return slot{}, fmt.Errorf("item %s is %w: no tag Data-Protocol=ao", stored.id, errNotAO)
	}
	asked := assignment{message: stored.id, item: item, now: n.now().UnixMilli(), height: n.height()}
	switch kind := item.Tags.Get("Type"); kind {
	case "Process":
		if _, err := ao.NewProcess(stored.id, item.Address(), item.Tags); err != nil {
			return slot{}, fmt.Errorf("%w: %w", errNotAO, err)
		}
		if item.Tags.Get("Scheduler") == "" {
			return slot{}, fmt.Errorf("process %s is %w: no tag Scheduler", stored.id, errNotAO)
		}
		asked.process, asked.starts = stored.id, true
	case "Message":
		if len(item.Target) == 0 {
			return slot{}, fmt.Errorf("message %s is %w: it has no target", stored.id, errNotAO)
		}
		asked.process = ao.ID(item.Target)
	default:
		return slot{}, fmt.Errorf("item %s is %w: tag Type is %q, want Message or Process", stored.id, errNotAO, kind)
	}
	return n.plans.assign(asked)
}

// assign gives an item that is on the gateway a nonce of a process.
func (n *Network) assign(process, message, exclude string) (slot, error) {
	asked, err := n.askAssignment(process, message, exclude)
	if err != nil {
		return slot{}, err
	}
	return n.plans.assign(asked)
}

func (n *Network) askAssignment(process, message, exclude string) (assignment, error) {
	processID, err := ao.ParseID(process)
	if err != nil {
		return assignment{}, fmt.Errorf("%w: process-id: %w", errNotAO, err)
	}
	messageID, err := ao.ParseID(message)
	if err != nil {
		return assignment{}, fmt.Errorf("%w: assign: %w", errNotAO, err)
	}
	if n.store.get(messageID) == nil {
		return assignment{}, fmt.Errorf("item %s: %w", messageID, errNotStored)
	}
	asked := assignment{process: processID, message: messageID, now: n.now().UnixMilli(), height: n.height(), assigned: true}
	for _, part := range strings.Split(exclude, ",") {
		if part = strings.TrimSpace(part); part != "" {
			asked.exclude = append(asked.exclude, part)
		}
	}
	return asked, nil
}

// The shapes of answers, keys in the order of the reference scheduler.
type (
	ownerJSON struct {
		Address string `json:"address"`
		Key     string `json:"key"`
	}
	messageJSON struct {
		ID        ao.ID     `json:"id"`
		Owner     ownerJSON `json:"owner"`
		Data      *string   `json:"data"`
		Tags      ao.Tags   `json:"tags"`
		Signature string    `json:"signature"`
		Anchor    *string   `json:"anchor"`
		Target    *string   `json:"target"`
	}
	assignmentJSON struct {
		ID        ao.ID     `json:"id"`
		Owner     ownerJSON `json:"owner"`
		Tags      ao.Tags   `json:"tags"`
		Signature string    `json:"signature"`
		Anchor    *string   `json:"anchor"`
		Target    string    `json:"target"`
	}
	nodeJSON struct {
		Message    *messageJSON   `json:"message"`
		Assignment assignmentJSON `json:"assignment"`
	}
	edgeJSON struct {
		Node   nodeJSON `json:"node"`
		Cursor string   `json:"cursor"`
	}
	processJSON struct {
		ProcessID ao.ID     `json:"process_id"`
		Block     string    `json:"block"`
		Owner     ownerJSON `json:"owner"`
		Tags      ao.Tags   `json:"tags"`
		Timestamp int64     `json:"timestamp"`
		Data      *string   `json:"data"`
		Anchor    *string   `json:"anchor"`
		Signature string    `json:"signature"`
		Target    *string   `json:"target"`
	}
)

// ownerOf gives key and address. Schedulers show every address as a digest of the key; clients derive Ethereum's themselves.
func ownerOf(item *dataitem.Item) ownerJSON {
	return ownerJSON{keyDigest(item.Owner), encode(item.Owner)}
}

// tagsOf gives tags for JSON: [] rather than null, and text.
func tagsOf(item *dataitem.Item) ao.Tags {
	tags := make(ao.Tags, len(item.Tags))
	for i, tag := range item.Tags {
		tags[i] = ao.Tag{Name: ao.ValidText([]byte(tag.Name)), Value: ao.ValidText([]byte(tag.Value))}
	}
	return tags
}

// textOrNull gives what is text and not empty.
func textOrNull(raw []byte) *string {
	if len(raw) == 0 || !utf8.Valid(raw) {
		return nil
	}
	shown := string(raw)
	return &shown
}

func (n *Network) nodeOf(placed slot) (node nodeJSON, weight int, err error) {
	a := placed.assignment
	node.Assignment = assignmentJSON{a.ID(), ownerOf(a), tagsOf(a), encode(a.Signature), nil, ""}
	if placed.assigned {
		return node, len(a.Signature), nil
	}
	item, err := n.store.load(placed.message)
	if err != nil {
		return node, 0, err
	}
	data, target := ao.ValidText(item.Data), item.TargetText()
	node.Message = &messageJSON{item.ID(), ownerOf(item), &data, tagsOf(item), encode(item.Signature), textOrNull(item.Anchor), &target}
	if item.Tags.Has("Type", "Process") && !utf8.Valid(item.Data) {
		node.Message.Data = nil // a process's data is shown only if it is text
	}
	return node, len(data), nil
}

func (n *Network) getProcess(w http.ResponseWriter, r *http.Request) {
	id, err := ao.ParseID(r.PathValue("id"))
	slots := n.plans.slots(id)
	if err != nil || len(slots) == 0 {
		fail(w, http.StatusBadRequest, fmt.Errorf("process %q: %w", r.PathValue("id"), errNotStored))
		return
	}
	item, err := n.store.load(id)
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	shown := processJSON{
		ProcessID: id, Block: fmt.Sprintf("%012d", slots[0].height), Owner: ownerOf(item), Tags: tagsOf(item), Timestamp: slots[0].timestamp,
		Anchor: textOrNull(item.Anchor), Signature: encode(item.Signature),
	}
	if utf8.Valid(item.Data) {
		data := string(item.Data)
		shown.Data = &data
	}
	if target := item.TargetText(); target != "" {
		shown.Target = &target
	}
	reply(w, http.StatusOK, shown)
}

func (n *Network) getLatest(w http.ResponseWriter, r *http.Request) {
	id, err := ao.ParseID(r.PathValue("id"))
	slots := n.plans.slots(id)
	if err != nil || len(slots) == 0 || r.PathValue("what") != "latest" {
		fail(w, http.StatusBadRequest, fmt.Errorf("process %q: %w", r.PathValue("id"), errNotStored))
		return
	}
	n.replySlot(w, slots[len(slots)-1])
}

func (n *Network) replySlot(w http.ResponseWriter, placed slot) {
	node, _, err := n.nodeOf(placed)
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	reply(w, http.StatusOK, node)
}

// getSchedule answers for a process with a page of its schedule, for a message with its assignment.
func (n *Network) getSchedule(w http.ResponseWriter, r *http.Request) {
	id, err := ao.ParseID(r.PathValue("id"))
	if err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	if slots := n.plans.slots(id); len(slots) > 0 {
		n.replyPage(w, r, slots)
		return
	}
	process, err := ao.ParseID(r.URL.Query().Get("process-id"))
	if err != nil {
		fail(w, http.StatusBadRequest, fmt.Errorf("process-id: %w", err))
		return
	}
	placed, there := n.plans.find(process, id)
	if !there {
		fail(w, http.StatusBadRequest, fmt.Errorf("message %s on process %s: %w", id, process, errNotStored))
		return
	}
	n.replySlot(w, placed)
}

// interval is what a page may hold: after < place <= last.
type interval struct {
	after, last int64
	limit       int
	byNonce     bool
}

func newInterval(r *http.Request) (interval, error) {
	i := interval{after: -1, last: 1 << 62, limit: pageSlots}
	query := r.URL.Query()
	i.byNonce = query.Has("from-nonce") || query.Has("to-nonce")
	names := [...]string{"from", "to", "limit"}
	if i.byNonce {
		names = [...]string{"from-nonce", "to-nonce", "limit"}
	}
	for _, name := range names {
		given := query.Get(name)
		if given == "" || given == "undefined" || given == "null" {
			continue // what JavaScript clients make of an argument that they were not given
		}
		value, err := ao.ParseInt(name, given)
		if err != nil {
			return i, err
		}
		switch name {
		case names[0]:
			i.after = value
		case names[1]:
			i.last = value
		default:
			i.limit = int(max(value, 1))
		}
	}
	return i, nil
}

func (n *Network) replyPage(w http.ResponseWriter, r *http.Request, slots []slot) {
	wanted, err := newInterval(r)
	if err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	edges, more, weight := []edgeJSON{}, false, 0
	for nonce, placed := range slots {
		place := placed.timestamp
		if wanted.byNonce {
			place = int64(nonce)
		}
		if place <= wanted.after {
			continue
		}
		if place > wanted.last {
			break
		}
		if more = len(edges) == wanted.limit || weight > pageBytesMax; more {
			break
		}
		node, bytes, err := n.nodeOf(placed)
		if err != nil {
			fail(w, http.StatusInternalServerError, err)
			return
		}
		weight += bytes
		edges = append(edges, edgeJSON{node, strconv.FormatInt(place, 10)})
	}
	reply(w, http.StatusOK, map[string]any{"page_info": map[string]bool{"has_next_page": more}, "edges": edges})
}

// keepItem stores an item that is in memory.
func (n *Network) keepItem(item *dataitem.Item) error {
	_, err := n.keep(bytes.NewReader(item.Bytes()), itemBytesMax)
	return err
}

// asText gives a JSON value as a process meant it: a text as it is, anything else as its JSON.
func asText(value json.RawMessage) string {
	var said string
	if json.Unmarshal(value, &said) == nil {
		return said
	}
	return string(value)
}
