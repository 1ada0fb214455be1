package duly_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// What ends with a run, and when.

// ends wants Run to have returned, or not yet.
func (r *rig) ends(want bool) (err error) {
	r.t.Helper()
	synctest.Wait()
	select {
	case err = <-r.ended:
		if !want {
			r.t.Errorf("Run has ended at %v: %v", r.since(), err)
		}
		r.ended <- err
	default:
		if want {
			r.t.Errorf("Run goes on at %v", r.since())
		}
	}
	return err
}

// A call to the store that hangs keeps Run from ending for as long as attempts may, and no longer.
func TestRun_DrainWhileACallHangs(t *testing.T) {
	for _, method := range []string{"Claim", "Due", "Get"} {
		t.Run(method, func(t *testing.T) {
			tap(t, duly.Options{DrainTimeout: 7 * time.Second}, quick, func(t *testing.T, r *rig) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() { r.ended <- r.d.Run(ctx) }()
				synctest.Wait()
				r.hang(method)
				r.refuse("Claim", "a", store.ErrBusy)
				r.put("a", schedule.After(time.Second))
				r.put("far", schedule.After(9*time.Second))
				r.at(3 * time.Second)
				cancel()
				r.at(10*time.Second - 1)
				_ = r.ends(false)
				r.at(10 * time.Second)
				if err := r.ends(true); err != nil {
					t.Errorf("Run: %v", err)
				}
				r.end()
			})
		})
	}
}

