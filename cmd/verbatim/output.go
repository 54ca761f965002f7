package main

import (
	"encoding/json"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// printJSON writes one indented object, without the HTML escapes that make prompts unreadable.
func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// newProgress is a bar on standard error that appears after two seconds, and only on a terminal.
func newProgress(what string, total int64) *progressbar.ProgressBar {
	if !isTerminal(os.Stderr) {
		return progressbar.DefaultSilent(total, what)
	}
	begin := time.Now()
	return progressbar.NewOptions64(total,
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWriter(&delayedWriter{w: os.Stderr, after: begin.Add(2 * time.Second)}),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionShowCount(),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(100*time.Millisecond))
}

// delayedWriter drops what comes before its time, so that short work shows no bar.
type delayedWriter struct {
	w     io.Writer
	after time.Time
}

func (d *delayedWriter) Write(p []byte) (int, error) {
	if time.Now().Before(d.after) {
		return len(p), nil
	}
	return d.w.Write(p)
}
