package wait_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/timer"
	"github.com/dulyhq/duly/wait"
)

// A kind is one of the ways to wait for something that somebody holds.
type kind struct {
	waitFor func(d time.Duration) error       // nil is to have had it, and to have given it back
	wait    func(ctx context.Context) error   // the same
	free    func()                            // gives what is held
	left    func() (what string, waiting int) // after all have ended, when free was called: what is not as it was
}

// kinds are all ways to wait in this package that somebody else can end, each with what it waits for held.
func kinds(t *testing.T, e *timer.Engine) map[string]kind {
	t.Helper()
	ks := map[string]kind{}
	lockKinds(ks, e)
	stateKinds(ks, e)
	workKinds(t, ks, e)
	return ks
}

// had gives back what was had.
func had(back func()) func(error) error {
	return func(err error) error {
		if err == nil {
			back()
		}
		return err
	}
}

// is names what is wrong unless it is well.
func is(well bool, what string) string {
	if well {
		return ""
	}
	return what
}

func lockKinds(ks map[string]kind, e *timer.Engine) {
	m := &wait.Mutex{Engine: e}
	m.Lock()
	unlock := had(m.Unlock)
	ks["Mutex.Lock"] = kind{
		func(d time.Duration) error { return unlock(m.LockFor(d)) },
		func(ctx context.Context) error { return unlock(m.LockContext(ctx)) },
		m.Unlock,
		func() (string, int) { return is(m.TryLock(), "locked"), 0 },
	}
	w := &wait.RWMutex{Engine: e}
	w.RLock()
	unlockW := had(w.Unlock)
	ks["RWMutex.Lock"] = kind{
		func(d time.Duration) error { return unlockW(w.LockFor(d)) },
		func(ctx context.Context) error { return unlockW(w.LockContext(ctx)) },
		w.RUnlock,
		func() (string, int) { return is(w.TryLock(), "locked"), 0 },
	}
	r := &wait.RWMutex{Engine: e}
	r.Lock()
	unlockR := had(r.RUnlock)
	ks["RWMutex.RLock"] = kind{
		func(d time.Duration) error { return unlockR(r.RLockFor(d)) },
		func(ctx context.Context) error { return unlockR(r.RLockContext(ctx)) },
		r.Unlock,
		func() (string, int) { return is(r.TryLock(), "locked"), 0 },
	}
	s := wait.NewSemaphore(3)
	s.Engine = e
	s.TryAcquire(2)
	release := had(func() { s.Release(2) })
	ks["Semaphore.Acquire"] = kind{
		func(d time.Duration) error { return release(s.AcquireFor(d, 2)) },
		func(ctx context.Context) error { return release(s.Acquire(ctx, 2)) },
		func() { s.Release(2) },
		func() (string, int) { return is(s.Held() == 0 && s.TryAcquire(3), "permits are held"), s.Waiting() },
	}
}

func stateKinds(ks map[string]kind, e *timer.Engine) {
	event, latch := &wait.Event{Engine: e}, wait.NewLatch(1)
	latch.Engine = e
	ks["Event.Wait"] = kind{event.WaitFor, event.WaitContext, event.Set, func() (string, int) { return "", event.Waiting() }}
	ks["Latch.Wait"] = kind{latch.WaitFor, latch.WaitContext, latch.CountDown, func() (string, int) { return "", 0 }}
	n := &wait.Napper{Engine: e}
	nap := func(ctx context.Context, d time.Duration) error {
		interrupted, err := n.NapContext(ctx, d)
		if err == nil && !interrupted {
			return wait.ErrTimeout
		}
		if interrupted { // others may sleep
			n.Interrupt()
		}
		return err
	}
	ks["Napper.Nap"] = kind{
		func(d time.Duration) error { return nap(context.Background(), d) },
		func(ctx context.Context) error { return nap(ctx, wait.Forever) },
		func() { n.Interrupt() },
		func() (string, int) { return is(n.Nap(0) && !n.Nap(0), "the interrupt is gone, or double"), 0 },
	}
	for name, l := range map[string]sync.Locker{"": new(sync.Mutex), ", Mutex": &wait.Mutex{Engine: e}} {
		c := &wait.Cond{Engine: e, L: l}
		ready := false
		locked := func(f func() error) error {
			l.Lock()
			defer l.Unlock()
			return f()
		}
		ks["Cond.WaitUntil"+name] = kind{
			func(d time.Duration) error {
				return locked(func() error { return c.WaitUntilFor(d, func() bool { return ready }) })
			},
			func(ctx context.Context) error {
				return locked(func() error { return c.WaitUntil(ctx, func() bool { return ready }) })
			},
			func() { _ = locked(func() error { ready = true; c.Broadcast(); return nil }) },
			func() (string, int) { return "", c.Waiting() },
		}
	}
}

