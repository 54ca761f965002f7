package replay

import (
	"encoding/json"
	"fmt"

	"verbatim/cu/ao"
	"verbatim/cu/cron"
	"verbatim/cu/receipt"
)

// First is what is remembered of a step in case that its message comes again.
type First struct {
	content receipt.Content
	result  receipt.Digest
}

// FirstOf gives what to remember of an entry.
func FirstOf(entry *receipt.Entry) First {
	// A message that cannot be read has no content, and nothing repeats it.
	content, _, _ := receipt.ContentOf(entry.Message)
	return First{content, entry.Receipt.Result}
}

// Repeat checks an entry that says that its message came before: it must be the same message, with the same result, and
// must have left the memory alone. A difference comes as *Divergence.
func Repeat(memory Memory, entry *receipt.Entry, first First) error {
	r := entry.Receipt
	content, _, err := receipt.ContentOf(entry.Message)
	is := memory.Is(r.Version)
	switch {
	case err != nil:
		return diverged(r, WhatMessage, err.Error(), "JSON")
	case is != r.MemoryBefore:
		return diverged(r, WhatMemoryBefore, memoryWords(r.MemoryBefore), memoryWords(is))
	case content != first.content || content == (receipt.Content{}):
		return diverged(r, WhatDuplicate, fmt.Sprintf("the message of nonce %d", r.Original), "another message")
	case r.Result != first.result:
		return diverged(r, WhatResult, r.Result.String(), first.result.String())
	}
	return nil
}

// cronInput checks that a message is what a process's own tags say that its cron sends.
func cronInput(entry *receipt.Entry) error {
	r := entry.Receipt
	var env struct {
		Process struct {
			Owner string
			Tags  ao.Tags
		}
	}
	var message struct {
		Timestamp   int64
		BlockHeight int64 `json:"Block-Height"`
	}
	if err := json.Unmarshal(entry.Env, &env); err != nil {
		return diverged(r, WhatEnv, err.Error(), "JSON")
	}
	if err := json.Unmarshal(entry.Message, &message); err != nil {
		return diverged(r, WhatMessage, err.Error(), "JSON")
	}
	crons, err := cron.Parse(env.Process.Tags)
	if err != nil {
		return diverged(r, WhatMessage, "cron "+r.Cron, err.Error())
	}
	found, ok := cron.NewSchedule(crons, cron.Point{}).Find(r.Cron)
	if !ok {
		return diverged(r, WhatMessage, "cron "+r.Cron, "no such cron in the tags of the process")
	}
	event := cron.Event{Name: r.Cron, Tags: found.Tags, Point: cron.Point{Height: message.BlockHeight, Timestamp: message.Timestamp}}
	want := event.Message(ao.Process{ID: r.Process, Owner: env.Process.Owner}).AppendJSON(nil)
	if string(want) != string(entry.Message) {
		recorded, got := excerpts(entry.Message, want)
		return diverged(r, WhatMessage, recorded, got)
	}
	return nil
}
