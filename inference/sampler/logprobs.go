package sampler

import (
	"slices"

	"verbatim/kernels/canon"
	"verbatim/models/tokenizer"
)

// LogprobsMax is the largest number of alternatives that can be asked for.
const LogprobsMax = 64

// Logprob is a token with the natural logarithm of its probability at temperature 1, before any penalty.
type Logprob struct {
	Token   tokenizer.Token `json:"token"`
	Logit   float32         `json:"logit"`
	Logprob float32         `json:"logprob"`
}

// Logprobs are the top tokens by (logit descending, id ascending), section 11.9. top beyond the vocabulary gives all of it.
func Logprobs(logits []float32, top int) ([]Logprob, error) {
	best, err := argmax(logits, nil)
	if err != nil || top <= 0 {
		return nil, err
	}
	most := logits[best]
	weights := make([]float32, len(logits))
	candidates := make([]candidate, len(logits))
	for i, logit := range logits {
		weights[i] = canon.Exp(logit - most)
		candidates[i] = candidate{token: tokenizer.Token(i), logit: logit}
	}
	logSum := canon.Log(canon.StridedSum(weights))
	slices.SortFunc(candidates, better)
	logprobs := make([]Logprob, min(top, len(candidates)))
	for i := range logprobs {
		c := candidates[i]
		logprobs[i] = Logprob{c.token, c.logit, (c.logit - most) - logSum}
	}
	return logprobs, nil
}
