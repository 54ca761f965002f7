package models

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"verbatim/kernels/quant"
	"verbatim/models/gguf"
)

// The model files of llama2.c (export.py and run.c of that project): float32
// weights in a fixed order behind a header of little-endian 32-bit integers.
//
//	legacy     dim | hidden | layers | heads | kvHeads | ±vocab | context
//	           a negative vocab announces a separate output head
//	version 1  "24ka" | 1 | dim | hidden | layers | heads | kvHeads | vocab | context | u8 tied, zeros to byte 256
//
// Legacy files hold the embedding, then attn_norm, q, k, v, o, ffn_norm, gate,
// down and up, each of all layers, the last norm, 2 unused tables of (context,
// headDim / 2) and the output head. In version 1 all norms come first and there
// are no tables. The rows of q and k are in the order of GGUF files.
const (
	llama2cMagic       = "24ka" // 0x616b3432
	llama2cLegacyBytes = 28
	llama2cHeaderBytes = 256

	// llama2cNormEpsilon is a constant of run.c; the files do not hold it.
	llama2cNormEpsilon = 1e-5

	// llama2cDigestMagic begins what a digest of these models hashes.
	llama2cDigestMagic = "verbatim/llama2c/1\n"
)

// llama2cHeader is a header, whatever its form.
type llama2cHeader struct {
	dim, hidden, layers, heads, kvHeads, vocab, context int
	tied, legacy                                        bool
}

// openLlama2c opens a llama2.c file that is already mapped, with its tokenizer:
// NAME_tok.bin, tokVOCAB.bin or tokenizer.bin in the folder of NAME.bin.
func openLlama2c(path string, data []byte) (*Model, error) {
	header, err := readLlama2cHeader(data)
	if err != nil {
		return nil, err
	}
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	candidates := []string{name + "_tok.bin", fmt.Sprintf("tok%d.bin", header.vocab), "tokenizer.bin"}
	for _, candidate := range candidates {
		tokens, err := os.ReadFile(filepath.Join(filepath.Dir(path), candidate))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("llama2.c: tokenizer: %w", err)
		}
		m, err := FromLlama2c(data, tokens)
		if err != nil {
			return nil, fmt.Errorf("with tokenizer %s: %w", candidate, err)
		}
		return m, nil
	}
	return nil, fmt.Errorf("llama2.c: there is no tokenizer beside the model (looked for %s)", strings.Join(candidates, ", "))
}

// FromLlama2c checks a llama2.c model file and its tokenizer's file, and copies
// the weights. The digest is that of llama2cDigestMagic, the SHA-256 of the
// model's file and the SHA-256 of the tokenizer's, one after the other.
func FromLlama2c(data, tokens []byte) (*Model, error) {
	h, err := readLlama2cHeader(data)
	if err != nil {
		return nil, err
	}
	pairs := []gguf.KeyValue{
		{Key: "general.architecture", Value: llama},
		{Key: "llama.embedding_length", Value: uint32(h.dim)},
		{Key: "llama.feed_forward_length", Value: uint32(h.hidden)},
		{Key: "llama.block_count", Value: uint32(h.layers)},
		{Key: "llama.attention.head_count", Value: uint32(h.heads)},
		{Key: "llama.attention.head_count_kv", Value: uint32(h.kvHeads)},
		{Key: "llama.context_length", Value: uint32(h.context)},
		{Key: "llama.attention.layer_norm_rms_epsilon", Value: float32(llama2cNormEpsilon)},
	}
	vocabulary, err := readLlama2cTokenizer(tokens, h.vocab)
	if err != nil {
		return nil, err
	}
	// The same model as a GGUF file goes through the same checks as any other.
	var file bytes.Buffer
	if err := gguf.Write(&file, append(pairs, vocabulary...), h.tensors(data)); err != nil {
		return nil, err
	}
	m, err := FromBytes(file.Bytes())
	if err != nil {
		return nil, err
	}
	model, tokenizer := sha256.Sum256(data), sha256.Sum256(tokens)
	m.Digest = sha256.Sum256(append(append([]byte(llama2cDigestMagic), model[:]...), tokenizer[:]...))
	return m, nil
}

