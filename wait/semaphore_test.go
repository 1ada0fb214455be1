package wait_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/wait"
)

func newSemaphore(v parktest.Venue, n int64) *wait.Semaphore {
	s := wait.NewSemaphore(n)
	s.Engine = v.Engine
	return s
}

// counts compares what can be seen of a semaphore.
func counts(t *testing.T, when string, s *wait.Semaphore, size, held int64, waiting int) {
	t.Helper()
	type view struct {
		Size, Held int64
		Waiting    int
	}
	if diff := cmp.Diff(view{size, held, waiting}, view{s.Size(), s.Held(), s.Waiting()}); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

// Seven permits let seven in at a time: so a semaphore of more than one is no mutex, and what is shared needs one.
//
// requirement: P11, X53.
func TestSemaphoreLimits(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		s := newSemaphore(v, 7)
		var mu sync.Mutex
		var inside, most, done int
		var leave sync.WaitGroup
		gate := make(chan struct{})
		for range 10 {
			leave.Go(func() {
				if err := s.Acquire(t.Context(), 1); err != nil {
					t.Error(err)
				}
				mu.Lock() // the semaphore does not do that
				inside++
				most = max(most, inside)
				mu.Unlock()
				<-gate
				mu.Lock()
				inside--
				done++
				mu.Unlock()
				s.Release(1)
			})
		}
		v.Pass(0)
		mu.Lock()
		if inside != 7 {
			t.Errorf("%d are inside, want 7 at once", inside)
		}
		mu.Unlock()
		counts(t, "full", s, 7, 7, 3)
		close(gate)
		leave.Wait()
		if most != 7 || done != 10 {
			t.Errorf("%d at most, %d done", most, done)
		}
		counts(t, "in the end", s, 7, 0, 0)
	})
}

// requirement: P12.
func TestSemaphoreZeroBlocks(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		s := newSemaphore(v, 2)
		if err := s.Acquire(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		if s.TryAcquire(1) {
			t.Error("TryAcquire got one of none")
		}
		for _, d := range []time.Duration{-1, 0} {
			if err := s.AcquireFor(d, 1); !errors.Is(err, wait.ErrTimeout) {
				t.Errorf("for %v: %v", d, err)
			}
		}
		timed := call(func() error { return s.AcquireFor(50*time.Millisecond, 1) })
		synctest.Wait()
		v.Pass(50*time.Millisecond - 1)
		if err, ok := returned(timed); ok {
			t.Errorf("early: %v", err)
		}
		v.Pass(1)
		if err, ok := returned(timed); !ok || !errors.Is(err, wait.ErrTimeout) {
			t.Errorf("at 50 ms: returned %t, %v", ok, err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		limited := call(func() error { return s.Acquire(ctx, 1) })
		v.Pass(time.Second)
		cancel(errEnough)
		if err := <-limited; !errors.Is(err, errEnough) {
			t.Errorf("cancelled: %v", err)
		}
		counts(t, "after those who gave up", s, 2, 2, 0)
		s.Release(2)
		for _, n := range []int64{0, 1} {
			if err := s.Acquire(ctx, n); !errors.Is(err, errEnough) {
				t.Errorf("%d, free, with a context that has ended: %v", n, err)
			}
		}
		if err := s.AcquireFor(-1, 2); err != nil {
			t.Errorf("what is free, in no time: %v", err)
		}
		if !s.TryAcquire(0) || s.AcquireFor(0, 0) != nil {
			t.Error("nothing is not to be had")
		}
		counts(t, "in the end", s, 2, 2, 0)
	})
}

// A release is handed to who has waited longest, and no newcomer takes it; a wide call at the front is not overtaken by
// narrow ones; one that gives up lets them in.
//
// requirement: X43.
func TestNoBargingOverAcquire(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		s := newSemaphore(v, 3)
		if !s.TryAcquire(3) {
			t.Fatal("not free")
		}
		var order []int64
		var mu sync.Mutex
		for _, n := range []int64{1, 3, 2, 1, 1} {
			go func() {
				if err := s.Acquire(t.Context(), n); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, n)
				mu.Unlock()
			}()
			synctest.Wait()
		}
		release := func(n int64, want ...int64) {
			t.Helper()
			s.Release(n)
			if s.TryAcquire(1) {
				t.Error("a newcomer has barged in")
			}
			v.Pass(0)
			mu.Lock()
			defer mu.Unlock()
			if diff := cmp.Diff(want, order); diff != "" {
				t.Errorf("let in after %d were released (-want +got):\n%s", n, diff)
			}
		}
		release(1, 1)
		release(1, 1) // 3 waits in front, and keeps one free permit from the rest
		release(1, 1)
		release(1, 1, 3)
		s.Release(3)
		v.Pass(0)
		mu.Lock()
		if len(order) != 4 || s.Waiting() != 1 {
			t.Errorf("let in: %v", order)
		}
		mu.Unlock()
		s.Release(3)
		v.Pass(0)
		counts(t, "in the end", s, 3, 1, 0)
	})

	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		s := newSemaphore(v, 3)
		s.TryAcquire(2)
		wide := call(func() error { return s.AcquireFor(time.Minute, 2) })
		synctest.Wait()
		narrow := call(func() error { return s.AcquireFor(time.Hour, 1) })
		v.Pass(time.Minute - 1)
		if _, ok := returned(narrow); ok || s.TryAcquire(1) {
			t.Error("the wide one was overtaken")
		}
		v.Pass(1)
		if err := <-wide; !errors.Is(err, wait.ErrTimeout) {
			t.Error(err)
		}
		if err := <-narrow; err != nil || !v.Now().Equal(v.Start.Add(time.Minute)) {
			t.Errorf("behind it: %v at %v", err, v.Now())
		}
		counts(t, "in the end", s, 3, 3, 0)
	})
}

