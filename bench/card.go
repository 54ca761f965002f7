package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"verbatim/inference"
	"verbatim/internal/engines"
	"verbatim/kernels/cuda"
	"verbatim/models"
	"verbatim/models/tokenizer"
)

// CardPlan is what to measure on a graphics card, with models of random weights that are made in Folder.
type CardPlan struct {
	Shapes   []Shape
	Mixes    []Mix
	Batches  []int                       // sequences that decode together
	Contexts []int                       // tokens before what is timed
	Tokens   int                         // decoded by each sequence
	Limits   struct{ Bytes, Rounds int } // what cuda.Backend.MeasureLimits is given
	Folder   string
	Step     func(what string)
}

// CardReport is what was measured on a card.
type CardReport struct {
	Card    string      `json:"card"`
	Level   string      `json:"level"`
	Commit  string      `json:"commit"`
	Command string      `json:"command"`
	Date    string      `json:"date"`
	Limits  cuda.Limits `json:"limits"`
	Models  []CardModel `json:"models"`
}

// CardModel is one model's part of the report.
type CardModel struct {
	Facts       ModelFacts        `json:"facts"`
	LoadSeconds float64           `json:"load_seconds"` // the file is cached; digest, upload and repacking included
	Rows        []CardRow         `json:"rows"`
	Kernels     []cuda.KernelTime `json:"kernels"` // of one decoded token, by time
}

// CardRow is one measurement. Share is of the limit that bounds it: a prefill's multiplications against the card's byte
// products, a decode's weights, keys and values against its copies.
type CardRow struct {
	Name            string  `json:"name"`
	Decode          bool    `json:"decode"`
	Sequences       int     `json:"sequences"`
	Context         int     `json:"context"`
	TokensPerSecond float64 `json:"tokens_per_second"`
	Milliseconds    float64 `json:"ms"` // of a step, or of the whole prompt
	Share           float64 `json:"share"`
	PaperShare      float64 `json:"paper_share,omitempty"` // of a prefill: of the datasheet's dense int8 rate
	Digest          string  `json:"digest"`
}

// MeasureCard carries out a plan. What does not fit on the card is left out, and told to Step.
func MeasureCard(ctx context.Context, device engines.Device, plan CardPlan) (*CardReport, error) {
	r := &CardReport{}
	plan.Step("limits of the card")
	if err := r.limits(device, plan); err != nil {
		return nil, err
	}
	for _, shape := range plan.Shapes {
		for _, mix := range plan.Mixes {
			plan.Step("making " + shape.Name + " " + mix.Name)
			path := filepath.Join(plan.Folder, shape.Name+"-"+mix.Name+".gguf")
			if err := makeModel(path, shape, mix); err != nil {
				return r, err
			}
			m, err := r.model(ctx, device, plan, path)
			if err = errors.Join(err, os.Remove(path)); err != nil {
				return r, fmt.Errorf("%s %s: %w", shape.Name, mix.Name, err)
			}
			r.Models = append(r.Models, *m)
		}
	}
	return r, nil
}

func (r *CardReport) limits(device engines.Device, plan CardPlan) error {
	b, err := device.Backend()
	if err != nil {
		return err
	}
	defer b.Close()
	card, ok := b.(*cuda.Backend)
	if !ok {
		return fmt.Errorf("the backend is %s: a card is measured with --device cuda", b.Info().Name)
	}
	r.Card, r.Level = b.Info().Device, b.Info().Level
	r.Limits, err = card.MeasureLimits(plan.Limits.Bytes, int64(plan.Limits.Rounds))
	return err
}

func makeModel(path string, shape Shape, mix Mix) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(WriteModel(f, shape, mix, 1), f.Close())
}

// cardWork is a loaded model under measurement.
type cardWork struct {
	plan     CardPlan
	limits   cuda.Limits
	loaded   *engines.Loaded
	model    *CardModel
	sessions []*inference.Session // with the same keys and values, each in memory of its own
}

func (r *CardReport) model(ctx context.Context, device engines.Device, plan CardPlan, path string) (*CardModel, error) {
	plan.Step("loading " + filepath.Base(path))
	begin := time.Now()
	loaded, err := device.Open(ctx, models.Store{}, path)
	if err != nil {
		return nil, err
	}
	w := cardWork{plan: plan, limits: r.Limits, loaded: loaded, model: &CardModel{LoadSeconds: time.Since(begin).Seconds()}}
	w.model.Facts = factsOf(filepath.Base(path), loaded.Model)
	for _, context := range plan.Contexts {
		if err = w.context(ctx, context); err != nil {
			break
		}
	}
	if err == nil {
		err = w.kernels(ctx)
	}
	w.close()
	return w.model, errors.Join(err, loaded.Close())
}

// context measures a prompt of that length, and decoding behind it by more and more sequences.
func (w *cardWork) context(ctx context.Context, tokens int) error {
	w.close()
	name := w.model.Facts.Name
	w.plan.Step(fmt.Sprintf("%s: prefill %d", name, tokens))
	if err := w.prefill(ctx, tokens); err != nil {
		return err
	}
	snapshot, err := w.sessions[0].Snapshot()
	if err != nil {
		return err
	}
	for _, n := range w.plan.Batches {
		w.plan.Step(fmt.Sprintf("%s: %d sequences at %d", name, n, tokens))
		for len(w.sessions) < n {
			s, err := w.loaded.Engine.Restore(snapshot)
			if err != nil {
				w.plan.Step(fmt.Sprintf("%s: %d sequences at %d are left out: %v", name, n, tokens, err))
				return nil
			}
			w.sessions = append(w.sessions, s)
		}
		if err := w.decode(ctx, n, tokens); err != nil {
			return err
		}
	}
	return nil
}

