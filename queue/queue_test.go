package queue_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/queue"
)

// The behaviours that CPython's tests of queue.Queue, LifoQueue, PriorityQueue and their shutdown cover, and those that the
// JSR-166 TCK covers for bounded, unbounded and priority blocking queues, for this Queue.

func less(a, b int) bool { return a < b }

// kinds are all orders, with what each makes of 111, 333, 222.
var kinds = map[string]struct {
	fresh func(capacity int) *queue.Queue[int]
	out   []int
}{
	"fifo":     {queue.New[int], []int{111, 333, 222}},
	"lifo":     {queue.NewLIFO[int], []int{222, 333, 111}},
	"priority": {func(n int) *queue.Queue[int] { return queue.NewPriority(n, less) }, []int{111, 222, 333}},
}

func eachKind(t *testing.T, check func(t *testing.T, fresh func(capacity int) *queue.Queue[int], out []int)) {
	t.Helper()
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { check(t, k.fresh, k.out) })
		})
	}
}

func TestQueue_FillDrainAndBlock(t *testing.T) {
	eachKind(t, func(t *testing.T, fresh func(int) *queue.Queue[int], out []int) {
		q := fresh(3)
		for range 3 { // more than once, so that the store wraps
			filled(t, q, 111, 333, 222)
			if q.TryPut(1) {
				t.Error("put into a full queue")
			}
			if err := q.PutFor(10*time.Millisecond, 1); !errors.Is(err, queue.ErrTimeout) {
				t.Error(err)
			}
			p := act(func() error { return q.Put(t.Context(), 444) })
			synctest.Wait()
			open(t, "Put", p)
			var got []int
			for range 3 {
				got = append(got, must[int](t)(q.Get(t.Context())))
				if len(got) == 1 {
					ok(t, (<-p).err)
				}
			}
			want := slices.Clone(out)
			if out[0] == 222 { // the newest was that of the blocked putter
				want = []int{222, 444, 333}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			got = q.GetAll()
			if len(got) != 1 {
				t.Errorf("left: %v", got)
			}
			if _, has := q.TryGet(); has || q.GetAll() != nil {
				t.Error("got from an empty queue")
			}
			g := call(func() (int, error) { return q.Get(t.Context()) })
			synctest.Wait()
			open(t, "Get", g)
			filled(t, q, 5)
			if r := <-g; r.v != 5 {
				t.Errorf("%v, %v", r.v, r.err)
			}
		}
	})
}

func TestQueue_GetAllInOrder(t *testing.T) {
	eachKind(t, func(t *testing.T, fresh func(int) *queue.Queue[int], out []int) {
		q := filled(t, fresh(0), 111, 333, 222)
		if d := cmp.Diff(out, q.GetAll()); d != "" {
			t.Errorf("GetAll: %s", d)
		}
		filled(t, q, 111, 333, 222)
		if d := cmp.Diff(out, q.CloseNow()); d != "" {
			t.Errorf("CloseNow: %s", d)
		}
		// A bounded one lets in who waits, as many as there is room for.
		q = filled(t, fresh(2), 1, 2)
		var puts []<-chan result[bool]
		for i := range 3 {
			puts = append(puts, act(func() error { return q.Put(t.Context(), 10+i) }))
			synctest.Wait()
		}
		if n := len(q.GetAll()); n != 2 {
			t.Errorf("%d values", n)
		}
		ok(t, (<-puts[0]).err)
		ok(t, (<-puts[1]).err)
		open(t, "Put", puts[2])
		all := q.GetAll()
		slices.Sort(all)
		if d := cmp.Diff([]int{10, 11}, all); d != "" {
			t.Error(d)
		}
		ok(t, (<-puts[2]).err)
	})
}

func TestQueue_WaitersAreServedInOrder(t *testing.T) {
	eachKind(t, func(t *testing.T, fresh func(int) *queue.Queue[int], _ []int) {
		q := fresh(1)
		var gets []<-chan result[int]
		for i := range 20 {
			gets = append(gets, call(func() (int, error) {
				if i%4 == 1 {
					return q.GetFor(time.Second)
				}
				return q.Get(t.Context())
			}))
			synctest.Wait()
		}
		time.Sleep(time.Second) // every fourth gives up
		synctest.Wait()
		n := 0
		for i, c := range gets {
			if i%4 == 1 {
				if r := <-c; !errors.Is(r.err, queue.ErrTimeout) {
					t.Errorf("%d: %v, %v", i, r.v, r.err)
				}
				continue
			}
			filled(t, q, n)
			if r := <-c; r.v != n || r.err != nil {
				t.Errorf("%d: %v, %v", i, r.v, r.err)
			}
			n++
		}
		filled(t, q, -1)
		ctx, cancel := context.WithCancel(t.Context())
		ctxs := []context.Context{t.Context(), ctx, t.Context(), t.Context()}
		var puts []<-chan result[bool]
		for i := range 20 {
			puts = append(puts, act(func() error {
				return q.Put(ctxs[i%4], i)
			}))
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		for i, c := range puts {
			if i%4 == 1 {
				if err := (<-c).err; !errors.Is(err, context.Canceled) {
					t.Errorf("%d: %v", i, err)
				}
				continue
			}
			q.TryGet()
			synctest.Wait()
			ok(t, (<-c).err)
			if q.Len() != 1 {
				t.Errorf("%d values in a queue of one", q.Len())
			}
		}
	})
}

func TestQueue_CloseDrains(t *testing.T) {
	eachKind(t, func(t *testing.T, fresh func(int) *queue.Queue[int], out []int) {
		q := filled(t, fresh(3), 111, 333, 222)
		p := act(func() error { return q.Put(t.Context(), 1) })
		synctest.Wait()
		q.Close()
		if err := (<-p).err; !errors.Is(err, queue.ErrClosed) {
			t.Error(err)
		}
		var got []int
		for v := range q.All(t.Context()) {
			got = append(got, v)
			q.Done()
		}
		if d := cmp.Diff(out, got); d != "" {
			t.Error(d)
		}
		ok(t, q.Join(t.Context()))
		if _, err := q.Get(t.Context()); !errors.Is(err, queue.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestQueue_All(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := filled(t, queue.New[int](0), 1, 2, 3)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n := 0
		start := time.Now()
		for v := range q.All(ctx) {
			n += v
		}
		if n != 6 || time.Since(start) != time.Second || ctx.Err() == nil {
			t.Errorf("sum %d after %v", n, time.Since(start))
		}
		filled(t, q, 4, 5)
		for range q.All(t.Context()) {
			break
		}
		if q.Len() != 1 {
			t.Errorf("%d left after a break", q.Len())
		}
	})
}

// Those that are equal come out in the order in which they were put, through the store and around it.
func TestQueue_PriorityIsFIFOAmongEquals(t *testing.T) {
	type item struct{ pri, n int }
	q := queue.NewPriority(0, func(a, b item) bool { return a.pri < b.pri })
	var want []item
	for n := range 3000 {
		it := item{(n * 7919) % 5, n}
		want = append(want, it)
		filled(t, q, it)
	}
	slices.SortStableFunc(want, func(a, b item) int { return a.pri - b.pri })
	var got []item
	for range 1500 {
		it, _ := q.TryGet()
		got = append(got, it)
	}
	got = append(got, q.GetAll()...)
	if d := cmp.Diff(want, got, cmp.AllowUnexported(item{})); d != "" {
		t.Error(d)
	}
}

// A less that panics costs nobody a value: the panic reaches whose value or call it is, and the queue is as it was.
func TestQueue_PriorityLessPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		const bad = 666
		q := queue.NewPriority(4, func(a, b int) bool {
			if broken.Load() || a == bad || b == bad {
				panic("cannot compare")
			}
			return a < b
		})
		filled(t, q, 4, 3, 2)
		if v := parktest.MustPanic(t, func() { q.TryPut(bad) }); v != "cannot compare" {
			t.Errorf("panic %v", v)
		}
		filled(t, q, 1)
		blocked := make(chan any, 1)
		go func() {
			defer func() { blocked <- recover() }()
			ok(t, q.Put(t.Context(), bad))
		}()
		synctest.Wait()
		good := act(func() error { return q.Put(t.Context(), 5) })
		synctest.Wait()
		broken.Store(true)
		parktest.MustPanic(t, func() { q.TryGet() })
		broken.Store(false)
		if got, _ := q.TryGet(); got != 1 {
			t.Errorf("got %d", got)
		}
		if v := <-blocked; v != "cannot compare" {
			t.Errorf("the putter's panic: %v", v)
		}
		ok(t, (<-good).err)
		if d := cmp.Diff([]int{2, 3, 4, 5}, q.CloseNow()); d != "" {
			t.Error(d)
		}
	})
}

func TestQueue_Mistakes(t *testing.T) {
	parktest.MustPanic(t, func() { queue.New[int](-1) })
	parktest.MustPanic(t, func() { queue.NewLIFO[int](-1) })
	parktest.MustPanic(t, func() { queue.NewPriority(-1, less) })
	parktest.MustPanic(t, func() { queue.NewPriority[int](0, nil) })
}

// Those who join are let go together, by the last Done, and a queue may be joined again and again.
func TestQueue_JoinAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue.Queue[int]{}
		var sum atomic.Int64
		for range 3 {
			go func() {
				for q.Process(t.Context(), func(n int) { time.Sleep(time.Duration(n) * time.Millisecond); sum.Add(int64(n)) }) == nil {
				}
			}()
		}
		for round := range 3 {
			for i := range 100 {
				ok(t, q.Put(t.Context(), i))
			}
			var joins []<-chan result[bool]
			for range 10 {
				joins = append(joins, act(func() error { return q.Join(t.Context()) }))
			}
			for _, j := range joins {
				ok(t, (<-j).err)
			}
			if got := sum.Load(); got != int64(4950*(round+1)) || q.Unfinished() != 0 {
				t.Errorf("joined at %d, %d unfinished", got, q.Unfinished())
			}
		}
		q.Close()
	})
}

