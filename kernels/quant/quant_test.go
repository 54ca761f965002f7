package quant

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

var blockTypes = []Type{Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS}

var supported = append([]Type{F32, F16, BF16}, blockTypes...)

func TestTable(t *testing.T) {
	for _, c := range []struct {
		t               Type
		name            string
		number          uint32
		elements, bytes int
		supported       bool
	}{
		{F32, "F32", 0, 1, 4, true}, {F16, "F16", 1, 1, 2, true}, {Q4_0, "Q4_0", 2, 32, 18, true}, {Q4_1, "Q4_1", 3, 32, 20, true},
		{Q8_0, "Q8_0", 8, 32, 34, true}, {BF16, "BF16", 30, 1, 2, true}, {Q6_K, "Q6_K", 14, 256, 210, true}, {Q8_K, "Q8_K", 15, 256, 292, false}, {99, "type 99", 99, 0, 0, false},
		{math.MaxUint32, "type 4294967295", math.MaxUint32, 0, 0, false},
	} {
		if c.t.String() != c.name || uint32(c.t) != c.number || c.t.BlockElements() != c.elements || c.t.BlockBytes() != c.bytes ||
			c.t.Supported() != c.supported {
			t.Errorf("%d: got %v, %d elements, %d bytes, supported %v, want %+v", c.number, c.t, c.t.BlockElements(), c.t.BlockBytes(), c.t.Supported(), c)
		}
	}
}

func TestRowBytes(t *testing.T) {
	for _, c := range []struct {
		t           Type
		cols, bytes int // bytes 0: an error
	}{{F32, 3, 12}, {F16, 3, 6}, {BF16, 1, 2}, {Q8_0, 64, 68}, {Q4_0, 32, 18}, {Q4_1, 96, 60}, {Q8_0, 33, 0}, {Q8_0, 0, 0}, {F32, -1, 0},
		{Q6_K, 512, 420}, {Q6_K, 128, 0}, {Q8_K, 256, 0}, {F32, 1 << 28, 1 << 30}, {F32, 1<<28 + 1, 0}, {77, 32, 0}} {
		got, err := RowBytes(c.t, c.cols)
		if got != c.bytes || (err == nil) != (c.bytes > 0) {
			t.Errorf("RowBytes(%v, %d) = %d, %v, want %d", c.t, c.cols, got, err, c.bytes)
		}
	}
}

// TestDequantise works the layouts by hand.
func TestDequantise(t *testing.T) {
	nibbles := make([]byte, 16)
	for i := range nibbles {
		nibbles[i] = byte(i) | byte(15-i)<<4
	}
	half := []byte{0x00, 0x38}   // 0.5
	minus3 := []byte{0x00, 0xC2} // -3
	var codes []byte
	for i := range 32 {
		codes = append(codes, byte(i-128))
	}
	for _, c := range []struct {
		t    Type
		row  []byte
		want func(i int) float32
	}{
		{Q4_0, append(bytes.Clone(half), nibbles...), func(i int) float32 {
			if i < 16 {
				return float32(i-8) / 2
			}
			return float32(15-(i-16)-8) / 2
		}},
		{Q4_1, append(append(bytes.Clone(half), minus3...), nibbles...), func(i int) float32 {
			if i < 16 {
				return float32(i)/2 - 3
			}
			return float32(15-(i-16))/2 - 3
		}},
		{Q8_0, append(bytes.Clone(half), codes...), func(i int) float32 { return float32(i-128) / 2 }},
	} {
		got := make([]float32, 32)
		Dequantise(c.t, got, c.row)
		for i := range got {
			if got[i] != c.want(i) {
				t.Errorf("%v element %d = %v, want %v", c.t, i, got[i], c.want(i))
			}
		}
	}
}

