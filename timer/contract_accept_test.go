package timer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// The contract tests are named after the rule they hold, as TestContract_C1_NeverEarly, and carry it in a comment. They
// tell what happened as lines of instant and name, and all of them end by checking the engine's own books.

// A ct is an engine in a bubble, with a record of what ran when. Its clock is the bubble's, or one moved by hand.
type ct struct {
	*timer.Engine
	t    *testing.T
	hand *clock.Manual // nil where the bubble's clock is used
	t0   time.Time

	mu    sync.Mutex
	lines []string
}

var ctStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ctBubble runs f with an engine on the bubble's clock.
func ctBubble(t *testing.T, o timer.Options, f func(t *testing.T, w *ct)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &ct{t: t, t0: time.Now()}
		w.live(o, f)
	})
}

// ctByHand runs f with an engine on a clock moved by hand. It is in a bubble all the same, so that pass can tell when all
// that an instant causes has happened.
func ctByHand(t *testing.T, o timer.Options, f func(t *testing.T, w *ct)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &ct{t: t, t0: ctStart, hand: clock.NewManual(ctStart)}
		o.Clock = w.hand
		w.live(o, f)
	})
}

func (w *ct) live(o timer.Options, f func(t *testing.T, w *ct)) {
	w.t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	w.Engine = timer.New(o)
	f(w.t, w)
	if _, err := w.Close(context.Background()); err != nil {
		w.t.Errorf("close: %v", err)
	}
	w.books()
}

// books checks what holds of every engine that was closed.
func (w *ct) books() {
	w.t.Helper()
	type books struct {
		Early               uint64
		Pending, Running, G int
	}
	s := w.Stats()
	if diff := cmp.Diff(books{}, books{s.Early, s.Pending, s.Running, s.Goroutines}); diff != "" {
		w.t.Errorf("after close (-want +got):\n%s", diff)
	}
}

// now is how long the test has lasted, by a clock that nobody steps.
func (w *ct) now() time.Duration {
	if w.hand != nil {
		return time.Duration(w.hand.Now().Boot)
	}
	return time.Since(w.t0)
}

// note records an event. Up to 4 ms that work may wait for a worker are left out: C1 and C2 have their own tests.
func (w *ct) note(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fmt.Sprint(w.now().Truncate(5*time.Millisecond), " ", text))
}

// logs is a handler that records its start.
func (w *ct) logs(name string) timer.Handler {
	return func(context.Context) error {
		w.note(name)
		return nil
	}
}

// takes is a handler that records its start and then takes some time.
func (w *ct) takes(name string, d time.Duration) timer.Handler {
	return func(context.Context) error {
		w.note(name)
		time.Sleep(d)
		return nil
	}
}

// waits is a handler that records its start and waits for the gate.
func (w *ct) waits(name string, gate <-chan struct{}) timer.Handler {
	return func(context.Context) error {
		w.note(name)
		<-gate
		return nil
	}
}

// pass lets time pass, and everything happen that belongs to it.
func (w *ct) pass(d time.Duration) {
	w.t.Helper()
	if w.hand == nil {
		time.Sleep(d)
		synctest.Wait()
		return
	}
	w.settle()
	for {
		move := w.hand.Advance(d)
		w.settle()
		if d = move.Left; d == 0 && move.Woken == 0 {
			return
		}
	}
}

// settle lets everything happen that is due. The bubble's clock, on which the watch over blocked workers depends, is not
// the engine's.
func (w *ct) settle() {
	synctest.Wait()
	if w.hand != nil {
		time.Sleep(5 * time.Millisecond)
		synctest.Wait()
	}
}

// step sets the wall clock.
func (w *ct) step(d time.Duration) {
	w.settle()
	w.hand.Step(d)
	w.settle()
}

// suspend lets the machine sleep.
func (w *ct) suspend(d time.Duration) {
	w.settle()
	w.hand.Suspend(d)
	w.settle()
}

// wall is an instant by the wall clock as it was set at first.
func (w *ct) wall(d time.Duration) time.Time { return w.t0.Add(d).UTC() }

