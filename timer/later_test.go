package timer

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// laterProperty stops, resets, adds and cancels by the hundred, so that what is put off meets what was put off
// before: entries that leave before they are linked, that come back before they are unlinked, in chunks that are released.
// Only some of the steps are followed by a look at everything, which settles it.
func laterProperty(t *rapid.T) {
	e := New(Options{Held: true})
	defer e.alarm.Close()
	// One shard, where the order is exact, or two, where a timer that is reset to later stays in its place for a while.
	e.mask = rapid.SampledFrom([]uint64{0, 1}).Draw(t, "mask")
	e.shards = e.shards[:e.mask+1]
	type timer struct {
		t       Timer
		pending bool
	}
	var timers []*timer
	names := map[string]bool{}
	made := 0
	pending := func() int {
		return len(names) + countIf(timers, func(tm *timer) bool { return tm.pending })
	}
	delay := rapid.Custom(drawDelay)
	some := func(t *rapid.T) []*timer {
		from := rapid.IntRange(0, len(timers)).Draw(t, "from")
		return timers[from:min(len(timers), from+rapid.SampledFrom([]int{1, 2, 10, 100, 1500}).Draw(t, "number"))]
	}
	stop := func(t *rapid.T, tm *timer) {
		if got := tm.t.Stop(); got != tm.pending {
			t.Fatalf("Stop is %v, want %v", got, tm.pending)
		}
		tm.pending = false
	}
	reset := func(t *rapid.T, tm *timer, d time.Duration) {
		if got := tm.t.Reset(time.Hour + d); got != tm.pending {
			t.Fatalf("Reset is %v, want %v", got, tm.pending)
		}
		tm.pending = true
	}
	t.Repeat(map[string]func(*rapid.T){
		"add": func(t *rapid.T) {
			d := delay.Draw(t, "d")
			for i := range rapid.SampledFrom([]int{1, 2, 63, 64, 65, 1500}).Draw(t, "number") {
				timers = append(timers, &timer{e.AfterFunc(time.Hour+d*time.Duration(i), func() {}), true})
			}
		},
		"stop": func(t *rapid.T) {
			for _, tm := range some(t) {
				stop(t, tm)
			}
		},
		"stop all": func(t *rapid.T) {
			for _, tm := range timers {
				stop(t, tm)
			}
		},
		"reset": func(t *rapid.T) {
			d := delay.Draw(t, "d")
			for _, tm := range some(t) {
				reset(t, tm, d)
			}
		},
		"stop, reset and stop": func(t *rapid.T) {
			d := delay.Draw(t, "d")
			for _, tm := range some(t) {
				stop(t, tm)
				reset(t, tm, d)
				stop(t, tm)
			}
		},
		"put": func(t *rapid.T) {
			for range rapid.SampledFrom([]int{1, 2, 100}).Draw(t, "number") {
				made++
				name := strconv.Itoa(made % 150)
				if _, err := e.Put(name, afterHour, Plain(func() {})); err != nil {
					t.Fatal(err)
				}
				names[name] = true
			}
		},
		"cancel": func(t *rapid.T) {
			var all []string
			for name := range names {
				all = append(all, name)
			}
			slices.Sort(all)
			for _, name := range all[rapid.IntRange(0, len(all)).Draw(t, "from"):] {
				if got := e.Cancel(name); got != Cancelled {
					t.Fatalf("Cancel is %v", got)
				}
				delete(names, name)
			}
		},
		"count": func(t *rapid.T) {
			if got, want := e.Stats().Pending, pending(); got != want {
				t.Fatalf("%d are pending, want %d", got, want)
			}
		},
		"look": func(t *rapid.T) {
			if err := checkQuiet(e); err != nil {
				t.Fatal(err)
			}
		},
	})
	if err := checkQuiet(e); err != nil {
		t.Fatal(err)
	}
	for _, tm := range timers {
		stop(t, tm)
	}
	for name := range names {
		e.Cancel(name)
	}
	if got, live := e.Stats().Pending, e.live.Load(); got != 0 || live != 0 {
		t.Fatalf("%d are pending, %d shards live, when all were cancelled", got, live)
	}
	for i := range e.shards {
		if c := e.shards[i].slab.chunks; len(c) > 1 || len(c) == 1 && len(c[0].entries) > smallChunk {
			t.Fatalf("%d chunks are kept for nothing", len(c))
		}
	}
}

func TestLater_AddsUp(t *testing.T) {
	checkRapid(t, 300, 30, laterProperty)
}
