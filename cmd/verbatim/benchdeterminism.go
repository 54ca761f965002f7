package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"verbatim/bench"
	"verbatim/internal/engines"
	"verbatim/kernels/cpu"
)

// determinismOptions are the flags of verbatim bench determinism.
type determinismOptions struct {
	model          string
	devices        []string
	threads        []int
	together       []int
	prompts, plain int
	asJSON         bool
}

func newBenchDeterminismCommand() *cobra.Command {
	o := determinismOptions{}
	cmd := &cobra.Command{
		Use:   "determinism --model M",
		Short: "Ask the same prompts in many settings and compare every bit",
		Long: `Determinism asks a model the same prompts on every device and CPU level, with several numbers of threads, chunks and answers
at a time, and compares the digests of the transcripts, which commit to the hidden state behind every token. It ends with exit
code 1 if a single one differs.

A device is cpu (every level that this machine has), cuda, or one level: avx512, avx2, neon, generic.`,
		Example: `  verbatim bench determinism
  verbatim bench determinism --model model.gguf --devices avx512,cuda --prompts 20 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.model, "model", "embedded", "embedded, or the path of a GGUF file")
	f.StringSliceVar(&o.devices, "devices", []string{"cpu"}, "where to ask")
	f.IntSliceVar(&o.threads, "threads", []int{1, 2}, "numbers of CPU threads")
	f.IntSliceVar(&o.together, "together", []int{1, 4, 16}, "how many prompts at a time; chunks of a prompt are 16 times as long")
	f.IntVar(&o.prompts, "prompts", 50, "how many prompts")
	f.IntVar(&o.plain, "plain", 6, "how many prompts at the generic level, which is slow")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	return cmd
}

func (o *determinismOptions) run(cmd *cobra.Command) error {
	settings, err := o.settings()
	if err != nil {
		return err
	}
	bar := newProgress("asking", int64(len(settings)))
	report, err := bench.MeasureDeterminism(cmd.Context(), o.model, settings, func(what string) { bar.Describe(what); _ = bar.Add(1) })
	_ = bar.Finish()
	if err != nil {
		return err
	}
	if o.asJSON {
		err = printJSON(cmd.OutOrStdout(), report)
	} else {
		err = report.WriteTable(cmd.OutOrStdout())
	}
	if err == nil && !report.Same() {
		return errDiverged
	}
	return err
}

// settings are those of every device, in the order given.
func (o *determinismOptions) settings() ([]bench.Setting, error) {
	if o.prompts < 1 || o.plain < 1 {
		return nil, fmt.Errorf("--prompts %d, --plain %d: at least 1", o.prompts, o.plain)
	}
	var settings []bench.Setting
	add := func(d engines.Device, prompts int) {
		for _, n := range o.together {
			d.PrefillChunk = 16 * n
			settings = append(settings, bench.Setting{Device: d, Together: n, Prompts: min(prompts, o.prompts)})
		}
	}
	for _, name := range o.devices {
		levels := []string{name}
		switch name {
		case "cuda":
			add(engines.Device{Name: name, Cards: machineCards()}, o.prompts)
			continue
		case "cpu":
			levels = cpu.Levels()
			slices.Reverse(levels)
		}
		for _, level := range levels {
			for _, threads := range o.threads {
				d := engines.Device{Name: "cpu", Level: level, Threads: threads}
				if level == "generic" && threads < slices.Max(o.threads) {
					continue // the same code, only slower
				}
				prompts := o.prompts
				if level == "generic" {
					prompts = o.plain
				}
				add(d, prompts)
			}
		}
	}
	if len(settings) == 0 {
		return nil, errors.New("no setting: --devices, --threads and --together must not be empty")
	}
	return settings, nil
}
