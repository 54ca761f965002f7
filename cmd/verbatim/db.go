package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"verbatim/cu/index"
	"verbatim/cu/receipt"
)

func newDBCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "db",
		Short: "Look after what a compute unit keeps on disk",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newDBCheckCommand(), newDBCompactCommand())
	return cmd
}

func newDBCheckCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Read all receipts, with every checksum and signature, and compare the index with them",
		Long: `Check reads the log of receipts of a unit that is not running from its first byte, and compares what the index says with
it. It changes nothing. An index that is wrong may be deleted: the next start makes it anew from the log.

Exit codes: 0 all is well; 2 something is not, and what.`,
		Example: "  verbatim db check --data /var/lib/verbatim",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return checkDB(cmd.OutOrStdout(), data) },
	}
	cmd.Flags().StringVar(&data, "data", defaultDataPath(), "folder of the unit")
	return cmd
}

func newDBCompactCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "compact",
		Short: "Write the index anew without the room that is left in it",
		Long: `Compact makes the index of a unit that is not running as small as it can be. The log of receipts is never rewritten: what
was signed stays as it is.`,
		Example: "  verbatim db compact --data /var/lib/verbatim",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return compactDB(cmd.OutOrStdout(), data) },
	}
	cmd.Flags().StringVar(&data, "data", defaultDataPath(), "folder of the unit")
	return cmd
}

// openDB opens what a unit keeps, alone.
func openDB(data string) (receipt.Store, *index.Index, error) {
	folder := filepath.Join(data, "receipts")
	if _, err := os.Stat(filepath.Join(folder, receipt.LogName)); err != nil {
		return nil, nil, fmt.Errorf("no receipts here: %w", err)
	}
	store, err := receipt.OpenFolder(folder)
	if err != nil {
		return nil, nil, err
	}
	places, damaged, err := index.Open(folder)
	if err == nil && damaged != "" {
		err = errors.Join(fmt.Errorf("the index could not be read; it is kept as %s, and the next start makes another", damaged), places.Close())
	}
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return store, places, nil
}

func checkDB(w io.Writer, data string) error {
	store, places, err := openDB(data)
	if err != nil {
		return err
	}
	size, err := store.Log().Size()
	if err != nil {
		return errors.Join(err, places.Close(), store.Close())
	}
	bar := newProgress("reading receipts", -1)
	found, err := places.Check(store.Log(), size, func() { _ = bar.Add(1) })
	_ = bar.Finish()
	if err = errors.Join(err, places.Close(), store.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%d receipts of %d processes in %d records, %d bytes: all whole and signed; the index knows %d records and agrees\n",
		found.Receipts, found.Processes, found.Records, size, found.Indexed)
	return err
}

func compactDB(w io.Writer, data string) error {
	store, places, err := openDB(data)
	if err != nil {
		return err
	}
	before, after, err := places.Compact()
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "index: %d bytes, were %d\n", after, before)
	return err
}
