package receipt

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"sync"

	"verbatim/cu/ao"
)

// File is what a log needs of a file on stable storage.
type File interface {
	io.ReaderAt
	io.WriterAt
	Size() (int64, error)
	Truncate(bytes int64) error
	Sync() error
}

// Store is where a log lives: its file, the head beside it, and a place for torn tails. Whoever has it has it alone.
type Store interface {
	Log() File
	Head() File
	// SaveTail keeps the bytes that a repair takes off the log, durably, and gives the name it chose.
	SaveTail(offset int64, tail []byte) (name string, err error)
	Close() error
}

// Errors that callers choose by.
var (
	// ErrAbsent says that the log holds no such receipt or module.
	ErrAbsent = errors.New("not in the log")
	// ErrBroken says that an earlier write failed in a way that leaves the file's state unknown. Open the log again.
	ErrBroken = errors.New("the log failed earlier and must be opened again")
	// ErrOrder says that a receipt was appended that does not continue its process's history.
	ErrOrder = errors.New("out of order")
)

// Recovery tells what opening a log found and did.
type Recovery struct {
	Records  int
	Receipts uint64
	// TornBytes is the size of the tail that was taken off, 0 if the log was whole. The tail was kept as TornSavedAs.
	TornBytes   int64
	TornSavedAs string
	TornWhy     error
	// HeadMissing says that the head was absent or unreadable, so that nothing vouched for the log's length.
	HeadMissing bool
}

// Head is the end of a log.
type Head struct {
	Records  int    `json:"records"`
	Receipts uint64 `json:"receipts"`
	Bytes    int64  `json:"bytes"`
	Checksum Digest `json:"checksum"` // of the last record; it depends on every byte of the log
	Receipt  Digest `json:"receipt"`  // of the last receipt; zero if there is none
}

type place struct {
	offset   int64
	previous Digest // checksum of the record before
}

type messageKey struct{ process, message ao.ID }

// history is where the receipts of a process lie: nonces first, first+1, ...
type history struct {
	first  int64
	places []place
}

// Log is an open log. Its methods may be called by several goroutines.
type Log struct {
	store Store
	key   ed25519.PrivateKey
	codec codec

	writing sync.Mutex // held for a whole append; guards broken
	broken  bool

	mu        sync.RWMutex // guards what follows; never held during I/O
	head      Head
	histories map[ao.ID]*history
	messages  map[messageKey]int64 // nonce
	modules   map[Digest]place
}

// OpenLog reads the log in store, repairs a torn tail, and makes ready to append receipts signed with key.
//
// A tail is torn if it is not whole and no answer can have depended on it: it lies beyond the head. Any other damage is an
// error that names the record, and the log stays as it is: someone must look.
func OpenLog(store Store, key ed25519.PrivateKey) (*Log, Recovery, error) {
	log := &Log{
		store: store, key: key, codec: newCodec(),
		histories: map[ao.ID]*history{}, messages: map[messageKey]int64{}, modules: map[Digest]place{},
	}
	recovery, err := log.recover()
	if err != nil {
		return nil, recovery, fmt.Errorf("open log: %w", err)
	}
	return log, recovery, nil
}

func (l *Log) recover() (Recovery, error) {
	file := l.store.Log()
	size, err := file.Size()
	if err != nil {
		return Recovery{}, err
	}
	acknowledged, ok := readHead(l.store.Head())
	recovery := Recovery{HeadMissing: !ok && size > 0}
	if size, err = l.create(file, size, acknowledged); err != nil {
		return recovery, err
	}
	log, err := NewReader(file, size)
	if err != nil {
		return recovery, err
	}
	l.head = Head{Bytes: log.offset, Checksum: log.checksum}
	whole := acknowledged.Bytes == 0
	for {
		whole = whole || (l.head.Bytes == acknowledged.Bytes && l.head.Checksum == acknowledged.Checksum)
		record, next := log.Next()
		if next == io.EOF {
			break
		}
		if torn := errors.Is(next, ErrTorn) || (ok && errors.Is(next, ErrDamaged)); torn && whole {
			recovery.TornBytes, recovery.TornWhy = size-l.head.Bytes, next
			if recovery.TornSavedAs, err = l.cut(file, size); err != nil {
				return recovery, fmt.Errorf("repair the torn tail (%w): %w", next, err)
			}
			break
		}
		if next != nil {
			return recovery, next
		}
		if err := l.admit(record); err != nil {
			return recovery, err
		}
	}
	if !whole {
		return recovery, fmt.Errorf("%d bytes with checksum %s were acknowledged, but the log does not hold them: it has %d bytes with checksum %s",
			acknowledged.Bytes, acknowledged.Checksum, l.head.Bytes, l.head.Checksum)
	}
	recovery.Records, recovery.Receipts = l.head.Records, l.head.Receipts
	return recovery, l.settle(file)
}

