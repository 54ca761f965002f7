package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"verbatim/inference"
	"verbatim/inference/sampler"
	"verbatim/inference/transcript"
	"verbatim/internal/engines"
	"verbatim/models"
	"verbatim/models/tokenizer"
)

// runOptions are the flags of verbatim run.
type runOptions struct {
	device   engines.Device
	network  network
	model    string
	prompt   string
	chat     bool
	schema   string
	seed     string
	request  inference.Request
	receipt  string
	key      string
	asJSON   bool
	sampling struct{ temperature, topP, minP, penalty float64 }
	topK     uint32
}

// completion is what run --json prints.
type completion struct {
	Text         string                 `json:"text"`
	Tokens       []tokenizer.Token      `json:"tokens"`
	PromptTokens []tokenizer.Token      `json:"prompt_tokens"`
	FinishReason string                 `json:"finish_reason"`
	Logprobs     [][]sampler.Logprob    `json:"logprobs"` // null unless asked for
	Transcript   *transcript.Transcript `json:"transcript"`
	Timings      timings                `json:"timings"`
}

type timings struct {
	LoadMS     float64 `json:"load_ms"`
	PrefillTPS float64 `json:"prefill_tps"`
	DecodeTPS  float64 `json:"decode_tps"`
}

func newRunCommand() *cobra.Command {
	o := runOptions{request: inference.NewRequest("")}
	cmd := &cobra.Command{
		Use:   "run --model M --prompt TEXT",
		Short: "Ask a model, and record what it said",
		Long: `Run generates text. The transcript that it records (model, prompt, parameters, seed, tokens and a digest of the
hidden states behind them) is the same on every machine; --receipt keeps it, signed, for verbatim verify.`,
		Example: `  verbatim run --model embedded --prompt "Once upon a time"
  verbatim run --model model.gguf --chat --prompt "Why is the sky blue?" --max-tokens 200 --temperature 0.7 --seed 42
  verbatim run --prompt "One day" --json --receipt answer.receipt && verbatim verify answer.receipt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.model, "model", "embedded", "embedded, the path of a GGUF or llama2.c file, or an Arweave transaction id")
	f.StringVar(&o.prompt, "prompt", "", "the text to continue; - reads standard input")
	f.BoolVar(&o.chat, "chat", false, "send the prompt as a user's turn of a chat")
	f.IntVar(&o.request.MaxTokens, "max-tokens", inference.MaxTokensDefault, "stop after this many tokens")
	f.Float64Var(&o.sampling.temperature, "temperature", 0, "0 takes the likeliest token")
	f.Uint32Var(&o.topK, "top-k", 0, "choose among this many tokens; 0 is all")
	f.Float64Var(&o.sampling.topP, "top-p", 1, "choose among the likeliest tokens that make up this probability")
	f.Float64Var(&o.sampling.minP, "min-p", 0, "leave out tokens less likely than this fraction of the likeliest")
	f.Float64Var(&o.sampling.penalty, "repetition-penalty", 1, "divide the logits of recent tokens")
	f.StringVar(&o.seed, "seed", "0", "the same seed gives the same tokens everywhere; 0 to 2^64-1")
	f.StringArrayVar(&o.request.Stop, "stop", nil, "end before this text; may be repeated")
	f.StringVar(&o.schema, "schema", "", "hold the answer to the JSON schema in this file")
	f.IntVar(&o.request.Logprobs, "logprobs", 0, "print this many alternatives of each token")
	f.StringVar(&o.receipt, "receipt", "", "write the signed transcript to this file")
	f.StringVar(&o.key, "key", defaultKeyPath(), "the key that signs it; made when it does not exist")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object")
	deviceFlags(cmd, &o.device)
	o.network.gatewayFlag(cmd)
	return cmd
}

func (o *runOptions) complete(in io.Reader) error {
	if o.prompt == "-" {
		text, err := io.ReadAll(io.LimitReader(in, inference.RequestBytesMax+1))
		if err != nil {
			return fmt.Errorf("read the prompt from standard input: %w", err)
		}
		o.prompt = string(text)
	}
	seed, err := strconv.ParseUint(o.seed, 10, 64)
	if err != nil {
		return fmt.Errorf("seed %q: it must be an integer from 0 to %d", o.seed, uint64(1<<64-1))
	}
	o.request.Prompt = o.prompt
	if o.chat {
		o.request.Prompt, o.request.Turns = "", []models.Turn{{Role: models.User, Content: o.prompt}}
	}
	if o.schema != "" {
		schema, err := os.ReadFile(o.schema)
		if err != nil {
			return fmt.Errorf("read the schema: %w", err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, schema); err != nil {
			return fmt.Errorf("read the schema %s: %w", o.schema, err)
		}
		o.request.Schema = compact.String()
	}
	s := &o.request.Sampling
	s.Temperature, s.TopP = float32(o.sampling.temperature), float32(o.sampling.topP)
	s.MinP, s.RepetitionPenalty = float32(o.sampling.minP), float32(o.sampling.penalty)
	s.TopK, s.Seed = o.topK, seed
	return o.request.Check()
}

func (o *runOptions) run(cmd *cobra.Command) error {
	if err := o.complete(interruptible{cmd.Context(), cmd.InOrStdin()}); err != nil {
		return err
	}
	var key ed25519.PrivateKey
	if o.receipt != "" {
		var err error
		if key, err = prepareStatement(o.receipt, o.key); err != nil {
			return err
		}
	}
	lib := o.network.library(o.device)
	lib.Warn = func(err error) { fmt.Fprintln(cmd.ErrOrStderr(), "verbatim:", err) }
	defer lib.Close()
	begin := time.Now()
	engine, err := lib.Engine(cmd.Context(), o.model)
	if err != nil {
		return err
	}
	stopwatch := stopwatch{begin: time.Now()}
	c, err := engine.Generate(cmd.Context(), o.request, func(e inference.Event) {
		stopwatch.token()
		if !o.asJSON {
			fmt.Fprint(cmd.OutOrStdout(), e.Text)
			printLogprobs(cmd.ErrOrStderr(), e)
		}
	})
	if err != nil {
		return err
	}
	if o.receipt != "" {
		if err := writeStatement(o.receipt, key, engine, &c.Transcript); err != nil {
			return err
		}
	}
	t := stopwatch.timings(len(c.Transcript.Prompt), float64(stopwatch.begin.Sub(begin).Microseconds())/1000)
	return o.print(cmd, &c, t)
}

func (o *runOptions) print(cmd *cobra.Command, c *inference.Completion, t timings) error {
	digest, err := c.Transcript.Digest()
	if err != nil {
		return err
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), completion{
			Text: c.Text, Tokens: c.Transcript.Output, PromptTokens: c.Transcript.Prompt,
			FinishReason: c.Transcript.Finish.String(), Logprobs: c.Logprobs, Transcript: &c.Transcript, Timings: t,
		})
	}
	fmt.Fprintln(cmd.OutOrStdout())
	fmt.Fprintf(cmd.ErrOrStderr(), "\n%d prompt tokens at %.0f/s, %d tokens at %.0f/s, finish: %s\ntranscript %s\n",
		len(c.Transcript.Prompt), t.PrefillTPS, len(c.Transcript.Output), t.DecodeTPS, c.Transcript.Finish, digest)
	return nil
}

func printLogprobs(w io.Writer, e inference.Event) {
	if len(e.Logprobs) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%4d", e.Index)
	for _, l := range e.Logprobs {
		fmt.Fprintf(w, "  %d:%.4f", l.Token, l.Logprob)
	}
}

// stopwatch times prefill by the first token and decode by the rest.
type stopwatch struct {
	begin, first, last time.Time
	tokens             int
}

func (s *stopwatch) token() {
	s.last = time.Now()
	if s.tokens == 0 {
		s.first = s.last
	}
	s.tokens++
}

func (s *stopwatch) timings(promptTokens int, loadMS float64) timings {
	t := timings{LoadMS: loadMS}
	if d := s.first.Sub(s.begin).Seconds(); d > 0 {
		t.PrefillTPS = float64(promptTokens) / d
	}
	if d := s.last.Sub(s.first).Seconds(); d > 0 {
		t.DecodeTPS = float64(s.tokens-1) / d
	}
	return t
}

// network says where to fetch what is not on this machine.
type network struct {
	gateway string
	data    string
}

func (n *network) gatewayFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&n.gateway, "gateway", "https://arweave.net", "where to fetch transactions")
	n.data = defaultDataPath()
}

// library gives the models that this machine has or can fetch.
func (n *network) library(d engines.Device) *engines.Library {
	return engines.New(d, modelFolder(n.data), n.fetchModel)
}
