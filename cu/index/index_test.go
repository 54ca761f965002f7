package index_test

// An index is right if a log that uses it answers as one that does not, whenever it was told what, and whatever became of it.

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"verbatim/cu/ao"
	"verbatim/cu/index"
	"verbatim/cu/receipt"
)

var wasm = []byte("\x00asm")

func id(text string) ao.ID { return sha256.Sum256([]byte(text)) }

// sample gives the receipt of a step: assignments, and after each third of them a cron message.
func sample(process string, step int64) (r receipt.Receipt, message, env, result []byte) {
	nonce := step - step/4
	message = fmt.Appendf(nil, `{"Id":"m%d%s","Timestamp":%d}`, nonce, process, 1000*step)
	env = []byte(`{}`)
	outcome := ao.FailedText("x")
	result = outcome.AppendJSON(nil)
	r = receipt.Receipt{
		Version: receipt.Version,
		Process: id(process), Message: id(string(message)), Assignment: id("a" + string(message)), Nonce: nonce, ModuleDigest: sha256.Sum256(wasm),
		Input: receipt.InputDigest(message, env), Result: outcome.Digest(),
	}
	if step%4 == 3 {
		r.Cron, r.Message, r.Assignment, r.Nonce = "0-1-blocks", ao.ID{}, ao.ID{}, step-1-(step-1)/4
	}
	return r, message, env, result
}

