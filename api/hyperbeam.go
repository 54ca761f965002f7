package api

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"verbatim/cu"
	"verbatim/cu/ao"
	"verbatim/cu/checkpoint"
	"verbatim/cu/receipt"
)

// The routes by which a HyperBEAM node delegates the evaluation of its legacy processes (its devices genesis-wasm@1.0 and
// delegated-compute@1.0). They exist only where the operator says so: whoever reaches them decides what was assigned.

// memoryBytesMax limits the memory that a node sends.
const memoryBytesMax = 4<<30 + 1<<20

// hyperBEAM adds the routes.
func (s *server) hyperBEAM(engine *gin.Engine) {
	engine.Match([]string{http.MethodGet, http.MethodHead}, "/status", s.root)
	engine.POST("/result/:messageTxId", s.slot)
	engine.POST("/snapshot/:processId", s.snapshot)
	engine.POST("/state", s.adopt)
}

// aos2 is what a node sends: a page of its schedule in the form of legacy schedulers.
type aos2 struct {
	PageInfo struct {
		Timestamp json.RawMessage `json:"timestamp"`
	} `json:"page_info"`
	Edges []struct {
		Node struct {
			Message    json.RawMessage `json:"message"`
			Assignment aos2Item        `json:"assignment"`
		} `json:"node"`
	} `json:"edges"`
}

type aos2Item struct {
	ID        string `json:"Id"`
	Signature string
	Owner     string
	Anchor    *string
	Data      *string
	Tags      []struct {
		Name  string          `json:"name"`
		Value json.RawMessage `json:"value"`
	}
}

// tags gives the tags; values that are no texts are shown as they are written.
func (i aos2Item) tags() ao.Tags {
	tags := make(ao.Tags, 0, len(i.Tags))
	for _, tag := range i.Tags {
		value := string(tag.Value)
		var text string
		if json.Unmarshal(tag.Value, &text) == nil {
			value = text
		}
		tags = append(tags, ao.Tag{Name: tag.Name, Value: value})
	}
	return tags
}

// parseAOS2 reads the assignments of a process, and the node's clock.
func parseAOS2(body []byte, process ao.ID) (assignments []ao.Assignment, now int64, err error) {
	var page aos2
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, 0, err
	}
	// A clock that cannot be read is one that says nothing.
	now, _ = ao.ParseInt("timestamp", strings.Trim(string(page.PageInfo.Timestamp), `"`))
	for i, edge := range page.Edges {
		assignment, err := parseSlot(edge.Node.Assignment, edge.Node.Message, process)
		if err != nil {
			return nil, 0, fmt.Errorf("edge %d: %w", i, err)
		}
		assignments = append(assignments, assignment)
	}
	return assignments, now, nil
}

func parseSlot(item aos2Item, raw json.RawMessage, process ao.ID) (a ao.Assignment, err error) {
	tags := item.tags()
	if tags.Get("Skip") == "true" {
		return a, errors.New("a slot with Skip=true: skipped slots are not supported")
	}
	if a.ID, err = ao.ParseID(item.ID); err != nil {
		return a, fmt.Errorf("assignment: %w", err)
	}
	if a.Process, err = ao.ParseID(tags.Get("Process")); err != nil {
		return a, fmt.Errorf("tag Process: %w", err)
	}
	if a.HashChain, err = ao.ParseHashChain(tags.Get("Hash-Chain")); err != nil {
		return a, fmt.Errorf("tag Hash-Chain: %w", err)
	}
	slot := "Slot"
	if _, ok := tags.Lookup(slot); !ok {
		slot = "Nonce"
	}
	for _, field := range [...]struct {
		name string
		into *int64
	}{{slot, &a.Nonce}, {"Timestamp", &a.Timestamp}, {"Block-Height", &a.BlockHeight}, {"Epoch", &a.Epoch}} {
		text, ok := tags.Lookup(field.name)
		if !ok && field.name == "Epoch" {
			continue
		}
		if *field.into, err = ao.ParseInt("tag "+field.name, text); err != nil {
			return a, err
		}
	}
	a.Exclude = tags.All("Exclude")
	var message aos2Item
	var keys map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(raw, &message), json.Unmarshal(raw, &keys)); err != nil {
		return a, fmt.Errorf("message: %w", err)
	}
	if a.MessageID, err = ao.ParseID(message.ID); err != nil {
		return a, fmt.Errorf("message: %w", err)
	}
	if len(keys) == 1 {
		a.Hydrate, a.Message = true, ao.Message{ID: ao.Some(message.ID)}
		return a, nil
	}
	// The node has checked it; see cu.Delivered.
	a.Verified = true
	a.Message = ao.Message{
		ID: ao.Some(message.ID), Signature: ao.Some(message.Signature), Owner: message.Owner, Target: process.String(), Tags: message.tags(),
	}
	a.Message.From, a.Message.ForwardedBy = ao.Sender(a.Message.Tags, message.Owner)
	for _, field := range [...]struct {
		from *string
		into *ao.Optional[string]
	}{{message.Data, &a.Message.Data}, {message.Anchor, &a.Message.Anchor}} {
		if *field.into = ao.NullOf[string](); field.from != nil {
			*field.into = ao.Some(*field.from)
		}
	}
	return a, nil
}

