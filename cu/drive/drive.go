// Package drive is the drive of ao processes: data, transactions and blocks of Arweave as files that a module opens. It
// decides what a process may read, fetches it, verifies it against its name, and keeps data on disk.
//
// Invariants: data comes from here only if its owner's signature, or that of a transaction, covers it; a failure to reach a
// gateway is an error and never "no such file"; memory use does not grow with the size of what is read; what lies on disk is
// digested again before its first use by this daemon.
//
// The package does not record what it answered: package eval does. Blocks, and the heights at which items were attested, are
// believed: nothing that a gateway gives proves them.
package drive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"verbatim/cu/ao"
	"verbatim/cu/arweave"
	"verbatim/cu/eval"
	"verbatim/cu/replay"
)

// Drive answers from gateways and from its folder. It is safe for concurrent use.
type Drive struct {
	client   *arweave.Client
	store    *store
	admitted admissions
}

// New gives a drive that keeps data in a folder, at most bytesMax bytes of it. Larger items cannot be read.
func New(client *arweave.Client, folder string, bytesMax int64) (*Drive, error) {
	store, err := openStore(client, folder, bytesMax)
	return &Drive{client: client, store: store}, err
}

// Open implements the half of eval.Provider that is about the drive.
func (d *Drive) Open(ctx context.Context, o eval.Opening) (*eval.Content, error) {
	part := o.Part()
	if strings.HasPrefix(o.Name, "/block/") {
		return present(d.block(ctx, part))
	}
	id, err := ao.ParseID(part)
	if err != nil {
		return nil, fmt.Errorf("drive: internal error: %s was asked for: %w", o.Name, err)
	}
	if strings.HasPrefix(o.Name, "/tx/") {
		return present(d.transaction(ctx, id))
	}
	if o.Admission != nil {
		if ok, err := d.admits(ctx, id, *o.Admission); err != nil || !ok {
			return nil, err
		}
	}
	return present(d.store.open(ctx, id))
}

// Contents implements replay.Contents.
func (d *Drive) Contents(ctx context.Context, name string) (*eval.Content, error) {
	part, ok := strings.CutPrefix(name, "/data/")
	id, err := ao.ParseID(part)
	if !ok || err != nil {
		return nil, fmt.Errorf("%w: %q does not say what it stands for", replay.ErrNoContent, name)
	}
	content, err := d.store.open(ctx, id)
	if errors.Is(err, arweave.ErrNotFound) {
		err = fmt.Errorf("%w: %w", replay.ErrNoContent, err)
	}
	return content, err
}

// present makes nothing of what no gateway has.
func present(content *eval.Content, err error) (*eval.Content, error) {
	if errors.Is(err, arweave.ErrNotFound) {
		return nil, nil
	}
	return content, err
}

// block gives a block as its gateway shows it, as text.
func (d *Drive) block(ctx context.Context, heightOrHash string) (*eval.Content, error) {
	raw, err := d.client.Block(ctx, heightOrHash)
	if err != nil {
		return nil, err
	}
	return inMemory([]byte(ao.ValidText(bytes.TrimPrefix(raw, []byte("\ufeff"))))), nil
}

// transaction gives the header of a transaction with the address of its owner. One that its id does not bind is not there:
// that much the id does prove, so that the answer is the same everywhere.
func (d *Drive) transaction(ctx context.Context, id ao.ID) (*eval.Content, error) {
	transaction, raw, err := d.client.Transaction(ctx, id)
	if errors.Is(err, arweave.ErrUnverified) && transaction.Unbound() {
		return nil, nil
	}
	if errors.Is(err, arweave.ErrUnverified) {
		// A gateway may show an item of a bundle in the form of a transaction.
		item, errItem := d.client.Fetch(ctx, id)
		if errItem != nil || !item.Verified || !showsItem(transaction, item) {
			return nil, err
		}
		err = nil
	}
	if err != nil {
		return nil, err
	}
	shown, err := withAddress(raw, transaction.Address())
	if err != nil {
		return nil, fmt.Errorf("transaction %s: %w: %w", id, arweave.ErrMalformed, err)
	}
	return inMemory(shown), nil
}

func inMemory(content []byte) *eval.Content {
	return &eval.Content{SectionReader: io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content)))}
}
