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
)

// itemBytesMax is the most that an upload may weigh.
const itemBytesMax = 64 << 30

var (
	errNotStored = errors.New("not found")
	errTooLarge  = errors.New("too large")
)

// store keeps verified data items: each whole in the file items/{id}, and in index.log a line for each, in order of arrival.
// An item is on disk before its line is; an item without a line is not there.
type store struct {
	folder string

	mu      sync.RWMutex
	log     *lineLog
	entries map[ao.ID]*entry
	order   []*entry
}

// entry is what the gateway's index knows of an item.
type entry struct {
	item        *dataitem.Item // without its data
	id          ao.ID
	headerBytes int64
	dataBytes   int64
	height      int64 // of the block that it pretends to be in
	timestamp   int64 // milliseconds since 1970
}

type indexLine struct {
	ID        ao.ID `json:"id"`
	Height    int64 `json:"height"`
	Timestamp int64 `json:"timestamp"`
}

func openStore(folder string) (*store, error) {
	s := &store{folder: folder, entries: map[ao.ID]*entry{}}
	if err := os.MkdirAll(filepath.Join(folder, "items"), 0o755); err != nil {
		return nil, err
	}
	parts, _ := filepath.Glob(filepath.Join(folder, "items", "part-*"))
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
	prefix, err := io.ReadAll(io.LimitReader(file, dataitem.HeaderBytesMax))
	if err != nil {
		return err
	}
	item, headerBytes, err := dataitem.ParseHeader(bytes.Clone(prefix))
	if err != nil {
		return fmt.Errorf("item %s: %w", line.ID, err)
	}
	if item.ID() != line.ID {
		return fmt.Errorf("file of item %s holds %s", line.ID, item.ID())
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	s.add(&entry{item, line.ID, int64(headerBytes), info.Size() - int64(headerBytes), line.Height, line.Timestamp})
	return nil
}

func (s *store) add(e *entry) {
	s.entries[e.id] = e
	s.order = append(s.order, e)
}

func (s *store) path(id ao.ID) string { return filepath.Join(s.folder, "items", id.String()) }

// put verifies an item while it arrives and keeps it. An item that does not verify leaves nothing behind; one that is there
// already is not kept twice.
func (s *store) put(from io.Reader, bytesMax int64, height, timestamp int64) (*entry, error) {
	part, err := os.CreateTemp(filepath.Join(s.folder, "items"), "part-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(part.Name())
	defer part.Close()
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
	if _, err := io.CopyN(part, body, int64(headerBytes)); err != nil {
		return nil, err
	}
	dataBytes, err := item.VerifyStream(io.TeeReader(body, part))
	if limited.N <= 0 {
		return nil, fmt.Errorf("item of more than %d bytes is %w", bytesMax, errTooLarge)
	}
	if err != nil {
		return nil, err
	}
	if err := part.Sync(); err != nil {
		return nil, err
	}
	return s.keep(part.Name(), &entry{item, item.ID(), int64(headerBytes), dataBytes, height, timestamp})
}

func (s *store) keep(part string, e *entry) (*entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if there := s.entries[e.id]; there != nil {
		return there, nil
	}
	if err := os.Rename(part, s.path(e.id)); err != nil {
		return nil, err
	}
	if err := syncFolder(filepath.Join(s.folder, "items")); err != nil {
		return nil, err
	}
	line, err := json.Marshal(indexLine{e.id, e.height, e.timestamp})
	if err != nil {
		return nil, err
	}
	if err := s.log.append(line); err != nil {
		return nil, err
	}
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

// load gives a stored item with its data.
func (s *store) load(id ao.ID) (*dataitem.Item, error) {
	if s.get(id) == nil {
		return nil, fmt.Errorf("item %s: %w", id, errNotStored)
	}
	raw, err := os.ReadFile(s.path(id))
	if err != nil {
		return nil, err
	}
	return dataitem.Parse(raw)
}

func (s *store) close() error { return s.log.close() }

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
