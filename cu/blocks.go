package cu

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"verbatim/cu/cron"
)

// blocks remembers when blocks were made, for crons: a run of heights without a gap.
type blocks struct {
	mu    sync.Mutex // never held during I/O
	known []cron.Point
}

// blocksBetween gives the blocks from a height on that were made before a time, as far as the archive knows them.
func (u *Unit) blocksBetween(ctx context.Context, height, until int64) ([]cron.Point, error) {
	known := u.blocks.from(height)
	next := height
	if n := len(known); n > 0 {
		if known[n-1].Timestamp >= until {
			return known, nil
		}
		next = known[n-1].Height + 1
	}
	more, err := u.config.Archive.Blocks(ctx, next, until)
	if err != nil {
		return nil, fmt.Errorf("fetch blocks from height %d on: %w", next, upstream(err))
	}
	for i, block := range more {
		if block.Height != next+int64(i) {
			return nil, fmt.Errorf("%w: the archive lists block %d where block %d is next", ErrUpstream, block.Height, next+int64(i))
		}
	}
	found := append(known, more...)
	u.blocks.learn(found)
	return found, nil
}

// from gives what is known from a height on; nothing if that height is not known. The slice may be appended to.
func (b *blocks) from(height int64) []cron.Point {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.known) == 0 || height < b.known[0].Height || height > b.known[len(b.known)-1].Height {
		return nil
	}
	return slices.Clip(b.known[height-b.known[0].Height:])
}

// learn takes a run of blocks in: it makes what is known longer, or replaces it where the two do not touch.
func (b *blocks) learn(run []cron.Point) {
	if len(run) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	first, n := run[0].Height, len(b.known)
	if n == 0 || first < b.known[0].Height || first > b.known[n-1].Height+1 {
		b.known = run
		return
	}
	if last := b.known[n-1].Height; run[len(run)-1].Height > last {
		b.known = append(slices.Clip(b.known), run[last+1-first:]...)
	}
}
