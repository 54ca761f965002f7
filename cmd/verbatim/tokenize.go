package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"verbatim/internal/engines"
	"verbatim/models/tokenizer"
)

type tokenized struct {
	Tokens []tokenizer.Token `json:"tokens"`
	Pieces []string          `json:"pieces"`
	Text   string            `json:"text"` // what the tokens decode to
}

func newTokenizeCommand() *cobra.Command {
	var model string
	var asJSON, plain bool
	var source network
	cmd := &cobra.Command{
		Use:   "tokenize --model M TEXT",
		Short: "Print the tokens of a text",
		Example: `  verbatim tokenize --model embedded "Once upon a time"
  verbatim tokenize --model model.gguf --json "Hello"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := source.library(engines.Device{Name: "cpu"}).Store.Open(cmd.Context(), model)
			if err != nil {
				return err
			}
			defer m.Close()
			tokens, err := m.Tokenizer.Encode(args[0], tokenizer.EncodeOptions{BOS: !plain})
			if err != nil {
				return err
			}
			out := tokenized{Tokens: tokens, Pieces: []string{}, Text: m.Tokenizer.Decode(tokens)}
			for _, t := range tokens {
				out.Pieces = append(out.Pieces, string(m.Tokenizer.Piece(t)))
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), out)
			}
			for i, t := range tokens {
				fmt.Fprintf(cmd.OutOrStdout(), "%7d  %q\n", t, out.Pieces[i])
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&model, "model", "embedded", "embedded, the path of a GGUF or llama2.c file, or an Arweave transaction id")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&plain, "no-bos", false, "leave out the token that begins a sequence")
	source.gatewayFlag(cmd)
	return cmd
}
