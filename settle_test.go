package duly_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// However many attempts end at once, also while the store fails, no call writes more than 512 outcomes, in the order in which they came, and
// each is written once.
func TestSettle_Many(t *testing.T) {
	const tasks, most = 1300, 512
	over := make(chan struct{})
	tap(t, duly.Options{Workers: 2 * tasks}, func(context.Context, *duly.Attempt[string]) error {
		<-over
		return nil
	}, func(t *testing.T, r *rig) {
		over = make(chan struct{}) // of the bubble
		r.work()
		if _, err := r.kind.PutMany(t.Context(), slices.Values(items(tasks, time.Second))); err != nil {
			t.Fatal(err)
		}
		r.put("last", schedule.After(time.Minute))
		r.at(2 * time.Second)
		fails := 3
		r.on("Settle", func(call func() error) error {
			if fails--; fails >= 0 {
				return store.ErrBroken
			}
			return call()
		})
		close(over)
		r.at(30 * time.Second)
		calls := r.of("Settle")
		if len(calls) < 4 {
			t.Fatalf("%d calls, want three that fail and others", len(calls))
		}
		seen := map[string]int{}
		for i, c := range calls {
			names := strings.Fields(c)[2:]
			if len(names) > most {
				t.Errorf("call %d writes %d outcomes, want %d at most", i, len(names), most)
			}
			if i < 3 {
				continue
			}
			for _, name := range names {
				seen[name]++
			}
		}
		if first, again := strings.Fields(calls[2])[2:], strings.Fields(calls[3])[2:]; !slices.Equal(first, again[:len(first)]) {
			t.Error("what was not written is not what is written first")
		}
		if len(seen) != tasks || r.counts().Succeeded != tasks {
			t.Errorf("%d are written, %d have succeeded; want %d", len(seen), r.counts().Succeeded, tasks)
		}
		for name, n := range seen {
			if n != 1 {
				t.Errorf("%s is written %d times", name, n)
			}
		}
		r.at(2 * time.Minute)
		r.end()
	})
}
