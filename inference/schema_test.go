package inference_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"verbatim/inference"
	"verbatim/inference/transcript"
	"verbatim/kernels/cpu"
	"verbatim/kernels/quant"
	"verbatim/kernels/ref"
)

const reviewSchema = `{"type":"object","properties":{"verdict":{"enum":["good","bad","ü"]},"score":{"type":"integer"},"why":{"type":"string","maxLength":12},"tags":{"type":"array","items":{"type":"boolean"},"maxItems":3}},"required":["verdict","score","why"],"additionalProperties":false}`

func heldTo(schema, prompt string, maxTokens int, seed uint64) inference.Request {
	r := lively(prompt, maxTokens, seed)
	r.Schema = schema
	return r
}

// A model of random weights, whatever it would like to say: its answers satisfy the schema when it had room to finish, and
// begin such a text when it had not. The transcript says so, and recomputes, on every backend.
func TestAnswersSatisfyTheSchema(t *testing.T) {
	model := smallModel(t, quant.Q8_0)
	engine := newEngine(t, model, 0)
	slow, err := inference.NewEngine(model, ref.New(), inference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	finished := 0
	for seed := range uint64(30) {
		request := heldTo(reviewSchema, "the ab", 40+int(seed)*7, seed)
		if seed%3 == 0 {
			request.Sampling.Temperature = 0
		}
		c := generate(t, engine, request)
		if c.Transcript.Schema != reviewSchema {
			t.Fatalf("the transcript's schema is %s", c.Transcript.Schema)
		}
		checkReview(t, seed, &c)
		if c.Transcript.Finish == transcript.FinishStop {
			finished++
		}
		for _, e := range []*inference.Engine{engine, slow} {
			if d, err := e.RecomputeRequest(context.Background(), request, &c.Transcript); d != nil || err != nil {
				t.Errorf("seed %d: recomputed: %v, %v", seed, d, err)
			}
		}
	}
	if finished == 0 || finished == 30 {
		t.Errorf("%d of 30 answers were finished: want some and not all", finished)
	}
}

func checkReview(t *testing.T, seed uint64, c *inference.Completion) {
	t.Helper()
	if c.Transcript.Finish != transcript.FinishStop {
		if json.Valid([]byte(c.Text)) || !strings.HasPrefix(c.Text, `{"verdict":"`) && !strings.HasPrefix(`{"verdict":"`, c.Text) {
			t.Errorf("seed %d: finish %v, text %q", seed, c.Transcript.Finish, c.Text)
		}
		return
	}
	var review struct {
		Verdict string
		Score   int64
		Why     string
		Tags    []bool
	}
	decoder := json.NewDecoder(strings.NewReader(c.Text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&review); err != nil || !strings.Contains("good bad ü", review.Verdict) || len([]rune(review.Why)) > 12 || len(review.Tags) > 3 {
		t.Errorf("seed %d: %q: %+v, %v", seed, c.Text, review, err)
	}
}

// Without a schema nothing changes; another schema or none is another request and another transcript, and a planted one is
// found.
func TestSchemaIsPartOfTheRecord(t *testing.T) {
	engine := newEngine(t, smallModel(t, quant.F32), 0)
	request := heldTo(`{"type":"boolean"}`, "a", 20, 4)
	c := generate(t, engine, request)
	if c.Text != "true" && c.Text != "false" || c.Transcript.Finish != transcript.FinishStop {
		t.Fatalf("%q, %v", c.Text, c.Transcript.Finish)
	}
	for _, schema := range []string{"", `{"enum":[true,false]}`, `{"type":"null"}`, `{"type":"thing"}`} {
		changed := c.Transcript
		changed.Schema = schema
		d, err := engine.RecomputeRequest(context.Background(), request, &changed)
		if err != nil || d == nil || d.Field != "schema" {
			t.Errorf("schema %q recorded for %s: %v, %v", schema, request.Schema, d, err)
		}
	}
	changed := c.Transcript
	changed.Schema = `{"type":"thing"}`
	if d, err := engine.Recompute(context.Background(), &changed); err != nil || d == nil || d.Field != "schema" {
		t.Errorf("a schema that is refused: %v, %v", d, err)
	}
	changed.Schema = `{"type":"null"}`
	if d, err := engine.Recompute(context.Background(), &changed); err != nil || d == nil || d.Field != "output_tokens" || d.Index != 0 {
		t.Errorf("an answer to another schema: %v, %v", d, err)
	}
}

// Answers held to schemas share passes with others and are what they are alone; their digests are the same on all levels.
func TestSchemasAmongOthers(t *testing.T) {
	model := smallModel(t, quant.Q4_0)
	requests := []inference.Request{
		heldTo(reviewSchema, "the", 80, 1), lively("the ab", 30, 2), heldTo(`{"type":"array","items":{"type":"number"},"maxItems":4}`, "b", 40, 3),
	}
	want := map[int]transcript.Digest{}
	for _, level := range cpu.Levels() {
		backend, err := cpu.New(cpu.Options{Level: level, Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { backend.Close() })
		engine, err := inference.NewEngine(model, backend, inference.Options{})
		if err != nil {
			t.Fatal(err)
		}
		digests := make(chan string, len(requests))
		for i, request := range requests {
			if _, ok := want[i]; !ok {
				c := generate(t, newEngine(t, model, 3), request)
				want[i] = digestOf(t, &c.Transcript)
			}
			go func() {
				c, err := engine.Generate(context.Background(), request, nil)
				digest, _ := c.Transcript.Digest()
				if err == nil && digest != want[i] {
					err = fmt.Errorf("digest %v, want %v", digest, want[i])
				}
				digests <- fmt.Sprint(err)
			}()
		}
		for range requests {
			if got := <-digests; got != "<nil>" {
				t.Errorf("%s: %s", level, got)
			}
		}
	}
}
