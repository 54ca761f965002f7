package sampler_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"verbatim/inference/sampler"
	"verbatim/models/tokenizer"
)

func sample(t *testing.T, p sampler.Parameters, logits []float32, tokens []tokenizer.Token) tokenizer.Token {
	t.Helper()
	s, err := sampler.New(p)
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Sample(logits, tokens, nil)
	if err != nil {
		t.Fatalf("Sample(%v): %v", logits, err)
	}
	return token
}

func TestGreedyTakesTheLowestIdAmongEquals(t *testing.T) {
	for _, c := range []struct {
		logits []float32
		want   tokenizer.Token
	}{
		{[]float32{1}, 0},
		{[]float32{1, 3, 3, 2}, 1},
		{[]float32{float32(math.Copysign(0, -1)), 0}, 0},
		{[]float32{-5, -4, -4}, 1},
		{[]float32{math.SmallestNonzeroFloat32, 0, math.MaxFloat32, math.MaxFloat32}, 2},
	} {
		if got := sample(t, sampler.Greedy(), c.logits, nil); got != c.want {
			t.Errorf("greedy of %v = %d, want %d", c.logits, got, c.want)
		}
	}
}

func TestNonFiniteLogitsEndTheInference(t *testing.T) {
	hot := sampler.Greedy()
	hot.Temperature = 1
	weak := sampler.Greedy()
	weak.RepetitionPenalty = 0.01
	for _, c := range []struct {
		p      sampler.Parameters
		logits []float32
	}{
		{sampler.Greedy(), []float32{0, float32(math.NaN())}},
		{sampler.Greedy(), []float32{0, float32(math.Inf(-1))}},
		{hot, []float32{float32(math.Inf(1)), 0}},
		{weak, []float32{math.MaxFloat32, 0}}, // finite until it is penalised
	} {
		s, err := sampler.New(c.p)
		if err != nil {
			t.Fatal(err)
		}
		if token, err := s.Sample(c.logits, []tokenizer.Token{0}, nil); !errors.Is(err, sampler.ErrNonFinite) {
			t.Errorf("Sample(%v) = %d, %v, want ErrNonFinite", c.logits, token, err)
		}
	}
}

// A penalty divides positive logits and multiplies negative ones, once a token, in the window only.
func TestRepetitionPenalty(t *testing.T) {
	p := sampler.Greedy()
	p.RepetitionPenalty, p.RepetitionWindow = 2, 2
	for _, c := range []struct {
		logits []float32
		tokens []tokenizer.Token
		want   tokenizer.Token
	}{
		{[]float32{4, 3}, []tokenizer.Token{0}, 1},
		{[]float32{4, 1.9}, []tokenizer.Token{0, 0}, 0}, // once, not twice
		{[]float32{4, 3}, []tokenizer.Token{0, 1, 1}, 0},
		{[]float32{-1, -1.5}, []tokenizer.Token{0}, 1},
		{[]float32{-1, -1.5}, nil, 0},
	} {
		if got := sample(t, p, c.logits, c.tokens); got != c.want {
			t.Errorf("logits %v after %v: got %d, want %d", c.logits, c.tokens, got, c.want)
		}
	}
}

// Each way of cutting down to one candidate equals greedy, whatever the random number.
func TestCutsToOneCandidate(t *testing.T) {
	logits := []float32{0.5, 2, 2, -1}
	for name, p := range map[string]sampler.Parameters{
		"top_k 1":         {Temperature: 1, TopK: 1, TopP: 1, RepetitionPenalty: 1},
		"top_p tiny":      {Temperature: 1, TopP: 1e-9, RepetitionPenalty: 1},
		"temperature low": {Temperature: math.SmallestNonzeroFloat32, TopK: 1, TopP: 1, RepetitionPenalty: 1},
	} {
		for seed := range uint64(50) {
			p.Seed = seed
			if got := sample(t, p, logits, nil); got != 1 {
				t.Fatalf("%s, seed %d: got %d, want 1", name, seed, got)
			}
		}
	}
	// min_p 1 keeps the equals of the best.
	p := sampler.Parameters{Temperature: 1, TopP: 1, MinP: 1, RepetitionPenalty: 1}
	for seed := range uint64(50) {
		p.Seed = seed
		if got := sample(t, p, logits, nil); got != 1 && got != 2 {
			t.Fatalf("min_p 1, seed %d: got %d, want 1 or 2", seed, got)
		}
	}
}

