package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"verbatim/cu/receipt"
	"verbatim/cu/replay"
	"verbatim/internal/audit"
	"verbatim/internal/engines"
)

type verifyOptions struct {
	device  engines.Device
	network network
	mode    string
	models  []string
	bases   []string
	items   []string
	asJSON  bool
}

func newVerifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Evaluate again what another machine signed, and name the first difference",
		Long: `Verify reads a log of receipts or a transcript and checks signatures and digests. With --mode recompute it also
runs the model over every prompt and answer, at the speed of a prefill; with --mode feed the model's answers are taken from
the transcripts and the wasm alone is checked.

Exit codes: 0 verified; 1 diverged, and where; 2 not usable: damaged, forged, or a model or something that a process read is missing.`,
		Example: `  verbatim verify ~/.local/share/verbatim/receipts/receipts.log
  verbatim verify --mode feed receipts.log
  verbatim verify answer.receipt --model model.gguf`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&o.mode, "mode", "recompute", "recompute (runs the model) or feed (checks the wasm)")
	cmd.Flags().StringArrayVar(&o.models, "model", nil, "a model that transcripts may name: a path or a transaction id; may be repeated")
	cmd.Flags().StringArrayVar(&o.bases, "checkpoint", nil, "the file of a memory with which a history begins, plain or gzip; may be repeated")
	cmd.Flags().StringArrayVar(&o.items, "item", nil, "the file of a signed data item that a process read; others are fetched; may be repeated")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print JSON")
	deviceFlags(cmd, &o.device)
	o.network.gatewayFlag(cmd)
	return cmd
}

func (o *verifyOptions) run(cmd *cobra.Command, path string) error {
	lib := o.network.library(o.device)
	defer lib.Close()
	bar := newProgress("verifying receipts", -1)
	report, err := audit.Verify(cmd.Context(), path, audit.Options{
		Mode: o.mode, Library: lib, Models: o.models, Checkpoints: o.bases, Compiled: filepath.Join(o.network.data, "compiled"),
		Items: o.items, Contents: o.network.contents(), Progress: func(*receipt.Receipt) { _ = bar.Add(1) },
	})
	_ = bar.Finish()
	if err != nil {
		return err
	}
	if o.asJSON {
		err = printJSON(cmd.OutOrStdout(), report)
	} else {
		audit.Explain(cmd.OutOrStdout(), path, &report)
	}
	switch {
	case err != nil:
		return err
	case report.Verdict == replay.Diverged:
		return errDiverged
	case report.Verdict == replay.Unusable:
		return errUnusable
	}
	return nil
}