func openLog(t *testing.T, folder string, indexed bool) (*receipt.Log, *index.Index, receipt.Recovery) {
	t.Helper()
	store, err := receipt.OpenFolder(folder)
	if err != nil {
		t.Fatal(err)
	}
	var places *index.Index
	var log *receipt.Log
	var recovery receipt.Recovery
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	if indexed {
		if places, _, err = index.Open(folder); err != nil {
			t.Fatal(err)
		}
		log, recovery, err = receipt.OpenIndexed(store, key, places)
	} else {
		log, recovery, err = receipt.OpenLog(store, key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return log, places, recovery
}

func TestIndexedLogIsTheSame(t *testing.T) {
	folder := t.TempDir()
	processes := []string{"p", "q", "r"}
	log, places, _ := openLog(t, folder, true)
	if err := log.AppendModule(wasm); err != nil {
		t.Fatal(err)
	}
	const steps = 40
	for step := range int64(steps) {
		var pending []*receipt.Pending
		for _, process := range processes {
			r, message, env, result := sample(process, step)
			pending = append(pending, log.Begin(r, message, env, result))
		}
		for _, p := range pending {
			if _, err := p.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		switch {
		case step%5 == 1: // told, and closed
			log.Close()
			places.Close()
			log, places, _ = openLog(t, folder, true)
		case step%5 == 3: // killed: what the index was not told is not there
			copied := t.TempDir()
			for _, name := range []string{receipt.LogName, "receipts.head", index.FileName} {
				text, err := os.ReadFile(filepath.Join(folder, name))
				if err == nil {
					err = os.WriteFile(filepath.Join(copied, name), text, 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			log.Close()
			places.Close()
			folder = copied
			log, places, _ = openLog(t, folder, true)
		}
	}
	log.Close()
	places.Close()
	plain, _, _ := openLog(t, folder, false)
	plain.Close()
	log, places, recovery := openLog(t, folder, true)
	if recovery.Indexed != steps*3 || recovery.Receipts != steps*3 {
		t.Errorf("%+v", recovery)
	}
	compare(t, log, plain, processes, steps)
	log.Close()
	file, err := os.ReadFile(filepath.Join(folder, receipt.LogName))
	if err != nil {
		t.Fatal(err)
	}
	found, err := places.Check(bytes.NewReader(file), int64(len(file)), nil)
	if err != nil || found.Receipts != steps*3 || found.Processes != 3 || found.Indexed != steps*3+1 {
		t.Errorf("check: %+v, %v", found, err)
	}
	if _, _, err := places.Compact(); err != nil {
		t.Fatal(err)
	}
	log, places, recovery = openLog(t, folder, true)
	if recovery.Indexed != steps*3 {
		t.Errorf("after compaction: %+v", recovery)
	}
	log.Close()
	places.Close()
	// An index of another log is of no use, and does no harm.
	other := t.TempDir()
	text, _ := os.ReadFile(filepath.Join(folder, index.FileName))
	os.WriteFile(filepath.Join(other, index.FileName), text, 0o644)
	log, places, recovery = openLog(t, other, true)
	if history, err := log.Steps(id("p")); recovery.Indexed != 0 || history.Steps != 0 || err != nil {
		t.Errorf("with the index of another log: %+v, %+v, %v", recovery, history, err)
	}
	log.Close()
	places.Close()
}

// compare asks two logs the same; the second is closed and answers from memory only.
func compare(t *testing.T, a, b *receipt.Log, processes []string, steps int64) {
	t.Helper()
	for _, process := range processes {
		for number := range steps {
			x, errX := a.Step(id(process), number)
			y, errY := b.Step(id(process), number)
			if x != y || errX != nil || errY != nil {
				t.Fatalf("step %d of %s: %+v, %v; want %+v, %v", number, process, x, errX, y, errY)
			}
			r, _, _, _ := sample(process, number)
			if of, err := a.StepOf(id(process), r.Nonce); err != nil || of.Nonce != r.Nonce || of.Cron != "" {
				t.Fatalf("step of nonce %d of %s: %+v, %v", r.Nonce, process, of, err)
			}
			if entry, err := a.Find(id(process), r.Message); r.Cron == "" && (err != nil || entry.Receipt.Nonce != r.Nonce) {
				t.Fatalf("find nonce %d of %s: %v", r.Nonce, process, err)
			}
			content := sha256.Sum256(fmt.Appendf(nil, "id m%d%s", r.Nonce, process))
			if nonce, ok, err := a.Original(id(process), content); r.Cron == "" && (nonce != r.Nonce || !ok || err != nil) {
				t.Fatalf("content of nonce %d of %s: %d, %v, %v", r.Nonce, process, nonce, ok, err)
			}
		}
		if _, err := a.Step(id(process), steps); !errors.Is(err, receipt.ErrAbsent) {
			t.Errorf("a step too many: %v", err)
		}
	}
}

// A file that is no index is put aside.
// full is an index without room.
type full struct {
	*index.Index
	is  bool
	why error
}

func (f *full) Add(records []receipt.Added, until receipt.Until) error {
	if f.is {
		return fmt.Errorf("write: %w", f.why)
	}
	return f.Index.Add(records, until)
}

// An index without room lags behind a log that goes on, and catches up when there is room; any other failure ends the log.
func TestNoRoom(t *testing.T) {
	for _, why := range []error{syscall.ENOSPC, syscall.EIO} {
		folder := t.TempDir()
		store, err := receipt.OpenFolder(folder)
		if err != nil {
			t.Fatal(err)
		}
		places, _, err := index.Open(folder)
		if err != nil {
			t.Fatal(err)
		}
		index := &full{Index: places, is: true, why: why}
		log, _, err := receipt.OpenIndexed(store, ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), index)
		if err != nil {
			t.Fatal(err)
		}
		failed := log.AppendModule(wasm)
		var last *receipt.Pending
		for step := int64(0); step < 12_000 && failed == nil; step++ {
			r, message, env, result := sample("p", step)
			last = log.Begin(r, message, env, result)
			if step == 6_000 {
				_, failed = last.Wait()
				index.is = false
			}
		}
		if failed == nil {
			_, failed = last.Wait()
		}
		if (failed == nil) != (why == syscall.ENOSPC) {
			t.Fatalf("%v: append: %v", why, failed)
		}
		if failed == nil {
			until, err := places.Until()
			if past, errSteps := log.Steps(id("p")); err != nil || errSteps != nil || past.Steps != 12_000 || until.Records < 8_000 {
				t.Errorf("%d steps, an index of %d records; %v, %v", past.Steps, until.Records, err, errSteps)
			}
		}
		log.Close()
		places.Close()
	}
}

func TestDamagedFile(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, index.FileName), bytes.Repeat([]byte("no index"), 12_000), 0o644); err != nil {
		t.Fatal(err)
	}
	places, renamed, err := index.Open(folder)
	if err != nil || renamed == "" {
		t.Fatalf("%q, %v", renamed, err)
	}
	places.Close()
}
