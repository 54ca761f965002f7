// Package sampler turns logits into a token: section 11 of kernels/SPEC.md.
//
// Invariants: a token depends on the logits' bits, the parameters, the recent tokens and the position alone. The random
// number of a position is a function of seed and position, so that any position can be replayed without the ones before
// it. The package keeps nothing between tokens but scratch memory.
//
// It computes no logits and knows no text: end tokens and stop strings are the business of package inference.
package sampler

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"verbatim/kernels/canon"
	"verbatim/models/tokenizer"
)

// Limits on parameters.
const (
	TemperatureMax       = 100
	RepetitionPenaltyMin = 0.01
	RepetitionPenaltyMax = 100
	RepetitionWindowMax  = 1 << 16 // tokens
)

// candidateMin is the smallest weight, relative to the best token's, that a candidate may have. The random number has 24
// bits and could not single out a smaller one.
const candidateMin = 0x1p-24

// ErrNonFinite is returned when a logit is NaN or infinite. It is an outcome of the inference, not a failure.
var ErrNonFinite = errors.New("sampler: a logit is not finite")

// ErrNothingAllowed is returned when the mask allows no token.
var ErrNothingAllowed = errors.New("sampler: no token is allowed")

// Mask says which tokens may be chosen: bit t%64 of word t/64 is set when token t may. A nil Mask allows all.
type Mask []uint64

// Allows says whether a token may be chosen.
func (m Mask) Allows(token int) bool { return m == nil || m[token/64]>>(token%64)&1 == 1 }

// Parameters say how to choose. The zero value is not valid: Greedy is the neutral one.
type Parameters struct {
	Temperature       float32 // 0 chooses the best token; else 0 < Temperature <= 100 divides the logits
	TopK              uint32  // keeps this many of the best tokens; 0: all
	TopP              float32 // keeps the fewest of the best tokens that have this much of the probability; 1: all
	MinP              float32 // keeps tokens with at least this fraction of the best one's probability; 0: all
	RepetitionPenalty float32 // weakens recent tokens; 1: does not
	RepetitionWindow  uint32  // how many of the last tokens, prompt included, are recent
	Seed              uint64
}

// Greedy chooses the best token and penalises nothing.
func Greedy() Parameters {
	return Parameters{TopP: 1, RepetitionPenalty: 1, RepetitionWindow: 64}
}

// ParameterError names a parameter that is out of its range.
type ParameterError struct {
	Parameter string // as in JSON
	Value     string
	Range     string
}

func (e *ParameterError) Error() string {
	return fmt.Sprintf("%s is %s: it must be %s", e.Parameter, e.Value, e.Range)
}

// Check refuses parameters out of range, NaN included, with a *ParameterError.
func (p Parameters) Check() error {
	bad := func(parameter string, value any, valid string) error {
		return &ParameterError{parameter, fmt.Sprint(value), valid}
	}
	// -0 is refused by its sign: a transcript has one encoding for zero.
	notNegative := func(f float32) bool { return f >= 0 && !math.Signbit(float64(f)) }
	switch {
	case !(notNegative(p.Temperature) && p.Temperature <= TemperatureMax):
		return bad("temperature", p.Temperature, fmt.Sprintf("from 0 to %d", TemperatureMax))
	case !(p.TopP > 0 && p.TopP <= 1):
		return bad("top_p", p.TopP, "above 0 and at most 1")
	case !(notNegative(p.MinP) && p.MinP <= 1):
		return bad("min_p", p.MinP, "from 0 to 1")
	case !(p.RepetitionPenalty >= RepetitionPenaltyMin && p.RepetitionPenalty <= RepetitionPenaltyMax):
		return bad("repetition_penalty", p.RepetitionPenalty, fmt.Sprintf("from %v to %v", RepetitionPenaltyMin, RepetitionPenaltyMax))
	case p.TopK > math.MaxInt32:
		return bad("top_k", p.TopK, "from 0 to 2147483647")
	case p.RepetitionWindow > RepetitionWindowMax:
		return bad("repetition_window", p.RepetitionWindow, fmt.Sprintf("from 0 to %d", RepetitionWindowMax))
	}
	return nil
}

// Sampler chooses tokens. It is used by one goroutine at a time.
type Sampler struct {
	parameters Parameters
	logits     []float32         // penalised copy
	random     rand.ChaCha8      // scratch
	candidates []candidate       // scratch
	weights    []float32         // scratch
	recent     []tokenizer.Token // scratch
}

type candidate struct {
	token  tokenizer.Token
	logit  float32
	weight float32 // e^((logit - best) / temperature), then the probability
}

// better is the one order of candidates: logit descending, then token id ascending.
func better(a, b candidate) int {
	switch {
	case a.logit > b.logit:
		return -1
	case a.logit < b.logit:
		return 1
	}
	return int(a.token) - int(b.token)
}

// New makes a sampler. The parameters must pass Check.
func New(p Parameters) (*Sampler, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	return &Sampler{parameters: p}, nil
}

