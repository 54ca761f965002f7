package models

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"verbatim/models/gguf"
	"verbatim/models/tokenizer"
)

// Limits on hyperparameters, far above published models. They keep later size
// computations in range.
const (
	LayersMax        = 1024
	DimMax           = 1 << 16
	HiddenMax        = 1 << 20
	HeadsMax         = 1024
	ContextTokensMax = 1 << 24
	VocabMax         = tokenizer.TokensMax
)

// RopeBaseDefault is the base of files without the key rope.freq_base.
const RopeBaseDefault = 10000

// Hyperparameters are the sizes and constants of a model.
type Hyperparameters struct {
	Architecture     string
	Name             string // general.name; for people
	Layers           int
	Dim              int // of the residual stream
	Hidden           int // of the feed-forward part
	Heads            int // of queries
	KVHeads          int // of keys and values; divides Heads
	HeadDim          int
	Vocab            int
	ContextTokensMax int
	Window           int // how many positions a query sees, its own included; 0: all
	NormEpsilon      float32
	RopeBase         float32
	RopeDim          int       // leading values of a head that are rotated; even
	RopeFactors      []float32 // RopeDim/2 divisors of the frequencies; nil when the file has none
	Tied             bool      // the output head is the token embedding
}

// knownKey says whether a key of the architecture is read, or known not to
// change the arithmetic. A file with any other is refused, because a key that is
// not understood may change what the weights mean.
func (a *architecture) knownKey(key string) bool {
	switch key {
	case "context_length", "embedding_length", "block_count", "feed_forward_length",
		"attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length",
		"attention.layer_norm_rms_epsilon", "rope.dimension_count", "rope.freq_base",
		"rope.scaling.type", "rope.scaling.factor", "rope.scale_linear", "expert_count", "expert_used_count":
		return true // read below
	case "attention.sliding_window":
		return a.window
	case "vocab_size", "tensor_data_layout", "rope.scaling.original_context_length", "rope.scaling.finetuned":
		return true // of no effect once rope scaling is refused
	}
	return false
}

// metadata reads the architecture's keys of a file and keeps the first error.
type metadata struct {
	architecture
	file *gguf.File
	err  error
}

func (m *metadata) fail(err error) {
	if m.err == nil {
		m.err = err
	}
}

// count reads an integer from 1 to countMax; otherwise applies when the key is
// absent and 0 means that it may not be.
func (m *metadata) count(name string, countMax, otherwise int) int {
	key := m.key(name)
	n, err := m.file.Uint(key)
	if errors.Is(err, gguf.ErrAbsent) && otherwise != 0 {
		return otherwise
	}
	if err != nil {
		m.fail(err)
		return 1
	}
	if n < 1 || n > uint64(countMax) {
		m.fail(fmt.Errorf("model: key %q is %d (1 to %d are allowed)", key, n, countMax))
		return 1
	}
	return int(n)
}

// positive reads a float above 0; otherwise applies when the key is absent and
// 0 means that it may not be.
func (m *metadata) positive(name string, otherwise float32) float32 {
	key := m.key(name)
	x, err := m.file.Float(key)
	if errors.Is(err, gguf.ErrAbsent) && otherwise != 0 {
		return otherwise
	}
	if err != nil {
		m.fail(err)
	} else if x <= 0 {
		m.fail(fmt.Errorf("model: key %q is %v, want a number above 0", key, x))
	}
	return x
}