func (w *ct) put(name string, s schedule.Schedule, fn timer.Handler, opts ...timer.Option) timer.Task {
	w.t.Helper()
	task, err := w.Put(name, s, fn, opts...)
	if err != nil {
		w.t.Fatalf("put: %v", err)
	}
	return task
}

// told returns what was recorded since the last call.
func (w *ct) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := w.lines
	w.lines = nil
	return lines
}

// want compares what was recorded since the last call.
func (w *ct) want(lines ...string) {
	w.t.Helper()
	if diff := cmp.Diff(lines, w.told()); diff != "" {
		w.t.Errorf("ran (-want +got):\n%s", diff)
	}
}

// ctEqual compares two values.
func ctEqual[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// ctIs checks an error's class, and that it is the package's own.
func ctIs(t *testing.T, what string, err, want error) {
	t.Helper()
	var te *timer.Error
	switch {
	case want == nil && err != nil:
		t.Errorf("%s: error %v, want none", what, err)
	case want != nil && !errors.Is(err, want):
		t.Errorf("%s: error %v, want %v", what, err, want)
	case want != nil && !errors.As(err, &te):
		t.Errorf("%s: error %T, want *timer.Error", what, err)
	}
}

// ctBooks is what must not have changed after something was refused.
func (w *ct) ctBooks() string {
	var all []string
	for info := range w.Tasks(timer.AllTasks()) {
		all = append(all, fmt.Sprintf("%s %v gen %d at %v paused %v %q runs %d", info.Name, info.State, info.Generation,
			info.ScheduledFor, info.Paused, info.Reason, info.Runs))
	}
	slices.Sort(all)
	s := w.Stats()
	due, ok := w.NextDue()
	return fmt.Sprintf("%s\npending %d running %d fires %d skipped %d next %v %v", strings.Join(all, "\n"), s.Pending,
		s.Running, s.Fires, s.Skipped, due, ok)
}

// contract: A3.
func TestContract_A3_DelayBecomesAnInstantOnce(t *testing.T) {
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
		plain := w.put("plain", schedule.After(10*time.Second), w.logs("plain"))
		full := w.put("full", schedule.After(10*time.Second), w.logs("full"), timer.Track())
		w.pass(4 * time.Second)
		w.step(time.Hour)
		w.step(-3 * time.Hour)
		// By the wall clock as it is now set, the instant is still 6 s away.
		ctEqual(t, "plain's next", plain.Next(), w.wall(10*time.Second-2*time.Hour))
		ctEqual(t, "full's next", full.Next(), w.wall(10*time.Second-2*time.Hour))
		w.pass(6*time.Second - 1)
		w.want()
		w.pass(1)
		got := w.told()
		slices.Sort(got)
		ctEqual(t, "ran", got, []string{"10s full", "10s plain"})
	})
}

// contract: A4. The delays of the library's callers, from nonsense to never.
func TestContract_A4_DelaysSaturate(t *testing.T) {
	const century = 100 * 365 * 24 * time.Hour
	for _, c := range []struct {
		d    time.Duration
		when string
	}{
		{math.MinInt64, "0s"}, {math.MinInt64 + 1, "0s"}, {-1, "0s"}, {0, "0s"}, {1, "5s"},
		{math.MaxInt64, "never"}, {math.MaxInt64 - 1, "never"}, {math.MaxInt64 / 2, "never"}, {2 * century, "never"},
	} {
		for _, kind := range []string{"After", "After, tracked", "After, jitter", "AfterFunc", "Reset", "Move"} {
			t.Run(fmt.Sprintf("%s %d", kind, c.d), func(t *testing.T) {
				ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
					w.pass(time.Nanosecond) // at boot time 0 nothing could overflow
					f := func() { w.note("ran") }
					switch kind {
					case "After":
						w.put("a", schedule.After(c.d), timer.Plain(f))
					case "After, tracked":
						w.put("a", schedule.After(c.d), timer.Plain(f), timer.Track())
					case "After, jitter":
						w.put("a", schedule.After(c.d).Jitter(1), timer.Plain(f))
					case "AfterFunc":
						w.AfterFunc(c.d, f)
					case "Reset":
						w.AfterFunc(time.Hour, f).Reset(c.d)
					case "Move":
						w.put("a", schedule.After(time.Hour), timer.Plain(f))
						ctIs(t, "move", w.Move("a", schedule.After(c.d)), nil)
					}
					w.settle()
					if c.when == "0s" {
						w.want("0s ran")
						return
					}
					w.want()
					if c.when == "never" {
						w.pass(century)
						w.want()
						ctEqual(t, "pending", w.Stats().Pending, 1)
						return
					}
					w.pass(1)
					w.want("0s ran")
				})
			})
		}
	}
}

