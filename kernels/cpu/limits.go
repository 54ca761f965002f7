package cpu

import (
	"math"
	"time"
)

// Limits are what this machine can do at best on the level and threads of a backend: the denominators of every speed.
// Zero means that the level has no loop to measure it.
type Limits struct {
	ReadBytes    float64 // bytes read from memory a second
	ByteProducts float64 // multiplications of bytes, with their addition, a second
	Products     float64 // multiplications of f32, with their addition, a second
}

// meters are loops that a level has for Limits.
type meters struct {
	read              func(p *byte, n uint64)
	bytes, floats     func(rounds uint64)
	perBytes, perLoop int // products a round
}

// metering is the task of running a loop on every thread.
type metering func(worker int)

func (m metering) run(item, _ int) { m(item) }

// MeasureLimits takes about 50 milliseconds for each limit, and reads a buffer of megabytes MiB a thread. No other work
// should run meanwhile.
func (b *Backend) MeasureLimits(megabytes int) Limits {
	var l Limits
	m := b.level.meters
	if m.read == nil {
		return l
	}
	const rounds = 1 << 16
	n := megabytes << 20
	buffers := make([][]byte, b.pool.threads)
	for i := range buffers {
		buffers[i] = alignedBytes(n + 8192)
		for j := 0; j < n; j += 4096 {
			buffers[i][j] = 1
		}
	}
	l.ReadBytes = b.rate(float64(n), func(worker int) { m.read(&buffers[worker][0], uint64(n)) })
	l.ByteProducts = b.rate(float64(rounds*m.perBytes), func(int) { m.bytes(rounds) })
	l.Products = b.rate(float64(rounds*m.perLoop), func(int) { m.floats(rounds) })
	return l
}

// rate is the best number of units a second over some runs; one run does units on each thread.
func (b *Backend) rate(units float64, run metering) float64 {
	best := math.Inf(1)
	for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end); {
		start := time.Now()
		b.pool.run(run, b.pool.threads)
		best = min(best, time.Since(start).Seconds())
	}
	return units * float64(b.pool.threads) / best
}
