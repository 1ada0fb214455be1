package duly_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// Extra runs that are refused, because no more can wait, take none away from those that wait for a worker.
func TestBackfill_RefusedBesideOthersThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := memory.New(memory.Options{})
		s, err := duly.New(duly.Options{Store: &slowReads{Store: mem}, Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		runs := 0
		k := duly.Handle(s, "k", func(context.Context, *duly.Attempt[string]) error { runs++; return nil })
		busy := duly.Handle(s, "busy", func(ctx context.Context, a *duly.Attempt[string]) error { return takes(time.Minute)(ctx, a) })
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		begun := time.Now()
		if _, err := busy.Put(t.Context(), "in their way", "", schedule.After(0)); err != nil {
			t.Fatal(err)
		}
		if _, err := k.Put(t.Context(), "a", "", schedule.Every(time.Hour)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second) // all is read
		ago := func(hours int) time.Time { return begun.Add(-time.Duration(hours) * time.Hour) }
		if n, err := s.Backfill(t.Context(), "a", ago(store.MaxRuns), begun); n != store.MaxRuns || err != nil {
			t.Fatalf("Backfill: %d, %v; want %d", n, err, store.MaxRuns)
		}
		time.Sleep(10 * time.Second)
		if n, err := s.Backfill(t.Context(), "a", ago(store.MaxRuns+1), ago(store.MaxRuns)); n != 0 || !errors.Is(err, duly.ErrInvalid) {
			t.Errorf("Backfill beside as many as can wait: %d, %v; want ErrInvalid", n, err)
		}
		time.Sleep(50 * time.Minute)
		synctest.Wait()
		if runs != store.MaxRuns {
			t.Errorf("%d runs, want %d", runs, store.MaxRuns)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended, mem.Close()); err != nil {
			t.Error(err)
		}
	})
}

// A transaction holds what settles in it until it is committed.
type transaction struct{ settles []store.Settlement }

// inTransactions is a store in memory for which settling can be part of a transaction.
type inTransactions struct {
	*memory.Store

	reads  *atomic.Int64 // how often tasks are read
	broken *atomic.Bool  // it prolongs no leases
	held   *atomic.Bool  // a transaction holds all tasks
	claims *atomic.Int64 // how long it takes to claim
}

func newInTransactions() inTransactions {
	return inTransactions{memory.New(memory.Options{}), new(atomic.Int64), new(atomic.Bool), new(atomic.Bool), new(atomic.Int64)}
}

func (s inTransactions) Claim(ctx context.Context, xs []store.Claim) ([]store.ClaimResult, error) {
	time.Sleep(time.Duration(s.claims.Load()))
	return s.Store.Claim(ctx, xs)
}

func (s inTransactions) Renew(ctx context.Context, xs []store.Renewal) ([]store.RenewResult, error) {
	if s.broken.Load() {
		return nil, store.ErrBroken
	}
	if s.held.Load() {
		res := make([]store.RenewResult, len(xs))
		for i := range res {
			res[i].Err = store.ErrBusy
		}
		return res, nil
	}
	return s.Store.Renew(ctx, xs)
}

func (s inTransactions) PutTx(context.Context, any, []store.Put) ([]store.PutResult, error) {
	return nil, duly.ErrNoTx
}

func (s inTransactions) CancelTx(context.Context, any, []store.Cancel) ([]store.CancelResult, error) {
	return nil, duly.ErrNoTx
}

func (s inTransactions) SettleTx(_ context.Context, tx any, xs []store.Settlement) ([]store.SettleResult, error) {
	x := tx.(*transaction) //nolint:forcetypeassert // a test's
	x.settles = append(x.settles, xs...)
	return make([]store.SettleResult, len(xs)), nil
}

func (s inTransactions) commit(ctx context.Context, x *transaction) error {
	res, err := s.Settle(ctx, x.settles)
	for i := range res {
		err = errors.Join(err, res[i].Err)
	}
	return err
}