// Drawn tokens follow the softmax: 20000 draws, each at its own position.
func TestDistribution(t *testing.T) {
	logits := []float32{1, 0, -1, 2}
	p := sampler.Parameters{Temperature: 2, TopP: 1, RepetitionPenalty: 1, Seed: 7}
	s, err := sampler.New(p)
	if err != nil {
		t.Fatal(err)
	}
	const draws = 20000
	var counts [4]int
	tokens := make([]tokenizer.Token, draws)
	for position := range draws {
		token, err := s.Sample(logits, tokens[:position], nil)
		if err != nil {
			t.Fatal(err)
		}
		counts[token]++
	}
	sum := 0.0
	for _, l := range logits {
		sum += math.Exp(float64(l) / 2)
	}
	for i, l := range logits {
		want := math.Exp(float64(l)/2) / sum
		if got := float64(counts[i]) / draws; math.Abs(got-want) > 0.015 {
			t.Errorf("token %d: drawn %.4f, want %.4f", i, got, want)
		}
	}
}

// Any finite logits and valid parameters give a token of the vocabulary, the same from a used sampler as from a new one.
func TestAnyFiniteLogits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 2000 {
		logits := make([]float32, 1+random.IntN(70))
		for i := range logits {
			logits[i] = math.Float32frombits(random.Uint32())
			if logits[i] != logits[i] || math.IsInf(float64(logits[i]), 0) {
				logits[i] = 0
			}
			if round%2 == 0 {
				logits[i] = float32(random.NormFloat64() * 4)
			}
		}
		p := sampler.Parameters{
			Temperature: float32(random.ExpFloat64()), TopK: uint32(random.IntN(6)), TopP: 1 - random.Float32(),
			MinP: random.Float32(), RepetitionPenalty: 1 + random.Float32(), RepetitionWindow: 3, Seed: random.Uint64(),
		}
		tokens := []tokenizer.Token{0, tokenizer.Token(len(logits) - 1)}
		before := slices.Clone(logits)
		s, err := sampler.New(p)
		if err != nil {
			t.Fatalf("%+v: %v", p, err)
		}
		first, err := s.Sample(logits, tokens, nil)
		if errors.Is(err, sampler.ErrNonFinite) {
			continue // a penalised extreme
		}
		if _, err := s.Sample(logits[:1], nil, nil); err != nil {
			t.Fatal(err)
		}
		again, err2 := s.Sample(logits, tokens, nil)
		if err != nil || err2 != nil || first != again || int(first) >= len(logits) || first < 0 {
			t.Fatalf("%+v %v: %d, %v, then %d, %v", p, logits, first, err, again, err2)
		}
		if !slices.Equal(before, logits) {
			t.Fatal("Sample changed the logits it was given")
		}
	}
}

func TestParametersAtTheirLimits(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		change func(p *sampler.Parameters)
		bad    string // the parameter refused, or none
	}{
		{func(p *sampler.Parameters) {}, ""},
		{func(p *sampler.Parameters) { p.Temperature = 100 }, ""},
		{func(p *sampler.Parameters) { p.Temperature = 100.00001 }, "temperature"},
		{func(p *sampler.Parameters) { p.Temperature = -1e-30 }, "temperature"},
		{func(p *sampler.Parameters) { p.Temperature = float32(math.Copysign(0, -1)) }, "temperature"},
		{func(p *sampler.Parameters) { p.Temperature = nan }, "temperature"},
		{func(p *sampler.Parameters) { p.TopP = 0 }, "top_p"},
		{func(p *sampler.Parameters) { p.TopP = 1.0000001 }, "top_p"},
		{func(p *sampler.Parameters) { p.TopP = nan }, "top_p"},
		{func(p *sampler.Parameters) { p.MinP = 1 }, ""},
		{func(p *sampler.Parameters) { p.MinP = 1.0000001 }, "min_p"},
		{func(p *sampler.Parameters) { p.MinP = nan }, "min_p"},
		{func(p *sampler.Parameters) { p.RepetitionPenalty = 0.01 }, ""},
		{func(p *sampler.Parameters) { p.RepetitionPenalty = 0.009 }, "repetition_penalty"},
		{func(p *sampler.Parameters) { p.RepetitionPenalty = 101 }, "repetition_penalty"},
		{func(p *sampler.Parameters) { p.RepetitionPenalty = nan }, "repetition_penalty"},
		{func(p *sampler.Parameters) { p.TopK = math.MaxInt32 }, ""},
		{func(p *sampler.Parameters) { p.TopK = math.MaxInt32 + 1 }, "top_k"},
		{func(p *sampler.Parameters) { p.RepetitionWindow = 65536 }, ""},
		{func(p *sampler.Parameters) { p.RepetitionWindow = 65537 }, "repetition_window"},
	} {
		p := sampler.Greedy()
		c.change(&p)
		err := p.Check()
		var bad *sampler.ParameterError
		switch {
		case c.bad == "" && err != nil:
			t.Errorf("%+v: %v, want no error", p, err)
		case c.bad != "" && (!errors.As(err, &bad) || bad.Parameter != c.bad):
			t.Errorf("%+v: %v, want an error about %s", p, err, c.bad)
		}
	}
}