func workKinds(t *testing.T, ks map[string]kind, e *timer.Engine) {
	t.Helper()
	promise := new(wait.Promise[int])
	f := promise.Future()
	f.Engine = e
	ks["Future.Get"] = kind{
		func(d time.Duration) error { _, err := f.GetFor(d); return err },
		func(ctx context.Context) error { _, err := f.Get(ctx); return err },
		func() { promise.Resolve(1, nil) },
		func() (string, int) { return "", 0 },
	}
	held := func() (*wait.Group, func()) {
		end := make(chan struct{})
		g := &wait.Group{Engine: e}
		g.SetLimit(1)
		g.Go(func() error { <-end; return nil })
		return g, func() { close(end); _ = g.Wait() }
	}
	g, freeG := held()
	ks["Group.Wait"] = kind{g.WaitFor, g.WaitContext, freeG, func() (string, int) { return "", g.Running() }}
	s, freeS := held()
	nothing := func() error { return nil }
	ks["Group.Go"] = kind{
		func(d time.Duration) error { return s.GoFor(d, nothing) },
		func(ctx context.Context) error { return s.GoContext(ctx, nothing) },
		freeS,
		func() (string, int) { _ = s.Wait(); return is(s.TryGo(nothing), "no place is free"), 0 },
	}
	p, j := newPool(e, 1, -1), newPool(e, 1, 1)
	freeP, freeJ := hold(t, p), hold(t, j)
	ks["Submit"] = kind{
		func(d time.Duration) error {
			_, err := wait.SubmitFor(t.Context(), d, p, value(1))
			return err
		},
		func(ctx context.Context) error { _, err := wait.Submit(ctx, p, value(1)); return err },
		freeP,
		func() (string, int) {
			_ = p.Join(t.Context())
			_, ok := wait.TrySubmit(t.Context(), p, value(1))
			return is(ok, "no place is free"), p.Queued()
		},
	}
	ks["Pool.Join"] = kind{j.JoinFor, j.Join, freeJ, func() (string, int) { return "", j.Running() }}
}

// engineEnds has all kinds wait for a time, for a context and for ever, ends their engine, and wants exactly those who wait for a
// time to be answered by that, with an error of which errors.Is says that it is want; the others, and those who come later, go on
// as if nothing had been.
func engineEnds(t *testing.T, e *timer.Engine, want error, end func()) {
	t.Helper()
	const each = 3
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	all := kinds(t, e)
	timed, bound, patient := map[string][]<-chan error{}, map[string][]<-chan error{}, map[string][]<-chan error{}
	for name, k := range all {
		for i := range each {
			patient[name] = append(patient[name], call(func() error { return k.wait(nil) }))
			timed[name] = append(timed[name], call(func() error { return k.waitFor(time.Hour + time.Duration(i)) }))
			bound[name] = append(bound[name], call(func() error { return k.wait(ctx) }))
		}
	}
	synctest.Wait()
	end()
	synctest.Wait()
	wants := func(when string, got map[string][]<-chan error, returns bool, want error) {
		t.Helper()
		for name, calls := range got {
			for i, c := range calls {
				if err, ok := returned(c); ok != returns || !errors.Is(err, want) {
					t.Errorf("%s: %s, %d: returned: %t, %v, want %t, %v", when, name, i, ok, err, returns, want)
				}
			}
		}
	}
	wants("the engine has ended, for a time", timed, true, want)
	wants("the engine has ended, until a context", bound, false, nil)
	for name, k := range all {
		if err := k.waitFor(time.Hour); !errors.Is(err, want) {
			t.Errorf("%s after the end: %v, want %v", name, err, want)
		}
		if err := k.waitFor(0); !errors.Is(err, wait.ErrTimeout) {
			t.Errorf("%s after the end, in no time: %v", name, err)
		}
	}
	cancel(enough)
	synctest.Wait()
	wants("cancelled", bound, true, enough)
	wants("for ever", patient, false, nil)
	for name, k := range all {
		k.free()
		synctest.Wait()
		wants("freed", map[string][]<-chan error{name: patient[name]}, true, nil)
		if what, waiting := k.left(); what != "" || waiting != 0 {
			t.Errorf("%s: %d still there, %s", name, waiting, what)
		}
	}
	synctest.Wait()
}