// Of a store that is closed while nothing is to be done the scheduler hears at once, because its hints end; and so between two things that it does.
func TestRun_HintsEndWithTheStore(t *testing.T) {
	for _, busy := range []bool{false, true} {
		t.Run(fmt.Sprint("busy=", busy), func(t *testing.T) {
			tap(t, duly.Options{}, quick, func(t *testing.T, r *rig) {
				r.work()
				r.at(3 * time.Second)
				shut := func() {
					if err := r.Close(); err != nil {
						t.Error(err)
					}
				}
				if busy {
					r.on("Claim", func(call func() error) error {
						err := call()
						r.on("Claim", nil)
						shut()
						return err
					})
					r.put("a", schedule.After(0))
				} else {
					shut()
				}
				if err := r.ends(true); !errors.Is(err, store.ErrClosed) {
					t.Errorf("Run: %v, want that the store is closed", err)
				}
				if err := r.d.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Who listened to the store's hints does so no more when Run has ended.
func TestRun_StopsListening(t *testing.T) {
	tap(t, duly.Options{}, quick, func(t *testing.T, r *rig) {
		r.work()
		if r.ears != 1 || r.listens != 1 {
			t.Errorf("%d of %d listen, want one", r.ears, r.listens)
		}
		if err := errors.Join(r.d.Drain(t.Context()), r.ends(true)); err != nil {
			t.Error(err)
		}
		if r.ears != 0 || r.listens != 1 {
			t.Errorf("%d of %d listen, want none", r.ears, r.listens)
		}
		r.end()
	})
}

// Run that is asked to end by its context gives attempts the drain's time, asks them to stop, waits for a tenth of that, and tells of those
// that run all the same, whose leases are not prolonged any more.
func TestRun_Unfinished(t *testing.T) {
	for _, tt := range []struct{ timeout, asks, gives time.Duration }{
		{20 * time.Second, 21 * time.Second, 23 * time.Second},
		{4 * time.Second, 5 * time.Second, 6 * time.Second},
	} {
		t.Run(tt.timeout.String(), func(t *testing.T) {
			var asked, lost time.Duration
			over := make(chan struct{})
			var r *rig
			tap(t, duly.Options{DrainTimeout: tt.timeout}, func(ctx context.Context, a *duly.Attempt[string]) error {
				if a.Name == "heeds" {
					<-ctx.Done()
					if !errors.Is(context.Cause(ctx), duly.ErrClosing) {
						t.Errorf("it is asked to stop because of %v", context.Cause(ctx))
					}
					asked = r.since()
					return context.Cause(ctx)
				}
				<-ctx.Done()
				lost = r.since()
				<-over
				return nil
			}, func(t *testing.T, x *rig) {
				r = x
				over = make(chan struct{})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() { r.ended <- r.d.Run(ctx) }()
				r.put("heeds", schedule.After(0))
				r.put("does not", schedule.After(0))
				r.at(time.Second)
				cancel()
				r.at(tt.gives - 1)
				_ = r.ends(false)
				r.at(tt.gives)
				var u *duly.UnfinishedError
				if err := r.ends(true); !errors.As(err, &u) || len(u.Running) != 1 || u.Running[0].Name != "does not" {
					t.Errorf("Run: %v, want that one attempt runs", err)
				}
				if asked != tt.asks || lost != tt.asks {
					t.Errorf("asked to stop at %v and %v, want %v", asked, lost, tt.asks)
				}
				same(t, "what became of who stopped", []string{"running>pending snooze snoozed for 0s"}, r.events("heeds"))
				same(t, "what became of who did not", nil, r.events("does not"))
				close(over)
				synctest.Wait()
				const said = ` level=ERROR msg="how an attempt ended could not be written; it will be tried again" task="does not" error="scheduler is closed"`
				r.wantLogged(t, tt.gives.String()+said)
				if got, want := r.counts(), (duly.KindStats{Started: 2, Snoozed: 1, Fenced: 1}); got != want {
					t.Errorf("%+v, want %+v", got, want)
				}
				if err := errors.Join(r.d.Close(t.Context()), r.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// What is forgotten, and how often: the history by its age and its size, dead runs by theirs. A store is asked for nothing where all is kept, and may tidy up
// what is its own.
func TestRetention_Trims(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		what  string
		keeps duly.Retention
		every time.Duration
		first string
		after string // the second
	}{
		{"as it is", duly.Retention{}, 7 * time.Hour, "-168h0m0s 0 -2160h0m0s", "-161h0m0s 0 -2153h0m0s"},
		{"all", duly.Retention{History: -1, Dead: -1}, day, "- 0 -", "- 0 -"},
		{"dead runs of two days", duly.Retention{History: -1, Dead: 2 * day}, 2 * time.Hour, "- 0 -48h0m0s", "- 0 -46h0m0s"},
		{"a history of an hour", duly.Retention{History: time.Hour, Dead: -1}, 150 * time.Second, "-1h0m0s 0 -", "-57m30s 0 -"},
		{"a history of seconds", duly.Retention{History: 3 * time.Second, Dead: -1}, time.Minute, "-3s 0 -", "57s 0 -"},
		{"by size", duly.Retention{History: -1, Dead: -1, MaxHistory: 5}, 150 * time.Second, "- 5 -", "- 5 -"},
		{"years", duly.Retention{History: 700 * day, Dead: -1}, day, "-16800h0m0s 0 -", "-16776h0m0s 0 -"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			tap(t, duly.Options{Retention: tt.keeps}, quick, func(t *testing.T, r *rig) {
				r.work()
				r.at(tt.every)
				r.wantCalls(t, "Trim", "0s Trim "+tt.first, tt.every.String()+" Trim "+tt.after)
				r.fail(store.ErrBroken, "Trim")
				r.at(3 * tt.every)
				const said = ` level=WARN msg="the history could not be trimmed" error="storage has failed"`
				r.wantLogged(t, (2*tt.every).String()+said, (3*tt.every).String()+said)
				r.end()
			})
		})
	}
}

// Drain and Close whose time is over tell what runs. Who waits for a task's end hears that the scheduler is closed.
func TestDrain_WhoseTimeIsOver(t *testing.T) {
	over := make(chan struct{})
	tap(t, duly.Options{}, func(ctx context.Context, a *duly.Attempt[string]) error {
		switch a.Name {
		case "heeds":
			return takes(time.Hour)(ctx, a)
		case "does not":
			<-over
		}
		return nil
	}, func(t *testing.T, r *rig) {
		over = make(chan struct{})
		r.work()
		for _, name := range []string{"heeds", "does not", "done"} {
			r.put(name, schedule.After(0))
		}
		awaited := make(chan error, 1)
		go func() { awaited <- r.d.Await(t.Context(), "heeds") }()
		running := func(what string, err error, want ...string) {
			t.Helper()
			var got []string
			if u, ok := errors.AsType[*duly.UnfinishedError](err); ok {
				for i := range u.Running {
					got = append(got, u.Running[i].Name)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v, want that %q run", what, err, want)
			}
		}
		within := func(d time.Duration, f func(context.Context) error) error {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			return f(ctx)
		}
		running("Drain", within(time.Second, r.d.Drain), "does not", "heeds")
		if d := r.since(); d != time.Second {
			t.Errorf("Drain took %v", d)
		}
		running("Close", within(time.Second, r.d.Close), "does not")
		if d := r.since(); d != 2*time.Second {
			t.Errorf("Close took until %v", d)
		}
		if err := <-awaited; !errors.Is(err, duly.ErrClosed) && err != nil {
			t.Errorf("Await: %v", err)
		}
		running("Run", <-r.ended, "does not")
		close(over)
		synctest.Wait()
		if err := errors.Join(r.d.Close(t.Context()), r.Close()); err != nil {
			t.Error(err)
		}
	})
}

// Who waits for the end of what runs hears that the scheduler is closed, which tells nothing of that end.
func TestAwait_Closed(t *testing.T) {
	tap(t, duly.Options{}, takes(time.Hour), func(t *testing.T, r *rig) {
		other, err := duly.New(duly.Options{Store: r.tapped})
		if err != nil {
			t.Fatal(err)
		}
		r.work()
		r.put("runs", schedule.After(0))
		awaited := make(chan error, 1)
		go func() { awaited <- other.Await(t.Context(), "runs") }()
		r.at(time.Minute)
		if err := other.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-awaited; !errors.Is(err, duly.ErrClosed) {
			t.Errorf("Await: %v, want ErrClosed", err)
		}
		if d := r.since(); d != time.Minute {
			t.Errorf("it waited until %v", d)
		}
		r.end()
	})
}

// Who waits for the end of what runs looks when something was written here, and once a second, because it may run elsewhere.
func TestAwait_Looks(t *testing.T) {
	tap(t, duly.Options{}, takes(2700*time.Millisecond), func(t *testing.T, r *rig) {
		r.work()
		r.put("runs", schedule.After(0))
		r.forget() // a put that is told of before it is answered is read once more
		awaited := make(chan error, 1)
		go func() { awaited <- r.d.Await(t.Context(), "runs") }()
		r.at(500 * time.Millisecond)
		// another process's, which is nothing to do for this one
		if _, err := r.Store.Put(t.Context(), []store.Put{{Key: store.Key{Name: "x"}, Spec: store.Spec{Kind: "theirs"}, When: store.In(5*time.Second, 0)}}); err != nil {
			t.Fatal(err)
		}
		r.at(4 * time.Second)
		if len(r.of("Due")) == 0 {
			t.Error("the other process was not heard of")
		}
		r.wantCalls(t, "Get", "0s Get runs", "1s Get runs", "2s Get runs", "2.7s Get runs")
		if err := <-awaited; err != nil {
			t.Error(err)
		}
		r.end()
	})
}

// What is dead because its process was lost with it is told of with its attempts, and counted.
func TestDeath_ByLosses(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		var nodes []*node
		for i := range 4 {
			nodes = append(nodes, c.join(fmt.Sprint("n", i), 0, 0, takes(time.Hour)))
		}
		c.work(nodes...)
		c.evenly(nodes[0])
		nodes[0].put("poison", schedule.After(0))
		for i, n := range nodes[:3] {
			time.Sleep(time.Minute)
			c.kill(n)
			c.evenly(nodes[i+1])
		}
		time.Sleep(time.Second)
		if n := c.logged(`msg="a run is dead" task=poison kind=k attempts=3`); n != 1 {
			t.Errorf("its death is logged %d times, want once, after 3 attempts\n%s", n, c.log.String())
		}
		if k := nodes[3].stats().Kinds["k"]; k.Dead != 1 || k.Lost != 1 {
			t.Errorf("the last has counted %d dead and %d lost, want the third loss and the death", k.Dead, k.Lost)
		}
	})
}

// What was granted when the end had been asked for does not start, and is not dead.
func TestClose_AtMostOnceBeforeItsStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &slowClaims{Store: memory.New(memory.Options{}), by: time.Second}
		s, err := duly.New(duly.Options{Store: st})
		if err != nil {
			t.Fatal(err)
		}
		var began, closed time.Duration
		start := time.Now()
		k := duly.Handle(s, "k", func(ctx context.Context, a *duly.Attempt[string]) error {
			began = time.Since(start)
			return takes(time.Hour)(ctx, a)
		})
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		time.Sleep(time.Second)
		if _, err := k.Put(t.Context(), "a", "", schedule.After(0), duly.AtMostOnce()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		closed = time.Since(start)
		if err := errors.Join(s.Close(t.Context()), <-ended); err != nil {
			t.Error(err)
		}
		if n, err := st.Stats(t.Context()); err != nil || n.Dead != 0 {
			t.Errorf("closed at %v, began at %v; %d are dead, %v, want that it is still to begin", closed, began, n.Dead, err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
}

// However long attempts are given, they have that time.
func TestRun_DrainsForEver(t *testing.T) {
	tap(t, duly.Options{DrainTimeout: math.MaxInt64}, takes(100*time.Hour), func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { r.ended <- r.d.Run(ctx) }()
		r.put("a", schedule.After(time.Second))
		r.at(2 * time.Second)
		cancel()
		r.at(100 * time.Hour)
		_ = r.ends(false)
		r.at(100*time.Hour + time.Second)
		if err := r.ends(true); err != nil {
			t.Errorf("Run: %v", err)
		}
		r.wantRan("1s a #1")
		if got, want := r.counts(), (duly.KindStats{Started: 1, Succeeded: 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		r.end()
	})
}

// Run that is asked to end while nothing runs ends at once, whoever asks.
func TestRun_EndsAtOnce(t *testing.T) {
	for _, how := range []string{"its context ends", "drained", "closed"} {
		t.Run(how, func(t *testing.T) {
			tap(t, duly.Options{}, takes(5*time.Second), func(t *testing.T, r *rig) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() { r.ended <- r.d.Run(ctx) }()
				r.put("a", schedule.After(0))
				r.at(10 * time.Second)
				var err error
				switch how {
				case "its context ends":
					cancel()
				case "drained":
					err = r.d.Drain(t.Context())
				case "closed":
					err = r.d.Close(t.Context())
				}
				if err = errors.Join(err, r.ends(true)); err != nil || r.since() != 10*time.Second {
					t.Errorf("it has ended at %v, %v", r.since(), err)
				}
				r.end()
			})
		})
	}
}

// Close whose time is over while a call to the store hangs says of no attempt that it runs, because none does.
func TestClose_NothingRuns(t *testing.T) {
	tap(t, duly.Options{}, quick, func(t *testing.T, r *rig) {
		r.work()
		r.hang("Claim")
		r.put("a", schedule.After(0))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := r.d.Close(ctx)
		if u, is := errors.AsType[*duly.UnfinishedError](err); is {
			t.Errorf("Close: %v, though %d run", err, len(u.Running))
		}
		if err := r.ends(true); err != nil || r.since() != time.Second {
			t.Errorf("Run has ended at %v, %v", r.since(), err)
		}
		r.wantRan()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}
