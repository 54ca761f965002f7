package arweave

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
	"verbatim/internal/fetch"
)

// File is an item whose data went to a file.
type File struct {
	Fetched                     // without Data
	SHA256    [sha256.Size]byte // of the data
	DataBytes int64
}

// FetchFile reads an item whose data may be larger than memory, a model for instance, into the file path. The file appears
// only when the whole item has arrived; a crash leaves at most a file with the suffix .part, which the next call replaces.
// A verified item is verified before the file appears.
func (c *Client) FetchFile(ctx context.Context, id ao.ID, path string) (file File, err error) {
	part, err := os.OpenFile(path+".part", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return File{}, fmt.Errorf("fetch %s to a file: %w", id, err)
	}
	defer os.Remove(part.Name())
	defer part.Close()
	file, err = c.fetchItemFile(ctx, id, part)
	if errors.Is(err, ErrNotFound) || errors.Is(err, dataitem.ErrFormat) {
		file, err = c.assembleFile(ctx, id, part)
	}
	if err == nil {
		err = part.Sync()
	}
	if err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	}
	if err != nil {
		return File{}, fmt.Errorf("fetch %s to %s: %w", id, path, err)
	}
	return file, nil
}

// fetchItemFile takes the signed item apart while it arrives: header to memory, data to the file and through the hashes.
func (c *Client) fetchItemFile(ctx context.Context, id ao.ID, to *os.File) (file File, err error) {
	err = c.stream(ctx, "/item/"+id.String(), to, func(body *bufio.Reader) error {
		// An item may be shorter than the longest header.
		prefix, err := body.Peek(dataitem.HeaderBytesMax)
		if err != nil && err != io.EOF {
			return err
		}
		item, headerBytes, err := dataitem.ParseHeader(bytes.Clone(prefix)) // body reuses its buffer
		if err != nil {
			return err
		}
		if item.ID() != id {
			return fmt.Errorf("%w: item %s", ErrForged, item.ID())
		}
		if _, err := body.Discard(headerBytes); err != nil {
			return err
		}
		digest := sha256.New()
		dataBytes, err := item.VerifyStream(io.TeeReader(body, io.MultiWriter(to, digest)))
		if errors.Is(err, dataitem.ErrSignature) {
			err = fmt.Errorf("%w: %w", ErrForged, err)
		}
		file = File{fetched(item), [sha256.Size]byte(digest.Sum(nil)), dataBytes}
		return err
	})
	return file, err
}

func (c *Client) assembleFile(ctx context.Context, id ao.ID, to *os.File) (file File, err error) {
	entry, err := c.entry(ctx, id)
	if err != nil {
		return File{}, err
	}
	file.Fetched = entry.unverified(id, nil)
	err = c.stream(ctx, "/raw/"+id.String(), to, func(body *bufio.Reader) error {
		digest := sha256.New()
		file.DataBytes, err = io.Copy(io.MultiWriter(to, digest), body)
		file.SHA256 = [sha256.Size]byte(digest.Sum(nil))
		return err
	})
	if err != nil {
		return File{}, err
	}
	for _, item := range entry.candidates() {
		if item.ID() != id {
			continue
		}
		if _, err := to.Seek(0, io.SeekStart); err != nil {
			return File{}, err
		}
		if _, err := item.VerifyStream(bufio.NewReader(to)); err == nil {
			file.Fetched = fetched(item)
			break
		}
	}
	return file, nil
}

// stream gives the body of an answer to use, each attempt with an empty file.
func (c *Client) stream(ctx context.Context, path string, to *os.File, use func(*bufio.Reader) error) error {
	return notFound(c.each(ctx, func(gateway string) error { return c.streamOne(ctx, gateway+path, to, use) }))
}

func (c *Client) streamOne(ctx context.Context, address string, to *os.File, use func(*bufio.Reader) error) error {
	return c.fetch.Stream(ctx, fetch.Request{Method: http.MethodGet, URL: address}, func(answer *http.Response) error {
		if err := to.Truncate(0); err != nil {
			return err
		}
		if _, err := to.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if answer.ContentLength > FileBytesMax {
			return fmt.Errorf("%w: %d bytes, limit %d", fetch.ErrTooLarge, answer.ContentLength, int64(FileBytesMax))
		}
		limited := &io.LimitedReader{R: answer.Body, N: FileBytesMax + 1}
		err := use(bufio.NewReaderSize(limited, 1<<16))
		if err == nil && limited.N <= 0 {
			err = fmt.Errorf("%w: more than %d bytes", fetch.ErrTooLarge, int64(FileBytesMax))
		}
		return err
	})
}

// cache keeps verified items, each in a file named by its id. What is damaged there is fetched again.
type cache struct{ folder string }

func openCache(folder string) (cache, error) {
	if folder != "" {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return cache{}, fmt.Errorf("make the cache folder: %w", err)
		}
	}
	return cache{folder}, nil
}

// load gives an item that is there and verifies, or nil.
func (c cache) load(id ao.ID) *dataitem.Item {
	if c.folder == "" {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(c.folder, id.String()))
	if err != nil {
		return nil
	}
	item, err := dataitem.Parse(raw)
	if err != nil || item.ID() != id || item.Verify() != nil {
		return nil
	}
	return item
}

// save writes a verified item. A crash in the middle leaves a file that load does not look at.
func (c cache) save(id ao.ID, raw []byte) error {
	if c.folder == "" {
		return nil
	}
	part, err := os.CreateTemp(c.folder, "part-*")
	if err != nil {
		return fmt.Errorf("cache %s: %w", id, err)
	}
	defer os.Remove(part.Name())
	_, err = part.Write(raw)
	if errClose := part.Close(); err == nil {
		err = errClose
	}
	if err == nil {
		err = os.Rename(part.Name(), filepath.Join(c.folder, id.String()))
	}
	if err != nil {
		return fmt.Errorf("cache %s: %w", id, err)
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
