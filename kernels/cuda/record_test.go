package cuda

import (
	"testing"
	"unsafe"

	"verbatim/kernels"
	"verbatim/kernels/quant"
)

// idleDriver takes every call and does nothing: what is left is this package's own work.
type idleDriver struct {
	next                             uint64
	launches, graphs, waits, fetches int
}

func (d *idleDriver) version() (int, error)             { return 12040, nil }
func (d *idleDriver) deviceCount() (int, error)         { return 1, nil }
func (d *idleDriver) device(int) (int, error)           { return 0, nil }
func (d *idleDriver) deviceName(int) (string, error)    { return "idle", nil }
func (d *idleDriver) retain(int) (uint64, error)        { return 1, nil }
func (d *idleDriver) release(int) error                 { return nil }
func (d *idleDriver) setCurrent(uint64) error           { return nil }
func (d *idleDriver) memoryInfo() (int64, int64, error) { return 140 << 30, 141 << 30, nil }
func (d *idleDriver) free(uint64) error                 { return nil }
func (d *idleDriver) hostAllocate(n int) (unsafe.Pointer, error) {
	return unsafe.Pointer(&make([]byte, n)[0]), nil
}
func (d *idleDriver) hostFree(unsafe.Pointer) error { return nil }
func (d *idleDriver) streamCreate() (uint64, error) { return 1, nil }
func (d *idleDriver) streamDestroy(uint64) error    { return nil }

func (d *idleDriver) copyIn(uint64, unsafe.Pointer, int, uint64) error { return nil }

func (d *idleDriver) copyWithin(uint64, uint64, int, uint64) error      { return nil }
func (d *idleDriver) fill(uint64, byte, int, uint64) error              { return nil }
func (d *idleDriver) loadModule([]byte) (uint64, error)                 { return 1, nil }
func (d *idleDriver) unloadModule(uint64) error                         { return nil }
func (d *idleDriver) function(uint64, string) (uint64, error)           { return 1, nil }
func (d *idleDriver) setSharedBytesMax(uint64, int) error               { return nil }
func (d *idleDriver) beginCapture(uint64) error                         { return nil }
func (d *idleDriver) endCapture(uint64) (uint64, error)                 { return 1, nil }
func (d *idleDriver) instantiate(uint64) (uint64, error)                { return 1, nil }
func (d *idleDriver) destroyGraph(uint64) error                         { return nil }
func (d *idleDriver) destroyExecutable(uint64) error                    { return nil }
func (d *idleDriver) eventCreate() (uint64, error)                      { return 1, nil }
func (d *idleDriver) eventDestroy(uint64) error                         { return nil }
func (d *idleDriver) eventRecord(uint64, uint64) error                  { return nil }
func (d *idleDriver) eventMilliseconds(uint64, uint64) (float32, error) { return 0, nil }

func (d *idleDriver) allocate(bytes int) (uint64, error) {
	d.next += 1 << 40
	return d.next, nil
}
func (d *idleDriver) deviceAttribute(attribute, _ int) (int, error) {
	return map[int]int{attributeMajor: 9, attributeMinor: 0, attributeMultiprocessors: 132, attributeSharedBytesMax: 227 << 10}[attribute], nil
}
func (d *idleDriver) launch(uint64, [3]uint32, uint32, uint32, uint64, []uint64, bool) error {
	d.launches++
	return nil
}
func (d *idleDriver) synchronize(uint64) error {
	d.waits++
	return nil
}
func (d *idleDriver) copyOut(unsafe.Pointer, uint64, int, uint64) error {
	d.fetches++
	return nil
}
func (d *idleDriver) launchGraph(uint64, uint64) error {
	d.graphs++
	return nil
}

// decoder decodes with a model of the shape of an 8B one whose weights are addresses only.
type decoder struct {
	b                                              *Backend
	x, h, q, k, v, mixed, gate, up, logits, angles kernels.Buffer
	norm, qkv, gateUp, o, down, output             []kernels.Matrix
	kv                                             kernels.KV
	rotation, read                                 []float32
	toQKV, toH, toGateUp, toLogits                 []kernels.Buffer
}

const (
	layers8B, dim8B, hidden8B, heads8B, kvHeads8B, vocab8B = 32, 4096, 14336, 32, 8, 128256
	launches8B                                             = 10*layers8B + 3 // and the embedding, the last norm, the logits
)

