package receipt

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sort"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
)

// Place is where a record lies in a log, and the checksum of the record before, without which it cannot be checked.
type Place struct {
	Offset   int64
	Previous Digest
}

// Step is what can be known of a receipt without reading it. The steps of a process are its receipts in order.
type Step struct {
	Place
	Number      int64 // among the steps of its process, from 0
	Nonce       int64
	Cron        string
	Duplicate   bool
	Failed      bool  // the result has an Error
	Timestamp   int64 // of the message, milliseconds since 1970
	BlockHeight int64
}

// History is what the log holds of a process.
type History struct {
	Steps       int64 // 0: nothing
	First, Last int64 // nonces
}

// Content identifies a message by what it says, so that a second delivery of it is known. It is the message's id for one
// that its owner sent, and a digest of target, anchor, tags and data for one that a messenger signed for a process: two
// messengers sign the same message under two ids.
type Content [sha256.Size]byte

// Added is a record that an Index is told of: either a module or a step.
type Added struct {
	Module  Digest // zero: it is a step
	Process ao.ID
	Message ao.ID // zero: of a cron
	Content Content
	Step    Step // of a module only its place counts
}

// Until says how far in a log an index goes: where the log ended then, and where the last record lies.
type Until struct {
	Head
	Last Place
}

// Index finds records. Everything in it follows from the log, which does not need it to be right or up to date: an index
// that lags is told what it lacks, and one that does not fit its log is reset. Its methods may be called while it is added to.
type Index interface {
	Until() (Until, error) // zero if it is empty
	History(process ao.ID) (History, error)
	Step(process ao.ID, number int64) (Step, error)
	// Message gives the step in which a message came first, Content the nonce. Not ok: never.
	Message(process, message ao.ID) (number int64, ok bool, err error)
	Content(process ao.ID, content Content) (nonce int64, ok bool, err error)
	Module(digest Digest) (place Place, ok bool, err error)
	// Add takes records in, all or none. Of a message or content that is known already it keeps what it has.
	Add(records []Added, until Until) error
	Reset() error
}

type messageKey struct{ process, message ao.ID }

type contentKey struct {
	process ao.ID
	content Content
}

// tail is the part of a log that the index has not been told of yet.
type tail struct {
	added     []Added
	histories map[ao.ID]*tailHistory
	messages  map[messageKey]int64 // step
	contents  map[contentKey]int64 // nonce
	modules   map[Digest]Place
	last      Place
}

type tailHistory struct {
	History
	base  int64 // number of the first of steps
	steps []Step
}

func newTail() tail {
	return tail{histories: map[ao.ID]*tailHistory{}, messages: map[messageKey]int64{}, contents: map[contentKey]int64{}, modules: map[Digest]Place{}}
}

// add takes a record in. Before is what was known of its process.
func (t *tail) add(record Added, before History) {
	t.last = record.Step.Place
	if !record.Module.IsZero() {
		t.modules[record.Module] = record.Step.Place
		t.added = append(t.added, record)
		return
	}
	past := t.histories[record.Process]
	if past == nil {
		past = &tailHistory{History: before, base: before.Steps}
		t.histories[record.Process] = past
	}
	if past.Steps == 0 {
		past.First = record.Step.Nonce
	}
	record.Step.Number = past.Steps
	past.steps = append(past.steps, record.Step)
	past.Steps, past.Last = past.Steps+1, record.Step.Nonce
	if key := (messageKey{record.Process, record.Message}); !record.Message.IsZero() {
		if _, again := t.messages[key]; !again {
			t.messages[key] = record.Step.Number
		}
	}
	if key := (contentKey{record.Process, record.Content}); key.content != (Content{}) {
		if _, again := t.contents[key]; !again {
			t.contents[key] = record.Step.Nonce
		}
	}
	t.added = append(t.added, record)
}

// summary gives what an index is told of an entry.
func summary(entry *Entry, at Place) Added {
	r := entry.Receipt
	added := Added{Process: r.Process, Step: Step{Place: at, Nonce: r.Nonce, Cron: r.Cron, Duplicate: r.Duplicate}}
	// Inputs that are not JSON are nothing for the log to judge: whoever evaluates them does.
	message, _ := parseMessage(entry.Message)
	added.Step.Timestamp, added.Step.BlockHeight = message.Timestamp, message.BlockHeight
	result, err := ao.ParseResult(entry.Result)
	added.Step.Failed = err == nil && result.Error != nil
	if r.Nonce != BootNonce && r.Cron == "" {
		added.Message = r.Message
		if !r.Duplicate {
			added.Content = message.content()
		}
	}
	return added
}

// message is what is read of a message's JSON.
type message struct {
	ID          string `json:"Id"`
	Target      string
	Anchor      *string
	Data        *string
	ForwardedBy *string `json:"Forwarded-By"`
	Tags        ao.Tags
	Timestamp   int64
	BlockHeight int64 `json:"Block-Height"`
}

