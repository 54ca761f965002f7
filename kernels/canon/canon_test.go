package canon

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// exactFMA is a*b + c rounded once, by math/big, for finite arguments.
func exactFMA(a, b, c float32) float32 {
	product := new(big.Float).SetPrec(600).Mul(big.NewFloat(float64(a)), big.NewFloat(float64(b)))
	sum := new(big.Float).SetPrec(600).Add(product, big.NewFloat(float64(c)))
	if sum.Sign() == 0 { // the sign of an exact zero follows IEEE addition
		return float32(float64(a)*float64(b) + float64(c))
	}
	f, _ := sum.Float32()
	return f
}

func checkFMA(t *testing.T, a, b, c float32) {
	t.Helper()
	got, want := FMA(a, b, c), exactFMA(a, b, c)
	if math.Float32bits(got) != math.Float32bits(want) {
		t.Fatalf("FMA(%#08x, %#08x, %#08x) = %#08x, want %#08x", math.Float32bits(a), math.Float32bits(b),
			math.Float32bits(c), math.Float32bits(got), math.Float32bits(want))
	}
}

func finite(u uint32) float32 {
	if u&0x7F800000 == 0x7F800000 {
		u &^= 0x40000000
	}
	return math.Float32frombits(u)
}

// TestFMA compares with math/big: random bits, near exponents, cancellations,
// and sums built to land on or just beside a tie, in the normal and the
// subnormal range and at overflow.
func TestFMA(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	rounds := 60_000
	if testing.Short() {
		rounds = 10_000
	}
	for range rounds {
		a, b := finite(rng.Uint32()), finite(rng.Uint32())
		checkFMA(t, a, b, finite(rng.Uint32()))
		// c near -a*b: cancellation.
		product := float32(a * b)
		if math.Abs(float64(product)) < math.MaxFloat32 {
			checkFMA(t, a, b, -finite(math.Float32bits(product)+rng.Uint32N(8)-4))
		}
		checkTies(t, rng)
	}
}

// checkTies makes a large c and a product of about half its last place, off by
// anything from nothing to 2^-47 of itself; then the same with both scaled
// into the subnormal range.
func checkTies(t *testing.T, rng *rand.Rand) {
	t.Helper()
	exponent := rng.Uint32N(254) + 1
	c := math.Float32frombits(exponent<<23 | rng.Uint32N(4) | rng.Uint32N(2)*0x7FFFFC)
	half := math.Ldexp(1, int(exponent)-127-24)
	k := rng.IntN(24) + 1
	// (1+2^-k)(1-2^-k) = 1 - 2^-2k; (1+2^-k)^2 = 1 + 2^(1-k) + 2^-2k.
	x, y := float32(1+math.Ldexp(1, -k)), float32(1-math.Ldexp(1, -k))
	for _, pair := range [][2]float32{{x, y}, {x, x}, {y, y}, {1, 1}, {1, x}, {1, y}} {
		scaled := float32(float64(pair[0]) * half)
		up := float32(float64(pair[0]) * math.Ldexp(half, 60))
		for _, sign := range []float32{1, -1} {
			checkFMA(t, scaled, pair[1], sign*c)
			checkFMA(t, up, sign*pair[1]*float32(math.Ldexp(1, -60)), c)
		}
	}
	// Products below 2^-126, with and without a subnormal c.
	tiny := math.Float32frombits(rng.Uint32N(1 << 26))
	checkFMA(t, x*float32(math.Ldexp(1, -rng.IntN(30)-60)), y*float32(math.Ldexp(1, -rng.IntN(30)-60)), tiny)
	checkFMA(t, x*float32(math.Ldexp(1, -75)), -x*float32(math.Ldexp(1, -rng.IntN(3)-74)), tiny)
}

