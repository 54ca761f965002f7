package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"verbatim/bench"
	"verbatim/internal/engines"
)

func newBenchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this machine, beside its limits and beside a peer",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newBenchEngineCommand(), newBenchModelCommand(), newBenchDeterminismCommand(), newBenchGPUCommand(), newBenchEvalCommand(), newBenchWorkCommand(), newBenchFirstCommand())
	return cmd
}

// benchOptions are the flags of verbatim bench engine.
type benchOptions struct {
	device    engines.Device
	model     string
	peer      string
	runs      int
	scale     float64
	sequences []int
	cold      bool
	asJSON    bool
	svg       string
	record    string
}

func newBenchEngineCommand() *cobra.Command {
	o := benchOptions{}
	cmd := &cobra.Command{
		Use:   "engine --model FILE",
		Short: "Measure prefill, decode, loading and memory of a model",
		Long: `Engine measures how fast a model evaluates prompts and decodes, how soon its first token is there and how much memory
it takes. Every workload is a process of its own, and a peer does the same workload right after ours in every run. The
limits are the machine's: bytes of weights against its bandwidth, multiplications against what its vector units do.

A peer is node-llama-cpp (llama.cpp as npm brings it: see e2e/llamacpp), the path of a llama-bench, or any command that
takes the options of "verbatim bench work" and prints what it prints.`,
		Example: `  verbatim bench engine --model model.gguf
  verbatim bench engine --model model.gguf --peer node-llama-cpp --runs 5 --svg chart.svg
  verbatim bench engine --model model.gguf --peer ~/llama.cpp/build/bin/llama-bench --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.model, "model", "", "the path of a GGUF file")
	f.StringVar(&o.peer, "peer", "", "node-llama-cpp, or a command: what to compare with")
	f.IntVar(&o.runs, "runs", 3, "how often to measure; medians are printed")
	f.Float64Var(&o.scale, "scale", 1, "below 1: so much shorter prompts and outputs")
	f.IntSliceVar(&o.sequences, "sequences", []int{1, 4, 16}, "how many sequences decode at once")
	f.BoolVar(&o.cold, "cold", true, "also load with the file out of the page cache (Linux)")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	f.StringVar(&o.svg, "svg", "", "write a chart to this file")
	f.StringVar(&o.record, "record", "", "write NAME.md, NAME.json and NAME.svg")
	deviceFlags(cmd, &o.device)
	cobra.CheckErr(cmd.MarkFlagRequired("model"))
	return cmd
}

func (o *benchOptions) run(cmd *cobra.Command) error {
	folder, err := os.MkdirTemp("", "verbatim-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	plan, err := o.plan(folder)
	if err != nil {
		return err
	}
	bar := newProgress("measuring", int64(o.runs*(len(plan.Workloads)+1)+1))
	plan.Step = func(what string) { bar.Describe(what); _ = bar.Add(1) }
	report, err := bench.Measure(cmd.Context(), plan)
	_ = bar.Finish()
	if err != nil {
		return err
	}
	report.Commit, report.Command, report.Date = commit(), strings.Join(os.Args, " "), time.Now().UTC().Format(time.DateOnly)
	if err := o.write(report); err != nil {
		return err
	}
	if o.asJSON {
		return printJSON(cmd.OutOrStdout(), report)
	}
	return report.WriteTable(cmd.OutOrStdout())
}

func (o *benchOptions) plan(folder string) (plan bench.Plan, err error) {
	if o.runs < 1 || !(o.scale > 0 && o.scale <= 1) {
		return plan, fmt.Errorf("--runs %d, --scale %g: at least 1 run, and a scale above 0 and at most 1", o.runs, o.scale)
	}
	self, err := os.Executable()
	if err != nil {
		return plan, err
	}
	plan = bench.Plan{Model: o.model, Device: o.device, Workloads: bench.Workloads(o.sequences, o.scale), Runs: o.runs, Cold: o.cold, Folder: folder}
	ours := self + " bench work --device " + o.device.Name + " --packed " + folder
	if plan.Ours, err = bench.NewProgram("verbatim", ours); err != nil || o.peer == "" {
		return plan, err
	}
	peer, err := bench.NewProgram("the peer", o.peer)
	plan.Peer = &peer
	return plan, err
}

// write keeps the report in the files that were asked for.
func (o *benchOptions) write(r *bench.Report) error {
	files := map[string]func(io.Writer) error{}
	if o.svg != "" {
		files[o.svg] = r.WriteChart
	}
	if o.record != "" {
		files[o.record+".svg"] = r.WriteChart
		files[o.record+".md"] = r.WriteMarkdown
		files[o.record+".json"] = func(w io.Writer) error { return printJSON(w, r) }
	}
	for path, fill := range files {
		if err := writeFile(path, fill); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(path string, fill func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriterSize(f, 1<<20)
	if err := errors.Join(fill(buffered), buffered.Flush(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// commit is the version that the linker was given, or what the Go tool knows of the working tree.
func commit() string {
	if version != "unknown" {
		return version
	}
	info, _ := debug.ReadBuildInfo()
	found := version
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			found = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			found += "+changes"
		}
	}
	return found
}

func newBenchModelCommand() *cobra.Command {
	var shape, from, format, out string
	var seed uint64
	var shapes, formats []string
	for _, s := range bench.Shapes() {
		shapes = append(shapes, s.Name)
	}
	for _, m := range bench.Mixes() {
		formats = append(formats, m.Name)
	}
	cmd := &cobra.Command{
		Use:   "model --shape S --out FILE",
		Short: "Write a model of random weights, to measure with",
		Long: fmt.Sprintf(`Model writes a GGUF file with the shape of a published model and random weights: speed does not depend on the values.
The same arguments give the same file, and other engines load it too. With --from it writes that model with its weights in
another format instead.

Shapes:  %s
Formats: %s`, strings.Join(shapes, ", "), strings.Join(formats, ", ")),
		Example: "  verbatim bench model --shape llama-1b --type Q4_K_M --out /tmp/llama-1b-q4_k_m.gguf",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := bench.MixNamed(format)
			if err != nil {
				return err
			}
			if from != "" {
				data, err := os.ReadFile(from)
				if err != nil {
					return err
				}
				return writeFile(out, func(w io.Writer) error { return bench.Requantise(w, data, m) })
			}
			s, err := bench.ShapeNamed(shape)
			if err != nil {
				return err
			}
			return writeFile(out, func(w io.Writer) error { return bench.WriteModel(w, s, m, seed) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&shape, "shape", "llama-1b", "the shape")
	f.StringVar(&from, "from", "", "a GGUF file to requantise instead")
	f.StringVar(&format, "type", "Q8_0", "the format of the weights")
	f.StringVar(&out, "out", "", "the file to write")
	f.Uint64Var(&seed, "seed", 1, "other seeds give other weights")
	cobra.CheckErr(cmd.MarkFlagRequired("out"))
	return cmd
}

// newBenchWorkCommand is what bench engine starts; a peer of one's own takes the same flags.
func newBenchWorkCommand() *cobra.Command {
	var d engines.Device
	var model string
	var w bench.Workload
	cmd := &cobra.Command{
		Use:    "work --model FILE",
		Short:  "Do one workload of bench engine and print its sample",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if w.Sequences < 1 || w.Tokens < 1 || w.Depth < 0 {
				return errors.New("a workload has at least one sequence and one token, and no negative depth")
			}
			sample, err := bench.Work(cmd.Context(), d, model, w)
			if err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), sample)
		},
	}
	f := cmd.Flags()
	f.StringVar(&model, "model", "", "the path of a GGUF file")
	f.BoolVar(&w.Decode, "decode", false, "time decoding, not the prompt")
	f.IntVar(&w.Tokens, "tokens", 512, "tokens that are timed, in each sequence")
	f.IntVar(&w.Depth, "depth", 0, "tokens evaluated before, in each sequence")
	f.IntVar(&w.Sequences, "sequences", 1, "sequences that advance together")
	f.StringVar(&d.CacheFolder, "packed", "", "a folder that keeps packed weights")
	deviceFlags(cmd, &d)
	return cmd
}
