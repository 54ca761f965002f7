package models

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"verbatim/internal/durable"
)

// EmbeddedName names the model that the program carries.
const EmbeddedName = "embedded"

// FileBytesMax is the limit on the size of a downloaded model.
const FileBytesMax = 1 << 38

// Store finds models by name: EmbeddedName, an Arweave transaction id, or the
// path of a model file. Its fields are set once, before use.
type Store struct {
	// Embedded returns the file of the embedded model.
	Embedded func() []byte

	// Fetch writes the data of an Arweave transaction to w, verified. nil means
	// that ids are found in Folder only.
	Fetch func(ctx context.Context, id string, w io.Writer) error

	// Folder keeps downloaded models: ID.gguf, and beside it ID.sha256 with the
	// digest at the time of the download.
	Folder string

	// Meanwhile is called once a model file is known to be sound, if not nil, and
	// again if another file has to be taken. It gets nothing from files that are
	// not GGUF, or the embedded one.
	Meanwhile Meanwhile
}

// Open opens the model of that name. A file whose name looks like a transaction
// id is reached as ./NAME.
func (s *Store) Open(ctx context.Context, name string) (*Model, error) {
	switch {
	case name == "":
		return nil, errors.New("open model: the name is empty (embedded, a transaction id or a path are possible)")
	case name == EmbeddedName && s.Embedded == nil:
		return nil, errors.New("open model embedded: this program carries no model")
	case name == EmbeddedName:
		m, err := FromBytes(s.Embedded())
		if err != nil {
			return nil, fmt.Errorf("open the embedded model: %w", err)
		}
		return m, nil
	case IsTransactionID(name):
		return s.openTransaction(ctx, name)
	}
	return open(name, s.Meanwhile)
}

// IsTransactionID says whether name has the form of an Arweave transaction id:
// 32 bytes in unpadded base64url.
func IsTransactionID(name string) bool {
	id, err := base64.RawURLEncoding.Strict().DecodeString(name)
	return err == nil && len(id) == 32 && len(name) == 43
}

// openTransaction opens the kept copy if its digest is still the recorded one;
// otherwise it downloads the model.
func (s *Store) openTransaction(ctx context.Context, id string) (*Model, error) {
	path := filepath.Join(s.Folder, id+".gguf")
	recorded, err := readDigest(filepath.Join(s.Folder, id+".sha256"))
	if err == nil {
		m, openErr := open(path, s.Meanwhile)
		if openErr == nil && m.Digest == recorded {
			return m, nil
		}
		if openErr == nil {
			openErr = errors.Join(fmt.Errorf("the file's digest is %v instead of %v", m.Digest, recorded), m.Close())
		}
		err = fmt.Errorf("kept copy %s is damaged: %w", path, openErr)
	}
	if s.Fetch == nil {
		return nil, fmt.Errorf("open model %s: there is no network to download it from; %w", id, err)
	}
	digest, err := s.download(ctx, id, path)
	if err != nil {
		return nil, fmt.Errorf("download model %s: %w", id, err)
	}
	m, err := open(path, s.Meanwhile)
	if err != nil {
		return nil, err
	}
	if m.Digest != digest {
		return nil, errors.Join(fmt.Errorf("model %s changed on disk after its download", id), m.Close())
	}
	return m, nil
}

func readDigest(path string) (Digest, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Digest{}, err
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(raw) != sha256.Size {
		return Digest{}, fmt.Errorf("%s does not hold a digest", path)
	}
	return Digest(raw), nil
}

// download writes the model and then its digest. It writes to a file of its own
// and renames it when complete, so that a crash leaves at most a temporary file,
// or a model without a digest; neither is ever opened, and the next download
// removes both. Unfinished downloads are not resumed. A folder belongs to one
// daemon at a time.
func (s *Store) download(ctx context.Context, id, path string) (Digest, error) {
	if err := os.MkdirAll(s.Folder, 0o755); err != nil {
		return Digest{}, err
	}
	digestPath := filepath.Join(s.Folder, id+".sha256")
	stale, err := filepath.Glob(filepath.Join(s.Folder, id+".*.part-*"))
	if err != nil {
		return Digest{}, err
	}
	for _, old := range append(stale, digestPath) {
		if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Digest{}, err
		}
	}
	hash := sha256.New()
	err = writeFile(path, func(w io.Writer) error {
		limited := &limitedWriter{w: io.MultiWriter(w, hash), left: FileBytesMax}
		return s.Fetch(ctx, id, limited)
	})
	if err != nil {
		return Digest{}, err
	}
	digest := Digest(hash.Sum(nil))
	err = writeFile(digestPath, func(w io.Writer) error {
		_, err := fmt.Fprintln(w, digest)
		return err
	})
	return digest, err
}

// writeFile makes the file at path appear whole or not at all.
func writeFile(path string, fill func(w io.Writer) error) error {
	return durable.Write(path, 0o644, func(w io.Writer) error {
		buffered := bufio.NewWriterSize(w, 1<<20)
		if err := fill(buffered); err != nil {
			return err
		}
		return buffered.Flush()
	})
}

// limitedWriter refuses more than left bytes.
type limitedWriter struct {
	w    io.Writer
	left int64
}

func (l *limitedWriter) Write(b []byte) (int, error) {
	if int64(len(b)) > l.left {
		return 0, fmt.Errorf("the data exceeds the limit of %d bytes", int64(FileBytesMax))
	}
	l.left -= int64(len(b))
	return l.w.Write(b)
}
