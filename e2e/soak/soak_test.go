package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math/bits"
	"net/http"
	"slices"
	"testing"

	"verbatim/cu/ao"
)

// worldOf generates a small history.
func worldOf(t *testing.T, seed uint64) *world {
	t.Helper()
	w, err := openWorld(t.TempDir(), seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	if _, err := w.generate(seed, 8, 60, t.TempDir(), func() {}); err != nil {
		t.Fatal(err)
	}
	return w
}

// One seed gives one history, ids included; another gives another.
func TestSeed(t *testing.T) {
	ids := func(seed uint64) (all []ao.ID) {
		for _, p := range worldOf(t, seed).history.processes {
			all = append(all, p.messages...)
		}
		return all
	}
	first, again, other := ids(3), ids(3), ids(4)
	if len(first) != 68 || !slices.Equal(first, again) {
		t.Errorf("seed 3 gave %d ids and then others: %v, %v", len(first), first, again)
	}
	if slices.Equal(first, other) {
		t.Error("seeds 3 and 4 gave the same history")
	}
}

// The scheduler shows nothing that has not arrived by its clock.
func TestShown(t *testing.T) {
	w := worldOf(t, 1)
	if err := w.listen(1); err != nil {
		t.Fatal(err)
	}
	for _, number := range []int{0, 7, 30, 59} {
		w.rewind()
		w.show(number)
		for _, p := range w.history.processes {
			want := 0
			for want+1 < len(p.numbers) && p.numbers[want+1] <= number {
				want++
			}
			if p.numbers[0] >= number+1 {
				continue
			}
			answer := newRecorder()
			request, err := http.NewRequest(http.MethodGet, "http://su/"+p.id.String()+"/latest", nil)
			if err != nil {
				t.Fatal(err)
			}
			w.latest(answer, request)
			var node struct{ Assignment struct{ Tags ao.Tags } }
			if err := json.Unmarshal(answer.body.Bytes(), &node); err != nil {
				t.Fatal(err)
			}
			if got := node.Assignment.Tags.Get("Message"); got != p.messages[want].String() {
				t.Errorf("after message %d the latest of process %s is %s, want nonce %d, %s", number, p.id, got, want, p.messages[want])
			}
		}
	}
}

// Every message is asked for once.
func TestSequence(t *testing.T) {
	order := sequence(5000, 9)
	inOrder := slices.IsSorted(order)
	slices.Sort(order)
	for i, number := range order {
		if i != number {
			t.Fatalf("place %d holds message %d", i, number)
		}
	}
	if inOrder {
		t.Error("nobody asks late")
	}
}

// A flip changes one bit within what is signed.
func TestFlip(t *testing.T) {
	body := []byte(`{"assignment":{"id":"x","signature":"abcdef","tags":[]},"page_info":{"has_next_page":false}}`)
	at := bytes.Index(body, []byte("abcdef"))
	for number := range uint64(200) {
		spoiled := flip("/process", body, number<<30|number)
		changed := 0
		for i := range body {
			if n := bits.OnesCount8(body[i] ^ spoiled[i]); n > 0 {
				changed += n
				if i < at || i >= at+6 {
					t.Errorf("number %d: byte %d changed, which nobody signs", number, i)
				}
			}
		}
		if changed != 1 {
			t.Errorf("number %d: %d bits changed", number, changed)
		}
	}
	if flip("/timestamp", body, 1) != nil {
		t.Error("the clock was changed")
	}
}

// Every kind of failure comes within a few hundred requests, and when there are to be none, there are none.
func TestKinds(t *testing.T) {
	f, err := newFront("test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"path":"`+r.URL.Path+`","signature":"abcdefghijklmnop"}`)
	}), 5)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	for i := range 50 {
		if kind, _ := f.choose(); kind != "" {
			t.Fatalf("request %d fails: %s", i, kind)
		}
	}
	f.rate.Store(1_000_000)
	f.hangsMax = 2
	seen := map[string]bool{}
	for range 20 {
		kind, _ := f.choose()
		seen[kind] = true
	}
	for _, kind := range everyKind() {
		if !seen[kind] && kind != refused && kind != outageLong {
			t.Errorf("no %q among the first 20 failures", kind)
		}
	}
}
