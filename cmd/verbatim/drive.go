package main

import (
	"context"
	"path/filepath"
	"sync"

	"verbatim/cu/arweave"
	"verbatim/cu/drive"
	"verbatim/cu/eval"
)

// driveBytes is how much of what processes read is kept on disk, unless a flag says otherwise.
const driveBytes = 16 << 30

// openDrive opens a drive that keeps what it fetches in a folder of the data folder.
func (n *network) openDrive(client *arweave.Client, folder string, bytesMax int64) (*drive.Drive, error) {
	return drive.New(client, filepath.Join(n.data, folder), bytesMax)
}

// lateDrive is a drive for commands that mostly need none: it is opened when something is read.
func (n *network) lateDrive() func() (*drive.Drive, error) {
	return sync.OnceValues(func() (*drive.Drive, error) {
		client, err := arweave.New(arweave.Options{Gateway: n.gateway})
		if err != nil {
			return nil, err
		}
		return n.openDrive(client, "drive-of-commands", driveBytes)
	})
}

// contents finds what a process read again.
func (n *network) contents() func(ctx context.Context, name string) (*eval.Content, error) {
	open := n.lateDrive()
	return func(ctx context.Context, name string) (*eval.Content, error) {
		d, err := open()
		if err != nil {
			return nil, err
		}
		return d.Contents(ctx, name)
	}
}
