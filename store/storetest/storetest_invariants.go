package storetest

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

// Invariants holds a store at rest to what is always true of one, whatever was done to it: Due, List and Get agree and are in order,
// Stats agree with both, no lease is held twice, and the history tells legal moves only.
func Invariants(t testing.TB, s store.Store) {
	t.Helper()
	e := &env{TB: t, ctx: t.Context(), s: s}
	due := allDue(e, s, store.Never)
	checkOrder(e, due)
	listed := allListed(e, s, store.Query{AllNamespaces: true})
	dead := allListed(e, s, store.Query{AllNamespaces: true, State: store.Dead})
	checkSame(e, due, listed)
	for _, task := range listed {
		checkTask(e, task)
	}
	for _, d := range dead {
		checkDead(e, d)
	}
	events := allEvents(e, s)
	checkEvents(e, events)
	checkLeases(e, listed, events)
	checkStats(e, s, listed, dead, len(events))
}

// allDue reads all pages of what is due up to and with an instant.
func allDue(e *env, s store.Store, until store.Instant) (all []*store.Task) {
	e.Helper()
	q := store.DueQuery{Until: until}
	for {
		p, err := s.Due(e.ctx, q)
		if err != nil {
			e.Fatalf("Due until %v: %v", until, err)
		}
		all = append(all, p.Tasks...)
		if !p.More {
			if p.Next != store.Never && p.Next <= until {
				e.Errorf("Due until %v: Next is %v, want an instant after that, or Never", until, p.Next)
			}
			return all
		}
		if len(p.Tasks) == 0 {
			e.Fatalf("Due until %v after %v: an empty page that says there is more", until, q.After)
		}
		last := p.Tasks[len(p.Tasks)-1]
		if want := (store.Cursor{At: last.Position(), Key: last.Key}); p.Cursor != want {
			e.Fatalf("Due until %v: Cursor is %v, want the last task's place, %v", until, p.Cursor, want)
		}
		q.After = p.Cursor
	}
}

// allListed reads all pages of a query.
func allListed(e *env, s store.Store, q store.Query) (all []*store.Task) {
	e.Helper()
	for {
		p, err := s.List(e.ctx, q)
		if err != nil {
			e.Fatalf("List %+v: %v", q, err)
		}
		all = append(all, p.Tasks...)
		if p.Cursor == "" {
			return all
		}
		if p.Cursor == q.After {
			e.Fatalf("List %+v: the cursor stands still", q)
		}
		q.After = p.Cursor
	}
}

// allEvents reads the whole history, in the order it was written.
func allEvents(e *env, s store.Store) []store.Event {
	e.Helper()
	return allHistory(e, s, store.HistoryQuery{Limit: 1000})
}

// allHistory reads all pages of what a query asks for, which must not ask for the newest first.
func allHistory(e *env, s store.Store, q store.HistoryQuery) (all []store.Event) {
	e.Helper()
	for {
		page, err := s.History(e.ctx, q)
		if err != nil {
			e.Fatalf("History %+v: %v", q, err)
		}
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		last := page[len(page)-1].Seq
		if last <= q.After {
			e.Fatalf("History %+v: the last entry is %d; want entries after that which is known", q, last)
		}
		q.After = last
	}
}

func checkOrder(e *env, due []*store.Task) {
	e.Helper()
	for i := 1; i < len(due); i++ {
		a, b := due[i-1], due[i]
		if a.Position() > b.Position() || a.Position() == b.Position() && a.Compare(b.Key) >= 0 {
			e.Errorf("Due: %s at %v stands before %s at %v; want the order of positions, ties by key", a.Key, a.Position(), b.Key, b.Position())
		}
	}
}

