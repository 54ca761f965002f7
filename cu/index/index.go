// Package index keeps on disk where the records of a log of receipts lie, so that a unit with a long log starts at once and
// finds a result, a cursor or a duplicate without reading what it does not need.
//
// Invariants: everything in an index follows from its log, and nothing is lost with it; what is added is added as a whole
// and durably; it never holds a memory or a result, which stay in checkpoints and in the log.
//
// The package does not know whether it is right: receipt.OpenIndexed asks it how far it goes and resets it when that is not
// what the log holds, and Check compares all of it with the log.
package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"verbatim/cu/ao"
	"verbatim/cu/receipt"
)

// FileName is the name of the file in an index's folder.
const FileName = "index.db"

// lockWait is how long another daemon may take to let go of the file.
const lockWait = 2 * time.Second

// The buckets. Integers in keys are big-endian, so that they sort; in values they are little-endian.
//
//	meta      "until"                    Until
//	history   process                    steps, first and last nonce
//	steps     process, number            Step
//	messages  process, message           number of the step in which it came first
//	contents  process, content           nonce with which it came first
//	modules   digest                     place
const (
	metaBucket     = "meta"
	historyBucket  = "history"
	stepsBucket    = "steps"
	messagesBucket = "messages"
	contentsBucket = "contents"
	modulesBucket  = "modules"

	untilKey = "until"
	// version is that of the encodings below. A file of another version is made anew.
	versionKey = "version"
	version    = "1"
)

func buckets() []string {
	return []string{metaBucket, historyBucket, stepsBucket, messagesBucket, contentsBucket, modulesBucket}
}

var errEncoding = errors.New("index: a value of an unexpected length")

// Index is an open index. Its methods may be called by several goroutines.
type Index struct {
	path string
	db   *bolt.DB
}

// Open opens or creates the index in a folder. A file that cannot be read is put aside and made anew: renamed is its new
// name then.
func Open(folder string) (index *Index, renamed string, err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, "", err
	}
	path := filepath.Join(folder, FileName)
	index, err = open(path)
	if err == nil || errors.Is(err, bolt.ErrTimeout) {
		return index, "", err
	}
	renamed = path + ".damaged"
	if err := os.Rename(path, renamed); err != nil {
		return nil, "", err
	}
	index, err = open(path)
	return index, renamed, err
}

func open(path string) (index *Index, err error) {
	db, err := bolt.Open(path, 0o644, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType, NoFreelistSync: true})
	if err != nil {
		return nil, fmt.Errorf("open index %s: %w", path, err)
	}
	index = &Index{path: path, db: db}
	known := ""
	err = db.View(func(tx *bolt.Tx) error {
		if meta := tx.Bucket([]byte(metaBucket)); meta != nil {
			known = string(meta.Get([]byte(versionKey)))
		}
		return nil
	})
	if err == nil && known != version {
		err = index.Reset()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open index %s: %w", path, err), db.Close())
	}
	return index, nil
}

// Close gives the file back.
func (x *Index) Close() error { return x.db.Close() }