// readHyperparameters reads and checks the architecture's keys. vocab is the
// number of tokens. Tied and the RopeFactors of a tensor are left to readWeights.
func readHyperparameters(file *gguf.File, a architecture, vocab int) (Hyperparameters, error) {
	for _, key := range file.Keys() {
		if name, ok := strings.CutPrefix(key, a.key("")); ok && !a.knownKey(name) {
			return Hyperparameters{}, fmt.Errorf("model: key %q is not understood and may change the arithmetic", key)
		}
	}
	m := &metadata{architecture: a, file: file}
	h := Hyperparameters{Architecture: a.name, Vocab: vocab}
	h.Layers = m.count("block_count", LayersMax, 0)
	h.Dim = m.count("embedding_length", DimMax, 0)
	h.Hidden = m.count("feed_forward_length", HiddenMax, 0)
	h.Heads = m.count("attention.head_count", HeadsMax, 0)
	h.KVHeads = m.count("attention.head_count_kv", HeadsMax, h.Heads)
	h.ContextTokensMax = m.count("context_length", ContextTokensMax, 0)
	h.Window = m.slidingWindow(h.ContextTokensMax)
	h.NormEpsilon = m.positive("attention.layer_norm_rms_epsilon", 0)
	h.RopeBase = m.positive("rope.freq_base", RopeBaseDefault)
	h.HeadDim = m.headDim(&h)
	if m.err == nil && h.Heads%h.KVHeads != 0 {
		m.fail(fmt.Errorf("model: %d key-value heads do not divide the %d heads", h.KVHeads, h.Heads))
	}
	h.RopeDim = m.count("rope.dimension_count", DimMax, max(h.HeadDim, 1))
	if m.err == nil && (h.HeadDim%2 != 0 || h.RopeDim%2 != 0 || h.RopeDim > h.HeadDim) {
		m.fail(fmt.Errorf("model: head dimension %d and rotated dimension %d: both must be even, the second not above the first", h.HeadDim, h.RopeDim))
	}
	if factor := m.ropeScale(); factor != 1 && m.err == nil {
		h.RopeFactors = slices.Repeat([]float32{factor}, h.RopeDim/2)
	}
	m.refuseExperts()
	if name, err := file.String("general.name"); err == nil {
		h.Name = name
	}
	return h, m.err
}

// headDim is the length of a head's keys, and of its values: that of the file, or
// dimension / heads.
func (m *metadata) headDim(h *Hyperparameters) int {
	_, err := m.file.Uint(m.key("attention.key_length"))
	if m.err == nil && errors.Is(err, gguf.ErrAbsent) && h.Dim%h.Heads != 0 {
		m.fail(fmt.Errorf("model: %d heads do not divide the dimension %d", h.Heads, h.Dim))
	}
	key := m.count("attention.key_length", DimMax, max(1, h.Dim/h.Heads))
	if value := m.count("attention.value_length", DimMax, key); m.err == nil && value != key {
		m.fail(fmt.Errorf("model: keys of %d and values of %d dimensions; only equal ones are supported", key, value))
	}
	return key
}

// slidingWindow is how many positions a query sees; 0, for all, if there is no limit or
// none within the context.
func (m *metadata) slidingWindow(contextTokensMax int) int {
	if !m.window {
		return 0
	}
	key := m.key("attention.sliding_window")
	n, err := m.file.Uint(key)
	if unlessAbsent(err) != nil {
		m.fail(err)
	}
	if err != nil || n >= uint64(contextTokensMax) {
		return 0
	}
	return int(n)
}

// ropeScale is the divisor of all RoPE frequencies: 1 unless the scaling is
// linear. Llama 3 has its own scaling in the tensor rope_freqs.weight.
func (m *metadata) ropeScale() float32 {
	kind, err := m.file.String(m.key("rope.scaling.type"))
	if err == nil && kind != "none" && kind != "linear" {
		m.fail(fmt.Errorf("model: RoPE scaling %q (key %q) is not supported", kind, m.key("rope.scaling.type")))
	} else if unlessAbsent(err) != nil {
		m.fail(err)
	}
	scale := float32(1)
	for _, key := range []string{m.key("rope.scaling.factor"), m.key("rope.scale_linear")} {
		factor, err := m.file.Float(key)
		switch {
		case unlessAbsent(err) != nil:
			m.fail(err)
		case err != nil || factor == 0 || factor == 1 || kind == "none":
		case !(factor > 0) || scale != 1 && scale != factor:
			m.fail(fmt.Errorf("model: RoPE scaling by %v (key %q) is not supported", factor, key))
		default:
			scale = factor
		}
	}
	return scale
}

// refuseExperts refuses mixtures of experts.
func (m *metadata) refuseExperts() {
	for _, key := range []string{m.key("expert_count"), m.key("expert_used_count")} {
		experts, err := m.file.Uint(key)
		if err == nil && experts != 0 {
			m.fail(fmt.Errorf("model: a mixture of experts (key %q is %d) is not supported", key, experts))
		} else if err != nil && !errors.Is(err, gguf.ErrAbsent) {
			m.fail(err)
		}
	}
}
