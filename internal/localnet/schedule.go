package localnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
)

var errDuplicate = errors.New("already scheduled on this process")

// schedule is the memory of the scheduler unit: for each process its assignments in order. Each assignment is a signed item
// without data; schedule.log holds them, one a line, and is on disk before anyone hears of it.
type schedule struct {
	signer dataitem.Signer
	copies atomic.Bool // what was scheduled is scheduled again if it is assigned again, or signed anew

	assigning sync.Mutex // one after the other; taken before mu
	log       *lineLog

	mu        sync.RWMutex // of what add changes, which is called while assigning
	processes map[ao.ID]*plan
}

// plan is the schedule of one process.
type plan struct {
	slots    []slot
	messages map[ao.ID]int // message id to the nonce of its first assignment
	contents map[[48]byte]bool
}

// slot is one assignment.
type slot struct {
	assignment *dataitem.Item
	message    ao.ID
	assigned   bool // the message was on the network before: the assignment comes without it
	timestamp  int64
	height     int64
}

type scheduleLine struct {
	Assignment []byte `json:"assignment"` // the signed item
	Message    ao.ID  `json:"message"`
	Assigned   bool   `json:"assigned,omitempty"`
	Content    []byte `json:"content,omitempty"` // what a second push of the same message is known by
}

func openSchedule(folder string, signer dataitem.Signer) (*schedule, error) {
	s := &schedule{signer: signer, processes: map[ao.ID]*plan{}}
	var err error
	s.log, err = openLog(filepath.Join(folder, "schedule.log"), func(line []byte) error {
		var read scheduleLine
		if err := json.Unmarshal(line, &read); err != nil {
			return err
		}
		item, err := dataitem.Parse(read.Assignment)
		if err != nil {
			return err
		}
		return s.add(item, read)
	})
	return s, err
}

// add files an assignment under its process.
func (s *schedule) add(item *dataitem.Item, line scheduleLine) error {
	process, err := ao.ParseID(item.Tags.Get("Process"))
	if err != nil {
		return err
	}
	timestamp, err := ao.ParseInt("tag Timestamp", item.Tags.Get("Timestamp"))
	if err != nil {
		return err
	}
	height, err := ao.ParseInt("tag Block-Height", item.Tags.Get("Block-Height"))
	if err != nil {
		return err
	}
	p := s.processes[process]
	if p == nil {
		p = &plan{messages: map[ao.ID]int{}, contents: map[[48]byte]bool{}}
		s.processes[process] = p
	}
	if _, there := p.messages[line.Message]; !there {
		p.messages[line.Message] = len(p.slots)
	}
	if len(line.Content) == 48 {
		p.contents[[48]byte(line.Content)] = true
	}
	p.slots = append(p.slots, slot{item, line.Message, line.Assigned, timestamp, height})
	return nil
}

// assignment asks for a place in the schedule of a process.
type assignment struct {
	process  ao.ID
	message  ao.ID
	item     *dataitem.Item // the message itself, nil if the assignment comes without it
	exclude  []string
	starts   bool // the message is the process: it must be the first
	now      int64
	height   int64
	assigned bool
}

// assign gives a message the next nonce of a process. Nobody who reads waits for the disk.
func (s *schedule) assign(a assignment) (slot, error) {
	s.assigning.Lock()
	defer s.assigning.Unlock()
	p := s.processes[a.process]
	line := scheduleLine{Message: a.message, Assigned: a.assigned}
	switch {
	case p == nil && !a.starts:
		return slot{}, fmt.Errorf("process %s is %w", a.process, errNotStored)
	case p != nil:
		if _, there := p.messages[a.message]; there && !(a.assigned && s.copies.Load()) {
			return slot{}, fmt.Errorf("message %s is %w", a.message, errDuplicate)
		}
	}
	if a.item != nil && a.item.Tags.Get("From-Process") != "" {
		content, err := contentHash(a.item)
		if err != nil {
			return slot{}, err
		}
		if p != nil && p.contents[content] && !s.copies.Load() {
			return slot{}, fmt.Errorf("a message with the content of %s is %w", a.message, errDuplicate)
		}
		line.Content = content[:]
	}
	item, err := dataitem.Sign(s.signer, dataitem.Draft{Tags: a.tags(p)})
	if err != nil {
		return slot{}, err
	}
	line.Assignment = item.Bytes()
	text, err := json.Marshal(line)
	if err != nil {
		return slot{}, err
	}
	if err := s.log.append(text); err != nil {
		return slot{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.add(item, line); err != nil {
		return slot{}, err
	}
	p = s.processes[a.process]
	return p.slots[len(p.slots)-1], nil
}

// tags are the tags of the assignment that follows the last of p, in the order that schedulers write them.
func (a assignment) tags(p *plan) ao.Tags {
	nonce, timestamp, chain := 0, a.now, ao.FirstHashChain(a.process)
	if p != nil {
		last := p.slots[len(p.slots)-1]
		previous, err := ao.ParseHashChain(last.assignment.Tags.Get("Hash-Chain"))
		if err != nil {
			panic("localnet: internal error: " + err.Error())
		}
		nonce, chain = len(p.slots), previous.Next(last.assignment.ID())
		timestamp = max(timestamp, last.timestamp+1) // clients page by time: no two alike
	}
	tags := ao.Tags{
		{Name: "Process", Value: a.process.String()}, {Name: "Epoch", Value: "0"}, {Name: "Nonce", Value: strconv.Itoa(nonce)},
		{Name: "Hash-Chain", Value: chain.String()}, {Name: "Block-Height", Value: fmt.Sprintf("%012d", a.height)},
		{Name: "Timestamp", Value: strconv.FormatInt(timestamp, 10)}, {Name: "Data-Protocol", Value: "ao"},
		{Name: "Type", Value: "Assignment"}, {Name: "Variant", Value: "ao.TN.1"}, {Name: "Message", Value: a.message.String()},
	}
	for _, part := range a.exclude {
		tags = tags.Append("Exclude", part)
	}
	return tags
}

// contentHash is the same for two pushes of one message by two messengers.
func contentHash(item *dataitem.Item) ([48]byte, error) {
	tags := item.Tags.Without("Pushed-For")
	sort.SliceStable(tags, func(i, j int) bool { return tags[i].Name < tags[j].Name })
	draft := dataitem.Draft{Anchor: item.Anchor, Tags: tags, Data: item.Data}
	if len(item.Target) > 0 {
		draft.Target = ao.ID(item.Target)
	}
	return draft.ContentHash()
}

// has reports whether a process is scheduled here.
func (s *schedule) has(process ao.ID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.processes[process] != nil
}

// slots gives the assignments of a process in order, none if it is not scheduled here. The slice must not be changed.
func (s *schedule) slots(process ao.ID) []slot {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.processes[process]
	if p == nil {
		return nil
	}
	return p.slots[:len(p.slots):len(p.slots)]
}

// find gives the assignment of a message to a process.
func (s *schedule) find(process, message ao.ID) (slot, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p := s.processes[process]
	if p == nil {
		return slot{}, false
	}
	nonce, there := p.messages[message]
	if !there {
		return slot{}, false
	}
	return p.slots[nonce], true
}

func (s *schedule) close() error { return s.log.close() }
