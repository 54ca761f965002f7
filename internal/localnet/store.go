package localnet

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
	"verbatim/internal/durable"
)

// itemBytesMax is the most that an upload may weigh.
const itemBytesMax = 64 << 30

var (
	errNotStored = errors.New("not found")
	errTooLarge  = errors.New("too large")
)

// store keeps verified data items and transactions: each whole in the file items/{id}, what it says first and its data after
// that, and in index.log a line for each, in order of arrival. An item is on disk before its line is; an item without a line
// is not there.
type store struct {
	folder string

	writing sync.Mutex // of the log; taken before mu
	log     *lineLog

	mu      sync.RWMutex
	entries map[ao.ID]*entry
	order   []*entry
	weave   int64    // bytes of data of all transactions
	inWeave []*entry // those with data, in order
}

// entry is what the gateway's index knows of an item.
type entry struct {
	item        *dataitem.Item // without its data; of a transaction, what items have too
	id          ao.ID
	headerBytes int64
	dataBytes   int64
	indexLine
	transaction *dataitem.Transaction // nil: it is an item
	place       int                   // in order of arrival
	offset      int64                 // of a transaction: where in the weave its data ends
}

// indexLine is what is known of an item besides itself.
type indexLine struct {
	ID        ao.ID `json:"id"`
	Height    int64 `json:"height"`      // of the block that it pretends to be in
	Timestamp int64 `json:"timestamp"`   // milliseconds since 1970
	In        ao.ID `json:"in,omitzero"` // the bundle that it came in
	// HeaderBytes says that this is a transaction, and how much JSON comes before its data.
	HeaderBytes int64 `json:"transaction,omitempty"`
}

func openStore(folder string) (*store, error) {
	s := &store{folder: folder, entries: map[ao.ID]*entry{}}
	if err := os.MkdirAll(filepath.Join(folder, "items"), 0o755); err != nil {
		return nil, err
	}
	parts, _ := filepath.Glob(filepath.Join(folder, "items", "*part-*"))
	for _, part := range parts {
		os.Remove(part) // uploads that a crash cut short
	}
	var err error
	s.log, err = openLog(filepath.Join(folder, "index.log"), func(line []byte) error {
		var read indexLine
		if err := json.Unmarshal(line, &read); err != nil {
			return err
		}
		return s.replay(read)
	})
	return s, err
}

func (s *store) replay(line indexLine) error {
	file, err := os.Open(s.path(line.ID))
	if err != nil {
		return err
	}
	defer file.Close()
	e := &entry{indexLine: line, headerBytes: line.HeaderBytes}
	if line.HeaderBytes > 0 {
		err = e.readTransaction(file)
	} else {
		err = e.readItem(file)
	}
	if err != nil {
		return fmt.Errorf("item %s: %w", line.ID, err)
	}
	if e.id != line.ID {
		return fmt.Errorf("file of item %s holds %s", line.ID, e.id)
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	e.dataBytes = info.Size() - e.headerBytes
	s.add(e)
	return nil
}

func (e *entry) readItem(file io.Reader) error {
	prefix, err := io.ReadAll(io.LimitReader(file, dataitem.HeaderBytesMax))
	if err != nil {
		return err
	}
	item, headerBytes, err := dataitem.ParseHeader(bytes.Clone(prefix))
	if err != nil {
		return err
	}
	e.item, e.id, e.headerBytes = item, item.ID(), int64(headerBytes)
	return nil
}

func (e *entry) readTransaction(file io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(file, e.headerBytes))
	if err != nil {
		return err
	}
	e.transaction, err = dataitem.ParseTransaction(text)
	if err != nil {
		return err
	}
	e.item, e.id = itemOf(e.transaction), e.transaction.ID()
	return nil
}

// itemOf gives what items and transactions have in common.
func itemOf(t *dataitem.Transaction) *dataitem.Item {
	return &dataitem.Item{Type: dataitem.Arweave, Signature: t.Signature, Owner: t.Owner, Target: t.Target, Anchor: t.Anchor, Tags: t.Tags}
}

func (s *store) add(e *entry) {
	e.place = len(s.order)
	if e.transaction != nil {
		s.weave += e.dataBytes
		e.offset = s.weave
		if e.dataBytes > 0 {
			s.inWeave = append(s.inWeave, e)
		}
	}
	s.entries[e.id] = e
	s.order = append(s.order, e)
}

func (s *store) path(id ao.ID) string { return filepath.Join(s.folder, "items", id.String()) }

// put verifies an item while it arrives and keeps it. An item that does not verify leaves nothing behind; one that is there
// already is not kept twice.
func (s *store) put(from io.Reader, bytesMax int64, about indexLine) (*entry, error) {
	limited := &io.LimitedReader{R: from, N: bytesMax + 1}
	body := bufio.NewReaderSize(limited, 1<<16)
	prefix, err := body.Peek(dataitem.HeaderBytesMax)
	if err != nil && err != io.EOF {
		return nil, err
	}
	item, headerBytes, err := dataitem.ParseHeader(bytes.Clone(prefix))
	if err != nil {
		return nil, err
	}
	about.ID = item.ID()
	e := &entry{item: item, id: about.ID, headerBytes: int64(headerBytes), indexLine: about}
	file, err := durable.Create(s.path(e.id), 0o644)
	if err != nil {
		return nil, err
	}
	defer file.Discard()
	if _, err := io.CopyN(file, body, int64(headerBytes)); err != nil {
		return nil, err
	}
	e.dataBytes, err = item.VerifyStream(io.TeeReader(body, file))
	if limited.N <= 0 {
		return nil, fmt.Errorf("item of more than %d bytes is %w", bytesMax, errTooLarge)
	}
	if err != nil {
		return nil, err
	}
	return s.keep(file, e)
}

// keep gives the file of an entry its name and notes the entry. Nobody who reads waits for the disk.
func (s *store) keep(file *durable.File, e *entry) (*entry, error) {
	if there := s.get(e.id); there != nil {
		return there, nil
	}
	if err := file.Commit(); err != nil { // over the same, if it comes twice at once
		return nil, err
	}
	line, err := json.Marshal(e.indexLine)
	if err != nil {
		return nil, err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	if there := s.get(e.id); there != nil {
		return there, nil
	}
	if err := s.log.append(line); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(e)
	return e, nil
}

// get gives the entry of an item, or nil.
func (s *store) get(id ao.ID) *entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.entries[id]
}

// all gives every entry in order of arrival. The slice must not be changed.
func (s *store) all() []*entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.order[:len(s.order):len(s.order)]
}

// open gives the file of a stored item.
func (s *store) open(e *entry) (*os.File, error) { return os.Open(s.path(e.id)) }

// load gives a stored item, or what a transaction has in common with items, with its data.
func (s *store) load(id ao.ID) (*dataitem.Item, error) {
	e := s.get(id)
	if e == nil {
		return nil, fmt.Errorf("item %s: %w", id, errNotStored)
	}
	raw, err := os.ReadFile(s.path(id))
	if err != nil {
		return nil, err
	}
	if e.transaction != nil {
		item := itemOf(e.transaction)
		item.Data = raw[e.headerBytes:]
		return item, nil
	}
	return dataitem.Parse(raw)
}

func (s *store) close() error { return s.log.close() }
