package dulyprom

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/scrape"
	"github.com/dulyhq/duly/store"
)

// told are Stats in which no two numbers are the same.
func told() duly.Stats {
	late := func(n uint64, sum time.Duration) (h duly.Histogram) {
		h.Count, h.Sum = n, sum
		h.Buckets[0] = 1                       // less than 1 us
		h.Buckets[20] = n - 2                  // from 0.5 to 1 s
		h.Buckets[duly.HistogramBuckets-1] = 1 // longer than all bounds
		return h
	}
	return duly.Stats{
		Kinds: map[string]duly.KindStats{"k": {
			Started: 1, Succeeded: 2, Failed: 3, Snoozed: 4, Dead: 5, Cancelled: 6, Lost: 7, Fenced: 8, Skipped: 9, Expired: 10, Early: 11, Running: 12,
			Wake: late(21, time.Second), Slot: late(22, 2*time.Second), Claim: late(23, 3*time.Second), Total: late(24, 1500*time.Millisecond),
		}},
		StoreErrors: 13, Near: 14, Overdue: duly.Backlog{Tasks: 30, Oldest: 31 * time.Second},
		Unhandled: duly.Backlog{Tasks: 32, Oldest: 33 * time.Second}, Store: store.Stats{Tasks: 15, Paused: 16, Running: 17, Dead: 18, History: 19, Counting: true},
		ClockOffset: -1500 * time.Millisecond, Uncertainty: 250 * time.Microsecond, Shards: 40,
	}
}

func TestFamilies_Values(t *testing.T) {
	c := &Collector{asker: scrape.Asker{Stats: func(context.Context) (duly.Stats, error) { return told(), nil }}}
	want := `
duly_attempts_early_total{kind="k"} 11
duly_attempts_failed_total{kind="k"} 3
duly_attempts_fenced_total{kind="k"} 8
duly_attempts_running{kind="k"} 12
duly_attempts_snoozed_total{kind="k"} 4
duly_attempts_started_total{kind="k"} 1
duly_clock_offset_seconds -1.5
duly_clock_uncertainty_seconds 0.00025
duly_dead_runs 18
duly_history_entries 19
duly_leases_lost_total{kind="k"} 7
duly_occurrences_expired_total{kind="k"} 10
duly_occurrences_skipped_total{kind="k"} 9
duly_runs_cancelled_total{kind="k"} 6
duly_runs_dead_total{kind="k"} 5
duly_runs_succeeded_total{kind="k"} 2
duly_scrape_failures_total 0
duly_shards 40
duly_store_counting 1
duly_store_errors_total 13
duly_tasks 15
duly_tasks_near 14
duly_tasks_overdue 30
duly_tasks_overdue_seconds 31
duly_tasks_paused 16
duly_tasks_running 17
duly_tasks_unhandled 32
duly_tasks_unhandled_seconds 33
duly_up 1
`
	var names, text []string
	for i := range families {
		name, _, _ := strings.Cut(strings.TrimPrefix(families[i].desc.String(), `Desc{fqName: "`), `"`)
		if strings.HasPrefix(name, "duly_lateness") {
			continue
		}
		_, help, _ := strings.Cut(families[i].desc.String(), `help: "`)
		help, _, _ = strings.Cut(help, `"`)
		typ := " gauge\n"
		if strings.HasSuffix(name, "_total") {
			typ = " counter\n"
		}
		names = append(names, name)
		text = append(text, "# HELP "+name+" "+help+"\n# TYPE "+name+typ)
	}
	for line := range strings.Lines(want) {
		name := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '{' })[0]
		if i := slices.Index(names, name); i >= 0 {
			text[i] += line
		}
	}
	if err := testutil.CollectAndCompare(c, strings.NewReader(strings.Join(text, "")), names...); err != nil {
		t.Error(err)
	}
}

