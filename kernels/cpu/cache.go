package cpu

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"verbatim/kernels/quant"
)

// packingVersion names what pack.go and forms.go write. TestPackedBytes fails when they change and it does not.
const packingVersion = 1

// A cache file holds the packed weights of one model for one level, to be mapped instead of packed again:
//
//	| data: weights and scales, each from a page's beginning | manifest: JSON | its SHA-256 | its length: 8 bytes | magic |
//
// It is made under another name and renamed, and never changed. Before any of it is used, all of it is checked: the
// manifest by its SHA-256, the data by those of its chunks in the manifest. So a file that a crash or a disk has damaged
// is refused. The manifest has the model's digest, the level and packingVersion, and of every matrix one tile is packed
// anew and compared. Whoever can write as this user could write a false file with good digests, and as well change the
// program: so files and folders that others can write to are refused.
const (
	cacheMagic      = "VBTMPACK"
	cacheTail       = sha256.Size + 8 + len(cacheMagic)
	cachePage       = 4096
	cacheChunk      = 256 << 10
	manifestMaxSize = 64 << 20
)

type manifest struct {
	Model    string        `json:"model"` // SHA-256 of its file
	Level    string        `json:"level"`
	Packing  int           `json:"packing"`
	Bytes    int           `json:"bytes"` // of data
	Chunks   [][]byte      `json:"chunks"`
	Matrices []cacheMatrix `json:"matrices"` // in the order in which they were made
}

type cacheMatrix struct {
	Type    quant.Type `json:"type"`
	Rows    int        `json:"rows"`
	Cols    int        `json:"cols"`
	Weights int        `json:"weights"` // where they begin
	Scales  int        `json:"scales"`
}

// cache is a backend's side of a cache file.
type cache struct {
	folder string // "" if there is none
	want   manifest

	data     []byte // of a file that is in use
	matrices []cacheMatrix
	refused  error     // why the file that is there is not
	packed   []*matrix // in the order in which they were made
	bytes    int       // of packed
}

// path is that of the cache file.
func (c *cache) path() string {
	return filepath.Join(c.folder, fmt.Sprintf("%s.%s.%d.packed", c.want.Model, c.want.Level, c.want.Packing))
}

// open maps the cache file if it is there and good.
func (c *cache) open(p *pool, memory *memory, o Options, level *level) {
	if o.CacheFolder == "" || !level.packs() || !canMapFiles {
		return
	}
	c.folder = o.CacheFolder
	c.want = manifest{Model: hex.EncodeToString(o.Model[:]), Level: level.name, Packing: packingVersion}
	file, err := mapFile(c.folder, c.path())
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		if err = c.check(p, file); err != nil {
			err = errors.Join(err, unmapBytes(file))
		}
	}
	if err != nil {
		c.refused = fmt.Errorf("packed weights %s: %w; they are made anew", c.path(), err)
		return
	}
	memory.maps = append(memory.maps, file)
}

// check is all the tests of a file but those that need matrices.
func (c *cache) check(p *pool, file []byte) error {
	m, err := readManifest(file)
	if err != nil {
		return err
	}
	if m.Model != c.want.Model || m.Level != c.want.Level || m.Packing != c.want.Packing {
		return fmt.Errorf("they are of model %s, level %s, packing %d", m.Model, m.Level, m.Packing)
	}
	v := verification{data: file[:m.Bytes], chunks: m.Chunks}
	p.run(&v, len(m.Chunks))
	if n := v.damaged.Load(); n > 0 {
		return fmt.Errorf("%d of %d chunks are damaged", n, len(m.Chunks))
	}
	c.data, c.matrices = file, m.Matrices
	return nil
}

// readManifest finds the manifest of a file and checks that it fits.
func readManifest(file []byte) (*manifest, error) {
	at := len(file) - cacheTail
	if at < 0 || !bytes.HasSuffix(file, []byte(cacheMagic)) {
		return nil, errors.New("the end of the file is missing")
	}
	size := le.Uint64(file[at+sha256.Size:])
	if size > manifestMaxSize || size > uint64(at) {
		return nil, fmt.Errorf("a manifest of %d bytes in a file of %d", size, len(file))
	}
	text := file[at-int(size) : at]
	if sum := sha256.Sum256(text); !bytes.Equal(sum[:], file[at:][:sha256.Size]) {
		return nil, errors.New("the manifest is damaged")
	}
	m := &manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	if m.Bytes < 0 || m.Bytes != at-int(size) || len(m.Chunks) != (m.Bytes+cacheChunk-1)/cacheChunk {
		return nil, fmt.Errorf("a manifest for %d bytes in %d chunks, in a file of %d bytes", m.Bytes, len(m.Chunks), len(file))
	}
	return m, nil
}

// verification is the task of comparing chunks with their digests.
type verification struct {
	data    []byte
	chunks  [][]byte
	damaged atomic.Int32
}

func (v *verification) run(item, _ int) {
	first := item * cacheChunk
	sum := sha256.Sum256(v.data[first:min(first+cacheChunk, len(v.data))])
	if !bytes.Equal(sum[:], v.chunks[item]) {
		v.damaged.Add(1)
	}
}

