package module

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"verbatim/wasmhost"
)

type echo struct{ requests int }

func (e *echo) Infer(_ context.Context, request []byte) ([]byte, error) {
	e.requests++
	return json.Marshal(map[string]any{"text": fmt.Sprintf("Story %d of a fox. %s", e.requests, bytes.Repeat([]byte("é"), e.requests)),
		"tokens": 9, "finish_reason": "stop", "receipt": "abcd"})
}

// A Go module evaluated from its memory image alone, a new instance for each message, behaves as if it had never
// stopped, through garbage collections, and twice the same.
func TestStorytellerUnderTheHost(t *testing.T) {
	ctx := context.Background()
	host, err := wasmhost.New(ctx, wasmhost.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close(ctx)
	m, err := host.Compile(ctx, Wasm(), Format)
	if err != nil {
		t.Fatal(err)
	}
	evaluate := func() []byte {
		var memory []byte
		inferencer := &echo{}
		for i := range 60 {
			r, err := m.Handle(ctx, wasmhost.Call{Memory: memory, Inferencer: inferencer, Env: []byte("{}"),
				Message: fmt.Appendf(nil, `{"From":"me","Data":%q}`, strings.Repeat("fox ", 1+i*80))})
			if err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
			if want := fmt.Sprintf(`{"data":"Story %d of a fox. é`, i+1); !bytes.Contains(r.Response, []byte(want)) {
				t.Fatalf("message %d: got %.300s, want %s", i, r.Response, want)
			}
			memory = r.Memory
		}
		r, err := m.Handle(ctx, wasmhost.Call{Memory: memory, Env: []byte("{}"), Message: []byte(`{"Tags":[{"name":"Action","value":"Info"}]}`)})
		if err != nil || !bytes.Contains(r.Response, []byte("Stories told: 60")) {
			t.Fatalf("info: %v %.300s", err, r.Response)
		}
		return r.Memory
	}
	first := evaluate()
	if second := evaluate(); !bytes.Equal(first, second) {
		t.Error("the same messages gave different memory")
	}
	t.Logf("memory after 61 messages: %d bytes", len(first))
}
