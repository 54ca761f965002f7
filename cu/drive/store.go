package drive

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"verbatim/cu/ao"
	"verbatim/cu/arweave"
	"verbatim/cu/eval"
)

// store keeps the data of items in a folder, each in a file that its id and the SHA-256 of its content name. What was used
// longest ago goes first when there is too much. A file that goes away while somebody reads it can be read to the end.
type store struct {
	client   *arweave.Client
	folder   string
	bytesMax int64

	mu      sync.Mutex // never held during I/O, but for what makes and removes names
	held    map[ao.ID]*held
	loading map[ao.ID]chan struct{} // closed when somebody is done fetching or checking it
	bytes   int64
	clock   int64 // counts uses
}

// held is an item that lies in the folder.
type held struct {
	path    string
	digest  [sha256.Size]byte
	bytes   int64
	used    int64
	checked bool // by this daemon
}

// fetching begins the suffix of files on their way: nothing reads them. Other programs may have theirs in the same folder.
const (
	fetching    = ".fetching-"
	fetchingMax = 24 * time.Hour // then whoever fetched it died
)

func openStore(client *arweave.Client, folder string, bytesMax int64) (*store, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder of the drive: %w", err)
	}
	s := &store{client: client, folder: folder, bytesMax: bytesMax, held: map[ao.ID]*held{}, loading: map[ao.ID]chan struct{}{}}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("read the folder of the drive: %w", err)
	}
	type aged struct {
		id ao.ID
		*held
	}
	var found []aged
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		idText, digest, _ := strings.Cut(entry.Name(), ".")
		id, errID := ao.ParseID(idText)
		raw, errDigest := hex.DecodeString(digest)
		info, errInfo := entry.Info()
		if errID != nil || errDigest != nil || errInfo != nil || len(raw) != sha256.Size {
			if errInfo == nil && strings.Contains(entry.Name(), fetching) && time.Since(info.ModTime()) > fetchingMax {
				_ = os.Remove(path)
			}
			continue
		}
		found = append(found, aged{id, &held{path: path, digest: [sha256.Size]byte(raw), bytes: info.Size(), used: info.ModTime().UnixNano()}})
	}
	slices.SortFunc(found, func(a, b aged) int { return cmp.Compare(a.used, b.used) })
	for _, one := range found {
		s.add(one.id, one.held)
	}
	return s, nil
}

// open gives the data of an item, verified.
func (s *store) open(ctx context.Context, id ao.ID) (*eval.Content, error) {
	for {
		s.mu.Lock()
		wait := s.loading[id]
		if h := s.held[id]; wait == nil && h != nil && h.checked {
			s.clock++
			h.used = s.clock
			s.mu.Unlock()
			content, err := h.open()
			if !errors.Is(err, os.ErrNotExist) {
				return content, err
			}
			s.drop(id, h) // somebody removed it
			continue
		}
		if wait == nil {
			done := make(chan struct{})
			s.loading[id] = done
			s.mu.Unlock()
			err := s.load(ctx, id)
			s.mu.Lock()
			delete(s.loading, id)
			s.mu.Unlock()
			close(done)
			if err != nil {
				return nil, err
			}
			continue
		}
		s.mu.Unlock()
		select {
		case <-wait: // if that one failed, this one tries
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// load checks what the folder has of an item, or fetches it.
func (s *store) load(ctx context.Context, id ao.ID) error {
	s.mu.Lock()
	h := s.held[id]
	s.mu.Unlock()
	if h != nil {
		if digest, err := digestOf(h.path); err == nil && digest == h.digest {
			s.mu.Lock()
			h.checked = true
			s.mu.Unlock()
			return nil
		}
		s.drop(id, h)
	}
	path := filepath.Join(s.folder, id.String()+fetching+strconv.Itoa(os.Getpid()))
	file, err := s.client.FetchFile(ctx, id, path, s.bytesMax)
	if err != nil {
		return err
	}
	if !file.Verified {
		return errors.Join(fmt.Errorf("fetch %s: %w", id, arweave.ErrUnverified), os.Remove(path))
	}
	named := filepath.Join(s.folder, id.String()+"."+hex.EncodeToString(file.SHA256[:]))
	if err := os.Rename(path, named); err != nil {
		return err
	}
	s.add(id, &held{path: named, digest: file.SHA256, bytes: file.DataBytes, checked: true})
	return nil
}

// add takes an item in, and removes others until all fit again.
func (s *store) add(id ao.ID, added *held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock++
	added.used = s.clock
	s.held[id] = added
	s.bytes += added.bytes
	for s.bytes > s.bytesMax && len(s.held) > 1 {
		var oldest ao.ID
		for id, h := range s.held {
			if old := s.held[oldest]; old == nil || h.used < old.used {
				oldest = id
			}
		}
		s.remove(oldest)
	}
}

// drop forgets an item, if it is still this one.
func (s *store) drop(id ao.ID, h *held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[id] == h {
		s.remove(id)
	}
}

// remove forgets an item and its file. One that stays is found again at the next start.
func (s *store) remove(id ao.ID) {
	h := s.held[id]
	delete(s.held, id)
	s.bytes -= h.bytes
	_ = os.Remove(h.path)
}

func (h *held) open() (*eval.Content, error) {
	file, err := os.Open(h.path)
	if err != nil {
		return nil, err
	}
	return &eval.Content{SectionReader: io.NewSectionReader(file, 0, h.bytes), SHA256: h.digest, Close: file.Close}, nil
}

func digestOf(path string) (digest [sha256.Size]byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return digest, err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, bufio.NewReaderSize(file, 1<<16)); err != nil {
		return digest, err
	}
	return [sha256.Size]byte(hash.Sum(nil)), nil
}
