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
	"verbatim/internal/durable"
	"verbatim/internal/fetch"
)

// File is an item whose data went to a file.
type File struct {
	Fetched                     // without Data
	SHA256    [sha256.Size]byte // of the data
	DataBytes int64
}

// FetchFile reads an item whose data may be larger than memory, a model for instance, into the file path: at most bytesMax
// bytes of it. The file appears only when the whole item has arrived. A verified item is verified before the file appears.
func (c *Client) FetchFile(ctx context.Context, id ao.ID, path string, bytesMax int64) (file File, err error) {
	to, err := durable.Create(path, 0o644)
	if err != nil {
		return File{}, fmt.Errorf("fetch %s to a file: %w", id, err)
	}
	file, err = c.fetchItemFile(ctx, id, to.File, bytesMax)
	if errors.Is(err, ErrNotFound) || errors.Is(err, dataitem.ErrFormat) {
		file, err = c.assembleFile(ctx, id, to.File, bytesMax)
	}
	if err == nil {
		err = to.Commit()
	}
	if err != nil {
		return File{}, fmt.Errorf("fetch %s to %s: %w", id, path, errors.Join(err, to.Discard()))
	}
	return file, nil
}

// fetchItemFile takes the signed item apart while it arrives: header to memory, data to the file and through the hashes.
func (c *Client) fetchItemFile(ctx context.Context, id ao.ID, to *os.File, bytesMax int64) (file File, err error) {
	err = c.stream(ctx, "/item/"+id.String(), to, bytesMax+dataitem.HeaderBytesMax, func(body *bufio.Reader) error {
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
		if err == nil && dataBytes > bytesMax { // the stream's limit leaves room for the longest header
			err = fmt.Errorf("%w: %d bytes, limit %d", fetch.ErrTooLarge, dataBytes, bytesMax)
		}
		file = File{fetched(item), [sha256.Size]byte(digest.Sum(nil)), dataBytes}
		return err
	})
	return file, err
}

// assembleFile takes the data from /raw, and what signs it from the index or, of the base layer, from the transaction.
func (c *Client) assembleFile(ctx context.Context, id ao.ID, to *os.File, bytesMax int64) (file File, err error) {
	entry, err := c.entry(ctx, id)
	if err != nil {
		return File{}, err
	}
	file.Fetched = entry.unverified(id, nil)
	err = c.stream(ctx, "/raw/"+id.String(), to, bytesMax, func(body *bufio.Reader) error {
		digest := sha256.New()
		file.DataBytes, err = io.Copy(io.MultiWriter(to, digest), body)
		file.SHA256 = [sha256.Size]byte(digest.Sum(nil))
		return err
	})
	if err != nil {
		return File{}, err
	}
	data := func() (io.Reader, error) {
		_, err := to.Seek(0, io.SeekStart)
		return bufio.NewReaderSize(to, 1<<16), err
	}
	if signed, err := c.signed(ctx, entry, id, data, file.DataBytes); err != nil {
		return File{}, err
	} else if signed != nil {
		file.Fetched = *signed
	}
	return file, nil
}

// signed gives who signed data, and what else they signed; nil if a gateway has nothing that says it. Data is read again for
// each way in which it may be signed.
func (c *Client) signed(ctx context.Context, entry indexEntry, id ao.ID, data func() (io.Reader, error), dataBytes int64) (*Fetched, error) {
	for _, item := range entry.candidates() {
		if item.ID() != id {
			continue
		}
		from, err := data()
		if err != nil {
			return nil, err
		}
		if _, err := item.VerifyStream(from); err == nil {
			fetched := fetched(item)
			return &fetched, nil
		}
	}
	transaction, _, err := c.Transaction(ctx, id)
	var status *fetch.StatusError
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnverified) || errors.As(err, &status) && status.Status == http.StatusBadRequest {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	from, err := data()
	if err != nil {
		return nil, err
	}
	if err := covers(transaction, from, dataBytes); err != nil {
		return nil, err
	}
	fetched := fetchedTransaction(transaction)
	return &fetched, nil
}

// stream gives the body of an answer to use, each attempt with an empty file.
func (c *Client) stream(ctx context.Context, path string, to *os.File, bytesMax int64, use func(*bufio.Reader) error) error {
	return notFound(c.each(ctx, func(gateway string) error { return c.streamOne(ctx, gateway+path, to, bytesMax, use) }))
}

func (c *Client) streamOne(ctx context.Context, address string, to *os.File, bytesMax int64, use func(*bufio.Reader) error) error {
	return c.fetch.Stream(ctx, fetch.Request{Method: http.MethodGet, URL: address, Resumes: true}, func(answer *http.Response) error {
		if err := to.Truncate(0); err != nil {
			return err
		}
		if _, err := to.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if answer.ContentLength > bytesMax {
			return fmt.Errorf("%w: %d bytes, limit %d", fetch.ErrTooLarge, answer.ContentLength, bytesMax)
		}
		limited := &io.LimitedReader{R: answer.Body, N: bytesMax + 1}
		err := use(bufio.NewReaderSize(limited, 1<<16))
		if err == nil && limited.N <= 0 {
			err = fmt.Errorf("%w: more than %d bytes", fetch.ErrTooLarge, bytesMax)
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

// save writes a verified item. One that cannot be kept, because the disk is full for instance, is fetched again.
func (c cache) save(id ao.ID, raw []byte) {
	if c.folder == "" {
		return
	}
	_ = durable.Write(filepath.Join(c.folder, id.String()), 0o644, func(w io.Writer) error {
		_, err := w.Write(raw)
		return err
	})
}
