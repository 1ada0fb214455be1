package wait_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/wait"
)

// A badContext is a context of a user's own, which panics.
type badContext struct {
	context.Context //nolint:containedctx // it is one

	done func() <-chan struct{}
	err  func() error
}

func (c badContext) Done() <-chan struct{} { return c.done() }
func (c badContext) Err() error            { return c.err() }

// A context that panics when it is asked has its panic with the caller, or in the error of the call whose context ended; nobody
// stays in line who is not there any more, and takes what others wait for with him.
func TestBadContexts_LeaveNobodyInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		ended := func() bool {
			select {
			case <-end:
				return true
			default:
				return false
			}
		}
		none := func() error { return nil }
		never := func() <-chan struct{} { panic("Done") }
		atOnce := badContext{t.Context(), never, none}
		unasked := badContext{t.Context(), func() <-chan struct{} { return end }, func() error {
			if ended() {
				panic("Err")
			}
			return nil
		}}
		all := kinds(t, nil)
		late, after := map[string]<-chan error{}, map[string]<-chan error{}
		for name, k := range all {
			if v := parktest.MustPanic(t, func() { _ = k.wait(atOnce) }); v != "Done" {
				t.Errorf("%s: panic: %v", name, v)
			}
			late[name] = call(func() error { return k.wait(unasked) })
			synctest.Wait()
			after[name] = call(func() error { return k.waitFor(time.Hour) })
			synctest.Wait()
		}
		p := newPool(nil, 1, 1)
		release := hold(t, p)
		if v := parktest.MustPanic(t, func() { _ = p.Drain(atOnce) }); v != "Done" {
			t.Errorf("Drain: panic: %v", v)
		}
		drained := call(func() error { return p.Drain(t.Context()) })
		close(end)
		synctest.Wait()
		for name, k := range all {
			if err, ok := returned(late[name]); !ok || err == nil || errors.Is(err, wait.ErrTimeout) {
				t.Errorf("%s: returned %t, %v", name, ok, err)
			}
			k.free()
			synctest.Wait()
			if err, ok := returned(after[name]); !ok || err != nil {
				t.Errorf("%s, freed: returned %t, %v", name, ok, err)
			}
			if what, waiting := k.left(); what != "" || waiting != 0 {
				t.Errorf("%s: %d still there, %s", name, waiting, what)
			}
		}
		release()
		if err := <-drained; err != nil {
			t.Error(err)
		}
	})
}
