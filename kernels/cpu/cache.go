package cpu

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
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
// making.go makes it. Before any of it is used, all of it is checked: the
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
	sketch string
	want   manifest

	data     []byte // of a file that is in use
	matrices []cacheMatrix
	refused  error     // why the file that is there is not
	packed   []*matrix // in the order in which they were made
	bytes    int       // of packed
	making   making
}

// path is that of the cache file.
func (c *cache) path() string {
	return filepath.Join(c.folder, c.want.Model+cacheSuffix(c.sketch, c.want.Level))
}

func cacheSuffix(sketch, level string) string {
	return fmt.Sprintf(".%s.%s.%d.packed", sketch, level, packingVersion)
}

// shortSketch is what a cache file's name has of a sketch.
func shortSketch(sketch [sha256.Size]byte) string { return hex.EncodeToString(sketch[:8]) }

// Packed is a cache file that is mapped and being checked.
type Packed struct {
	path     string
	file     []byte
	manifest *manifest
	checking verification
}

// FindPacked looks for the packed weights of a file of which only the sketch is known yet: Check may check them while the
// model's digest is computed. nil if there is none; what is wrong with one that is not good, New will tell.
func FindPacked(folder, level string, sketch [sha256.Size]byte) *Packed {
	l := choose(level)
	if folder == "" || l == nil || !l.packs() || !canMapFiles {
		return nil
	}
	names, err := filesOf(folder, "", cacheSuffix(shortSketch(sketch), l.name))
	if err != nil || len(names) == 0 {
		return nil
	}
	p, err := openPacked(folder, filepath.Join(folder, names[0]))
	if err != nil {
		return nil
	}
	return p
}

// filesOf lists the files of a folder whose names begin and end so.
func filesOf(folder, prefix, suffix string) ([]string, error) {
	var names []string
	files, err := os.ReadDir(folder)
	for _, f := range files {
		if strings.HasPrefix(f.Name(), prefix) && strings.HasSuffix(f.Name(), suffix) {
			names = append(names, f.Name())
		}
	}
	return names, err
}

// Check goes on checking on the caller's thread until it is done or until is closed. It gives memory back, since the model
// file still needs some; to map large pages again costs nothing.
func (p *Packed) Check(until <-chan struct{}) {
	if p == nil {
		return
	}
	v := &p.checking
	for ; v.begin < len(v.chunks); v.begin++ {
		select {
		case <-until:
			return
		default:
			v.run(0, 0)
			if end := (v.begin + 1) * cacheChunk; end%largePage == 0 {
				releaseFile(p.file[end-largePage : end])
			}
		}
	}
}

// Close forgets the file.
func (p *Packed) Close() error {
	if p == nil || p.file == nil {
		return nil
	}
	defer func() { p.file = nil }()
	return unmapBytes(p.file)
}

// openPacked maps a file and reads its manifest.
func openPacked(folder, path string) (*Packed, error) {
	file, err := mapFile(folder, path)
	if err != nil {
		return nil, err
	}
	m, err := readManifest(file)
	if err != nil {
		return nil, errors.Join(err, unmapBytes(file))
	}
	return &Packed{path: path, file: file, manifest: m, checking: verification{data: file[:m.Bytes], chunks: m.Chunks}}, nil
}

// open takes the cache file into use if it is there and good.
func (c *cache) open(p *pool, memory *memory, o Options, level *level) error {
	if o.CacheFolder == "" || !level.packs() || !canMapFiles {
		return o.Packed.Close()
	}
	c.folder, c.sketch = o.CacheFolder, shortSketch(o.Sketch)
	c.want = manifest{Model: hex.EncodeToString(o.Model[:]), Level: level.name, Packing: packingVersion}
	packed := o.Packed
	if packed != nil && packed.path != c.path() {
		if err := packed.Close(); err != nil {
			return err
		}
		packed = nil
	}
	var err error
	if packed == nil {
		packed, err = openPacked(c.folder, c.path())
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		if err = c.check(p, packed); err != nil {
			err = errors.Join(err, packed.Close())
		}
	}
	if err != nil {
		c.refused = fmt.Errorf("packed weights %s: %w; they are made anew", c.path(), err)
		return nil
	}
	memory.maps = append(memory.maps, packed.file)
	return nil
}

// check is all the tests of a file but those that need matrices.
func (c *cache) check(p *pool, packed *Packed) error {
	m, v := packed.manifest, &packed.checking
	if m.Model != c.want.Model || m.Level != c.want.Level || m.Packing != c.want.Packing {
		return fmt.Errorf("they are of model %s, level %s, packing %d", m.Model, m.Level, m.Packing)
	}
	p.run(v, len(v.chunks)-v.begin)
	if n := v.damaged.Load(); n > 0 {
		return fmt.Errorf("%d of %d chunks are damaged", n, len(m.Chunks))
	}
	c.data, c.matrices = packed.file, m.Matrices
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

// verification is the task of comparing chunks with their digests, from begin on.
type verification struct {
	data    []byte
	chunks  [][]byte
	begin   int
	damaged atomic.Int32
}

func (v *verification) run(item, _ int) {
	item += v.begin
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
	m.point(c.data, e.Weights, e.Scales)
	return nil
}
