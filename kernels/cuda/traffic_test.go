package cuda_test

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"verbatim/kernels"
	"verbatim/kernels/cuda"
	"verbatim/kernels/cuda/cudatest"
	"verbatim/kernels/quant"
)

var recordTraffic = flag.Bool("record-traffic", false, "write bench/records/cuda-traffic.md anew, which takes minutes")

// shape is a model of one layer.
type shape struct {
	name                                                   string
	dim, heads, kvHeads, headDim, hidden, vocab, positions int
}

var (
	tinyShape  = shape{"tiny", 640, 10, 5, 64, 1536, 1024, 300}
	llamaShape = shape{"1B", 2048, 32, 8, 64, 8192, 16384, 1024}
)

// oneLayer is a decoder of one layer with random weights, run as inference does.
type oneLayer struct {
	t       testing.TB
	b       *cuda.Backend
	s       shape
	norms   [3]kernels.Matrix
	table   kernels.Matrix
	qkv     [3]kernels.Matrix
	o, down [1]kernels.Matrix
	gateUp  [2]kernels.Matrix

	x, h, q, k, v, mixed, gate, up, logits, cosSin kernels.Buffer
	kv                                             kernels.KV
	weightBytes                                    int
}

func (m *oneLayer) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// matrix has random integers and small scales.
func (m *oneLayer) matrix(t quant.Type, rows, cols int) kernels.Matrix {
	m.t.Helper()
	rowBytes, err := quant.RowBytes(t, cols)
	m.must(err)
	data := make([]byte, rows*rowBytes)
	rng := rand.NewChaCha8([32]byte{byte(rows), byte(cols)})
	if t == quant.F32 {
		for i := 0; i < len(data); i += 4 {
			binary.LittleEndian.PutUint32(data[i:], 0x3F800000)
		}
	} else {
		rng.Read(data)
		for at := 0; at < len(data); at += t.BlockBytes() {
			for _, half := range t.Halves() {
				binary.LittleEndian.PutUint16(data[at+half:], 0x1000)
			}
		}
		m.weightBytes += len(data)
	}
	w, err := m.b.NewMatrix(t, rows, cols, data)
	m.must(err)
	return w
}

func newOneLayer(t testing.TB, b *cuda.Backend, s shape, format quant.Type, rows int) *oneLayer {
	m := &oneLayer{t: t, b: b, s: s}
	for i := range m.norms {
		m.norms[i] = m.matrix(quant.F32, 1, s.dim)
	}
	for i, heads := range [3]int{s.heads, s.kvHeads, s.kvHeads} {
		m.qkv[i] = m.matrix(format, heads*s.headDim, s.dim)
	}
	m.o[0] = m.matrix(format, s.dim, s.heads*s.headDim)
	m.gateUp = [2]kernels.Matrix{m.matrix(format, s.hidden, s.dim), m.matrix(format, s.hidden, s.dim)}
	m.down[0] = m.matrix(format, s.dim, s.hidden)
	m.table = m.matrix(format, s.vocab, s.dim)
	for _, c := range []struct {
		buffer   *kernels.Buffer
		elements int
	}{{&m.x, s.dim}, {&m.h, s.dim}, {&m.q, s.heads * s.headDim}, {&m.k, s.kvHeads * s.headDim}, {&m.v, s.kvHeads * s.headDim},
		{&m.mixed, s.heads * s.headDim}, {&m.gate, s.hidden}, {&m.up, s.hidden}, {&m.cosSin, s.headDim}, {&m.logits, s.vocab}} {
		var err error
		*c.buffer, err = b.NewBuffer(rows * c.elements)
		m.must(err)
	}
	var err error
	m.kv, err = b.NewKV(kernels.KVShape{Layers: 1, KVHeads: s.kvHeads, HeadDim: s.headDim, PositionsMax: s.positions})
	m.must(err)
	b.Write(m.cosSin, make([]float32, rows*s.headDim))
	return m
}

// step evaluates rows tokens from a position on, and the logits of the first.
func (m *oneLayer) step(position, rows int) {
	b, s := m.b, m.s
	m.must(b.Reserve(m.kv, position, rows))
	spans := []kernels.Span{{KV: m.kv, Rows: rows, Position: position}}
	b.Embed(m.x, m.table, make([]int32, rows))
	b.RMSNorm(m.h, m.x, m.norms[0], 1e-5, rows)
	b.MatMul([]kernels.Buffer{m.q, m.k, m.v}, m.qkv[:], m.h, rows)
	b.RoPE(m.q, m.cosSin, s.heads, s.headDim, s.headDim, rows)
	b.RoPE(m.k, m.cosSin, s.kvHeads, s.headDim, s.headDim, rows)
	b.StoreKV(0, m.k, m.v, spans)
	b.Attention(m.mixed, m.q, 0, s.heads, spans)
	b.MatMul([]kernels.Buffer{m.h}, m.o[:], m.mixed, rows)
	b.Add(m.x, m.h, rows*s.dim)
	b.RMSNorm(m.h, m.x, m.norms[1], 1e-5, rows)
	b.MatMul([]kernels.Buffer{m.gate, m.up}, m.gateUp[:], m.h, rows)
	b.SwiGLU(m.gate, m.gate, m.up, rows*s.hidden)
	b.MatMul([]kernels.Buffer{m.h}, m.down[:], m.gate, rows)
	b.Add(m.x, m.h, rows*s.dim)
	b.RMSNorm(m.h, m.x, m.norms[2], 1e-5, rows)
	b.MatMul([]kernels.Buffer{m.logits}, []kernels.Matrix{m.table}, m.h, 1)
	m.must(b.Read(make([]float32, 1), m.logits, 0))
}

