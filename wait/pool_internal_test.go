package wait

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"time"
)

// A pool is not idle while a future is on its way to its answer, whoever it is that calls the work off: after a Join the answer is
// there.
func TestPool_JoinWaitsForTheAnswers(t *testing.T) {
	ways := map[string]struct {
		opts []SubmitOption
		end  func(p *Pool, f *Future[int], cancel context.CancelCauseFunc)
		want error
	}{
		"its Cancel":   {nil, func(_ *Pool, f *Future[int], _ context.CancelCauseFunc) { go f.Cancel() }, ErrCancelled},
		"its context":  {nil, func(_ *Pool, _ *Future[int], cancel context.CancelCauseFunc) { cancel(io.EOF) }, io.EOF},
		"its deadline": {[]SubmitOption{StartWithin(time.Millisecond)}, func(*Pool, *Future[int], context.CancelCauseFunc) {}, ErrTimeout},
		"Close":        {nil, func(p *Pool, _ *Future[int], _ context.CancelCauseFunc) { go func() { _ = p.CloseFor(0) }() }, ErrClosed},
	}
	until := func(ok func() bool) {
		for !ok() {
			runtime.Gosched()
		}
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			p := NewPool(1)
			release := make(chan struct{})
			if _, err := Submit(t.Context(), p, func(context.Context) (int, error) { <-release; return 0, nil }); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			f, err := Submit(ctx, p, func(context.Context) (int, error) { return 1, nil }, way.opts...)
			if err != nil {
				t.Fatal(err)
			}
			f.g.mu.Lock() // it can be called off now, but not be answered
			way.end(p, f, cancel)
			until(f.claimed.Load)
			close(release)
			until(func() bool { return p.Running() == 0 && p.Queued() == 0 })
			if err := p.JoinFor(0); !errors.Is(err, ErrTimeout) {
				t.Errorf("joined before the answer: %v", err)
			}
			if err := p.DrainFor(0); !errors.Is(err, ErrTimeout) {
				t.Errorf("drained before the answer: %v", err)
			}
			f.g.mu.Unlock()
			if err := p.Drain(t.Context()); err != nil {
				t.Error(err)
			}
			if _, ok, err := f.TryGet(); !ok || !errors.Is(err, way.want) {
				t.Errorf("after Drain: answered: %t, %v, want %v", ok, err, way.want)
			}
			if p.open != 0 {
				t.Errorf("%d are counted as open", p.open)
			}
		})
	}
}
