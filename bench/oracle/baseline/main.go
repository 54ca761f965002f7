// Command baseline does a workload of "verbatim bench engine" with the oracle: what a general library for tensors makes of
// the same model, in float64. It evaluates prompts; it keeps no keys and values, so it has nothing to say about decoding.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"verbatim/bench"
	"verbatim/bench/oracle"
	"verbatim/models"
	"verbatim/models/tokenizer"
)

func main() {
	path := flag.String("model", "", "the path of a GGUF file")
	decode := flag.Bool("decode", false, "time decoding")
	tokens := flag.Int("tokens", 512, "tokens of the prompt")
	flag.Int("threads", 0, "not used: the library decides")
	flag.Int("depth", 0, "not used")
	flag.Int("sequences", 1, "not used")
	flag.Parse()
	sample, err := work(*path, *decode, *tokens)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(sample)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "baseline:", err)
		os.Exit(1)
	}
}

func work(path string, decode bool, tokens int) (bench.Sample, error) {
	sample := bench.Sample{Engine: "gorgonia v0.9.18, float64"}
	if decode {
		return sample, nil
	}
	m, err := models.Open(path)
	if err != nil {
		return sample, err
	}
	defer m.Close()
	prompt := make([]tokenizer.Token, tokens)
	for i := range prompt {
		prompt[i] = tokenizer.Token(i * 7919 % m.Hyperparameters.Vocab)
	}
	begin := time.Now()
	_, err = oracle.Logits(m, prompt)
	sample.TokensPerSecond = float64(tokens) / time.Since(begin).Seconds()
	return sample, err
}