// TestQuantise: a row comes back within half a step of its block, codes reach
// the ends of their range, and zero rows stay zero.
func TestQuantise(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, typ := range supported {
		row := make([]float32, 3*max(32, typ.BlockElements()))
		for i := range row[:len(row)*2/3] {
			row[i] = 2*rng.Float32() - 1
		}
		data := Quantise(typ, row)
		if size, _ := RowBytes(typ, len(row)); size != len(data) {
			t.Fatalf("%v: %d bytes, want %d", typ, len(data), size)
		}
		got := make([]float32, len(row))
		Dequantise(typ, got, data)
		// Q4_0's far end may be 7 steps off where the other sign was 8.
		tolerance := map[Type]float64{F32: 0, F16: 1e-3, BF16: 4e-3, Q8_0: 5e-3, Q4_0: 0.13, Q4_1: 0.07,
			Q5_0: 0.065, Q5_1: 0.034, Q2_K: 0.46, Q3_K: 0.27, Q4_K: 0.09, Q5_K: 0.05, Q6_K: 0.035, IQ4_NL: 0.13, IQ4_XS: 0.15}[typ]
		for i := range row {
			if d := math.Abs(float64(row[i] - got[i])); d > tolerance {
				t.Errorf("%v: element %d was %v, is %v", typ, i, row[i], got[i])
			}
		}
		if !bytes.Equal(data, Quantise(typ, row)) {
			t.Errorf("%v: not reproducible", typ)
		}
		if err := CheckFinite(typ, data); err != nil {
			t.Error(err)
		}
		for _, extreme := range []float32{1e-45, 1e-38, 6e4} {
			row[7] = extreme
			if err := CheckFinite(typ, Quantise(typ, row)); err != nil {
				t.Errorf("%v with %v: %v", typ, extreme, err)
			}
		}
	}
}

// TestCheckFinite plants infinities and NaN at each element or block.
func TestCheckFinite(t *testing.T) {
	for _, typ := range supported {
		row := make([]float32, 3*max(32, typ.BlockElements()))
		for i := range row {
			row[i] = float32(i) - 40
		}
		clean := Quantise(typ, row)
		size, blocks := typ.BlockBytes(), len(clean)/typ.BlockBytes()
		for b := range blocks {
			for _, sign := range []uint32{0, 1} {
				for _, mantissa := range []uint32{0, 1} {
					data := bytes.Clone(clean)
					part := fmt.Sprintf("element %d", b)
					switch typ {
					case F32:
						binary.LittleEndian.PutUint32(data[b*size:], sign<<31|0x7F800000|mantissa)
					case BF16:
						binary.LittleEndian.PutUint16(data[b*size:], uint16(sign<<15|0x7F80|mantissa))
					default:
						at := b * size
						if typ != F16 {
							at += typ.Halves()[0]
							part = fmt.Sprintf("scale of block %d", b)
						}
						binary.LittleEndian.PutUint16(data[at:], uint16(sign<<15|0x7C00|mantissa))
					}
					if err := CheckFinite(typ, data); err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("%v, %s: %v", typ, part, err)
					}
				}
			}
		}
		if err := CheckFinite(typ, clean[:len(clean)-1]); err == nil {
			t.Errorf("%v: accepted part of a block", typ)
		}
	}
	for _, typ := range blockTypes {
		if !typ.HasMinimums() {
			continue
		}
		size := typ.BlockBytes()
		data := make([]byte, 2*size)
		data[size+typ.Halves()[1]+1] = 0x7E
		if err := CheckFinite(typ, data); err == nil || !strings.Contains(err.Error(), "minimum of block 1") {
			t.Errorf("%v, NaN minimum: %v", typ, err)
		}
	}
	if err := CheckFinite(Q8_K, nil); err == nil {
		t.Error("accepted Q8_K")
	}
	if err := CheckFinite(F32, []byte{255, 255, 0x7F, 0x7F}); err != nil {
		t.Errorf("largest f32: %v", err)
	}
}

func BenchmarkCheckFinite(b *testing.B) {
	for _, typ := range supported {
		data := make([]byte, typ.BlockBytes()<<18)
		b.Run(typ.String(), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for range b.N {
				if err := CheckFinite(typ, data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
