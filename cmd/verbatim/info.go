package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"verbatim/internal/engines"
	"verbatim/kernels"
	"verbatim/kernels/cpu"
	"verbatim/models/embedded"
	"verbatim/wasmhost"
)

type information struct {
	Version    string            `json:"version"`
	Arithmetic string            `json:"arithmetic"`
	CPULevel   string            `json:"cpu_level"`
	CPULevels  []string          `json:"cpu_levels"`
	Threads    int               `json:"threads"`
	Devices    []string          `json:"devices"`
	Embedded   string            `json:"embedded_model_sha256"`
	Formats    []wasmhost.Format `json:"module_formats"`
}

func newInfoCommand() *cobra.Command {
	var asJSON bool
	var url string
	d := engines.Device{Name: "cpu", Level: os.Getenv("VERBATIM_CPU")}
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Print what this machine computes with",
		Example: `  verbatim info
  VERBATIM_CPU=generic verbatim info --json
  verbatim info --url http://127.0.0.1:6363`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if url != "" {
				return printHealth(cmd, url)
			}
			backend, err := d.CPU()
			if err != nil {
				return err
			}
			defer backend.Close()
			i := information{
				Version: programVersion(), Arithmetic: kernels.Version, CPULevel: backend.Info().Level, CPULevels: cpu.Levels(),
				Threads: backend.Threads(), Embedded: embedded.SHA256, Formats: wasmhost.Formats(),
			}
			var none error
			i.Devices, none = devices()
			if asJSON {
				return printJSON(cmd.OutOrStdout(), i)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), `version          %s
arithmetic       %s
cpu level        %s (available: %v)
threads          %d
devices          %s
embedded model   sha256 %s
module formats   %v
`, build(), i.Arithmetic, i.CPULevel, i.CPULevels, i.Threads, describeDevices(i.Devices, none), i.Embedded, i.Formats)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringVar(&url, "url", "", "ask a running unit for its health instead")
	return cmd
}

// devices are the values that --device takes, each card with its name. The error says why there are no cards.
func devices() ([]string, error) {
	all := []string{"cpu"}
	names, err := machineCards().Names()
	for i, name := range names {
		all = append(all, fmt.Sprintf("cuda:%d (%s)", i, name))
	}
	return all, err
}

func describeDevices(all []string, none error) string {
	text := strings.Join(all, ", ")
	if none != nil {
		text += fmt.Sprintf("; no graphics cards: %v", none)
	}
	return text
}

// printHealth shows what GET /health of a running unit says; anything but 200 is an error.
func printHealth(cmd *cobra.Command, url string) error {
	request, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, url+"/health", nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Timeout: 5 * time.Second}).Do(request)
	if err != nil {
		return fmt.Errorf("ask %s for its health: %w", url, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("ask %s for its health: status %s", url, response.Status)
	}
	_, err = io.Copy(cmd.OutOrStdout(), io.LimitReader(response.Body, 1<<16))
	return err
}
