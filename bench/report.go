package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// cells are a row's columns after the name.
func (r *Row) cells() []string {
	or := func(value float64, format string) string {
		if value == 0 {
			return "-"
		}
		return fmt.Sprintf(format, value)
	}
	format := "%.1f"
	if r.Ours >= 100 {
		format = "%.0f"
	}
	return []string{or(r.Ours, format), or(r.Peer, format), or(r.Ratio, "%.2f"), or(r.CPU, "%.2f"), or(100*r.Share, "%.0f %%"), r.Unit, r.Digest}
}

var columns = []string{"", "verbatim", "peer", "ratio", "by CPU time", "of the limit", "unit", "digest"}

// facts are the lines above the table.
func (r *Report) facts() []string {
	l, m := &r.Limits, &r.Machine
	peer := r.Peer
	if peer == "" {
		peer = "none"
	}
	return []string{
		fmt.Sprintf("model    %s, %.0f MB, sha256 %s", r.Model.Name, float64(r.Model.FileBytes)/1e6, r.Model.SHA256),
		fmt.Sprintf("machine  %s, %s, %s, %d threads", m.Processor, m.System, m.Level, m.Threads),
		fmt.Sprintf("limits   reads %.1f GB/s, %.0f G byte products/s, %.0f G f32 products/s", l.ReadBytes/1e9, l.ByteProducts/1e9, l.Products/1e9),
		"engine   " + r.Engine,
		"peer     " + peer,
		fmt.Sprintf("run      %s, commit %s, medians of %d", r.Date, r.Commit, r.Runs),
		"command  " + r.Command,
	}
}

// WriteTable writes the report for a terminal.
func (r *Report) WriteTable(w io.Writer) error {
	fmt.Fprintln(w, strings.Join(r.facts(), "\n"))
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, strings.Join(columns, "\t")+"\t")
	for i := range r.Rows {
		fmt.Fprintln(table, r.Rows[i].Name+"\t"+strings.Join(r.Rows[i].cells(), "\t")+"\t")
	}
	return table.Flush()
}

// WriteMarkdown writes the report for a record.
func (r *Report) WriteMarkdown(w io.Writer) error {
	_, err := fmt.Fprintf(w, "# %s\n\n```\n%s\n```\n\n| %s |\n|%s\n", r.Model.Name, strings.Join(r.facts(), "\n"),
		strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
	for i := range r.Rows {
		if err == nil {
			_, err = fmt.Fprintf(w, "| %s | %s |\n", r.Rows[i].Name, strings.Join(r.Rows[i].cells(), " | "))
		}
	}
	return err
}
