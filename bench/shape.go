package bench

import (
	"fmt"
	"strings"

	"verbatim/kernels/quant"
)

// Shape is the size of a published model, for a file of random weights: speed does not depend on the values.
type Shape struct {
	Name           string
	Layers         int
	Dim, Hidden    int
	Heads, KVHeads int
	Vocab          int
	ContextTokens  int
	RopeBase       float32
	NormEpsilon    float32
	SeparateOutput bool // an output matrix of its own
}

// Shapes are the shapes that NewModel makes.
func Shapes() []Shape {
	return []Shape{
		{Name: "tiny", Layers: 2, Dim: 256, Hidden: 512, Heads: 4, KVHeads: 2, Vocab: 1024, ContextTokens: 4096, RopeBase: 10000, NormEpsilon: 1e-5},
		{Name: "smollm-135m", Layers: 30, Dim: 576, Hidden: 1536, Heads: 9, KVHeads: 3, Vocab: 49152, ContextTokens: 8192, RopeBase: 100000, NormEpsilon: 1e-5},
		{Name: "smollm-360m", Layers: 32, Dim: 960, Hidden: 2560, Heads: 15, KVHeads: 5, Vocab: 49152, ContextTokens: 8192, RopeBase: 100000, NormEpsilon: 1e-5},
		{Name: "tinyllama-1b", Layers: 22, Dim: 2048, Hidden: 5632, Heads: 32, KVHeads: 4, Vocab: 32000, ContextTokens: 2048, RopeBase: 10000, NormEpsilon: 1e-5, SeparateOutput: true},
		{Name: "llama-1b", Layers: 16, Dim: 2048, Hidden: 8192, Heads: 32, KVHeads: 8, Vocab: 128256, ContextTokens: 131072, RopeBase: 500000, NormEpsilon: 1e-5},
		{Name: "llama-3b", Layers: 28, Dim: 3072, Hidden: 8192, Heads: 24, KVHeads: 8, Vocab: 128256, ContextTokens: 131072, RopeBase: 500000, NormEpsilon: 1e-5},
		{Name: "llama-8b", Layers: 32, Dim: 4096, Hidden: 14336, Heads: 32, KVHeads: 8, Vocab: 128256, ContextTokens: 131072, RopeBase: 500000, NormEpsilon: 1e-5, SeparateOutput: true},
	}
}

// ShapeNamed finds a shape.
func ShapeNamed(name string) (Shape, error) {
	var names []string
	for _, s := range Shapes() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Shape{}, fmt.Errorf("shape %q is not known (known: %s)", name, strings.Join(names, ", "))
}

// Mix says which format each matrix of a file has, as llama.cpp's quantisation tool chooses them.
type Mix struct {
	Name   string
	most   quant.Type
	head   quant.Type // of the matrix that makes logits
	better quant.Type // of the layers' more sensitive matrices
}

// Mixes are the mixes that NewModel makes.
func Mixes() []Mix {
	plain := func(t, head quant.Type) Mix { return Mix{Name: t.String(), most: t, head: head, better: t} }
	return []Mix{
		plain(quant.F32, quant.F32), plain(quant.F16, quant.F16), plain(quant.BF16, quant.BF16), plain(quant.Q8_0, quant.Q8_0),
		plain(quant.Q4_0, quant.Q6_K), plain(quant.Q4_1, quant.Q6_K), plain(quant.Q5_0, quant.Q6_K), plain(quant.Q5_1, quant.Q6_K),
		plain(quant.IQ4_NL, quant.Q6_K), plain(quant.IQ4_XS, quant.Q6_K), plain(quant.Q2_K, quant.Q6_K), plain(quant.Q3_K, quant.Q6_K),
		plain(quant.Q4_K, quant.Q6_K), plain(quant.Q5_K, quant.Q6_K), plain(quant.Q6_K, quant.Q6_K),
		{Name: "Q4_K_M", most: quant.Q4_K, head: quant.Q6_K, better: quant.Q6_K},
		{Name: "Q5_K_M", most: quant.Q5_K, head: quant.Q6_K, better: quant.Q6_K},
	}
}

// MixNamed finds a mix.
func MixNamed(name string) (Mix, error) {
	var names []string
	for _, m := range Mixes() {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return Mix{}, fmt.Errorf("format %q is not known (known: %s)", name, strings.Join(names, ", "))
}

// fallbacks are what takes the place of formats whose superblocks do not divide a row.
var fallbacks = [...]struct{ from, to quant.Type }{
	{quant.Q2_K, quant.Q4_0}, {quant.Q3_K, quant.Q4_0}, {quant.Q4_K, quant.Q5_0}, {quant.Q5_K, quant.Q5_1}, {quant.Q6_K, quant.Q8_0},
	{quant.IQ4_XS, quant.IQ4_NL},
}

// fitting is t, or what takes its place for rows of cols values.
func fitting(t quant.Type, cols int) quant.Type {
	if cols%t.BlockElements() == 0 {
		return t
	}
	for _, f := range fallbacks {
		if f.from == t {
			return f.to
		}
	}
	return quant.F16
}

// ofLayer is the format of a matrix of one layer.
func (m Mix) ofLayer(matrix string, layer, layers, cols int) quant.Type {
	sensitive := matrix == "attn_v" || matrix == "ffn_down"
	if sensitive && (layer < layers/8 || layer >= 7*layers/8 || (layer-layers/8)%3 == 2) {
		return fitting(m.better, cols)
	}
	return fitting(m.most, cols)
}
