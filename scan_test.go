package duly_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// readings is a store that takes some time to read what is due, notes when it is asked for what, and tells nothing by itself.
type readings struct {
	*memory.Store
	began time.Time
	takes atomic.Int64
	fails atomic.Int64 // so many of the next reads

	mu    sync.Mutex
	lines []string
	tell  chan store.Hint
	log   bytes.Buffer
}

func newReadings() *readings {
	return &readings{Store: memory.New(memory.Options{}), began: time.Now(), tell: make(chan store.Hint, 1)}
}

// in is how far an instant is from the beginning.
func (s *readings) in(at store.Instant) string {
	switch at {
	case store.Over:
		return "the beginning"
	case store.Never:
		return "ever"
	}
	return at.Time().Sub(s.began).String()
}

// Due implements store.Store.
func (s *readings) Due(ctx context.Context, q store.DueQuery) (store.DuePage, error) {
	if q.Until == store.Never { // by whoever looks whether rules of zones have changed
		return s.Store.Due(ctx, q)
	}
	after := s.in(q.After.At)
	if q.After.Name != "" {
		after += " " + q.After.Name
	}
	line := fmt.Sprintf("%v: after %s until %s, %d", time.Since(s.began), after, s.in(q.Until), q.Limit)
	if s.fails.Load() > 0 {
		s.fails.Add(-1)
		s.note(line + ": fails")
		return store.DuePage{}, store.ErrBroken
	}
	page, err := s.Store.Due(ctx, q)
	s.note(fmt.Sprintf("%s: %d", line, len(page.Tasks)))
	time.Sleep(time.Duration(s.takes.Load()))
	return page, err
}

func (s *readings) note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
}

// Hints implements store.Hinter.
func (s *readings) Hints() (hints <-chan store.Hint, stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tell, func() {}
}

// falls has the hints end. Who asks for them anew has others.
func (s *readings) falls() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.tell)
	s.tell = make(chan store.Hint, 1)
}

// Write implements io.Writer, for what is logged.
func (s *readings) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

// want holds what was read since it was asked last to lines.
func (s *readings) want(t *testing.T, lines ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.lines, lines) {
		t.Errorf("read\n\t%s\nwant\n\t%s", strings.Join(s.lines, "\n\t"), strings.Join(lines, "\n\t"))
	}
	s.lines = nil
}

// A reader is a scheduler at work on readings, and another process beside it.
type reader struct {
	*duly.Scheduler
	st      *readings
	kind    *duly.Kind[time.Duration]
	other   *duly.Scheduler
	others  *duly.Kind[time.Duration]
	ran     []string
	running sync.Mutex
}

func inReader(t *testing.T, opts duly.Options, f func(t *testing.T, r *reader), kinds ...duly.KindOption) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &reader{st: newReadings()}
		opts.Store, opts.Logger = r.st, slog.New(slog.NewTextHandler(r.st, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		var err error
		if r.Scheduler, err = duly.New(opts); err != nil {
			t.Fatal(err)
		}
		if r.other, err = duly.New(duly.Options{Store: r.st.Store}); err != nil {
			t.Fatal(err)
		}
		r.others = duly.Declare[time.Duration](r.other, "k")
		r.kind = duly.Handle(r.Scheduler, "k", r.handle, kinds...)
		f(t, r)
		synctest.Wait()
		if err := r.Invariants(); err != nil {
			t.Error(err)
		}
		if err := errors.Join(r.Close(t.Context()), r.other.Close(t.Context()), r.st.Close()); err != nil {
			t.Error(err)
		}
	})
}

func (r *reader) handle(ctx context.Context, a *duly.Attempt[time.Duration]) error {
	r.running.Lock()
	r.ran = append(r.ran, fmt.Sprint(time.Since(r.st.began), " ", a.Name))
	r.running.Unlock()
	return takes(a.Payload)(ctx, nil)
}

