package sampler

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"verbatim/models/tokenizer"
)

// TestSpecVector prints the worked example of section 11 of kernels/SPEC.md step by step and compares it with what stands
// there. A difference is a change of the arithmetic, never of this text.
func TestSpecVector(t *testing.T) {
	logits := []float32{2, 1.5, 1.5, 0, -1, 3, -2, 0.5}
	p := Parameters{Temperature: 0.75, TopK: 6, TopP: 0.95, MinP: 0.1, RepetitionPenalty: 1.25, RepetitionWindow: 64, Seed: 42}
	tokens := []tokenizer.Token{5, 4, 5}

	s, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	var steps strings.Builder
	u := Uniform(p.Seed, uint64(len(tokens)))
	fmt.Fprintf(&steps, "u %08x\n", math.Float32bits(u))
	s.logits = slices.Clone(logits)
	s.penalise(tokens)
	fmt.Fprintf(&steps, "penalised 4:%08x 5:%08x\n", math.Float32bits(s.logits[4]), math.Float32bits(s.logits[5]))
	best, err := argmax(s.logits, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.choose(s.logits[best], nil)
	s.weigh()
	steps.WriteString("weights" + list(s.candidates))
	s.truncate()
	steps.WriteString("kept" + list(s.candidates))
	fmt.Fprintf(&steps, "token %d\n", s.draw(u))
	if got := steps.String(); got != specVector {
		t.Errorf("got\n%s\nwant\n%s", got, specVector)
	}

	token, err := s.Sample(logits, tokens, nil)
	if want := tokenizer.Token(1); token != want || err != nil {
		t.Errorf("Sample(%v, %v) = %d, %v, want %d", logits, tokens, token, err, want)
	}
}

// The heap keeps what sorting all and cutting keeps.
func TestChooseEqualsSorting(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		s := Sampler{logits: make([]float32, 1+random.IntN(40)), parameters: Parameters{Temperature: 1}}
		want := make([]candidate, len(s.logits))
		for i := range s.logits {
			s.logits[i] = float32(random.IntN(9) - 4) // many equals
			want[i] = candidate{token: tokenizer.Token(i), logit: s.logits[i]}
		}
		slices.SortFunc(want, better)
		for k := range uint32(len(want) + 2) {
			s.parameters.TopK = k
			s.choose(want[0].logit, nil)
			cut := want
			if k > 0 {
				cut = want[:min(int(k), len(want))]
			}
			if !slices.Equal(s.candidates, cut) {
				t.Fatalf("top %d of %v: got %v, want %v", k, s.logits, s.candidates, cut)
			}
		}
	}
}

// A random number that lands exactly on a candidate's end belongs to the next one.
func TestDrawOnTheEdge(t *testing.T) {
	s := Sampler{candidates: []candidate{{token: 7, weight: 0.5}, {token: 9, weight: 0.25}, {token: 3, weight: 0.25}}}
	for u, want := range map[float32]tokenizer.Token{0: 7, 0.5 - 0x1p-24: 7, 0.5: 9, 0.75: 3, 1 - 0x1p-24: 3} {
		if got := s.draw(u); got != want {
			t.Errorf("draw(%v) = %d, want %d", u, got, want)
		}
	}
}

func list(candidates []candidate) string {
	var b strings.Builder
	for _, c := range candidates {
		fmt.Fprintf(&b, " %d:%08x", c.token, math.Float32bits(c.weight))
	}
	return b.String() + "\n"
}

const specVector = `u 3f5bfd30
penalised 4:bfa00000 5:4019999a
weights 5:3f800000 0:3f162e71 1:3e9a361f 2:3e9a361f 7:3da29947 3:3d26f644
kept 5:3eddb904 0:3e8212a2 1:3e05902c 2:3e05902c
token 1
`
