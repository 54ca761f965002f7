// Command verbatim is an ao compute unit whose AI answers anyone can reproduce, bit for bit: run a model, evaluate a
// module, serve a compute unit, keep a local network, verify what another machine signed. It is the only place where the
// parts of this module meet; the arithmetic, the evaluation and the formats live in the packages it wires together.
//
// Exit codes: 0 done; 1 the answer is no (a verification diverged); 2 not usable (bad input, missing file, failed
// device); 130 interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "unknown"

const (
	exitDiverged    = 1
	exitUnusable    = 2
	exitInterrupted = 130
)

// Verdicts of a verification, as errors. They were already explained on the terminal.
var (
	errDiverged = errors.New("diverged")
	errUnusable = errors.New("not usable")
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	err := newRootCommand().ExecuteContext(ctx)
	interrupted := ctx.Err() != nil
	stop()
	os.Exit(exitCode(err, interrupted))
}

func exitCode(err error, interrupted bool) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errDiverged):
		return exitDiverged
	case errors.Is(err, errUnusable):
		return exitUnusable
	case interrupted:
		fmt.Fprintln(os.Stderr, "verbatim: interrupted")
		return exitInterrupted
	default:
		fmt.Fprintf(os.Stderr, "verbatim: %v\n", err)
		return exitUnusable
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "verbatim",
		Short: "An ao compute unit whose AI answers anyone can reproduce, bit for bit",
		Long: `Verbatim evaluates ao processes and lets them ask a language model. The same weights, prompt, seed and
parameters give the same bits on every machine, and every evaluation leaves a signed receipt
that anyone can check.

Exit codes: 0 done; 1 the answer is no (a verification diverged); 2 not usable; 130 interrupted.
VERBATIM_CPU=generic|avx2|avx512|neon forces a CPU level; it changes speed, never a result.`,
		Example: `  verbatim demo
  verbatim run --model embedded --prompt "Once upon a time"
  verbatim verify receipts.log`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newDemoCommand(), newDevCommand(), newServeCommand(), newRunCommand(), newTokenizeCommand(),
		newEvalCommand(), newVerifyCommand(), newDBCommand(), newInfoCommand(), newBenchCommand(), newPerplexityCommand(), newVersionCommand())
	return root
}
