//go:build !linux

package bench

import "errors"

// peakOf is unknown here.
func peakOf(int) int64 { return 0 }

// processorSeconds is unknown here.
func processorSeconds() float64 { return 0 }

// processor is unknown here.
func processor() string { return "" }

func dropFromCache(string) error {
	return errors.New("a cold start can be measured on Linux only")
}
