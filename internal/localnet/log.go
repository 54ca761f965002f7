package localnet

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// lineLog is an append-only file of lines, each on disk before append returns.
type lineLog struct {
	file   *os.File
	broken error // after a failed write nobody knows what is on disk; a new start finds out
}

// openLog gives every whole line of a file to each and leaves the file ready for more. A last line without its end is what a
// crash in the middle of append leaves: it was never acknowledged, and it goes.
func openLog(path string, each func(line []byte) error) (*lineLog, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(file)
	if err != nil {
		file.Close()
		return nil, err
	}
	whole := bytes.LastIndexByte(content, '\n') + 1
	for number := 1; len(content) > 0 && err == nil; number++ {
		line, rest, ended := bytes.Cut(content, []byte{'\n'})
		if !ended {
			break
		}
		if err = each(line); err != nil {
			err = fmt.Errorf("%s line %d: %w", path, number, err)
		}
		content = rest
	}
	if err == nil {
		err = file.Truncate(int64(whole))
	}
	if err == nil {
		_, err = file.Seek(int64(whole), io.SeekStart)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return &lineLog{file: file}, nil
}

// append writes a line and waits for the disk. A crash before it returns leaves the line whole, or in part, or not at all.
func (l *lineLog) append(line []byte) error {
	if l.broken != nil {
		return l.broken
	}
	_, err := l.file.Write(append(bytes.Clone(line), '\n'))
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		l.broken = fmt.Errorf("append to %s: %w; start again to go on", l.file.Name(), err)
	}
	return l.broken
}

func (l *lineLog) close() error { return l.file.Close() }