func TestLogprobs(t *testing.T) {
	got, err := sampler.Logprobs([]float32{1, 2, 2, -3}, 3)
	if err != nil {
		t.Fatal(err)
	}
	sum := math.Exp(-1) + 2 + math.Exp(-5)
	want := []sampler.Logprob{{1, 2, float32(-math.Log(sum))}, {2, 2, float32(-math.Log(sum))}, {0, 1, float32(-1 - math.Log(sum))}}
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range want {
		if got[i].Token != want[i].Token || got[i].Logit != want[i].Logit || math.Abs(float64(got[i].Logprob-want[i].Logprob)) > 1e-6 {
			t.Errorf("[%d] got %v, want %v", i, got[i], want[i])
		}
	}
	if all, err := sampler.Logprobs([]float32{0, 1}, sampler.LogprobsMax); len(all) != 2 || err != nil {
		t.Errorf("more than the vocabulary: %v, %v, want 2 tokens", all, err)
	}
	if _, err := sampler.Logprobs([]float32{0, float32(math.NaN())}, 1); !errors.Is(err, sampler.ErrNonFinite) {
		t.Errorf("NaN: %v, want ErrNonFinite", err)
	}
}

// A mask is as if the other tokens were out of reach, with every parameter; and it does not hide a logit that is not finite.
func TestMask(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 9))
	for seed := range uint64(300) {
		n := 1 + random.IntN(150)
		logits, far, mask := make([]float32, n), make([]float32, n), make(sampler.Mask, (n+63)/64)
		tokens := []tokenizer.Token{tokenizer.Token(random.IntN(n)), tokenizer.Token(random.IntN(n))}
		mask[0] = 1
		for i := range logits {
			logits[i] = float32(random.IntN(40)) / 4
			if random.IntN(3) == 0 {
				mask[i/64] |= 1 << (i % 64)
			}
			if far[i] = logits[i]; !mask.Allows(i) {
				far[i] = -1e30
			}
		}
		p := sampler.Parameters{Temperature: float32(random.IntN(3)) / 2, TopP: 0.5 + random.Float32()/2, MinP: random.Float32() / 9,
			TopK: uint32(random.IntN(20)), RepetitionPenalty: 1.5, RepetitionWindow: 9, Seed: seed}
		s, err := sampler.New(p)
		if err != nil {
			t.Fatal(err)
		}
		got, err1 := s.Sample(logits, tokens, mask)
		want, err2 := s.Sample(far, tokens, nil)
		if err1 != nil || err2 != nil || got != want || !mask.Allows(int(got)) {
			t.Fatalf("seed %d: %d, %v; out of reach instead of masked: %d, %v", seed, got, err1, want, err2)
		}
		if _, err := s.Sample(logits, tokens, make(sampler.Mask, len(mask))); !errors.Is(err, sampler.ErrNothingAllowed) {
			t.Fatalf("nothing is allowed: %v", err)
		}
		if n > 1 {
			logits[1] = float32(math.Inf(1))
			mask[0] &^= 2
			if _, err := s.Sample(logits, tokens, mask); !errors.Is(err, sampler.ErrNonFinite) {
				t.Fatalf("an infinite logit behind the mask: %v", err)
			}
		}
	}
}

func TestSampleAllocatesNothing(t *testing.T) {
	logits, tokens := make([]float32, 1000), make([]tokenizer.Token, 100)
	for i := range logits {
		logits[i] = float32(i*i%97) / 10
		tokens[i%100] = tokenizer.Token(i % 7)
	}
	s, err := sampler.New(sampler.Parameters{Temperature: 1, TopP: 0.9, MinP: 0.01, TopK: 50, RepetitionPenalty: 1.1, RepetitionWindow: 64, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(20, func() {
		if _, err := s.Sample(logits, tokens, nil); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a token, want none", n)
	}
}