// checkSame compares what Due, List and Get say.
func checkSame(e *env, due, listed []*store.Task) {
	e.Helper()
	for i := 1; i < len(listed); i++ {
		if listed[i-1].Compare(listed[i].Key) >= 0 {
			e.Errorf("List: %s before %s; want the order of keys", listed[i-1].Key, listed[i].Key)
		}
	}
	keys := make([]store.Key, len(listed))
	for i, t := range listed {
		keys[i] = t.Key
	}
	got, err := e.s.Get(e.ctx, keys)
	if err != nil || len(got) != len(keys) {
		e.Fatalf("Get of %d keys: %d answers, error %v", len(keys), len(got), err)
	}
	for i := range got {
		sameTask(e, "Get and List of "+keys[i].String(), got[i], listed[i])
	}
	byKey := slices.Clone(due)
	slices.SortFunc(byKey, func(a, b *store.Task) int { return a.Compare(b.Key) })
	if len(byKey) != len(listed) {
		e.Errorf("Due until Never has %d tasks, List %d: %q and %q", len(byKey), len(listed), names(byKey), names(listed))
		return
	}
	for i := range byKey {
		sameTask(e, "Due and List of "+keys[i].String(), byKey[i], listed[i])
	}
}

// same says whether two tasks are equal, where an empty slice is as good as none.
func same(a, b *store.Task) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, y := *a, *b
	if !slices.Equal(x.Runs, y.Runs) || !x.Equal(&y.Spec) || !bytes.Equal(x.Payload, y.Payload) {
		return false
	}
	x.Runs, y.Runs, x.Spec, y.Spec = nil, nil, store.Spec{}, store.Spec{}
	return reflect.DeepEqual(x, y)
}

func sameTask(e *env, what string, a, b *store.Task) {
	e.Helper()
	if !same(a, b) {
		e.Errorf("%s differ:\n  %s\n  %s", what, show(a), show(b))
	}
}

// checkTask holds a task to what is true of every one.
func checkTask(e *env, t *store.Task) {
	e.Helper()
	if t.Next.None() && len(t.Runs) == 0 {
		e.Errorf("%s has neither an occurrence to come nor a run; want it gone: %s", t.Key, show(t))
	}
	if t.Ended && (!t.Next.None() || t.Running() != len(t.Runs)) {
		e.Errorf("%s has ended; want attempts that run and nothing else: %s", t.Key, show(t))
	}
	if t.Generation <= 0 {
		e.Errorf("%s has generation %d, want it positive", t.Key, t.Generation)
	}
	seen := map[store.RunID]bool{}
	for i := range t.Runs {
		r := &t.Runs[i]
		if seen[r.ID(t.Key)] {
			e.Errorf("%s is there twice: %s", r.ID(t.Key), show(t))
		}
		seen[r.ID(t.Key)] = true
		switch {
		case r.State != store.Pending && r.State != store.Running:
			e.Errorf("%s is %v, want pending or running", r.ID(t.Key), r.State)
		case r.State == store.Running && (r.Attempt < 1 || r.Fence <= 0 || r.StartedAt == 0):
			e.Errorf("%s runs as attempt %d with fence %d since %v; want all of them set", r.ID(t.Key), r.Attempt, r.Fence, r.StartedAt)
		case r.State == store.Running && r.StartedAt < r.Due:
			e.Errorf("%s began at %v, before it was due at %v", r.ID(t.Key), r.StartedAt, r.Due)
		case r.Lost+r.Snoozed > r.Attempt:
			e.Errorf("%s: %d lost and %d snoozed of %d attempts", r.ID(t.Key), r.Lost, r.Snoozed, r.Attempt)
		}
		if r.Generation == t.Generation && !t.Next.None() && t.Next.For == r.For {
			e.Errorf("%s has a run and is the next occurrence as well: %s", r.ID(t.Key), show(t))
		}
	}
}

func checkDead(e *env, d *store.Task) {
	e.Helper()
	if len(d.Runs) != 1 || d.Runs[0].State != store.Dead || !d.Next.None() {
		e.Errorf("a dead run of %s is %s; want a task with that run alone", d.Key, show(d))
	}
}

// checkEvents holds the history to legal moves and rising numbers.
func checkEvents(e *env, all []store.Event) {
	e.Helper()
	for i := range all {
		v := &all[i]
		if i > 0 && all[i-1].Seq >= v.Seq {
			e.Errorf("history: Seq %d after %d, want them to rise: %s", v.Seq, all[i-1].Seq, showEvent(v))
		}
		if !store.Legal(v.From, v.To, v.Verb) {
			e.Errorf("history: %v to %v by %v is no legal move: %s", v.From, v.To, v.Verb, showEvent(v))
		}
		if v.From == store.Running && v.StartedAt < v.Due {
			e.Errorf("history: attempt %d began at %v, before it was due at %v: %s", v.Attempt, v.StartedAt, v.Due, showEvent(v))
		}
		if v.Name == "" || v.Kind == "" || v.Generation == 0 || v.At == 0 {
			e.Errorf("history: an entry without key, kind, generation or instant: %s", showEvent(v))
		}
	}
}