func (w *cardWork) close() {
	for _, s := range w.sessions {
		s.Close()
	}
	w.sessions = nil
}

// prefill times a prompt, the second after one with other tokens that warms up.
func (w *cardWork) prefill(ctx context.Context, tokens int) error {
	var elapsed float64
	for number := range 2 {
		w.close()
		s, err := w.loaded.Engine.NewSession()
		if err != nil {
			return err
		}
		w.sessions = []*inference.Session{s}
		prompt := make([]tokenizer.Token, tokens)
		for i := range prompt {
			prompt[i] = token(number, i)
		}
		begin := time.Now()
		if err := s.Prefill(ctx, prompt); err != nil {
			return err
		}
		elapsed = time.Since(begin).Seconds()
	}
	products := float64(w.model.Facts.LayerWeights) * float64(tokens)
	row := CardRow{Name: fmt.Sprintf("prefill %d", tokens), Sequences: 1, Context: tokens, TokensPerSecond: float64(tokens) / elapsed,
		Milliseconds: 1000 * elapsed, Share: products / elapsed / w.limits.ByteProducts, Digest: digestOf(w.sessions)}
	if w.limits.PaperProducts > 0 {
		row.PaperShare = products / elapsed / w.limits.PaperProducts
	}
	w.model.Rows = append(w.model.Rows, row)
	return nil
}

// decode times steps of the first n sessions, after some that warm up, and goes back to where they were.
func (w *cardWork) decode(ctx context.Context, n, depth int) error {
	const warm = 4
	sessions, next := w.sessions[:n], make([]tokenizer.Token, n)
	var begin time.Time
	for i := range warm + w.plan.Tokens {
		if i == warm {
			begin = time.Now()
		}
		for sequence := range next {
			next[sequence] = token(sequence, i)
		}
		if err := inference.Advance(ctx, sessions, next); err != nil {
			return err
		}
	}
	elapsed := time.Since(begin).Seconds()
	h := &w.loaded.Model.Hyperparameters
	kept := float64(n) * float64(depth) * float64(4*h.Layers*h.KVHeads*h.HeadDim)
	bytes := (float64(w.model.Facts.DecodeBytes) + kept) * float64(w.plan.Tokens)
	w.model.Rows = append(w.model.Rows, CardRow{
		Name: fmt.Sprintf("decode, %d at once, at %d", n, depth), Decode: true, Sequences: n, Context: depth,
		TokensPerSecond: float64(n*w.plan.Tokens) / elapsed, Milliseconds: 1000 * elapsed / float64(w.plan.Tokens),
		Share: bytes / elapsed / w.limits.CopyBytes, Digest: digestOf(sessions),
	})
	for _, s := range sessions {
		if err := s.Truncate(depth); err != nil {
			return err
		}
	}
	return nil
}

// kernels takes the time of every kernel of one decoded token, launches one by one instead of as a graph.
func (w *cardWork) kernels(ctx context.Context) error {
	card := w.loaded.Backend().(*cuda.Backend)
	if len(w.sessions) == 0 {
		return nil
	}
	card.Profile(true)
	defer card.Profile(false)
	if err := inference.Advance(ctx, w.sessions[:1], []tokenizer.Token{7}); err != nil {
		return err
	}
	w.model.Kernels = card.KernelTimes()
	return nil
}

// WriteTable writes the report for people.
func (r *CardReport) WriteTable(w io.Writer) error {
	l := &r.Limits
	fmt.Fprintf(w, "card     %s, %s\nlimits   copies %.0f GB/s, %.0f T byte products/s (datasheet %.0f), uploads %.1f GB/s\nrun      %s, commit %s\ncommand  %s\n",
		r.Card, r.Level, l.CopyBytes/1e9, l.ByteProducts/1e12, l.PaperProducts/1e12, l.UploadBytes/1e9, r.Date, r.Commit, r.Command)
	for i := range r.Models {
		m := &r.Models[i]
		fmt.Fprintf(w, "\n%s, %.0f MB, ready in %.1f s\n\n", m.Facts.Name, float64(m.Facts.FileBytes)/1e6, m.LoadSeconds)
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, strings.Join([]string{"", "tokens/s", "ms", "of the limit", "of the datasheet", "digest"}, "\t")+"\t")
		for _, row := range m.Rows {
			paper := "-"
			if row.PaperShare > 0 {
				paper = fmt.Sprintf("%.0f %%", 100*row.PaperShare)
			}
			fmt.Fprintf(table, "%s\t%.1f\t%.2f\t%.0f %%\t%s\t%s\t\n", row.Name, row.TokensPerSecond, row.Milliseconds, 100*row.Share, paper, row.Digest)
		}
		fmt.Fprintln(table)
		fmt.Fprintln(table, strings.Join([]string{"kernel of one token", "launches", "us", "", "", ""}, "\t")+"\t")
		for _, k := range m.Kernels {
			fmt.Fprintf(table, "%s\t%d\t%.1f\t\t\t\t\n", k.Name, k.Launches, 1e6*k.Seconds)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}
