package wait_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/wait"
)

// A nil context is context.Background() wherever one is taken.
func TestNilContext_IsBackground(t *testing.T) {
	var none context.Context
	one := func(ctx context.Context) (int, error) { return 1, ctx.Err() }
	sem, latch, p := wait.NewSemaphore(1), wait.NewLatch(0), wait.NewPool(1)
	cond := wait.NewCond(hooked{unlock: func() {}})
	var mutex, unlocked wait.Mutex
	var rw wait.RWMutex
	var event wait.Event
	event.Set()
	var napper wait.Napper
	var plain wait.Group
	answer := func(f *wait.Future[int], err error) error {
		if err == nil {
			_, err = f.Get(none)
		}
		return err
	}
	calls := map[string]func() error{
		"Sleep":                  func() error { return wait.Sleep(none, 1) },
		"Mutex.LockContext":      func() error { return mutex.LockContext(none) },
		"Mutex.DoContext":        func() error { return unlocked.DoContext(none, func() {}) },
		"RWMutex.RLockContext":   func() error { return rw.RLockContext(none) },
		"Semaphore.Acquire":      func() error { return sem.Acquire(none, 1) },
		"Event.WaitContext":      func() error { return event.WaitContext(none) },
		"Latch.WaitContext":      func() error { return latch.WaitContext(none) },
		"Cond.WaitUntil":         func() error { return cond.WaitUntil(none, func() bool { return true }) },
		"Napper.NapContext":      func() error { _, err := napper.NapContext(none, 1); return err },
		"Napper.NapUntilContext": func() error { _, err := napper.NapUntilContext(none, time.Unix(0, 0)); return err },
		"Group.GoContext":        func() error { return plain.GoContext(none, func() error { return nil }) },
		"Group.WaitContext":      func() error { return plain.WaitContext(none) },
		"WithContext": func() error {
			g, ctx := wait.WithContext(none)
			g.Go(ctx.Err)
			return g.Wait()
		},
		"Go":     func() error { return answer(wait.Go(none, one), nil) },
		"Submit": func() error { return answer(wait.Submit(none, p, one)) },
		"SubmitFor": func() error {
			if err := p.Join(none); err != nil {
				return err
			}
			return answer(wait.SubmitFor(none, 0, p, one))
		},
		"AsCompleted": func() error {
			n := 0
			for f := range wait.AsCompleted(none, wait.Go(none, one), wait.Go(none, one)) {
				n++
				if err := answer(f, nil); err != nil {
					return err
				}
			}
			if n != 2 {
				return fmt.Errorf("%d of 2 came", n)
			}
			return nil
		},
	}
	for name, f := range calls {
		if err := f(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := p.Drain(none); err != nil {
		t.Errorf("Drain: %v", err)
	}
	if err := p.Close(none); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// A future that is not there is a mistake that is told at the call, by its place, before anything is done to the others.
func TestNilFuture_IsTold(t *testing.T) {
	var p wait.Promise[int]
	fs := []*wait.Future[int]{p.Future(), nil, p.Future()}
	for name, f := range map[string]func(){
		"All":         func() { wait.All(fs...) },
		"Any":         func() { wait.Any(fs...) },
		"AsCompleted": func() { wait.AsCompleted(t.Context(), fs...) },
		"All, first":  func() { wait.All[int](nil, p.Future()) },
	} {
		op, _, first := strings.Cut(name, ",")
		place := "future 1 of 3"
		if first {
			place = "future 0 of 2"
		}
		if v, _ := parktest.MustPanic(t, f).(string); !strings.Contains(v, op+": "+place) {
			t.Errorf("%s: panic: %q", name, v)
		}
	}
	p.Resolve(1, nil) // nobody is there to be told, and to panic
}