// create writes the header of a log that is new, and gives its size. A crash here leaves a part of the header, which the
// next open writes again: nothing was acknowledged.
func (l *Log) create(file File, size int64, acknowledged Head) (int64, error) {
	start := make([]byte, min(size, int64(len(LogMagic))))
	if _, err := file.ReadAt(start, 0); err != nil && err != io.EOF {
		return 0, err
	}
	if len(start) == len(LogMagic) || acknowledged.Bytes != 0 || !strings.HasPrefix(LogMagic, string(start)) {
		return size, nil
	}
	if _, err := file.WriteAt([]byte(LogMagic), 0); err != nil {
		return 0, err
	}
	return int64(len(LogMagic)), file.Sync()
}

// cut keeps the tail after the last whole record elsewhere and takes it off. A crash in between leaves both, and the next
// open does it again.
func (l *Log) cut(file File, size int64) (name string, err error) {
	tail := make([]byte, size-l.head.Bytes)
	if _, err := file.ReadAt(tail, l.head.Bytes); err != nil {
		return "", err
	}
	if name, err = l.store.SaveTail(l.head.Bytes, tail); err != nil {
		return "", err
	}
	if err := file.Truncate(l.head.Bytes); err != nil {
		return "", err
	}
	return name, file.Sync()
}

// settle makes what was found durable: whole records beyond the head were perhaps never synced.
func (l *Log) settle(file File) error {
	if err := file.Sync(); err != nil {
		return err
	}
	return writeHead(l.store.Head(), l.head)
}

// admit adds a record to the index and moves the head behind it. It refuses one that breaks the history of its process.
func (l *Log) admit(record Record) error {
	at := place{offset: record.Offset, previous: l.head.Checksum}
	if record.Entry != nil {
		r := record.Entry.Receipt
		if err := l.continues(r); err != nil {
			return &RecordError{Number: record.Number, Offset: record.Offset, Err: err}
		}
		past := l.histories[r.Process]
		if past == nil {
			past = &history{first: r.Nonce}
			l.histories[r.Process] = past
		}
		past.places = append(past.places, at)
		if key := (messageKey{r.Process, r.Message}); r.Nonce != BootNonce {
			if _, again := l.messages[key]; !again {
				l.messages[key] = r.Nonce
			}
		}
		l.head.Receipts++
		l.head.Receipt = r.Digest()
	} else {
		l.modules[sha256.Sum256(record.Module)] = at
	}
	l.head.Records++
	l.head.Bytes = record.Offset + record.Bytes
	l.head.Checksum = record.checksum
	return nil
}

// continues checks that r is the next of its process, and that its module is in the log already.
func (l *Log) continues(r *Receipt) error {
	if past := l.histories[r.Process]; past != nil {
		if next := past.first + int64(len(past.places)); r.Nonce != next {
			return fmt.Errorf("process %s: receipt of nonce %d where nonce %d is next: %w", r.Process, r.Nonce, next, ErrOrder)
		}
	}
	if _, ok := l.modules[r.ModuleDigest]; !ok {
		return fmt.Errorf("process %s, nonce %d: module %s: %w", r.Process, r.Nonce, r.ModuleDigest, ErrAbsent)
	}
	return nil
}

// AppendModule keeps the wasm of a module, once. It must be there before the first receipt that names it.
func (l *Log) AppendModule(wasm []byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.HasModule(sha256.Sum256(wasm)) {
		return nil
	}
	return l.write(recordModule, wasm, Record{Module: wasm})
}

// Append gives r its place in the log, signs it, and writes the entry. When it returns without an error, the entry is on
// stable storage. After an error it is not acknowledged, whatever the file holds.
func (l *Log) Append(r Receipt, message, env, result []byte) (*Entry, error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.broken {
		return nil, ErrBroken
	}
	head := l.Head()
	r.Sequence, r.Previous = head.Receipts, head.Receipt
	if err := r.Sign(l.key); err != nil {
		return nil, err
	}
	entry := &Entry{Receipt: &r, Message: message, Env: env, Result: result}
	if err := entry.check(); err != nil {
		return nil, err
	}
	l.mu.RLock()
	err := l.continues(&r)
	l.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	content, err := entry.encode()
	if err != nil {
		return nil, err
	}
	return entry, l.write(recordEntry, content, Record{Entry: entry})
}

