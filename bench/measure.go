package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"

	"verbatim/internal/engines"
	"verbatim/kernels/cpu"
	"verbatim/models"
)

// Plan is what to measure.
type Plan struct {
	Model     string // a path
	Device    engines.Device
	Workloads []Workload
	Runs      int
	Cold      bool   // also load with the files out of the page cache
	Folder    string // of packed weights; empty at first
	Ours      Program
	Peer      *Program
	Step      func(what string) // is told what comes next
}

// Report is what was measured.
type Report struct {
	Model   ModelFacts   `json:"model"`
	Machine MachineFacts `json:"machine"`
	Engine  string       `json:"engine"`
	Peer    string       `json:"peer,omitempty"`
	Commit  string       `json:"commit"`
	Command string       `json:"command"`
	Date    string       `json:"date"`
	Runs    int          `json:"runs"`
	Limits  cpu.Limits   `json:"limits"` // the best of all runs
	Rows    []Row        `json:"rows"`
}

// ModelFacts describe the model's file.
type ModelFacts struct {
	Name         string `json:"name"`
	SHA256       string `json:"sha256"`
	FileBytes    int64  `json:"file_bytes"`
	DecodeBytes  int    `json:"decode_bytes"`  // of weights that a token needs
	LayerWeights int    `json:"layer_weights"` // that a prompt's token is multiplied with
	Blocks       bool   `json:"blocks"`        // most of them are block-quantised
}

// MachineFacts describe where it was measured.
type MachineFacts struct {
	Processor string `json:"processor"`
	System    string `json:"system"`
	Level     string `json:"level"`
	Threads   int    `json:"threads"`
}

// Row is one line of the table. Figures are medians of the runs.
type Row struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Ours   float64   `json:"ours"`
	Peer   float64   `json:"peer,omitempty"`
	Ratio  float64   `json:"ratio,omitempty"` // the median of ours / peer in one run
	CPU    float64   `json:"ratio_by_cpu_time,omitempty"`
	Share  float64   `json:"share,omitempty"` // of the machine's limit
	Digest string    `json:"digest,omitempty"`
	Each   []float64 `json:"each"`
	EachOf []float64 `json:"each_of_peer,omitempty"`
}

// Units of rows.
const (
	TokensPerSecond = "tokens/s"
	Milliseconds    = "ms"
	Megabytes       = "MB"
)

// run collects a plan's samples.
type run struct {
	plan   Plan
	report *Report
	ours   map[string][]Sample
	peer   map[string][]Sample
}

// Measure carries out a plan. In every run each workload is done by both programs, one after the other.
func Measure(ctx context.Context, plan Plan) (*Report, error) {
	r := run{plan: plan, report: &Report{Runs: plan.Runs}, ours: map[string][]Sample{}, peer: map[string][]Sample{}}
	if err := errors.Join(r.describe(), r.limits()); err != nil {
		return nil, err
	}
	plan.Step("first start, which packs the weights")
	if err := r.ourTurn(ctx, Workload{Name: firstStart, Tokens: 1, Sequences: 1}); err != nil {
		return nil, err
	}
	workloads := slices.Clone(plan.Workloads)
	if plan.Cold {
		workloads = append(workloads, Workload{Name: coldStart, Tokens: 1, Sequences: 1, Cold: true})
	}
	for i := range plan.Runs {
		for _, w := range workloads {
			plan.Step(fmt.Sprintf("run %d of %d: %s", i+1, plan.Runs, w.Name))
			if err := errors.Join(r.limits(), r.once(ctx, w)); err != nil {
				return nil, err
			}
		}
	}
	r.rows()
	return r.report, nil
}

// Workloads that time a load: with nothing prepared, and from the disk.
const (
	firstStart = "first start"
	coldStart  = "cold start"
)

// once does a workload with both programs.
func (r *run) once(ctx context.Context, w Workload) error {
	if err := r.dropFromCache(w); err != nil {
		return err
	}
	if err := r.ourTurn(ctx, w); err != nil || r.plan.Peer == nil {
		return err
	}
	if err := r.dropFromCache(w); err != nil {
		return err
	}
	s, ok, err := r.plan.Peer.Run(ctx, r.plan.Model, r.report.Machine.Threads, w)
	if err != nil || !ok {
		return err
	}
	r.peer[w.Name] = append(r.peer[w.Name], s)
	r.report.Peer = s.Engine
	return nil
}