// work lets it run.
func (r *reader) work(t *testing.T) {
	t.Helper()
	go func() {
		if err := r.Run(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	synctest.Wait()
}

func put(t *testing.T, k *duly.Kind[time.Duration], name string, in time.Duration, opts ...duly.PutOption) {
	t.Helper()
	if _, err := k.Put(t.Context(), name, 0, schedule.After(in), opts...); err != nil {
		t.Fatal(err)
	}
}

// hint tells that something is due in some time.
func (r *reader) hint(in time.Duration) {
	r.st.tell <- store.Hint{At: store.At(time.Now().Add(in))}
}

// wantRan holds what has run since it was asked last to lines.
func (r *reader) wantRan(t *testing.T, lines ...string) {
	t.Helper()
	r.running.Lock()
	defer r.running.Unlock()
	if !slices.Equal(r.ran, lines) {
		t.Errorf("ran %q, want %q", r.ran, lines)
	}
	r.ran = nil
}

// What is due within eight seconds is read once; what is due later is read four seconds before, with what is near by then; what we put
// ourselves and is due soon needs no reading.
//
// contract: C6
func TestReads_OwnPuts(t *testing.T) {
	inReader(t, duly.Options{}, func(t *testing.T, r *reader) {
		put(t, r.kind, "there", 2*time.Second)
		put(t, r.kind, "far", time.Hour)
		r.work(t)
		r.st.want(t, "0s: after the beginning until 8s, 512: 1")
		put(t, r.kind, "near", 3*time.Second)
		put(t, r.kind, "as far as is read", 8*time.Second)
		put(t, r.kind, "a little farther", 8*time.Second+time.Microsecond)
		time.Sleep(time.Minute)
		synctest.Wait()
		r.st.want(t, "4.000002s: after 8.000001s until 12.000002s, 512: 1")
		r.wantRan(t, "2s there", "3s near", "8s as far as is read", "8.000001s a little farther")
		put(t, r.kind, "farther", 2*time.Hour)
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		r.st.want(t, "59m56.000001s: after 1h0m0s until 1h0m4.000001s, 512: 1", "2h0m56.000001s: after 2h1m0s until 2h1m4.000001s, 512: 1")
		r.wantRan(t, "1h0m0s far", "2h1m0s farther")
	})
}

// What another has put is read when it is told of, and how much that may cost is bounded: there is a rest of fifty times as long as it took, at
// most five seconds, unless nothing is known that is due as early.
//
// contract: C6
func TestReads_Hints(t *testing.T) {
	inReader(t, duly.Options{}, func(t *testing.T, r *reader) {
		r.work(t)
		r.st.want(t, "0s: after the beginning until 8s, 512: 0")
		r.st.takes.Store(int64(20 * time.Millisecond))
		time.Sleep(time.Second)
		put(t, r.others, "soon", 3*time.Second)
		r.hint(3 * time.Second)
		time.Sleep(100 * time.Millisecond)
		r.st.want(t, "1s: after 4s until 9s, 512: 1")

		put(t, r.others, "later", 3*time.Second) // something is known that is due before: it can wait until 2.02 s
		r.hint(3 * time.Second)
		time.Sleep(500 * time.Millisecond)
		r.st.want(t)
		r.hint(3 * time.Second) // the earlier counts
		time.Sleep(500 * time.Millisecond)
		r.st.want(t, "2.02s: after 4.1s until 10.02s, 512: 1")

		put(t, r.others, "sooner", time.Second) // nothing known is due as early
		r.hint(time.Second)
		time.Sleep(900 * time.Millisecond)
		r.st.want(t, "2.1s: after 3.1s until 10.1s, 512: 3")

		put(t, r.others, "far", time.Hour) // it is read when its time is near
		r.hint(time.Hour)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		r.st.want(t)
		r.wantRan(t, "3.1s sooner", "4s soon", "4.1s later")
		time.Sleep(time.Hour)
		r.st.want(t, "59m59.000001s: after 1h0m3s until 1h0m7.000001s, 512: 1")
		r.wantRan(t, "1h0m3s far")

		r.st.takes.Store(int64(time.Second))
		put(t, r.others, "x", 6*time.Second)
		r.hint(0)
		time.Sleep(2 * time.Second)
		r.hint(5 * time.Second)
		time.Sleep(10 * time.Second)
		r.st.want(t, "1h10m3s: after 1h10m3s until 1h10m11s, 512: 1", "1h10m9s: after 1h10m10s until 1h10m17s, 512: 0")
	})
}

// What is due and does not fit on a page is read page by page, from where the one before has ended.
func TestReads_Pages(t *testing.T) {
	inReader(t, duly.Options{Workers: 2000}, func(t *testing.T, r *reader) {
		for i := range 1100 {
			put(t, r.others, fmt.Sprintf("%04d", i), time.Second+time.Duration(i)*time.Millisecond)
		}
		r.work(t)
		r.st.want(t, "0s: after the beginning until 8s, 512: 512", "0s: after 1.511s 0511 until 8s, 512: 512", "0s: after 2.023s 1023 until 8s, 512: 76")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		r.st.want(t)
		if n := len(r.ran); n != 1100 {
			t.Errorf("%d of 1100 ran", n)
		}
	})
}

// A read that fails is tried again, from where it was to begin, ten milliseconds later, and then after twice as long each time. That the store fails
// is said once, and that it works again.
func TestReads_Fail(t *testing.T) {
	inReader(t, duly.Options{}, func(t *testing.T, r *reader) {
		put(t, r.others, "x", 0)
		r.st.fails.Store(3)
		r.work(t)
		time.Sleep(time.Second)
		synctest.Wait()
		r.st.want(t, "0s: after the beginning until 8s, 512: fails", "10ms: after the beginning until 8.01s, 512: fails",
			"30ms: after the beginning until 8.03s, 512: fails", "70ms: after the beginning until 8.07s, 512: 1")
		r.wantRan(t, "70ms x")
		const want = `level=ERROR msg="the store fails, nothing new starts" doing="read what is due" error="storage has failed"
level=INFO msg="the store works again"
`
		if got := r.st.log.String(); got != want {
			t.Errorf("logged\n%swant\n%s", got, want)
		}
		if st, err := r.Stats(t.Context()); err != nil || st.StoreErrors != 3 {
			t.Errorf("%d errors of the store, %v; want 3", st.StoreErrors, err)
		}
	})
}

// Of those that wait for their key no more than 64 are in memory: the others are read when none of these is left, and whatever else stands
// there is passed by. A read that fails is tried again.
//
// contract: J2
func TestReads_Key(t *testing.T) {
	inReader(t, duly.Options{}, func(t *testing.T, r *reader) {
		one := duly.Key("one", 1)
		many := func(n int, name string, long time.Duration, opts ...duly.PutOption) {
			t.Helper()
			var all []duly.Item[time.Duration]
			for i := range n {
				all = append(all, duly.Item[time.Duration]{
					Name: fmt.Sprintf("%s%03d", name, i), Payload: long, Schedule: schedule.At(r.st.began.Add(time.Duration(i) * time.Millisecond)), Options: opts,
				})
			}
			if _, err := r.others.PutMany(t.Context(), slices.Values(all)); err != nil {
				t.Fatal(err)
			}
		}
		many(140, "x", time.Second, one)
		time.Sleep(time.Second)
		r.work(t)
		r.st.want(t, "1s: after the beginning until 9s, 512: 140")
		if st, err := r.Stats(t.Context()); err != nil || st.Near != 65 || st.Overdue != (duly.Backlog{Tasks: 64, Oldest: 999 * time.Millisecond}) {
			t.Errorf("%d are in memory and %+v is overdue, %v; want one that runs, and 64 that wait", st.Near, st.Overdue, err)
		}
		time.Sleep(64*time.Second - time.Millisecond)
		synctest.Wait()
		r.st.want(t)
		r.st.fails.Store(1)
		time.Sleep(time.Millisecond) // the last of those in memory begins
		synctest.Wait()
		r.st.want(t, "1m5s: after 65ms until 1m13s, 512: fails")
		time.Sleep(time.Second)
		synctest.Wait()
		r.st.want(t, "1m5.01s: after 65ms until 1m13.01s, 512: 75")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		r.st.want(t, "2m9s: after 129ms until 2m17s, 512: 11")
		if len(r.ran) != 140 || !slices.IsSorted(func() (names []string) {
			for _, x := range r.ran {
				_, name, _ := strings.Cut(x, " ")
				names = append(names, name)
			}
			return names
		}()) {
			t.Errorf("%d of 140 ran, or in another order: %q", len(r.ran), r.ran)
		}
	})
}

// What nobody here handles is read once, kept nowhere, and read again when somebody does, or when it is to be dead: the earliest of it counts.
//
// contract: C5
func TestReads_Unhandled(t *testing.T) {
	inReader(t, duly.Options{}, func(t *testing.T, r *reader) {
		a, b := duly.Declare[time.Duration](r.other, "a"), duly.Declare[time.Duration](r.other, "b")
		put(t, b, "b0", time.Second)
		put(t, b, "b1", 3*time.Second)
		put(t, a, "a0", 2*time.Second)
		put(t, a, "a1", 4*time.Second)
		time.Sleep(10 * time.Second)
		r.work(t)
		r.st.want(t, "10s: after the beginning until 18s, 512: 4")
		st, err := r.Stats(t.Context())
		if want := (duly.Backlog{Tasks: 4, Oldest: 9 * time.Second}); err != nil || st.Near != 0 || st.Unhandled != want {
			t.Errorf("%d are in memory, and unhandled %+v, %v; want none, and %+v", st.Near, st.Unhandled, err, want)
		}
		time.Sleep(10 * time.Second)
		duly.Handle(r.Scheduler, "a", r.handle)
		synctest.Wait()
		r.st.want(t, "20s: after 1s until 28s, 512: 4")
		slices.Sort(r.ran) // both begin at once
		r.wantRan(t, "20s a0", "20s a1")
		duly.Handle(r.Scheduler, "c", r.handle) // of which there is nothing
		synctest.Wait()
		r.st.want(t, "20s: after 1s until 28s, 512: 2")
		time.Sleep(14*24*time.Hour - 19*time.Second - time.Microsecond)
		synctest.Wait()
		r.st.want(t)
		if w, err := r.WhyNot(t.Context(), "b0"); err != nil || w.Code != duly.WhyNoHandler {
			t.Errorf("b0 is %s, %v", w.Code, err)
		}
		time.Sleep(time.Microsecond)
		synctest.Wait()
		r.st.want(t, "336h0m1s: after 1s until 336h0m9s, 512: 2")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		r.st.want(t)
		for _, name := range []string{"b0", "b1"} {
			if w, err := r.WhyNot(t.Context(), name); err != nil || w.Code != duly.WhyDead {
				t.Errorf("%s is %s, %v; want it dead", name, w.Code, err)
			}
		}
	})
}

// slowly is a store that takes some time, once, to read what is due and to read tasks, which it has read by then, and some to move them, which it
// does at the end. It tells nobody.
type slowly struct {
	store.Store
	due, get, edit atomic.Int64
}

func (s *slowly) Due(ctx context.Context, q store.DueQuery) (store.DuePage, error) {
	page, err := s.Store.Due(ctx, q)
	time.Sleep(time.Duration(s.due.Swap(0)))
	return page, err
}

func (s *slowly) Get(ctx context.Context, keys []store.Key) ([]*store.Task, error) {
	ts, err := s.Store.Get(ctx, keys)
	time.Sleep(time.Duration(s.get.Swap(0)))
	return ts, err
}

func (s *slowly) Edit(ctx context.Context, xs []store.Edit) ([]store.EditResult, error) {
	time.Sleep(time.Duration(s.edit.Load()))
	return s.Store.Edit(ctx, xs)
}

// What is moved while it is being read runs when it was moved to, and not by what was read.
func TestRun_MovedWhileRead(t *testing.T) {
	const second = time.Second
	for _, tt := range []struct {
		name           string
		due, get, edit time.Duration
		twice          bool          // two moves at once, before: which came last is not known
		at             time.Duration // when it is moved
	}{
		{"within a scan", 2 * second, 0, 0, false, second},
		{"it ends within a scan", 2 * second, 0, 1500 * time.Millisecond, false, 100 * time.Millisecond},
		{"a scan ends within it", 2 * second, 0, 1500 * time.Millisecond, false, second},
		{"within a read", 2 * second, 2 * second, 100 * time.Millisecond, true, 3 * second},
		{"it ends within a read", 2 * second, 2 * second, 1500 * time.Millisecond, true, 1800 * time.Millisecond},
		{"a read ends within it", 2 * second, second, 3 * second, true, 1900 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &slowly{Store: memory.New(memory.Options{})}
				s, err := duly.New(duly.Options{Store: st})
				if err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				var ran []time.Duration
				k := duly.Handle(s, "k", func(context.Context, *duly.Attempt[string]) error {
					ran = append(ran, time.Since(begun))
					return nil
				})
				put := func() {
					if _, err := k.Put(t.Context(), "x", "", schedule.At(begun.Add(7*second))); err != nil {
						t.Fatal(err)
					}
				}
				if !tt.twice {
					put()
				}
				st.due.Store(int64(tt.due))
				ended := make(chan error)
				go func() { ended <- s.Run(t.Context()) }()
				if tt.twice {
					time.Sleep(100 * time.Millisecond)
					put() // the scan has not seen it
					st.edit.Store(int64(100 * time.Millisecond))
					var both sync.WaitGroup
					for range 2 {
						both.Go(func() {
							if _, err := s.Move(t.Context(), "x", schedule.At(begun.Add(7*second))); err != nil {
								t.Error(err)
							}
						})
					}
					both.Wait()
				}
				time.AfterFunc(1950*time.Millisecond-time.Since(begun), func() { st.get.Store(int64(tt.get)) }) // the loop reads it at 2 s
				st.edit.Store(int64(tt.edit))
				time.Sleep(tt.at - time.Since(begun))
				if _, err := s.Move(t.Context(), "x", schedule.At(begun.Add(6*second))); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if want := []time.Duration{6 * second}; !slices.Equal(ran, want) {
					t.Errorf("ran after %v, want %v", ran, want)
				}
				if err := errors.Join(s.Invariants(), s.Close(t.Context()), <-ended, st.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// What is due and waits for the retry of an earlier run, in an hour, stays in memory without taking room there, whatever is done to it meanwhile,
// and runs when that has ended.
//
// contract: F2, G2
func TestReads_WaitsForARetry(t *testing.T) {
	inReader(t, duly.Options{}, func(t *testing.T, r *reader) {
		tries := 0
		k := duly.Handle(r.Scheduler, "tries", func(ctx context.Context, a *duly.Attempt[time.Duration]) error {
			if tries++; tries == 1 {
				return duly.RetryAfter(time.Hour, errors.New("not now"))
			}
			return r.handle(ctx, a)
		})
		r.work(t)
		r.st.want(t, "0s: after the beginning until 8s, 512: 0")
		if _, err := k.Put(t.Context(), "x", 0, schedule.Every(10*time.Second), duly.Overlap(duly.BufferOne)); err != nil {
			t.Fatal(err)
		}
		holds := func() {
			t.Helper()
			synctest.Wait()
			if err := r.Invariants(); err != nil {
				t.Error(err)
			}
			if st, err := r.Stats(t.Context()); err != nil || st.Near != 1 {
				t.Errorf("%d are in memory, %v; want the one", st.Near, err)
			}
		}
		time.Sleep(17 * time.Second) // it was read a second ago
		holds()
		time.Sleep(16 * time.Second)
		holds()
		for range 2 {
			if _, err := r.Pause(t.Context(), duly.Query{}, ""); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if err := r.Invariants(); err != nil {
				t.Error(err)
			}
			if _, err := r.Resume(t.Context(), duly.Query{}); err != nil {
				t.Fatal(err)
			}
			holds()
		}
		r.wantRan(t)
		r.st.want(t, "6.000001s: after 10s until 14.000001s, 512: 1", "16.000001s: after 20s until 24.000001s, 512: 1")
		time.Sleep(time.Hour - 20*time.Second)
		synctest.Wait()
		if len(r.ran) < 2 || r.ran[0] != "1h0m10s x" {
			t.Errorf("ran %q, want the retry an hour after it has failed, and what waits for it", r.ran)
		}
	})
}

// When the hints end all is read that may have been told meanwhile, once, when they are listened to again: at once, or a second later if they have
// ended a short time ago.
func TestReads_HintsEnd(t *testing.T) {
	inReader(t, duly.Options{}, func(t *testing.T, r *reader) {
		r.work(t)
		time.Sleep(time.Second)
		for range 2 {
			r.st.falls()
			time.Sleep(29 * time.Second)
		}
		r.st.want(t, "0s: after the beginning until 8s, 512: 0", "1s: after the beginning until 9s, 512: 0", "31s: after the beginning until 39s, 512: 0")
		time.Sleep(time.Hour)
		r.st.falls()
		time.Sleep(time.Hour)
		synctest.Wait()
		r.st.want(t, "1h0m59s: after the beginning until 1h1m7s, 512: 0")
	})
}
