package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dulyhq/duly/bench/figures"
)

// The limits of target 13.
const (
	scheduleP9999 = 50 * time.Microsecond
	scheduleMost  = 5 * time.Millisecond
)

// runSchedules measures row 13 with n cases a set, prints the tables and writes them to a file if one is named.
func runSchedules(ctx context.Context, n int, seed uint64, path string, stdout, stderr io.Writer) error {
	started := time.Now()
	m := figures.DescribeMachine(ctx)
	var b strings.Builder
	var missed []string
	for _, set := range scheduleSets {
		fmt.Fprintf(&b, "## %s\n\n| package | calls | p50 | p99 | p99.99 | most | p99.99 of the least of %d | most of the least | allocs | hung | refused | not after | other than duly |\n"+
			"|---|---|---|---|---|---|---|---|---|---|---|---|---|\n", strings.ToUpper(set.title[:1])+set.title[1:], schedulePasses)
		var ours scheduleCell
		for _, p := range schedulePeers() {
			if !slices.Contains(p.sets, set.name) {
				continue
			}
			_, _ = fmt.Fprintf(stderr, "%s: %s\n", p.name, set.name)
			cell, err := measureSchedules(ctx, p.name, set.name, seed, n/p.share, stderr)
			if err != nil {
				return err
			}
			if p.name == engineDuly {
				ours = cell
				missed = append(missed, missedSchedules(set.name, cell)...)
			}
			b.WriteString(scheduleRow(p, cell, ours, makeCases(set.name, seed, n/p.share)))
		}
		fmt.Fprintln(&b)
	}
	head := scheduleHead(m, n, seed, started)
	if _, err := io.WriteString(stdout, b.String()); err != nil {
		return fmt.Errorf("print tables: %w", err)
	}
	verdict := "All held: "
	if len(missed) > 0 {
		verdict = "Missed: " + strings.Join(missed, "; ") + ". "
	}
	verdict += fmt.Sprintf("target 13 is p99.99 < %v for random rules, most < %v for all (by the least of %d calls of each case, since "+
		"the machine is shared), 0 allocations.\n\n", scheduleP9999, scheduleMost, schedulePasses)
	_, _ = fmt.Fprintln(stdout, verdict)
	if path == "" {
		return nil
	}
	return figures.WriteReport(path, head+verdict+b.String())
}

// missedSchedules lists the targets that ours misses.
func missedSchedules(set string, c scheduleCell) (missed []string) {
	f := c.figures()
	if set != "hard" && set != "rrule-rare" && f.p9999 >= int64(scheduleP9999) { // the hard ones are not what the quantile is about
		missed = append(missed, set+": p99.99 is "+nanosText(f.p9999)+", of the least "+nanosText(f.leastP9999))
	}
	if f.leastMost >= int64(scheduleMost) {
		missed = append(missed, set+": most of the least is "+nanosText(f.leastMost))
	}
	if c.allocs >= 0.01 {
		missed = append(missed, fmt.Sprintf("%s: %.2f allocations", set, c.allocs))
	}
	return missed
}

// scheduleRow is one package's line of a table.
func scheduleRow(p schedulePeer, c, ours scheduleCell, cases []scheduleCase) string {
	f := c.figures()
	refused, early, other := 0, 0, 0
	for i, answer := range c.first {
		switch {
		case answer == -1:
			refused++
		case answer != 0 && answer <= cases[i].from.Unix():
			early++
		case ours.first[i] != answer && ours.first[i] != -1:
			other++
		}
	}
	title := p.title
	if c.hung >= 60 {
		title += " (given up)"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s | %s | %.2f | %d | %d | %d | %d |\n", title, figures.Number(float64(len(c.ticks)), 0),
		nanosText(f.p50), nanosText(f.p99), nanosText(f.p9999), nanosText(f.most), nanosText(f.leastP9999), nanosText(f.leastMost), c.allocs, c.hung, refused, early, other)
}

func nanosText(n int64) string {
	switch d := time.Duration(n); {
	case d < 10*time.Microsecond:
		return fmt.Sprintf("%.2f us", float64(n)/1e3)
	case d < time.Millisecond:
		return fmt.Sprintf("%.1f us", float64(n)/1e3)
	case d < time.Second:
		return fmt.Sprintf("%.2f ms", float64(n)/1e6)
	default:
		return fmt.Sprintf("%.1f s", float64(n)/1e9)
	}
}

func scheduleHead(m figures.Machine, n int, seed uint64, started time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Next of a schedule, beside other packages\n\nWritten by `make bench-schedules` on %s in %s: %s cases a set, "+
		"a quarter of them for the other packages, seed %d, %d passes. Everything above Observations is replaced by the next run.\n\n",
		started.UTC().Format("2006-01-02 15:04 UTC"), time.Since(started).Round(time.Second), figures.Number(float64(n), 0), seed, schedulePasses)
	fmt.Fprintf(&b, "%s, %d cores, shared; %s, kernel %s; %s; load average at the start %s; duly commit %s", figures.OrUnknown(m.CPU), m.Cores,
		m.System, figures.OrUnknown(m.Kernel), m.GoVersion, figures.OrUnknown(m.Load), figures.OrUnknown(m.Commit))
	for _, p := range schedulePeers() {
		if p.module != "" {
			fmt.Fprintf(&b, "; %s %s", p.name, figures.OrUnknown(m.Modules[p.module]))
		}
	}
	fmt.Fprintf(&b, ".\n\nOne call is one Next of a random rule at a random instant from 1970 to 2099 in one of %d zones, the rule parsed "+
		"beforehand. A case is asked once a pass; *of the least* means that the shortest of its calls is taken for each case, which leaves "+
		"out what the machine did meanwhile. *Hung* are calls that took longer than %v and were ended, *not after* are answers "+
		"that are not after the instant asked from, *other than duly* are other answers than ours, for the policies differ; see "+
		"[schedules.md](../schedules.md).\n\n", len(scheduleZones), hangLimit)
	return b.String()
}