// completing puts a recurring task whose handler completes its runs, and returns the scheduler and what ends it.
func completing(t *testing.T, st inTransactions, done func(ctx context.Context, a *duly.Attempt[string], x *transaction) error, opts ...duly.PutOption) (s *duly.Scheduler, end func()) {
	t.Helper()
	s, err := duly.New(duly.Options{Store: st})
	if err != nil {
		t.Fatal(err)
	}
	k := duly.Handle(s, "k", func(ctx context.Context, a *duly.Attempt[string]) error {
		x := new(transaction)
		if err := a.Complete(ctx, x); err != nil {
			return err
		}
		return done(ctx, a, x)
	})
	ended := make(chan error)
	go func() { ended <- s.Run(t.Context()) }()
	if _, err := k.Put(t.Context(), "a", "", schedule.Every(time.Hour), append([]duly.PutOption{duly.Overlap(duly.Allow)}, opts...)...); err != nil {
		t.Fatal(err)
	}
	return s, func() {
		if err := errors.Join(s.Close(t.Context()), <-ended, st.Close()); err != nil {
			t.Error(err)
		}
	}
}

func counted(t *testing.T, s *duly.Scheduler) duly.KindStats {
	t.Helper()
	st, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	k := st.Kinds["k"]
	k.Wake, k.Slot, k.Claim, k.Total = duly.Histogram{}, duly.Histogram{}, duly.Histogram{}, duly.Histogram{}
	return k
}

// A run that its handler has completed in a transaction is done once that is committed. One whose transaction was not, though the handler
// says that all is well, is tried again.
func TestComplete_Commit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newInTransactions()
		var numbers []int
		s, end := completing(t, st, func(ctx context.Context, a *duly.Attempt[string], x *transaction) error {
			numbers = append(numbers, a.Number)
			if a.Number == 1 {
				return nil
			}
			return st.commit(ctx, x)
		})
		time.Sleep(90 * time.Minute)
		synctest.Wait()
		if got, want := counted(t, s), (duly.KindStats{Started: 2, Succeeded: 1, Failed: 1}); got != want || !slices.Equal(numbers, []int{1, 2}) {
			t.Errorf("attempts %v, %+v; want two, %+v", numbers, got, want)
		}
		end()
	})
}

// What came due during a run that its handler has completed overlapped with it.
func TestComplete_Overlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newInTransactions()
		var begun []time.Duration
		start := time.Now()
		_, end := completing(t, st, func(ctx context.Context, a *duly.Attempt[string], x *transaction) error {
			begun = append(begun, time.Since(start))
			return errors.Join(takes(90*time.Minute+time.Second)(ctx, a), st.commit(ctx, x)) // not when the lease is renewed
		}, duly.Overlap(duly.Skip))
		time.Sleep(5*time.Hour + time.Minute)
		synctest.Wait()
		if want := []time.Duration{time.Hour, 3 * time.Hour, 5 * time.Hour}; !slices.Equal(begun, want) {
			t.Errorf("runs of 90 minutes began at %v, want %v", begun, want)
		}
		end()
	})
}