// With the default engine and outside of a bubble: real time, whose only bound is that nothing is early.
func TestRealTime_DefaultEngine(t *testing.T) {
	q := queue.New[int](1)
	start := time.Now()
	if _, err := q.GetFor(5 * time.Millisecond); !errors.Is(err, queue.ErrTimeout) || time.Since(start) < 5*time.Millisecond {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	g := call(func() (int, error) { return q.GetFor(time.Minute) })
	waitFor(t, func() bool { n, _ := q.Waiting(); return n == 1 })
	ok(t, q.Put(t.Context(), 1))
	if r := <-g; r.v != 1 || r.err != nil {
		t.Errorf("%v, %v", r.v, r.err)
	}
	var d queue.Delay[int]
	start = time.Now()
	put(t, &d, 1, 5*time.Millisecond)
	second := time.Now().Add(6 * time.Millisecond) // after the first, however long that took to put
	must[queue.Delayed[int]](t)(d.PutAt(2, second))
	if got := must[int](t)(d.GetFor(time.Minute)); got != 1 || time.Since(start) < 5*time.Millisecond {
		t.Errorf("%d after %v", got, time.Since(start))
	}
	if got := must[int](t)(d.Get(t.Context())); got != 2 || time.Now().Before(second) {
		t.Errorf("%d after %v", got, time.Since(start))
	}
	var m queue.Mailbox[int]
	if _, err := m.ReceiveIfFor(time.Millisecond, even); !errors.Is(err, queue.ErrTimeout) {
		t.Error(err)
	}
	var c queue.Call[int, int]
	if _, err := c.CallFor(time.Millisecond, 1); !errors.Is(err, queue.ErrTimeout) {
		t.Error(err)
	}
}

// What does not block allocates nothing, once the store has grown.
func TestQueue_UncontendedAllocatesNothing(t *testing.T) {
	if parktest.UnderRace {
		t.Skip("the race detector allocates")
	}
	ctx := context.WithoutCancel(t.Context())
	eachKind := map[string]*queue.Queue[int]{"fifo": queue.New[int](8), "lifo": queue.NewLIFO[int](8), "priority": queue.NewPriority(8, less)}
	for name, q := range eachKind {
		filled(t, q, 1, 2, 3)
		for what, f := range map[string]func(){
			"Put and Get":       func() { _ = q.Put(ctx, 1); _, _ = q.Get(ctx); q.Done() },
			"PutFor and GetFor": func() { _ = q.PutFor(time.Second, 1); _, _ = q.GetFor(time.Second); q.Done() },
			"TryPut and TryGet": func() { q.TryPut(1); q.TryGet(); q.Done() },
		} {
			if n := testing.AllocsPerRun(100, f); n != 0 {
				t.Errorf("%s: %s: %v allocations", name, what, n)
			}
		}
	}
}

// requirement: P22, P26. A worker that panics or leaves while the queue is closed under it is done with its value all the same.
func TestQueue_ClosedWhileAWorkerPanics(t *testing.T) {
	parktest.Venues(t, func(t *testing.T, v parktest.Venue) {
		for name, end := range map[string]func(){"panic": func() { panic("broken") }, "Goexit": runtime.Goexit} {
			for _, how := range []string{"Close", "CloseNow, something left", "CloseNow, nothing left"} {
				q := filled(t, &queue.Queue[int]{Engine: v.Engine}, 1)
				working, leave := make(chan bool), make(chan bool)
				worker := act(func() (err error) {
					defer func() {
						if x := recover(); x != nil {
							err = fmt.Errorf("%v", x)
						}
					}()
					return q.Process(t.Context(), func(int) {
						close(working)
						<-leave
						end()
					})
				})
				if name == "Goexit" { // it does not come back
					worker = nil
				}
				<-working
				joins := []<-chan result[bool]{
					act(func() error { return q.Join(t.Context()) }), act(func() error { return q.JoinFor(time.Hour) }),
				}
				v.Pass(time.Second)
				want := error(nil)
				switch how {
				case "Close":
					q.Close()
				case "CloseNow, something left":
					filled(t, q, 2)
					fallthrough
				default:
					q.CloseNow()
					want = queue.ErrClosed
				}
				v.Pass(0)
				if want == nil {
					open(t, "Join", joins[0])
				} else if err := q.JoinFor(0); !errors.Is(err, want) {
					t.Errorf("%s, %s: while it is worked on: %v", name, how, err)
				}
				close(leave)
				for _, j := range joins {
					if r := <-j; !errors.Is(r.err, want) {
						t.Errorf("%s, %s: %v, want %v", name, how, r.err, want)
					}
				}
				if worker != nil && (<-worker).err == nil {
					t.Errorf("%s: the panic was lost", how)
				}
				v.Pass(0)
				if how == "CloseNow, nothing left" {
					want = nil // now that it is done
				}
				if err := q.JoinFor(0); !errors.Is(err, want) || q.Unfinished() != 0 {
					t.Errorf("%s, %s: at last %v, %d unfinished", name, how, err, q.Unfinished())
				}
			}
		}
	})
}
