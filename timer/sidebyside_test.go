package timer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/dulyhq/duly/schedule"
)

// A twin is a timer of the engine and one of time.AfterFunc, to which the same is done.
type twin struct {
	ours   Timer
	theirs *time.Timer
}

// twinScript does the same to both of each pair and compares what they return, and when they ran.
func twinScript(t *rapid.T) {
	e := New(Options{Workers: rapid.SampledFrom([]int{0, 1}).Draw(t, "workers")})
	t.Cleanup(func() { _, _ = e.Close(context.Background()) })
	start := time.Now()
	var mu sync.Mutex
	var ours, theirs []string
	note := func(list *[]string, i int) {
		mu.Lock()
		defer mu.Unlock()
		*list = append(*list, fmt.Sprintf("%d at %v", i, time.Since(start)))
	}
	delay := func(t *rapid.T) time.Duration {
		return rapid.OneOf(
			rapid.SampledFrom([]time.Duration{math.MinInt64, -1, 0, 1, 65536, time.Second, math.MaxInt64}),
			rapid.Custom(drawDelay),
		).Draw(t, "d")
	}
	var twins []twin
	some := func(t *rapid.T) twin {
		if len(twins) == 0 {
			t.Skip("there is none")
		}
		return twins[rapid.IntRange(0, len(twins)-1).Draw(t, "twin")]
	}
	t.Repeat(map[string]func(*rapid.T){
		"": func(t *rapid.T) {
			time.Sleep(time.Nanosecond) // lets run what is due now, at one instant and the next
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(ours)
			slices.Sort(theirs)
			if !slices.Equal(ours, theirs) {
				t.Fatalf("ran %v, time.AfterFunc %v", ours, theirs)
			}
			ours, theirs = nil, nil
		},
		"AfterFunc": func(t *rapid.T) {
			d, i := delay(t), len(twins)
			twins = append(twins, twin{
				e.AfterFunc(d, func() { note(&ours, i) }),
				time.AfterFunc(d, func() { note(&theirs, i) }),
			})
		},
		"Stop": func(t *rapid.T) {
			tw := some(t)
			if got, want := tw.ours.Stop(), tw.theirs.Stop(); got != want {
				t.Fatalf("Stop is %v, time.AfterFunc's %v", got, want)
			}
		},
		"Reset": func(t *rapid.T) {
			tw, d := some(t), delay(t)
			if got, want := tw.ours.Reset(d), tw.theirs.Reset(d); got != want {
				t.Fatalf("Reset(%v) is %v, time.AfterFunc's %v", d, got, want)
			}
		},
		"Reset and Stop": func(t *rapid.T) {
			tw, d := some(t), max(delay(t), 1) // in a bubble time.AfterFunc fires within a Reset to now, on the spot
			got := []bool{tw.ours.Reset(d), tw.ours.Stop(), tw.ours.Stop(), tw.ours.Reset(d), tw.ours.Reset(d)}
			want := []bool{tw.theirs.Reset(d), tw.theirs.Stop(), tw.theirs.Stop(), tw.theirs.Reset(d), tw.theirs.Reset(d)}
			if !slices.Equal(got, want) {
				t.Fatalf("Reset, Stop, Reset, Reset of %v are %v, time.AfterFunc's %v", d, got, want)
			}
		},
		"wait": func(t *rapid.T) { time.Sleep(drawDelay(t)) },
	})
	for i, tw := range twins { // in the end they agree about what is still pending
		if got, want := tw.ours.Stop(), tw.theirs.Stop(); got != want {
			t.Fatalf("in the end Stop of %d is %v, time.AfterFunc's %v", i, got, want)
		}
	}
}

func TestTimer_SameAsAfterFunc(t *testing.T) {
	checkRapid(t, 150, 150, func(t *rapid.T) { rapid.SyncTest(t, twinScript) })
}

