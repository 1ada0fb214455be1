package duly

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// heldRig is a scheduler that holds 10,000 bytes; handlers take what the first word of a task's name says.
type heldRig struct {
	t     *testing.T
	s     *Scheduler
	begun time.Time
	mu    sync.Mutex
	ran   map[string]time.Duration
	ended chan error
}

func newHeldRig(t *testing.T, o Options) *heldRig {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.core.heldMost = 10_000
	return &heldRig{t: t, s: s, begun: time.Now(), ran: map[string]time.Duration{}, ended: make(chan error, 1)}
}

func (r *heldRig) handle(kind string, opts ...KindOption) *Kind[[]byte] {
	return Handle(r.s, kind, func(ctx context.Context, a *Attempt[[]byte]) error {
		r.mu.Lock()
		if _, again := r.ran[a.Name]; !again {
			r.ran[a.Name] = time.Since(r.begun)
		}
		r.mu.Unlock()
		var word string
		_, _ = fmt.Sscan(a.Name, &word)
		d, err := time.ParseDuration(word)
		if err != nil {
			return err
		}
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}, opts...)
}

func (r *heldRig) put(k *Kind[[]byte], name string, size int, at time.Duration, opts ...PutOption) {
	r.t.Helper()
	if _, err := k.Put(r.t.Context(), name, make([]byte, size), schedule.After(at-time.Since(r.begun)), opts...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *heldRig) work() { go func() { r.ended <- r.s.Run(r.t.Context()) }() }

func (r *heldRig) when(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.ran[name]
	if !ok {
		return "never"
	}
	return at.String()
}

func (r *heldRig) end() {
	r.t.Helper()
	if err := errors.Join(r.s.Invariants(), r.s.Close(r.t.Context()), <-r.ended); err != nil {
		r.t.Error(err)
	}
}

// What waits for bytes keeps no place of its kind.
func TestHeld_HandsItsTurnOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHeldRig(t, Options{})
		narrow, wide := r.handle("narrow", Limit(1)), r.handle("wide")
		r.work()
		r.put(narrow, "10s fills its kind", 10, 0)
		r.put(narrow, "1s large", 9_000, time.Second)
		r.put(narrow, "1s small", 10, time.Second+1)
		r.put(wide, "1h holds bytes", 4_000, 2*time.Second)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if got := r.when("1s small"); got != "10s" {
			t.Errorf("what is small, and whose kind has a place free since 10s, began %s", got)
		}
		r.end()
	})
}

// What is large and waits for its kind holds up nobody who fits.
func TestHeld_BehindItsKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHeldRig(t, Options{})
		narrow, wide := r.handle("narrow", Limit(1)), r.handle("wide")
		r.work()
		r.put(narrow, "1h fills its kind", 4_000, 0)
		r.put(narrow, "1s large", 9_000, time.Second)
		r.put(wide, "1s fits", 2_000, 2*time.Second)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if w, err := r.s.WhyNot(t.Context(), "1s fits"); r.when("1s fits") != "2s" {
			t.Errorf("what fits, and whose kind has no limit, began %s, held up by what waits for its kind; WhyNot: %v %v, %v", r.when("1s fits"), w.Code, w.Text, err)
		}
		r.end()
	})
}

// However many wait for bytes, what is small starts.
func TestHeld_Many(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHeldRig(t, Options{})
		k := r.handle("k")
		r.work()
		r.put(k, "1h holds bytes", 4_000, 0)
		for i := range 256 {
			r.put(k, "1s large "+strconv.Itoa(i), 9_000, time.Second)
		}
		r.put(k, "1s small", 10, 2*time.Second)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if got := r.when("1s small"); got != "2s" {
			w, err := r.s.WhyNot(t.Context(), "1s small")
			t.Errorf("a small one, due at 2s beside free workers, began %s; WhyNot: %v %v, %v", got, w.Code, w.Text, err)
		}
		r.end()
	})
}

