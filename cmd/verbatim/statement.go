package main

import (
	"fmt"

	"verbatim/cu/receipt"
	"verbatim/inference"
	"verbatim/inference/transcript"
)

// writeStatement signs a transcript and keeps it as a file.
func writeStatement(path, keyPath string, engine *inference.Engine, t *transcript.Transcript) error {
	key, err := loadKey(keyPath)
	if err != nil {
		return err
	}
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
	if err := writeFileAtomically(path, file, 0o644); err != nil {
		return fmt.Errorf("write the receipt: %w", err)
	}
	return nil
}
