package inference_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"verbatim/inference"
	"verbatim/inference/transcript"
	"verbatim/kernels"
	"verbatim/kernels/cpu"
	"verbatim/kernels/quant"
	"verbatim/models"
)

// manyRequests have prompts of all lengths, some of which begin alike, and the digests of the answers that an engine gives
// that never saw another request.
func manyRequests(t testing.TB, model *models.Model) ([]inference.Request, []transcript.Digest) {
	t.Helper()
	common := strings.Repeat("ab the ü", 19)
	var requests []inference.Request
	for i, prompt := range []string{
		"", "the", common, common + "a", common[:100], common + "bb" + common[:60], "b" + common, common[:40] + "the",
		strings.Repeat("b", 200), "ab the", "x", common + "a",
	} {
		r := lively(prompt, 3+5*(i%4), uint64(i))
		if i%3 == 0 {
			r.Stop = []string{"a"}
		}
		requests = append(requests, r)
	}
	digests := make([]transcript.Digest, len(requests))
	for i, r := range requests {
		c := generate(t, newEngine(t, model, 0), r)
		digests[i] = digestOf(t, &c.Transcript)
	}
	return requests, digests
}

// Hundreds of random crowds: each answer is what it is alone, whoever else is in a pass, however passes are cut, what the
// engine remembers of earlier prompts, and who is cancelled.
func TestRandomInterleavings(t *testing.T) {
	model := smallModel(t, quant.Q8_0)
	requests, want := manyRequests(t, model)
	backend, err := cpu.New(cpu.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { backend.Close() })
	rounds := uint64(300)
	if testing.Short() {
		rounds = 30
	}
	var engine *inference.Engine
	for seed := range rounds {
		random := rand.New(rand.NewPCG(seed, 7))
		if seed%4 == 0 {
			engine, err = inference.NewEngine(model, backend, inference.Options{
				PrefillChunkTokens: 1 + random.IntN(200), PrefixBytesMax: []int{-1, 0, 200 << 10}[random.IntN(3)],
			})
			if err != nil {
				t.Fatal(err)
			}
			if random.IntN(3) == 0 {
				inference.SetLogitsRows(engine, 1+random.IntN(5))
			}
		}
		var group sync.WaitGroup
		for range 1 + random.IntN(10) {
			i, crowd := random.IntN(len(requests)), rand.New(rand.NewPCG(seed, random.Uint64()))
			group.Go(func() { ask(t, engine, requests[i], want[i], fmt.Sprintf("seed %d, request %d", seed, i), crowd) })
		}
		group.Wait()
	}
}

// ask compares an answer's digest, or cancels it midway; between tokens it lets others go first now and then.
func ask(t *testing.T, engine *inference.Engine, request inference.Request, want transcript.Digest, what string, random *rand.Rand) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	last := random.IntN(40)
	told := 0
	c, err := engine.Generate(ctx, request, func(e inference.Event) {
		if told++; e.Index != told-1 {
			t.Errorf("%s: event %d comes as number %d", what, e.Index, told-1)
		}
		for range random.IntN(20) {
			runtime.Gosched()
		}
		if e.Index == last {
			cancel()
		}
	})
	if errors.Is(err, context.Canceled) && told == last+1 {
		return
	}
	if err != nil {
		t.Errorf("%s: %v after %d tokens", what, err, told)
		return
	}
	if got, err := c.Transcript.Digest(); err != nil || got != want {
		t.Errorf("%s: digest %v, %v, alone %v", what, got, err, want)
	}
}

// counting counts the rows and passes that are evaluated.
type counting struct {
	kernels.Backend
	rows, passes atomic.Int64
	delay        time.Duration // of a pass, as if the model were large
	onPass       func(pass int64)
}

func (c *counting) Embed(dst kernels.Buffer, table kernels.Matrix, tokens []int32) {
	c.rows.Add(int64(len(tokens)))
	pass := c.passes.Add(1)
	time.Sleep(c.delay)
	if c.onPass != nil {
		c.onPass(pass)
	}
	c.Backend.Embed(dst, table, tokens)
}

func countingEngine(t testing.TB, model *models.Model, options inference.Options) (*inference.Engine, *counting) {
	t.Helper()
	backend, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { backend.Close() })
	counter := &counting{Backend: backend}
	engine, err := inference.NewEngine(model, counter, options)
	if err != nil {
		t.Fatal(err)
	}
	return engine, counter
}

