package scheduler

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
)

// The shapes that scheduler units answer with.
type (
	wireOwner struct {
		Address string `json:"address"`
		Key     string `json:"key"`
	}
	// wireItem is a message or an assignment.
	wireItem struct {
		ID        string    `json:"id"`
		Owner     wireOwner `json:"owner"`
		Data      *string   `json:"data"`
		Tags      ao.Tags   `json:"tags"`
		Signature string    `json:"signature"`
		Anchor    *string   `json:"anchor"`
		Target    *string   `json:"target"`
	}
	wireNode struct {
		Message    *wireItem `json:"message"`
		Assignment *wireItem `json:"assignment"`
	}
	wirePage struct {
		PageInfo struct {
			HasNextPage bool `json:"has_next_page"`
		} `json:"page_info"`
		Edges []struct {
			Node wireNode `json:"node"`
		} `json:"edges"`
	}
	wireProcess struct {
		ProcessID string    `json:"process_id"`
		Block     string    `json:"block"`
		Owner     wireOwner `json:"owner"`
		Tags      ao.Tags   `json:"tags"`
		Timestamp int64     `json:"timestamp"`
		Data      *string   `json:"data"`
		Anchor    *string   `json:"anchor"`
		Signature *string   `json:"signature"`
		Target    *string   `json:"target"`
	}
)