func newDecoder(t testing.TB, d driver) *decoder {
	t.Helper()
	b, err := newBackend(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	buffer := func(n int) kernels.Buffer {
		x, err := b.NewBuffer(n)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	matrices := func(kind quant.Type, cols int, rows ...int) (all []kernels.Matrix) {
		for _, n := range rows {
			m := newShape(kind, n, cols)
			if m.weights, err = b.allocate(256); err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		return all
	}
	kvDim := kvHeads8B * 128
	s := &decoder{b: b, x: buffer(dim8B), h: buffer(dim8B), q: buffer(dim8B), k: buffer(kvDim), v: buffer(kvDim), mixed: buffer(dim8B),
		gate: buffer(hidden8B), up: buffer(hidden8B), logits: buffer(vocab8B), angles: buffer(128),
		norm: matrices(quant.F32, dim8B, 1), qkv: matrices(quant.Q8_0, dim8B, dim8B, kvDim, kvDim), o: matrices(quant.Q8_0, dim8B, dim8B),
		gateUp: matrices(quant.Q8_0, dim8B, hidden8B, hidden8B), down: matrices(quant.Q8_0, hidden8B, dim8B),
		output: matrices(quant.Q8_0, dim8B, vocab8B), rotation: make([]float32, 128), read: make([]float32, vocab8B)}
	s.toQKV, s.toH, s.toGateUp = []kernels.Buffer{s.q, s.k, s.v}, []kernels.Buffer{s.h}, []kernels.Buffer{s.gate, s.up}
	s.toLogits = []kernels.Buffer{s.logits}
	if s.kv, err = b.NewKV(kernels.KVShape{Layers: layers8B, KVHeads: kvHeads8B, HeadDim: 128, PositionsMax: 8192}); err != nil {
		t.Fatal(err)
	}
	return s
}

// step is what inference does for a token.
func (s *decoder) step(t testing.TB, position int) {
	b, span := s.b, [1]kernels.Span{{KV: s.kv, Rows: 1, Position: position}}
	if err := b.Reserve(s.kv, position, 1); err != nil {
		t.Fatal(err)
	}
	b.Write(s.angles, s.rotation)
	b.Embed(s.x, s.output[0], []int32{int32(position)})
	for layer := range layers8B {
		b.RMSNorm(s.h, s.x, s.norm[0], 1e-5, 1)
		b.MatMul(s.toQKV, s.qkv, s.h, 1)
		b.RoPE(s.q, s.angles, heads8B, 128, 128, 1)
		b.RoPE(s.k, s.angles, kvHeads8B, 128, 128, 1)
		b.StoreKV(layer, s.k, s.v, span[:])
		b.Attention(s.mixed, s.q, layer, heads8B, span[:])
		b.MatMul(s.toH, s.o, s.mixed, 1)
		b.Add(s.x, s.h, dim8B)
		b.RMSNorm(s.h, s.x, s.norm[0], 1e-5, 1)
		b.MatMul(s.toGateUp, s.gateUp, s.h, 1)
		b.SwiGLU(s.gate, s.gate, s.up, hidden8B)
		b.MatMul(s.toH, s.down, s.gate, 1)
		b.Add(s.x, s.h, dim8B)
	}
	b.RMSNorm(s.h, s.x, s.norm[0], 1e-5, 1)
	b.MatMul(s.toLogits, s.output, s.h, 1)
	if err := b.Read(s.read[:dim8B], s.h, 0); err != nil {
		t.Fatal(err)
	}
	if err := b.Read(s.read, s.logits, 0); err != nil {
		t.Fatal(err)
	}
}

// TestStep: a token of an 8B model is 10 launches a layer and one wait, and from the third on a page one graph.
func TestStep(t *testing.T) {
	d := &idleDriver{}
	s := newDecoder(t, d)
	s.step(t, 0)
	if d.launches != launches8B {
		t.Errorf("a token: %d launches, want %d", d.launches, launches8B)
	}
	s.step(t, 1)
	s.step(t, 2)
	d.launches, d.graphs, d.waits, d.fetches = 0, 0, 0, 0
	for position := 3; position < 128; position++ {
		s.step(t, position)
	}
	if d.launches != 0 || d.graphs != 125 || d.waits != 125 || d.fetches != 250 {
		t.Errorf("125 tokens: %d launches, %d graphs, %d waits, %d copies back, want 0, 125, 125, 250", d.launches, d.graphs, d.waits, d.fetches)
	}
}

// BenchmarkStep is the host's part of a token of an 8B model at batch 1 without the driver's: the card has nothing to do meanwhile.
func BenchmarkStep(b *testing.B) {
	s := newDecoder(b, &idleDriver{})
	b.ReportAllocs()
	position := 0
	for b.Loop() {
		s.step(b, position%8192)
		position++
	}
}
