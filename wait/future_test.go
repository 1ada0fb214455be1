package wait_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/timer"
	"github.com/dulyhq/duly/wait"
)

func thePanicOfTheWork(context.Context) (int, error) { panic(io.ErrUnexpectedEOF) }

// checkPanic wants the error of a panic, with the value and a stack that shows where.
func checkPanic(t *testing.T, err error, where string) {
	t.Helper()
	p, ok := errors.AsType[*timer.PanicError](err)
	if !ok || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(string(p.Stack), where) {
		t.Errorf("got %v (%T), want a panic with its stack", err, err)
	}
}

// A future gives the work's value, error or panic to all who ask; asking in vain does nothing to the work; Cancel before the start
// prevents it, and not after.
// requirement: P16
func TestFutureResult(t *testing.T) {
	refused := errors.New("refused")
	t.Run("value, error, panic, Goexit", func(t *testing.T) {
		f := wait.Go(t.Context(), func(context.Context) (int, error) { return 42, nil })
		for range 2 {
			if v, err := f.Get(t.Context()); v != 42 || err != nil {
				t.Errorf("got %v, %v", v, err)
			}
		}
		f = wait.Go(t.Context(), func(context.Context) (int, error) { return 7, refused })
		if v, err := f.GetFor(time.Minute); v != 7 || !errors.Is(err, refused) {
			t.Errorf("got %v, %v", v, err)
		}
		f = wait.Go(t.Context(), thePanicOfTheWork)
		_, err := f.Get(t.Context())
		checkPanic(t, err, "thePanicOfTheWork")
		f = wait.Go(t.Context(), func(context.Context) (int, error) { runtime.Goexit(); return 1, nil })
		if v, err := f.Get(t.Context()); v != 0 || !errors.Is(err, timer.ErrGoexit) {
			t.Errorf("got %v, %v", v, err)
		}
		f = wait.Go[int](t.Context(), nil)
		if _, err := f.Get(t.Context()); err == nil {
			t.Error("no work, and no error")
		}
	})
	t.Run("giving up", func(t *testing.T) {
		parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
			release := make(chan struct{})
			f := wait.Go(t.Context(), func(ctx context.Context) (int, error) { <-release; return 42, ctx.Err() })
			f.Engine = v.Engine
			enough := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			timed := call(func() error { _, err := f.GetFor(time.Second); return err })
			cancelled := call(func() error { _, err := f.Get(ctx); return err })
			patient := call(func() error { _, err := f.GetFor(time.Hour); return err })
			v.Pass(time.Second - 1)
			if err, ok := returned(timed); ok {
				t.Errorf("early: %v", err)
			}
			v.Pass(1)
			cancel(enough)
			if err := <-timed; !errors.Is(err, wait.ErrTimeout) {
				t.Error(err)
			}
			if err := <-cancelled; !errors.Is(err, enough) {
				t.Error(err)
			}
			if _, err := f.GetFor(0); !errors.Is(err, wait.ErrTimeout) {
				t.Error(err)
			}
			if got, ok, err := f.TryGet(); got != 0 || ok || err != nil {
				t.Errorf("TryGet: %v, %v, %v", got, ok, err)
			}
			if f.Cancel() {
				t.Error("cancelled what has begun")
			}
			close(release)
			if err := <-patient; err != nil {
				t.Error(err)
			}
			<-f.Done()
			if got, ok, err := f.TryGet(); got != 42 || !ok || err != nil {
				t.Errorf("TryGet: %v, %v, %v", got, ok, err)
			}
			if got, err := f.GetFor(0); got != 42 || err != nil {
				t.Errorf("GetFor(0): %v, %v", got, err)
			}
			if _, err := f.Get(ctx); !errors.Is(err, enough) {
				t.Errorf("there is a value, but the context has ended: %v", err)
			}
			if f.Cancel() {
				t.Error("cancelled what is over")
			}
		})
	})
	t.Run("an ended context", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(refused)
		f := wait.Go(ctx, func(context.Context) (int, error) { t.Error("called"); return 1, nil })
		if _, err := f.Get(t.Context()); !errors.Is(err, refused) {
			t.Error(err)
		}
	})
	t.Run("cancel against the start", func(t *testing.T) {
		cancelled := 0
		n := parktest.Rounds(20_000)
		for range n {
			var ran atomic.Bool
			f := wait.Go(t.Context(), func(context.Context) (int, error) { ran.Store(true); return 1, nil })
			if rand.IntN(2) == 0 {
				runtime.Gosched()
			}
			won := f.Cancel()
			v, err := f.Get(t.Context())
			switch {
			case won && (!errors.Is(err, wait.ErrCancelled) || v != 0 || ran.Load()), !won && (err != nil || v != 1 || !ran.Load()):
				t.Fatalf("cancelled: %v, ran: %v; %v, %v", won, ran.Load(), v, err)
			case won:
				cancelled++
			}
		}
		t.Logf("%d of %d were cancelled", cancelled, n)
	})
}

