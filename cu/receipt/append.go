package receipt

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"verbatim/cu/ao"
)

// How much one write may take together, and how many records an index may lag behind.
const (
	groupBytesMax = 64 << 20
	tailMax       = 4096
)

// Pending is a record on its way to stable storage.
type Pending struct {
	receipt              Receipt
	message, env, result []byte
	module               []byte // of a module's record

	record Record
	before History // what was known of the process
	err    error
	done   chan struct{}
}

// Wait gives the entry once it is on stable storage, or the error that kept it from there.
func (p *Pending) Wait() (*Entry, error) {
	<-p.done
	return p.record.Entry, p.err
}

// Ended is closed when Wait would not wait.
func (p *Pending) Ended() <-chan struct{} { return p.done }

// queue are records that wait to be written. Whoever finds no writer becomes it, and writes until nothing waits: all that
// came while it synced goes into the next write together, with one sync for all.
type queue struct {
	mu      sync.Mutex
	waiting []*Pending
	writing bool
	idle    sync.Cond
}

// Begin gives r its place in the log, after what was begun before. Nothing may be answered that depends on it until Wait
// has returned without an error.
func (l *Log) Begin(r Receipt, message, env, result []byte) *Pending {
	return l.enqueue(&Pending{receipt: r, message: message, env: env, result: result})
}

// Append is Begin and Wait. When it returns without an error, the entry is on stable storage. After an error it is not
// acknowledged, whatever the file holds.
func (l *Log) Append(r Receipt, message, env, result []byte) (*Entry, error) {
	return l.Begin(r, message, env, result).Wait()
}

// AppendModule keeps the wasm of a module, once. It must be there before the first receipt that names it.
func (l *Log) AppendModule(wasm []byte) error {
	_, err := l.enqueue(&Pending{module: wasm}).Wait()
	return err
}

func (l *Log) enqueue(p *Pending) *Pending {
	p.done = make(chan struct{})
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	l.queue.waiting = append(l.queue.waiting, p)
	if !l.queue.writing {
		l.queue.writing = true
		go l.drain()
	}
	return p
}

// drain writes until nothing waits.
func (l *Log) drain() {
	for {
		l.queue.mu.Lock()
		group, bytes := 0, 0
		for group < len(l.queue.waiting) && (group == 0 || bytes < groupBytesMax) {
			p := l.queue.waiting[group]
			bytes += len(p.message) + len(p.env) + len(p.result) + len(p.module)
			group++
		}
		records := l.queue.waiting[:group:group]
		l.queue.waiting = l.queue.waiting[group:]
		if group == 0 {
			l.queue.writing, l.queue.waiting = false, nil
			l.queue.idle.Broadcast()
			l.queue.mu.Unlock()
			return
		}
		l.queue.mu.Unlock()
		l.write(records)
		for _, p := range records {
			close(p.done)
		}
	}
}

// settled waits until nothing is on its way.
func (l *Log) settled() {
	l.queue.mu.Lock()
	defer l.queue.mu.Unlock()
	for l.queue.writing {
		l.queue.idle.Wait()
	}
}

// group is a write in the making.
type group struct {
	head    Head
	bytes   []byte
	pending []*Pending
	past    map[ao.ID]History // of processes that have records in it
	modules map[Digest]bool
}

// write appends records, makes them durable, and only then lets readers see them. Each Pending gets its error.
func (l *Log) write(records []*Pending) {
	l.writing.Lock()
	defer l.writing.Unlock()
	g := &group{head: l.Head(), past: map[ao.ID]History{}, modules: map[Digest]bool{}}
	for _, p := range records {
		if p.err = l.prepare(g, p); p.err != nil {
			p.record.Entry = nil
		}
	}
	if len(g.pending) == 0 {
		return
	}
	err := l.commit(g)
	for _, p := range g.pending {
		if p.err = err; err != nil {
			p.record.Entry = nil
		}
	}
}