// However many wait for bytes, few of them are in memory.
func TestHeld_NearIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHeldRig(t, Options{})
		narrow, wide := r.handle("narrow", Limit(100)), r.handle("wide")
		r.work()
		for i := range 100 {
			r.put(narrow, "10s fills its kind "+strconv.Itoa(i), 10, 0)
		}
		var many []Item[[]byte]
		for i := range 40_000 {
			many = append(many, Item[[]byte]{Name: "1s large " + strconv.Itoa(i), Payload: make([]byte, 2_000), Schedule: schedule.After(time.Second)})
		}
		if _, err := narrow.PutMany(t.Context(), slices.Values(many)); err != nil {
			t.Fatal(err)
		}
		r.put(wide, "1h holds bytes", 9_000, 9*time.Second)
		for _, at := range []time.Duration{8 * time.Second, time.Minute, 10 * time.Minute} {
			time.Sleep(at - time.Since(r.begun))
			synctest.Wait()
			if st, err := r.s.Stats(t.Context()); err != nil || st.Near > windowMost+1000 {
				t.Errorf("after %v %d tasks are in memory, %v", at, st.Near, err)
			}
		}
		r.end()
	})
}

// Who waits for bytes starts when the one before it, which did not fit, is gone.
func TestHeld_FirstIsGone(t *testing.T) {
	for name, gone := range map[string]func(r *heldRig) error{
		"cancelled": func(r *heldRig) error {
			_, err := r.s.Cancel(r.t.Context(), "1s large")
			return err
		},
		"paused": func(r *heldRig) error {
			_, err := r.s.Pause(r.t.Context(), Query{Names: []string{"1s large"}}, "")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newHeldRig(t, Options{})
				k := r.handle("k")
				r.work()
				r.put(k, "1h holds bytes", 4_000, 0)
				r.put(k, "1s large", 9_000, time.Second)
				r.put(k, "1s fits", 2_000, 2*time.Second)
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if err := gone(r); err != nil {
					t.Fatal(err)
				}
				time.Sleep(30 * time.Minute)
				synctest.Wait()
				if got := r.when("1s fits"); got != "10s" {
					t.Errorf("what fits since 10s began %s", got)
				}
				r.end()
			})
		})
	}
}

// However many wait for bytes, or for their kind, few of them are in memory while all workers are taken, and all run in the end.
func TestHeld_NearIsBoundedBehindWorkers(t *testing.T) {
	for name, c := range map[string]struct {
		first, size int
		opts        []KindOption
	}{
		"bytes": {5_000, 2_000, nil},
		"kind":  {10, 10, []KindOption{Limit(2)}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newHeldRig(t, Options{Workers: 3})
				k, other := r.handle("k", c.opts...), r.handle("other")
				r.work()
				r.put(k, "10s a", c.first, 0)
				r.put(k, "10s b", c.first, 0)
				time.Sleep(time.Second)
				const n = 20_000
				var many []Item[[]byte]
				for i := range n {
					many = append(many, Item[[]byte]{Name: "1s many " + strconv.Itoa(i), Payload: make([]byte, c.size), Schedule: schedule.After(time.Second)})
				}
				if _, err := k.PutMany(t.Context(), slices.Values(many)); err != nil {
					t.Fatal(err)
				}
				r.put(other, "1h c", 10, 9*time.Second)
				r.put(other, "1h d", 10, 9*time.Second)
				for _, at := range []time.Duration{8 * time.Second, time.Minute, 10 * time.Minute} {
					time.Sleep(at - time.Since(r.begun))
					synctest.Wait()
					if st, err := r.s.Stats(t.Context()); err != nil || st.Near > windowMost+1000 {
						t.Errorf("after %v %d tasks are in memory, %v", at, st.Near, err)
					}
				}
				time.Sleep(6 * time.Hour)
				synctest.Wait()
				if st, err := r.s.Stats(t.Context()); err != nil || st.Kinds["k"].Succeeded != n+2 {
					t.Errorf("%d have run, want %d; %v", st.Kinds["k"].Succeeded, n+2, err)
				}
				r.end()
			})
		})
	}
}

