package quant

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

// TestDequantiseVectors compares with values that another implementation gave to
// random blocks; testdata/dequantise.py says which. The products of section 3
// are of integers of at most 12 bits and a scale of 11, hence exact, and what is
// left is one rounding: so every implementation in f32 that does no worse gives
// the same numbers, up to the sign of a zero.
func TestDequantiseVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/dequantise.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n")[1:] {
		fields := strings.Fields(line)
		block, err := hex.DecodeString(fields[1])
		if err != nil {
			t.Fatal(err)
		}
		want, err := hex.DecodeString(fields[2])
		if err != nil {
			t.Fatal(err)
		}
		for _, typ := range blockTypes {
			if typ.String() != fields[0] {
				continue
			}
			seen[fields[0]]++
			got := make([]float32, typ.BlockElements())
			Dequantise(typ, got, block)
			for i, v := range got {
				if w := math.Float32frombits(binary.BigEndian.Uint32(want[4*i:])); v != w {
					t.Errorf("%v, block %s: element %d is %v, want %v", typ, fields[1], i, v, w)
				}
			}
		}
	}
	for _, typ := range blockTypes {
		if seen[typ.String()] == 0 {
			t.Errorf("no vectors for %v", typ)
		}
	}
}

// TestBlockOrder puts a single one into each element of a block and looks for it.
func TestBlockOrder(t *testing.T) {
	for _, typ := range blockTypes {
		for i := range typ.BlockElements() {
			var b, back Block
			for j := range b.Weights {
				b.Weights[j] = 1
			}
			b.Weights[i] = 13
			if typ == Q2_K || typ == Q3_K || typ == Q4_0 {
				b.Weights[i] = 3
			}
			for j := range b.Scales {
				b.Scales[j], b.Minimums[j] = int8(j), uint8(15-j)
			}
			data := make([]byte, typ.BlockBytes())
			PackBlock(typ, data, &b)
			UnpackBlock(typ, &back, data)
			for j := range typ.BlockElements() {
				if back.Weights[j] != b.Weights[j] {
					t.Fatalf("%v: element %d is %d, want %d, where element %d differs", typ, j, back.Weights[j], b.Weights[j], i)
				}
			}
			if typ.BlockElements() == 256 && typ != Q4_K && typ != Q5_K && typ != IQ4_XS && back.Scales != b.Scales {
				t.Fatalf("%v: scales %v, want %v", typ, back.Scales, b.Scales)
			}
		}
	}
}

// checkBlock: every bit of a block counts, and the integers lie in their range.
func checkBlock(t *testing.T, typ Type, data []byte) {
	t.Helper()
	var b Block
	UnpackBlock(typ, &b, data)
	l := typ.layoutOf()
	for i, w := range b.Weights[:l.elements] {
		if int32(w) < l.low && !(typ == Q8_0 && w == -128) || int32(w) > l.high {
			t.Errorf("%v, block %x: weight %d is %d", typ, data, i, w)
		}
	}
	if l.superblock() {
		for j := range l.elements / l.sub {
			if int32(b.Scales[j]) < l.scaleLow || int32(b.Scales[j]) > l.scaleHigh {
				t.Errorf("%v, block %x: scale %d is %d", typ, data, j, b.Scales[j])
			}
			if l.minimums() && int32(b.Minimums[j]) > l.minimumHigh {
				t.Errorf("%v, block %x: minimum %d is %d", typ, data, j, b.Minimums[j])
			}
		}
	}
	if b.D != b.D || b.M != b.M {
		return // the bits of a NaN may change
	}
	back := bytes.Repeat([]byte{0xA5}, len(data))
	PackBlock(typ, back, &b)
	if !bytes.Equal(back, data) {
		t.Errorf("%v: block %x, packed again %x", typ, data, back)
	}
}

func TestPackBlock(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, typ := range blockTypes {
		data := make([]byte, typ.BlockBytes())
		for range 50 {
			for i := range data {
				data[i] = byte(rng.Uint32())
			}
			checkBlock(t, typ, data)
		}
	}
}

func FuzzPackBlock(f *testing.F) {
	for i := range blockTypes {
		f.Add(byte(i), make([]byte, 256))
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		typ := blockTypes[int(which)%len(blockTypes)]
		if len(data) >= typ.BlockBytes() {
			checkBlock(t, typ, data[:typ.BlockBytes()])
		}
	})
}

// TestFolds checks the bounds of section 5 of SPEC.md: the products of a fold,
// and of a segment's minimums, stay below 2^24 with every code in -127..127, in
// any order. The ranges are those that TestPackBlock holds random blocks to.
func TestFolds(t *testing.T) {
	for _, typ := range blockTypes {
		l := typ.layoutOf()
		largest := func(low, high int32) int { return int(max(-low, high)) }
		scale := 1
		if l.superblock() {
			scale = largest(l.scaleLow, l.scaleHigh)
		}
		weight := largest(l.low, l.high)
		if typ == Q8_0 {
			weight = 128
		}
		if sum := l.fold * scale * weight * 127; sum >= 1<<24 {
			t.Errorf("%v: a fold of %d elements may reach %d", typ, l.fold, sum)
		}
		if sum := 128 * int(l.minimumHigh) * 127; sum >= 1<<24 {
			t.Errorf("%v: the minimums of a segment may reach %d", typ, sum)
		}
		if l.fold < 128 && l.superblock() && 2*l.fold*scale*weight*127 < 1<<24 {
			t.Errorf("%v: a fold of %d elements would do", typ, 2*l.fold)
		}
	}
}

func BenchmarkUnpackBlock(b *testing.B) {
	for _, typ := range blockTypes {
		data := Quantise(typ, make([]float32, typ.BlockElements()))
		b.Run(typ.String(), func(b *testing.B) {
			var block Block
			b.SetBytes(int64(len(data)))
			for range b.N {
				UnpackBlock(typ, &block, data)
			}
		})
	}
}
