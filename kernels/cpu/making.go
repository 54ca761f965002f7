package cpu

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// making is a cache file in the making. Matrices are packed into it and mapped from it, not packed into memory and written:
// so their packed form is there once, as pages of the file, which the system may also drop and read again.
//
// The file is made under another name and renamed, and never changed afterwards. It is not synchronised: what a crash
// leaves is damaged at worst, or has the other name.
type making struct {
	file     *os.File // nil: not begun, or over
	over     bool
	err      error // why there will be none
	bytes    int   // given out
	extended int   // bytes that the file has
	matrices []cacheMatrix
	parts    [][]byte // mapped, until the file is whole
	tiles    [][]byte // by worker: room for a tile
	failed   atomic.Pointer[error]
}

// make packs a matrix into the file, if there is one to be made, and says whether it did.
func (c *cache) make(p *pool, m *matrix, job *packing) bool {
	f := &c.making
	if c.folder == "" || f.over {
		return false
	}
	err := c.begin(p)
	if err == nil {
		e := f.add(m)
		f.extend(p)
		job.file = f
		p.run(job, m.tiles())
		job.file = nil
		err = f.failure()
		if err == nil {
			err = f.place(m, e)
		}
	}
	if err != nil {
		f.err = errors.Join(fmt.Errorf("write packed weights %s: %w", c.path(), err), f.abandon())
	}
	return err == nil
}

// begin makes the file, with what was taken from one that was refused later on.
func (c *cache) begin(p *pool) error {
	f := &c.making
	if f.file != nil {
		return nil
	}
	if err := os.MkdirAll(c.folder, 0o700); err != nil {
		return err
	}
	if err := checkFolder(c.folder); err != nil {
		return err
	}
	var err error
	if f.file, err = os.CreateTemp(c.folder, "making-*"); err != nil {
		return err
	}
	f.tiles = make([][]byte, p.threads)
	for _, m := range c.packed {
		e := f.add(m)
		f.extend(p)
		if err := f.write(m.weights, e.Weights); err != nil {
			return err
		}
		if err := f.write(m.scales, e.Scales); err != nil {
			return err
		}
	}
	return nil
}

// add gives a matrix its places.
func (f *making) add(m *matrix) cacheMatrix {
	pages := func(n int) int { return (n + cachePage - 1) / cachePage * cachePage }
	e := cacheMatrix{Type: m.t, Rows: m.rows, Cols: m.cols, Weights: f.bytes}
	e.Scales = e.Weights + pages(m.tiles()*m.tileWeights)
	f.bytes = e.Scales + pages(m.tiles()*m.tileScales)
	f.matrices = append(f.matrices, e)
	return e
}

// extend gives the file zeros for all that was given out, a large page at a time: so the system keeps it in large pages, which
// are faster to read than those that tiles would leave.
func (f *making) extend(p *pool) {
	if n := (f.bytes - f.extended + largePage - 1) / largePage; n > 0 {
		p.run(&extension{f, f.extended, make([]byte, largePage)}, n)
		f.extended += n * largePage
	}
}

// extension is the task of writing zeros from a place on.
type extension struct {
	file  *making
	from  int
	zeros []byte
}

func (e *extension) run(item, _ int) { e.file.fail(e.file.write(e.zeros, e.from+item*largePage)) }

func (f *making) write(data []byte, at int) error {
	_, err := f.file.WriteAt(data, int64(at))
	return err
}

// tile packs a tile of the matrix that was added last and writes it.
func (f *making) tile(p *packing, tile, worker int) {
	m, e := p.m, &f.matrices[len(f.matrices)-1]
	f.tiles[worker] = resize(f.tiles[worker], m.tileWeights+m.tileScales)
	weights, scales := f.tiles[worker][:m.tileWeights], f.tiles[worker][m.tileWeights:]
	if (tile+1)*tileRows > m.rows {
		clear(f.tiles[worker])
	}
	p.tile(weights, scales, tile)
	f.fail(f.write(weights, e.Weights+tile*m.tileWeights))
	f.fail(f.write(scales, e.Scales+tile*m.tileScales))
}

// fail keeps a worker's error.
func (f *making) fail(err error) {
	if err != nil {
		f.failed.Store(&err)
	}
}

