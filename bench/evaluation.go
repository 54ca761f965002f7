package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"time"

	"verbatim/cu/eval"
)

// EvaluationPlan is what to measure of evaluations.
type EvaluationPlan struct {
	Modules   []ModuleFile
	Loader    string   // a folder with node_modules/@permaweb/ao-loader; "" measures ours only
	Runs      int      // medians of so many
	Scale     float64  // below 1: fewer messages
	Folder    string   // for data; empty at first
	Daemon    []string // the command of verbatim serve, without options
	First     []string // a command that calls FirstResult with its arguments
	CatchUp   int      // messages; 0 leaves the row out
	Processes int      // known to a daemon that starts again; 0 leaves the rows out
	Step      func(what string)
}

// ModuleFile is a module on disk.
type ModuleFile struct{ Path, Format string }

func (m ModuleFile) name() string { return filepath.Base(m.Path) + ", " + m.Format }

// EvaluationReport is what was measured.
type EvaluationReport struct {
	Machine  MachineFacts    `json:"machine"`
	Node     string          `json:"node,omitempty"`
	Loader   string          `json:"loader,omitempty"`
	Commit   string          `json:"commit"`
	Command  string          `json:"command"`
	Date     string          `json:"date"`
	Runs     int             `json:"runs"`
	Rows     []EvaluationRow `json:"rows"`
	Compared int             `json:"results_compared"` // with the reference's, all equal
}

// EvaluationRow is one line of the table. Figures are medians of the runs; ratios are above 1 where ours is faster.
type EvaluationRow struct {
	Module         string    `json:"module"`
	Name           string    `json:"name"`
	Messages       int       `json:"messages"`
	Ours           Latency   `json:"ours"`
	Reference      Latency   `json:"reference"`
	Kept           Latency   `json:"node_memory_kept"`
	RatioReference float64   `json:"ratio_reference,omitempty"`
	RatioKept      float64   `json:"ratio_node_memory_kept,omitempty"`
	CPUReference   float64   `json:"ratio_reference_by_cpu_time,omitempty"`
	CPUKept        float64   `json:"ratio_node_memory_kept_by_cpu_time,omitempty"`
	EachOurs       []Latency `json:"each_ours"`
	EachReference  []Latency `json:"each_reference,omitempty"`
	EachKept       []Latency `json:"each_node_memory_kept,omitempty"`
	Note           string    `json:"note,omitempty"`
}

// Latency describes how long messages took. What was not measured is 0.
type Latency struct {
	PerSecond float64 `json:"per_second,omitempty"`
	MedianMS  float64 `json:"median_ms,omitempty"`
	P99MS     float64 `json:"p99_ms,omitempty"`
	CPUMS     float64 `json:"cpu_ms,omitempty"` // processor time of a message, on average
}

// latencyOf summarises milliseconds of messages that came one after the other.
func latencyOf(milliseconds []float64) Latency {
	sorted, sum := slices.Sorted(slices.Values(milliseconds)), 0.0
	for _, ms := range sorted {
		sum += ms
	}
	if sum == 0 {
		return Latency{}
	}
	last := len(sorted) - 1
	return Latency{PerSecond: 1000 * float64(len(sorted)) / sum, MedianMS: median(sorted), P99MS: sorted[(99*last+50)/100]}
}

// medians are those of each figure.
func medians(each []Latency) Latency {
	of := func(figure func(Latency) float64) float64 {
		var values []float64
		for _, l := range each {
			values = append(values, figure(l))
		}
		return median(values)
	}
	return Latency{of(func(l Latency) float64 { return l.PerSecond }), of(func(l Latency) float64 { return l.MedianMS }),
		of(func(l Latency) float64 { return l.P99MS }), of(func(l Latency) float64 { return l.CPUMS })}
}

// instanceBytes is room for the instance of the one process that is measured at a time.
const instanceBytes = 1 << 30

// evaluationRun collects a plan's measurements.
type evaluationRun struct {
	plan   EvaluationPlan
	report *EvaluationReport
	host   *eval.Host
	rows   map[string]*EvaluationRow
}

// MeasureEvaluations carries out a plan. In every run, each workload is done by ours, by the reference, and by Node with the
// memory kept, one right after the other; results that differ are an error.
func MeasureEvaluations(ctx context.Context, plan EvaluationPlan) (report *EvaluationReport, err error) {
	r := evaluationRun{plan: plan, rows: map[string]*EvaluationRow{}, report: &EvaluationReport{Runs: plan.Runs,
		Machine: MachineFacts{Processor: processor(), System: runtime.GOOS + "/" + runtime.GOARCH, Threads: runtime.GOMAXPROCS(0)}}}
	if r.host, err = eval.NewHost(ctx, filepath.Join(plan.Folder, "compiled"), eval.InstanceBytesDefault); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.host.Close(ctx)) }()
	for range plan.Runs {
		for _, module := range plan.Modules {
			for _, w := range evaluationWorkloads(plan.Scale) {
				plan.Step(w.name + ", " + module.name())
				if err := r.workload(ctx, module, w); err != nil {
					return nil, fmt.Errorf("%s on %s: %w", w.name, module.name(), err)
				}
			}
			plan.Step("first result, " + module.name())
			if err := r.firstResult(ctx, module); err != nil {
				return nil, fmt.Errorf("first result of %s: %w", module.name(), err)
			}
		}
	}
	if err := r.daemons(ctx); err != nil {
		return nil, err
	}
	r.finish()
	return r.report, nil
}

