package main

import (
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"verbatim/bench"
	"verbatim/internal/engines"
)

// benchGPUOptions are the flags of verbatim bench gpu.
type benchGPUOptions struct {
	device         engines.Device
	shapes, types  []string
	plan           bench.CardPlan
	dependent      bool
	asJSON         bool
	record, folder string
}

func newBenchGPUCommand() *cobra.Command {
	o := benchGPUOptions{}
	cmd := &cobra.Command{
		Use:   "gpu",
		Short: "Measure a graphics card, as shares of its limits",
		Long: `Gpu measures how fast a card copies and multiplies bytes, and then prefill and decoding with models of random weights, which
it makes in a temporary folder: the share of those limits that each reaches, and where the time of a token goes. What does
not fit on the card is left out. The digests are of the logits: the same on every card and every processor.`,
		Example: `  verbatim bench gpu
  verbatim bench gpu --shapes llama-8b --types Q8_0 --batches 1,32 --contexts 512 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.shapes, "shapes", []string{"llama-1b", "llama-8b"}, "shapes of the models; verbatim bench model --help lists them")
	f.StringSliceVar(&o.types, "types", []string{"Q4_0", "Q4_K_M", "Q8_0"}, "formats of their weights")
	f.IntSliceVar(&o.plan.Batches, "batches", []int{1, 8, 32, 128}, "how many sequences decode at once")
	f.IntSliceVar(&o.plan.Contexts, "contexts", []int{512, 8192}, "tokens before those that are decoded")
	f.IntVar(&o.plan.Tokens, "tokens", 32, "tokens that each sequence decodes")
	f.IntVar(&o.device.PrefillChunk, "prefill-chunk", 2048, "prompt tokens to evaluate at once")
	f.BoolVar(&o.dependent, "dependent", false, "let a launch begin before the one in front has ended (sm_90, driver 12.3)")
	f.StringVar(&o.folder, "folder", os.TempDir(), "where models are made; the largest has 9 GB")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	f.StringVar(&o.record, "record", "", "write NAME.txt and NAME.json")
	o.device.Name = "cuda"
	return cmd
}

func (o *benchGPUOptions) run(cmd *cobra.Command) error {
	for _, name := range o.shapes {
		s, err := bench.ShapeNamed(name)
		if err != nil {
			return err
		}
		o.plan.Shapes = append(o.plan.Shapes, s)
	}
	for _, name := range o.types {
		m, err := bench.MixNamed(name)
		if err != nil {
			return err
		}
		o.plan.Mixes = append(o.plan.Mixes, m)
	}
	machine := machineCards()
	machine.Dependent = o.dependent
	o.device.Cards = machine
	folder, err := os.MkdirTemp(o.folder, "verbatim-gpu")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	o.plan.Folder = folder
	o.plan.Limits.Bytes, o.plan.Limits.Rounds = 1<<30, 1<<15
	bar := newProgress("measuring", int64(len(o.shapes)*len(o.types)*(2+len(o.plan.Contexts)*(1+len(o.plan.Batches)))+1))
	o.plan.Step = func(what string) { bar.Describe(what); _ = bar.Add(1) }
	report, err := bench.MeasureCard(cmd.Context(), o.device, o.plan)
	_ = bar.Finish()
	if err != nil {
		return err
	}
	report.Commit, report.Command, report.Date = commit(), strings.Join(os.Args, " "), time.Now().UTC().Format(time.DateOnly)
	asJSON := func(w io.Writer) error { return printJSON(w, report) }
	if o.record != "" {
		if err := writeFile(o.record+".txt", report.WriteTable); err != nil {
			return err
		}
		if err := writeFile(o.record+".json", asJSON); err != nil {
			return err
		}
	}
	if o.asJSON {
		return asJSON(cmd.OutOrStdout())
	}
	return report.WriteTable(cmd.OutOrStdout())
}
