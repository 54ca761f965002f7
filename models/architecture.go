package models

import (
	"fmt"
	"strings"

	"verbatim/models/gguf"
)

// llama is the architecture of which the others are variants.
const llama = "llama"

// architecture is what a general.architecture adds to Llama's forward pass, or
// does in another way (kernels/SPEC.md, sections 6 to 10).
type architecture struct {
	name      string // in the file, and in front of its keys
	biases    bool   // of queries, keys and values
	headNorms bool   // of queries and keys
	halves    bool   // RoPE pairs element i of a head with i + RopeDim/2
	window    bool   // attention.sliding_window is understood
}

// architectures are those that are supported.
func architectures() []architecture {
	return []architecture{
		{name: llama, window: true}, // Llama 1 to 3, TinyLlama, SmolLM, Mistral
		{name: "qwen2", biases: true, halves: true},
		{name: "qwen3", headNorms: true, halves: true},
	}
}

// architectureOf finds a name among those that are supported.
func architectureOf(name string) (architecture, bool) {
	for _, a := range architectures() {
		if a.name == name {
			return a, true
		}
	}
	return architecture{}, false
}

func readArchitecture(file *gguf.File) (architecture, error) {
	name, err := file.String("general.architecture")
	if err != nil {
		return architecture{}, err
	}
	a, ok := architectureOf(name)
	if !ok {
		var names []string
		for _, a := range architectures() {
			names = append(names, a.name)
		}
		return a, fmt.Errorf("model: key \"general.architecture\" is %q, which is not supported (supported: %s)", name, strings.Join(names, ", "))
	}
	return a, nil
}

// key is the name of one of the architecture's keys in the file.
func (a *architecture) key(name string) string { return a.name + "." + name }

// pairHalves gives t's heads the order in which RoPE turns neighbours: element
// i becomes 2i, and i + rotated/2 becomes 2i + 1, for i below rotated/2 (kernels/SPEC.md,
// section 7). An element is elementBytes of Data: a row of a matrix, which
// quantisation does not reach across, or a float of a vector. Data is a copy.
func pairHalves(t Tensor, elementBytes, headDim, rotated int) Tensor {
	from := t.Data
	t.Data = make([]byte, len(from))
	for head := 0; head < len(from); head += headDim * elementBytes {
		for i := range headDim {
			to := i
			switch half := rotated / 2; {
			case i < half:
				to = 2 * i
			case i < rotated:
				to = 2*(i-half) + 1
			}
			copy(t.Data[head+to*elementBytes:][:elementBytes], from[head+i*elementBytes:])
		}
	}
	return t
}

// pairHalves reorders all tensors of a layer whose rows or elements are those of
// query and key heads.
func (l *Layer) pairHalves(h *Hyperparameters) {
	for _, t := range []*Tensor{&l.Q, &l.K} {
		*t = pairHalves(*t, len(t.Data)/t.Rows, h.HeadDim, h.RopeDim)
	}
	for _, t := range []*Tensor{&l.QBias, &l.KBias, &l.QNorm, &l.KNorm} {
		if t.Rows > 0 {
			*t = pairHalves(*t, len(t.Data)/t.Cols, h.HeadDim, h.RopeDim)
		}
	}
}
