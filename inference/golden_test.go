package inference_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"verbatim/inference"
	"verbatim/inference/sampler"
	"verbatim/inference/transcript"
	"verbatim/kernels/ref"
	"verbatim/models"
	"verbatim/models/embedded"
	"verbatim/models/tokenizer"
)

// shared is a file of the folder of reference data, which is not part of the repository.
func shared(t testing.TB, path ...string) string {
	t.Helper()
	folder := os.Getenv("VERBATIM_SHARED")
	if folder == "" {
		t.Skip("VERBATIM_SHARED does not name the folder of reference models")
	}
	if !filepath.IsAbs(folder) {
		folder = filepath.Join("..", folder) // as seen from the repository's root
	}
	file := filepath.Join(append([]string{folder}, path...)...)
	if _, err := os.Stat(file); err != nil {
		t.Skipf("reference file is absent: %v", err)
	}
	return file
}

func stories260K(t testing.TB) *inference.Engine {
	t.Helper()
	model, err := models.Open(shared(t, "models", "stories260K.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { model.Close() })
	engine, err := inference.NewEngine(model, ref.New(), inference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// llama2.c's own test expects this text of greedy decoding from nothing, 200 steps.
func TestGoldenStory(t *testing.T) {
	engine := stories260K(t)
	want, err := os.ReadFile(shared(t, "models", "golden", "stories260K_t0_n200.txt"))
	if err != nil {
		t.Fatal(err)
	}
	request := inference.NewRequest("")
	request.MaxTokens = 200
	got, err := engine.Generate(context.Background(), request, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Text != string(want) || got.Transcript.Finish != transcript.FinishLength {
		t.Errorf("finish %v, got\n%q\nwant\n%q", got.Transcript.Finish, got.Text, want)
	}
}

// The logits of another engine, an independent one in C, along "Once upon a time" and its greedy continuation: the same
// tokens, the same top five in the same order, and no logit further off than 0.02.
func TestGoldenLogits(t *testing.T) {
	const steps, vocab, tolerance = 36, 512, 0.02
	engine := stories260K(t)
	raw, err := os.ReadFile(shared(t, "models", "golden", "stories260K_runc_once36_logits_f32le.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) != 4*steps*vocab {
		t.Fatalf("%d bytes of golden logits, want %d", len(raw), 4*steps*vocab)
	}
	prompt, err := engine.Model().Tokenizer.Encode("Once upon a time", tokenizer.EncodeOptions{BOS: true})
	if want := []tokenizer.Token{1, 403, 407, 261, 378}; err != nil || !slices.Equal(prompt, want) {
		t.Fatalf("prompt: %v, %v, want %v", prompt, err, want)
	}
	session, err := engine.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	token, largest := prompt[0], 0.0
	for step := range steps {
		if err := session.Decode(context.Background(), token); err != nil {
			t.Fatal(err)
		}
		want := make([]float32, vocab)
		for i := range want {
			want[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*(step*vocab+i):]))
			largest = max(largest, math.Abs(float64(want[i]-session.Logits()[i])))
		}
		wantTop, err1 := sampler.Logprobs(want, 5)
		gotTop, err2 := sampler.Logprobs(session.Logits(), 5)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		for i := range wantTop {
			if gotTop[i].Token != wantTop[i].Token {
				t.Errorf("step %d: top five %v, want %v", step, gotTop, wantTop)
				break
			}
		}
		if token = gotTop[0].Token; step+1 < len(prompt) {
			token = prompt[step+1]
		}
	}
	if largest > tolerance {
		t.Errorf("largest difference of a logit is %.4f, want at most %v", largest, tolerance)
	}
	t.Logf("largest difference of a logit: %.5f", largest)
}

// The embedded model against a float64 oracle that shares no code with us and rounds no activations (models/embedded/check.py):
// the same tokens, and logits that differ by no more than int8 activations explain.
func TestEmbeddedModelAgainstOracle(t *testing.T) {
	const tolerance = 0.25
	text, err := os.ReadFile(filepath.Join("..", "models", "embedded", "testdata", "golden_once.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		ModelSHA256 string `json:"model_sha256"`
		Cases       []struct {
			Prompt    string
			PromptIDs []tokenizer.Token `json:"prompt_ids"`
			Tokens    []tokenizer.Token
			Top5      [][][2]float64
		}
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	model, err := models.FromBytes(embedded.GGUF())
	if err != nil {
		t.Fatal(err)
	}
	if model.Digest.String() != golden.ModelSHA256 {
		t.Fatalf("the oracle ran model %s, embedded is %v", golden.ModelSHA256, model.Digest)
	}
	engine, largest := newEngine(t, model, 0), 0.0
	for _, c := range golden.Cases {
		prompt, err := model.Tokenizer.Encode(c.Prompt, tokenizer.EncodeOptions{BOS: true, Special: true})
		if err != nil || !slices.Equal(prompt, c.PromptIDs) {
			t.Fatalf("%q: tokens %v, %v, want %v", c.Prompt, prompt, err, c.PromptIDs)
		}
		session, err := engine.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		feed := prompt
		for step, want := range c.Tokens {
			if err := session.Prefill(context.Background(), feed); err != nil {
				t.Fatal(err)
			}
			logits := session.Logits()
			for _, top := range c.Top5[step] {
				largest = max(largest, math.Abs(top[1]-float64(logits[int(top[0])])))
			}
			top, err := sampler.Logprobs(logits, 1)
			if err != nil || top[0].Token != want {
				t.Fatalf("%q, step %d: %v, %v, want token %d", c.Prompt, step, top, err, want)
			}
			feed = []tokenizer.Token{want}
		}
		session.Close()
	}
	if t.Logf("largest difference of a logit: %.4f", largest); largest > tolerance {
		t.Errorf("largest difference of a logit is %.4f, want at most %v", largest, tolerance)
	}
}