// A promise is resolved once; Begin shuts the door on Cancel.
func TestPromise(t *testing.T) {
	t.Run("resolved", func(t *testing.T) {
		var p wait.Promise[string]
		if !p.Resolve("first", nil) || p.Resolve("second", io.EOF) || p.Begin() || p.Future().Cancel() {
			t.Error("resolved twice, cancelled, or begun afterwards")
		}
		if v, err := p.Future().Get(t.Context()); v != "first" || err != nil {
			t.Errorf("got %q, %v", v, err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		var p wait.Promise[string]
		if !p.Future().Cancel() || p.Future().Cancel() || p.Begin() || p.Resolve("late", nil) {
			t.Error("cancelled twice, begun or resolved afterwards")
		}
		if v, err := p.Future().Get(t.Context()); v != "" || !errors.Is(err, wait.ErrCancelled) {
			t.Errorf("got %q, %v", v, err)
		}
	})
	t.Run("begun", func(t *testing.T) {
		var p wait.Promise[string]
		if !p.Begin() || p.Begin() || p.Future().Cancel() || !p.Resolve("done", io.EOF) {
			t.Error("begun twice, cancelled, or not resolved")
		}
		if v, err := p.Future().Get(t.Context()); v != "done" || !errors.Is(err, io.EOF) {
			t.Errorf("got %q, %v", v, err)
		}
	})
	t.Run("races", func(t *testing.T) {
		for range parktest.Rounds(20_000) {
			var p wait.Promise[int]
			f := p.Future()
			var wins [4]atomic.Int32
			told := make(chan int, 2)
			var wg sync.WaitGroup
			f.Then(func(v int, _ error) { told <- v })
			for i := range wins {
				wg.Go(func() {
					if i == 3 && f.Cancel() || i < 3 && p.Resolve(i+1, nil) {
						wins[i].Add(1)
					}
				})
			}
			got, err := f.Get(t.Context())
			f.Then(func(v int, _ error) { told <- v })
			wg.Wait()
			won, want := int32(0), 0
			for i := range wins {
				if n := wins[i].Load(); n > 0 {
					won += n
					want = (i + 1) % 4
				}
			}
			if a, b := <-told, <-told; won != 1 || got != want || a != want || b != want || (want == 0) != errors.Is(err, wait.ErrCancelled) {
				t.Fatalf("%d have won, the value is %d, %d and %d were told, want %d; %v", won, got, a, b, want, err)
			}
		}
	})
}

// Of Begin and Cancel one wins, and a Resolve beside them comes through unless Cancel has won.
func TestPromise_BeginAgainstCancel(t *testing.T) {
	counts := map[string]int{}
	for range parktest.Rounds(20_000) {
		var p wait.Promise[int]
		f := p.Future()
		var begun, cancelled, resolved bool
		var told atomic.Int32
		var wg sync.WaitGroup
		stop := f.Then(func(int, error) { told.Add(1) })
		for _, i := range rand.Perm(4) {
			switch i {
			case 0:
				wg.Go(func() { begun = p.Begin() })
			case 1:
				wg.Go(func() { cancelled = f.Cancel() })
			case 2:
				wg.Go(func() { resolved = p.Resolve(1, nil) })
			case 3:
				wg.Go(func() {
					if stop() {
						told.Add(1)
					}
				})
			}
		}
		v, err := f.Get(t.Context())
		wg.Wait()
		for told.Load() == 0 {
			runtime.Gosched()
		}
		if cancelled == resolved || cancelled && begun || cancelled != errors.Is(err, wait.ErrCancelled) || resolved != (v == 1 && err == nil) || told.Load() != 1 {
			t.Fatalf("begun: %t, cancelled: %t, resolved: %t; %d, %v; told or taken back %d times", begun, cancelled, resolved, v, err, told.Load())
		}
		switch {
		case cancelled:
			counts["cancelled"]++
		case begun:
			counts["begun"]++
		default:
			counts["resolved unbegun"]++
		}
	}
	t.Log(counts)
}

// promises makes n promises and the list of their futures.
func promises[T any](n int, e *timer.Engine) ([]*wait.Promise[T], []*wait.Future[T]) {
	ps := make([]*wait.Promise[T], n)
	fs := make([]*wait.Future[T], n)
	for i := range ps {
		ps[i] = new(wait.Promise[T])
		fs[i] = ps[i].Future()
		fs[i].Engine = e
	}
	return ps, fs
}

func TestFuture_All(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		ps, fs := promises[int](3, v.Engine)
		all := wait.All(fs...)
		got := call(func() error {
			vs, err := all.GetFor(time.Hour)
			if diff := cmp.Diff([]int{0, 10, 20}, vs); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			return err
		})
		for _, i := range []int{2, 0, 1} {
			v.Pass(time.Second)
			if _, ok := returned(got); ok {
				t.Error("early")
			}
			ps[i].Resolve(i*10, nil)
		}
		if err := <-got; err != nil {
			t.Error(err)
		}
		ps, fs = promises[int](3, v.Engine)
		all = wait.All(fs...)
		ps[1].Resolve(0, io.EOF)
		if vs, err := all.GetFor(0); !errors.Is(err, io.EOF) || vs != nil {
			t.Errorf("the first error comes at once: got %v, %v", vs, err)
		}
		ps[0].Resolve(0, nil)
		ps[2].Resolve(0, io.ErrUnexpectedEOF)
		if _, err := all.GetFor(0); !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		if vs, err := wait.All[int]().GetFor(0); err != nil || len(vs) != 0 || vs == nil {
			t.Errorf("of none: %v, %v", vs, err)
		}
		if _, err := wait.All(fs[0], fs[0]).GetFor(0); err != nil {
			t.Errorf("the same one twice: %v", err)
		}
	})
}