// find gives a matrix its place in the file, if there is one, and says whether it did. After the first that is not as it should
// be, none has.
func (c *cache) find(m *matrix, p *packing) bool {
	if c.data == nil || c.refused != nil {
		return false
	}
	index := len(c.packed)
	err := c.place(m, index)
	if err == nil {
		err = compareTile(m, p, index*7919%m.tiles()) // another tile in each matrix
	}
	if err != nil {
		c.refused = fmt.Errorf("packed weights %s: matrix %d: %w; from here on they are made anew", c.path(), index, err)
		m.weights, m.scales = nil, nil
	}
	return err == nil
}

// compareTile packs a tile anew.
func compareTile(m *matrix, p *packing, tile int) error {
	weights, scales := make([]byte, m.tileWeights), make([]byte, m.tileScales)
	p.tile(weights, scales, tile)
	if !bytes.Equal(weights, m.weights[tile*m.tileWeights:][:m.tileWeights]) || !bytes.Equal(scales, m.scales[tile*m.tileScales:][:m.tileScales]) {
		return fmt.Errorf("tile %d is not the model's", tile)
	}
	return nil
}

func (c *cache) place(m *matrix, index int) error {
	if index >= len(c.matrices) {
		return errors.New("it is not there")
	}
	e := c.matrices[index]
	if e.Type != m.t || e.Rows != m.rows || e.Cols != m.cols {
		return fmt.Errorf("%v, %d rows of %d, instead of %v, %d of %d", e.Type, e.Rows, e.Cols, m.t, m.rows, m.cols)
	}
	weights, scales := m.tiles()*m.tileWeights, m.tiles()*m.tileScales
	for _, part := range [][2]int{{e.Weights, weights}, {e.Scales, scales}} {
		if part[0] < 0 || part[0]%cachePage != 0 || part[0] > len(c.data)-cacheTail || part[1] > len(c.data)-cacheTail-part[0] {
			return fmt.Errorf("%d bytes at %d of %d", part[1], part[0], len(c.data))
		}
	}
	m.weights, m.scales = c.data[e.Weights:][:weights:weights], c.data[e.Scales:][:scales:scales]
	return nil
}

// PackedBytes is the size of all packed weights.
func (b *Backend) PackedBytes() int { return b.cache.bytes }

// SaveCache writes the packed weights to Options.CacheFolder unless a file there was used. Call it when all matrices are
// made. It removes those of other versions. An error means that the next start packs again, or tells why a file that was
// there was not used; the backend works all the same.
func (b *Backend) SaveCache() error {
	c := &b.cache
	if c.folder == "" || c.data != nil && c.refused == nil {
		return nil
	}
	if err := c.save(); err != nil {
		return errors.Join(c.refused, fmt.Errorf("write packed weights %s: %w", c.path(), err))
	}
	return c.refused
}

func (c *cache) save() error {
	if err := os.MkdirAll(c.folder, 0o700); err != nil {
		return err
	}
	if err := checkFolder(c.folder); err != nil {
		return err
	}
	file, err := os.CreateTemp(c.folder, "making-*")
	if err != nil {
		return err
	}
	err = errors.Join(c.write(file), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), c.path())
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	old, err := filepath.Glob(filepath.Join(c.folder, c.want.Model+"."+c.want.Level+".*.packed"))
	for _, path := range old {
		if path != c.path() {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

// write writes a whole file. It is not synchronised: what a crash leaves is damaged at worst.
func (c *cache) write(file *os.File) error {
	buffered := bufio.NewWriterSize(file, 1<<20)
	w := &chunked{to: buffered, sum: sha256.New()}
	m := c.want
	for _, p := range c.packed {
		e := cacheMatrix{Type: p.t, Rows: p.rows, Cols: p.cols}
		for _, part := range []struct {
			at   *int
			data []byte
		}{{&e.Weights, p.weights}, {&e.Scales, p.scales}} {
			*part.at = w.bytes
			padding := strings.Repeat("\x00", -len(part.data)&(cachePage-1))
			if _, err := io.Copy(w, io.MultiReader(bytes.NewReader(part.data), strings.NewReader(padding))); err != nil {
				return err
			}
		}
		m.Matrices = append(m.Matrices, e)
	}
	if w.bytes%cacheChunk > 0 {
		w.end()
	}
	m.Bytes, m.Chunks = w.bytes, w.digests
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	tail := append(le.AppendUint64(sum[:], uint64(len(text))), cacheMagic...)
	_, err = buffered.Write(append(text, tail...)) // the error stays
	return errors.Join(err, buffered.Flush())
}

// chunked passes bytes on and digests their chunks.
type chunked struct {
	to      io.Writer
	bytes   int
	sum     hash.Hash // of the chunk that is not full
	digests [][]byte
}

func (w *chunked) Write(data []byte) (int, error) {
	for rest := data; len(rest) > 0; {
		n := min(len(rest), cacheChunk-w.bytes%cacheChunk)
		w.sum.Write(rest[:n])
		w.bytes += n
		if w.bytes%cacheChunk == 0 {
			w.end()
		}
		rest = rest[n:]
	}
	return w.to.Write(data)
}

// end ends a chunk.
func (w *chunked) end() {
	w.digests = append(w.digests, w.sum.Sum(nil))
	w.sum.Reset()
}