// contract: A4. A task that is due beyond the clocks' range says when, not when their range ends.
func TestContract_A4_FarInstantsAreShownAsTheyAre(t *testing.T) {
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
		last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
		far := w.t0.Add(math.MaxInt64)
		for name, c := range map[string]struct {
			s    schedule.Schedule
			want time.Time
		}{
			"year 9999":      {schedule.At(last), last},
			"year 2300":      {schedule.At(time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)), time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)},
			"longest delay":  {schedule.After(math.MaxInt64), far},
			"longest period": {schedule.Every(math.MaxInt64), far},
			"longest pace":   {schedule.Pace(math.MaxInt64), far},
			"from 9999":      {schedule.Every(time.Hour).From(last), last},
		} {
			task := w.put(name, c.s, w.logs(name))
			ctEqual(t, name, task.Next(), c.want)
			ctEqual(t, name+" listed", task.Info().Due, c.want)
			found, ok := w.Find(name)
			ctEqual(t, name+" found", ok, true)
			ctEqual(t, name+" moved to", []any{w.Move(name, c.s), found.Next()}, []any{error(nil), c.want})
		}
		w.pass(200 * 365 * 24 * time.Hour)
		w.want()
		ctEqual(t, "pending", w.Stats().Pending, 6)
	})
}

// contract: A4. The bounds of recurring schedules at their extremes.
func TestContract_A4_BoundsAtTheirExtremes(t *testing.T) {
	year := func(y int) time.Time { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC) }
	every := schedule.Every(time.Minute)
	minute := []string{"1m0s ran", "2m0s ran"}
	for _, c := range []struct {
		name string
		s    schedule.Schedule
		opts []timer.Option
		ran  []string
	}{
		{"from the first year", every.From(year(1).Add(1)), nil, []string{"0s ran", "0s ran", "1m0s ran", "2m0s ran"}},
		{"from 1970", every.From(time.Unix(0, 0)), nil, append([]string{"0s ran"}, minute...)},
		{"from 9999", every.From(year(9999)), nil, nil},
		{"until the first year", every.Until(year(1).Add(1)), nil, nil},
		{"until 1970", every.Until(time.Unix(0, 0)), nil, nil},
		{"until 9999", every.Until(year(9999)), nil, minute},
		{"aligned to the first year", every.AlignTo(year(1).Add(time.Second)), nil, []string{"1s ran", "1m1s ran"}},
		{"aligned to 9999", every.AlignTo(year(9999)), nil, minute},
		{"every nanosecond less than for ever", schedule.Every(math.MaxInt64 - 1), nil, nil},
		{"jitter of for ever", schedule.Pace(time.Minute).Jitter(math.MaxInt64), nil, nil},
		{"endless times", every.Times(math.MaxInt), nil, minute},
		{"endless timeout", every, []timer.Option{timer.Timeout(math.MaxInt64)}, minute},
		{"endless window", every, []timer.Option{timer.Window(math.MaxInt64), timer.CatchUp(timer.Earliest)}, minute},
		{"endless window, all", every, []timer.Option{timer.Window(math.MaxInt64), timer.CatchUp(timer.All(10_000))}, minute},
		{"endless grace", every, []timer.Option{timer.Grace(math.MaxInt64), timer.CatchUp(timer.None)}, minute},
		{"shortest window", every, []timer.Option{timer.Window(1), timer.CatchUp(timer.Earliest)}, minute},
		{"shortest grace", every, []timer.Option{timer.Grace(1), timer.CatchUp(timer.None)}, minute},
		{"endless start deadline", schedule.After(time.Minute), []timer.Option{timer.StartWithin(math.MaxInt64)}, minute[:1]},
		{"shortest start deadline", schedule.After(time.Minute), []timer.Option{timer.StartWithin(1)}, minute[:1]},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctByHand(t, timer.Options{}, func(_ *testing.T, w *ct) {
				w.put("a", c.s, w.logs("ran"), c.opts...)
				w.pass(2*time.Minute + time.Millisecond)
				w.want(c.ran...)
			})
		})
	}
}