// checkLeases looks for a fence that two attempts have, and for an occurrence that ended twice without a redrive.
func checkLeases(e *env, tasks []*store.Task, all []store.Event) {
	e.Helper()
	type attempt struct {
		run store.RunID
		n   int32
	}
	type fence struct {
		key store.Key
		n   int64
	}
	fences := map[fence]attempt{}
	claim := func(k store.Key, generation int64, f store.Instant, n int32, number int64) {
		if number == 0 {
			return
		}
		a := attempt{store.RunID{Key: k, Generation: generation, For: f}, n}
		if was, ok := fences[fence{k, number}]; ok && was != a {
			e.Errorf("fence %d of %s belongs to attempt %d of %s and to attempt %d of %s", number, k, was.n, was.run, a.n, a.run)
		}
		fences[fence{k, number}] = a
	}
	over := map[store.RunID]store.State{}
	trimmed := false // maybe: where the clock was set back, Trim can take an entry and leave an older one
	for i := range all {
		v := &all[i]
		trimmed = trimmed || i > 0 && v.At < all[i-1].At
		id := store.RunID{Key: v.Key, Generation: v.Generation, For: v.For}
		if v.From == store.Running {
			claim(v.Key, v.Generation, v.For, v.Attempt, v.Fence)
		}
		switch {
		case v.Verb == store.VerbRedrive:
			delete(over, id)
		case v.From == store.Running && (v.To == store.Done || v.To == store.Dead || v.To == store.Cancelled):
			if was, ok := over[id]; ok && (!trimmed || was != store.Dead) {
				e.Errorf("%s ended as %v and again as %v", id, was, v.To)
			}
			over[id] = v.To
		}
	}
	for _, t := range tasks {
		for i := range t.Runs {
			r := &t.Runs[i]
			if r.State == store.Running {
				claim(t.Key, r.Generation, r.For, r.Attempt, r.Fence)
			}
			if was, ok := over[r.ID(t.Key)]; ok && (!trimmed || was != store.Dead) {
				e.Errorf("%s ended as %v and is %v", r.ID(t.Key), was, r.State)
			}
		}
	}
}

// checkStats compares the counters with what there is, once they are complete.
func checkStats(e *env, s store.Store, tasks, dead []*store.Task, history int) {
	e.Helper()
	st := counted(e, s)
	want := store.Stats{Tasks: int64(len(tasks)), Dead: int64(len(dead)), History: int64(history)}
	for _, t := range tasks {
		want.Running += int64(t.Running())
		if t.Paused() {
			want.Paused++
		}
	}
	if st != want {
		e.Errorf("Stats: %+v, want %+v, as counted by List and History", st, want)
	}
}

// counted returns the counters when they are complete. Counting goes on by itself, on another goroutine, for as long as it takes;
// looking again is all that can be done.
func counted(e *env, s store.Store) (st store.Stats) {
	e.Helper()
	eventually(e, "Stats to be counted", func() bool {
		var err error
		if st, err = s.Stats(e.ctx); err != nil {
			e.Fatalf("Stats: %v", err)
		}
		return !st.Counting
	})
	return st
}

// patience is how often eventually looks, about once in a millisecond of real time.
var patience = 30_000

// eventually looks again and again at what another goroutine brings about.
func eventually(e *env, what string, is func() bool) {
	e.Helper()
	rang := make(chan struct{}, 1)
	sys := clock.System()
	alarm := sys.NewAlarm(func() { rang <- struct{}{} })
	defer alarm.Close()
	for range patience {
		if is() {
			return
		}
		alarm.Set(sys.Read().Boot+1e6, clock.Never)
		<-rang
	}
	e.Fatalf("waited in vain for %s", what)
}
