package replay

import (
	"fmt"

	"verbatim/cu/ao"
	"verbatim/cu/cron"
	"verbatim/cu/eval"
	"verbatim/cu/receipt"
)

// cronOf finds the cron that a receipt names in the tags of the process.
func cronOf(r *receipt.Receipt, env *eval.Env) (cron.Cron, error) {
	crons, err := cron.Parse(env.Process.Tags)
	if err != nil {
		return cron.Cron{}, diverged(r, WhatMessage, "cron "+r.Cron, err.Error())
	}
	found, ok := cron.NewSchedule(crons, cron.Point{}).Find(r.Cron)
	if !ok {
		return cron.Cron{}, diverged(r, WhatMessage, "cron "+r.Cron, "no such cron in the tags of the process")
	}
	return found, nil
}

// cronInput checks that a message is what a process's own tags say that its cron sends.
func cronInput(entry *receipt.Entry, env *eval.Env, message eval.Message) error {
	r := entry.Receipt
	found, err := cronOf(r, env)
	if err != nil {
		return err
	}
	event := cron.Event{Name: r.Cron, Tags: found.Tags, Point: pointOf(message)}
	want := event.Message(ao.Process{ID: r.Process, Owner: env.Process.Owner}).AppendJSON(nil)
	if string(want) != string(entry.Message) {
		recorded, got := excerpts(entry.Message, want)
		return diverged(r, WhatMessage, recorded, got)
	}
	return nil
}

func pointOf(message eval.Message) cron.Point {
	return cron.Point{Height: message.BlockHeight, Timestamp: message.Timestamp}
}

// times is what the receipts of one process have said about time so far. Which blocks there were is not in a log, so nobody
// can tell from it that a cron message is missing; but those that are there must fit to the last assignment and to one
// another.
type times struct {
	assigned *cron.Point           // of the last assignment or the boot; nil if the log begins later
	second   int64                 // of the last message of a time cron since then
	firsts   map[string]cron.Point // the first message of each cron
}

// follow checks the time of an entry and goes on to it.
func (t *times) follow(entry *receipt.Entry) error {
	r := entry.Receipt
	message, err := eval.ParseMessage(entry.Message)
	if err != nil {
		return diverged(r, WhatMessage, err.Error(), "JSON")
	}
	at := pointOf(message)
	if r.Cron == "" {
		t.assigned, t.second = &at, cron.Seconds(at.Timestamp)
		return nil
	}
	env, err := eval.ParseEnv(entry.Env)
	if err != nil {
		return diverged(r, WhatEnv, err.Error(), "JSON")
	}
	found, err := cronOf(r, env)
	if err != nil {
		return err
	}
	if why := t.misfit(r.Cron, found, at); why != "" {
		return diverged(r, WhatMessage, fmt.Sprintf("cron %s at time %d, height %d", r.Cron, at.Timestamp, at.Height), why)
	}
	if _, known := t.firsts[r.Cron]; !known {
		if t.firsts == nil {
			t.firsts = map[string]cron.Point{}
		}
		t.firsts[r.Cron] = at
	}
	if !found.InBlocks {
		t.second = cron.Seconds(at.Timestamp)
	}
	return nil
}

// misfit tells what a message of a cron would have to be like in place of being at a point; "" if it can be there.
func (t *times) misfit(name string, c cron.Cron, at cron.Point) string {
	first, known := t.firsts[name]
	if !known {
		first = at
	}
	switch {
	case c.Every == 0:
		return "nothing: its interval cannot be read"
	case c.InBlocks && (at.Height-first.Height)%c.Every != 0:
		return fmt.Sprintf("a height that is a whole number of times %d blocks from %d", c.Every, first.Height)
	case c.InBlocks && t.assigned != nil && (at.Timestamp <= t.assigned.Timestamp || at.Height < t.assigned.Height):
		return fmt.Sprintf("after the assignment of time %d, height %d", t.assigned.Timestamp, t.assigned.Height)
	case c.InBlocks:
		return ""
	case (cron.Seconds(at.Timestamp)-cron.Seconds(first.Timestamp))%c.Every != 0:
		return fmt.Sprintf("a whole number of times %d seconds from time %d", c.Every, first.Timestamp)
	case t.assigned != nil && (at.Timestamp-t.assigned.Timestamp)%1000 != 0:
		return fmt.Sprintf("whole seconds after the assignment of time %d", t.assigned.Timestamp)
	case t.assigned != nil && cron.Seconds(at.Timestamp) < t.second:
		return fmt.Sprintf("not before second %d", t.second)
	}
	return ""
}
