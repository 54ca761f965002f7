// Command verbatim-verify checks what a compute unit signed: signatures, digests, the wasm, and with the model at hand every
// token. It holds no server, no scheduler client and no GPU code, so that an auditor can read all of it.
//
// Exit codes: 0 verified; 1 diverged, and where; 2 not usable; 130 interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"verbatim/cu/replay"
	"verbatim/internal/audit"
	"verbatim/internal/engines"
)

var errVerdict = errors.New("not verified")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	code := 0
	cmd := newCommand(&code)
	if err := cmd.ExecuteContext(ctx); err != nil {
		if !errors.Is(err, errVerdict) {
			if code = 2; ctx.Err() != nil {
				code = 130
			}
			fmt.Fprintf(os.Stderr, "verbatim-verify: %v\n", err)
		}
	}
	os.Exit(code)
}

func newCommand(code *int) *cobra.Command {
	device := engines.Device{Name: "cpu", Level: os.Getenv("VERBATIM_CPU")}
	o := audit.Options{}
	cmd := &cobra.Command{
		Use:   "verbatim-verify FILE",
		Short: "Check a log of receipts or a transcript",
		Example: `  verbatim-verify receipts.log
  verbatim-verify --model model.gguf answer.receipt`,
		Args:          cobra.ExactArgs(1),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Library = engines.New(device, "", nil)
			defer o.Library.Close()
			report, err := audit.Verify(cmd.Context(), args[0], o)
			if err != nil {
				return err
			}
			audit.Explain(cmd.OutOrStdout(), args[0], &report)
			switch report.Verdict {
			case replay.Verified:
				return nil
			case replay.Diverged:
				*code = 1
			default:
				*code = 2
			}
			return errVerdict
		},
	}
	cmd.Flags().StringVar(&o.Mode, "mode", audit.ModeRecompute, "recompute (runs the model) or feed (checks the wasm)")
	cmd.Flags().StringArrayVar(&o.Models, "model", nil, "the file of a model that transcripts may name; may be repeated")
	cmd.Flags().StringArrayVar(&o.Checkpoints, "checkpoint", nil, "the file of a memory with which a history begins, plain or gzip; may be repeated")
	cmd.Flags().StringArrayVar(&o.Items, "item", nil, "the file of a signed data item that a process read; may be repeated")
	cmd.Flags().IntVar(&device.Threads, "threads", 0, "threads to compute with; 0 is one for each processor")
	return cmd
}
