package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"verbatim/cu/receipt"
	"verbatim/inference/transcript"
	"verbatim/models/tokenizer"
)

// forgeLog writes the log anew as a liar would: the last answer of a model has another token in its middle, and all
// receipts are signed with the liar's own key. Every checksum, signature and digest of the new log holds.
func forgeLog(log []byte, folder string) ([]byte, error) {
	entries, modules, err := readLog(log)
	if err != nil {
		return nil, err
	}
	if err := changeAnswer(entries); err != nil {
		return nil, err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	store, err := receipt.OpenFolder(folder)
	if err != nil {
		return nil, err
	}
	forged, _, err := receipt.OpenLog(store, key)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	for _, wasm := range modules {
		err = errors.Join(err, forged.AppendModule(wasm))
	}
	for _, e := range entries {
		if err == nil {
			_, err = forged.Append(*e.Receipt, e.Message, e.Env, e.Result)
		}
	}
	if err = errors.Join(err, forged.Close()); err != nil {
		return nil, fmt.Errorf("forge a log: %w", err)
	}
	return os.ReadFile(filepath.Join(folder, receipt.LogName))
}

func readLog(log []byte) (entries []*receipt.Entry, modules [][]byte, err error) {
	reader, err := receipt.NewReader(bytes.NewReader(log), int64(len(log)))
	if err != nil {
		return nil, nil, err
	}
	for {
		record, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			return entries, modules, nil
		case err != nil:
			return nil, nil, err
		case record.Entry != nil:
			entries = append(entries, record.Entry)
		default:
			modules = append(modules, record.Module)
		}
	}
}

// changeAnswer puts another token into the middle of the last answer.
func changeAnswer(entries []*receipt.Entry) error {
	for i := len(entries) - 1; i >= 0; i-- {
		r := entries[i].Receipt
		if len(r.Inferences) == 0 || r.Inferences[0].Transcript == nil {
			continue
		}
		t, err := transcript.Decode(r.Inferences[0].Transcript)
		if err != nil {
			return err
		}
		at := len(t.Output) / 2
		t.Output[at] = (t.Output[at] + 1) % tokenizer.Token(300)
		r.Inferences[0].Transcript, err = transcript.Encode(t)
		return err
	}
	return errors.New("no receipt holds an answer of a model")
}
