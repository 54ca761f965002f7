package receipt_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"verbatim/cu/ao"
	"verbatim/cu/receipt"
)

var errInjected = errors.New("injected failure")

// memoryFile is a File whose operations can be told to fail. What was written and what was synced are kept apart, so that
// a crash can be played: after it, only what was synced is certain.
type memoryFile struct {
	bytes  []byte
	synced []byte

	writesLeft   int // fail the write after so many; -1: never
	shortBy      int // bytes of a failing write that do not get in; -1: none gets in
	failTruncate bool
	failSync     bool
	syncPersists bool // a failing sync has done its work all the same
	failRead     bool
}

func newMemoryFile(bytes []byte) *memoryFile {
	return &memoryFile{bytes: bytes, synced: bytes, writesLeft: -1}
}

func (f *memoryFile) ReadAt(to []byte, offset int64) (int, error) {
	if f.failRead {
		return 0, errInjected
	}
	return bytes.NewReader(f.bytes).ReadAt(to, offset)
}

func (f *memoryFile) WriteAt(from []byte, offset int64) (int, error) {
	var err error
	if f.writesLeft == 0 {
		err = errInjected
		if f.shortBy < 0 || f.shortBy > len(from) {
			return 0, err
		}
		from = from[:len(from)-f.shortBy]
	} else if f.writesLeft > 0 {
		f.writesLeft--
	}
	grown := make([]byte, max(len(f.bytes), int(offset)+len(from)))
	copy(grown, f.bytes)
	copy(grown[offset:], from)
	f.bytes = grown
	return len(from), err
}

func (f *memoryFile) Size() (int64, error) { return int64(len(f.bytes)), nil }

func (f *memoryFile) Truncate(size int64) error {
	if f.failTruncate {
		return errInjected
	}
	f.bytes = bytes.Clone(f.bytes[:size])
	return nil
}

func (f *memoryFile) Sync() error {
	if !f.failSync || f.syncPersists {
		f.synced = f.bytes
	}
	if f.failSync {
		return errInjected
	}
	return nil
}

type memoryStore struct {
	log, head *memoryFile
	tails     map[int64][]byte
}

func newMemoryStore(log, head []byte) *memoryStore {
	return &memoryStore{log: newMemoryFile(log), head: newMemoryFile(head), tails: map[int64][]byte{}}
}

func (s *memoryStore) Log() receipt.File  { return s.log }
func (s *memoryStore) Head() receipt.File { return s.head }
func (s *memoryStore) Close() error       { return nil }

func (s *memoryStore) SaveTail(offset int64, tail []byte) (string, error) {
	s.tails[offset] = bytes.Clone(tail)
	return fmt.Sprintf("torn-%d", offset), nil
}

// key is a signing key that is the same in every run.
func key() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
}

func id(text string) ao.ID { return sha256.Sum256([]byte(text)) }

var wasm = []byte("\x00asm a module")

// sample gives the receipt of a nonce with everything filled in that a log does not fill in itself, and its inputs.
func sample(process string, nonce int64) (r receipt.Receipt, message, env, result []byte) {
	message = fmt.Appendf(nil, `{"Id":"message %d of %s"}`, nonce, process)
	env = fmt.Appendf(nil, `{"Process":{"Id":%q}}`, process)
	outcome := ao.FailedText(fmt.Sprint("nothing at ", nonce))
	result = outcome.AppendJSON(nil)
	r = receipt.Receipt{
		Version: receipt.Version, Process: id(process), Message: id(string(message)), Assignment: id("assignment of " + string(message)),
		Epoch: 0, Nonce: nonce, Module: id("module"), ModuleDigest: sha256.Sum256(wasm), ModuleFormat: "wasm32-unknown-emscripten4",
		GasMax: 9_000_000_000_000, MemoryBytesMax: 1 << 30,
		MemoryBefore: receipt.Memory{Digest: receipt.Digest(id("no memory"))}, Input: receipt.InputDigest(message, env),
		MemoryAfter: receipt.Memory{Digest: receipt.Digest(id("memory of " + process)), Bytes: 1 << 16}, Result: outcome.Digest(), Gas: 17, Fault: "out-of-gas",
		Inferences: []receipt.Inference{{Transcript: []byte("a transcript")}, {Refusal: "prompt of 600 tokens, window 512"}},
		Device:     "cpu avx2", Build: "test",
	}
	if nonce == receipt.BootNonce {
		r.Assignment = ao.ID{}
	}
	return r, message, env, result
}

func mustAppend(log *receipt.Log, process string, nonce int64) (*receipt.Entry, error) {
	r, message, env, result := sample(process, nonce)
	return log.Append(r, message, env, result)
}

// smallLog gives a log of a module and some receipts, and its head.
func smallLog(receipts int) (log, head []byte) {
	store := newMemoryStore(nil, nil)
	opened, _, err := receipt.OpenLog(store, key())
	if err == nil {
		err = opened.AppendModule(wasm)
	}
	for nonce := 0; nonce < receipts && err == nil; nonce++ {
		_, err = mustAppend(opened, "p", int64(nonce))
	}
	if err != nil {
		panic(err)
	}
	return store.log.bytes, store.head.bytes
}

// readAll gives the entries of a log and the error that ended it.
func readAll(log []byte) (records []receipt.Record, err error) {
	reader, err := receipt.NewReader(bytes.NewReader(log), int64(len(log)))
	for err == nil {
		var record receipt.Record
		if record, err = reader.Next(); err == nil {
			records = append(records, record)
		}
	}
	if err == io.EOF {
		err = nil
	}
	return records, err
}

func short(text any) string {
	return strings.TrimSpace(fmt.Sprintf("%.200v", text))
}
