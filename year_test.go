//go:build !race

package duly_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
)

// TestYear runs a virtual year and shows that nothing grows but what is meant to: the history stays at what the retention keeps.
// For the race detector, under which it takes a minute, the year has nothing that its first hours have not.
//
// contract: K2
func TestYear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := duly.New(duly.Options{Retention: duly.Retention{History: 48 * time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		ran := map[string]int{}
		tick := duly.Handle(d, "tick", func(_ context.Context, a *duly.Attempt[[]byte]) error {
			ran[a.Name]++
			return nil
		}, duly.Limit(1))
		put := func(name string, s schedule.Schedule) {
			if _, err := tick.Put(t.Context(), name, nil, s); err != nil {
				t.Fatal(err)
			}
		}
		put("quarter", schedule.Every(15*time.Minute))
		put("pace", schedule.Pace(time.Hour))
		put("night", schedule.Cron("0 3 * * *"))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()

		const kept = 2*(4*24+24+1) + 8*(4+1) // entries of 48 hours, and of what was not yet forgotten since
		var first, last uint64
		for month := range 12 {
			time.Sleep(365 * 24 * time.Hour / 12)
			put("once", schedule.After(time.Minute))
			st, err := d.Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if st.Store.History > kept {
				t.Errorf("month %d: %d entries of history, want at most %d", month, st.Store.History, kept)
			}
			if st.Near > 4 || st.Store.Tasks > 4 {
				t.Errorf("month %d: %d tasks in memory, %d in the store, want at most 4", month, st.Near, st.Store.Tasks)
			}
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if last = m.HeapAlloc; month == 0 {
				first = last
			}
		}
		if last > first+first/2+1<<20 {
			t.Errorf("the heap grew from %d bytes after a month to %d after a year", first, last)
		}
		time.Sleep(85 * time.Minute) // between two instants
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := d.Close(t.Context()); err != nil {
			t.Error(err)
		}
		for name, want := range map[string]int{"quarter": 365*96 + 5, "pace": 365*24 + 1, "night": 365, "once": 12} {
			if ran[name] != want {
				t.Errorf("%s ran %d times in a year, want %d", name, ran[name], want)
			}
		}
	})
}
