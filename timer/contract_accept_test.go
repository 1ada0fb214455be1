package timer_test

import (
	"context"
	"errors"
	"fmt"
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
		o.Logger = slog.New(slog.DiscardHandler)
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

// ctNamesArgument checks that an error is an *Error for a bad argument which names it.
func ctNamesArgument(t *testing.T, what string, err error, field string) {
	t.Helper()
	var te *timer.Error
	switch {
	case !errors.As(err, &te) || !errors.Is(err, timer.ErrInvalid):
		t.Errorf("%s: error %v (%T), want an *Error that is ErrInvalid", what, err, err)
	case !strings.Contains(err.Error(), field):
		t.Errorf("%s: %q does not name %q", what, err, field)
	}
}

type ctNilRunnable struct{ name string }

func (r *ctNilRunnable) Name() string              { return r.name }
func (*ctNilRunnable) Run(_ context.Context) error { return nil }

// contract: A6, A7. Nothing that is refused changes anything.
func TestContract_A6_BadArgumentsAreNamed(t *testing.T) {
	nop := func(context.Context) error { return nil }
	hour := schedule.After(time.Hour)
	every := schedule.Every(time.Hour)
	opt := func(s schedule.Schedule, o ...timer.Option) func(*ct) error {
		return func(w *ct) error { _, err := w.Put("a", s, nop, o...); return err }
	}
	sched := func(s schedule.Schedule) func(*ct) error {
		return func(w *ct) error {
			_, err := w.Put("a", s, nop)
			if merr := w.Move("there", s); !errors.Is(merr, timer.ErrInvalid) {
				return fmt.Errorf("move said %w, put %w", merr, err)
			}
			return err
		}
	}
	for _, c := range []struct {
		name, field string
		put         func(w *ct) error
	}{
		{"nil function", "handler", func(w *ct) error { _, err := w.Put("a", hour, nil); return err }},
		{"nil function, recurring", "handler", func(w *ct) error { _, err := w.Put("a", every, nil); return err }},
		{"nil func()", "handler", func(w *ct) error { _, err := w.Put("a", hour, timer.Plain(nil)); return err }},
		{"typed nil handler", "handler", func(w *ct) error { _, err := w.Put("a", hour, timer.Handler(nil)); return err }},
		{"nil runnable", "runnable", func(w *ct) error { _, err := w.PutRunnable(nil, hour); return err }},
		{"typed nil runnable", "runnable", func(w *ct) error { _, err := w.PutRunnable((*ctNilRunnable)(nil), hour); return err }},
		{"runnable of nil", "runnable", func(w *ct) error { _, err := w.PutRunnable(timer.Func("a", nil), hour); return err }},
		{"AfterFunc of nil", "f is nil", func(w *ct) error { return w.AfterFunc(time.Hour, nil).Err() }},
		{"nil option", "option 2", opt(hour, timer.Track(), nil)},

		{"zero schedule", "schedule", sched(schedule.Schedule{})},
		{"no period", "every", sched(schedule.Every(0))},
		{"negative period", "every", sched(schedule.Every(-1))},
		{"most negative period", "every", sched(schedule.Every(-1 << 63))},
		{"no pace", "pace", sched(schedule.Pace(0))},
		{"negative pace", "pace", sched(schedule.Pace(-time.Hour))},
		{"no pace from start", "pace-from-start", sched(schedule.PaceFromStart(0))},
		{"zero instant", "at", sched(schedule.At(time.Time{}))},
		{"year 10000", "at", sched(schedule.At(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)))},
		{"from zero", "from", sched(every.From(time.Time{}))},
		{"until year 10000", "until", sched(every.Until(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)))},
		{"aligned to zero", "align", sched(every.AlignTo(time.Time{}))},
		{"empty for all time", "until", sched(every.From(ctStart).Until(ctStart.Add(-1)))},
		{"times 0", "times", sched(every.Times(0))},
		{"times -1", "times", sched(every.Times(-1))},
		{"jitter 0", "jitter", sched(every.Jitter(0))},
		{"jitter -1", "jitter", sched(every.Jitter(-1))},
		{"jitter of a period", "jitter", sched(every.Jitter(time.Hour))},
		{"bounds of a one-off", "times", sched(hour.Times(3))},

		{"unknown conflict", "OnConflict", opt(hour, timer.OnConflict(6))},
		{"negative conflict", "OnConflict", opt(hour, timer.OnConflict(-1))},
		{"huge conflict", "OnConflict", opt(hour, timer.OnConflict(1<<62))},
		{"debounce 0", "Debounce", opt(hour, timer.OnConflict(timer.Debounce(0)))},
		{"debounce -1", "Debounce", opt(hour, timer.OnConflict(timer.Debounce(-1)))},
		{"debounce most negative", "Debounce", opt(hour, timer.OnConflict(timer.Debounce(-1<<63)))},
		{"debounce recurring", "Debounce", opt(every, timer.OnConflict(timer.Debounce(time.Second)))},
		{"unknown overlap", "Overlap", opt(every, timer.Overlap(5))},
		{"negative overlap", "Overlap", opt(every, timer.Overlap(-1))},
		{"buffer 0", "BufferAll", opt(every, timer.Overlap(timer.BufferAll(0)))},
		{"buffer -1", "BufferAll", opt(every, timer.Overlap(timer.BufferAll(-1)))},
		{"buffer too many", "BufferAll", opt(every, timer.Overlap(timer.BufferAll(10_001)))},
		{"buffer most", "BufferAll", opt(every, timer.Overlap(timer.BufferAll(math.MaxInt)))},
		{"unknown catch-up", "CatchUp", opt(every, timer.CatchUp(4))},
		{"negative catch-up", "CatchUp", opt(every, timer.CatchUp(-1))},
		{"all 0", "All", opt(every, timer.CatchUp(timer.All(0)))},
		{"all -1", "All", opt(every, timer.CatchUp(timer.All(-1)))},
		{"all too many", "All", opt(every, timer.CatchUp(timer.All(10_001)))},
		{"unknown error policy", "OnError", opt(every, timer.OnError(2))},
		{"window 0", "Window", opt(every, timer.Window(0))},
		{"window -1", "Window", opt(every, timer.Window(-1))},
		{"grace 0", "Grace", opt(every, timer.Grace(0))},
		{"grace least", "Grace", opt(every, timer.Grace(-1<<63))},
		{"start within 0", "StartWithin", opt(hour, timer.StartWithin(0))},
		{"start within -1", "StartWithin", opt(hour, timer.StartWithin(-1))},
		{"start within, recurring", "StartWithin", opt(every, timer.StartWithin(time.Second))},
		{"timeout 0", "Timeout", opt(hour, timer.Timeout(0))},
		{"timeout -1", "Timeout", opt(hour, timer.Timeout(-1))},
		{"no key", "Key", opt(hour, timer.Key("", 1))},
		{"long key", "Key", opt(hour, timer.Key(strings.Repeat("x", 256), 1))},
		{"key's k 0", "Key's k", opt(hour, timer.Key("k", 0))},
		{"key's k -1", "Key's k", opt(hour, timer.Key("k", -1))},
		{"empty tag", "Tags", opt(hour, timer.Tags("a", ""))},
		{"long tag", "Tags", opt(hour, timer.Tags(strings.Repeat("x", 256)))},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
				w.put("there", schedule.After(time.Hour), w.logs("there"))
				for _, same := range []string{"new name", "taken name"} {
					before := w.ctBooks()
					ctNamesArgument(t, c.name, c.put(w), c.field)
					ctEqual(t, "books after "+same, w.ctBooks(), before)
					if same == "new name" {
						_, found := w.Find("a")
						ctEqual(t, "found", found, false)
						w.put("a", schedule.Every(time.Minute).Times(1), w.logs("a"))
					}
				}
				w.pass(2 * time.Hour)
				w.want("1m0s a", "1h0m0s there")
			})
		})
	}
}