// What two prompts begin with is computed once, one after the other and at the same time; a small memory forgets, none
// remembers nothing, and an audit computes all of it.
func TestPrefixesAreComputedOnce(t *testing.T) {
	model := smallModel(t, quant.F32)
	common := strings.Repeat("b", 150)
	first, second := lively(common+"aa", 1, 1), lively(common+"bbbb", 1, 1)
	page := 2 * smallLayers * smallKVHeads * (smallDim / smallHeads) * 2 * 128
	count := func(options inference.Options, requests ...inference.Request) (rows []int64) {
		engine, counter := countingEngine(t, model, options)
		for _, r := range requests {
			before := counter.rows.Load()
			generate(t, engine, r)
			rows = append(rows, counter.rows.Load()-before)
		}
		return rows
	}
	tokens := func(r inference.Request) int64 {
		question, err := newEngine(t, model, 0).Question(r)
		if err != nil {
			t.Fatal(err)
		}
		return int64(len(question.Prompt))
	}
	for _, c := range []struct {
		what    string
		options inference.Options
		second  int64
	}{
		{"kept", inference.Options{}, 4}, {"two pages", inference.Options{PrefixBytesMax: 2 * page}, 4},
		{"one page", inference.Options{PrefixBytesMax: page}, tokens(second) - 128}, {"no page", inference.Options{PrefixBytesMax: page - 1}, tokens(second)},
		{"none", inference.Options{PrefixBytesMax: -1}, tokens(second)},
	} {
		rows := count(c.options, first, second)
		if rows[0] != tokens(first) || rows[1] != c.second {
			t.Errorf("%s: %d and %d rows, want %d and %d", c.what, rows[0], rows[1], tokens(first), c.second)
		}
	}

	// At the same time: eight ask while a pass runs, which is long enough for all of them to wait for the next, and that has
	// room for two.
	engine, counter := countingEngine(t, model, inference.Options{PrefillChunkTokens: smallWindow})
	var group sync.WaitGroup
	counter.onPass = func(pass int64) {
		if pass > 1 {
			return
		}
		for range 8 {
			group.Go(func() {
				if _, err := engine.Generate(context.Background(), first, nil); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(50 * time.Millisecond)
	}
	generate(t, engine, lively("", 1, 0))
	group.Wait()
	if got, most := counter.rows.Load(), 1+tokens(first)+8; got > most {
		t.Errorf("eight times the same at once: %d rows, want at most %d", got, most)
	}

	recorded := generate(t, engine, first).Transcript
	before := counter.rows.Load()
	if d, err := engine.Recompute(context.Background(), &recorded); d != nil || err != nil {
		t.Fatal(d, err)
	}
	if got := counter.rows.Load() - before; got != tokens(first) {
		t.Errorf("an audit evaluated %d rows, want all %d", got, tokens(first))
	}
}

// Sequences that decode at the same time share passes: sixteen need hardly more of them than one.
func TestPassesAreShared(t *testing.T) {
	engine, counter := countingEngine(t, smallModel(t, quant.F32), inference.Options{})
	request := lively("a", 40, 3)
	alone := len(generate(t, engine, request).Transcript.Output)
	counter.delay = 10 * time.Millisecond
	before := counter.passes.Load()
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			if _, err := engine.Generate(context.Background(), request, nil); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if passes := counter.passes.Load() - before; passes > int64(alone+alone/2) {
		t.Errorf("16 answers of %d tokens took %d passes", alone, passes)
	} else {
		t.Logf("16 answers of %d tokens took %d passes", alone, passes)
	}
}

// A callback may ask the same engine.
func TestGenerateWithinGenerate(t *testing.T) {
	engine := newEngine(t, smallModel(t, quant.F32), 0)
	inner, outer := lively("b", 5, 1), lively("a", 5, 2)
	want := generate(t, engine, inner).Transcript
	c, err := engine.Generate(context.Background(), outer, func(inference.Event) {
		got := generate(t, engine, inner).Transcript
		if d := transcript.Compare(&got, &want); d != nil {
			t.Error(d)
		}
	})
	if err != nil || len(c.Transcript.Output) == 0 {
		t.Errorf("%v, %v", c, err)
	}
}

// A prompt that is cancelled in any of its passes takes no further one, and what was kept of it does no harm.
func TestCancelPrompt(t *testing.T) {
	model := smallModel(t, quant.Q8_0)
	request := lively(strings.Repeat("b", 190), 5, 1)
	alone := generate(t, newEngine(t, model, 0), request)
	want := digestOf(t, &alone.Transcript)
	engine, counter := countingEngine(t, model, inference.Options{PrefillChunkTokens: 40})
	for k := range int64(4) {
		ctx, cancel := context.WithCancel(context.Background())
		last := counter.passes.Load() + k + 1
		counter.onPass = func(pass int64) {
			if pass == last {
				cancel()
			}
		}
		other := request
		other.Prompt = strings.Repeat("a", int(k)) + request.Prompt // begins with nothing that is kept
		if k == 0 {
			other.Prompt = request.Prompt
		}
		if _, err := engine.Generate(ctx, other, nil); !errors.Is(err, context.Canceled) || counter.passes.Load() != last {
			t.Errorf("cancelled in pass %d: %v after %d passes", last, err, counter.passes.Load())
		}
		cancel()
		counter.onPass = nil
		c := generate(t, engine, request)
		if got := digestOf(t, &c.Transcript); got != want {
			t.Errorf("after a prompt cancelled in pass %d: digest %v, want %v", k+1, got, want)
		}
	}
}