// Bytes is the size of the file.
func (x *Index) Bytes() (int64, error) {
	info, err := os.Stat(x.path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Reset implements receipt.Index.
func (x *Index) Reset() error {
	return x.db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets() {
			if err := tx.DeleteBucket([]byte(name)); err != nil && !errors.Is(err, bolt.ErrBucketNotFound) {
				return err
			}
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		return tx.Bucket([]byte(metaBucket)).Put([]byte(versionKey), []byte(version))
	})
}

// get reads one value.
func (x *Index) get(bucket string, key []byte, read func(value []byte) error) (ok bool, err error) {
	err = x.db.View(func(tx *bolt.Tx) error {
		value := tx.Bucket([]byte(bucket)).Get(key)
		if ok = value != nil; !ok {
			return nil
		}
		return read(value)
	})
	return ok, err
}

// Until implements receipt.Index.
func (x *Index) Until() (until receipt.Until, err error) {
	_, err = x.get(metaBucket, []byte(untilKey), func(value []byte) error {
		until, err = decodeUntil(value)
		return err
	})
	return until, err
}

// History implements receipt.Index.
func (x *Index) History(process ao.ID) (history receipt.History, err error) {
	_, err = x.get(historyBucket, process[:], func(value []byte) error {
		history, err = decodeHistory(value)
		return err
	})
	return history, err
}

// Step implements receipt.Index.
func (x *Index) Step(process ao.ID, number int64) (step receipt.Step, err error) {
	ok, err := x.get(stepsBucket, stepKey(process, number), func(value []byte) error {
		step, err = decodeStep(value)
		step.Number = number
		return err
	})
	if err == nil && !ok {
		err = fmt.Errorf("step %d of process %s: %w", number, process, receipt.ErrAbsent)
	}
	return step, err
}

// Message implements receipt.Index.
func (x *Index) Message(process, message ao.ID) (number int64, ok bool, err error) {
	return x.number(messagesBucket, append(process[:], message[:]...))
}

// Content implements receipt.Index.
func (x *Index) Content(process ao.ID, content receipt.Content) (nonce int64, ok bool, err error) {
	return x.number(contentsBucket, append(process[:], content[:]...))
}

func (x *Index) number(bucket string, key []byte) (number int64, ok bool, err error) {
	ok, err = x.get(bucket, key, func(value []byte) error {
		if len(value) != 8 {
			return errEncoding
		}
		number = int64(binary.LittleEndian.Uint64(value))
		return nil
	})
	return number, ok, err
}

// Module implements receipt.Index.
func (x *Index) Module(digest receipt.Digest) (place receipt.Place, ok bool, err error) {
	ok, err = x.get(modulesBucket, digest[:], func(value []byte) error {
		place, _, err = decodePlace(value)
		return err
	})
	return place, ok, err
}

// Processes gives all processes that the index knows, in no order that means anything.
func (x *Index) Processes() (processes []ao.ID, err error) {
	err = x.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte(historyBucket)).ForEach(func(key, _ []byte) error {
			if len(key) != ao.IDBytes {
				return errEncoding
			}
			processes = append(processes, ao.ID(key))
			return nil
		})
	})
	return processes, err
}

// Add implements receipt.Index.
func (x *Index) Add(records []receipt.Added, until receipt.Until) error {
	return x.db.Update(func(tx *bolt.Tx) error {
		histories := map[ao.ID]receipt.History{}
		for _, record := range records {
			var err error
			if !record.Module.IsZero() {
				err = tx.Bucket([]byte(modulesBucket)).Put(record.Module[:], appendPlace(nil, record.Step.Place))
			} else {
				err = addStep(tx, histories, record)
			}
			if err != nil {
				return err
			}
		}
		// In the order of their keys, as the pages want them.
		order := make([]ao.ID, 0, len(histories))
		for process := range histories {
			order = append(order, process)
		}
		slices.SortFunc(order, func(a, b ao.ID) int { return slices.Compare(a[:], b[:]) })
		for _, process := range order {
			if err := tx.Bucket([]byte(historyBucket)).Put(process[:], appendHistory(nil, histories[process])); err != nil {
				return err
			}
		}
		return tx.Bucket([]byte(metaBucket)).Put([]byte(untilKey), appendUntil(nil, until))
	})
}

func addStep(tx *bolt.Tx, histories map[ao.ID]receipt.History, record receipt.Added) error {
	process := record.Process
	history, seen := histories[process]
	if !seen {
		if value := tx.Bucket([]byte(historyBucket)).Get(process[:]); value != nil {
			var err error
			if history, err = decodeHistory(value); err != nil {
				return err
			}
		}
	}
	if history.Steps != record.Step.Number {
		return fmt.Errorf("index: step %d of process %s where step %d is next", record.Step.Number, process, history.Steps)
	}
	if history.Steps == 0 {
		history.First = record.Step.Nonce
	}
	history.Steps, history.Last = history.Steps+1, record.Step.Nonce
	histories[process] = history
	if err := tx.Bucket([]byte(stepsBucket)).Put(stepKey(process, record.Step.Number), appendStep(nil, record.Step)); err != nil {
		return err
	}
	if !record.Message.IsZero() {
		if err := putFirst(tx, messagesBucket, append(process[:], record.Message[:]...), record.Step.Number); err != nil {
			return err
		}
	}
	if record.Content != (receipt.Content{}) {
		return putFirst(tx, contentsBucket, append(process[:], record.Content[:]...), record.Step.Nonce)
	}
	return nil
}

// putFirst keeps a number under a key, unless there is one.
func putFirst(tx *bolt.Tx, bucket string, key []byte, number int64) error {
	numbers := tx.Bucket([]byte(bucket))
	if numbers.Get(key) != nil {
		return nil
	}
	return numbers.Put(key, binary.LittleEndian.AppendUint64(nil, uint64(number)))
}

func stepKey(process ao.ID, number int64) []byte {
	return binary.BigEndian.AppendUint64(process[:], uint64(number))
}
