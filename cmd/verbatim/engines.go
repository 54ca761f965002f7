package main

import (
	"os"

	"github.com/spf13/cobra"

	"verbatim/internal/engines"
)

// deviceFlags adds the flags that say where to compute. VERBATIM_CPU forces the level of the CPU.
func deviceFlags(cmd *cobra.Command, d *engines.Device) {
	d.Level, d.Cards = os.Getenv("VERBATIM_CPU"), machineCards()
	cmd.Flags().StringVar(&d.Name, "device", "auto", "where to compute: auto, cpu, cuda, or cuda:N for card N")
	cmd.Flags().IntVar(&d.Threads, "threads", 0, "threads to compute with; 0 is one for each processor")
	cmd.Flags().IntVar(&d.PrefillChunk, "prefill-chunk", 0, "prompt tokens to evaluate at once; 0 is the default")
}
