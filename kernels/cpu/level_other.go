//go:build (!amd64 && !arm64) || purego

package cpu

import "runtime"

// levels lists what this build can run.
func levels() []*level { return []*level{&generic} }

func pauseShort() { runtime.Gosched() }