// write appends a record, makes it durable, and only then lets readers see it.
func (l *Log) write(kind uint32, content []byte, record Record) error {
	if l.broken {
		return ErrBroken
	}
	head, file := l.Head(), l.store.Log()
	bytes, checksum, err := l.codec.record(kind, content, head.Checksum)
	if err != nil {
		return err
	}
	if size, err := file.Size(); err != nil || size != head.Bytes {
		l.broken = true
		return fmt.Errorf("append to log: it has %d bytes where %d were left (%v): someone else wrote: %w", size, head.Bytes, err, ErrBroken)
	}
	if _, err := file.WriteAt(bytes, head.Bytes); err != nil {
		// A part of the record may be in the file. Taken off again, the log is as before; if not, its state is unknown.
		l.broken = file.Truncate(head.Bytes) != nil || file.Sync() != nil
		return fmt.Errorf("append to log: %w", err)
	}
	// A crash here leaves a whole record that may be lost again: nobody was answered yet.
	if err := file.Sync(); err != nil {
		// After a failed sync nothing is known about what the storage holds, and a second sync may lie.
		l.broken = true
		return fmt.Errorf("append to log: sync: %w", err)
	}
	// A crash here leaves a durable record beyond the head: the next open takes it in.
	record.Number, record.Offset, record.Bytes, record.checksum = head.Records, head.Bytes, int64(len(bytes)), checksum
	l.mu.Lock()
	err = l.admit(record)
	head = l.head
	l.mu.Unlock()
	if err != nil {
		panic("receipt: internal error: " + err.Error())
	}
	if err := writeHead(l.store.Head(), head); err != nil {
		l.broken = true
		return fmt.Errorf("append to log: head: %w", err)
	}
	return nil
}

// Head tells where the log ends.
func (l *Log) Head() Head {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.head
}

// Healthy gives nil, or ErrBroken after a write that failed for good.
func (l *Log) Healthy() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if l.broken {
		return ErrBroken
	}
	return nil
}

// HasModule reports whether the log holds the module.
func (l *Log) HasModule(digest Digest) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	_, ok := l.modules[digest]
	return ok
}

// Nonces gives the first and the last nonce of a process in the log; ErrAbsent if there is none.
func (l *Log) Nonces(process ao.ID) (first, last int64, err error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	past := l.histories[process]
	if past == nil {
		return 0, 0, fmt.Errorf("process %s: %w", process, ErrAbsent)
	}
	return past.first, past.first + int64(len(past.places)) - 1, nil
}

// Find gives the entry of a message; if it was assigned more than once, of its first assignment.
func (l *Log) Find(process, message ao.ID) (*Entry, error) {
	l.mu.RLock()
	nonce, ok := l.messages[messageKey{process, message}]
	l.mu.RUnlock()
	if !ok {
		return nil, fmt.Errorf("message %s of process %s: %w", message, process, ErrAbsent)
	}
	return l.At(process, nonce)
}

// At gives the entry of a nonce.
func (l *Log) At(process ao.ID, nonce int64) (*Entry, error) {
	l.mu.RLock()
	past, end := l.histories[process], l.head.Bytes
	var at place
	found := past != nil && nonce >= past.first && nonce-past.first < int64(len(past.places))
	if found {
		at = past.places[nonce-past.first]
	}
	l.mu.RUnlock()
	if !found {
		return nil, fmt.Errorf("nonce %d of process %s: %w", nonce, process, ErrAbsent)
	}
	record, err := l.codec.read(l.store.Log(), at.offset, end, at.previous)
	if err != nil {
		return nil, fmt.Errorf("log at byte %d: %w", at.offset, err)
	}
	return record.Entry, nil
}

// Contents gives the log's file as far as it is acknowledged: what a Reader reads, and what anyone needs for a replay.
func (l *Log) Contents() *io.SectionReader {
	return io.NewSectionReader(l.store.Log(), 0, l.Head().Bytes)
}

// Close gives the store back. Everything acknowledged is durable already.
func (l *Log) Close() error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.broken = true
	return l.store.Close()
}

// The head is a cache of where the acknowledged log ends. It is not synced: a daemon that is killed leaves it exact, and
// after a power failure it may lag behind, which makes the next open more trusting and never less correct.
const (
	headMagic = "VBHEAD\x00\x01"
	headBytes = len(headMagic) + 8 + sha256.Size + 4
)

func writeHead(file File, head Head) error {
	encoded := binary.LittleEndian.AppendUint64([]byte(headMagic), uint64(head.Bytes))
	encoded = append(encoded, head.Checksum[:]...)
	encoded = binary.LittleEndian.AppendUint32(encoded, crc32.Checksum(encoded, crc32.MakeTable(crc32.Castagnoli)))
	_, err := file.WriteAt(encoded, 0)
	return err
}

// readHead gives the head's bytes and checksum, and whether there is a whole head.
func readHead(file File) (Head, bool) {
	encoded := make([]byte, headBytes)
	if _, err := file.ReadAt(encoded, 0); err != nil && err != io.EOF {
		return Head{}, false
	}
	body := encoded[:headBytes-4]
	sum := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
	if string(body[:len(headMagic)]) != headMagic || binary.LittleEndian.Uint32(encoded[headBytes-4:]) != sum {
		return Head{}, false
	}
	head := Head{Bytes: int64(binary.LittleEndian.Uint64(body[len(headMagic):]))}
	copy(head.Checksum[:], body[len(headMagic)+8:])
	return head, true
}
