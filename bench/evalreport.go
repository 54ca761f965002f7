package bench

import (
	"fmt"
	"html"
	"io"
	"strings"
	"text/tabwriter"
)

var evaluationColumns = []string{"", "ours: median, p99 ms", "a second", "reference: median, p99 ms", "a second", "ratio", "by CPU time",
	"Node, memory kept: median, p99 ms", "a second", "ratio", "by CPU time"}

// cells are a row's columns after the name.
func (r *EvaluationRow) cells() []string {
	times := func(ratio float64) string {
		if ratio == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f", ratio)
	}
	return []string{r.Ours.times(), r.Ours.rate(), r.Reference.times(), r.Reference.rate(), times(r.RatioReference), times(r.CPUReference),
		r.Kept.times(), r.Kept.rate(), times(r.RatioKept), times(r.CPUKept)}
}

func (l Latency) times() string {
	switch {
	case l.MedianMS == 0:
		return "-"
	case l.P99MS == 0:
		return figure(l.MedianMS)
	}
	return figure(l.MedianMS) + ", " + figure(l.P99MS)
}

func (l Latency) rate() string {
	if l.PerSecond == 0 {
		return "-"
	}
	return figure(l.PerSecond)
}

// figure has three digits or more.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// facts are the lines above the tables.
func (r *EvaluationReport) facts() []string {
	peer := "none"
	if r.Loader != "" {
		peer = fmt.Sprintf("@permaweb/ao-loader %s on Node %s; %d results compared with ours, all equal", r.Loader, r.Node, r.Compared)
	}
	return []string{
		fmt.Sprintf("machine  %s, %s, %d threads", r.Machine.Processor, r.Machine.System, r.Machine.Threads),
		"peer     " + peer,
		fmt.Sprintf("run      %s, commit %s, medians of %d", r.Date, r.Commit, r.Runs),
		"command  " + r.Command,
	}
}

// byModule gives the rows of each module, in the order in which they were measured.
func (r *EvaluationReport) byModule(each func(module string, rows []EvaluationRow)) {
	var modules []string
	rows := map[string][]EvaluationRow{}
	for _, row := range r.Rows {
		if rows[row.Module] == nil {
			modules = append(modules, row.Module)
		}
		rows[row.Module] = append(rows[row.Module], row)
	}
	for _, module := range modules {
		each(module, rows[module])
	}
}

// notes are the remarks on rows, one a line.
func notes(rows []EvaluationRow) []string {
	var out []string
	for _, row := range rows {
		if row.Note != "" {
			out = append(out, row.Name+": "+row.Note)
		}
	}
	return out
}

// WriteTable writes the report for a terminal.
func (r *EvaluationReport) WriteTable(w io.Writer) error {
	_, err := fmt.Fprintln(w, strings.Join(r.facts(), "\n"))
	r.byModule(func(module string, rows []EvaluationRow) {
		fmt.Fprintf(w, "\n%s\n", module)
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, strings.Join(evaluationColumns, "\t")+"\t")
		for i := range rows {
			fmt.Fprintln(table, rows[i].Name+"\t"+strings.Join(rows[i].cells(), "\t")+"\t")
		}
		if err == nil {
			err = table.Flush()
		}
		for _, note := range notes(rows) {
			fmt.Fprintln(w, " ", note)
		}
	})
	return err
}

// WriteMarkdown writes the report for a record.
func (r *EvaluationReport) WriteMarkdown(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "# Evaluations\n\n```\n%s\n```\n", strings.Join(r.facts(), "\n"))
	r.byModule(func(module string, rows []EvaluationRow) {
		fmt.Fprintf(&text, "\n## %s\n\n| %s |\n|%s\n", module, strings.Join(evaluationColumns, " | "), strings.Repeat(" --- |", len(evaluationColumns)))
		for i := range rows {
			fmt.Fprintf(&text, "| %s | %s |\n", rows[i].Name, strings.Join(rows[i].cells(), " | "))
		}
		if list := notes(rows); len(list) > 0 {
			fmt.Fprintf(&text, "\n- %s\n", strings.Join(list, "\n- "))
		}
	})
	_, err := io.WriteString(w, text.String())
	return err
}

// WriteChart writes an SVG: how many times as fast as the reference, and as Node with the memory kept, each row is.
func (r *EvaluationReport) WriteChart(w io.Writer) error {
	var bars strings.Builder
	y := chartTop
	r.byModule(func(module string, rows []EvaluationRow) {
		fmt.Fprintf(&bars, `<text x="12" y="%d" font-weight="bold">%s</text>`+"\n", y+barHeight-3, html.EscapeString(module))
		y += barHeight + 8
		most := 1.0
		for _, row := range rows {
			most = max(most, row.RatioReference, row.RatioKept)
		}
		for _, row := range rows {
			if row.RatioReference == 0 {
				continue
			}
			fmt.Fprintf(&bars, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelWidth-8, y+barHeight+4, html.EscapeString(row.Name))
			bar(&bars, y, "ours", row.RatioReference, most, " x")
			if row.RatioKept > 0 {
				bar(&bars, y+barHeight+2, "peer", row.RatioKept, most, " x")
			}
			y += groupHeight
		}
	})
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">
<style>.ours{fill:#2563a8}.peer{fill:#b9bfc7}text{fill:#222}</style>
<rect width="100%%" height="100%%" fill="#fff"/>
<text x="12" y="20" font-size="14">Evaluations: how many times as fast (%s, %d threads)</text>
<rect class="ours" x="12" y="30" width="10" height="10"/><text x="27" y="39">as the reference</text>
<rect class="peer" x="150" y="30" width="10" height="10"/><text x="165" y="39">as Node with the memory kept</text>
%s</svg>
`, chartWidth, y+6, html.EscapeString(r.Machine.Processor), r.Machine.Threads, bars.String())
	return err
}
