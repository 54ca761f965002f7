package audit

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"verbatim/cu/dataitem"
	"verbatim/cu/eval"
	"verbatim/cu/replay"
)

// itemFile is the file of a signed data item.
type itemFile struct {
	path        string
	headerBytes int64
	dataBytes   int64
	digest      [sha256.Size]byte // of the data
}

// contents finds what processes read: first among files of signed items, each of which is verified here and now.
func contents(paths []string, others replay.Contents) (replay.Contents, error) {
	items := map[string]itemFile{}
	for _, path := range paths {
		name, item, err := readItem(path)
		if err != nil {
			return nil, fmt.Errorf("read item %s: %w", path, err)
		}
		items[name] = item
	}
	if len(items) == 0 {
		return others, nil
	}
	return func(ctx context.Context, name string) (*eval.Content, error) {
		if item, ok := items[name]; ok {
			return item.open()
		}
		if others == nil {
			return nil, fmt.Errorf("%w: %s", replay.ErrNoContent, name)
		}
		return others(ctx, name)
	}, nil
}

// readItem verifies a file and gives the name by which processes read its data.
func readItem(path string) (name string, item itemFile, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", item, err
	}
	defer file.Close()
	from := bufio.NewReaderSize(file, 1<<16)
	prefix, err := from.Peek(dataitem.HeaderBytesMax)
	if err != nil && err != io.EOF {
		return "", item, err
	}
	header, headerBytes, err := dataitem.ParseHeader(append([]byte(nil), prefix...))
	if err != nil {
		return "", item, err
	}
	if _, err := from.Discard(headerBytes); err != nil {
		return "", item, err
	}
	digest := sha256.New()
	dataBytes, err := header.VerifyStream(io.TeeReader(from, digest))
	return "/data/" + header.ID().String(), itemFile{path, int64(headerBytes), dataBytes, [sha256.Size]byte(digest.Sum(nil))}, err
}

func (f itemFile) open() (*eval.Content, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	return &eval.Content{SectionReader: io.NewSectionReader(file, f.headerBytes, f.dataBytes), SHA256: f.digest, Close: file.Close}, nil
}