func (f *making) failure() error {
	if err := f.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// place maps the large pages in which a matrix lies.
func (f *making) place(m *matrix, e cacheMatrix) error {
	first := e.Weights / largePage * largePage
	part, err := mapPart(f.file.Fd(), first, e.Scales+m.tiles()*m.tileScales-first)
	if err != nil {
		return err
	}
	f.parts = append(f.parts, part)
	m.point(part, e.Weights-first, e.Scales-first)
	return nil
}

// point gives a matrix its weights and scales in data.
func (m *matrix) point(data []byte, weights, scales int) {
	w, s := m.tiles()*m.tileWeights, m.tiles()*m.tileScales
	m.weights, m.scales = data[weights:][:w:w], data[scales:][:s:s]
}

// join maps the file as a whole: as parts, a page that two matrices share counts twice.
func (c *cache) join(memory *memory) error {
	f := &c.making
	whole, err := mapPart(f.file.Fd(), 0, f.bytes)
	if err != nil {
		return err
	}
	memory.maps = append(memory.maps, whole)
	for i, e := range f.matrices {
		c.packed[i].point(whole, e.Weights, e.Scales)
	}
	return f.free()
}

// free unmaps the parts.
func (f *making) free() error {
	parts := f.parts
	f.parts = nil
	var errs []error
	for _, part := range parts {
		errs = append(errs, unmapBytes(part))
	}
	return errors.Join(errs...)
}

// abandon removes what is not finished.
func (f *making) abandon() error {
	f.over = true
	if f.file == nil {
		return nil
	}
	file := f.file
	f.file = nil
	return errors.Join(file.Close(), os.Remove(file.Name()))
}

// PackedBytes is the size of all packed weights.
func (b *Backend) PackedBytes() int { return b.cache.bytes }

// SaveCache keeps the packed weights in Options.CacheFolder for the next start, unless a file there was used. Call it when
// all matrices are made. It removes those of other versions. An error means that the next start packs again, or tells why a file that was
// there was not used; the backend works all the same.
func (b *Backend) SaveCache() error {
	c := &b.cache
	if c.making.file != nil {
		if err := c.save(b.pool, &b.memory); err != nil {
			c.making.err = errors.Join(fmt.Errorf("write packed weights %s: %w", c.path(), err), c.making.abandon())
		}
	}
	return errors.Join(c.refused, c.making.err)
}

// save ends the file and gives it its name.
func (c *cache) save(p *pool, memory *memory) error {
	f := &c.making
	if err := f.finish(p, c.want); err != nil {
		return err
	}
	if err := c.join(memory); err != nil {
		return err
	}
	if err := os.Rename(f.file.Name(), c.path()); err != nil {
		return err
	}
	f.over = true
	err := f.file.Close()
	f.file = nil
	names, listErr := filesOf(c.folder, c.want.Model+".", ".packed")
	err = errors.Join(err, listErr)
	for _, name := range names {
		path := filepath.Join(c.folder, name)
		if strings.Contains(name, "."+c.want.Level+".") && path != c.path() {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

// finish digests the data and appends the manifest.
func (f *making) finish(p *pool, m manifest) error {
	if err := f.file.Truncate(int64(f.bytes)); err != nil {
		return err
	}
	m.Bytes, m.Matrices = f.bytes, f.matrices
	m.Chunks = make([][]byte, (f.bytes+cacheChunk-1)/cacheChunk)
	p.run(&digestion{f, m.Chunks}, len(m.Chunks))
	if err := f.failure(); err != nil {
		return err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	tail := append(le.AppendUint64(sum[:], uint64(len(text))), cacheMagic...)
	return f.write(append(text, tail...), f.bytes)
}

// digestion is the task of computing the chunks' digests. It reads the file, since mapped pages would count as memory of
// the process.
type digestion struct {
	file   *making
	chunks [][]byte
}

func (d *digestion) run(item, worker int) {
	f := d.file
	first := item * cacheChunk
	f.tiles[worker] = resize(f.tiles[worker], cacheChunk)
	chunk := f.tiles[worker][:min(cacheChunk, f.bytes-first)]
	if _, err := f.file.ReadAt(chunk, int64(first)); err != nil && !errors.Is(err, io.EOF) {
		f.fail(err)
	}
	sum := sha256.Sum256(chunk)
	d.chunks[item] = sum[:]
}