// Sample chooses the token that follows tokens, the prompt and the output so far, among those that the mask allows. logits
// has one element per token of the vocabulary and is left unchanged. The position that seeds the choice is len(tokens).
func (s *Sampler) Sample(logits []float32, tokens []tokenizer.Token, mask Mask) (tokenizer.Token, error) {
	s.logits = append(s.logits[:0], logits...)
	s.penalise(tokens)
	best, err := argmax(s.logits, mask)
	if err != nil || s.parameters.Temperature == 0 {
		return best, err
	}
	s.choose(s.logits[best], mask)
	s.weigh()
	s.truncate()
	return s.draw(uniform(&s.random, s.parameters.Seed, uint64(len(tokens)))), nil
}

// penalise is section 11.2: each distinct token of the window is weakened once, however often it occurs.
func (s *Sampler) penalise(tokens []tokenizer.Token) {
	penalty := s.parameters.RepetitionPenalty
	if penalty == 1 {
		return
	}
	recent := tokens[len(tokens)-min(len(tokens), int(s.parameters.RepetitionWindow)):]
	s.recent = append(s.recent[:0], recent...)
	slices.Sort(s.recent)
	for i, token := range s.recent {
		if i > 0 && token == s.recent[i-1] {
			continue
		}
		if logit := s.logits[token]; logit > 0 {
			s.logits[token] = logit / penalty
		} else {
			s.logits[token] = logit * penalty
		}
	}
}

// argmax is the token with the largest logit of those that the mask allows, the lowest id among equals. A logit that is
// not finite is an error, allowed or not.
func argmax(logits []float32, mask Mask) (tokenizer.Token, error) {
	best := -1
	for i, logit := range logits {
		if math.Float32bits(logit)&0x7F800000 == 0x7F800000 {
			return 0, fmt.Errorf("%w: token %d has %v", ErrNonFinite, i, logit)
		}
		if (best < 0 || logit > logits[best]) && mask.Allows(i) {
			best = i
		}
	}
	if best < 0 {
		return 0, ErrNothingAllowed
	}
	return tokenizer.Token(best), nil
}

// choose is section 11.4: the best top_k allowed tokens in the order, or all; less those so far behind the best that weigh would
// drop them, for e^-17 < 2^-24. (These are the last in the order, so it makes no difference which is done first.)
func (s *Sampler) choose(best float32, mask Mask) {
	k := len(s.logits)
	if s.parameters.TopK > 0 && uint64(s.parameters.TopK) < uint64(k) {
		k = int(s.parameters.TopK)
	}
	s.candidates = s.candidates[:0]
	least := float32(math.Inf(-1)) // logit of the worst candidate, once there are k: most tokens are behind it
	for i, logit := range s.logits {
		if logit < least || !mask.Allows(i) || (logit-best)/s.parameters.Temperature < -17 {
			continue
		}
		c := candidate{token: tokenizer.Token(i), logit: logit}
		switch {
		case len(s.candidates) < k-1:
			s.candidates = append(s.candidates, c)
		case len(s.candidates) == k-1:
			s.candidates = append(s.candidates, c)
			for parent := k/2 - 1; parent >= 0; parent-- {
				sink(s.candidates, parent)
			}
			least = s.candidates[0].logit
		case better(c, s.candidates[0]) < 0:
			s.candidates[0] = c
			sink(s.candidates, 0)
			least = s.candidates[0].logit
		}
	}
	slices.SortFunc(s.candidates, better)
}

// sink restores the heap, whose root is the worst candidate, below a node that may have become too good for its place.
func sink(heap []candidate, node int) {
	for {
		worst := node
		for child := 2*node + 1; child <= 2*node+2 && child < len(heap); child++ {
			if better(heap[worst], heap[child]) < 0 {
				worst = child
			}
		}
		if worst == node {
			return
		}
		heap[node], heap[worst] = heap[worst], heap[node]
		node = worst
	}
}

// weigh is section 11.5: tokens that a random number of 24 bits cannot tell from none go.
func (s *Sampler) weigh() {
	best, kept := s.candidates[0].logit, s.candidates[:0]
	for _, c := range s.candidates {
		if c.weight = canon.Exp((c.logit - best) / s.parameters.Temperature); c.weight >= candidateMin {
			kept = append(kept, c)
		}
	}
	s.candidates = kept
}

// truncate is sections 11.6 and 11.7: probabilities and top-p, min-p.
func (s *Sampler) truncate() {
	s.weights = s.weights[:0]
	for _, c := range s.candidates {
		s.weights = append(s.weights, c.weight)
	}
	sum := canon.StridedSum(s.weights)
	for i := range s.candidates {
		s.candidates[i].weight /= sum
	}
	if s.parameters.TopP < 1 {
		cumulative := float32(0)
		for i, c := range s.candidates {
			cumulative += c.weight
			if cumulative >= s.parameters.TopP {
				s.candidates = s.candidates[:i+1]
				break
			}
		}
	}
	least := s.parameters.MinP * s.candidates[0].weight
	s.candidates = slices.DeleteFunc(s.candidates, func(c candidate) bool { return c.weight < least })
}

// draw is section 11.8: u in [0, 1) picks a candidate in proportion to its probability.
func (s *Sampler) draw(u float32) tokenizer.Token {
	total := float32(0)
	for _, c := range s.candidates {
		total += c.weight
	}
	mark, cumulative := u*total, float32(0)
	for _, c := range s.candidates {
		cumulative += c.weight
		if cumulative > mark {
			return c.token
		}
	}
	return s.candidates[len(s.candidates)-1].token
}
