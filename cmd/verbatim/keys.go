package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"verbatim/cu/ao"
	"verbatim/cu/arweave"
	"verbatim/cu/dataitem"
	"verbatim/internal/durable"
)

// defaultDataPath is where this user's keys, models and logs live.
func defaultDataPath() string {
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "verbatim")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "verbatim-data"
	}
	return filepath.Join(home, ".local", "share", "verbatim")
}

func defaultKeyPath() string { return filepath.Join(defaultDataPath(), "key.json") }

func modelFolder(data string) string { return filepath.Join(data, "models") }

// loadKey reads the key that signs receipts, and makes it the first time. A crash while it is made leaves no half key.
func loadKey(path string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the signing key: %w", err)
	}
	wallet, err := dataitem.ParseJWK(text)
	if err != nil {
		return nil, fmt.Errorf("read the signing key %s: %w", path, err)
	}
	signer, ok := wallet.(*dataitem.Ed25519Signer)
	if !ok {
		return nil, fmt.Errorf("read the signing key %s: it must be a JSON Web Key of type OKP with curve Ed25519", path)
	}
	return signer.PrivateKey(), nil
}

func makeKey(path string) (ed25519.PrivateKey, error) {
	signer, err := dataitem.GenerateEd25519()
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	text, err := dataitem.MarshalJWK(signer)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	if err := keepFile(path, append(text, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	return signer.PrivateKey(), nil
}

// keepFile leaves either the old file or the whole new one.
func keepFile(path string, data []byte, mode fs.FileMode) error {
	return durable.Write(path, mode, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// fetchModel writes the data of a transaction to w, after the gateway's answer was verified as a whole.
func (n *network) fetchModel(ctx context.Context, id string, w io.Writer) error {
	parsed, err := ao.ParseID(id)
	if err != nil {
		return err
	}
	client, err := arweave.New(arweave.Options{Gateway: n.gateway})
	if err != nil {
		return err
	}
	// Beside the models, since a model may be larger than the folder for temporary files.
	if err := os.MkdirAll(modelFolder(n.data), 0o755); err != nil {
		return err
	}
	folder, err := os.MkdirTemp(modelFolder(n.data), "download-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "data")
	if _, err := client.FetchFile(ctx, parsed, path, arweave.FileBytesMax); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
