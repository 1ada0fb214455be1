package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
	"github.com/dulyhq/duly/store/pebble"
)

// missed is how many periods have been missed when a task of BenchmarkMissed is put.
const missed = 1_000_000

// period is theirs.
const period = time.Minute

// BenchmarkMissed measures from the Put of a recurring task whose first million occurrences are in the past until all of them are
// accounted for: run, folded or skipped, each write synced. The number is checked. Contract G3 wants it independent of how many there
// were; the target is 50 ms.
func BenchmarkMissed(b *testing.B) {
	window := duly.Window(2 * missed * period)
	for _, c := range []struct {
		name string
		opts []duly.PutOption
		runs int // handlers that are called for what was missed
	}{
		{"latest", nil, 1},
		{"earliest", []duly.PutOption{duly.CatchUp(duly.Oldest), window}, 1},
		{"all-3", []duly.PutOption{duly.CatchUp(duly.All(3)), window}, 3},
		{"none", []duly.PutOption{duly.CatchUp(duly.None)}, 1}, // the newest, which is not late
	} {
		for _, s := range []struct {
			name string
			rule func(from time.Time) schedule.Schedule
		}{
			{"every", func(from time.Time) schedule.Schedule { return schedule.Every(period).From(from) }},
			{"cron", func(from time.Time) schedule.Schedule {
				return schedule.Cron("* * * * *").In("Europe/Berlin").From(from)
			}},
		} {
			b.Run("memory/"+s.name+"/"+c.name, func(b *testing.B) {
				st := memory.New(memory.Options{})
				benchMissed(b, st, s.rule, c.runs, c.opts)
			})
			b.Run("pebble/"+s.name+"/"+c.name, func(b *testing.B) {
				st, err := pebble.Open(b.TempDir(), pebble.Options{Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					b.Fatal(err)
				}
				benchMissed(b, st, s.rule, c.runs, c.opts)
			})
		}
	}
}

func benchMissed(b *testing.B, st store.Store, rule func(from time.Time) schedule.Schedule, runs int, opts []duly.PutOption) {
	b.Helper()
	d, err := duly.New(duly.Options{Store: st, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	began := make(chan struct{}, 100)
	k := duly.Handle(d, "missed", func(context.Context, *duly.Attempt[[]byte]) error {
		began <- struct{}{}
		return nil
	})
	ended := make(chan error, 1)
	go func() { ended <- d.Run(context.WithoutCancel(b.Context())) }()
	var took []time.Duration
	for b.Loop() {
		name := fmt.Sprint("task-", len(took))
		first := time.Now().Truncate(period).Add(-(missed - 1) * period)
		begun := time.Now()
		if _, err := k.Put(b.Context(), name, nil, rule(first), opts...); err != nil {
			b.Fatal(err)
		}
		for range runs {
			<-began
		}
		for { // the last outcome is written too
			t, err := d.Get(b.Context(), name)
			if err != nil {
				b.Fatal(err)
			}
			if len(t.Runs) == 0 {
				break
			}
		}
		took = append(took, time.Since(begun))
		b.StopTimer()
		count(b, d, name, first)
		b.StartTimer()
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds()*1e3, "ms-p50")
	b.ReportMetric(took[len(took)-1].Seconds()*1e3, "ms-most")
	if err := d.Close(context.WithoutCancel(b.Context())); err != nil {
		b.Error(err)
	}
	if err := <-ended; err != nil {
		b.Error(err)
	}
	if err := st.Close(); err != nil {
		b.Error(err)
	}
}

// count ends a task, and checks that each occurrence before the one that was next has run, was folded or skipped.
func count(b *testing.B, d *duly.Scheduler, name string, first time.Time) {
	b.Helper()
	if _, err := d.Cancel(b.Context(), name); err != nil {
		b.Fatal(err)
	}
	evs, err := d.History(b.Context(), duly.HistoryQuery{Name: name, Limit: 100})
	if err != nil {
		b.Fatal(err)
	}
	var sum, want int64
	for i := range evs {
		switch e := &evs[i]; {
		case e.To == duly.Skipped: // those folded at a claim, too
			sum += e.Missed
		case e.To == duly.Done:
			sum++
		case e.From == duly.Pending && e.To == store.Cancelled:
			want = int64(e.ScheduledFor.Sub(first) / period)
		}
	}
	if sum < missed || sum != want {
		b.Fatalf("%d occurrences are accounted for, want %d: %+v", sum, want, evs)
	}
}
