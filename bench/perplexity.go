package bench

import (
	"context"
	"fmt"
	"math"

	"verbatim/inference"
	"verbatim/kernels/canon"
	"verbatim/models/tokenizer"
)

// Perplexity says how well a model predicts a text: the lower the better.
type Perplexity struct {
	Engine     string  `json:"engine"`
	Perplexity float64 `json:"perplexity"`
	MeanLoss   float64 `json:"mean_loss"` // nats a token; Perplexity is its exponential
	Scored     int     `json:"scored"`    // tokens that were predicted
	Tokens     int     `json:"tokens"`    // of the text
	Window     int     `json:"window"`
}

// MeasurePerplexity counts as llama.cpp's perplexity tool does, so that figures can be compared: the text is cut into
// windows, what is left over is dropped, a window begins with BOS in place of its first token if the vocabulary asks for
// it, and the tokens of its second half are predicted, each from all before it. The loss is the same on every machine.
// scored is told how many windows are done, and of how many.
func MeasurePerplexity(ctx context.Context, engine *inference.Engine, text string, window int, scored func(done, of int)) (*Perplexity, error) {
	t := engine.Model().Tokenizer
	tokens, err := t.Encode(text, tokenizer.EncodeOptions{BOS: true})
	if err != nil {
		return nil, err
	}
	if most := engine.ContextTokensMax(); window < 4 || window > most {
		return nil, fmt.Errorf("a window of %d tokens: 4 to %d, the model's context window, are possible", window, most)
	}
	if len(tokens) < window {
		return nil, fmt.Errorf("the text has %d tokens, less than one window of %d", len(tokens), window)
	}
	info := engine.Backend()
	p := &Perplexity{Engine: "verbatim, " + info.Level + ", " + info.Device, Tokens: len(tokens), Window: window}
	sum, windows := 0.0, len(tokens)/window
	for i := range windows {
		part := tokens[i*window:][:window:window]
		if bos, ok := t.BOS(); ok && t.AddsBOS() {
			part = append([]tokenizer.Token{bos}, part[1:]...)
		}
		session, err := engine.NewSession()
		if err != nil {
			return nil, err
		}
		err = session.Score(ctx, part[:window-1], window/2, func(at int, logits []float32) error {
			sum += float64(Loss(logits, part[at+1]))
			p.Scored++
			return nil
		})
		session.Close()
		if err != nil {
			return nil, err
		}
		scored(i+1, windows)
	}
	p.MeanLoss = sum / float64(p.Scored)
	p.Perplexity = math.Exp(p.MeanLoss)
	return p, nil
}

// Loss is minus the natural logarithm of a token's probability, computed as the log probabilities of kernels/SPEC.md are.
func Loss(logits []float32, token tokenizer.Token) float32 {
	most := logits[0]
	for _, logit := range logits {
		most = max(most, logit)
	}
	weights := make([]float32, len(logits))
	for i, logit := range logits {
		weights[i] = canon.Exp(logit - most)
	}
	return canon.Log(canon.StridedSum(weights)) - (logits[token] - most)
}