// prepare adds the bytes of one record to a group. A record that is refused leaves the group as it was.
func (l *Log) prepare(g *group, p *Pending) error {
	if l.broken {
		return ErrBroken
	}
	content, kind := p.module, uint32(recordModule)
	digest := Digest{}
	if p.module == nil {
		var err error
		if content, err = l.prepareEntry(g, p); err != nil {
			return err
		}
		kind = recordEntry
	} else {
		digest = sha256.Sum256(p.module)
		if g.modules[digest] || l.HasModule(digest) {
			return nil
		}
		p.record.Module = p.module
	}
	bytes, checksum, err := l.codec.record(kind, content, g.head.Checksum)
	if err != nil {
		return err
	}
	p.record.Number, p.record.Offset, p.record.Bytes, p.record.checksum = g.head.Records, g.head.Bytes, int64(len(bytes)), checksum
	p.record.previous = g.head.Checksum
	g.head.Records++
	g.head.Bytes += int64(len(bytes))
	g.head.Checksum = checksum
	if entry := p.record.Entry; entry != nil {
		g.head.Receipts++
		g.head.Receipt = entry.Receipt.Digest()
		g.past[entry.Receipt.Process] = History{Steps: p.before.Steps + 1, First: p.before.First, Last: entry.Receipt.Nonce}
	} else {
		g.modules[digest] = true
	}
	g.bytes = append(g.bytes, bytes...)
	g.pending = append(g.pending, p)
	return nil
}

// prepareEntry signs an entry that follows the group, and gives its content.
func (l *Log) prepareEntry(g *group, p *Pending) ([]byte, error) {
	r := &p.receipt
	r.Sequence, r.Previous = g.head.Receipts, g.head.Receipt
	if err := r.Sign(l.key); err != nil {
		return nil, err
	}
	entry := &Entry{Receipt: r, Message: p.message, Env: p.env, Result: p.result}
	if err := entry.check(); err != nil {
		return nil, err
	}
	past, known := g.past[r.Process]
	if !known {
		var err error
		if past, err = l.Steps(r.Process); err != nil {
			return nil, err
		}
	}
	if err := follows(past, r); err != nil {
		return nil, err
	}
	if !g.modules[r.ModuleDigest] && !l.HasModule(r.ModuleDigest) {
		return nil, missingModule(r)
	}
	p.before, p.record.Entry = past, entry
	return entry.encode()
}

// commit makes a group durable.
func (l *Log) commit(g *group) error {
	head, file := l.Head(), l.store.Log()
	if size, err := file.Size(); err != nil || size != head.Bytes {
		l.broken = true
		return fmt.Errorf("append to log: it has %d bytes where %d were left (%v): someone else wrote: %w", size, head.Bytes, err, ErrBroken)
	}
	if _, err := file.WriteAt(g.bytes, head.Bytes); err != nil {
		// A part of the records may be in the file. Taken off again, the log is as before; if not, its state is unknown.
		l.broken = file.Truncate(head.Bytes) != nil || file.Sync() != nil
		return fmt.Errorf("append to log: %w", err)
	}
	// A crash here leaves whole records that may be lost again: nobody was answered yet.
	if err := file.Sync(); err != nil {
		// After a failed sync nothing is known about what the storage holds, and a second sync may lie.
		l.broken = true
		return fmt.Errorf("append to log: sync: %w", err)
	}
	// A crash here leaves durable records beyond the head: the next open takes them in.
	if err := writeHead(l.store.Head(), g.head); err != nil {
		l.broken = true
		return fmt.Errorf("append to log: head: %w", err)
	}
	l.mu.Lock()
	for _, p := range g.pending {
		l.admit(p.record, p.before)
	}
	l.mu.Unlock()
	if len(l.tail.added) >= l.flushAt {
		err := l.Flush()
		if errors.Is(err, syscall.ENOSPC) {
			// The records are in the log, which is what counts. The index lags behind, and is told later.
			l.flushAt = len(l.tail.added) + tailMax
			return nil
		}
		return err
	}
	return nil
}

// Flush tells the index everything that it does not know. An index that fails is a failure of the storage: nothing more is
// appended, unless it only has no room.
func (l *Log) Flush() error {
	if l.index == nil || len(l.tail.added) == 0 {
		return nil
	}
	if err := l.index.Add(l.tail.added, Until{l.Head(), l.tail.last}); err != nil {
		l.broken = !errors.Is(err, syscall.ENOSPC)
		return fmt.Errorf("index of the log: %w", err)
	}
	l.mu.Lock()
	l.tail, l.flushAt = newTail(), tailMax
	l.mu.Unlock()
	return nil
}
