package duly

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
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

// noting is a store in memory that counts how often it is asked for what is due, and answers the next claims that they are refused.
type noting struct {
	*memory.Store

	mu             sync.Mutex
	asked, refuses int
}

func (s *noting) Due(ctx context.Context, q store.DueQuery) (store.DuePage, error) {
	s.mu.Lock()
	s.asked++
	s.mu.Unlock()
	return s.Store.Due(ctx, q)
}

func (s *noting) Claim(ctx context.Context, xs []store.Claim) ([]store.ClaimResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuses == 0 {
		return s.Store.Claim(ctx, xs)
	}
	s.refuses--
	res := make([]store.ClaimResult, len(xs))
	for i := range res {
		res[i].Err = store.ErrBusy
	}
	return res, nil
}

// What waits for bytes first is first to have them, also if one before it that they would do for has no use for them yet.
func TestHeld_InOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHeldRig(t, Options{})
		narrow, wide := r.handle("narrow", Limit(1)), r.handle("wide")
		r.work()
		r.put(wide, "10s holds bytes", 6_000, 0)
		r.put(wide, "1h holds bytes", 3_000, 0)
		r.put(narrow, "1s waits for its kind as well", 4_000, time.Second)
		r.put(narrow, "2h fills its kind", 10, 2*time.Second)
		r.put(wide, "1s large", 9_000, 3*time.Second)
		r.put(wide, "1s less so", 2_000, 4*time.Second)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if got := r.when("1s less so"); got != "never" {
			t.Errorf("what fits, but is not first, began %s", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if first, second := r.when("1s large"), r.when("1s less so"); first != "1h0m0s" || second != "1h0m1s" {
			t.Errorf("what waits for bytes first began %s, and the next %s; want 1h0m0s and 1h0m1s", first, second)
		}
		r.end()
	})
}

// Nor has it them later than one behind it because both had their turn while there were bytes for either, and no worker.
func TestHeld_InOrderBehindWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHeldRig(t, Options{Workers: 4})
		k := r.handle("k")
		r.work()
		r.put(k, "20s holds bytes", 9_000, 0)
		r.put(k, "30s takes a worker", 10, 0)
		r.put(k, "30s takes another", 10, 0)
		r.put(k, "1m first", 6_000, time.Second)
		r.put(k, "1m second", 6_000, 2*time.Second)
		r.put(k, "1m third", 2_000, 3*time.Second)
		r.put(k, "1h takes the last", 10, 10*time.Second)
		r.put(k, "1h takes that of what holds bytes", 10, 11*time.Second, Priority(1))
		time.Sleep(time.Hour)
		synctest.Wait()
		for name, want := range map[string]string{"1m first": "30s", "1m second": "1m30s", "1m third": "1m30s"} {
			if got := r.when(name); got != want {
				t.Errorf("%s began %s, want %s", name, got, want)
			}
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		r.end()
	})
}

// A claim that is refused holds no bytes.
func TestHeld_Refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &noting{Store: memory.New(memory.Options{})}
		r := newHeldRig(t, Options{Store: st})
		k := r.handle("k")
		r.work()
		st.refuses = 3
		r.put(k, "1h a", 6_000, time.Second)
		r.put(k, "1h b", 4_000, time.Minute)
		r.put(k, "1h c", 4_000, time.Minute+1)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if a, b, c := r.when("1h a"), r.when("1h b"), r.when("1h c"); a != "1.012s" || b != "1m0s" || c != "never" {
			t.Errorf("what was refused three times began %s, one that fits beside it %s, and one that does not %s; want 1.012s, 1m0s, never", a, b, c)
		}
		r.end()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
}

// What waits for its kind and is not in memory is looked for when it may have its turn, however much of others stands before it.
func TestGate_FarBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &noting{Store: memory.New(memory.Options{})}
		r := newHeldRig(t, Options{Store: st})
		k, other := r.handle("k", Limit(1)), Declare[[]byte](r.s, "nobody's")
		r.work()
		const near = gateMost + 1 // the first of them runs
		for i := range near {
			r.put(k, "1m near "+strconv.Itoa(i), 0, time.Second)
		}
		r.put(k, "10m far", 0, time.Second)
		var many []Item[[]byte]
		for i := range 3 * pageMost {
			many = append(many, Item[[]byte]{Name: strconv.Itoa(i), Schedule: schedule.After(2 * time.Second)})
		}
		if _, err := other.PutMany(t.Context(), slices.Values(many)); err != nil {
			t.Fatal(err)
		}
		r.put(k, "1s last", 0, 3*time.Second)
		far, last := time.Second+near*time.Minute, time.Second+near*time.Minute+10*time.Minute
		asked := func(at time.Duration) int {
			time.Sleep(at - time.Since(r.begun))
			synctest.Wait()
			st.mu.Lock()
			defer st.mu.Unlock()
			return st.asked
		}
		if n := -asked(far-1) + asked(last-1); n != 1 {
			t.Errorf("when the far one began, and while it ran, it was asked %d times for what is due, want once", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := r.when("10m far"); got != far.String() {
			t.Errorf("what was not in memory began %s, want %s", got, far)
		}
		if got := r.when("1s last"); got != last.String() {
			t.Errorf("what stands behind %d of others began %s, want %s", len(many), got, last)
		}
		r.end()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
}

// What is in memory already when those are read that wait behind others is there once, and starts once.
func TestGate_ReadsWhatIsInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHeldRig(t, Options{})
		k := r.handle("k", Limit(1))
		r.work()
		for i := range gateMost + 9 {
			r.put(k, "1s "+strconv.Itoa(i), 0, time.Second)
		}
		for i := range 9 {
			r.put(k, "1s later "+strconv.Itoa(i), 0, gateMost*time.Second+time.Duration(i)*time.Second)
		}
		for at := (gateMost - 4) * time.Second; at < (gateMost+12)*time.Second; at += time.Second / 2 {
			time.Sleep(at - time.Since(r.begun))
			synctest.Wait()
			if err := r.s.Invariants(); err != nil {
				t.Fatalf("after %v: %v", at, err)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		st, err := r.s.Stats(t.Context())
		if n := st.Kinds["k"].Started; err != nil || n != gateMost+18 || len(r.ran) != gateMost+18 || st.Near != 0 {
			t.Errorf("%d attempts at %d tasks, and %d are in memory; want %d, and none: %v", n, len(r.ran), st.Near, gateMost+18, err)
		}
		r.end()
	})
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
	for _, order := range [][]string{{"1s c", "1s b"}, {"1s b", "1s c"}} {
		t.Run(strings.Join(order, ", "), func(t *testing.T) {
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
				for _, name := range order {
					if o, err := r.s.Cancel(t.Context(), name); o != Cancelled || err != nil {
						t.Fatal(o, err)
					}
				}
				synctest.Wait()
				r.end()
			})
		})
	}
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