// requirement: P14, X52.
func TestSemaphoreOverRelease(t *testing.T) {
	s := wait.NewSemaphore(7)
	tooMany := func(n int64) {
		t.Helper()
		text, _ := parktest.MustPanic(t, func() { s.Release(n) }).(string)
		if !strings.Contains(text, "Release") || !strings.Contains(text, "want at most what is held") {
			t.Errorf("the panic says %q", text)
		}
	}
	for range 4 { // 7 and 4 more are 7
		tooMany(1)
	}
	tooMany(math.MaxInt64)
	counts(t, "untouched", s, 7, 0, 0)
	if err := s.Acquire(t.Context(), 5); err != nil {
		t.Error(err)
	}
	tooMany(6)
	counts(t, "after a release of too many", s, 7, 5, 0)
	s.Release(0)
	s.Release(2)
	s.Release(3)
	tooMany(1)
	counts(t, "in the end", s, 7, 0, 0)
	if !s.TryAcquire(7) || s.TryAcquire(1) {
		t.Error("there are not 7")
	}
}

// Bounded is the only kind of semaphore; waiting for a condition is Cond.WaitUntil's, see its tests; and in place of a
// re-entrant lock there is a token that says who holds it.
//
// requirement: P36.
func TestWaitForBounded(t *testing.T) {
	s := wait.NewSemaphore(1)
	parktest.MustPanic(t, func() { s.Release(1) })
	counts(t, "bounded", s, 1, 0, 0)

	synctest.Test(t, func(t *testing.T) {
		var m wait.Mutex
		m.Lock()
		// No re-entry: the same goroutine waits for itself like anybody else, and says so when its time is up.
		if err := m.LockFor(time.Second); !errors.Is(err, wait.ErrTimeout) {
			t.Errorf("locked again: %v", err)
		}
		m.Unlock()
	})

	// The token is made by who locks, and handed to what must be called with the lock held: the type says what a
	// re-entrant lock would look up.
	type locked struct{ balance *int }
	var m wait.Mutex
	balance := 0
	depositLocked := func(l locked, n int) { *l.balance += n }
	deposit := func(n int) { m.Do(func() { depositLocked(locked{&balance}, n) }) }
	transfer := func(n int) {
		m.Do(func() {
			l := locked{&balance}
			depositLocked(l, n)
			depositLocked(l, -n)
		})
	}
	deposit(3)
	transfer(2)
	if balance != 3 {
		t.Errorf("balance %d", balance)
	}
}

