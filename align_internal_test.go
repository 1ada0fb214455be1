package duly

import (
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// What has strayed goes to the nearest occurrence that there is, forwards if two are equally far, and nowhere if there is none.
func TestShift(t *testing.T) {
	at := func(h int) time.Time { return planStart.Time().Add(time.Duration(h) * time.Hour) }
	nights := schedule.Cron("0 0 * * *").From(at(0)).Until(at(48))
	for _, tt := range []struct {
		s    schedule.Schedule
		h    int
		want time.Duration
	}{
		{nights, 24, 0},
		{nights, 30, -6 * time.Hour},
		{nights, 36, 12 * time.Hour},
		{nights, 40, 8 * time.Hour},
		{nights, -3, 3 * time.Hour},   // none before it
		{nights, 80, -32 * time.Hour}, // none after it
		{schedule.Cron("0 0 30 2 *"), 24, 0},
	} {
		if got := shift(tt.s.Bind("a", at(0)), at(tt.h)); got != tt.want {
			t.Errorf("%v at %dh: by %v, want %v", tt.s, tt.h, got, tt.want)
		}
	}
}

// What has strayed is what is not where the schedule has it by the rules of today: Berlin is an hour ahead of UTC. What it had by others counts
// from the last occurrence that is accounted for, or from when it was accepted.
//
// contract: I1
func TestStrayed(t *testing.T) {
	for _, tt := range []struct {
		what, schedule string
		last, next     string // - is none
		change         func(t *store.Task)
		want           string
	}{
		{"where it is", "cron 0 9 * * * in Europe/Berlin", "-", "8h", nil, "not"},
		{"the first", "cron 0 9 * * * in Europe/Berlin", "-", "9h", nil, "to 8h0m0s"},
		{"the first, where there is another now", "cron 0 9,10 * * * in Europe/Berlin", "-", "9h", nil, "to 8h0m0s"},
		{"the first, and jitter", "cron 0 9 * * * in Europe/Berlin jitter 5s", "-", "9h", nil, "to 8h0m0s due 8h0m2.551473s"},
		{"the first is after the end now", "cron 0 9 * * * in Europe/Berlin until 2030-01-01T07:59:59Z", "-", "7h", nil, "to -"},
		{"the first is just before the end", "cron 0 9 * * * in Europe/Berlin until 2030-01-01T08:00:00Z", "-", "7h", nil, "to 8h0m0s"},
		{"there was none", "cron 0 9 * * * in Europe/Berlin until 2030-01-01T07:59:59Z", "-", "never", nil, "not"},
		{"there was none, and is one", "cron 0 9 * * * in Europe/Berlin", "-", "never", nil, "to 8h0m0s"},
		{"after the last one", "cron 0 9 * * * in Europe/Berlin", "8h", "32h", nil, "not"},
		{"after one that is where it was", "cron 0 9 * * * in Europe/Berlin", "8h", "33h", nil, "to 32h0m0s"},
		{"after one that was later", "cron 0 9 * * * in Europe/Berlin", "9h", "33h", nil, "to 32h0m0s"},
		{"after one that was earlier", "cron 0 9 * * * in Europe/Berlin", "7h", "31h", nil, "to 32h0m0s last 8h0m0s"},
		{"after one that was earlier by something else", "cron 0 9 * * * in Europe/Berlin", "6h", "31h", nil, "to 8h0m0s"},
		{"where it is after one that was earlier", "cron 0 9 * * * in Europe/Berlin", "7h", "8h", nil, "not"},
		{"put there since", "cron 0 9 * * * in Europe/Berlin", "7h", "32h", nil, "not"},
		{"nothing comes after the last one", "cron 0 9 * * * in Europe/Berlin until 2030-01-02T07:59:59Z", "8h", "31h", nil, "to -"},
		{"moved", "cron 0 9 * * * in Europe/Berlin", "-", "9h", func(t *store.Task) { t.Moved = true }, "not"},
		{"ended", "cron 0 9 * * * in Europe/Berlin", "-", "9h", func(t *store.Task) { t.Ended = true }, "not"},
		{"nothing is next", "cron 0 9 * * * in Europe/Berlin", "-", "-", nil, "not"},
		{"it fires once", "cron 0 9 * * * in Europe/Berlin", "-", "9h", func(t *store.Task) { t.Recurring = false }, "not"},
		{"in no zone", "cron 0 9 * * *", "-", "8h", nil, "not"},
	} {
		task := &store.Task{Key: store.Key{Name: "a"}, Spec: store.Spec{Kind: "k", Schedule: tt.schedule, Recurring: true}, Generation: 1, AcceptedAt: planStart}
		s, err := schedule.Parse(tt.schedule)
		if err != nil {
			t.Fatal(err)
		}
		next := instantOf(t, tt.next)
		task.Last, task.Next = instantOf(t, tt.last), store.Occurrence{For: next, Due: next}
		if tt.change != nil {
			tt.change(task)
		}
		got := "not"
		if a, is := strayed(task, s); is {
			got = "to " + occurrenceText(a.to)
			if a.last != 0 {
				got += " last " + instantText(a.last)
			}
		}
		if got != tt.want {
			t.Errorf("%s: {%s}, last %s, next %s: %s, want %s", tt.what, tt.schedule, tt.last, tt.next, got, tt.want)
		}
	}
}