// TestFMAEdges crosses all special values with each other.
func TestFMAEdges(t *testing.T) {
	bits := []uint32{0, 1, 2, 3, 0x7FFFFF, 0x800000, 0x800001, 0xFFFFFF, 0x1000000, 0x33800000, 0x33800001, 0x3F7FFFFF, 0x3F800000,
		0x3F800001, 0x3FFFFFFF, 0x40000000, 0x4B7FFFFF, 0x4B800000, 0x5F800000, 0x7E800000, 0x7F000000, 0x7F7FFFFE, 0x7F7FFFFF}
	var values []float32
	for _, u := range bits {
		values = append(values, math.Float32frombits(u), -math.Float32frombits(u))
	}
	for _, a := range values {
		for _, b := range values {
			for _, c := range values {
				checkFMA(t, a, b, c)
			}
		}
	}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct{ a, b, c, want float32 }{
		{inf, 1, 1, inf}, {inf, -1, 1, -inf}, {1, 1, -inf, -inf}, {inf, 1, -inf, nan}, {inf, 0, 1, nan},
		{nan, 1, 1, nan}, {1, nan, 1, nan}, {1, 1, nan, nan}, {math.MaxFloat32, math.MaxFloat32, -inf, -inf},
	} {
		got := FMA(c.a, c.b, c.c)
		if got != c.want && (got == got || c.want == c.want) {
			t.Errorf("FMA(%v, %v, %v) = %v, want %v", c.a, c.b, c.c, got, c.want)
		}
	}
}

// TestHalf: all f16 and bf16 go through f32 and back; every f32 near each f16
// and near each midpoint of two rounds as the f64 distances say.
func TestHalf(t *testing.T) {
	for h := range uint32(1 << 16) {
		x := FromF16(uint16(h))
		if x != x {
			if ToF16(x)&0x7FFF != 0x7E00 {
				t.Fatalf("ToF16(NaN) = %#04x", ToF16(x))
			}
			continue
		}
		if want := f16Value(h); float64(x) != want || math.Signbit(float64(x)) != (h>>15 == 1) {
			t.Fatalf("FromF16(%#04x) = %v, want %v", h, x, want)
		}
		if got := ToF16(x); got != uint16(h) {
			t.Fatalf("ToF16(FromF16(%#04x)) = %#04x", h, got)
		}
		if h&0x7FFF >= 0x7C00 {
			continue
		}
		next := f16Value(h + 1)
		if h&0x7FFF == 0x7BFF {
			next = math.Copysign(65536, float64(x))
		}
		middle := float32((float64(x) + next) / 2) // exact
		u := math.Float32bits(middle)
		even := uint16(h + h&1)
		for _, c := range []struct {
			u    uint32
			want uint16
		}{{u - 1, uint16(h)}, {u, even}, {u + 1, uint16(h + 1)}} {
			if got := ToF16(math.Float32frombits(c.u)); got != c.want {
				t.Fatalf("ToF16(%#08x) = %#04x, want %#04x", c.u, got, c.want)
			}
		}
	}
	for b := range uint32(1 << 16) {
		x := FromBF16(uint16(b))
		if x == x && ToBF16(x) != uint16(b) || x != x && ToBF16(x) == 0x7F80 {
			t.Fatalf("ToBF16(FromBF16(%#04x)) = %#04x", b, ToBF16(x))
		}
		if x == x && b&0x7FFF < 0x7F80 {
			for _, c := range []struct{ low, up uint32 }{{0x7FFF, 0}, {0x8000, b & 1}, {0x8001, 1}} {
				if got := ToBF16(math.Float32frombits(b<<16 | c.low)); got != uint16(b+c.up) {
					t.Fatalf("ToBF16(%#08x) = %#04x, want %#04x", b<<16|c.low, got, b+c.up)
				}
			}
		}
	}
}

// f16Value is the definition of f16 in f64.
func f16Value(h uint32) float64 {
	sign := 1 - 2*float64(h>>15&1)
	exponent, mantissa := int(h>>10&31), float64(h&1023)
	switch exponent {
	case 0:
		return sign * math.Ldexp(mantissa, -24)
	case 31:
		return sign * math.Inf(1)
	}
	return sign * math.Ldexp(1024+mantissa, exponent-25)
}

