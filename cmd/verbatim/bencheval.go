package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"verbatim/bench"
	"verbatim/wasmhost"
)

// benchEvalOptions are the flags of verbatim bench eval.
type benchEvalOptions struct {
	modules   []string
	peer      string
	runs      int
	scale     float64
	catchUp   int
	processes int
	asJSON    bool
	record    string
}

func newBenchEvalCommand() *cobra.Command {
	o := benchEvalOptions{}
	cmd := &cobra.Command{
		Use:   "eval --module FILE=FORMAT",
		Short: "Measure evaluations of aos messages, beside the reference",
		Long: `Eval measures messages on aos modules: how long each takes, and how many a second; how soon a new program has a first
result; how fast a whole daemon catches up with a schedule, serves dry runs and starts again.

With --peer, the same messages go through ao-loader on Node in the same run, once with the memory copied in and out, as
the reference compute unit calls it, and once with the memory kept in the instance. The results must be equal.`,
		Example: `  verbatim bench eval --module aos.wasm=wasm32-unknown-emscripten4
  verbatim bench eval --module aos.wasm=wasm32-unknown-emscripten4 --peer e2e --runs 3 --record bench/records/evaluations`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.modules, "module", nil, "an aos module and its format, as FILE=FORMAT; may be repeated, daemons run the first")
	f.StringVar(&o.peer, "peer", "", "a folder with node_modules/@permaweb/ao-loader: what to compare with")
	f.IntVar(&o.runs, "runs", 3, "how often to measure; medians are printed")
	f.Float64Var(&o.scale, "scale", 1, "below 1: so many fewer messages")
	f.IntVar(&o.catchUp, "catch-up", 10000, "messages that a daemon catches up with; 0 measures no daemon that way")
	f.IntVar(&o.processes, "processes", 1000, "processes that a daemon knows which starts again; 0 measures no daemon that way")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	f.StringVar(&o.record, "record", "", "write NAME.md, NAME.json and NAME.svg")
	cobra.CheckErr(cmd.MarkFlagRequired("module"))
	return cmd
}

func (o *benchEvalOptions) run(cmd *cobra.Command) error {
	plan, err := o.plan()
	if err != nil {
		return err
	}
	if plan.Folder, err = os.MkdirTemp("", "verbatim-bench"); err != nil {
		return err
	}
	defer os.RemoveAll(plan.Folder)
	bar := newProgress("measuring", -1)
	plan.Step = func(what string) { bar.Describe(what); _ = bar.Add(1) }
	report, err := bench.MeasureEvaluations(cmd.Context(), plan)
	_ = bar.Finish()
	if err != nil {
		return err
	}
	report.Commit, report.Command, report.Date = commit(), strings.Join(os.Args, " "), time.Now().UTC().Format(time.DateOnly)
	if o.record != "" {
		err = errors.Join(writeFile(o.record+".md", report.WriteMarkdown), writeFile(o.record+".svg", report.WriteChart),
			writeFile(o.record+".json", func(w io.Writer) error { return printJSON(w, report) }))
		if err != nil {
			return err
		}
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), report)
	}
	return report.WriteTable(cmd.OutOrStdout())
}

func (o *benchEvalOptions) plan() (plan bench.EvaluationPlan, err error) {
	if o.runs < 1 || !(o.scale > 0 && o.scale <= 1) || o.catchUp < 0 || o.processes < 0 {
		return plan, fmt.Errorf("--runs %d, --scale %g, --catch-up %d, --processes %d: at least 1 run, a scale above 0 and at most 1, the others not less than 0",
			o.runs, o.scale, o.catchUp, o.processes)
	}
	self, err := os.Executable()
	if err != nil {
		return plan, err
	}
	plan = bench.EvaluationPlan{Loader: o.peer, Runs: o.runs, Scale: o.scale, Daemon: []string{self, "serve"}, First: []string{self, "bench", "first"},
		CatchUp: o.catchUp, Processes: o.processes}
	for _, module := range o.modules {
		path, format, ok := strings.Cut(module, "=")
		if !ok {
			return plan, fmt.Errorf("--module %s: want FILE=FORMAT, where the format is one of %v", module, wasmhost.Formats())
		}
		if path, err = filepath.Abs(path); err != nil {
			return plan, err
		}
		plan.Modules = append(plan.Modules, bench.ModuleFile{Path: path, Format: format})
	}
	return plan, nil
}

// newBenchFirstCommand is what bench eval starts to time a first result.
func newBenchFirstCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "first MODULE FORMAT MESSAGE ENV COMPILED",
		Short:  "Evaluate the first message of a process",
		Hidden: true,
		Args:   cobra.ExactArgs(5),
		RunE: func(cmd *cobra.Command, args []string) error {
			response, err := bench.FirstResult(cmd.Context(), bench.ModuleFile{Path: args[0], Format: args[1]}, args[2], args[3], args[4])
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(response)
			return err
		},
	}
}
