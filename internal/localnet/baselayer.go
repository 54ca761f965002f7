package localnet

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
	"verbatim/internal/durable"
)

// This file is about transactions of the base layer: signed JSON, with the data in it or after it in chunks. A transaction
// whose data is there is an entry of the store like any other.

const chunkRequestBytesMax = 4 * (chunkBytesMax + pathBytesMax) / 3

var (
	errNoRoot   = errors.New("data_root_not_found") // the word that clients know
	errDataRoot = errors.New("the data is not what the transaction's data_root says")
)

// arrivals are the transactions whose data is not all there: pending/{id}.json is what was posted, pending/{id}/{start} are the
// chunks that came. A chunk is on disk before it is acknowledged.
type arrivals struct {
	folder string
	mu     sync.Mutex
	open   map[ao.ID]*arrival
}

type arrival struct {
	transaction *dataitem.Transaction
	chunks      map[int64]int64 // size by start
	got         int64
}

func openArrivals(folder string) (*arrivals, error) {
	a := &arrivals{folder: filepath.Join(folder, "pending"), open: map[ao.ID]*arrival{}}
	if err := os.MkdirAll(a.folder, 0o755); err != nil {
		return nil, err
	}
	posted, err := filepath.Glob(filepath.Join(a.folder, "*.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range posted {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		t, err := dataitem.ParseTransaction(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		waiting := &arrival{transaction: t, chunks: map[int64]int64{}}
		files, err := os.ReadDir(a.chunks(t.ID()))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		for _, file := range files {
			start, err := strconv.ParseInt(file.Name(), 10, 64)
			info, errInfo := file.Info()
			if err != nil || errInfo != nil {
				continue // what a crash left of a chunk
			}
			waiting.chunks[start] = info.Size()
			waiting.got += info.Size()
		}
		a.open[t.ID()] = waiting
	}
	return a, nil
}

func (a *arrivals) posted(id ao.ID) string { return filepath.Join(a.folder, id.String()+".json") }

func (a *arrivals) chunks(id ao.ID) string { return filepath.Join(a.folder, id.String()) }

// finish stores the transactions whose last chunk came right before a crash.
func (n *Network) finish() error {
	n.arrivals.mu.Lock()
	defer n.arrivals.mu.Unlock()
	for id, waiting := range n.arrivals.open {
		if waiting.got == waiting.transaction.DataSize {
			if err := n.complete(id, waiting); errors.Is(err, errDataRoot) {
				n.log("%v", err)
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// has reports whether a transaction waits for its data.
func (a *arrivals) has(id ao.ID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open[id] != nil
}

// postTransaction takes a transaction, with its data or to be followed by it.
func (n *Network) postTransaction(body io.Reader) (t *dataitem.Transaction, err error) {
	text, err := io.ReadAll(io.LimitReader(body, dataitem.TransactionBytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(text) > dataitem.TransactionBytesMax {
		return nil, fmt.Errorf("transaction of more than %d bytes is %w", dataitem.TransactionBytesMax, errTooLarge)
	}
	if t, err = dataitem.ParseTransaction(text); err != nil {
		return nil, err
	}
	if err := t.Verify(); err != nil {
		return nil, err
	}
	if n.store.get(t.ID()) != nil {
		return t, nil
	}
	if t.Format == 1 {
		t.DataSize = int64(len(t.Data))
	}
	if len(t.Data) == 0 && t.DataSize > 0 {
		return t, n.arrivals.begin(t, text)
	}
	if int64(len(t.Data)) != t.DataSize {
		return nil, fmt.Errorf("%w: transaction %s has data_size %d and %d bytes of data", dataitem.ErrFormat, t.ID(), t.DataSize, len(t.Data))
	}
	_, err = n.keepTransaction(t, bytes.NewReader(t.Data))
	return t, err
}

// begin keeps a transaction until its data is there.
func (a *arrivals) begin(t *dataitem.Transaction, text []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open[t.ID()] != nil {
		return nil
	}
	if err := os.MkdirAll(a.chunks(t.ID()), 0o755); err != nil {
		return err
	}
	err := durable.Write(a.posted(t.ID()), 0o644, func(to io.Writer) error {
		_, err := to.Write(text)
		return err
	})
	if err == nil {
		a.open[t.ID()] = &arrival{transaction: t, chunks: map[int64]int64{}}
	}
	return err
}

// keepTransaction stores a transaction with its data, which must be what it says.
func (n *Network) keepTransaction(t *dataitem.Transaction, data io.Reader) (*entry, error) {
	header, err := json.Marshal(transactionJSON(t, t.DataSize))
	if err != nil {
		return nil, err
	}
	e := &entry{transaction: t, item: itemOf(t), id: t.ID(), headerBytes: int64(len(header)), dataBytes: t.DataSize, indexLine: indexLine{
		ID: t.ID(), Height: n.height(), Timestamp: n.now().UnixMilli(), HeaderBytes: int64(len(header)),
	}}
	file, err := durable.Create(n.store.path(e.id), 0o644)
	if err != nil {
		return nil, err
	}
	defer file.Discard()
	if _, err := file.Write(header); err != nil {
		return nil, err
	}
	copying := bufio.NewReader(io.TeeReader(data, file))
	if t.Format == 2 && t.DataSize > 0 {
		root, err := dataitem.DataRoot(copying, t.DataSize)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(root[:], t.DataRoot) {
			return nil, fmt.Errorf("transaction %s: %w", e.id, errDataRoot)
		}
	} else if _, err := io.Copy(io.Discard, copying); err != nil {
		return nil, err
	}
	withoutData := *t
	withoutData.Data = nil
	e.transaction = &withoutData
	stored, err := n.store.keep(file, e)
	if err != nil {
		return nil, err
	}
	return stored, n.unbundle(stored)
}

// transactionJSON shows a transaction as nodes do, without its data.
func transactionJSON(t *dataitem.Transaction, dataBytes int64) map[string]any {
	tags := make([]map[string]string, len(t.Tags))
	for i, tag := range t.Tags {
		tags[i] = map[string]string{"name": encode([]byte(tag.Name)), "value": encode([]byte(tag.Value))}
	}
	return map[string]any{
		"format": t.Format, "id": t.ID(), "last_tx": encode(t.Anchor), "owner": encode(t.Owner), "tags": tags, "target": encode(t.Target),
		"quantity": t.Quantity, "data": "", "data_size": strconv.FormatInt(dataBytes, 10), "data_tree": []string{},
		"data_root": encode(t.DataRoot), "reward": t.Reward, "signature": encode(t.Signature),
	}
}

// postChunk takes a part of a transaction's data.
func (n *Network) postChunk(w http.ResponseWriter, r *http.Request) {
	var sent struct {
		Root   string      `json:"data_root"`
		Size   json.Number `json:"data_size"`
		Path   string      `json:"data_path"`
		Offset json.Number `json:"offset"`
		Chunk  string      `json:"chunk"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, chunkRequestBytesMax)).Decode(&sent); err != nil {
		fail(w, http.StatusBadRequest, errors.New("invalid_json"))
		return
	}
	root, err := base64.RawURLEncoding.DecodeString(sent.Root)
	path, errPath := base64.RawURLEncoding.DecodeString(sent.Path)
	chunk, errChunk := base64.RawURLEncoding.DecodeString(sent.Chunk)
	size, errSize := sent.Size.Int64()
	at, errAt := sent.Offset.Int64()
	switch err := errors.Join(err, errPath, errChunk, errSize, errAt); {
	case err != nil || len(root) != len(hash{}):
		fail(w, http.StatusBadRequest, errors.New("invalid_json"))
		return
	case len(chunk) > chunkBytesMax:
		fail(w, http.StatusBadRequest, errors.New("chunk_too_big"))
		return
	case len(path) > pathBytesMax:
		fail(w, http.StatusBadRequest, errors.New("data_path_too_big"))
		return
	}
	place, err := checkPath(hash(root), size, at, path, chunk)
	if err == nil {
		err = n.takeChunk(root, size, place, chunk)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]any{})
}

// takeChunk keeps a chunk for every transaction that waits for it, and those that it completes.
func (n *Network) takeChunk(root []byte, size int64, place span, chunk []byte) error {
	n.arrivals.mu.Lock()
	defer n.arrivals.mu.Unlock()
	found := false
	for id, waiting := range n.arrivals.open {
		t := waiting.transaction
		if !bytes.Equal(t.DataRoot, root) || t.DataSize != size {
			continue
		}
		found = true
		if _, there := waiting.chunks[place.start]; !there {
			path := filepath.Join(n.arrivals.chunks(id), strconv.FormatInt(place.start, 10))
			err := durable.Write(path, 0o644, func(to io.Writer) error { _, err := to.Write(chunk); return err })
			if err != nil {
				return err
			}
			waiting.chunks[place.start] = int64(len(chunk))
			waiting.got += int64(len(chunk))
		}
		if waiting.got == t.DataSize {
			if err := n.complete(id, waiting); err != nil {
				return err
			}
		}
	}
	if !found && !n.store.hasRoot(root) {
		return errNoRoot
	}
	return nil
}

// complete stores a transaction all of whose chunks are there. One over whose data somebody has made another tree than we do
// is forgotten. A crash before its folder is gone has it completed again.
func (n *Network) complete(id ao.ID, waiting *arrival) error {
	starts := make([]int64, 0, len(waiting.chunks))
	for start := range waiting.chunks {
		starts = append(starts, start)
	}
	slices.Sort(starts)
	data, w := io.Pipe()
	go func() {
		for _, start := range starts {
			chunk, err := os.ReadFile(filepath.Join(n.arrivals.chunks(id), strconv.FormatInt(start, 10)))
			if err == nil {
				_, err = w.Write(chunk)
			}
			if err != nil {
				w.CloseWithError(err)
				return
			}
		}
		w.Close()
	}()
	_, err := n.keepTransaction(waiting.transaction, data)
	data.Close() // whoever still writes gives up
	if err != nil && !errors.Is(err, errDataRoot) {
		return err
	}
	delete(n.arrivals.open, id)
	if errRemove := os.Remove(n.arrivals.posted(id)); errRemove != nil {
		return errors.Join(err, errRemove)
	}
	return errors.Join(err, os.RemoveAll(n.arrivals.chunks(id)))
}

// hasRoot reports whether a stored transaction has this data.
func (s *store) hasRoot(root []byte) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.ContainsFunc(s.inWeave, func(e *entry) bool { return bytes.Equal(e.transaction.DataRoot, root) })
}

// at gives the transaction that has a byte of the weave, which are counted from 1, and the place of the byte in its data.
func (s *store) at(offset int64) (*entry, int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i, _ := slices.BinarySearchFunc(s.inWeave, offset, func(e *entry, offset int64) int { return int(min(max(e.offset-offset, -1), 1)) })
	if offset < 1 || i == len(s.inWeave) {
		return nil, 0
	}
	e := s.inWeave[i]
	return e, offset - 1 - (e.offset - e.dataBytes)
}

// getOffset says where in the weave the data of a transaction ends.
func (n *Network) getOffset(w http.ResponseWriter, r *http.Request) {
	found := n.entryOf(w, r)
	if found == nil {
		return
	}
	if found.transaction == nil || found.dataBytes == 0 {
		fail(w, http.StatusNotFound, fmt.Errorf("item %s is not in the weave by itself: only transactions with data are", found.id))
		return
	}
	reply(w, http.StatusOK, map[string]string{"size": strconv.FormatInt(found.dataBytes, 10), "offset": strconv.FormatInt(found.offset, 10)})
}

// getChunk gives the chunk that has a byte of the weave.
func (n *Network) getChunk(w http.ResponseWriter, r *http.Request) {
	offset, err := ao.ParseInt("offset", r.PathValue("offset"))
	if err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	found, at := n.store.at(offset)
	if found == nil {
		fail(w, http.StatusNotFound, fmt.Errorf("the weave has no byte %d", offset))
		return
	}
	chunk, path, err := n.readChunk(found, at)
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	reply(w, http.StatusOK, map[string]string{"chunk": encode(chunk), "data_path": encode(path), "tx_path": "", "packing": "unpacked"})
}

func (n *Network) readChunk(e *entry, at int64) (chunk, path []byte, err error) {
	file, err := n.store.open(e)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	data := io.NewSectionReader(file, e.headerBytes, e.dataBytes)
	tree, err := dataitem.NewDataTree(bufio.NewReader(data), e.dataBytes)
	if err != nil {
		return nil, nil, err
	}
	path, leaf := tree.PathTo(at)
	chunk = make([]byte, leaf.End-leaf.Start)
	_, err = data.ReadAt(chunk, leaf.Start)
	return chunk, path, err
}