func parseMessage(text []byte) (m message, err error) {
	err = json.Unmarshal(text, &m)
	return m, err
}

func (m message) content() Content {
	if m.ForwardedBy == nil {
		if m.ID == "" {
			return Content{}
		}
		return sha256.Sum256([]byte("id " + m.ID))
	}
	draft := dataitem.Draft{Tags: m.Tags}
	if m.Data != nil {
		draft.Data = []byte(*m.Data)
	}
	if m.Anchor != nil {
		draft.Anchor = []byte(*m.Anchor)
	}
	target, err := ao.ParseID(m.Target)
	if err != nil {
		return Content{}
	}
	draft.Target = target
	hash, err := draft.ContentHash()
	if err != nil {
		return Content{} // no item can say this, so none can say it twice
	}
	return sha256.Sum256(append([]byte("content "), hash[:]...))
}

// ContentOf gives the content of a message as a process receives it, in JSON; zero if there is nothing to know it by.
// Forwarded says that a messenger signed it for a process.
func ContentOf(text []byte) (content Content, forwarded bool, err error) {
	m, err := parseMessage(text)
	return m.content(), m.ForwardedBy != nil, err
}

// Steps tells what the log holds of a process.
func (l *Log) Steps(process ao.ID) (History, error) {
	l.mu.RLock()
	past := l.tail.histories[process]
	var known History
	if past != nil {
		known = past.History
	}
	l.mu.RUnlock()
	if past != nil || l.index == nil {
		return known, nil
	}
	return l.index.History(process)
}

// Step gives a step of a process by number; ErrAbsent if there is none.
func (l *Log) Step(process ao.ID, number int64) (Step, error) {
	l.mu.RLock()
	past := l.tail.histories[process]
	if past != nil && number >= past.base && number < past.Steps {
		step := past.steps[number-past.base]
		l.mu.RUnlock()
		return step, nil
	}
	l.mu.RUnlock()
	if l.index == nil {
		return Step{}, fmt.Errorf("step %d of process %s: %w", number, process, ErrAbsent)
	}
	return l.index.Step(process, number)
}

// StepOf gives the step in which the assignment with a nonce was done.
func (l *Log) StepOf(process ao.ID, nonce int64) (Step, error) {
	absent := fmt.Errorf("nonce %d of process %s: %w", nonce, process, ErrAbsent)
	past, err := l.Steps(process)
	if err != nil {
		return Step{}, err
	}
	if past.Steps == 0 || nonce < past.First || nonce > past.Last {
		return Step{}, absent
	}
	// Without cron messages the place is known; with them it is later. Steps of a nonce begin with its assignment.
	low := min(nonce-past.First, past.Steps-1)
	step, err := l.Step(process, low)
	if err == nil && step.Nonce != nonce {
		high := past.Steps - low
		found := sort.Search(int(high), func(i int) bool {
			at, readErr := l.Step(process, low+int64(i))
			if readErr != nil {
				err = readErr
				return true
			}
			return at.Nonce >= nonce
		})
		if err != nil {
			return Step{}, err
		}
		step, err = l.Step(process, low+int64(found))
	}
	if err == nil && (step.Nonce != nonce || step.Cron != "") {
		err = absent
	}
	return step, err
}

// Seek gives the number of the first step for which later is true, and the number of steps if there is none. Later must
// be false for the steps before one for which it is true.
func (l *Log) Seek(process ao.ID, later func(Step) bool) (int64, error) {
	past, err := l.Steps(process)
	if err != nil {
		return 0, err
	}
	found := sort.Search(int(past.Steps), func(i int) bool {
		step, readErr := l.Step(process, int64(i))
		if readErr != nil {
			err = readErr
			return true
		}
		return later(step)
	})
	return int64(found), err
}

// Original gives the nonce with which content came first to a process. Not ok: never.
func (l *Log) Original(process ao.ID, content Content) (nonce int64, ok bool, err error) {
	l.mu.RLock()
	nonce, ok = l.tail.contents[contentKey{process, content}]
	l.mu.RUnlock()
	if l.index == nil {
		return nonce, ok, nil
	}
	// What the index has came earlier than what it lacks.
	if older, found, err := l.index.Content(process, content); err != nil || found {
		return older, found, err
	}
	return nonce, ok, nil
}

// findStep gives the number of the step in which a message came first.
func (l *Log) findStep(process, message ao.ID) (number int64, err error) {
	l.mu.RLock()
	number, ok := l.tail.messages[messageKey{process, message}]
	l.mu.RUnlock()
	if l.index != nil {
		older, found, err := l.index.Message(process, message)
		if err != nil || found {
			return older, err
		}
	}
	if !ok {
		return 0, fmt.Errorf("message %s of process %s: %w", message, process, ErrAbsent)
	}
	return number, nil
}
