package cuda

import "verbatim/kernels"

// smallState is what the small operators keep.
type smallState struct{}

func (s *smallState) find(f finder) {}

func (b *Backend) Embed(dst kernels.Buffer, table kernels.Matrix, tokens []int32)                {}
func (b *Backend) RMSNorm(dst, src kernels.Buffer, weight kernels.Matrix, eps float32, rows int) {}
func (b *Backend) AddRow(dst kernels.Buffer, row kernels.Matrix, rows int)                       {}
func (b *Backend) RoPE(x, cosSin kernels.Buffer, heads, headDim, rotated, rows int)              {}
func (b *Backend) SwiGLU(dst, gate, up kernels.Buffer, elements int)                             {}
func (b *Backend) Add(dst, src kernels.Buffer, elements int)                                     {}
