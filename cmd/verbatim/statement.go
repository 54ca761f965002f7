package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"verbatim/cu/receipt"
	"verbatim/inference"
	"verbatim/inference/transcript"
)

// prepareStatement reads the key and makes sure that path can be written, before the model works for a receipt that would be
// lost.
func prepareStatement(path, keyPath string) (ed25519.PrivateKey, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("write the receipt: %s is not a regular file", path)
	}
	probe, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part")
	if err != nil {
		return nil, fmt.Errorf("write the receipt: %w", err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return nil, fmt.Errorf("write the receipt: %w", err)
	}
	return loadKey(keyPath)
}

// writeStatement signs a transcript and keeps it as a file.
func writeStatement(path string, key ed25519.PrivateKey, engine *inference.Engine, t *transcript.Transcript) error {
	encoded, err := transcript.Encode(t)
	if err != nil {
		return err
	}
	info := engine.Backend()
	s := receipt.Statement{Transcript: encoded, Device: info.Name + " " + info.Level, Build: build()}
	s.Sign(key)
	file, err := s.Encode()
	if err != nil {
		return err
	}
	if err := keepFile(path, file, 0o644); err != nil {
		return fmt.Errorf("write the receipt: %w", err)
	}
	return nil
}
