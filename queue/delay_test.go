package queue_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/queue"
	"github.com/dulyhq/duly/timer"
)

func put[T any](t *testing.T, d *queue.Delay[T], v T, after time.Duration) queue.Delayed[T] {
	t.Helper()
	return must[queue.Delayed[T]](t)(d.Put(v, after))
}

func TestDelay_NeverEarlyAndInOrder(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		d := &queue.Delay[string]{Engine: v.Engine}
		start := v.Now()
		put(t, d, "3s", 3*time.Second)
		put(t, d, "1s, first", time.Second)
		put(t, d, "now", 0)
		put(t, d, "1s, second", time.Second)
		put(t, d, "never", math.MaxInt64)
		must[queue.Delayed[string]](t)(d.PutAt("2s", start.Add(2*time.Second)))
		must[queue.Delayed[string]](t)(d.PutAt("long ago", time.Time{}))
		must[queue.Delayed[string]](t)(d.PutAt("never", time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)))
		put(t, d, "before now", -time.Hour)
		if got, has := d.TryGet(); !has || got != "long ago" {
			t.Errorf("the latest is %q", got)
		}
		for _, want := range []string{"now", "before now"} {
			if got, has := d.TryGet(); !has || got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if got, has := d.TryGet(); has {
			t.Errorf("%q came early", got)
		}
		if _, err := d.GetFor(0); !errors.Is(err, queue.ErrTimeout) {
			t.Error(err)
		}
		c := call(func() (string, error) { return d.Get(t.Context()) })
		v.Pass(time.Second - 1)
		open(t, "Get", c)
		v.Pass(1)
		if r := <-c; r.v != "1s, first" || r.err != nil {
			t.Errorf("%v, %v", r.v, r.err)
		}
		if got := must[string](t)(d.GetFor(0)); got != "1s, second" {
			t.Errorf("got %q", got)
		}
		put(t, d, "never", math.MaxInt64) // now that the sum overflows
		for _, want := range []string{"2s", "3s"} {
			c = call(func() (string, error) { return d.GetFor(time.Minute) })
			v.Pass(time.Second - 1)
			open(t, "GetFor", c)
			v.Pass(1)
			if r := <-c; r.v != want || r.err != nil {
				t.Errorf("%v, %v, want %q", r.v, r.err, want)
			}
		}
		c = call(func() (string, error) { return d.GetFor(time.Minute) })
		v.Pass(time.Minute)
		if r := <-c; !errors.Is(r.err, queue.ErrTimeout) {
			t.Errorf("%v, %v", r.v, r.err)
		}
		if n := d.Len(); n != 3 {
			t.Errorf("%d are left", n)
		}
	})
}

// An earlier value, or one that is removed, moves the deadline; nobody is woken for it.
func TestDelay_TheDeadlineMoves(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		d := &queue.Delay[int]{Engine: v.Engine}
		start := v.Now()
		far := put(t, d, 1, time.Hour)
		c := call(func() (int, error) { return d.Get(t.Context()) })
		v.Pass(time.Second)
		near := put(t, d, 2, time.Minute)
		put(t, d, 3, 10*time.Minute)
		v.Pass(time.Second)
		if !near.Remove() || near.Remove() {
			t.Error("Remove is true once")
		}
		v.Pass(10*time.Minute - time.Second - 1)
		open(t, "Get", c)
		v.Pass(1)
		if r := <-c; r.v != 3 || v.Now().Sub(start) != 10*time.Minute+time.Second {
			t.Errorf("%v, %v after %v", r.v, r.err, v.Now().Sub(start))
		}
		if !far.Remove() || (queue.Delayed[int]{}).Remove() {
			t.Error("the last was not removed, or the zero handle was")
		}
		// A value into an empty one that is waited for.
		c = call(func() (int, error) { return d.Get(t.Context()) })
		v.Pass(time.Hour)
		put(t, d, 4, time.Second)
		v.Pass(time.Second)
		if r := <-c; r.v != 4 {
			t.Errorf("%v, %v", r.v, r.err)
		}
		if v.Engine != nil && v.Engine.Stats().Pending != 0 {
			t.Error("a deadline is pending that nobody waits for")
		}
	})
}

