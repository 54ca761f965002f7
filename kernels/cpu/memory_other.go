//go:build !linux

package cpu

import "errors"

func mapBytes(int) []byte { return nil }

func unmapBytes([]byte) error { return nil }

const canMapFiles = false

func mapFile(string, string) ([]byte, error) { return nil, errors.ErrUnsupported }

func mapPart(uintptr, int, int) ([]byte, error) { return nil, errors.ErrUnsupported }

func releaseFile([]byte) {}

func checkFolder(string) error { return errors.ErrUnsupported }