// readLlama2cHeader reads a header and checks that the file has the size that
// follows from it.
func readLlama2cHeader(data []byte) (llama2cHeader, error) {
	var h llama2cHeader
	first, count := 0, 7
	h.legacy = !bytes.HasPrefix(data, []byte(llama2cMagic))
	if !h.legacy {
		if len(data) < llama2cHeaderBytes {
			return h, fmt.Errorf("llama2.c: the file ends inside its header of %d bytes", llama2cHeaderBytes)
		}
		if version := binary.LittleEndian.Uint32(data[4:]); version != 1 {
			return h, fmt.Errorf("llama2.c: version %d of the format is not supported (supported: legacy, 1)", version)
		}
		first = 8
	} else if len(data) < llama2cLegacyBytes {
		return h, fmt.Errorf("llama2.c: the file ends inside its header of %d bytes", llama2cLegacyBytes)
	}
	numbers := make([]int, count)
	for i := range numbers {
		numbers[i] = int(int32(binary.LittleEndian.Uint32(data[first+4*i:])))
	}
	h.tied = h.legacy && numbers[5] > 0 || !h.legacy && data[first+4*count] != 0
	if h.legacy && numbers[5] < 0 {
		numbers[5] = -numbers[5]
	}
	h.dim, h.hidden, h.layers, h.heads = numbers[0], numbers[1], numbers[2], numbers[3]
	h.kvHeads, h.vocab, h.context = numbers[4], numbers[5], numbers[6]
	for _, limit := range []struct {
		name         string
		value, limit int
	}{
		{"dim", h.dim, DimMax}, {"hidden_dim", h.hidden, HiddenMax}, {"n_layers", h.layers, LayersMax}, {"n_heads", h.heads, HeadsMax},
		{"n_kv_heads", h.kvHeads, h.heads}, {"vocab_size", h.vocab, VocabMax}, {"seq_len", h.context, ContextTokensMax},
	} {
		if limit.value < 1 || limit.value > limit.limit {
			return h, fmt.Errorf("llama2.c: %s is %d (1 to %d are allowed)", limit.name, limit.value, limit.limit)
		}
	}
	if h.dim%h.heads != 0 || h.heads%h.kvHeads != 0 {
		return h, fmt.Errorf("llama2.c: %d heads of keys, %d of queries and %d dimensions do not divide each other", h.kvHeads, h.heads, h.dim)
	}
	if want := h.fileBytes(); want != len(data) {
		return h, fmt.Errorf("llama2.c: the file has %d bytes; its header asks for %d", len(data), want)
	}
	return h, nil
}

// llama2cTensor is one entry of the fixed order: a matrix, or a vector if rows
// is 1, in every layer or once. An empty name is skipped.
type llama2cTensor struct {
	name       string
	rows, cols int
	layered    bool
}

// order lists the tensors as they stand in the file.
func (h *llama2cHeader) order() []llama2cTensor {
	kv := h.dim / h.heads * h.kvHeads
	attnNorm, ffnNorm := llama2cTensor{"attn_norm", 1, h.dim, true}, llama2cTensor{"ffn_norm", 1, h.dim, true}
	norm := llama2cTensor{"output_norm.weight", 1, h.dim, false}
	embedding := llama2cTensor{"token_embd.weight", h.vocab, h.dim, false}
	attention := []llama2cTensor{
		{"attn_q", h.dim, h.dim, true}, {"attn_k", kv, h.dim, true}, {"attn_v", kv, h.dim, true}, {"attn_output", h.dim, h.dim, true},
	}
	feedForward := []llama2cTensor{
		{"ffn_gate", h.hidden, h.dim, true}, {"ffn_down", h.dim, h.hidden, true}, {"ffn_up", h.hidden, h.dim, true},
	}
	var list []llama2cTensor
	if h.legacy {
		list = append(append([]llama2cTensor{embedding, attnNorm}, attention...), ffnNorm)
		list = append(append(list, feedForward...), norm, llama2cTensor{"", h.context, h.dim / h.heads / 2 * 2, false})
	} else {
		list = append(append([]llama2cTensor{attnNorm, ffnNorm, norm, embedding}, attention...), feedForward...)
	}
	if !h.tied {
		list = append(list, llama2cTensor{"output.weight", h.vocab, h.dim, false})
	}
	return list
}