// finish fills in what follows from the runs.
func (r *evaluationRun) finish() {
	for i := range r.report.Rows {
		row := &r.report.Rows[i]
		*row = *r.rows[row.Module+row.Name]
		row.Ours, row.Reference, row.Kept = medians(row.EachOurs), medians(row.EachReference), medians(row.EachKept)
		row.RatioReference, row.RatioKept = ratio(row.EachOurs, row.EachReference), ratio(row.EachOurs, row.EachKept)
		row.CPUReference, row.CPUKept = cpuRatio(row.EachOurs, row.EachReference), cpuRatio(row.EachOurs, row.EachKept)
	}
}

// ratio is the median of what the runs say: of medians, or where there are none, of rates.
func ratio(ours, theirs []Latency) float64 {
	var each []float64
	for i := range min(len(ours), len(theirs)) {
		switch {
		case ours[i].MedianMS > 0 && theirs[i].MedianMS > 0:
			each = append(each, theirs[i].MedianMS/ours[i].MedianMS)
		case theirs[i].PerSecond > 0:
			each = append(each, ours[i].PerSecond/theirs[i].PerSecond)
		}
	}
	return median(each)
}

// cpuRatio is the median of the ratios of processor times.
func cpuRatio(ours, theirs []Latency) float64 {
	var each []float64
	for i := range min(len(ours), len(theirs)) {
		if ours[i].CPUMS > 0 && theirs[i].CPUMS > 0 {
			each = append(each, theirs[i].CPUMS/ours[i].CPUMS)
		}
	}
	return median(each)
}

// row finds or adds a row.
func (r *evaluationRun) row(module, name string) *EvaluationRow {
	found := r.rows[module+name]
	if found == nil {
		found = &EvaluationRow{Module: module, Name: name}
		r.rows[module+name] = found
		r.report.Rows = append(r.report.Rows, *found)
	}
	return found
}

// workload does a workload with everybody.
func (r *evaluationRun) workload(ctx context.Context, module ModuleFile, w evaluationWorkload) error {
	lines, untimed := w.lines()
	row := r.row(module.name(), w.name)
	row.Messages = len(lines) - untimed
	ours, results, err := r.evaluate(ctx, module, lines, untimed)
	if err != nil {
		return err
	}
	row.EachOurs = append(row.EachOurs, ours)
	if r.plan.Loader == "" {
		return nil
	}
	for _, of := range []struct {
		mode string
		each *[]Latency
	}{{nodeCopies, &row.EachReference}, {nodeKeeps, &row.EachKept}} {
		theirs, err := r.node(ctx, module, lines, untimed, of.mode)
		if err != nil {
			return err
		}
		for i := range results {
			if !sameResult(results[i], theirs.Results[i]) {
				return fmt.Errorf("message %d: the result is\n%s\nand with ao-loader\n%s", i, results[i], theirs.Results[i])
			}
		}
		r.report.Compared += len(results)
		latency := latencyOf(theirs.Milliseconds)
		latency.CPUMS = theirs.CPUMS / float64(len(theirs.Milliseconds))
		*of.each = append(*of.each, latency)
	}
	return nil
}

// evaluate does the messages with our engine.
func (r *evaluationRun) evaluate(ctx context.Context, file ModuleFile, lines [][]byte, untimed int) (l Latency, results []json.RawMessage, err error) {
	wasm, err := os.ReadFile(file.Path)
	if err != nil {
		return l, nil, err
	}
	module, err := r.host.Compile(ctx, wasm, file.Format)
	if err != nil {
		return l, nil, err
	}
	defer module.Close(ctx)
	step := eval.Step{Module: module, Env: benchEnv(file.Format), Limits: benchLimits()}
	var milliseconds []float64
	runtime.GC()
	cpu := 0.0
	for i, line := range lines {
		step.Message = line
		if i == untimed {
			cpu = processorSeconds()
		}
		begin := time.Now()
		outcome, err := eval.Evaluate(ctx, step, nil)
		if i >= untimed {
			milliseconds = append(milliseconds, milli(time.Since(begin)))
		}
		if err == nil && outcome.Response == nil {
			err = fmt.Errorf("message %d: %s", i, outcome.Result.Error)
		}
		if err != nil {
			return l, nil, err
		}
		step.Memory = outcome.Memory
		results = append(results, outcome.Response)
	}
	l = latencyOf(milliseconds)
	l.CPUMS = 1000 * (processorSeconds() - cpu) / float64(len(milliseconds))
	return l, results, nil
}

func benchLimits() eval.Limits { return eval.Limits{GasMax: 1 << 60, MemoryBytesMax: 1 << 32} }

func milli(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// sameResult compares what handle returned with what ao-loader made of it.
func sameResult(ours, theirs json.RawMessage) bool {
	var handled struct{ Response map[string]any }
	var loader map[string]any
	if json.Unmarshal(ours, &handled) != nil || json.Unmarshal(theirs, &loader) != nil {
		return false
	}
	for _, member := range []string{"Error", "Output", "Messages", "Spawns", "Assignments"} {
		if !reflect.DeepEqual(handled.Response[member], loader[member]) {
			return false
		}
	}
	return true
}
