package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"verbatim/bench"
	"verbatim/internal/engines"
	"verbatim/models/tokenizer"
)

// perplexityReport is what verbatim perplexity --json prints.
type perplexityReport struct {
	*bench.Perplexity
	Peer  *bench.Perplexity `json:"peer,omitempty"`
	Ratio float64           `json:"ratio,omitempty"`
}

func newPerplexityCommand() *cobra.Command {
	var d engines.Device
	var n network
	var model, file, peer string
	var window int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "perplexity --model M --file TEXT",
		Short: "Measure how well a model predicts a text",
		Long: `Perplexity counts as llama.cpp's tool of that name does: the text is cut into windows, and the second half of each is
predicted. The lower, the better. The mean loss is the same on every machine.`,
		Example: `  verbatim perplexity --model embedded --file story.txt
  verbatim perplexity --model model.gguf --file wiki.test.raw --peer node-llama-cpp --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readText(file)
			if err != nil {
				return err
			}
			lib := n.library(d)
			defer lib.Close()
			engine, err := lib.Engine(cmd.Context(), model)
			if err != nil {
				return err
			}
			bar := newProgress("windows", -1)
			p, err := bench.MeasurePerplexity(cmd.Context(), engine, text, window, func(done, of int) {
				bar.ChangeMax(of)
				_ = bar.Set(done)
			})
			_ = bar.Finish()
			if err != nil {
				return fmt.Errorf("perplexity of %s: %w", file, err)
			}
			r := perplexityReport{Perplexity: p}
			if peer != "" {
				if r.Peer, err = peerPerplexity(cmd, peer, model, file, window, d.Threads); err != nil {
					return err
				}
				r.Ratio = p.Perplexity / r.Peer.Perplexity
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), r)
			}
			return r.print(cmd)
		},
	}
	f := cmd.Flags()
	f.StringVar(&model, "model", "embedded", "embedded, the path of a GGUF file, or an Arweave transaction id")
	f.StringVar(&file, "file", "", "the text")
	f.IntVar(&window, "window", 512, "tokens of a window")
	f.StringVar(&peer, "peer", "", "node-llama-cpp, or a command that takes --model, --file, --window and --threads: what to compare with")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	deviceFlags(cmd, &d)
	n.gatewayFlag(cmd)
	cobra.CheckErr(cmd.MarkFlagRequired("file"))
	return cmd
}

// readText reads a file as far as a tokenizer would take it.
func readText(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.Size() > tokenizer.TextBytesMax {
		return "", fmt.Errorf("%s has %d bytes; the limit is %d", path, info.Size(), tokenizer.TextBytesMax)
	}
	text, err := os.ReadFile(path)
	return string(text), err
}

func peerPerplexity(cmd *cobra.Command, peer, model, file string, window, threads int) (*bench.Perplexity, error) {
	if peer == bench.NodePeer {
		peer = "node e2e/llamacpp/perplexity.mjs"
	}
	words := append(strings.Fields(peer), "--model", model, "--file", file, "--window", strconv.Itoa(window))
	if threads > 0 {
		words = append(words, "--threads", strconv.Itoa(threads))
	}
	output, err := exec.CommandContext(cmd.Context(), words[0], words[1:]...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("%s: %w", strings.Join(words, " "), err)
	}
	p := &bench.Perplexity{}
	if err := json.Unmarshal(output, p); err != nil {
		return nil, fmt.Errorf("read what %s printed: %w", strings.Join(words, " "), err)
	}
	return p, nil
}

func (r *perplexityReport) print(cmd *cobra.Command) error {
	fmt.Fprintf(cmd.OutOrStdout(), "perplexity  %.4f   mean loss %.9f   %d of %d tokens scored, windows of %d\n",
		r.Perplexity.Perplexity, r.MeanLoss, r.Scored, r.Tokens, r.Window)
	if r.Peer != nil {
		fmt.Fprintf(cmd.OutOrStdout(), "peer        %.4f   mean loss %.9f   %d of %d tokens scored (%s)\nratio       %.5f\n",
			r.Peer.Perplexity, r.Peer.MeanLoss, r.Peer.Scored, r.Peer.Tokens, r.Peer.Engine, r.Ratio)
	}
	return nil
}
