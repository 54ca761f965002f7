package models_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"verbatim/inference"
	"verbatim/kernels"
	"verbatim/kernels/cpu"
	"verbatim/models"
	"verbatim/models/tokenizer"
)

// golden is an answer as it was when it was recorded. If the arithmetic's version
// changes, it is recorded anew; otherwise a difference is a fault.
type golden struct {
	Arithmetic string
	Model      string
	Chat       []models.Turn
	Prompt     []tokenizer.Token
	Output     []tokenizer.Token
	Text       string
	Transcript string // its digest
}

// A real instruct model answers, token for token and digest for digest, what it
// answered when testdata/smollm2.json was recorded. `make models` fetches it.
func TestSmolLM2(t *testing.T) {
	path := filepath.Join("cache", "smollm2-135m-instruct-q4_1.gguf")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the model is absent (make models fetches it): %v", err)
	}
	m, err := models.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	backend, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	engine, err := inference.NewEngine(m, backend, inference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var want []golden
	if err := json.Unmarshal(readFile(t, filepath.Join("testdata", "smollm2.json")), &want); err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		request := inference.NewRequest("")
		request.Turns, request.MaxTokens = w.Chat, 48
		c, err := engine.Generate(context.Background(), request, nil)
		if err != nil {
			t.Fatal(err)
		}
		digest, err := c.Transcript.Digest()
		if err != nil {
			t.Fatal(err)
		}
		got := golden{
			Arithmetic: kernels.Version, Model: m.Digest.String(), Chat: w.Chat, Prompt: c.Transcript.Prompt,
			Output: c.Transcript.Output, Text: c.Text, Transcript: digest.String(),
		}
		if !reflect.DeepEqual(got, w) {
			line, _ := json.Marshal(got)
			t.Errorf("chat %q:\n got %s\nwant %+v", w.Chat, line, w)
		}
	}
}