// One deadline is pending for all, and each value wakes one.
func TestDelay_OneDeadlineAndOneWakeUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := timer.New()
		d := &queue.Delay[int]{Engine: e}
		const n = 1000
		var calls []<-chan result[int]
		for range n {
			calls = append(calls, call(func() (int, error) { return d.Get(t.Context()) }))
			synctest.Wait()
		}
		for i := range n {
			put(t, d, i, time.Hour+time.Duration(i/2)*time.Millisecond)
		}
		if p := e.Stats().Pending; p != 1 {
			t.Errorf("%d deadlines are pending", p)
		}
		time.Sleep(time.Hour)
		for i := 0; i < n; i += 2 {
			synctest.Wait()
			if w := d.Waiting(); w != n-i-2 {
				t.Fatalf("%d wait, want %d", w, n-i-2)
			}
			time.Sleep(time.Millisecond)
		}
		for i, c := range calls {
			if r := <-c; r.v != i || r.err != nil {
				t.Fatalf("getter %d got %d, %v", i, r.v, r.err)
			}
		}
		if s := e.Stats(); s.Expired != n/2 {
			t.Errorf("the engine told of %d deadlines, for %d due times", s.Expired, n/2)
		}
		parktest.CloseEngine(t, e)
	})
}

// Instants follow the wall clock when it is set, delays do not.
func TestDelay_WallClockIsSet(t *testing.T) {
	parktest.ByHand(t, func(t *testing.T, v parktest.Venue) {
		d := &queue.Delay[string]{Engine: v.Engine}
		must[queue.Delayed[string]](t)(d.PutAt("instant", v.Now().Add(time.Hour)))
		put(t, d, "delay", 2*time.Hour)
		first := call(func() (string, error) { return d.Get(t.Context()) })
		v.Pass(time.Minute)
		v.Hand.Step(-30 * time.Minute)
		v.Pass(59 * time.Minute)
		open(t, "Get", first)
		if got, has := d.TryGet(); has {
			t.Errorf("%q came early, by the wall clock", got)
		}
		v.Hand.Step(30 * time.Minute)
		v.Pass(0)
		if r := <-first; r.v != "instant" {
			t.Errorf("%v, %v", r.v, r.err)
		}
		v.Hand.Step(24 * time.Hour)
		second := call(func() (string, error) { return d.Get(t.Context()) })
		v.Pass(time.Hour - 1)
		open(t, "Get", second)
		v.Pass(1)
		if r := <-second; r.v != "delay" {
			t.Errorf("%v, %v", r.v, r.err)
		}
	})
}

// Whoever waits gets what was due first, also if the engine comes late and finds a delay and an instant both due.
func TestDelay_BothTimelinesPassAtOnce(t *testing.T) {
	parktest.ByHand(t, func(t *testing.T, v parktest.Venue) {
		d := &queue.Delay[string]{Engine: v.Engine}
		for i := range 100 {
			sooner, later := 5*time.Second, 6*time.Second
			want := "delay"
			if i%2 == 0 {
				sooner, later, want = later, sooner, "instant"
			}
			put(t, d, "delay", sooner)
			must[queue.Delayed[string]](t)(d.PutAt("instant", v.Now().Add(later)))
			c := call(func() (string, error) { return d.Get(t.Context()) })
			synctest.Wait()
			v.Hand.Suspend(10 * time.Second)
			if r := <-c; r.v != want || r.err != nil {
				t.Errorf("round %d: %q, %v; want the %s", i, r.v, r.err, want)
			}
			must[string](t)(d.GetFor(time.Minute))
		}
	})
}

func TestDelay_Close(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		d := &queue.Delay[int]{Engine: v.Engine}
		put(t, d, 2, 2*time.Second)
		put(t, d, 1, time.Second)
		last := put(t, d, 3, time.Hour)
		var calls []<-chan result[int]
		for range 4 {
			calls = append(calls, call(func() (int, error) { return d.Get(t.Context()) }))
			v.Pass(0)
		}
		d.Close()
		v.Pass(time.Second)
		if r := <-calls[0]; r.v != 1 || r.err != nil {
			t.Errorf("%v, %v", r.v, r.err)
		}
		v.Pass(time.Second)
		if r := <-calls[1]; r.v != 2 || r.err != nil {
			t.Errorf("%v, %v", r.v, r.err)
		}
		v.Pass(time.Second)
		open(t, "Get", calls[2])
		last.Remove()
		for _, c := range calls[2:] {
			if r := <-c; !errors.Is(r.err, queue.ErrClosed) {
				t.Errorf("%v, %v", r.v, r.err)
			}
		}
		if _, err := d.GetFor(0); !errors.Is(err, queue.ErrClosed) {
			t.Error(err)
		}

		d = &queue.Delay[int]{Engine: v.Engine}
		start := v.Now()
		handle := put(t, d, 4, 4*time.Second)
		put(t, d, 2, 2*time.Second)
		for _, s := range []int{1, 3, 5} {
			must[queue.Delayed[int]](t)(d.PutAt(s, start.Add(time.Duration(s)*time.Second)))
		}
		c := call(func() (int, error) { return d.GetFor(time.Hour) })
		v.Pass(0)
		if diff := cmp.Diff([]int{1, 2, 3, 4, 5}, d.CloseNow()); diff != "" {
			t.Error(diff)
		}
		if r := <-c; !errors.Is(r.err, queue.ErrClosed) {
			t.Errorf("%v, %v", r.v, r.err)
		}
		if handle.Remove() || d.CloseNow() != nil {
			t.Error("something was left")
		}
	})
}