// slot answers POST /result/{slot}?process-id with the result of a slot. The body holds what this unit does not know yet.
func (s *server) slot(c *gin.Context) {
	process, err := identifier("process-id", c.Query("process-id"))
	var nonce int64
	if err == nil {
		if nonce, err = ao.ParseInt("slot", c.Param("messageTxId")); err != nil {
			err = fmt.Errorf("%w: %w", cu.ErrInput, err)
		}
	}
	var body []byte
	if err == nil {
		body, err = io.ReadAll(c.Request.Body)
	}
	if err != nil {
		fail(c, err)
		return
	}
	var assignments []ao.Assignment
	if len(bytes.TrimSpace(body)) > 0 {
		var now int64
		assignments, now, err = parseAOS2(body, process)
		if err != nil {
			err = fmt.Errorf("%w: %w", cu.ErrInput, err)
		} else {
			err = s.Delivered.Deliver(process, assignments, now)
		}
	}
	if err != nil {
		fail(c, err)
		return
	}
	type answer struct {
		entry *receipt.Entry
		known bool
	}
	patiently(s, c, process, c.Param("messageTxId"), func(ctx context.Context) (answer, error) {
		entry, known, err := s.Unit.ResultAt(ctx, process, nonce)
		return answer{entry, known}, err
	}, func(a answer) {
		var message struct {
			Timestamp   int64
			BlockHeight int64 `json:"Block-Height"`
		}
		if err := json.Unmarshal(a.entry.Message, &message); err != nil {
			fail(c, err)
			return
		}
		evaluated := 0
		if !a.known {
			evaluated = max(len(assignments), 1)
		}
		for name, value := range map[string]string{
			"message": a.entry.Receipt.Message.String(), "timestamp": strconv.FormatInt(message.Timestamp, 10),
			"block-height": strconv.FormatInt(message.BlockHeight, 10), "slot": strconv.FormatInt(nonce, 10),
			"ao-types":   "timestamp=integer,block-height=integer,slot=integer,cold-start=atom,cu-cached=atom,eval-stream-length=integer",
			"cold-start": strconv.FormatBool(!a.known && nonce == 0), "cu-cached": strconv.FormatBool(a.known),
			"eval-stream-length": strconv.Itoa(evaluated),
		} {
			c.Header(name, value)
		}
		c.Data(http.StatusOK, contentJSON, a.entry.Result)
	})
}

// snapshot answers POST /snapshot/:processId: the memory of a process that is at hand is saved.
func (s *server) snapshot(c *gin.Context) {
	process, err := identifier("process", c.Param("processId"))
	if err != nil {
		fail(c, err)
		return
	}
	state, module, err := s.Unit.Snapshot(process)
	if err != nil {
		c.Error(err)
		c.JSON(status(err), gin.H{"success": false, "message": err.Error()})
		return
	}
	ordinate := strconv.FormatInt(max(state.Nonce, 0), 10)
	for name, value := range map[string]string{
		"snapshot-timestamp": strconv.FormatInt(state.Timestamp, 10), "snapshot-ordinate": ordinate, "snapshot-nonce": ordinate,
		"snapshot-block-height": strconv.FormatInt(state.BlockHeight, 10), "snapshot-module-id": module.String(),
		"snapshot-hash-chain": state.Position.HashChain.String(),
	} {
		c.Header(name, value)
	}
	c.JSON(http.StatusOK, gin.H{
		"success": true, "message": "File snapshot forced for process " + process.String(), "processId": process, "timestamp": state.Timestamp,
		"ordinate": ordinate, "snapshot": gin.H{
			"processId": process, "moduleId": module, "assignmentId": state.Position.Assignment, "hashChain": state.Position.HashChain.String(),
			"timestamp": state.Timestamp, "nonce": state.Position.Nonce, "blockHeight": state.BlockHeight, "ordinate": ordinate,
		},
	})
}

// adopt answers POST /state: a memory, in gzip, with which a process begins that this unit does not know.
func (s *server) adopt(c *gin.Context) {
	about, err := describedBy(c.GetHeader)
	var memory []byte
	if err == nil {
		memory, err = unzip(c.Request.Body)
	}
	if err != nil {
		fail(c, fmt.Errorf("%w: %w", cu.ErrInput, err))
		return
	}
	if err := s.Unit.Adopt(about, memory); err != nil {
		fail(c, err)
		return
	}
	c.String(http.StatusOK, "Successfully cached process memory for process "+about.Process.String())
}

// describedBy reads the headers of POST /state.
func describedBy(header func(string) string) (about checkpoint.Published, err error) {
	for _, field := range [...]struct {
		name string
		into *ao.ID
	}{{"process", &about.Process}, {"module", &about.Module}, {"assignment", &about.Assignment}} {
		if *field.into, err = ao.ParseID(header(field.name)); err != nil {
			return about, fmt.Errorf("header %s: %w", field.name, err)
		}
	}
	if about.HashChain, err = ao.ParseHashChain(header("hash-chain")); err != nil {
		return about, fmt.Errorf("header hash-chain: %w", err)
	}
	for _, field := range [...]struct {
		name string
		into *int64
	}{{"timestamp", &about.Timestamp}, {"nonce", &about.Nonce}, {"block-height", &about.BlockHeight}} {
		if *field.into, err = ao.ParseInt("header "+field.name, header(field.name)); err != nil {
			return about, err
		}
	}
	return about, nil
}

func unzip(body io.Reader) ([]byte, error) {
	r, err := gzip.NewReader(body)
	if err != nil {
		return nil, err
	}
	memory, err := io.ReadAll(io.LimitReader(r, memoryBytesMax+1))
	if err == nil && (len(memory) > memoryBytesMax || len(memory) == 0) {
		err = fmt.Errorf("a memory of %d bytes: want 1 to %d", len(memory), uint64(memoryBytesMax))
	}
	return memory, err
}