// An engine that is closed answers who waits for a time on it, whatever for, and nothing else changes.
func TestEngineCloses_AllAreAnswered(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		e := v.Engine
		if e == nil { // that one cannot be closed
			e = timer.New()
		}
		engineEnds(t, e, timer.ErrClosed, func() {
			if _, err := e.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
}

// An engine that New has not made, as in a struct whose field was forgotten, is told to who waits for a time, whatever for, with
// locks retaken and lines left.
func TestEngineNotMade_IsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := new(timer.Engine)
		for name, k := range kinds(t, e) {
			err := k.waitFor(time.Hour)
			if err == nil || errors.Is(err, wait.ErrTimeout) || !strings.Contains(err.Error(), "New") {
				t.Errorf("%s: %v", name, err)
			}
			patient := call(func() error { return k.wait(t.Context()) })
			synctest.Wait()
			k.free()
			synctest.Wait()
			if err, ok := returned(patient); !ok || err != nil {
				t.Errorf("%s, freed: returned %t, %v", name, ok, err)
			}
			if what, waiting := k.left(); what != "" || waiting != 0 {
				t.Errorf("%s: %d still there, %s", name, waiting, what)
			}
		}
		if err := (wait.Sleeper{Engine: e}).Sleep(t.Context(), time.Hour); err == nil {
			t.Error("slept for no time")
		}
		p := newPool(e, 1, 1)
		release := hold(t, p)
		if _, err := wait.Submit(t.Context(), p, value(1), wait.StartWithin(time.Hour)); err == nil {
			t.Error("accepted for a time that nobody keeps")
		}
		release()
		if err := p.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A failingClock panics when it is read by the engine's driver, once it is told to.
type failingClock struct {
	clock.Clock
	fails, driving atomic.Bool
}

func (c *failingClock) NewAlarm(wake func()) clock.Alarm {
	return c.Clock.NewAlarm(func() {
		c.driving.Store(true)
		defer c.driving.Store(false)
		wake()
	})
}

func (c *failingClock) Read() clock.Reading {
	if c.fails.Load() && c.driving.Load() {
		panic("no time")
	}
	return c.Clock.Read()
}

// An engine that breaks takes no deadline any more, and what waits for one is answered, with that, by its Close at the latest.
func TestEngineBreaks_AllAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &failingClock{Clock: clock.System()}
		e := timer.New(timer.Options{Clock: c, Logger: slog.New(slog.DiscardHandler)})
		engineEnds(t, e, timer.ErrBroken, func() {
			sleeper := call(func() error { return wait.Sleeper{Engine: e}.Sleep(t.Context(), time.Second) })
			synctest.Wait()
			c.fails.Store(true)
			time.Sleep(time.Minute)
			if e.Err() == nil {
				t.Fatal("it did not break")
			}
			if err := <-sleeper; !errors.Is(err, timer.ErrBroken) {
				t.Errorf("what it broke at: %v", err)
			}
		})
	})
}