// A handler that fails though it was to be completed has failed for its own reason, if nothing was committed, and else it has ended too late.
func TestComplete_Fails(t *testing.T) {
	for name, commits := range map[string]bool{"nothing is committed": false, "it is committed": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := unread{newInTransactions(), new(atomic.Bool)}
				s, err := duly.New(duly.Options{Store: st, Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				k := duly.Handle(s, "k", func(ctx context.Context, a *duly.Attempt[string]) error {
					x := new(transaction)
					if err := a.Complete(ctx, x); err != nil {
						return err
					}
					if commits || a.Number > 1 {
						if err := st.commit(ctx, x); err != nil {
							return err
						}
					}
					if a.Number > 1 {
						return nil
					}
					return duly.RetryAfter(time.Minute, errors.New("the disk is full"))
				})
				ended := make(chan error, 1)
				go func() { ended <- s.Run(t.Context()) }()
				if _, err := k.Put(t.Context(), "a", "", schedule.After(time.Minute)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				want, reasons := duly.KindStats{Started: 2, Succeeded: 1, Failed: 1}, []string{"the disk is full"}
				if commits {
					want, reasons = duly.KindStats{Started: 1, Fenced: 1}, nil
				}
				if got := counted(t, s); got != want {
					t.Errorf("%+v, want %+v", got, want)
				}
				es, err := st.History(t.Context(), store.HistoryQuery{Key: store.Key{Name: "a"}, Limit: 100})
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for i := range es {
					if es[i].Verb == store.VerbRetry {
						got = append(got, es[i].Reason)
					}
				}
				if !slices.Equal(got, reasons) {
					t.Errorf("it is tried again because of %q, want %q", got, reasons)
				}
				if err := errors.Join(s.Close(t.Context()), <-ended, st.Close()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A scheduler that is closed while the store can't say whether a transaction has completed a run asks no more: nobody knows that here.
func TestComplete_Closed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := unread{newInTransactions(), new(atomic.Bool)}
		s, log, ended := st.completes(t, duly.Options{}, func() {})
		time.Sleep(2 * time.Minute)
		reads := st.reads.Load()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var u *duly.UnfinishedError
		if err := s.Close(ctx); !errors.As(err, &u) || len(u.Running) != 1 {
			t.Errorf("Close: %v, want that one attempt runs", err)
		}
		if err := <-ended; err != nil && !errors.As(err, &u) {
			t.Errorf("Run: %v, want that one attempt runs, if it has not ended by then", err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := st.reads.Load() - reads; n < 3 || n > 10 {
			t.Errorf("it was asked %d times since, want once in two seconds until the end", n)
		}
		if got, want := counted(t, s), (duly.KindStats{Started: 1, Fenced: 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if all := log.String(); strings.Count(all, "whether an attempt is completed could not be read") != 1 {
			t.Errorf("logged:\n%s", all)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
}

// An attempt that says that all is well, but whose transaction was not committed until its lease was lost, has not succeeded: another has
// taken its place.
func TestComplete_LeaseLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newInTransactions()
		st.broken.Store(true)
		s, end := completing(t, st, func(ctx context.Context, a *duly.Attempt[string], x *transaction) error {
			if a.Number > 1 {
				return errors.Join(takes(10*time.Minute)(ctx, a), st.commit(ctx, x))
			}
			<-ctx.Done()
			st.broken.Store(false)
			time.Sleep(5 * time.Minute)
			return nil
		})
		time.Sleep(90 * time.Minute)
		synctest.Wait()
		if got, want := counted(t, s), (duly.KindStats{Started: 2, Succeeded: 1, Fenced: 1, Lost: 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		end()
	})
}

// An attempt that has lost its lease has completed its run if its transaction was committed, and not if another attempt has.
func TestComplete_LeaseLostAndDone(t *testing.T) {
	for name, c := range map[string]struct {
		late bool
		want duly.KindStats
	}{
		"by itself":  {false, duly.KindStats{Started: 1, Succeeded: 1}},
		"by another": {true, duly.KindStats{Started: 2, Succeeded: 1, Fenced: 1, Lost: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := newInTransactions()
				st.broken.Store(true)
				s, end := completing(t, st, func(ctx context.Context, a *duly.Attempt[string], x *transaction) error {
					if a.Number > 1 {
						return st.commit(ctx, x)
					}
					<-ctx.Done()
					st.broken.Store(false)
					if c.late {
						time.Sleep(5 * time.Minute)
						return nil
					}
					return st.commit(context.WithoutCancel(ctx), x)
				})
				time.Sleep(90 * time.Minute)
				synctest.Wait()
				if got := counted(t, s); got != c.want {
					t.Errorf("%+v, want %+v", got, c.want)
				}
				end()
			})
		})
	}
}

// Who may not renew the lease of a run that is still there has lost it, whatever transaction was to complete it.
func TestComplete_Fenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newInTransactions()
		var why error
		s, end := completing(t, st, func(ctx context.Context, a *duly.Attempt[string], x *transaction) error {
			if a.Number > 1 {
				return st.commit(ctx, x)
			}
			taken := transaction{settles: slices.Clone(x.settles)}
			taken.settles[0].Verb, taken.settles[0].State, taken.settles[0].When = store.VerbRetry, store.Pending, store.In(20*time.Minute, 0)
			if err := st.commit(ctx, &taken); err != nil {
				return err
			}
			why = takes(10*time.Minute)(ctx, a)
			return nil
		})
		time.Sleep(90 * time.Minute)
		synctest.Wait()
		if !errors.Is(why, duly.ErrLeaseLost) {
			t.Errorf("its context ended with %v, want ErrLeaseLost", why)
		}
		if got, want := counted(t, s), (duly.KindStats{Started: 2, Succeeded: 1, Fenced: 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		end()
	})
}

// A heartbeat does not wait for the handler's own transaction, which waits for it.
func TestComplete_Heartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newInTransactions()
		var took time.Duration
		s, end := completing(t, st, func(ctx context.Context, a *duly.Attempt[string], x *transaction) error {
			st.held.Store(true)
			begun := time.Now()
			err := a.Heartbeat(ctx)
			took = time.Since(begun)
			st.held.Store(false)
			return errors.Join(err, st.commit(ctx, x))
		})
		time.Sleep(90 * time.Minute)
		synctest.Wait()
		if got, want := counted(t, s), (duly.KindStats{Started: 1, Succeeded: 1}); got != want || took != 0 {
			t.Errorf("%+v, want %+v; the heartbeat took %v", got, want, took)
		}
		end()
	})
}

// A handler that goes on after it was completed, longer than its lease, goes on alone.
func TestComplete_GoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newInTransactions()
		var begun []time.Duration
		var running, most atomic.Int32
		var causes []error
		start := time.Now()
		_, end := completing(t, st, func(ctx context.Context, a *duly.Attempt[string], x *transaction) error {
			begun = append(begun, time.Since(start))
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			if err := takes(90*time.Minute+time.Second)(ctx, a); err != nil {
				return err
			}
			if err := st.commit(ctx, x); err != nil {
				return err
			}
			time.Sleep(15 * time.Second) // it cleans up
			causes = append(causes, context.Cause(ctx))
			return nil
		}, duly.Overlap(duly.Skip))
		time.Sleep(5*time.Hour + time.Minute)
		synctest.Wait()
		if want := []time.Duration{time.Hour, 3 * time.Hour, 5 * time.Hour}; !slices.Equal(begun, want) || most.Load() != 1 {
			t.Errorf("runs of 90 minutes began at %v, want %v; %d ran at a time, want 1; their contexts: %v", begun, want, most.Load(), causes)
		}
		end()
	})
}