func TestDelay_ContextEnds(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		d := &queue.Delay[int]{Engine: v.Engine}
		put(t, d, 1, time.Hour)
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		first := call(func() (int, error) { return d.Get(ctx) })
		v.Pass(0)
		second := call(func() (int, error) { return d.GetFor(2 * time.Hour) })
		v.Pass(time.Minute)
		cancel(cause)
		if r := <-first; !errors.Is(r.err, cause) {
			t.Errorf("%v, %v", r.v, r.err)
		}
		v.Pass(time.Hour)
		if r := <-second; r.v != 1 || r.err != nil {
			t.Errorf("%v, %v", r.v, r.err)
		}
		put(t, d, 2, 0)
		if _, err := d.Get(ctx); !errors.Is(err, cause) {
			t.Errorf("although something is due: %v", err)
		}
	})
}

// A getter on an engine that is closed is told so, and the values stay.
func TestDelay_EngineIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := timer.New()
		d := &queue.Delay[int]{Engine: e}
		put(t, d, 1, time.Hour)
		c := call(func() (int, error) { return d.Get(t.Context()) })
		synctest.Wait()
		if _, err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if r := <-c; !errors.Is(r.err, timer.ErrClosed) {
			t.Errorf("%v, %v", r.v, r.err)
		}
		if _, err := d.Get(t.Context()); !errors.Is(err, timer.ErrClosed) {
			t.Error(err)
		}
		if diff := cmp.Diff([]int{1}, d.CloseNow()); diff != "" {
			t.Error(diff)
		}
	})
}

// A Delay without an engine that is empty may go from one bubble to the next.
var packageWide queue.Delay[int]

func TestDelay_OneForAllBubbles(t *testing.T) {
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			put(t, &packageWide, 1, time.Hour)
			if got := must[int](t)(packageWide.Get(t.Context())); got != 1 || time.Since(start) != time.Hour {
				t.Errorf("%d after %v", got, time.Since(start))
			}
		})
		start := time.Now()
		put(t, &packageWide, 2, 2*time.Millisecond)
		if got := must[int](t)(packageWide.Get(t.Context())); got != 2 || time.Since(start) < 2*time.Millisecond {
			t.Errorf("%d after %v", got, time.Since(start))
		}
	}
}

// What comes out, and when, is what a sorted list says.
func TestDelay_Many(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		type item struct {
			n  int
			at time.Duration
		}
		d := &queue.Delay[item]{Engine: v.Engine}
		var want, got []item
		r := rand.New(rand.NewPCG(1, 2))
		start := v.Now()
		items := map[item]queue.Delayed[item]{}
		for n := range 2000 {
			it := item{n, time.Duration(r.IntN(500)) * time.Millisecond}
			items[it] = put(t, d, it, it.at)
			want = append(want, it)
		}
		want = slices.DeleteFunc(want, func(it item) bool { return r.IntN(2) == 0 && items[it].Remove() })
		slices.SortStableFunc(want, func(a, b item) int { return int(a.at - b.at) })
		for range 501 {
			for {
				it, has := d.TryGet()
				if !has {
					break
				}
				if now := v.Now().Sub(start); now != it.at {
					t.Errorf("%d came after %v instead of %v", it.n, now, it.at)
				}
				got = append(got, it)
			}
			v.Pass(time.Millisecond)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(item{})); diff != "" {
			t.Error(diff)
		}
	})
}

