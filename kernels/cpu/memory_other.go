//go:build !linux

package cpu

func mapBytes(int) []byte { return nil }

func unmapBytes([]byte) error { return nil }
