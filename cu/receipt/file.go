package receipt

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"verbatim/internal/durable"
)

// Names of the files in a log's folder.
const (
	LogName  = "receipts.log"
	headName = "receipts.head"
	lockName = "receipts.lock"
)

// ErrLocked says that another daemon has the log.
var ErrLocked = errors.New("another daemon has it")

// folder is a Store in a folder of a file system. A lock on one of its files keeps other daemons out.
type folder struct {
	path            string
	log, head, lock *os.File
}

// OpenFolder opens or creates the files of a log in the folder path, and locks it.
func OpenFolder(path string) (Store, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	f := &folder{path: path}
	for _, file := range [...]struct {
		name string
		to   **os.File
	}{{lockName, &f.lock}, {LogName, &f.log}, {headName, &f.head}} {
		opened, err := os.OpenFile(filepath.Join(path, file.name), os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		*file.to = opened
		if file.name != lockName {
			continue
		}
		if err := syscall.Flock(int(opened.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", opened.Name(), ErrLocked), f.Close())
		}
	}
	if err := durable.SyncFolder(path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (f *folder) Log() File  { return osFile{f.log} }
func (f *folder) Head() File { return osFile{f.head} }

// SaveTail implements Store. A tail from the same offset as an earlier one gets a name of its own.
func (f *folder) SaveTail(offset int64, tail []byte) (string, error) {
	for attempt := 0; ; attempt++ {
		name := filepath.Join(f.path, fmt.Sprintf("receipts.torn-%d-%d", offset, attempt))
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = file.Write(tail)
		return name, errors.Join(err, file.Sync(), file.Close(), durable.SyncFolder(f.path))
	}
}

// Close implements Store. Closing the lock's file gives the lock back.
func (f *folder) Close() error {
	var errs []error
	for _, file := range [...]*os.File{f.log, f.head, f.lock} {
		if file != nil {
			errs = append(errs, file.Close())
		}
	}
	return errors.Join(errs...)
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) { return f.Seek(0, io.SeekEnd) }