func (h *llama2cHeader) headerBytes() int {
	if h.legacy {
		return llama2cLegacyBytes
	}
	return llama2cHeaderBytes
}

// fileBytes is the size of the file; the limits keep it below 1 << 60.
func (h *llama2cHeader) fileBytes() int {
	size := h.headerBytes()
	for _, t := range h.order() {
		copies := 1
		if t.layered {
			copies = h.layers
		}
		size += 4 * copies * t.rows * t.cols
	}
	return size
}

// tensors cuts the file, whose size has been checked, into tensors with the
// names of GGUF files. They alias it.
func (h *llama2cHeader) tensors(data []byte) []gguf.Tensor {
	var list []gguf.Tensor
	rest := data[h.headerBytes():]
	for _, t := range h.order() {
		copies := 1
		if t.layered {
			copies = h.layers
		}
		for layer := range copies {
			size := 4 * t.rows * t.cols
			name, dims := t.name, []int{t.cols, t.rows}
			if t.layered {
				name = fmt.Sprintf("blk.%d.%s.weight", layer, t.name)
			}
			if t.rows == 1 {
				dims = dims[:1]
			}
			if name != "" {
				list = append(list, gguf.Tensor{Name: name, Type: quant.F32, Dims: dims, Data: rest[:size]})
			}
			rest = rest[size:]
		}
	}
	return list
}

// readLlama2cTokenizer turns a tokenizer file into the keys of a GGUF file:
//
//	u32 longest token in bytes | each token: f32 score | u32 bytes | text
//
// Token 0 is the unknown token, 1 and 2 begin and end a sequence, and a space
// stands for itself.
func readLlama2cTokenizer(data []byte, vocab int) ([]gguf.KeyValue, error) {
	if len(data) < 4 {
		return nil, errors.New("llama2.c: the tokenizer's file ends inside its header")
	}
	rest := data[4:]
	if vocab > len(rest)/8 {
		return nil, fmt.Errorf("llama2.c: the tokenizer's file of %d bytes is too short for %d tokens", len(data), vocab)
	}
	tokens, scores, types := make([]string, vocab), make([]float32, vocab), make([]int32, vocab)
	for id := range tokens {
		if len(rest) < 8 {
			return nil, fmt.Errorf("llama2.c: the tokenizer's file ends inside token %d of %d", id, vocab)
		}
		scores[id] = math.Float32frombits(binary.LittleEndian.Uint32(rest))
		size := binary.LittleEndian.Uint32(rest[4:])
		rest = rest[8:]
		if uint64(size) > uint64(len(rest)) {
			return nil, fmt.Errorf("llama2.c: the tokenizer's file ends inside token %d of %d", id, vocab)
		}
		tokens[id], types[id] = llama2cToken(id, string(rest[:size]))
		rest = rest[size:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("llama2.c: %d bytes follow the tokenizer's %d tokens", len(rest), vocab)
	}
	return []gguf.KeyValue{
		{Key: "tokenizer.ggml.model", Value: "llama"},
		{Key: "tokenizer.ggml.tokens", Value: tokens},
		{Key: "tokenizer.ggml.scores", Value: scores},
		{Key: "tokenizer.ggml.token_type", Value: types},
	}, nil
}

// llama2cToken is the text and type that a GGUF file gives a token.
func llama2cToken(id int, text string) (string, int32) {
	switch {
	case id == 0:
		return text, 2 // unknown
	case id == 1 || id == 2:
		return strings.Trim(text, "\n"), 3 // control
	case id < 3+256 && text == fmt.Sprintf("<0x%02X>", id-3):
		return text, 6 // byte
	}
	return strings.ReplaceAll(text, " ", "\u2581"), 1
}
