package index

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	bolt "go.etcd.io/bbolt"

	"verbatim/cu/ao"
	"verbatim/cu/receipt"
)

// Found is what Check has compared.
type Found struct {
	Records, Receipts, Processes int
	Indexed                      int // records that the index knows; the rest is read at the next start
}

// Check reads a log from its first byte, with every checksum and signature, and compares what the index says with it.
// Progress, if not nil, hears of each record.
func (x *Index) Check(log io.ReaderAt, size int64, progress func()) (found Found, err error) {
	if err := x.pages(); err != nil {
		return found, err
	}
	until, err := x.Until()
	if err != nil {
		return found, err
	}
	reader, err := receipt.NewReader(log, size)
	if err != nil {
		return found, err
	}
	steps, processes := map[ao.ID]int64{}, map[ao.ID]bool{}
	for {
		record, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return found, err
		}
		if record.Entry != nil {
			err = record.Entry.Receipt.Verify()
		}
		if err == nil && record.Number < until.Records {
			found.Indexed++
			err = x.knows(record, steps)
		}
		if err != nil {
			return found, fmt.Errorf("log record %d at byte %d: %w", record.Number, record.Offset, err)
		}
		found.Records++
		if record.Entry != nil {
			found.Receipts++
			processes[record.Entry.Receipt.Process] = true
		}
		if progress != nil {
			progress()
		}
	}
	if found.Indexed != until.Records {
		return found, fmt.Errorf("the index knows %d records, the log has %d", until.Records, found.Records)
	}
	found.Processes = len(processes)
	return found, nil
}

// knows compares what the index says of a record with the record.
func (x *Index) knows(record receipt.Record, steps map[ao.ID]int64) error {
	if record.Entry == nil {
		place, ok, err := x.Module(sha256.Sum256(record.Module))
		if err == nil && (!ok || place.Offset != record.Offset) {
			err = fmt.Errorf("the index says that the module lies at byte %d", place.Offset)
		}
		return err
	}
	r := record.Entry.Receipt
	step, err := x.Step(r.Process, steps[r.Process])
	steps[r.Process]++
	if err != nil {
		return err
	}
	if step.Offset != record.Offset || step.Nonce != r.Nonce || step.Cron != r.Cron || step.Duplicate != r.Duplicate {
		return fmt.Errorf("the index has %+v for nonce %d of process %s", step, r.Nonce, r.Process)
	}
	return nil
}

// pages checks the structure of the file.
func (x *Index) pages() (err error) {
	return x.db.View(func(tx *bolt.Tx) error {
		for fault := range tx.Check() { // to the end, or its goroutine stays
			if err == nil {
				err = fmt.Errorf("index %s: %w", x.path, fault)
			}
		}
		return err
	})
}

// Compact writes the file anew without the room that is left in it, and gives its size before and after. The index is
// closed; a crash leaves the old file or the new one.
func (x *Index) Compact() (before, after int64, err error) {
	if before, err = x.Bytes(); err != nil {
		return 0, 0, errors.Join(err, x.Close())
	}
	path := x.path + ".compact"
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, 0, errors.Join(err, x.Close())
	}
	to, err := bolt.Open(path, 0o644, nil)
	if err == nil {
		err = errors.Join(bolt.Compact(to, x.db, 1<<20), to.Close())
	}
	if err = errors.Join(err, x.Close()); err != nil {
		return 0, 0, fmt.Errorf("compact index %s: %w", x.path, err)
	}
	if err := os.Rename(path, x.path); err != nil {
		return 0, 0, err
	}
	after, err = x.Bytes()
	return before, after, err
}