func (w wireProcess) process(id ao.ID) (ao.Process, error) {
	if w.ProcessID != id.String() {
		return ao.Process{}, fmt.Errorf("%w: it is process %q", ErrMalformed, w.ProcessID)
	}
	height, err := ao.ParseInt("block", w.Block)
	if err != nil {
		return ao.Process{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	verified := false
	if w.Signature != nil {
		item := wireItem{w.ProcessID, w.Owner, w.Data, w.Tags, *w.Signature, w.Anchor, w.Target}
		if verified, err = item.verify(); err != nil {
			return ao.Process{}, err
		}
	}
	owner, err := w.Owner.address()
	if err != nil {
		return ao.Process{}, err
	}
	process, err := ao.NewProcess(id, owner, w.Tags)
	if err != nil {
		return ao.Process{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	process.Timestamp, process.BlockHeight, process.Verified = w.Timestamp, height, verified
	process.Data, process.Anchor, process.Signature = nullable(w.Data), nullable(w.Anchor), nullable(w.Signature)
	return process, nil
}

// assignment checks one assignment and its message and turns them into ao's words.
func (w wireNode) assignment(process ao.ID) (ao.Assignment, error) {
	if w.Assignment == nil {
		return ao.Assignment{}, fmt.Errorf("%w: an assignment is missing", ErrMalformed)
	}
	assignment, err := w.Assignment.schedule()
	if err != nil {
		return assignment, fmt.Errorf("assignment %q: %w", w.Assignment.ID, err)
	}
	if assignment.Process != process {
		return assignment, fmt.Errorf("%w: assignment %s is of process %s", ErrMalformed, assignment.ID, assignment.Process)
	}
	if verified, err := w.Assignment.verify(); err != nil || !verified {
		return assignment, fmt.Errorf("assignment %s: %w", assignment.ID, errors.Join(ErrSignature, err))
	}
	named, isNamed := w.Assignment.Tags.Lookup("Message")
	if w.Message == nil {
		assignment.Hydrate = true
		if assignment.MessageID, err = ao.ParseID(named); err != nil {
			return assignment, fmt.Errorf("%w: assignment %s: tag Message: %w", ErrMalformed, assignment.ID, err)
		}
		assignment.Message = ao.Message{ID: ao.Some(named)}
		return assignment, nil
	}
	if isNamed && named != w.Message.ID {
		return assignment, fmt.Errorf("%w: assignment %s is of message %q, and comes with %q", ErrMalformed, assignment.ID, named, w.Message.ID)
	}
	if assignment.MessageID, err = ao.ParseID(w.Message.ID); err != nil {
		return assignment, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if assignment.Verified, err = w.Message.verify(); err != nil {
		return assignment, fmt.Errorf("message %s: %w", assignment.MessageID, err)
	}
	assignment.Message, err = w.Message.message(process)
	return assignment, err
}

// schedule reads the scheduling fields from the tags of an assignment.
func (w *wireItem) schedule() (assignment ao.Assignment, err error) {
	if assignment.ID, err = ao.ParseID(w.ID); err == nil {
		assignment.Process, err = ao.ParseID(w.Tags.Get("Process"))
	}
	if err == nil {
		assignment.HashChain, err = ao.ParseHashChain(w.Tags.Get("Hash-Chain"))
	}
	for _, field := range [...]struct {
		name string
		into *int64
	}{
		{"Epoch", &assignment.Epoch}, {"Nonce", &assignment.Nonce}, {"Timestamp", &assignment.Timestamp}, {"Block-Height", &assignment.BlockHeight},
	} {
		if err == nil {
			*field.into, err = ao.ParseInt("tag "+field.name, w.Tags.Get(field.name))
		}
	}
	if err != nil {
		return assignment, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	assignment.Exclude = w.Tags.All("Exclude")
	return assignment, nil
}

func (w *wireItem) message(process ao.ID) (ao.Message, error) {
	owner, err := w.Owner.address()
	if err != nil {
		return ao.Message{}, err
	}
	from, forwardedBy := ao.Sender(w.Tags, owner)
	tags := w.Tags
	if tags == nil {
		tags = ao.Tags{}
	}
	return ao.Message{
		ID: ao.Some(w.ID), Signature: ao.Some(w.Signature), Data: nullable(w.Data), Owner: owner, Target: process.String(),
		Anchor: nullable(w.Anchor), From: from, ForwardedBy: forwardedBy, Tags: tags,
	}, nil
}

// verify checks id and signature. False without an error means: the signed bytes are not all here.
func (w *wireItem) verify() (bool, error) {
	signature, errSignature := base64.RawURLEncoding.DecodeString(w.Signature)
	owner, errOwner := base64.RawURLEncoding.DecodeString(w.Owner.Key)
	if err := errors.Join(errSignature, errOwner); err != nil {
		return false, fmt.Errorf("%w: owner or signature: %w", ErrMalformed, err)
	}
	if base64.RawURLEncoding.EncodeToString(signature) != w.Signature {
		// The process sees this text, so only one may stand for a signature.
		return false, fmt.Errorf("%w: signature %q is not written as it should be", ErrMalformed, w.Signature)
	}
	types := dataitem.TypesOf(len(owner), len(signature))
	if len(types) == 0 {
		return false, fmt.Errorf("%w: an owner of %d and a signature of %d bytes", ErrMalformed, len(owner), len(signature))
	}
	var parts dataitem.Draft
	var err error
	if w.Target != nil && *w.Target != "" {
		if parts.Target, err = ao.ParseID(*w.Target); err != nil {
			return false, fmt.Errorf("%w: target: %w", ErrMalformed, err)
		}
	}
	if w.Anchor != nil {
		parts.Anchor = []byte(*w.Anchor)
	}
	if w.Data != nil {
		parts.Data = []byte(*w.Data)
	}
	parts.Tags = w.Tags
	for _, kind := range types {
		var item *dataitem.Item
		if item, err = dataitem.Assemble(kind, owner, signature, parts); err != nil {
			return false, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		if id := item.ID().String(); id != w.ID {
			return false, fmt.Errorf("%w: the signature is of item %s, not of %s", ErrSignature, id, w.ID)
		}
		if err = item.Verify(); err == nil {
			return true, nil
		}
	}
	if w.lossy() {
		return false, nil
	}
	return false, fmt.Errorf("%w: %w", ErrSignature, err)
}

// lossy tells whether the scheduler may have shown less than what was signed: data and anchors that are not UTF-8 come
// with replacement characters, or not at all.
func (w *wireItem) lossy() bool {
	return w.Data == nil || strings.ContainsRune(*w.Data, '\uFFFD') || w.Anchor == nil || strings.ContainsRune(*w.Anchor, '\uFFFD')
}

// address gives the owner's ao address: for an Ethereum key another one than the scheduler's field says.
func (o wireOwner) address() (string, error) {
	key, err := base64.RawURLEncoding.DecodeString(o.Key)
	if err != nil || len(key) == 0 {
		return "", fmt.Errorf("%w: owner key %q", ErrMalformed, o.Key)
	}
	return dataitem.Address(key), nil
}

func nullable(text *string) ao.Optional[string] {
	if text == nil {
		return ao.NullOf[string]()
	}
	return ao.Some(*text)
}