// What asks for more than there is fails at once, and what makes no sense panics.
func TestSemaphore_Arguments(t *testing.T) {
	s := wait.NewSemaphore(2)
	for _, err := range []error{s.Acquire(t.Context(), 3), s.AcquireFor(time.Hour, math.MaxInt64), new(wait.Semaphore).Acquire(t.Context(), 1)} {
		if !errors.Is(err, wait.ErrTooMany) {
			t.Errorf("more than there are: %v", err)
		}
	}
	if got, want := s.Acquire(t.Context(), 3).Error(), "wait: acquire: n is 3, want at most the size, which is 2: more permits than there are"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if s.TryAcquire(3) {
		t.Error("got more than there are")
	}
	for what, f := range map[string]func(){
		"NewSemaphore": func() { wait.NewSemaphore(-1) },
		"Acquire":      func() { _ = s.Acquire(t.Context(), -1) },
		"AcquireFor":   func() { _ = s.AcquireFor(time.Hour, -1) },
		"TryAcquire":   func() { s.TryAcquire(-1) },
		"AcquireFunc":  func() { s.AcquireFunc(-1, func() {}) },
		"Release":      func() { s.Release(-1) },
		"Resize":       func() { s.Resize(-1) },
	} {
		if text, _ := parktest.MustPanic(t, f).(string); !strings.Contains(text, what) || !strings.Contains(text, "want 0 or more") {
			t.Errorf("%s: the panic says %q", what, text)
		}
	}
	parktest.MustPanic(t, func() { s.AcquireFunc(1, nil) })
	counts(t, "after all that", s, 2, 0, 0)
}

// A larger size lets in who waits, a smaller one takes nothing away, and who wants more than there is now keeps its place and
// nobody out.
func TestSemaphore_Resize(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		s := &wait.Semaphore{Engine: v.Engine}
		counts(t, "zero", s, 0, 0, 0)
		s.Resize(2)
		s.TryAcquire(2)
		first := call(func() error { return s.AcquireFor(time.Hour, 2) })
		synctest.Wait()
		second := call(func() error { return s.AcquireFor(time.Hour, 1) })
		synctest.Wait()
		s.Resize(4)
		v.Pass(0)
		if err, ok := returned(first); !ok || err != nil {
			t.Errorf("first: returned %t, %v", ok, err)
		}
		counts(t, "grown", s, 4, 4, 1)
		s.Resize(1)
		counts(t, "shrunk", s, 1, 4, 1)
		s.Release(3)
		v.Pass(0)
		if _, ok := returned(second); ok {
			t.Error("let in while all of the smaller size is held")
		}
		s.Release(1)
		if err := <-second; err != nil {
			t.Error(err)
		}
		counts(t, "again full", s, 1, 1, 0)
		s.Resize(math.MaxInt64)
		if !s.TryAcquire(math.MaxInt64-1) || s.TryAcquire(1) {
			t.Error("the largest size is not right")
		}
	})

	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		s := newSemaphore(v, 5)
		s.TryAcquire(5)
		wide := call(func() error { return s.AcquireFor(time.Hour, 5) })
		synctest.Wait()
		s.Resize(3)
		narrow := call(func() error { return s.AcquireFor(time.Hour, 1) })
		v.Pass(0)
		s.Release(3)
		v.Pass(0)
		counts(t, "one permit free, and the wide one does not count", s, 3, 3, 1)
		if err, ok := returned(narrow); !ok || err != nil {
			t.Errorf("narrow: returned %t, %v", ok, err)
		}
		s.Release(1)
		if !s.TryAcquire(1) {
			t.Error("a newcomer is kept out by one who cannot be let in")
		}
		s.Resize(6)
		if s.TryAcquire(1) {
			t.Error("a newcomer has overtaken one who can be let in again")
		}
		s.Release(3)
		v.Pass(0)
		if err, ok := returned(wide); !ok || err != nil {
			t.Errorf("wide: returned %t, %v", ok, err)
		}
		counts(t, "in the end", s, 6, 5, 0)
	})
}