func TestFuture_Any(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		ps, fs := promises[int](3, v.Engine)
		first := wait.Any(fs...)
		ps[2].Resolve(0, io.EOF)
		if _, err := first.GetFor(0); !errors.Is(err, wait.ErrTimeout) {
			t.Errorf("an error is not the first value: %v", err)
		}
		ps[1].Resolve(11, nil)
		ps[0].Resolve(10, nil)
		if got, err := first.GetFor(0); got != 11 || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
		ps, fs = promises[int](2, v.Engine)
		first = wait.Any(fs...)
		ps[0].Resolve(1, io.EOF)
		fs[1].Cancel()
		if got, err := first.GetFor(0); got != 0 || !errors.Is(err, io.EOF) || !errors.Is(err, wait.ErrCancelled) {
			t.Errorf("all have failed: got %v, %v", got, err)
		}
		if _, err := wait.Any[int]().GetFor(0); err == nil || errors.Is(err, wait.ErrTimeout) {
			t.Errorf("of none: %v", err)
		}
		_, fs = promises[int](2, v.Engine)
		first = wait.Any(fs...)
		if !first.Cancel() {
			t.Error("not cancelled")
		}
		if _, ok, _ := fs[0].TryGet(); ok {
			t.Error("the cancel went through to what was waited for")
		}
	})
}

func TestFuture_AsCompleted(t *testing.T) {
	index := func(fs []*wait.Future[int], f *wait.Future[int]) int {
		for i := range fs {
			if fs[i] == f {
				return i
			}
		}
		return -1
	}
	synctest.Test(t, func(t *testing.T) {
		ps, fs := promises[int](5, nil)
		ps[3].Resolve(0, nil) // before the range: in the order of the arguments
		ps[1].Resolve(0, io.EOF)
		go func() {
			for _, i := range []int{4, 0, 2} {
				time.Sleep(time.Second)
				ps[i].Resolve(0, nil)
			}
		}()
		var got []int
		for f := range wait.AsCompleted(t.Context(), fs...) {
			got = append(got, index(fs, f))
			if _, ok, _ := f.TryGet(); !ok {
				t.Error("not complete")
			}
		}
		if diff := cmp.Diff([]int{1, 3, 4, 0, 2}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for range wait.AsCompleted[int](t.Context()) {
			t.Error("something of nothing")
		}

		ps, fs = promises[int](3, nil)
		ps[0].Resolve(0, nil)
		seq := wait.AsCompleted(t.Context(), fs...)
		for range seq { // left early; nothing blocks those that come later
			break
		}
		ps[1].Resolve(0, nil)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		got = nil
		for f := range wait.AsCompleted(ctx, fs...) { // ends with its context: the third never comes
			got = append(got, index(fs, f))
		}
		for range wait.AsCompleted(ctx, fs...) {
			t.Error("a range whose context has ended")
		}
		if diff := cmp.Diff([]int{0, 1}, got); diff != "" || ctx.Err() == nil {
			t.Errorf("%v (-want +got):\n%s", ctx.Err(), diff)
		}
	})
}

// What is completed by many at once is given once each.
func TestFuture_AsCompletedOnceEach(t *testing.T) {
	for range parktest.Rounds(2_000) {
		ps, fs := promises[int](8, nil)
		var wg sync.WaitGroup
		for i, p := range ps {
			wg.Go(func() { p.Resolve(i, nil) })
		}
		all, first := wait.All(fs...), wait.Any(fs...)
		sum, n := 0, 0
		for f := range wait.AsCompleted(t.Context(), fs...) {
			v, _ := f.Get(t.Context())
			sum += 1 << v
			n++
		}
		wg.Wait()
		vs, err := all.Get(t.Context())
		if diff := cmp.Diff([]int{0, 1, 2, 3, 4, 5, 6, 7}, vs); diff != "" || err != nil || n != 8 || sum != 255 {
			t.Fatalf("%d, %d, %v (-want +got):\n%s", n, sum, err, diff)
		}
		if _, err := first.GetFor(0); err != nil {
			t.Fatal(err)
		}
	}
}

// A chain of futures, each of which waits for the one before.
func TestFuture_Chain(t *testing.T) {
	var p wait.Promise[int]
	f := p.Future()
	for range 1000 {
		before := f
		next := new(wait.Promise[int])
		before.Then(func(v int, err error) { next.Resolve(v+1, err) })
		f = next.Future()
	}
	p.Resolve(0, nil)
	if v, err := f.GetFor(time.Minute); v != 1000 || err != nil {
		t.Errorf("got %v, %v", v, err)
	}
}
