package ref_test

import (
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/quant"
	"verbatim/kernels/ref"
)

// The operators' values are tested in kernels/kerneltest. Here: what the
// constructors refuse, and wrong shapes, which panic.

func TestConstructorsRefuse(t *testing.T) {
	b := ref.New()
	for _, c := range []struct {
		t           quant.Type
		rows, cols  int
		bytes       int
		wantMatrix  bool
		explanation string
	}{
		{quant.Q8_0, 2, 64, 136, true, ""},
		{quant.Q8_0, 2, 64, 135, false, "a byte short"},
		{quant.Q8_0, 2, 64, 137, false, "a byte too many"},
		{quant.Q8_0, 2, 33, 72, false, "part of a block"},
		{quant.Q8_K, 1, 256, 292, false, "an unsupported type"},
		{quant.F32, 0, 4, 0, false, "no rows"},
		{quant.F32, -1, 4, 0, false, "negative rows"},
		{quant.F32, 1, 0, 0, false, "no columns"},
	} {
		if _, err := b.NewMatrix(c.t, c.rows, c.cols, make([]byte, c.bytes)); (err == nil) != c.wantMatrix {
			t.Errorf("NewMatrix(%v, %d, %d, %d bytes), %s: error %v", c.t, c.rows, c.cols, c.bytes, c.explanation, err)
		}
	}
	if _, err := b.NewBuffer(-1); err == nil {
		t.Error("NewBuffer(-1) succeeded")
	}
	for _, s := range [][4]int{{0, 1, 1, 1}, {1, 0, 1, 1}, {1, 1, 0, 1}, {1, 1, 1, 0}} {
		shape := kernels.KVShape{Layers: s[0], KVHeads: s[1], HeadDim: s[2], PositionsMax: s[3]}
		if _, err := b.NewKV(shape); err == nil {
			t.Errorf("NewKV(%+v) succeeded", shape)
		}
	}
}

func TestWrongShapesPanic(t *testing.T) {
	b := ref.New()
	buffer := func(n int) kernels.Buffer { x, _ := b.NewBuffer(n); return x }
	kv, err := b.NewKV(kernels.KVShape{Layers: 1, KVHeads: 1, HeadDim: 4, PositionsMax: 3})
	if err != nil {
		t.Fatal(err)
	}
	wide, err := b.NewMatrix(quant.F32, 1, 8, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	narrow, err := b.NewMatrix(quant.F32, 1, 4, make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	for name, operator := range map[string]func(){
		"positions beyond the KV": func() { b.StoreKV(0, buffer(8), buffer(8), []kernels.Span{{KV: kv, Rows: 2, Position: 2}}) },
		"attention before keys":   func() { b.Attention(buffer(4), buffer(4), 0, 1, []kernels.Span{{KV: kv, Rows: 1}}) },
		"different columns": func() {
			b.MatMul([]kernels.Buffer{buffer(1), buffer(1)}, []kernels.Matrix{wide, narrow}, buffer(8), 1)
		},
		"a short destination": func() { b.Add(buffer(3), buffer(4), 4) },
		"a token too large":   func() { b.Embed(buffer(4), narrow, []int32{1}) },
		"a long write":        func() { b.Write(buffer(1), make([]float32, 2)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			operator()
		}()
	}
}
