package cuda

import (
	"fmt"
	"math"
	"time"
)

// Limits are what a card does at best: the denominators of every speed.
type Limits struct {
	CopyBytes     float64 `json:"copy_bytes"`     // read plus written by a copy within device memory, a second
	ByteProducts  float64 `json:"byte_products"`  // multiplications of bytes, with their addition, a second, as the kernels' instructions do them
	PaperProducts float64 `json:"paper_products"` // the same, of the datasheet: dense, at the highest clock; 0: not known
	UploadBytes   float64 `json:"upload_bytes"`   // brought from memory of the CPU, through pinned memory, a second
}

// limitState keeps the kernels that measure.
type limitState struct{ copy, products *kernel }

func (s *limitState) find(f finder) {
	s.copy, s.products = f.find("limit_copy"), f.find("limit_products")
}

type limitCopyArgs struct {
	to, from uint64
	vectors  int64
}

type limitProductsArgs struct {
	to     uint64
	rounds int64
}

// MeasureLimits copies bytes, which should be several times the card's cache, and multiplies for so many rounds; 1<<30 and
// 1<<15 take about a second on a large card. It takes twice bytes of device memory meanwhile. No other work should run.
func (b *Backend) MeasureLimits(bytes int, rounds int64) (l Limits, err error) {
	blocks := 4 * b.limits.multiprocessors
	bytes = ceilDiv(max(bytes, 2*uploadBytes), 16384) * 16384
	buffers := [2]uint64{}
	for i := range buffers {
		if buffers[i], err = b.allocate(bytes); err != nil {
			return l, fmt.Errorf("measure the card's limits: %w", err)
		}
		defer b.retire(buffers[i])
		b.zero(buffers[i], bytes)
	}
	copies := func(n int) func() {
		return func() {
			for range n {
				launch(b, b.limit.copy, grid1(bytes/16384), 256, 0, limitCopyArgs{buffers[0], buffers[1], int64(bytes / 16)})
			}
		}
	}
	products := func(rounds int64) func() {
		return func() {
			launch(b, b.limit.products, grid1(blocks), 256, 0, limitProductsArgs{buffers[0], rounds})
		}
	}
	host := make([]byte, uploadBytes)
	uploads := func(n int) func() {
		return func() {
			for range n {
				b.upload(buffers[1], host)
			}
		}
	}
	perRound := float64(blocks * 8 * 8 * 16 * 32 * 8) // warps of a block, products of a warp's round
	if l.PaperProducts, err = b.paperProducts(); err != nil {
		return l, err
	}
	l.CopyBytes = b.rate(buffers[0], 8*2*float64(bytes), copies(2), copies(10))
	l.ByteProducts = b.rate(buffers[0], perRound*float64(rounds), products(rounds/8), products(rounds/8+rounds))
	l.UploadBytes = b.rate(buffers[0], 8*float64(len(host)), uploads(2), uploads(10))
	return l, b.synchronise(buffers[0])
}

// uploadBytes is the length of an upload that is measured.
const uploadBytes = 1 << 20

// rate is how many units a second the longer work does beyond the shorter, the best of some runs: what both cost on top of
// their units, launches for instance, is not counted.
func (b *Backend) rate(address uint64, units float64, shorter, longer func()) float64 {
	best := math.Inf(1)
	for range 5 {
		var took [2]float64
		for i, work := range []func(){shorter, longer} {
			start := time.Now()
			work()
			if b.synchronise(address) != nil {
				return 0
			}
			took[i] = time.Since(start).Seconds()
		}
		if d := took[1] - took[0]; d > 0 {
			best = min(best, d)
		}
	}
	return units / best
}

// synchronise runs what was recorded; address is any of device memory.
func (b *Backend) synchronise(address uint64) error {
	var word [4]byte
	return b.download(word[:], address)
}

// productsPerClock are the multiplications of bytes that the matrix units of a multiprocessor do in a clock, dense: half the
// operations of the makers' datasheets, by architecture.
var productsPerClock = [...]struct{ arch, products int }{{75, 1024}, {80, 2048}, {86, 1024}, {87, 1024}, {89, 1024}, {90, 4096}}

func (b *Backend) paperProducts() (float64, error) {
	leave, err := b.enter()
	defer leave()
	if err != nil {
		return 0, err
	}
	kilohertz, err := b.driver.deviceAttribute(attributeClockRate, b.device)
	if err != nil {
		return 0, err
	}
	for _, p := range productsPerClock {
		if p.arch == b.limits.arch {
			return float64(p.products) * float64(b.limits.multiprocessors) * float64(kilohertz) * 1e3, nil
		}
	}
	return 0, nil
}