// A handler that goes on after it was completed holds up nobody where runs may overlap.
func TestComplete_GoesOnBesideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newInTransactions()
		var begun []time.Duration
		start := time.Now()
		_, end := completing(t, st, func(ctx context.Context, a *duly.Attempt[string], x *transaction) error {
			begun = append(begun, time.Since(start))
			return errors.Join(st.commit(ctx, x), takes(90*time.Minute)(ctx, a))
		}, duly.Overlap(duly.Allow))
		time.Sleep(3*time.Hour + time.Minute)
		synctest.Wait()
		if want := []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour}; !slices.Equal(begun, want) {
			t.Errorf("runs of 90 minutes began at %v, want %v", begun, want)
		}
		end()
	})
}

// What comes due while a handler goes on after it was completed overlaps with it, also if it is looked at when it could not be caught up any more.
func TestComplete_GoesOnIsOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newInTransactions()
		start := time.Now()
		s, end := completing(t, st, func(ctx context.Context, a *duly.Attempt[string], x *transaction) error {
			return errors.Join(takes(59*time.Minute)(ctx, a), st.commit(ctx, x), takes(10*time.Minute)(ctx, a))
		}, duly.Overlap(duly.Skip), duly.Window(time.Minute))
		time.Sleep(2*time.Hour + 5*time.Minute)
		// what is said to be due long since has all be looked at from there
		if _, err := duly.Declare[string](s, "nobody's").Put(t.Context(), "other", "", schedule.At(start.Add(time.Minute))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		var skipped []string
		es, err := st.History(t.Context(), store.HistoryQuery{Key: store.Key{Name: "a"}, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for i := range es {
			if e := &es[i]; e.Verb == store.VerbSkip {
				skipped = append(skipped, e.At.Time().Sub(start).String()+" "+e.Reason)
			}
		}
		if want := []string{"2h9m0s overlap"}; !slices.Equal(skipped, want) {
			t.Errorf("skipped %q, want %q", skipped, want)
		}
		end()
	})
}