// A callback is let in like a call, in its place in the line, and costs no goroutine until then.
func TestSemaphore_AcquireFunc(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		s := newSemaphore(v, 2)
		ran := make(chan string, 10)
		run := func(what string) func() { return func() { ran <- what } }
		want := func(what ...string) {
			t.Helper()
			v.Pass(0)
			var got []string
			for len(ran) > 0 {
				got = append(got, <-ran)
			}
			if diff := cmp.Diff(what, got); diff != "" {
				t.Errorf("ran (-want +got):\n%s", diff)
			}
		}
		stop := s.AcquireFunc(2, run("free"))
		want("free")
		if stop() {
			t.Error("stopped what has run")
		}
		first := s.AcquireFunc(1, run("first"))
		wide := s.AcquireFunc(2, run("wide"))
		narrow := s.AcquireFunc(1, run("narrow"))
		blocked := call(func() error { return s.AcquireFor(time.Hour, 1) })
		want()
		counts(t, "waiting", s, 2, 2, 4)
		s.Release(1)
		want("first")
		s.Release(1)
		want()
		if first() || !wide() || wide() {
			t.Error("not the wide one was stopped, and once")
		}
		want("narrow")
		if narrow() {
			t.Error("stopped what has run")
		}
		s.Release(1)
		if err := <-blocked; err != nil {
			t.Error(err)
		}
		large := s.AcquireFunc(3, run("large"))
		s.Release(2)
		want()
		s.Resize(3)
		want("large")
		if large() {
			t.Error("stopped what has run")
		}
		counts(t, "in the end", s, 3, 3, 0)
	})
	t.Run("as the lock is released by the callback itself", func(t *testing.T) {
		s := wait.NewSemaphore(1)
		var wg sync.WaitGroup
		n := 0
		for range parktest.Rounds(10_000) {
			wg.Add(1)
			s.AcquireFunc(1, func() {
				defer wg.Done()
				n++ // guarded by the only permit
				s.Release(1)
			})
		}
		wg.Wait()
		if n != parktest.Rounds(10_000) {
			t.Errorf("ran %d times", n)
		}
	})
}

// 25,600 calls of all kinds, timed out and cancelled at random: no permit is lost, and none is made.
func TestSemaphore_Conserves(t *testing.T) {
	const size, callers, calls, turns = 7, 64, 400, 3
	s := wait.NewSemaphore(size)
	var held, most, granted, refused atomic.Int64
	enter := func(n int64) {
		granted.Add(1)
		now := held.Add(n)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
	}
	leave := func(n int64) {
		held.Add(-n)
		s.Release(n)
	}
	one := func(callbacks *sync.WaitGroup) {
		n := 1 + rand.Int64N(4)
		switch rand.IntN(8) {
		case 0:
			if !s.TryAcquire(n) {
				refused.Add(1)
				return
			}
		case 1:
			callbacks.Add(1)
			stop := s.AcquireFunc(n, func() {
				defer callbacks.Done()
				enter(n)
				leave(n)
			})
			if rand.IntN(2) == 0 && stop() {
				refused.Add(1)
				callbacks.Done()
			}
			return
		default:
			err := limited(func(ctx context.Context) error { return s.Acquire(ctx, n) },
				func(d time.Duration) error { return s.AcquireFor(d, n) })
			if err != nil {
				refused.Add(1)
				return
			}
		}
		enter(n)
		if rand.IntN(16) == 0 {
			_ = wait.Sleep(t.Context(), 10*time.Microsecond)
		}
		leave(n)
	}
	for range turns {
		granted.Store(0)
		refused.Store(0)
		var wg, callbacks sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range calls {
					one(&callbacks)
				}
			})
		}
		wg.Wait()
		callbacks.Wait()
		counts(t, "in the end", s, size, 0, 0)
		if granted.Load()+refused.Load() != callers*calls || granted.Load() == 0 || refused.Load() == 0 || most.Load() > size {
			t.Errorf("%d granted, %d refused, %d held at most", granted.Load(), refused.Load(), most.Load())
		}
		if !s.TryAcquire(size) || s.TryAcquire(1) {
			t.Errorf("there are not %d", size)
		}
		s.Release(size)
	}
	if n := park.Default().Stats().Pending; n != 0 {
		t.Errorf("%d deadlines are left", n)
	}
}
