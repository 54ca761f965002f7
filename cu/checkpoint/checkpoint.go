// Package checkpoint keeps the memory of processes on disk, so that a compute unit that starts again need not evaluate
// everything again.
//
// Invariants: a checkpoint is either whole (its digest is that of its memory) or ignored; a crash at any moment leaves the
// older ones in place. A checkpoint is a cache: losing all of them costs time and nothing else, and a caller that has a
// receipt of the same step compares the digests.
//
// It also knows the form in which units publish checkpoints for each other; sending and fetching them is somebody else's.
package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"

	"verbatim/cu/ao"
)

// MemoryBytesMax limits the memory of a checkpoint. A wasm32 memory has 4 GiB at most; a module's globals come on top.
const MemoryBytesMax = 4<<30 + 1<<20

// perProcess is how many checkpoints of a process are kept: the newest, and one to fall back on. One of 0 steps, which is
// where a history begins that does not begin with the process, is kept for ever.
const perProcess = 2

// A checkpoint file, integers little-endian:
//
//	 0  8  magic and version
//	 8 32  process
//	40  8  steps
//	48  8  bytes of memory
//	56 32  SHA-256 of memory
//	88  n  memory, one zstd frame
const (
	magic       = "VBCKPT\x00\x02"
	headerBytes = 88
	suffix      = ".checkpoint"
)

// ErrNone says that there is no checkpoint that would do.
var ErrNone = errors.New("no checkpoint")

// Checkpoint is the memory of a process after the first of its steps, cron messages included.
type Checkpoint struct {
	Process ao.ID
	Steps   int64
	Memory  []byte
}

// Store is a folder of checkpoints, one subfolder a process.
type Store struct {
	folder string
	logger *slog.Logger
}

// Open opens or creates the folder. The logger hears of checkpoints that are skipped.
func Open(folder string, logger *slog.Logger) (*Store, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	return &Store{folder: folder, logger: logger}, nil
}

// Save makes a checkpoint durable, and then removes all but the newest of that process.
func (s *Store) Save(c Checkpoint) error {
	folder := filepath.Join(s.folder, c.Process.String())
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	path := filepath.Join(folder, fileName(c.Steps))
	if err := write(path, c); err != nil {
		return fmt.Errorf("save checkpoint of process %s after step %d: %w", c.Process, c.Steps, err)
	}
	found, err := stepsIn(folder)
	if err != nil {
		return err
	}
	for _, old := range found[:max(0, len(found)-perProcess)] {
		if old == 0 {
			continue
		}
		if err := os.Remove(filepath.Join(folder, fileName(old))); err != nil {
			return err
		}
	}
	return nil
}

// Load gives the newest whole checkpoint of a process of at most stepsMax, or ErrNone.
func (s *Store) Load(process ao.ID, stepsMax int64) (Checkpoint, error) {
	folder := filepath.Join(s.folder, process.String())
	found, err := stepsIn(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return Checkpoint{}, err
	}
	for _, steps := range slices.Backward(found) {
		if steps > stepsMax {
			continue
		}
		path := filepath.Join(folder, fileName(steps))
		memory, err := read(path, process, steps)
		if err == nil {
			return Checkpoint{Process: process, Steps: steps, Memory: memory}, nil
		}
		s.logger.Warn("checkpoint skipped", "file", path, "error", err)
	}
	return Checkpoint{}, fmt.Errorf("process %s up to step %d: %w", process, stepsMax, ErrNone)
}

func fileName(steps int64) string { return strconv.FormatInt(steps, 10) + suffix }

// stepsIn lists the checkpoints in a folder, in order.
func stepsIn(folder string) ([]int64, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var found []int64
	for _, entry := range entries {
		digits, ok := strings.CutSuffix(entry.Name(), suffix)
		if steps, err := strconv.ParseInt(digits, 10, 64); ok && err == nil && fileName(steps) == entry.Name() {
			found = append(found, steps)
		}
	}
	slices.Sort(found)
	return found, nil
}

// write makes the file under another name first: a crash before the rename leaves a file that nobody reads and the next
// write of these steps replaces.
func write(path string, c Checkpoint) error {
	if len(c.Memory) > MemoryBytesMax {
		return fmt.Errorf("memory of %d bytes, limit %d", len(c.Memory), MemoryBytesMax)
	}
	unfinished := path + ".unfinished"
	file, err := os.Create(unfinished)
	if err != nil {
		return err
	}
	_, err = file.Write(header(c))
	if err == nil {
		err = compress(file, c.Memory)
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(unfinished, path); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func header(c Checkpoint) []byte {
	digest := sha256.Sum256(c.Memory)
	head := append([]byte(magic), c.Process[:]...)
	head = binary.LittleEndian.AppendUint64(head, uint64(c.Steps))
	head = binary.LittleEndian.AppendUint64(head, uint64(len(c.Memory)))
	return append(head, digest[:]...)
}

func compress(to io.Writer, memory []byte) error {
	// Fastest: most of a memory is zeros, and a process waits for it.
	encoder, err := zstd.NewWriter(to, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	_, err = encoder.Write(memory)
	return errors.Join(err, encoder.Close())
}

func read(path string, process ao.ID, steps int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	head := make([]byte, headerBytes)
	if _, err := io.ReadFull(file, head); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	memoryBytes := binary.LittleEndian.Uint64(head[48:])
	switch {
	case string(head[:8]) != magic:
		return nil, fmt.Errorf("it begins with %q, want %q", head[:8], magic)
	case !bytes.Equal(head[8:40], process[:]) || int64(binary.LittleEndian.Uint64(head[40:])) != steps:
		return nil, errors.New("it is of another process or step than its name says")
	case memoryBytes > MemoryBytesMax:
		return nil, fmt.Errorf("memory of %d bytes, limit %d", memoryBytes, uint64(MemoryBytesMax))
	}
	decoder, err := zstd.NewReader(file, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	memory := make([]byte, memoryBytes)
	if _, err := io.ReadFull(decoder, memory); err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	if n, err := decoder.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		return nil, errors.New("more memory than the header says")
	}
	if sha256.Sum256(memory) != [sha256.Size]byte(head[56:]) {
		return nil, errors.New("the digest of its memory is wrong")
	}
	return memory, nil
}
