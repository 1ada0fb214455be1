package duly

import (
	"strconv"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
)

// TestArm: the loop sleeps until the first instant at which there may be something for it, and where there is none no timer is set. Who waits for
// a token that is there waits for something else, of which the loop is told.
func TestArm(t *testing.T) {
	const never = time.Duration(-1)
	lease := func(r *run, in time.Duration) {
		r.window.leases.put(&entry{lease: r.c.mono().Add(in)})
	}
	wait := func(r *run, in time.Duration) {
		r.window.waiting.put(&entry{wait: r.c.now().Add(in)})
	}
	far := func(r *run) {
		el := r.c.eng.Elapsed()
		r.c.tuning.Store(&tuning{seen: true, far: true, zero: r.c.now() - store.Instant(el/time.Microsecond), at: el, looked: el})
	}
	rated := func(r *run, tokens float64) {
		k := &kind{bucket: newBucket(0.5, 1)}
		k.bucket.fill(r.c.eng.Elapsed())
		k.bucket.tokens = tokens
		k.gate.low.At = 1
		r.c.kinds = map[string]*kind{"k": k}
	}
	for _, tt := range []struct {
		what   string
		set    func(r *run, el time.Duration)
		want   time.Duration
		timers int
	}{
		{"nothing", func(*run, time.Duration) {}, never, 0},
		{"what comes due", func(r *run, _ time.Duration) { wait(r, 3*time.Second) }, 3 * time.Second, 1},
		{"of what comes due the first", func(r *run, _ time.Duration) { wait(r, 3*time.Second); wait(r, 2*time.Second) }, 2 * time.Second, 1},
		{"what nobody handles is to be dead", func(r *run, _ time.Duration) { r.lookAt = r.c.now().Add(5 * time.Second) }, 5 * time.Second, 1},
		{"another's lease", func(r *run, _ time.Duration) { lease(r, 4*time.Second) }, 4 * time.Second, 1},
		{"a lease, and what comes due", func(r *run, _ time.Duration) { lease(r, 4*time.Second); wait(r, 2*time.Second) }, 2 * time.Second, 2},
		{"what comes due, and a lease", func(r *run, _ time.Duration) { lease(r, time.Second); wait(r, 2*time.Second) }, time.Second, 2},
		{"the store fails", func(r *run, el time.Duration) {
			lease(r, time.Second)
			wait(r, time.Second)
			r.notUntil = el + 2*time.Second
		}, 2 * time.Second, 1},
		{"the store has failed", func(r *run, el time.Duration) { wait(r, 3*time.Second); r.notUntil = el }, 3 * time.Second, 1},
		{"no token", func(r *run, _ time.Duration) { rated(r, 0.5) }, time.Second, 1},
		{"a token", func(r *run, _ time.Duration) { rated(r, 1) }, never, 0},
		{"a token, and a lease", func(r *run, _ time.Duration) { rated(r, 1); lease(r, 4*time.Second) }, 4 * time.Second, 1},
		{"no token, and a lease", func(r *run, _ time.Duration) { rated(r, 0); lease(r, time.Second) }, time.Second, 1},
		{"a hint", func(r *run, el time.Duration) { r.hinted, r.resting = 1, el+5*time.Second }, 5 * time.Second, 1},
		{"no hint", func(r *run, el time.Duration) { r.resting = el + 5*time.Second }, never, 0},
		{"the hints have ended", func(r *run, el time.Duration) { r.listenAt = el + 6*time.Second }, 6 * time.Second, 1},
		{"a clock elsewhere", func(r *run, _ time.Duration) { far(r) }, tuneEvery, 1},
		{"a clock elsewhere that is being looked at", func(r *run, _ time.Duration) { far(r); r.looking = true }, never, 0},
		{"a clock elsewhere while nothing is ours", func(r *run, _ time.Duration) { far(r); r.own = &store.Share{} }, never, 0},
		{"what comes due by a clock elsewhere", func(r *run, _ time.Duration) { far(r); wait(r, 3*time.Second); lease(r, 5*time.Second) }, 3 * time.Second, 1},
		{"the window's end", func(r *run, _ time.Duration) { r.window.after.At = r.c.now().Add(ahead) }, ahead/2 + time.Microsecond, 1},
	} {
		inRun(t, func(t *testing.T, r *run, _ *surveyed) {
			r.own, r.window.after.At = nil, store.Never
			r.c.mu.Lock()
			tt.set(r, r.c.eng.Elapsed())
			r.armLocked()
			r.c.mu.Unlock()
			if n := r.c.eng.Stats().Pending; n != tt.timers {
				t.Errorf("%s: %d timers are set, want %d", tt.what, n, tt.timers)
			}
			begun, got := time.Now(), never
			select {
			case <-r.wake:
				got = time.Since(begun)
			case <-time.After(time.Minute):
			}
			if got != tt.want {
				t.Errorf("%s: woken after %v, want %v", tt.what, got, tt.want)
			}
		})
	}
}

// TestLook_Keys: of tasks of which it is not known what they are a page is read at a time, and all of them in the end.
func TestLook_Keys(t *testing.T) {
	for _, n := range []int{0, 1, 2, pageMost - 1, pageMost, pageMost + 1, 2*pageMost + 1} {
		inRun(t, func(t *testing.T, r *run, _ *surveyed) {
			r.own, r.window.after.At = nil, store.Never
			for i := range n {
				r.refetch[store.Key{Name: strconv.Itoa(i)}] = struct{}{}
			}
			for left := n; ; {
				l, done := r.look()
				if want := min(left, pageMost); len(l.keys) != want || l.pending != (want > 0) || done {
					t.Errorf("of %d that are left %d are read, and something is left to do: %v; want %d", left, len(l.keys), l.pending, want)
				}
				if len(l.keys) == 0 {
					break
				}
				if err := r.fetch(t.Context(), l.keys); err != nil {
					t.Error(err)
				}
				left = len(r.refetch)
			}
		})
	}
}

// TestLook_Rests: while the store fails nothing is looked for, and nothing is once nothing may start any more.
func TestLook_Rests(t *testing.T) {
	inRun(t, func(t *testing.T, r *run, _ *surveyed) {
		r.own = nil
		r.refetch[store.Key{Name: "a"}] = struct{}{}
		r.notUntil = r.c.eng.Elapsed() + time.Second
		if l, done := r.look(); done || l.pending || len(l.keys) > 0 || l.scan != nil {
			t.Errorf("while the store fails: %+v, %v", l, done)
		}
		time.Sleep(time.Second)
		if l, done := r.look(); done || !l.pending || len(l.keys) != 1 || l.scan == nil {
			t.Errorf("when it is tried again: %+v, %v", l, done)
		}
		r.draining = true
		if l, done := r.look(); !done || l.pending || len(l.keys) > 0 || l.scan != nil {
			t.Errorf("while it drains: %+v, %v", l, done)
		}
	})
}
