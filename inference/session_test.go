package inference_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"verbatim/inference"
	"verbatim/kernels/cpu"
	"verbatim/kernels/quant"
	"verbatim/kernels/ref"
	"verbatim/models"
	"verbatim/models/tokenizer"
)

func newSession(t testing.TB, engine *inference.Engine) *inference.Session {
	t.Helper()
	s, err := engine.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func prefill(t testing.TB, s *inference.Session, tokens []tokenizer.Token) {
	t.Helper()
	if err := s.Prefill(context.Background(), tokens); err != nil {
		t.Fatal(err)
	}
}

func someTokens(n, seed int) []tokenizer.Token {
	tokens := make([]tokenizer.Token, n)
	for i := range tokens {
		tokens[i] = tokenizer.Token((i*i + i*7 + seed*31) % 269)
	}
	return tokens
}

// same compares what two sessions would go on with.
func same(t testing.TB, what string, got, want *inference.Session) {
	t.Helper()
	if !slices.Equal(got.Logits(), want.Logits()) || !slices.Equal(got.State(), want.State()) || got.Position() != want.Position() {
		t.Errorf("%s: position %d, and logits or state differ from those at position %d", what, got.Position(), want.Position())
	}
}

// alone is a session on an engine of its own that evaluated tokens one by one.
func alone(t testing.TB, model *models.Model, tokens []tokenizer.Token) *inference.Session {
	t.Helper()
	s := newSession(t, newEngine(t, model, 0))
	for _, token := range tokens {
		if err := s.Decode(context.Background(), token); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// Snapshots go from one backend to the other and back, around the ends of pages, and both go on as if nothing had been.
func TestSnapshotEqualsStraightOn(t *testing.T) {
	model := smallModel(t, quant.Q8_0)
	slow, err := inference.NewEngine(model, ref.New(), inference.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fast := newEngine(t, model, 0)
	for _, n := range []int{0, 1, 127, 128, 129, 200} {
		tokens := someTokens(n+20, n)
		want := alone(t, model, tokens)
		first := newSession(t, slow)
		if n > 0 {
			prefill(t, first, tokens[:n])
		}
		var kept [2][]byte
		session := first
		for i, engine := range []*inference.Engine{fast, slow} {
			if kept[i], err = session.Snapshot(); err != nil {
				t.Fatal(err)
			}
			restored, err := engine.Restore(kept[i])
			if err != nil {
				t.Fatal(err)
			}
			same(t, "restored", restored, session)
			session.Close()
			session = restored
		}
		if !bytes.Equal(kept[0], kept[1]) {
			t.Errorf("%d tokens: snapshots of two backends differ", n)
		}
		prefill(t, session, tokens[n:])
		same(t, "straight on", session, want)
	}
}

func TestSnapshotIsChecked(t *testing.T) {
	engine := newEngine(t, smallModel(t, quant.F32), 0)
	session := newSession(t, engine)
	prefill(t, session, someTokens(3, 0))
	good, err := session.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := engine.Restore(good[:n]); !errors.Is(err, inference.ErrSnapshot) {
			t.Fatalf("the first %d of %d bytes: %v", n, len(good), err)
		}
	}
	for bit := range 8 * len(good) {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := engine.Restore(bad); !errors.Is(err, inference.ErrSnapshot) {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
	}
	if _, err := newEngine(t, smallModel(t, quant.F16), 0).Restore(good); !errors.Is(err, inference.ErrSnapshot) {
		t.Errorf("another model: %v", err)
	}
}

func FuzzRestore(f *testing.F) {
	engine := newEngine(f, smallModel(f, quant.F32), 0)
	session := newSession(f, engine)
	prefill(f, session, someTokens(2, 0))
	good, err := session.Snapshot()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, false)
	f.Add(good, true)
	f.Fuzz(func(t *testing.T, b []byte, sign bool) {
		if sign && len(b) >= 32 { // let what lies behind the digest be tried too
			b = inference.SealSnapshot(b[:len(b)-32])
		}
		s, err := engine.Restore(b)
		if err != nil {
			return
		}
		defer s.Close()
		again, err := s.Snapshot()
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x restores, and its snapshot is %x, %v", b, again, err)
		}
	})
}

// Forks and truncated sessions go on as sessions that were never anything else, whatever their kin do.
func TestForkAndTruncate(t *testing.T) {
	model := smallModel(t, quant.Q4_0)
	for _, backend := range []string{"ref", "cpu"} {
		engine := newEngine(t, model, 0)
		if backend == "ref" {
			slow, err := inference.NewEngine(model, ref.New(), inference.Options{})
			if err != nil {
				t.Fatal(err)
			}
			engine = slow
		}
		for _, n := range []int{1, 100, 128, 150, 240} {
			trunk, a, b := someTokens(n, 1), someTokens(20, 2), someTokens(30, 3)
			session := newSession(t, engine)
			prefill(t, session, trunk)
			fork, err := session.Fork()
			if err != nil {
				t.Fatal(err)
			}
			same(t, "fork", fork, session)
			prefill(t, session, a)
			prefill(t, fork, b)
			same(t, "original", session, alone(t, model, append(slices.Clone(trunk), a...)))
			same(t, "fork", fork, alone(t, model, append(slices.Clone(trunk), b...)))
			back := n / 2
			if err := session.Truncate(back); err != nil {
				t.Fatal(err)
			}
			if session.Logits() != nil || session.State() != nil || session.Position() != back {
				t.Errorf("truncated to %d: position %d, %d logits", back, session.Position(), len(session.Logits()))
			}
			prefill(t, session, b)
			same(t, "truncated", session, alone(t, model, append(slices.Clone(trunk[:back]), b...)))
			prefill(t, fork, a)
			same(t, "fork", fork, alone(t, model, append(append(slices.Clone(trunk), b...), a...)))
			if session.Truncate(session.Position()+1) == nil || session.Truncate(-1) == nil {
				t.Error("truncated to what is not there")
			}
			session.Close()
			fork.Close()
		}
	}
}

// A token allocates nothing. (Of block formats, quant.Dequantise allocates a block for the embedding.)
func TestDecodeAllocatesNothing(t *testing.T) {
	engine := newEngine(t, smallModel(t, quant.F16), 0)
	session := newSession(t, engine)
	ctx := context.Background()
	prefill(t, session, someTokens(smallWindow-50, 0)) // its last page is there
	if err := session.Truncate(smallWindow - 60); err != nil {
		t.Fatal(err)
	}
	next := tokenizer.Token(5)
	allocations := testing.AllocsPerRun(40, func() {
		if err := session.Decode(ctx, next); err != nil {
			t.Fatal(err)
		}
		next = (next*7 + 1) % 269
	})
	if allocations != 0 {
		t.Errorf("%v allocations a token, want none", allocations)
	}
}

// Random sessions, prompts that begin alike, forks, snapshots, truncations, small memories: each session holds what it would
// hold alone.
func TestRandomSessions(t *testing.T) {
	model := smallModel(t, quant.Q8_0)
	backend, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { backend.Close() })
	rounds := uint64(60)
	if testing.Short() {
		rounds = 10
	}
	for seed := range rounds {
		random := rand.New(rand.NewPCG(seed, 2))
		page := 2 * smallLayers * smallKVHeads * (smallDim / smallHeads) * 2 * 128
		engine, err := inference.NewEngine(model, backend, inference.Options{
			PrefillChunkTokens: 1 + random.IntN(150), PrefixBytesMax: page*random.IntN(6) - 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		randomSession(t, seed, random, model, engine)
	}
}

func randomSession(t *testing.T, seed uint64, random *rand.Rand, model *models.Model, engine *inference.Engine) {
	texts := [][]tokenizer.Token{someTokens(290, 1), someTokens(290, 2)}
	copy(texts[1], texts[0][:100+random.IntN(150)])
	session := newSession(t, engine)
	var tokens []tokenizer.Token
	for range 12 {
		var err error
		switch choice := random.IntN(7); {
		case choice == 0:
			session.Close()
			session, tokens = newSession(t, engine), nil
		case choice == 1:
			fork, forkErr := session.Fork()
			session.Close()
			session, err = fork, forkErr
		case choice == 2:
			n := random.IntN(len(tokens) + 1)
			tokens, err = tokens[:n], session.Truncate(n)
		case choice == 3:
			var kept []byte
			if kept, err = session.Snapshot(); err == nil {
				session.Close()
				session, err = engine.Restore(kept)
			}
		case len(tokens) < 290:
			n := 1 + random.IntN(290-len(tokens))
			more := texts[random.IntN(2)][len(tokens):][:n]
			tokens = append(slices.Clone(tokens), more...)
			err = session.Prefill(context.Background(), more)
		}
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	more := []tokenizer.Token{7}
	prefill(t, session, more)
	want := alone(t, model, append(tokens, more...))
	if !slices.Equal(session.Logits(), want.Logits()) || session.Position() != want.Position() {
		t.Errorf("seed %d: after %d tokens the logits are not those of a session alone", seed, session.Position())
	}
	session.Close()
}