// Instants that have passed come out in their order, also those from before 1970 and from before the engine was made.
func TestDelay_PastInstantsInOrder(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		d := &queue.Delay[string]{Engine: v.Engine}
		day := func(year int) time.Time { return time.Date(year, 3, 1, 0, 0, 0, 0, time.UTC) }
		late := v.Now().Add(-time.Nanosecond)
		at := []struct {
			name string
			t    time.Time
		}{
			{"zero", time.Time{}},
			{"1066", day(1066)}, // the same as the zero time, and put after it
			{"first", time.Unix(-9223372036, 0)},
			{"1678", day(1678)},
			{"1900", day(1900)},
			{"1969", time.Unix(0, -1)},
			{"1970", time.Unix(0, 0)},
			{"1971", day(1971)},
			{"just now", late},
		}
		want := make([]string, 0, len(at)+2)
		for _, x := range at {
			want = append(want, x.name)
		}
		for _, way := range []string{"TryGet", "CloseNow", "Get"} {
			put(t, d, "delay", 0) // due now, as the last
			for _, i := range []int{5, 0, 8, 3, 1, 7, 2, 6, 4} {
				must[queue.Delayed[string]](t)(d.PutAt(at[i].name, at[i].t))
			}
			put(t, d, "later", time.Hour)
			var got []string
			switch way {
			case "CloseNow":
				got = d.CloseNow()
				d = &queue.Delay[string]{Engine: v.Engine}
			case "Get":
				for range len(at) + 2 {
					c := call(func() (string, error) { return d.GetFor(2 * time.Hour) })
					v.Pass(0)
					if len(got) > len(at) {
						v.Pass(time.Hour)
					}
					got = append(got, must[string](t)((<-c).v, nil))
				}
			default:
				for s, has := d.TryGet(); has; s, has = d.TryGet() {
					got = append(got, s)
				}
				got = append(got, d.CloseNow()...)
				d = &queue.Delay[string]{Engine: v.Engine}
			}
			if diff := cmp.Diff(append(want[:len(at):len(at)], "delay", "later"), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", way, diff)
			}
		}
	})
}

// Never is the end of both timelines, and nothing that has an end comes after it.
func TestDelay_FarInstantsInOrder(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		d := &queue.Delay[string]{Engine: v.Engine}
		must[queue.Delayed[string]](t)(d.PutAt("never", time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)))
		must[queue.Delayed[string]](t)(d.PutAt("never too", time.Unix(9223372036, 0)))
		must[queue.Delayed[string]](t)(d.PutAt("2262", time.Unix(9223372035, 999_999_999)))
		put(t, d, "never either", math.MaxInt64)
		put(t, d, "290 years", 290*365*24*time.Hour)
		must[queue.Delayed[string]](t)(d.PutAt("2261", time.Date(2261, 1, 1, 0, 0, 0, 0, time.UTC)))
		must[queue.Delayed[string]](t)(d.PutAt("zero", time.Time{}))
		c := call(func() (string, error) { return d.GetFor(time.Hour) })
		v.Pass(0)
		if r := <-c; r.v != "zero" {
			t.Errorf("%v, %v", r.v, r.err)
		}
		c = call(func() (string, error) { return d.GetFor(time.Hour) })
		v.Pass(time.Hour)
		if r := <-c; !errors.Is(r.err, queue.ErrTimeout) {
			t.Errorf("%v, %v", r.v, r.err)
		}
		got := d.CloseNow()
		want := []string{"2261", "2262", "290 years", "never", "never too", "never either"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

// For the engine, and so for a Delay, time begins with 1970, also where the wall clock shows less.
func TestDelay_WallClockBefore1970(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hand := clock.NewManual(time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC))
		e := timer.New(timer.Options{Clock: hand})
		defer parktest.CloseEngine(t, e)
		d := &queue.Delay[int]{Engine: e}
		for _, year := range []int{1971, 1969, 1970, 1959} {
			must[queue.Delayed[int]](t)(d.PutAt(year, time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)))
		}
		for _, want := range []int{1959, 1969, 1970} {
			if got := must[int](t)(d.GetFor(0)); got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		}
		c := call(func() (int, error) { return d.Get(t.Context()) })
		synctest.Wait()
		open(t, "Get", c)
		hand.Step(11 * 366 * 24 * time.Hour)
		if r := <-c; r.v != 1971 || r.err != nil {
			t.Errorf("%v, %v", r.v, r.err)
		}
	})
}