// TestFamilies_Lateness: the buckets add up, and the bounds are plain numbers.
func TestFamilies_Lateness(t *testing.T) {
	c := &Collector{asker: scrape.Asker{Stats: func(context.Context) (duly.Stats, error) { return told(), nil }}}
	want := `
# HELP duly_lateness_seconds How long after it was due an attempt began.
# TYPE duly_lateness_seconds histogram
duly_lateness_seconds_bucket{kind="k",le="0.000128"} 1
duly_lateness_seconds_bucket{kind="k",le="0.000256"} 1
duly_lateness_seconds_bucket{kind="k",le="0.000512"} 1
duly_lateness_seconds_bucket{kind="k",le="0.001024"} 1
duly_lateness_seconds_bucket{kind="k",le="0.002048"} 1
duly_lateness_seconds_bucket{kind="k",le="0.004096"} 1
duly_lateness_seconds_bucket{kind="k",le="0.008192"} 1
duly_lateness_seconds_bucket{kind="k",le="0.016384"} 1
duly_lateness_seconds_bucket{kind="k",le="0.032768"} 1
duly_lateness_seconds_bucket{kind="k",le="0.065536"} 1
duly_lateness_seconds_bucket{kind="k",le="0.131072"} 1
duly_lateness_seconds_bucket{kind="k",le="0.262144"} 1
duly_lateness_seconds_bucket{kind="k",le="0.524288"} 1
duly_lateness_seconds_bucket{kind="k",le="1.048576"} 23
duly_lateness_seconds_bucket{kind="k",le="2.097152"} 23
duly_lateness_seconds_bucket{kind="k",le="4.194304"} 23
duly_lateness_seconds_bucket{kind="k",le="8.388608"} 23
duly_lateness_seconds_bucket{kind="k",le="16.777216"} 23
duly_lateness_seconds_bucket{kind="k",le="33.554432"} 23
duly_lateness_seconds_bucket{kind="k",le="67.108864"} 23
duly_lateness_seconds_bucket{kind="k",le="134.217728"} 23
duly_lateness_seconds_bucket{kind="k",le="268.435456"} 23
duly_lateness_seconds_bucket{kind="k",le="536.870912"} 23
duly_lateness_seconds_bucket{kind="k",le="1073.741824"} 23
duly_lateness_seconds_bucket{kind="k",le="2147.483648"} 23
duly_lateness_seconds_bucket{kind="k",le="4294.967296"} 23
duly_lateness_seconds_bucket{kind="k",le="+Inf"} 24
duly_lateness_seconds_sum{kind="k"} 1.5
duly_lateness_seconds_count{kind="k"} 24
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want), "duly_lateness_seconds"); err != nil {
		t.Error(err)
	}
	var parts strings.Builder
	parts.WriteString("# HELP duly_lateness_part_seconds Lateness in its parts: until the scheduler saw that it was due (wake), " +
		"a place was free (slot), the store had granted the lease (claim).\n# TYPE duly_lateness_part_seconds histogram\n")
	for _, part := range []struct {
		name, sum, below, rest string
	}{{"claim", "3", "22", "23"}, {"slot", "2", "21", "22"}, {"wake", "1", "20", "21"}} {
		const name = "duly_lateness_part_seconds"
		labels := `{kind="k",part="` + part.name + `"`
		for _, le := range []string{"0.000128", "0.000512", "0.002048", "0.008192", "0.032768", "0.131072", "0.524288"} {
			fmt.Fprintf(&parts, "%s_bucket%s,le=%q} 1\n", name, labels, le)
		}
		for _, le := range []string{"2.097152", "8.388608", "33.554432", "134.217728", "536.870912", "2147.483648"} {
			fmt.Fprintf(&parts, "%s_bucket%s,le=%q} %s\n", name, labels, le, part.below)
		}
		fmt.Fprintf(&parts, "%s_bucket%s,le=\"+Inf\"} %s\n", name, labels, part.rest)
		fmt.Fprintf(&parts, "%s_sum%s} %s\n%s_count%s} %s\n", name, labels, part.sum, name, labels, part.rest)
	}
	if err := testutil.CollectAndCompare(c, strings.NewReader(parts.String()), "duly_lateness_part_seconds"); err != nil {
		t.Error(err)
	}
}