// What came due during a run that its handler has completed, one after another with those that it held up, has waited for them and is not missed.
func TestComplete_OverlapsOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newInTransactions()
		st.claims.Store(int64(100 * time.Millisecond))
		lasts := map[time.Duration]time.Duration{time.Hour: 150 * time.Minute, 2 * time.Hour: 40 * time.Minute, 3 * time.Hour: 10 * time.Minute}
		var of []time.Duration
		start := time.Now()
		_, end := completing(t, st, func(ctx context.Context, a *duly.Attempt[string], x *transaction) error {
			at := a.ScheduledFor.Sub(start)
			of = append(of, at)
			return errors.Join(takes(lasts[at])(ctx, a), st.commit(ctx, x))
		}, duly.Overlap(duly.BufferAll(5)), duly.CatchUp(duly.None))
		time.Sleep(4*time.Hour + 50*time.Minute)
		synctest.Wait()
		if want := []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour, 4 * time.Hour}; !slices.Equal(of, want) {
			t.Errorf("runs of the occurrences at %v, want %v", of, want)
		}
		end()
	})
}

// An extra run waits for a handler that was completed and goes on.
func TestComplete_RunNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newInTransactions()
		var running, most atomic.Int32
		var scheduler atomic.Pointer[duly.Scheduler]
		s, end := completing(t, st, func(ctx context.Context, a *duly.Attempt[string], x *transaction) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			if a.Extra {
				return st.commit(ctx, x)
			}
			if err := st.commit(ctx, x); err != nil {
				return err
			}
			if err := scheduler.Load().RunNow(ctx, "a"); err != nil {
				return err
			}
			return takes(5*time.Second)(ctx, a)
		}, duly.Overlap(duly.Skip))
		scheduler.Store(s)
		time.Sleep(90 * time.Minute)
		synctest.Wait()
		if most.Load() != 1 {
			t.Errorf("%d attempts at one name run at a time, want 1", most.Load())
		}
		end()
	})
}

// unread is a store that fails to read while it is told to.
type unread struct {
	inTransactions

	fails *atomic.Bool
}

func (s unread) Get(ctx context.Context, keys []store.Key) ([]*store.Task, error) {
	if n := s.reads.Add(1); s.fails.Load() && n < 1000 { // whoever spins is to stop some time, and be seen
		return nil, store.ErrBroken
	}
	return s.inTransactions.Get(ctx, keys)
}

