package arweave

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"

	"verbatim/cu/ao"
	"verbatim/cu/dataitem"
)

// blockBytesMax is the longest JSON of a block.
const blockBytesMax = 16 << 20

// Transaction fetches a transaction of the base layer, verified, without data that it does not show itself, and the JSON in
// which the gateway gave it. ErrUnverified says that the gateway has one that this package cannot verify: of a later kind,
// or made up from an item in a bundle.
func (c *Client) Transaction(ctx context.Context, id ao.ID) (*dataitem.Transaction, []byte, error) {
	raw, err := c.get(ctx, "/tx/"+id.String(), dataitem.TransactionBytesMax)
	if err != nil {
		return nil, nil, fmt.Errorf("fetch transaction %s: %w", id, err)
	}
	transaction, err := dataitem.ParseTransaction(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("fetch transaction %s: %w: %w", id, ErrMalformed, err)
	}
	if got := transaction.ID(); got != id {
		return nil, nil, fmt.Errorf("fetch transaction %s: %w: transaction %s", id, ErrForged, got)
	}
	if err := transaction.Verify(); err != nil {
		return transaction, raw, fmt.Errorf("fetch transaction %s: %w: %w", id, ErrUnverified, err)
	}
	return transaction, raw, nil
}

// Block fetches the JSON of a block, by its height or by its hash. Nothing of it is verified.
func (c *Client) Block(ctx context.Context, heightOrHash string) ([]byte, error) {
	path := "/block/height/"
	if len(heightOrHash) > len("18446744073709551615") {
		path = "/block/hash/"
	}
	raw, err := c.get(ctx, path+heightOrHash, blockBytesMax)
	if err != nil {
		return nil, fmt.Errorf("fetch block %s: %w", heightOrHash, err)
	}
	return raw, nil
}

// covers checks that data is what a verified transaction signs.
func covers(transaction *dataitem.Transaction, data io.Reader, dataBytes int64) error {
	forged := func(why string) error { return fmt.Errorf("%w: %d bytes of data: %s", ErrForged, dataBytes, why) }
	if transaction.Format == 1 {
		got, err := io.ReadAll(io.LimitReader(data, int64(len(transaction.Data))+1))
		if err == nil && !bytes.Equal(got, transaction.Data) {
			err = forged("the transaction shows other data")
		}
		return err
	}
	if dataBytes != transaction.DataSize {
		return forged(fmt.Sprintf("the transaction signs a size of %d", transaction.DataSize))
	}
	if dataBytes == 0 && len(transaction.DataRoot) == 0 {
		return nil
	}
	root, err := dataitem.DataRoot(data, dataBytes)
	if err == nil && !bytes.Equal(root[:], transaction.DataRoot) {
		err = forged("the transaction signs another root of the tree over it")
	}
	return err
}

func fetchedTransaction(t *dataitem.Transaction) Fetched {
	return Fetched{
		ID: t.ID(), Owner: t.Address(), Target: t.TargetText(), Anchor: t.Anchor, Tags: t.Tags,
		Signature: base64.RawURLEncoding.EncodeToString(t.Signature), Verified: true,
	}
}