// Those who wait for one gate are not read again for each that starts, also where all were due at one instant, or those that matter more
// stand behind the others. On one processor, where it is decided who goes first: on two, those that end and the loop overtake each other, and
// it is asked up to once for every third that starts.
func TestGate_ReadsNoneInVain(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for name, prio := range map[string]int{"of one priority": 0, "beside some that matter": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &noting{Store: memory.New(memory.Options{})}
				r := newHeldRig(t, Options{Store: st})
				k := r.handle("k", Limit(1))
				r.work()
				const n = 10 * gateMost
				for i := range n {
					r.put(k, fmt.Sprint("1s ", i), 10, time.Second)
				}
				for i := range 2 * gateMost {
					r.put(k, fmt.Sprint("1s later ", i), 10, 2*time.Second, Priority(prio))
				}
				time.Sleep((n + 3*gateMost) * time.Second)
				synctest.Wait()
				if most := 60; len(r.ran) != n+2*gateMost || st.asked > most {
					t.Errorf("of %d tasks %d have begun, and it was asked %d times for what is due, want %d at most", n+2*gateMost, len(r.ran), st.asked, most)
				}
				r.end()
				if err := st.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Who is due begins before those that come due later, however many of these have to stay in memory because other runs of them are under way.
func TestGate_BesideOthersThatRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHeldRig(t, Options{Workers: 200})
		const n = gateMost + 16
		k := r.handle("k", Limit(2*n))
		r.work()
		for i := range n {
			if _, err := k.Put(t.Context(), fmt.Sprint("1m often ", i), nil, schedule.Every(time.Second), Overlap(Allow)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		for i := range gateMost + 16 {
			r.put(k, fmt.Sprint("1s once ", i), 10, 5*time.Second)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		for i := range gateMost + 16 {
			name := fmt.Sprint("1s once ", i)
			if d, err := time.ParseDuration(r.when(name)); err != nil || d > 3*time.Minute {
				t.Errorf("%s, due after 5s, began %s, after others that have come due since", name, r.when(name))
			}
		}
		r.end()
	})
}

// Also while the next occurrence waits at a gate it is seen that the lease of an earlier run has ended.
func TestGate_LeaseEnds(t *testing.T) {
	for name, size := range map[string]int{"of a kind": 0, "of bytes": 9_000} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := memory.New(memory.Options{})
				r := newHeldRig(t, Options{Store: st})
				limit := 1
				if size > 0 {
					limit = 9
				}
				k := r.handle("k", Limit(limit))
				r.put(k, "1h takes the place", size, 0)
				if _, err := k.Put(t.Context(), "1s often", make([]byte, size), schedule.Every(10*time.Second), Overlap(Allow), AtMostOnce()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
				key := store.Key{Name: "1s often"}
				left := func() *store.Task {
					ts, err := st.Get(t.Context(), []store.Key{key})
					if err != nil || ts[0] == nil {
						t.Fatal(ts, err)
					}
					return ts[0]
				}
				task := left()
				at := task.Next.For.Add(10 * time.Second)
				res, err := st.Claim(t.Context(), []store.Claim{{
					RunID: store.RunID{Key: key, Generation: task.Generation, For: task.Next.For}, Next: store.Occurrence{For: at, Due: at},
					Lease: time.Minute, Owner: "gone", FirstStart: true, Overlap: true,
				}})
				if err != nil || res[0].Err != nil {
					t.Fatal(res, err)
				}
				r.work()
				time.Sleep(time.Minute - 1)
				synctest.Wait()
				if runs := left().Runs; len(runs) != 1 {
					t.Errorf("before the lease ends: %d runs, want the one", len(runs))
				}
				time.Sleep(time.Second)
				synctest.Wait()
				if runs := left().Runs; len(runs) != 0 {
					t.Errorf("a second after the lease has ended: %+v", runs)
				}
				if got := r.when("1s often"); got != "never" {
					t.Errorf("what waits at the gate began %s", got)
				}
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				if got := r.when("1s often"); got != "1h0m10s" {
					t.Errorf("what waits at the gate began %s, want 1h0m10s", got)
				}
				r.end()
				if err := st.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
