package cuda

import "verbatim/kernels"

// attentionState is what attention keeps.
type attentionState struct{}

func (s *attentionState) find(f *finder) {}

// kv is a session's keys and values.
type kv struct {
	shape kernels.KVShape
	table uint64 // device address of the page addresses, by split; stays
}

func (c *kv) PositionsMax() int { return c.shape.PositionsMax }

func (b *Backend) NewKV(shape kernels.KVShape) (kernels.KV, error)              { return &kv{shape: shape}, nil }
func (b *Backend) Reserve(c kernels.KV, first, positions int) error             { return nil }
func (b *Backend) StoreKV(layer int, k, v kernels.Buffer, spans []kernels.Span) {}
func (b *Backend) Attention(dst, q kernels.Buffer, layer, heads int, spans []kernels.Span) {
}
func (b *Backend) CopyKV(dst, src kernels.KV, dstFirst, srcFirst, positions int)   {}
func (b *Backend) ReadKV(dst []uint16, src kernels.KV, first, positions int) error { return nil }
func (b *Backend) WriteKV(dst kernels.KV, src []uint16, first, positions int)      {}
