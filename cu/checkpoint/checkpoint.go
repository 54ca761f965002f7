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
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"verbatim/cu/ao"
	"verbatim/internal/durable"
	"verbatim/wasmhost"
)

// MemoryBytesMax limits the memory of a checkpoint. A wasm32 memory has 4 GiB at most; a module's globals come on top.
const MemoryBytesMax = 4<<30 + 1<<20

// savedBytesMax limits a saved image: a page number comes on top of every page.
const savedBytesMax = MemoryBytesMax + MemoryBytesMax/512

// perProcess is how many checkpoints of a process are kept: the newest, and one to fall back on. One of 0 steps, which is
// where a history begins that does not begin with the process, is kept for ever.
const perProcess = 2

// A checkpoint file, integers little-endian:
//
//	 0  8  magic and version
//	 8 32  process
//	40  8  steps
//	48 32  digest of the memory, as receipts state it
//	80  n  memory, as wasmhost saves images, one zstd frame
//
// Version 2, which is still read, has the size of the memory, 8, at 48, SHA-256 of its bytes at 56, and the bytes, one zstd
// frame, from 88 on.
const (
	magic         = "VBCKPT\x00\x03"
	headerBytes   = 80
	magicBytes    = "VBCKPT\x00\x02"
	headerBytesV2 = 88
	suffix        = ".checkpoint"
)

// ErrNone says that there is no checkpoint that would do.
var ErrNone = errors.New("no checkpoint")

// Checkpoint is the memory of a process after the first of its steps, cron messages included.
type Checkpoint struct {
	Process ao.ID
	Steps   int64
	Memory  *wasmhost.Image // nil: no step has succeeded
}

// Store is a folder of checkpoints, one subfolder a process.
type Store struct {
	folder   string
	logger   *slog.Logger
	encoders sync.Pool // of *zstd.Encoder: making one costs more than a small memory
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
	err := durable.Write(path, 0o644, func(to io.Writer) error {
		_, err := to.Write(header(c))
		return errors.Join(err, s.compress(to, c.Memory))
	})
	if err != nil {
		return fmt.Errorf("save checkpoint of process %s after step %d: %w", c.Process, c.Steps, err)
	}
	if err := removeUnfinished(folder); err != nil {
		return err
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

// removeUnfinished removes what crashes left behind: files that are not whole, and that nobody has written to for a while.
func removeUnfinished(folder string) error {
	const while = time.Hour
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), suffix) {
			continue
		}
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > while {
			if err := os.Remove(filepath.Join(folder, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
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

func header(c Checkpoint) []byte {
	digest := c.Memory.Digest()
	head := append([]byte(magic), c.Process[:]...)
	head = binary.LittleEndian.AppendUint64(head, uint64(c.Steps))
	return append(head, digest[:]...)
}

func (s *Store) compress(to io.Writer, memory *wasmhost.Image) error {
	encoder, _ := s.encoders.Get().(*zstd.Encoder)
	if encoder == nil {
		// Fastest: a process waits for it.
		var err error
		if encoder, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1)); err != nil {
			return err
		}
	}
	defer s.encoders.Put(encoder)
	encoder.Reset(to)
	return errors.Join(memory.Save(encoder), encoder.Close())
}

func read(path string, process ao.ID, steps int64) (*wasmhost.Image, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	head := make([]byte, headerBytes)
	if _, err := io.ReadFull(file, head); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	kind := string(head[:8])
	switch {
	case kind != magic && kind != magicBytes:
		return nil, fmt.Errorf("it begins with %q, want %q", kind, magic)
	case !bytes.Equal(head[8:40], process[:]) || int64(binary.LittleEndian.Uint64(head[40:])) != steps:
		return nil, errors.New("it is of another process or step than its name says")
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	if kind == magicBytes {
		return readBytes(file, decoder, head)
	}
	if err := decoder.Reset(file); err != nil {
		return nil, err
	}
	memory, err := wasmhost.ReadImage(io.LimitReader(decoder, savedBytesMax))
	if err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	if memory.Digest() != [sha256.Size]byte(head[48:]) {
		return nil, errors.New("the digest of its memory is wrong")
	}
	return memory, nil
}

// readBytes reads what follows the first bytes of a header of version 2.
func readBytes(file io.Reader, decoder *zstd.Decoder, head []byte) (*wasmhost.Image, error) {
	rest := make([]byte, headerBytesV2-headerBytes)
	if _, err := io.ReadFull(file, rest); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	head = append(head, rest...)
	memoryBytes := binary.LittleEndian.Uint64(head[48:])
	if memoryBytes > MemoryBytesMax {
		return nil, fmt.Errorf("memory of %d bytes, limit %d", memoryBytes, uint64(MemoryBytesMax))
	}
	if err := decoder.Reset(file); err != nil {
		return nil, err
	}
	memory, err := io.ReadAll(io.LimitReader(decoder, int64(memoryBytes)+1)) // grown as needed: the header may lie
	switch {
	case err != nil || len(memory) != int(memoryBytes):
		return nil, fmt.Errorf("memory: %d bytes of %d, %w", len(memory), memoryBytes, err)
	case sha256.Sum256(memory) != [sha256.Size]byte(head[56:]):
		return nil, errors.New("the digest of its memory is wrong")
	}
	return wasmhost.ImageOf(memory), nil
}
