package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what is said at the end.
type report struct {
	generated string
	stopped   string
	verified  string
}

func newReport() *report { return &report{verified: "left out"} }

func (r *report) history(h *history, took time.Duration) {
	r.generated = fmt.Sprintf("%d messages to %d processes, generated in %.1f s", h.messages, len(h.processes), took.Seconds())
	fmt.Println(r.generated)
	for _, what := range sorted(h.counts) {
		fmt.Printf("  %6d %s\n", h.counts[what], what)
	}
	if len(h.skipped) > 0 {
		fmt.Printf("  without: %s (their modules are not here)\n", strings.Join(h.skipped, ", "))
	}
}

func (r *report) stop(code int, took time.Duration) {
	r.stopped = fmt.Sprintf("exit code %d after %.2f s", code, took.Seconds())
}

// everyKind lists the kinds of failures, all of which a run must have seen.
func everyKind() []string {
	kinds := []string{refused, outageLong, hang, stalled}
	for _, o := range allOdds() {
		kinds = append(kinds, o.kind)
	}
	sort.Strings(kinds)
	return kinds
}

// bugs looks for what a daemon must not say.
func bugs(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		for _, bad := range [...]string{"panic", "level=ERROR msg=bug", "internal error", "goroutine ", "fatal error", "the log and this build disagree"} {
			if strings.Contains(lines.Text(), bad) {
				return fmt.Errorf("%s: %.400s", path, lines.Text())
			}
		}
	}
	return lines.Err()
}

// said counts what a daemon logged, by message.
func said(path string) map[string]int {
	counts := map[string]int{}
	file, err := os.Open(path)
	if err != nil {
		return counts
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		_, rest, is := strings.Cut(lines.Text(), "level=")
		if !is || strings.HasPrefix(rest, "INFO") {
			continue
		}
		level, rest, _ := strings.Cut(rest, " msg=")
		message, _, _ := strings.Cut(rest, " ")
		if strings.HasPrefix(rest, `"`) {
			message, _, _ = strings.Cut(rest[1:], `"`)
		}
		counts[level+" "+message]++
	}
	return counts
}

// print shows the table, and gives an error if anything differs.
func (r *report) print(s *soak, got *logged, failures map[string]int64) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row := func(name, format string, arguments ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, arguments...))
	}
	fmt.Fprintln(t)
	row("history", "%s", r.generated)
	row("messages asked for", "%d", s.stormy.reached)
	row("undisturbed", "%.0f s, %.0f messages/s; asked to stop: %s", s.calm.took.Seconds(), float64(s.calm.reached)/s.calm.took.Seconds(), r.stopped)
	row("disturbed", "%.0f s, %.0f messages/s", s.stormy.took.Seconds(), float64(s.stormy.reached)/s.stormy.took.Seconds())
	row("lives", "%d; %d ended by SIGKILL, %d by SIGTERM (the longest took %.2f s)", len(s.stormy.unit.lives), s.chaos.killed, s.chaos.asked, s.chaos.stopMax.Seconds())
	row("receipts", "%d, log of %s%s", got.receipts, megabytes(got.bytes), counted(got.special))
	row("requests by clients", "undisturbed %d, disturbed %d", s.calm.asked.Load(), s.stormy.asked.Load())
	row("answers, undisturbed", "%s", strings.TrimPrefix(counted64(s.calm.statuses), "; "))
	row("answers, disturbed", "%s", strings.TrimPrefix(counted64(s.stormy.statuses), "; "))
	row("slowest answer", "undisturbed %.2f s, disturbed %.2f s (with all that failed meanwhile)", s.calm.slowest.Seconds(), s.stormy.slowest.Seconds())
	row("requests to SU, gateway", "%d, %d", s.world.front.su.requests.Load(), s.world.front.gateway.requests.Load())
	for _, kind := range everyKind() {
		row("  "+kind, "%d", failures[kind])
	}
	answering, first := restarts(s.stormy.unit.lives)
	row("restart to answering", "%s", quantiles(answering))
	row("restart to first result", "%s", quantiles(first))
	row("verify", "%s", strings.ReplaceAll(strings.TrimSpace(r.verified), "\n", "; "))
	for _, u := range [...]*run{s.calm, s.stormy, s.full} {
		if u == nil {
			continue
		}
		row("log of "+u.name, "%s", strings.TrimPrefix(counted(said(u.unit.log.Name())), "; "))
	}
	t.Flush()
	usage("undisturbed unit over time", s.calmSamples)
	usage("disturbed unit over time", s.stormySamples)
	if len(s.wrong) == 0 {
		what := "results, final memories, pages, dry runs and receipts"
		if s.stormy.reached < s.calm.reached {
			what = "results and receipts"
		}
		fmt.Printf("\nno difference: %s are those of the undisturbed unit\n", what)
		return nil
	}
	for i, w := range s.wrong {
		if i == 20 {
			fmt.Printf("... and %d more\n", len(s.wrong)-i)
			break
		}
		fmt.Println("DIFFERS", w)
	}
	return errors.New(fmt.Sprint(len(s.wrong), " differences"))
}

func counted(table map[string]int) (text string) {
	for _, name := range sorted(table) {
		text += fmt.Sprintf("; %s: %d", name, table[name])
	}
	return text
}

func counted64(table map[string]int64) (text string) {
	for _, name := range sorted(table) {
		text += fmt.Sprintf("; %s: %d", name, table[name])
	}
	return text
}

// restarts gives how long units took to answer after they were started, all but the first life.
func restarts(lives []*life) (answering, first []time.Duration) {
	for _, l := range lives[1:] {
		if l.answering > 0 {
			answering = append(answering, l.answering)
		}
		if took := time.Duration(l.firstAnswer.Load()); took > 0 {
			first = append(first, took)
		}
	}
	return answering, first
}

func quantiles(times []time.Duration) string {
	if len(times) == 0 {
		return "-"
	}
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	at := func(q float64) float64 { return times[int(q*float64(len(times)-1))].Seconds() }
	return fmt.Sprintf("median %.2f s, 9 of 10 below %.2f s, longest %.2f s (of %d)", at(0.5), at(0.9), at(1), len(times))
}

// usage shows at most twelve samples.
func usage(what string, samples []sample) {
	if len(samples) == 0 {
		return
	}
	var peak int64
	for _, s := range samples {
		peak = max(peak, s.resident)
	}
	fmt.Printf("\n%s (peak resident %s)\n", what, megabytes(peak))
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "seconds\tanswered\tresident\tGo heap\tgoroutines\tfiles\tdata folder\t")
	disk := int64(0)
	for i, s := range samples {
		if s.disk > 0 {
			disk = s.disk
		}
		if i%max(1, len(samples)/11) == 0 || i == len(samples)-1 {
			fmt.Fprintf(t, "%.0f\t%d\t%s\t%s\t%d\t%d\t%s\t\n", s.after.Seconds(), s.answered, megabytes(s.resident), megabytes(s.heap), s.goroutines, s.files, megabytes(disk))
		}
	}
	t.Flush()
}
