package cu

import (
	"context"
	"fmt"
	"sync"

	"verbatim/cu/cron"
)

// blocks remembers when blocks were made, for crons: a run of heights without a gap.
type blocks struct {
	mu    sync.Mutex
	known []cron.Point
}

// blocksBetween gives the blocks from a height on that were made before a time, as far as the archive knows them.
func (u *Unit) blocksBetween(ctx context.Context, height, until int64) ([]cron.Point, error) {
	b := &u.blocks
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.known) > 0 && height < b.known[0].Height {
		b.known = nil
	}
	from := height
	if n := len(b.known); n > 0 {
		if from = b.known[n-1].Height + 1; height > from {
			b.known, from = nil, height
		}
	}
	if n := len(b.known); n == 0 || b.known[n-1].Timestamp < until {
		more, err := u.config.Archive.Blocks(ctx, from, until)
		if err != nil {
			return nil, fmt.Errorf("fetch blocks from height %d on: %w", from, upstream(err))
		}
		for i, block := range more {
			if block.Height != from+int64(i) {
				return nil, fmt.Errorf("%w: the archive lists block %d where block %d is next", ErrUpstream, block.Height, from+int64(i))
			}
		}
		b.known = append(b.known, more...)
	}
	if len(b.known) == 0 {
		return nil, nil
	}
	return b.known[min(height-b.known[0].Height, int64(len(b.known))):], nil
}