// contract: A4. A debounce without an end of its own is a plain replacement, however far its task is.
func TestContract_A4_DebounceWaitSaturates(t *testing.T) {
	for _, wait := range []time.Duration{math.MaxInt64, math.MaxInt64 - 1} {
		ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
			debounce := timer.OnConflict(timer.Debounce(wait))
			w.put("a", schedule.After(time.Hour), w.logs("ran"), debounce)
			w.pass(time.Minute)
			task := w.put("a", schedule.After(100*365*24*time.Hour), w.logs("ran"), debounce)
			ctEqual(t, "next", task.Next(), w.wall(time.Minute+100*365*24*time.Hour))
			w.pass(50 * 365 * 24 * time.Hour)
			w.want()
		})
	}
}

// contract: A5. Invariant 7.
func TestContract_A5_IdenticalPutIsNothing(t *testing.T) {
	at := ctStart.Add(time.Minute)
	for _, c := range []struct {
		name string
		s    schedule.Schedule
		opts []timer.Option
		ran  string
	}{
		{"plain instant", schedule.At(at), nil, "1m0s v9"},
		{"instant", schedule.At(at), []timer.Option{timer.Track()}, "1m0s v9"},
		{"grid", schedule.Every(time.Minute), nil, "1m0s v9"},
		{"grid with bounds", schedule.Every(time.Minute).Until(at).Times(3), nil, "1m0s v9"},
		{"aligned grid", schedule.Every(time.Hour).AlignTo(at), nil, "1m0s v9"},
		{"pace", schedule.Pace(time.Minute), nil, "1m0s v9"},
		{"tags in another order", schedule.Every(time.Minute), []timer.Option{timer.Tags("b", "a", "b")}, "1m0s v9"},
		{"all options", schedule.Every(time.Minute), []timer.Option{
			timer.Tags("a"), timer.Priority(3), timer.Key("k", 2), timer.Overlap(timer.BufferAll(3)),
			timer.CatchUp(timer.All(4)), timer.Window(time.Hour), timer.Grace(time.Second), timer.OnError(timer.Stop),
			timer.Timeout(time.Hour), timer.ResumeMissed(), timer.Track(),
		}, "1m0s v9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
				first := w.put("a", c.s, w.logs("v0"), c.opts...)
				gen, info := first.Generation(), first.Info()
				for i := 1; i < 10; i++ {
					w.pass(time.Second)
					again := w.put("a", c.s, w.logs(fmt.Sprint("v", i)), c.opts...)
					ctEqual(t, "generation", again.Generation(), gen)
					ctEqual(t, "next", again.Next(), info.ScheduledFor)
				}
				w.pass(time.Minute - 9*time.Second)
				w.want(c.ran) // on time, and the function is the last one
			})
		})
	}
}

// contract: A5. The instant is part of the identity of an After.
func TestContract_A5_AfterIsIdentifiedByItsInstant(t *testing.T) {
	for _, opts := range [][]timer.Option{nil, {timer.Track()}} {
		ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
			g1 := w.put("a", schedule.After(time.Minute), w.logs("v1"), opts...).Generation()
			g2 := w.put("a", schedule.After(time.Minute), w.logs("v2"), opts...).Generation()
			w.pass(10 * time.Second)
			g3 := w.put("a", schedule.After(50*time.Second), w.logs("v3"), opts...).Generation()
			ctEqual(t, "generations of one instant", []uint64{g2, g3}, []uint64{g1, g1})
			g4 := w.put("a", schedule.After(time.Minute), w.logs("v4"), opts...).Generation()
			ctEqual(t, "a later instant is a new generation", g4 > g3, true)
			w.pass(time.Hour)
			w.want("1m10s v4")
		})
	}
}

