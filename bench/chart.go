package bench

import (
	"fmt"
	"html"
	"io"
	"strings"
)

// Sizes of the chart, in pixels.
const (
	chartWidth  = 760
	labelWidth  = 250
	barHeight   = 14
	groupHeight = 2*barHeight + 14
	chartTop    = 54
)

// WriteChart writes the rates as an SVG: for each workload a bar of ours above one of the peer. Each pair has a scale of
// its own, as a decode and a prefill differ by orders of magnitude.
func (r *Report) WriteChart(w io.Writer) error {
	var bars strings.Builder
	y := chartTop
	for _, row := range r.Rows {
		if row.Unit != TokensPerSecond {
			continue
		}
		most := max(row.Ours, row.Peer)
		fmt.Fprintf(&bars, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelWidth-8, y+barHeight+4, html.EscapeString(row.Name))
		bar(&bars, y, "ours", row.Ours, most, ratioLabel(row.Ratio))
		if row.Peer > 0 {
			bar(&bars, y+barHeight+2, "peer", row.Peer, most, "")
		}
		y += groupHeight
	}
	title := fmt.Sprintf("%s: tokens a second (%s, %d threads)", r.Model.Name, r.Machine.Processor, r.Machine.Threads)
	peer := r.Peer
	if peer == "" {
		peer = "no peer"
	}
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">
<style>.ours{fill:#2563a8}.peer{fill:#b9bfc7}text{fill:#222}</style>
<rect width="100%%" height="100%%" fill="#fff"/>
<text x="12" y="20" font-size="14">%s</text>
<rect class="ours" x="12" y="30" width="10" height="10"/><text x="27" y="39">verbatim</text>
<rect class="peer" x="100" y="30" width="10" height="10"/><text x="115" y="39">%s</text>
%s</svg>
`, chartWidth, y+6, html.EscapeString(title), html.EscapeString(peer), bars.String())
	return err
}

func ratioLabel(ratio float64) string {
	if ratio == 0 {
		return ""
	}
	return fmt.Sprintf(" (%.2fx)", ratio)
}

func bar(b *strings.Builder, y int, class string, value, most float64, note string) {
	width := 1.0
	if most > 0 {
		width = max(1, value/most*(chartWidth-labelWidth-130))
	}
	fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d"/><text x="%.1f" y="%d">%.1f%s</text>`+"\n",
		class, labelWidth, y, width, barHeight, labelWidth+width+6, y+barHeight-3, value, note)
}
