package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"verbatim/inference"
	"verbatim/inference/transcript"
	"verbatim/internal/engines"
	"verbatim/models"
	"verbatim/models/embedded"
)

// Setting is one way to answer: where, and how many prompts share a pass.
type Setting struct {
	Device   engines.Device
	Together int // prompts answered at a time
	Prompts  int // how many of them
}

func (s *Setting) String() string {
	where := s.Device.Name
	if where == "cpu" {
		where = fmt.Sprintf("cpu %s on %d", s.Device.Level, s.Device.Threads)
	}
	return fmt.Sprintf("%s, chunks of %d, %d at a time", where, s.Device.PrefillChunk, s.Together)
}

// DeterminismRow says how many prompts of a setting have the digest that the first setting gave them.
type DeterminismRow struct {
	Setting string  `json:"setting"`
	Engine  string  `json:"engine"`
	Prompts int     `json:"prompts"`
	Same    int     `json:"same"`
	First   int     `json:"first_different"` // the first prompt that has another; -1: none
	Tokens  int     `json:"tokens"`          // prompts and answers
	Seconds float64 `json:"seconds"`
}

// Determinism is what came of asking the same prompts in several settings. A digest is that of a transcript: it commits to
// the tokens and to the hidden state behind every one of them.
type Determinism struct {
	Model   string              `json:"model"`
	SHA256  string              `json:"sha256"`
	Rows    []DeterminismRow    `json:"rows"`
	Digests []transcript.Digest `json:"digests"` // of the first setting, by prompt
}

// Same says whether all settings agree.
func (d *Determinism) Same() bool {
	for i := range d.Rows {
		if d.Rows[i].Same != d.Rows[i].Prompts {
			return false
		}
	}
	return len(d.Rows) > 0
}

// MeasureDeterminism asks in every setting, the first of which is what the others are compared with, so it must have as many
// prompts as any. step is told what comes next.
func MeasureDeterminism(ctx context.Context, model string, settings []Setting, step func(string)) (*Determinism, error) {
	d := &Determinism{Model: model}
	for i := range settings {
		s := &settings[i]
		if s.Together < 1 || s.Prompts < 1 || s.Prompts > settings[0].Prompts {
			return nil, fmt.Errorf("setting %v: %d prompts; at least 1 and at most the %d of the first setting", s, s.Prompts, settings[0].Prompts)
		}
		step(s.String())
		begin := time.Now()
		row, digests, err := d.ask(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", s, err)
		}
		row.Seconds = time.Since(begin).Seconds()
		if i == 0 {
			d.Digests = digests
		}
		row.compare(digests, d.Digests)
		d.Rows = append(d.Rows, row)
	}
	return d, nil
}

func (r *DeterminismRow) compare(got, want []transcript.Digest) {
	r.First = -1
	for j := range got {
		if got[j] == want[j] {
			r.Same++
		} else if r.First < 0 {
			r.First = j
		}
	}
}

// ask opens the model anew and answers all prompts, Together at a time.
func (d *Determinism) ask(ctx context.Context, s *Setting) (row DeterminismRow, digests []transcript.Digest, err error) {
	loaded, err := s.Device.Open(ctx, models.Store{Embedded: embedded.GGUF}, d.Model)
	if err != nil {
		return row, nil, err
	}
	defer func() { err = errors.Join(err, loaded.Close()) }()
	info := loaded.Engine.Backend()
	d.SHA256 = loaded.Model.Digest.String()
	row = DeterminismRow{Setting: s.String(), Engine: fmt.Sprintf("%s %s, %s", info.Name, info.Level, info.Device), Prompts: s.Prompts}
	digests = make([]transcript.Digest, s.Prompts)
	failures, tokens := make([]error, s.Prompts), make([]int, s.Prompts)
	next := make(chan int)
	var workers sync.WaitGroup
	for range s.Together {
		workers.Go(func() {
			for i := range next {
				c, err := loaded.Engine.Generate(ctx, determinismRequest(i), nil)
				if err == nil {
					tokens[i] = len(c.Transcript.Prompt) + len(c.Transcript.Output)
					digests[i], err = c.Transcript.Digest()
				}
				failures[i] = err
			}
		})
	}
	for i := range s.Prompts {
		next <- i
	}
	close(next)
	workers.Wait()
	for _, n := range tokens {
		row.Tokens += n
	}
	return row, digests, errors.Join(failures...)
}

// determinismRequest makes prompts of different lengths, greedy and sampled in turn.
func determinismRequest(i int) inference.Request {
	topics := []string{"the sea", "a lost key", "why bread rises", "prime numbers", "a night train", "the colour of leaves", "an old clock"}
	r := inference.NewRequest(fmt.Sprintf("Write %d sentences about %s. Then say what %s has to do with %s.", i%5+1, topics[i%7], topics[(i+1)%7], topics[(i+3)%7]))
	for range i % 4 {
		r.Prompt += " " + r.Prompt
	}
	r.MaxTokens = 12
	if i%2 == 1 {
		r.Sampling.Temperature, r.Sampling.TopP, r.Sampling.Seed = 0.8, 0.95, uint64(i)
	}
	return r
}

// WriteTable writes it for a terminal, a line a setting.
func (d *Determinism) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "model %s, sha256 %s\n\n", d.Model, d.SHA256)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "setting\tsame digests\ttokens\tseconds\t")
	for _, r := range d.Rows {
		verdict := fmt.Sprintf("%d of %d", r.Same, r.Prompts)
		if r.First >= 0 {
			verdict += fmt.Sprintf(" (first other: prompt %d)", r.First)
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%.1f\t\n", r.Setting, verdict, r.Tokens, r.Seconds)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	verdict := "one digest a prompt in every setting"
	if !d.Same() {
		verdict = "DIFFERENT BITS"
	}
	_, err := fmt.Fprintf(w, "\n%s\n%s\n", strings.Join(shortDigests(d.Digests), " "), verdict)
	return err
}

func shortDigests(digests []transcript.Digest) []string {
	short := make([]string, len(digests))
	for i, d := range digests {
		short[i] = d.String()[:8]
	}
	return short
}