// Who waits for a token, and is not in memory, is read though those before it are gone.
func TestRate_FirstAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHeldRig(t, Options{})
		k := r.handle("k", Rate(1, 1))
		r.work()
		for i := range 100 {
			r.put(k, fmt.Sprintf("1ms %02d", i), 10, time.Duration(i)*time.Millisecond)
		}
		time.Sleep(500 * time.Millisecond)
		for i := range 100 - 10 {
			if _, err := r.s.Cancel(t.Context(), fmt.Sprintf("1ms %02d", i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for i := 90; i < 100; i++ {
			if name := fmt.Sprintf("1ms %02d", i); r.when(name) == "never" {
				t.Errorf("%s has not begun", name)
			}
		}
		r.end()
	})
}

// However many more come to a gate, those who came before begin before them.
func TestGate_InOrder(t *testing.T) {
	for name, prio := range map[string]int{"of one priority": 0, "beside some that matter": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newHeldRig(t, Options{})
				k := r.handle("k", Limit(1))
				r.work()
				for i := range 100 {
					r.put(k, fmt.Sprint("1s early ", i), 10, time.Duration(i)*time.Millisecond)
				}
				time.Sleep(500 * time.Millisecond)
				const n = 300
				for i := range n {
					if r.put(k, fmt.Sprint("1s later ", i), 10, time.Since(r.begun)); i%10 == 0 {
						r.put(k, fmt.Sprint("1s soon ", i), 10, time.Since(r.begun), Priority(prio))
					}
					time.Sleep(time.Second)
				}
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				begun := func(name string) time.Duration {
					d, err := time.ParseDuration(r.when(name))
					if err != nil {
						t.Fatalf("%s has not begun", name)
					}
					return d
				}
				for i := range 100 {
					if name := fmt.Sprint("1s early ", i); begun(name) > begun("1s later 0") {
						t.Errorf("%s began after %v, and what came later after %v", name, begun(name), begun("1s later 0"))
					}
				}
				for i := range n - 1 {
					if a, b := begun(fmt.Sprint("1s later ", i)), begun(fmt.Sprint("1s later ", i+1)); a > b {
						t.Errorf("of what came later %d began after %v, and %d after %v", i, a, i+1, b)
					}
				}
				for i := 0; i < n; i += 10 {
					late := begun(fmt.Sprint("1s soon ", i)) - time.Duration(i)*time.Second - 500*time.Millisecond
					if late > 2*time.Second && prio > 0 {
						t.Errorf("what matters, of %ds, began %v late", i, late)
					}
				}
				r.end()
			})
		})
	}
}

// No gate of a key is kept when the last are gone that waited for it.
func TestGate_KeptForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHeldRig(t, Options{Workers: 2})
		k := r.handle("k")
		r.work()
		r.put(k, "10s a", 10, 0, Key("x", 1))
		r.put(k, "1s b", 10, time.Millisecond, Key("x", 1))
		r.put(k, "1s c", 10, 2*time.Millisecond, Key("x", 1))
		time.Sleep(time.Second)
		r.put(k, "1h d", 10, 2*time.Second)
		r.put(k, "1h e", 10, 3*time.Second, Priority(1)) // goes before b, whose turn it is at 10s
		time.Sleep(10 * time.Second)
		for _, name := range []string{"1s c", "1s b"} {
			if o, err := r.s.Cancel(t.Context(), name); o != Cancelled || err != nil {
				t.Fatal(o, err)
			}
		}
		synctest.Wait()
		r.end()
	})
}

// Nor is one kept when those that had to be read are gone.
func TestGate_ReadForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHeldRig(t, Options{})
		k := r.handle("k")
		r.work()
		for i := range 100 {
			r.put(k, fmt.Sprint("10s ", i), 10, time.Duration(i)*time.Millisecond, Key("x", 1))
		}
		time.Sleep(time.Second)
		for i := 1; i < 100; i++ {
			if o, err := r.s.Cancel(t.Context(), fmt.Sprint("10s ", i)); o != Cancelled || err != nil {
				t.Fatal(o, err)
			}
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		r.end()
	})
}
