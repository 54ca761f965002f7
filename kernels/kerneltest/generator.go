package kerneltest

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"verbatim/kernels"
	"verbatim/kernels/quant"
)

// generator makes inputs from a seed with SplitMix64 (Steele, Lea, Flood 2014).
type generator struct{ state uint64 }

func (g *generator) bits() uint64 {
	g.state += 0x9E3779B97F4A7C15
	z := g.state
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// below is a number in 0..n-1; n is small, so the bias is none of our concern.
func (g *generator) below(n int) int { return int(g.bits() >> 1 % uint64(n)) }

// plain is a bell-shaped value of about unit size, exact in f32.
func (g *generator) plain() float32 {
	u := g.bits()
	sum := int(u&0xFFFF) + int(u>>16&0xFFFF) + int(u>>32&0xFFFF) + int(u>>48)
	return float32(sum-2*0xFFFF) / (1 << 15)
}

// contents names what vectors are made of.
type contents string

const (
	plain     contents = "plain"
	wide      contents = "wide"      // exponents all over the range where products stay finite
	narrow    contents = "narrow"    // exponents from below the smallest f16 to 2^5
	sparse    contents = "sparse"    // zeros of both signs, subnormals, segments around 2^-96
	ties      contents = "ties"      // halves: every rounding to a code is a tie
	huge      contents = "huge"      // up to the largest f32
	nonfinite contents = "nonfinite" // one NaN or infinity
	flat      contents = "flat"      // one magnitude and sign a segment: every code is 127, or every code -127
)

// values is a vector of n elements.
func (g *generator) values(n int, c contents) []float32 {
	x := make([]float32, n)
	for first := 0; first < n; first += kernels.SegmentElements {
		g.segment(x[first:min(first+kernels.SegmentElements, n)], c)
	}
	if c == nonfinite {
		x[g.below(n)] = []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}[g.below(3)]
	}
	return x
}

func (g *generator) segment(x []float32, c contents) {
	// sparse draws the magnitude of a segment: subnormal, just below 2^-96,
	// exactly 2^-96, nothing at all, or ordinary.
	magnitude := []uint32{0x00000005, 0x0F7FFFFF, 0x0F800000, 0, 0x3F800000}[g.below(5)]
	side := uint32(0)
	if c == flat {
		side = uint32(g.below(2)) << 31
	}
	for i := range x {
		u := g.bits()
		sign := uint32(u>>63) << 31
		switch c {
		case plain, nonfinite:
			x[i] = g.plain()
		case wide:
			x[i] = math.Float32frombits(sign | uint32(127-40+g.below(80))<<23 | uint32(u)&0x7FFFFF)
		case narrow:
			x[i] = math.Float32frombits(sign | uint32(127-26+g.below(32))<<23 | uint32(u)&0x7FFFFF)
		case sparse:
			if i == len(x)/2 {
				x[i] = math.Float32frombits(sign | magnitude)
			} else if g.below(3) == 0 {
				x[i] = math.Float32frombits(sign | uint32(u)%(magnitude+1))
			} else {
				x[i] = math.Float32frombits(sign)
			}
		case ties:
			x[i] = float32(g.below(509)-254) / 2
			if i == len(x)/3 {
				x[i] = 127
			}
		case flat:
			x[i] = math.Float32frombits(0x3FC00000 | side)
		case huge:
			x[i] = math.Float32frombits(sign | (0x7F7FFFFF - uint32(u)&0x3FFFFFF))
		default:
			panic("kerneltest: internal error: contents " + string(c))
		}
	}
}

// weights is a matrix's data: plain, or extreme (sparse): codes at the ends of
// their range, scales of zero, of either sign, subnormal and largest.
func (g *generator) weights(t quant.Type, rows, cols int, c contents) []byte {
	n := rows * cols
	if t.BlockElements() == 1 {
		return g.floatWeights(t, n, c)
	}
	if slices.Contains(laterTypes[:], t) {
		return g.laterWeights(t, n, c)
	}
	data := make([]byte, 0, n/t.BlockElements()*t.BlockBytes())
	for range n / t.BlockElements() {
		data = binary.LittleEndian.AppendUint16(data, g.scale(c))
		if t == quant.Q4_1 {
			data = binary.LittleEndian.AppendUint16(data, g.scale(c))
		}
		for range t.BlockBytes() - len(data)%t.BlockBytes() {
			data = append(data, g.code(t, c))
		}
	}
	return data
}

// laterWeights makes blocks whose bytes are all legal: only the f16 numbers
// among them need care. A third of the extreme ones are all zeros, ones, or
// what makes the weights and scales of Q6_K as large as they get.
func (g *generator) laterWeights(t quant.Type, n int, c contents) []byte {
	data := make([]byte, n/t.BlockElements()*t.BlockBytes())
	for first := 0; first < len(data); first += t.BlockBytes() {
		block := data[first:][:t.BlockBytes()]
		for i := range block {
			block[i] = g.code(t, c)
		}
		if c != plain && g.below(3) == 0 {
			fill, scale := []byte{0, 0xFF}[g.below(2)], []byte{0x80, 0x7F}[g.below(2)]
			for i := range block {
				block[i] = fill
				if t == quant.Q6_K && i >= 192 {
					block[i] = scale
				}
			}
		}
		for _, at := range t.Halves() {
			binary.LittleEndian.PutUint16(block[at:], g.scale(c))
		}
	}
	return data
}

func (g *generator) scale(c contents) uint16 {
	u := g.bits()
	if c == plain {
		return uint16(u>>48)&0x8000 | uint16(4+g.below(6))<<10 | uint16(u)&0x3FF
	}
	return []uint16{0, 0x8000, 1, 0x8001, 0x3FF, 0x400, 0x7BFF, 0xFBFF, 0x3C00, uint16(u) & 0xBFFF}[g.below(10)]
}

func (g *generator) code(t quant.Type, c contents) byte {
	u := byte(g.bits())
	if c == plain {
		return u
	}
	if t == quant.Q8_0 {
		return []byte{128, 129, 127, 0, 1, 255, 128, u}[g.below(8)]
	}
	return []byte{0, 0xFF, 0x0F, 0xF0, 0x88, 0x77, u, u}[g.below(8)]
}

func (g *generator) floatWeights(t quant.Type, n int, c contents) []byte {
	x := make([]float32, n)
	for i := range x {
		x[i] = g.plain() / 8
		if c == plain || g.below(2) == 0 {
			continue
		}
		u := uint32(g.bits())
		switch t {
		case quant.F16: // finite f16 with any exponent
			x[i] = math.Float32frombits(u&0x80000000 | uint32(127-24+g.below(40))<<23 | u&0x7FE000)
		default:
			x[i] = math.Float32frombits(u&0x80000000 | []uint32{0, 1, 0x007FFFFF, 0x00800000, 0x7F7F0000, 0x3F800000, u & 0x7F7FFFFF >> 1}[g.below(7)])
		}
	}
	return quant.Quantise(t, x)
}

// name joins the parts of a case's name.
func name(operator, format string, args ...any) string {
	return operator + "/" + fmt.Sprintf(format, args...)
}
