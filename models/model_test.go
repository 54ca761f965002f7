package models_test

import (
	"crypto/sha256"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"verbatim/kernels/quant"
	"verbatim/models"
	"verbatim/models/tokenizer"
)

func TestStories260K(t *testing.T) {
	path := shared(t, "stories260K.gguf")
	m, err := models.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	want := models.Hyperparameters{
		Architecture: "llama", Name: "llama", Layers: 5, Dim: 64, Hidden: 172, Heads: 8, KVHeads: 4, HeadDim: 8, Vocab: 512,
		ContextTokensMax: 2048, NormEpsilon: 1e-5, RopeBase: 10000, RopeDim: 8,
	}
	if !reflect.DeepEqual(m.Hyperparameters, want) {
		t.Errorf("got  %+v\nwant %+v", m.Hyperparameters, want)
	}
	if want := models.Digest(sha256.Sum256(readFile(t, path))); m.Digest != want {
		t.Errorf("digest: got %v, want %v", m.Digest, want)
	}
	if string(m.Weights.Output.Data) != string(m.Weights.TokenEmbedding.Data) {
		t.Error("the separate output head differs from the embedding")
	}
	down, ok := m.Tensor("blk.4.ffn_down.weight")
	if !ok || down.Rows != 64 || down.Cols != 172 || down.Type != quant.F32 || len(down.Data) != 64*172*4 {
		t.Errorf("blk.4.ffn_down.weight: got %d x %d %v, %d bytes", down.Rows, down.Cols, down.Type, len(down.Data))
	}
	got, err := m.Tokenizer.Encode("Once upon a time", tokenizer.EncodeOptions{BOS: true})
	if want := []tokenizer.Token{1, 403, 407, 261, 378}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("tokens: got %v, %v; want %v", got, err, want)
	}
	if !m.Tokenizer.IsEnd(2) || m.Tokenizer.IsEnd(1) {
		t.Error("the end token is 2 and not 1")
	}
}

// The record of 200 greedy steps lists the tokens; their text is known too.
func TestStories260KTextOfGoldenTokens(t *testing.T) {
	tok := openTokenizer(t, shared(t, "stories260K.gguf"))
	tokens := []tokenizer.Token{1}
	for _, line := range strings.Split(string(readFile(t, shared(t, "golden", "stories260K_runc_empty_n200.txt"))), "\n") {
		ids, ok := strings.CutPrefix(line, "greedy ")
		if !ok {
			continue
		}
		for _, field := range strings.Fields(ids) {
			id, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, tokenizer.Token(id))
		}
	}
	want := strings.TrimSuffix(string(readFile(t, shared(t, "golden", "stories260K_t0_n200.txt"))), "\n")
	decoder := tok.NewDecoder(nil)
	var streamed strings.Builder
	for _, token := range tokens {
		streamed.WriteString(decoder.Write(token))
	}
	streamed.WriteString(decoder.Flush())
	if got := tok.Decode(tokens); got != want {
		t.Errorf("decoded:\n got %q\nwant %q", got, want)
	}
	if streamed.String() != want {
		t.Errorf("streamed:\n got %q\nwant %q", streamed.String(), want)
	}
}