func TestRNE(t *testing.T) {
	for _, c := range []struct {
		x    float32
		want int32
	}{{0, 0}, {float32(math.Copysign(0, -1)), 0}, {0.5, 0}, {1.5, 2}, {2.5, 2}, {-0.5, 0}, {-1.5, -2}, {-2.5, -2}, {126.5, 126}, {127.5, 128},
		{0.49999997, 0}, {0.50000006, 1}, {-126.50001, -127}, {1 << 22, 1 << 22}, {-1 << 22, -1 << 22}, {1<<22 - 0.5, 1 << 22}} {
		if got := RNE(c.x); got != c.want {
			t.Errorf("RNE(%v) = %d, want %d", c.x, got, c.want)
		}
	}
}

// ulps is the distance of got from the exact value, in units of got's last
// place at the exact value.
func ulps(got float32, exact float64) float64 {
	_, exponent := math.Frexp(exact)
	return math.Abs(float64(got)-exact) / math.Ldexp(1, max(exponent-24, -149))
}

// TestExp holds Exp to 0.87 ulp on a dense walk over its whole range.
func TestExp(t *testing.T) {
	worst, at := 0.0, float32(0)
	step := uint32(97)
	if testing.Short() {
		step = 9973
	}
	for _, sign := range []uint32{0, 1 << 31} {
		for u := uint32(0x2F000000); u < 0x42B00001; u += step {
			x := math.Float32frombits(u | sign)
			if x < -87 {
				break
			}
			if d := ulps(Exp(x), math.Exp(float64(x))); d > worst {
				worst, at = d, x
			}
		}
	}
	t.Logf("worst %.4f ulp at %#08x", worst, math.Float32bits(at))
	if worst > 0.87 {
		t.Errorf("Exp(%v) is %.4f ulp off, more than 0.87", at, worst)
	}
	inf := float32(math.Inf(1))
	for _, c := range []struct{ x, want float32 }{{0, 1}, {float32(math.Copysign(0, -1)), 1}, {math.Float32frombits(1), 1}, {88.00001, inf}, {inf, inf},
		{-87.00001, 0}, {-inf, 0}, {math.MaxFloat32, inf}, {-math.MaxFloat32, 0}} {
		if got := Exp(c.x); got != c.want || math.Signbit(float64(got)) {
			t.Errorf("Exp(%v) = %v, want %v", c.x, got, c.want)
		}
	}
	if nan := Exp(float32(math.NaN())); nan == nan {
		t.Errorf("Exp(NaN) = %v", nan)
	}
	if x := Exp(88); x < 1.65e38 || x > 1.66e38 {
		t.Errorf("Exp(88) = %v", x)
	}
	if x := Exp(-87); x < 1.6e-38 || x > 1.7e-38 {
		t.Errorf("Exp(-87) = %v", x)
	}
}

func TestSiLU(t *testing.T) {
	worst, at := 0.0, float32(0)
	for u := uint32(0x2F000000); u < 0x42AD0000; u += 1009 {
		for _, x := range []float32{math.Float32frombits(u), -math.Float32frombits(u)} {
			if d := ulps(SiLU(x), float64(x)/(1+math.Exp(-float64(x)))); d > worst {
				worst, at = d, x
			}
		}
	}
	t.Logf("worst %.4f ulp at %v", worst, at)
	if worst > 2.5 {
		t.Errorf("SiLU(%v) is %.3f ulp off", at, worst)
	}
	for _, c := range []struct {
		x    float32
		bits uint32
	}{{0, 0}, {float32(math.Copysign(0, -1)), 1 << 31}, {-100, 1 << 31}, {100, 0x42C80000}, {float32(math.Inf(1)), 0x7F800000}} {
		if got := math.Float32bits(SiLU(c.x)); got != c.bits {
			t.Errorf("SiLU(%v) = %#08x, want %#08x", c.x, got, c.bits)
		}
	}
}