// contract: A5. Whatever differs makes another task of it.
func TestContract_A5_ADifferenceIsANewGeneration(t *testing.T) {
	every := schedule.Every(time.Minute)
	for _, c := range []struct {
		name string
		s    schedule.Schedule
		opts []timer.Option
	}{
		{"period", schedule.Every(2 * time.Minute), nil},
		{"kind", schedule.Pace(time.Minute), nil},
		{"one-off", schedule.After(time.Minute), nil},
		{"times", every.Times(3), nil},
		{"jitter", every.Jitter(time.Second), nil},
		{"until", every.Until(ctStart.Add(time.Hour)), nil},
		{"overlap", every, []timer.Option{timer.Overlap(timer.Allow)}},
		{"catch-up", every, []timer.Option{timer.CatchUp(timer.None)}},
		{"on error", every, []timer.Option{timer.OnError(timer.Stop)}},
		{"timeout", every, []timer.Option{timer.Timeout(time.Second)}},
		{"window", every, []timer.Option{timer.Window(time.Second)}},
		{"grace", every, []timer.Option{timer.Grace(time.Second)}},
		{"key", every, []timer.Option{timer.Key("k", 1)}},
		{"priority", every, []timer.Option{timer.Priority(1)}},
		{"tags", every, []timer.Option{timer.Tags("a")}},
		{"resume missed", every, []timer.Option{timer.ResumeMissed()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
				old := w.put("a", every, w.logs("old"))
				gen := old.Generation()
				ctEqual(t, "newer", w.put("a", c.s, w.logs("new"), c.opts...).Generation() > gen, true)
				ctEqual(t, "the old one's state", old.State(), timer.StateCancelled)
				ctEqual(t, "the old one's error", old.Err(), timer.ErrReplaced)
			})
		})
	}
}

// contract: A6.
func TestContract_A6_ThePastIsNow(t *testing.T) {
	for name, s := range map[string]schedule.Schedule{
		"negative delay": schedule.After(-time.Hour), "no delay": schedule.After(0),
		"yesterday": schedule.At(ctStart.Add(-24 * time.Hour)), "now": schedule.At(ctStart),
		"1969": schedule.At(time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)), "year 1": schedule.At(time.Time{}.Add(1)),
		"another zone": schedule.At(ctStart.Add(-time.Minute).In(time.FixedZone("x", 3600))),
		"jitter":       schedule.After(-time.Hour).Jitter(1),
	} {
		for _, opts := range [][]timer.Option{nil, {timer.Track()}} {
			t.Run(name, func(t *testing.T) {
				ctByHand(t, timer.Options{}, func(_ *testing.T, w *ct) {
					w.put("a", s, w.logs("ran"), opts...)
					w.settle()
					w.want("0s ran")
				})
			})
		}
	}
}

// contract: A6. An instant's monotonic reading does not count: At follows the wall clock.
func TestContract_A6_InstantsDropTheirMonotonicReading(t *testing.T) {
	at := time.Now().Add(time.Hour) // with a monotonic reading
	got, ok := schedule.At(at).PlainAt()
	ctEqual(t, "plain", ok, true)
	if got != got.Round(0) || !got.Equal(at) {
		t.Errorf("At keeps %v of %v", got, at)
	}
}

// contract: A6. A schedule that is over is not an error: it is never.
func TestContract_A6_NothingLeftIsNever(t *testing.T) {
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
		task := w.put("a", schedule.Every(time.Minute).Until(ctStart.Add(time.Second)), w.logs("ran"))
		ctEqual(t, "next", task.Next(), time.Time{})
		_, due := w.NextDue()
		ctEqual(t, "anything due", due, false)
		w.pass(time.Hour)
		w.want()
		ctEqual(t, "cancelled", w.Cancel("a"), timer.Cancelled)
	})
}
