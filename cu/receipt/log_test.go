package receipt_test

// The log must keep every receipt that was acknowledged, whatever fails. The method: a store in memory that can fail at
// each operation and be cut or damaged at each byte, and the files of a real folder.

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"verbatim/cu/receipt"
)

func open(t *testing.T, store receipt.Store) (*receipt.Log, receipt.Recovery) {
	t.Helper()
	log, recovery, err := receipt.OpenLog(store, key())
	if err != nil {
		t.Fatal(err)
	}
	return log, recovery
}

func TestAppendAndRead(t *testing.T) {
	store := newMemoryStore(nil, nil)
	log, _ := open(t, store)
	if err := log.AppendModule(wasm); err != nil {
		t.Fatal(err)
	}
	var digests []receipt.Digest
	for nonce := int64(-1); nonce < 3; nonce++ {
		for _, process := range []string{"p", "q"} {
			entry, err := mustAppend(log, process, nonce)
			if err != nil {
				t.Fatal(err)
			}
			if err := entry.Receipt.Verify(); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(store.log.synced, store.log.bytes) {
				t.Errorf("nonce %d was acknowledged before it was synced", nonce)
			}
			digests = append(digests, entry.Receipt.Digest())
		}
	}
	for range 2 { // before and after opening again
		if first, last, err := log.Nonces(id("q")); first != -1 || last != 2 || err != nil {
			t.Errorf("nonces %d to %d, %v; want -1 to 2", first, last, err)
		}
		_, message, env, result := sample("q", 1)
		entry, err := log.At(id("q"), 1)
		if err != nil || entry.Receipt.Digest() != digests[5] || !bytes.Equal(entry.Message, message) ||
			!bytes.Equal(entry.Env, env) || !bytes.Equal(entry.Result, result) {
			t.Errorf("at nonce 1: %+v, %v", entry, err)
		}
		if entry, err = log.Find(id("q"), id(string(message))); err != nil || entry.Receipt.Nonce != 1 {
			t.Errorf("find: %+v, %v", entry, err)
		}
		if _, err := log.Find(id("p"), id(string(message))); !errors.Is(err, receipt.ErrAbsent) {
			t.Errorf("a message of q was found in p: %v", err)
		}
		if head := log.Head(); head.Receipts != 8 || head.Receipt != digests[7] || head.Bytes != int64(len(store.log.bytes)) {
			t.Errorf("head %+v", head)
		}
		log, _ = open(t, store)
	}
	records, err := readAll(store.log.bytes)
	if err != nil || len(records) != 9 || !bytes.Equal(records[0].Module, wasm) {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for i, record := range records[1:] {
		if record.Entry.Receipt.Digest() != digests[i] {
			t.Errorf("record %d holds another receipt", i)
		}
	}
}

func TestOrder(t *testing.T) {
	log, _ := open(t, newMemoryStore(nil, nil))
	if _, err := mustAppend(log, "p", 0); !errors.Is(err, receipt.ErrAbsent) {
		t.Errorf("a receipt before its module: %v", err)
	}
	if err := log.AppendModule(wasm); err != nil {
		t.Fatal(err)
	}
	if _, err := mustAppend(log, "p", 4); err != nil {
		t.Fatal(err)
	}
	for _, nonce := range []int64{0, 3, 4, 6} {
		if _, err := mustAppend(log, "p", nonce); !errors.Is(err, receipt.ErrOrder) {
			t.Errorf("nonce %d after nonce 4: %v", nonce, err)
		}
	}
	r, message, env, result := sample("p", 5)
	if _, err := log.Append(r, append(message, ' '), env, result); err == nil {
		t.Error("a message that the receipt does not describe is accepted")
	}
	if _, err := log.Append(r, message, env, append(result, ' ')); err == nil {
		t.Error("a result that the receipt does not describe is accepted")
	}
	if _, err := mustAppend(log, "p", 5); err != nil {
		t.Errorf("after refusals: %v", err)
	}
}

// Each way in which a write can fail: the receipt is not acknowledged, and what opens next is one whole history with
// everything that was acknowledged before.
func TestWriteFailures(t *testing.T) {
	for _, test := range []struct {
		name   string
		fail   func(log, head *memoryFile)
		usable bool // the same log may go on
	}{
		{"write", func(log, _ *memoryFile) { log.writesLeft, log.shortBy = 0, -1 }, true},
		{"short write", func(log, _ *memoryFile) { log.writesLeft, log.shortBy = 0, 9 }, true},
		{"short write that stays", func(log, _ *memoryFile) { log.writesLeft, log.shortBy, log.failTruncate = 0, 9, true }, false},
		{"whole write that says it failed and stays", func(log, _ *memoryFile) { log.writesLeft, log.shortBy, log.failTruncate = 0, 0, true }, false},
		{"sync", func(log, _ *memoryFile) { log.failSync = true }, false},
		{"sync that has worked", func(log, _ *memoryFile) { log.failSync, log.syncPersists = true, true }, false},
		{"head", func(_, head *memoryFile) { head.writesLeft, head.shortBy = 0, -1 }, false},
		{"half a head", func(_, head *memoryFile) { head.writesLeft, head.shortBy = 0, 20 }, false},
	} {
		for _, crash := range []bool{false, true} {
			before, head := smallLog(2)
			store := newMemoryStore(before, head)
			log, _ := open(t, store)
			test.fail(store.log, store.head)
			if _, err := mustAppend(log, "p", 2); !errors.Is(err, errInjected) {
				t.Fatalf("%s: acknowledged: %v", test.name, err)
			}
			store.log.writesLeft, store.log.failTruncate, store.log.failSync, store.head.writesLeft = -1, false, false, -1
			_, err := mustAppend(log, "p", 2)
			if test.usable != (err == nil) {
				t.Errorf("%s: the next append: %v", test.name, err)
			}
			if !test.usable && !errors.Is(err, receipt.ErrBroken) {
				t.Errorf("%s: the next append: %v, want ErrBroken", test.name, err)
			}
			if crash {
				store.log.bytes = store.log.synced
			}
			log, _ = open(t, store)
			_, last, err := log.Nonces(id("p"))
			if err != nil || last < 1 || (test.usable && last < 2) {
				t.Errorf("%s, crash %v: nonces up to %d, %v", test.name, crash, last, err)
			}
			if _, err := mustAppend(log, "p", last+1); err != nil {
				t.Errorf("%s, crash %v: append after opening again: %v", test.name, crash, err)
			}
			if records, err := readAll(store.log.bytes); err != nil || len(records) != int(last)+3 {
				t.Errorf("%s, crash %v: %d records, %v", test.name, crash, len(records), err)
			}
		}
	}
}

// A log that is cut at any byte beyond its head is repaired, the tail is kept; cut below its head it is refused; without a
// head it is repaired.
func TestEveryTruncation(t *testing.T) {
	whole, head := smallLog(3)
	shorter, shorterHead := smallLog(2)
	for n := 0; n <= len(whole); n++ {
		for _, test := range []struct {
			name string
			head []byte
			ok   bool
		}{
			{"its head", head, n == len(whole)}, {"an older head", shorterHead, n >= len(shorter)}, {"no head", nil, true},
		} {
			store := newMemoryStore(whole[:n], test.head)
			log, recovery, err := receipt.OpenLog(store, key())
			if (err == nil) != test.ok {
				t.Fatalf("%d of %d bytes with %s: %v", n, len(whole), test.name, err)
			}
			if err != nil {
				if !bytes.Equal(store.log.bytes, whole[:n]) {
					t.Fatalf("%d bytes with %s: refused and yet changed", n, test.name)
				}
				continue
			}
			kept := log.Head().Bytes
			if tail := store.tails[kept]; n > len(receipt.LogMagic) &&
				(!bytes.Equal(append(bytes.Clone(store.log.bytes), tail...), whole[:n]) || recovery.TornBytes != int64(len(tail))) {
				t.Fatalf("%d bytes with %s: %d kept and a tail of %d, %+v", n, test.name, kept, len(tail), recovery)
			}
			if _, err := readAll(store.log.bytes); err != nil {
				t.Fatalf("%d bytes with %s: after the repair: %v", n, test.name, err)
			}
			if _, err := readAll(whole[:n]); n >= len(receipt.LogMagic) && (err == nil) != (recovery.TornBytes == 0) {
				t.Fatalf("%d bytes: a reader says %v", n, err)
			}
		}
	}
}

// One flipped bit anywhere in an acknowledged log is an error that names the record, and nothing is changed.
func TestEveryBitFlip(t *testing.T) {
	whole, head := smallLog(2)
	records, _ := readAll(whole)
	for bit := range 8 * len(whole) {
		flipped := bytes.Clone(whole)
		flipped[bit/8] ^= 1 << (bit % 8)
		_, readErr := readAll(flipped)
		_, _, openErr := receipt.OpenLog(newMemoryStore(flipped, head), key())
		for _, err := range []error{readErr, openErr} {
			var named *receipt.RecordError
			switch {
			case err == nil:
				t.Fatalf("bit %d of byte %d: not noticed", bit%8, bit/8)
			case bit/8 < len(receipt.LogMagic):
			case !errors.As(err, &named):
				t.Fatalf("bit %d of byte %d: no record is named: %v", bit%8, bit/8, err)
			case int64(bit/8) < records[named.Number].Offset || int64(bit/8) >= records[named.Number].Offset+records[named.Number].Bytes:
				t.Fatalf("bit %d of byte %d: record %d is named, which begins at %d", bit%8, bit/8, named.Number, named.Offset)
			}
		}
	}
}

// Records that are whole but dropped, doubled or swapped are noticed too.
func TestRearrangedRecords(t *testing.T) {
	whole, _ := smallLog(3)
	records, _ := readAll(whole)
	part := func(i int) []byte { return whole[records[i].Offset : records[i].Offset+records[i].Bytes] }
	header := whole[:len(receipt.LogMagic)]
	for name, order := range map[string][]int{"dropped": {0, 2, 3}, "doubled": {0, 1, 1, 2, 3}, "swapped": {0, 2, 1, 3}} {
		log := bytes.Clone(header)
		for _, i := range order {
			log = append(log, part(i)...)
		}
		if _, err := readAll(log); !errors.Is(err, receipt.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Damage beyond the head was never acknowledged; a failure to read is not damage, and nothing may be cut for it.
func TestUnacknowledgedDamage(t *testing.T) {
	acknowledged, head := smallLog(1)
	whole, _ := smallLog(2)
	whole[len(whole)-1] ^= 1
	store := newMemoryStore(whole, head)
	if _, recovery := open(t, store); recovery.TornBytes == 0 || !bytes.Equal(store.log.bytes, acknowledged) {
		t.Errorf("damage beyond the head: %+v", recovery)
	}
	store = newMemoryStore(whole, head)
	store.log.failRead = true
	if _, _, err := receipt.OpenLog(store, key()); !errors.Is(err, errInjected) || !bytes.Equal(store.log.bytes, whole) {
		t.Errorf("a read that fails: %v", err)
	}
}

// Without a head nobody can tell a damaged record from one that was acknowledged: someone must look.
func TestDamageWithoutHead(t *testing.T) {
	whole, _ := smallLog(2)
	whole[len(whole)-1] ^= 1
	store := newMemoryStore(whole, nil)
	if _, _, err := receipt.OpenLog(store, key()); !errors.Is(err, receipt.ErrDamaged) || !bytes.Equal(store.log.bytes, whole) {
		t.Errorf("%v", err)
	}
}

// rechain makes the checksums of records right again after someone has chosen other records.
func rechain(parts ...[]byte) []byte {
	log := []byte(receipt.LogMagic)
	checksum := sha256.Sum256(log)
	for _, part := range parts {
		body := part[:len(part)-sha256.Size]
		checksum = sha256.Sum256(append(bytes.Clone(checksum[:]), body...))
		log = append(append(log, body...), checksum[:]...)
	}
	return log
}

// Whoever drops or swaps records and makes the checksums right again breaks the chain of receipts.
func TestReceiptsAreChained(t *testing.T) {
	whole, head := smallLog(3)
	records, _ := readAll(whole)
	part := func(i int) []byte { return whole[records[i].Offset : records[i].Offset+records[i].Bytes] }
	if !bytes.Equal(rechain(part(0), part(1), part(2), part(3)), whole) {
		t.Fatal("the test does not chain as the log does")
	}
	for name, log := range map[string][]byte{"first dropped": rechain(part(0), part(2), part(3)), "middle dropped": rechain(part(0), part(1), part(3)),
		"doubled": rechain(part(0), part(1), part(1)), "swapped": rechain(part(0), part(2), part(1), part(3))} {
		var named *receipt.RecordError
		if _, err := readAll(log); !errors.Is(err, receipt.ErrDamaged) || !errors.As(err, &named) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The last receipt can be dropped so that only the head knows.
	last := rechain(part(0), part(1), part(2))
	if _, err := readAll(last); err != nil {
		t.Errorf("last dropped: %v", err)
	}
	if _, _, err := receipt.OpenLog(newMemoryStore(last, head), key()); err == nil {
		t.Error("last dropped: the head has not noticed")
	}
}

func TestSomeoneElseWrote(t *testing.T) {
	whole, head := smallLog(1)
	store := newMemoryStore(whole, head)
	log, _ := open(t, store)
	store.log.bytes = append(bytes.Clone(whole), 1)
	if _, err := mustAppend(log, "p", 1); !errors.Is(err, receipt.ErrBroken) || len(store.log.bytes) != len(whole)+1 {
		t.Errorf("append onto someone else's bytes: %v", err)
	}
}

func TestFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	store, err := receipt.OpenFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	log, _ := open(t, store)
	if err := log.AppendModule(wasm); err != nil {
		t.Fatal(err)
	}
	for nonce := range int64(3) {
		if _, err := mustAppend(log, "p", nonce); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := receipt.OpenFolder(path); !errors.Is(err, receipt.ErrLocked) {
		t.Errorf("a second daemon gets in: %v", err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := mustAppend(log, "p", 3); !errors.Is(err, receipt.ErrBroken) {
		t.Errorf("append after close: %v", err)
	}
	tail := []byte("half a record")
	for attempt := range 2 {
		file, err := os.OpenFile(filepath.Join(path, receipt.LogName), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		file.Write(tail)
		file.Close()
		if store, err = receipt.OpenFolder(path); err != nil {
			t.Fatal(err)
		}
		log, recovery := open(t, store)
		kept, err := os.ReadFile(recovery.TornSavedAs)
		if err != nil || !bytes.Equal(kept, tail) || recovery.TornBytes != int64(len(tail)) {
			t.Errorf("attempt %d: %q kept, %+v, %v", attempt, kept, recovery, err)
		}
		if _, last, err := log.Nonces(id("p")); last != 2 || err != nil {
			t.Errorf("attempt %d: nonces up to %d, %v", attempt, last, err)
		}
		log.Close()
	}
}

func TestModuleIsKeptOnce(t *testing.T) {
	store := newMemoryStore(nil, nil)
	log, _ := open(t, store)
	for range 2 {
		if err := log.AppendModule(wasm); err != nil {
			t.Fatal(err)
		}
	}
	if head := log.Head(); head.Records != 1 || !log.HasModule(sha256.Sum256(wasm)) || log.HasModule(receipt.Digest{}) {
		t.Errorf("head %+v", head)
	}
}

// FuzzReader looks for a log that reads without an error and yet is not what a log writes.
func FuzzReader(f *testing.F) {
	whole, _ := smallLog(2)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Fuzz(func(t *testing.T, log []byte) {
		records, err := readAll(log)
		end := int64(len(receipt.LogMagic))
		for _, record := range records {
			end = record.Offset + record.Bytes
		}
		if err == nil && end != int64(len(log)) {
			t.Error(fmt.Sprintf("%d of %d bytes read without an error", end, len(log)))
		}
	})
}
