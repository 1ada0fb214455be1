package proof_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
)

// A worker is a scheduler with a store of its own on the database of the others, as a process has it.
type worker struct {
	t    *testing.T
	name string
	d    *duly.Scheduler
	s    *postgres.Store
	ran  chan<- attempt
	done chan error
}

type attempt struct {
	task, on string
	late     time.Duration
}

// begins has a worker run tasks of some kinds, each attempt of which is told.
func begins(t *testing.T, url, name string, pooler bool, ran chan<- attempt, kinds ...string) *worker {
	t.Helper()
	s, err := postgres.Open(t.Context(), url, postgres.Options{Pooler: pooler, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	d, err := duly.New(duly.Options{Store: s, Owner: name, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{t: t, name: name, d: d, s: s, ran: ran, done: make(chan error, 1)}
	for _, kind := range kinds {
		w.handles(kind)
	}
	go func() { w.done <- d.Run(context.WithoutCancel(t.Context())) }()
	t.Cleanup(w.ends)
	return w
}

func (w *worker) handles(kind string) {
	duly.Handle(w.d, kind, func(_ context.Context, a *duly.Attempt[int]) error {
		w.ran <- attempt{a.Name, w.name, a.Started.Sub(a.Due)}
		return nil
	})
}

// ends lets what runs finish, and leaves the database.
func (w *worker) ends() {
	if w.d == nil {
		return
	}
	ctx := context.WithoutCancel(w.t.Context())
	if err := w.d.Drain(ctx); err != nil {
		w.t.Error(err)
	}
	if err := <-w.done; err != nil {
		w.t.Error(err)
	}
	if err := w.s.Close(); err != nil {
		w.t.Error(err)
	}
	w.d = nil
}

// A kind runs where it is handled, whoever owns the shards: what one process alone handles, what waits until one that handles it comes, or
// says that it does, and each once.
//
// contract: C4, C5, D1
func TestContract_C5_KindsOnPostgreSQL(t *testing.T) {
	for name, pooler := range map[string]bool{"direct": false, "pooler": true} {
		t.Run(name, func(t *testing.T) {
			url := pgtest.Shared(t).Database(t)
			const each = 40
			ran := make(chan attempt, 100*each)
			var names []string
			put := func(w *worker, kind, round string, s schedule.Schedule) {
				t.Helper()
				k := duly.Declare[int](w.d, kind)
				for i := range each {
					n := fmt.Sprint(round, i)
					if _, err := k.Put(t.Context(), n, i, s); err != nil {
						t.Fatal(err)
					}
					names = append(names, n)
				}
			}
			all := func(what string, n int, on ...string) {
				t.Helper()
				limit, stop := context.WithTimeout(t.Context(), 2*time.Minute)
				defer stop()
				worst := time.Duration(0)
				for range n {
					select {
					case a := <-ran:
						ok := false
						for _, o := range on {
							ok = ok || a.on == o
						}
						if !ok {
							t.Errorf("%s: %s ran on %s, want it on %v", what, a.task, a.on, on)
						}
						worst = max(worst, a.late)
					case <-limit.Done():
						t.Fatalf("%s: waited in vain for %d attempts", what, n)
					}
				}
				t.Logf("%s: at most %v late", what, worst)
			}
			a := begins(t, url, "a", pooler, ran, "k")
			b := begins(t, url, "b", pooler, ran, "k", "x")
			put(a, "x", "soon", schedule.After(time.Second))
			put(b, "x", "now", schedule.After(0))
			all("only b handles it", 2*each, "b")
			put(a, "k", "both", schedule.After(0))
			all("both handle it", each, "a", "b")
			b.ends()
			put(a, "x", "waits", schedule.After(0))
			put(a, "x", "comes", schedule.After(time.Second))
			put(a, "k", "mine", schedule.After(time.Second))
			all("nobody handles the other", each, "a")
			d := begins(t, url, "d", pooler, ran, "x")
			e := begins(t, url, "e", pooler, ran, "x")
			all("two come that do", 2*each, "d", "e")
			put(e, "x", "again", schedule.After(time.Second))
			all("two handle it and a does not", each, "d", "e")
			d.ends()
			e.ends()
			put(a, "x", "late", schedule.After(0))
			a.handles("x")
			all("a handles it from now on", each, "a")
			a.ends()

			s, err := postgres.Open(t.Context(), url, postgres.Options{Pooler: pooler})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }() // nothing was written
			for _, n := range names {
				evs, err := s.History(t.Context(), store.HistoryQuery{Key: store.Key{Name: n}})
				if err != nil || len(evs) != 1 || evs[0].To != store.Done || evs[0].Attempt != 1 {
					t.Errorf("the history of %s is %+v, %v; want one attempt, done", n, evs, err)
				}
			}
			if len(ran) > 0 {
				t.Errorf("%d more attempts than tasks", len(ran))
			}
		})
	}
}

// What another process makes due beside an attempt is heard of at once by the one that runs it: another run, the next occurrence, and what is put
// in the place of a task whose attempt goes on.
//
// contract: C6, G2
func TestContract_C6_BesideAnAttemptOnPostgreSQL(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	a := begins(t, url, "a", false, nil)
	begun, free := make(chan int), make(chan struct{})
	duly.Handle(a.d, "k", func(_ context.Context, at *duly.Attempt[int]) error {
		begun <- at.Payload
		<-free
		return nil
	})
	defer close(free)
	b := begins(t, url, "b", false, nil)
	k := duly.Declare[int](b.d, "k")
	runs := func(what string, payload int, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		limit, stop := context.WithTimeout(t.Context(), 2*time.Minute)
		defer stop()
		select {
		case got := <-begun:
			if got != payload {
				t.Errorf("%s: an attempt at %d began, want one at %d", what, got, payload)
			}
		case <-limit.Done():
			t.Fatalf("%s: waited in vain for an attempt", what)
		}
	}
	put := func(payload int, s schedule.Schedule) error {
		_, err := k.Put(t.Context(), "n", payload, s, duly.Overlap(duly.Allow))
		return err
	}
	if err := put(1, schedule.Every(time.Hour)); err != nil {
		t.Fatal(err)
	}
	runs("a run beside the schedule", 1, b.d.RunNow(t.Context(), "n"))
	runs("another one", 1, b.d.RunNow(t.Context(), "n"))
	_, err := b.d.Move(t.Context(), "n", schedule.After(0))
	runs("a move", 1, err)
	if err := put(2, schedule.Every(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	runs("what is put in the place of what was", 3, put(3, schedule.After(0)))
}