// In races no two runs are alike, but what the return values promise can be counted: a timer runs once for each time it
// was set and not stopped, for time.AfterFunc as for the engine.
func TestTimer_RacesAddUp(t *testing.T) {
	e := New()
	type timer interface {
		Stop() bool
		Reset(time.Duration) bool
	}
	makers := map[string]func(time.Duration, func()) timer{
		"engine":         func(d time.Duration, f func()) timer { return e.AfterFunc(d, f) },
		"time.AfterFunc": func(d time.Duration, f func()) timer { return time.AfterFunc(d, f) },
	}
	for what, arm := range makers {
		ran := int64(0)
		for round := range rounds(2000) {
			var runs, set, stopped atomic.Int64
			set.Store(1)
			tm := arm(time.Duration(rand.IntN(5_000)), func() { runs.Add(1) })
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					for range 5 {
						if rand.IntN(2) == 0 {
							if tm.Stop() {
								stopped.Add(1)
							}
						} else if !tm.Reset(time.Duration(rand.IntN(5_000))) {
							set.Add(1)
						}
					}
				})
			}
			wg.Wait()
			if round%2 == 0 && tm.Stop() {
				stopped.Add(1)
			}
			for until := time.Now().Add(stormPatience); runs.Load() != set.Load()-stopped.Load(); {
				if time.Now().After(until) || runs.Load() > set.Load()-stopped.Load() {
					t.Fatalf("%s, round %d: set %d times, stopped %d times, ran %d times",
						what, round, set.Load(), stopped.Load(), runs.Load())
				}
				runtime.Gosched()
			}
			ran += runs.Load()
		}
		if low := int64(rounds(2000) / 4); ran < low {
			t.Errorf("%s: %d runs, want at least %d: they did not race", what, ran, low)
		}
	}
	patientClose(t, e)
}

// An engine in a bubble and one outside of it work at the same time, each by its own time, and each refuses what comes
// from the other side.
func TestEngines_InsideAndOutsideOfABubble(t *testing.T) {
	outside := New(Options{Name: "outside", Logger: slog.New(slog.DiscardHandler)})
	var ticks atomic.Int64
	if _, err := outside.Put("tick", schedule.Every(100*time.Microsecond), Plain(func() { ticks.Add(1) })); err != nil {
		t.Fatal(err)
	}
	refused := func(e *Engine) {
		t.Helper()
		if _, err := e.Put("x", afterHour, Plain(func() {})); !errors.Is(err, ErrBubble) {
			t.Errorf("Put on the engine %s: error is %v, want %v", e.Name(), err, ErrBubble)
		}
		if err := e.AfterFunc(time.Hour, func() {}).Err(); !errors.Is(err, ErrBubble) {
			t.Errorf("AfterFunc on the engine %s: error is %v, want %v", e.Name(), err, ErrBubble)
		}
		if err := e.Move("tick", afterHour); !errors.Is(err, ErrBubble) {
			t.Errorf("Move on the engine %s: error is %v, want %v", e.Name(), err, ErrBubble)
		}
	}
	enough := func() {
		for from, until := ticks.Load(), time.Now().Add(stormPatience); ticks.Load() < from+10; time.Sleep(time.Millisecond) {
			if time.Now().After(until) {
				t.Fatal("the engine outside has stopped")
			}
		}
	}
	enough()
	synctest.Test(t, func(t *testing.T) {
		inside := New(Options{Name: "inside", Logger: slog.New(slog.DiscardHandler)})
		refused(outside)
		hours, start := 0, time.Now()
		if _, err := inside.Put("hour", schedule.Every(time.Hour), Plain(func() { hours++ })); err != nil {
			t.Fatal(err)
		}
		time.Sleep(365 * 24 * time.Hour)
		synctest.Wait()
		if want := 365 * 24; hours != want {
			t.Errorf("%d runs in a year, want %d", hours, want)
		}
		if got := time.Since(start); got != 365*24*time.Hour {
			t.Errorf("the year took %v", got)
		}
		patientClose(t, inside)
	})
	enough()
	patientClose(t, outside)
}
