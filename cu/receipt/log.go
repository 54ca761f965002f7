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
	Indexed  uint64 // receipts that the index knew, which were not read
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

// Log is an open log. Its methods may be called by several goroutines.
type Log struct {
	store Store
	key   ed25519.PrivateKey
	codec codec
	index Index // nil: everything stays in tail
	queue queue

	writing sync.Mutex // held for a whole write; guards broken and flushAt, and the tail against other writers
	broken  bool
	flushAt int // records that the index may lag behind

	mu   sync.RWMutex // guards what follows; never held during I/O
	head Head
	tail tail
}

// OpenLog reads the log in store, repairs a torn tail, and makes ready to append receipts signed with key.
//
// A tail is torn if it is not whole and no answer can have depended on it: it lies beyond the head. Any other damage is an
// error that names the record, and the log stays as it is: someone must look.
func OpenLog(store Store, key ed25519.PrivateKey) (*Log, Recovery, error) {
	return OpenIndexed(store, key, nil)
}

// OpenIndexed is OpenLog with an index, which spares reading what the index knows. What is not read is not checked either:
// NewReader does that. The log does not close the index.
func OpenIndexed(store Store, key ed25519.PrivateKey, index Index) (*Log, Recovery, error) {
	log := &Log{store: store, key: key, codec: newCodec(), index: index, tail: newTail(), flushAt: tailMax}
	log.queue.idle.L = &log.queue.mu
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
	if err := l.resume(log, size); err != nil {
		return recovery, err
	}
	recovery.Indexed = l.head.Receipts
	whole := acknowledged.Bytes <= l.head.Bytes && l.head.Records > 0 || acknowledged.Bytes == 0
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
		if err := l.read(record); err != nil {
			return recovery, err
		}
	}
	if !whole {
		return recovery, fmt.Errorf("%d bytes with checksum %s were acknowledged, but the log does not hold them: it has %d bytes with checksum %s",
			acknowledged.Bytes, acknowledged.Checksum, l.head.Bytes, l.head.Checksum)
	}
	recovery.Records, recovery.Receipts = l.head.Records, l.head.Receipts
	if err := l.settle(file); err != nil {
		return recovery, err
	}
	return recovery, l.Flush()
}

// resume moves the reader behind what the index knows, if that is what the log holds there. An index that knows anything
// else is of no use.
func (l *Log) resume(log *Reader, size int64) error {
	if l.index == nil {
		return nil
	}
	until, err := l.index.Until()
	if err != nil {
		return err
	}
	if until.Records == 0 {
		return nil
	}
	record, err := l.codec.read(l.store.Log(), until.Last.Offset, min(size, until.Bytes), until.Last.Previous)
	if err != nil || record.Offset+record.Bytes != until.Bytes || record.checksum != until.Checksum {
		return l.index.Reset()
	}
	l.head, l.tail.last = until.Head, until.Last
	log.number, log.offset, log.checksum = until.Records, until.Bytes, until.Checksum
	log.sequence, log.previous = until.Receipts, until.Receipt
	return nil
}

// read takes in a record that was found in the file.
func (l *Log) read(record Record) error {
	var before History
	if record.Entry != nil {
		r := record.Entry.Receipt
		var err error
		if before, err = l.Steps(r.Process); err == nil {
			err = follows(before, r)
		}
		if err == nil && !l.HasModule(r.ModuleDigest) {
			err = missingModule(r)
		}
		if err != nil {
			return &RecordError{Number: record.Number, Offset: record.Offset, Err: err}
		}
	}
	record.previous = l.head.Checksum
	l.admit(record, before)
	if len(l.tail.added) >= tailMax {
		return l.Flush()
	}
	return nil
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

// admit adds a record to the tail and moves the head behind it.
func (l *Log) admit(record Record, before History) {
	at := Place{Offset: record.Offset, Previous: record.previous}
	if record.Entry != nil {
		l.tail.add(summary(record.Entry, at), before)
		l.head.Receipts++
		l.head.Receipt = record.Entry.Receipt.Digest()
	} else {
		l.tail.add(Added{Module: sha256.Sum256(record.Module), Step: Step{Place: at}}, before)
	}
	l.head.Records++
	l.head.Bytes = record.Offset + record.Bytes
	l.head.Checksum = record.checksum
}

// follows checks that r is the next of its process.
func follows(past History, r *Receipt) error {
	next := past.Last + 1
	if r.Cron != "" {
		next = past.Last
	}
	if past.Steps > 0 && r.Nonce != next {
		return fmt.Errorf("process %s: receipt of nonce %d where nonce %d is next: %w", r.Process, r.Nonce, next, ErrOrder)
	}
	return nil
}

func missingModule(r *Receipt) error {
	return fmt.Errorf("process %s, nonce %d: module %s: %w", r.Process, r.Nonce, r.ModuleDigest, ErrAbsent)
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
	_, ok := l.tail.modules[digest]
	l.mu.RUnlock()
	if !ok && l.index != nil {
		// An index that fails shows it when the receipt is appended: a module's record more does no harm.
		_, ok, _ = l.index.Module(digest)
	}
	return ok
}

// Nonces gives the first and the last nonce of a process in the log; ErrAbsent if there is none.
func (l *Log) Nonces(process ao.ID) (first, last int64, err error) {
	past, err := l.Steps(process)
	if err == nil && past.Steps == 0 {
		err = fmt.Errorf("process %s: %w", process, ErrAbsent)
	}
	return past.First, past.Last, err
}

// Find gives the entry of a message; if it was assigned more than once, of its first assignment.
func (l *Log) Find(process, message ao.ID) (*Entry, error) {
	number, err := l.findStep(process, message)
	if err != nil {
		return nil, err
	}
	step, err := l.Step(process, number)
	if err != nil {
		return nil, err
	}
	return l.Read(step)
}

// At gives the entry of an assignment by its nonce.
func (l *Log) At(process ao.ID, nonce int64) (*Entry, error) {
	step, err := l.StepOf(process, nonce)
	if err != nil {
		return nil, err
	}
	return l.Read(step)
}

// Read gives the entry of a step.
func (l *Log) Read(step Step) (*Entry, error) {
	record, err := l.codec.read(l.store.Log(), step.Offset, l.Head().Bytes, step.Previous)
	if err == nil && record.Entry == nil {
		err = ErrDamaged
	}
	if err != nil {
		return nil, fmt.Errorf("log at byte %d: %w", step.Offset, err)
	}
	return record.Entry, nil
}

// Contents gives the log's file as far as it is acknowledged: what a Reader reads, and what anyone needs for a replay.
func (l *Log) Contents() *io.SectionReader {
	return io.NewSectionReader(l.store.Log(), 0, l.Head().Bytes)
}

// Close gives the store back. Everything acknowledged is durable already; the index is told what it lacks, so that the
// next start need not read it.
func (l *Log) Close() error {
	l.settled()
	l.writing.Lock()
	defer l.writing.Unlock()
	var err error
	if !l.broken {
		err = l.Flush()
	}
	l.broken = true
	return errors.Join(err, l.store.Close())
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