// dropFromCache makes the kernel forget the model and the packed weights before a cold start.
func (r *run) dropFromCache(w Workload) error {
	if !w.Cold {
		return nil
	}
	files, err := filepath.Glob(filepath.Join(r.plan.Folder, "*"))
	if err != nil {
		return err
	}
	for _, path := range append(files, r.plan.Model) {
		if err := dropFromCache(path); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) ourTurn(ctx context.Context, w Workload) error {
	s, _, err := r.plan.Ours.Run(ctx, r.plan.Model, r.report.Machine.Threads, w)
	if err != nil {
		return err
	}
	if before := r.ours[w.Name]; len(before) > 0 && before[0].Digest != s.Digest {
		return fmt.Errorf("%s: the digest of the logits was %s, now it is %s", w.Name, before[0].Digest, s.Digest)
	}
	r.ours[w.Name] = append(r.ours[w.Name], s)
	r.report.Engine = s.Engine
	return nil
}

func (r *run) describe() error {
	m, err := models.Open(r.plan.Model)
	if err != nil {
		return err
	}
	defer m.Close()
	r.report.Model = factsOf(filepath.Base(r.plan.Model), m)
	return nil
}

// factsOf describes an open model.
func factsOf(name string, m *models.Model) ModelFacts {
	facts := ModelFacts{Name: name, SHA256: m.Digest.String(), FileBytes: int64(m.FileBytes), DecodeBytes: len(m.Weights.Output.Data)}
	blocks := 0
	for i := range m.Weights.Layers {
		l := &m.Weights.Layers[i]
		for _, t := range []models.Tensor{l.Q, l.K, l.V, l.O, l.Gate, l.Up, l.Down} {
			facts.DecodeBytes += len(t.Data)
			facts.LayerWeights += t.Rows * t.Cols
			if t.Type.BlockElements() > 1 {
				blocks += t.Rows * t.Cols
			}
		}
	}
	facts.Blocks = 2*blocks > facts.LayerWeights
	return facts
}

// limits measures what the machine can do, and keeps the best: other work on the machine makes it look worse than it is.
func (r *run) limits() error {
	b, err := r.plan.Device.CPU()
	if err != nil {
		return err
	}
	defer b.Close()
	const megabytes = 256 // a thread; far beyond caches
	l, best := b.MeasureLimits(megabytes), &r.report.Limits
	best.ReadBytes = max(best.ReadBytes, l.ReadBytes)
	best.ByteProducts = max(best.ByteProducts, l.ByteProducts)
	best.Products = max(best.Products, l.Products)
	r.report.Machine = MachineFacts{
		Processor: processor(), System: runtime.GOOS + "/" + runtime.GOARCH, Level: b.Info().Level, Threads: b.Threads(),
	}
	return nil
}

// limit is the most tokens a second that the machine allows; 0 if no limit is known.
func (r *run) limit(w Workload) float64 {
	facts, l := &r.report.Model, &r.report.Limits
	switch {
	case w.Decode && w.Sequences == 1:
		return l.ReadBytes / float64(facts.DecodeBytes)
	case w.Decode:
		return 0
	case facts.Blocks:
		return l.ByteProducts / float64(facts.LayerWeights)
	}
	return l.Products / float64(facts.LayerWeights)
}

func (r *run) rows() {
	for _, w := range r.plan.Workloads {
		row := r.row(w.Name, w.Name, TokensPerSecond, func(s Sample) float64 { return s.TokensPerSecond })
		if limit := r.limit(w); limit > 0 {
			row.Share = row.Ours / limit
		}
		row.CPU = r.row("", w.Name, "", func(s Sample) float64 { return s.PerCPUSecond }).Ratio
		row.Digest = r.ours[w.Name][0].Digest
		r.report.Rows = append(r.report.Rows, row)
	}
	load := func(s Sample) float64 { return s.LoadMS }
	memory := func(s Sample) float64 { return float64(s.PeakBytes) / 1e6 }
	first, deepest := r.plan.Workloads[0].Name, r.plan.Workloads[0]
	for _, w := range r.plan.Workloads {
		if w.Sequences == 1 && w.Depth > deepest.Depth {
			deepest = w
		}
	}
	r.report.Rows = append(r.report.Rows, r.row("first token, first start", firstStart, Milliseconds, load),
		r.row("first token, file cached", first, Milliseconds, load))
	if r.plan.Cold {
		r.report.Rows = append(r.report.Rows, r.row("first token, file not cached", coldStart, Milliseconds, load))
	}
	r.report.Rows = append(r.report.Rows, r.row("peak memory, "+first, first, Megabytes, memory))
	if deepest.Name != first {
		r.report.Rows = append(r.report.Rows, r.row("peak memory, "+deepest.Name, deepest.Name, Megabytes, memory))
	}
}

// row is the median of what value says of the samples of a workload.
func (r *run) row(name, workload, unit string, value func(Sample) float64) Row {
	row := Row{Name: name, Unit: unit}
	var ratios []float64
	for i, s := range r.ours[workload] {
		row.Each = append(row.Each, value(s))
		if i < len(r.peer[workload]) && value(r.peer[workload][i]) > 0 {
			row.EachOf = append(row.EachOf, value(r.peer[workload][i]))
			ratios = append(ratios, value(s)/value(r.peer[workload][i]))
		}
	}
	row.Ours, row.Peer, row.Ratio = median(row.Each), median(row.EachOf), median(ratios)
	return row
}

// median of an even number of values is the mean of the middle two; of none it is 0.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