// traffic gives the counts of one step behind context positions.
func traffic(t *testing.T, s shape, format quant.Type, context, rows int) (r cudatest.Report, weightBytes int) {
	t.Helper()
	d := cudatest.Load(t, cudatest.SM80, "memory=4000000000")
	b := open(t, d, cuda.Options{})
	m := newOneLayer(t, b, s, format, rows)
	if context > 0 {
		m.must(b.Reserve(m.kv, 0, context))
		b.WriteKV(m.kv, make([]uint16, context*2*s.kvHeads*s.headDim), 0, context)
	}
	m.must(b.Read(make([]float32, 1), m.x, 0))
	d.Configure("memory=4000000000 traffic=1")
	m.step(context, rows)
	r = d.Report()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return r, m.weightBytes
}

// TestTraffic holds the kernels to what they may read: decoding reads each weight once, and whole sectors.
func TestTraffic(t *testing.T) {
	r, weightBytes := traffic(t, tinyShape, quant.Q8_0, 200, 1)
	read, launches := int64(0), int64(0)
	for _, k := range r.Kernels {
		read += k.FootprintRead
		if k.BytesRead > 1<<16 && k.SectorsIdeal*10 < k.Sectors*9 {
			t.Errorf("%s touches %d sectors where %d would do", k.Name, k.Sectors, k.SectorsIdeal)
		}
		launches += k.Launches
	}
	// The layer and the logits read every weight; activations and 200 positions of the cache are small beside them.
	if most := int64(weightBytes) * 110 / 100; read > most {
		t.Errorf("one step of decoding reads %d bytes of memory, at most %d expected:\n%s", read, most, trafficTable(r))
	}
	if launches > 16 {
		t.Errorf("a step of one layer has %d launches, at most 16 expected:\n%s", launches, trafficTable(r))
	}
	t.Logf("decoding behind 200 positions:\n%s", trafficTable(r))
	if *recordTraffic {
		writeTrafficRecord(t)
	}
}

func trafficTable(r cudatest.Report) string {
	var text strings.Builder
	text.WriteString("| kernel | launches | last: blocks x threads | loads MB | stores MB | reads MB | writes MB | sectors | mma | dp4a | barriers |\n")
	text.WriteString("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	var total cudatest.Kernel
	mb := func(n int64) string { return fmt.Sprintf("%.3f", float64(n)/1e6) }
	for _, k := range r.Kernels {
		fmt.Fprintf(&text, "| %s | %d | %d x %d | %s | %s | %s | %s | %.0f %% | %d | %d | %d |\n", k.Name, k.Launches, k.BlocksLast, k.ThreadsLast,
			mb(k.BytesRead), mb(k.BytesWritten), mb(k.FootprintRead), mb(k.FootprintWritten),
			100*float64(k.SectorsIdeal)/float64(max(k.Sectors, 1)), k.MMA, k.DP4A, k.Barriers)
		total.Launches += k.Launches
		total.BytesRead += k.BytesRead
		total.BytesWritten += k.BytesWritten
		total.FootprintRead += k.FootprintRead
		total.FootprintWritten += k.FootprintWritten
	}
	fmt.Fprintf(&text, "| all | %d | | %s | %s | %s | %s | | | | |\n", total.Launches, mb(total.BytesRead), mb(total.BytesWritten),
		mb(total.FootprintRead), mb(total.FootprintWritten))
	return text.String()
}

const trafficHead = `# Traffic of the CUDA kernels

Written by ` + "`go test ./kernels/cuda -run TestTraffic -record-traffic`" + `: a model of one layer with an embedding and logits, run by the emulator
on a processor; no card was involved and nothing here is a time. *Loads* and *stores* are what the instructions ask for, *reads* and
*writes* the bytes of distinct 32-byte sectors launch by launch, which is what memory must deliver at least. *Sectors* is the share
of the sectors touched by warps that their bytes would fill at best. Weights are what the file holds of the matrices.
`

func writeTrafficRecord(t *testing.T) {
	var text strings.Builder
	text.WriteString(trafficHead)
	for _, c := range []struct {
		shape         shape
		format        quant.Type
		context, rows int
	}{
		{tinyShape, quant.Q8_0, 200, 1}, {tinyShape, quant.Q8_0, 0, 64}, {llamaShape, quant.Q8_0, 512, 1}, {llamaShape, quant.Q4_K, 512, 1},
		{llamaShape, quant.Q8_0, 512, 8}, {llamaShape, quant.Q8_0, 0, 128},
	} {
		r, weightBytes := traffic(t, c.shape, c.format, c.context, c.rows)
		s := c.shape
		fmt.Fprintf(&text, "\n## %s %v, %d rows behind %d positions\ndim %d, heads %d, kv heads %d, head dim %d, hidden %d, vocabulary %d: %.3f MB of weights.\n\n%s",
			s.name, c.format, c.rows, c.context, s.dim, s.heads, s.kvHeads, s.headDim, s.hidden, s.vocab, float64(weightBytes)/1e6, trafficTable(r))
	}
	if err := os.WriteFile(filepath.Join("..", "..", "bench", "records", "cuda-traffic.md"), []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