// completes runs a scheduler whose task is due in a minute and completes itself in a transaction, from which on the store fails; then is called. It
// returns what is logged, and what Run returns.
func (s unread) completes(t *testing.T, o duly.Options, then func()) (d *duly.Scheduler, log *bytes.Buffer, ended <-chan error) {
	t.Helper()
	log = new(bytes.Buffer)
	o.Store, o.Logger = s, slog.New(slog.NewTextHandler(log, nil))
	d, err := duly.New(o)
	if err != nil {
		t.Fatal(err)
	}
	k := duly.Handle(d, "k", func(ctx context.Context, a *duly.Attempt[string]) error {
		x := new(transaction)
		if err := errors.Join(a.Complete(ctx, x), s.commit(ctx, x)); err != nil {
			return err
		}
		s.fails.Store(true)
		then()
		return nil
	})
	ran := make(chan error, 1)
	go func() { ran <- d.Run(context.WithoutCancel(t.Context())) }()
	if _, err := k.Put(t.Context(), "a", "", schedule.After(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return d, log, ran
}

// Whether a transaction has completed a run is asked until the store answers.
func TestComplete_StoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := unread{newInTransactions(), new(atomic.Bool)}
		s, log, ended := st.completes(t, duly.Options{OnDead: func(_ context.Context, d duly.Death) { t.Errorf("%+v", d) }}, func() {
			time.AfterFunc(time.Second, func() { st.fails.Store(false) })
		})
		time.Sleep(time.Minute + 5*time.Second)
		synctest.Wait()
		if all := log.String(); strings.Count(all, "the store fails") != 1 || strings.Count(all, "the store works again") != 1 {
			t.Errorf("logged:\n%s\nwant that the store fails and works again", all)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got, want := counted(t, s), (duly.KindStats{Started: 1, Succeeded: 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}

// Where the store is closed before it was asked whether a transaction has completed a run, nobody knows that here: it is neither done nor dead.
func TestComplete_StoreIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newInTransactions()
		var log bytes.Buffer
		s, err := duly.New(duly.Options{
			Store: st, Logger: slog.New(slog.NewTextHandler(&log, nil)), OnDead: func(_ context.Context, d duly.Death) { t.Errorf("%+v", d) },
		})
		if err != nil {
			t.Fatal(err)
		}
		k := duly.Handle(s, "k", func(ctx context.Context, a *duly.Attempt[string]) error {
			x := new(transaction)
			return errors.Join(a.Complete(ctx, x), st.commit(ctx, x), st.Close())
		})
		ended := make(chan error, 1)
		go func() { ended <- s.Run(t.Context()) }()
		if _, err := k.Put(t.Context(), "a", "", schedule.After(time.Minute)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		all, err := s.Stats(t.Context())
		if k := all.Kinds["k"]; !errors.Is(err, store.ErrClosed) || k.Fenced != 1 || k.Running != 0 || k.Succeeded != 0 || k.Dead != 0 {
			t.Errorf("%+v, %v; want one whose end is not known, and ErrClosed", k, err)
		}
		if all := log.String(); strings.Count(all, "whether an attempt is completed could not be read") != 1 {
			t.Errorf("logged:\n%s", all)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Run: %v, want ErrClosed", err)
		}
	})
}

// An attempt whose lease was found to be lost when it had ended takes nothing from the next one.
func TestComplete_FencedAndEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := unread{newInTransactions(), new(atomic.Bool)}
		s, err := duly.New(duly.Options{Store: st, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		var ends []error
		k := duly.Handle(s, "k", func(ctx context.Context, a *duly.Attempt[string]) error {
			if a.Number > 1 {
				ends = append(ends, takes(time.Minute)(ctx, a))
				return nil
			}
			x := new(transaction)
			if err := a.Complete(ctx, x); err != nil {
				return err
			}
			x.settles[0].Verb, x.settles[0].State, x.settles[0].When = store.VerbRetry, store.Pending, store.In(20*time.Second, 0)
			if err := st.commit(ctx, x); err != nil { // somebody else has taken it
				return err
			}
			st.fails.Store(true)
			time.Sleep(15 * time.Second) // its lease is not prolonged meanwhile
			time.AfterFunc(time.Second, func() { st.fails.Store(false) })
			return errors.New("no")
		})
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		if _, err := k.Put(t.Context(), "a", "", schedule.After(time.Minute)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if want := []error{nil}; !slices.Equal(ends, want) {
			t.Errorf("the attempts after it end with %v, want one that has its time", ends)
		}
		if got, want := counted(t, s), (duly.KindStats{Started: 2, Succeeded: 1, Fenced: 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if err := errors.Join(s.Close(t.Context()), <-ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}
