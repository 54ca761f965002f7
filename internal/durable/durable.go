// Package durable makes files that a crash cannot leave half written: a file gets its name when all of it is on stable
// storage, and replaces at once what had the name before.
//
// It leaves unfinished files behind only if the program dies; their names end in ".part-" and digits, and nothing reads
// them.
package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// File is a file that has no name yet.
type File struct {
	*os.File
	path string
	over bool
}

// Create makes a file that Commit gives the name path, with these permissions.
func Create(path string, mode fs.FileMode) (*File, error) {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".part-*")
	if err != nil {
		return nil, err
	}
	f := &File{File: file, path: path}
	if err := file.Chmod(mode); err != nil {
		return nil, errors.Join(err, f.Discard())
	}
	return f, nil
}

// Commit gives the file its name and closes it. When it returns without error, a crash cannot undo it; with an error, the
// file is gone, or has its name and a crash may undo that.
func (f *File) Commit() error {
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Discard())
	}
	if err := os.Rename(f.Name(), f.path); err != nil {
		return errors.Join(err, f.Discard())
	}
	f.over = true
	return errors.Join(f.Close(), SyncFolder(filepath.Dir(f.path)))
}

// Discard closes and removes the file. After Commit it does nothing.
func (f *File) Discard() error {
	if f.over {
		return nil
	}
	f.over = true
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// Write makes a file of what fill writes.
func Write(path string, mode fs.FileMode, fill func(io.Writer) error) error {
	f, err := Create(path, mode)
	if err != nil {
		return err
	}
	if err := fill(f); err != nil {
		return errors.Join(err, f.Discard())
	}
	return f.Commit()
}

// SyncFolder makes the names in a folder durable.
func SyncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