func TestLog(t *testing.T) {
	worst, at := 0.0, float32(0)
	for u := uint32(1); u < 0x7F800000; u += 20011 {
		x := math.Float32frombits(u)
		if d := ulps(Log(x), math.Log(float64(x))); d > worst {
			worst, at = d, x
		}
	}
	t.Logf("worst %.6f ulp at %v", worst, at)
	if worst > 0.500001 {
		t.Errorf("Log(%v) is %.6f ulp off", at, worst)
	}
	if Log(1) != 0 || Log(0) != float32(math.Inf(-1)) || Log(float32(math.Inf(1))) != float32(math.Inf(1)) || Log(-1) == Log(-1) {
		t.Errorf("Log(1, 0, Inf, -1) = %v, %v, %v, %v", Log(1), Log(0), Log(float32(math.Inf(1))), Log(-1))
	}
}

// TestFrequencies compares with math.Pow.
func TestFrequencies(t *testing.T) {
	for _, base := range []float32{1, 10000, 500000, 1e6, 1e-30, 3e38} {
		for _, rotated := range []int{2, 8, 64, 80, 96, 128, 256} {
			for i, got := range Frequencies(base, rotated, nil) {
				want := math.Pow(float64(base), -float64(2*i)/float64(rotated))
				if math.Abs(got/want-1) > 3e-14 {
					t.Fatalf("Frequencies(%v, %d)[%d] = %v, want %v", base, rotated, i, got, want)
				}
			}
		}
	}
	if got := Frequencies(10000, 4, []float32{2, 4}); got[0] != 0.5 || math.Abs(got[1]-0.0025) > 1e-17 {
		t.Errorf("Frequencies with factors 2, 4 = %v, want 0.5, 0.0025", got)
	}
}

// TestRotation compares with math.Sincos for angles up to 2^22, multiples of
// π/2 included.
func TestRotation(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	check := func(position int, frequency float64) {
		var got [2]float32
		Rotation(got[:], position, []float64{frequency})
		sin, cos := math.Sincos(float64(position) * frequency)
		if math.Abs(float64(got[0])-cos) > 3.1e-8 || math.Abs(float64(got[1])-sin) > 3.1e-8 {
			t.Fatalf("Rotation(%d * %v) = %v, want cos %v, sin %v", position, frequency, got, cos, sin)
		}
		sin64, cos64 := sinCos(float64(position) * frequency)
		if math.Abs(sin64-sin) > 1e-15 || math.Abs(cos64-cos) > 1e-15 {
			t.Fatalf("sinCos(%v) = %v, %v, want %v, %v", float64(position)*frequency, sin64, cos64, sin, cos)
		}
	}
	check(0, 1)
	for range 200_000 {
		check(rng.IntN(1<<rng.IntN(21)+1), rng.Float64())
		check(rng.IntN(1<<20+1), 4*rng.Float64())
		check(rng.IntN(2_600_000), math.Pi/2)
	}
}

func TestSums(t *testing.T) {
	for _, n := range []int{0, 1, 31, 32, 33, 63, 64, 65, 1000} {
		x := make([]float32, n)
		var sum, squares float32
		for i := range x {
			x[i] = float32(i%7 - 2)
			sum += x[i]
			squares += x[i] * x[i]
		}
		if got := StridedSum(x); got != sum {
			t.Errorf("StridedSum of %d integers = %v, want %v", n, got, sum)
		}
		if got := StridedSumOfSquares(x); got != squares {
			t.Errorf("StridedSumOfSquares of %d integers = %v, want %v", n, got, squares)
		}
	}
	// Order: lane 0 holds (1 + 2^-24) + 2^-24 = 1, and its tree partner 2^-24
	// comes only afterwards. A sum in order would give the same only by chance.
	x := make([]float32, 65)
	x[0], x[32], x[64], x[1], x[17] = 1, 0x1p-24, 0x1p-24, 0x1p-24, 0x1p-24
	if got := StridedSum(x); got != 1+0x1p-23 {
		t.Errorf("StridedSum = %v, want 1 + 2^-23", got)
	}
}

func BenchmarkFMA(b *testing.B) {
	acc := float32(0)
	for i := range b.N {
		acc = FMA(acc, 0.999, float32(i&15))
	}
	_ = acc
}

func BenchmarkExp(b *testing.B) {
	acc := float32(0)
	for range b.N {
		acc += Exp(-1.25)
	}
	_ = acc
}
