package store_test

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dulyhq/duly/store"
)

// A wild is a world whose operations are drawn, sensible ones and others.
type wild struct {
	*rapid.T
	w      *world
	fences int64               // the greatest so far
	gens   int64               // likewise of generations
	over   map[store.RunID]int // runs that have ended
}

// TestWild holds whatever is done to a task, in whatever order and with whatever arguments, to what is always so.
func TestWild(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &wild{T: t, w: &world{now: epoch}, over: map[store.RunID]int{}}
		for range rapid.IntRange(1, 150).Draw(t, "operations") {
			w.step()
		}
	})
}

func (w *wild) chance(percent int, what string) bool {
	return rapid.IntRange(0, 99).Draw(w.T, what) >= 100-percent
}

// instant is one nearby, or a wild one.
func (w *wild) instant(what string) store.Instant {
	if w.chance(5, "wild "+what) {
		return store.Instant(rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{
			0, 1, -1, math.MinInt64, math.MinInt64 + 1, math.MaxInt64, math.MaxInt64 - 1, 253_402_300_799_999_999, 253_402_300_800_000_000,
		})).Draw(w.T, what))
	}
	return w.w.now + store.Instant(rapid.IntRange(-5, 5).Draw(w.T, what))*1e6
}

func (w *wild) duration(what string) time.Duration {
	if w.chance(5, "wild "+what) {
		return time.Duration(rapid.Int64().Draw(w.T, what))
	}
	return time.Duration(rapid.IntRange(0, 5).Draw(w.T, what)) * time.Second
}

func (w *wild) when(what string) store.When {
	switch rapid.IntRange(0, 3).Draw(w.T, what) {
	case 0:
		return store.When{}
	case 1:
		return store.In(w.duration(what), w.duration(what))
	}
	o := store.Occurrence{For: w.instant(what)}
	if w.chance(20, "jitter") {
		o.Due = w.instant(what)
	}
	return store.On(o)
}

func (w *wild) occurrence(what string) (o store.Occurrence) {
	if w.chance(50, what) {
		o.For = w.instant(what)
		o.Due = o.For
		if w.chance(20, "jitter") {
			o.Due = w.instant(what)
		}
	}
	return o
}

func (w *wild) word(what string) string {
	return rapid.SampledFrom([]string{"a", "a", "a", "a", "a", "", ".", "\x00", "\xff", strings.Repeat("x", 256)}).Draw(w.T, what)
}

// run is one of the task's, or one that never was.
func (w *wild) run() (id store.RunID, fence int64) {
	t := w.w.task
	id = store.RunID{Key: theKey, Generation: 1, For: epoch}
	if t == nil || w.chance(5, "no run") {
		return id, 1
	}
	n := rapid.IntRange(-1, len(t.Runs)-1).Draw(w.T, "run")
	if n < 0 {
		id.Generation, id.For = t.Generation, t.Next.For
		return id, 0
	}
	fence = t.Runs[n].Fence
	if w.chance(5, "stale fence") {
		fence--
	}
	return t.Runs[n].ID(theKey), fence
}

func (w *wild) put() *store.Put {
	p := &store.Put{
		Key: theKey, When: w.when("when"), OnConflict: store.Conflict(rapid.IntRange(0, 6).Draw(w.T, "conflict")), MaxWait: w.duration("max wait"),
		IfAbsent: w.chance(5, "if absent"), IfPending: w.chance(5, "if pending"), AnyKind: w.chance(50, "any kind"),
	}
	p.Kind = rapid.SampledFrom([]string{"k", "k", "k", "z", ""}).Draw(w.T, "kind")
	p.Recurring = w.chance(60, "recurring")
	p.Payload = []byte(rapid.SampledFrom([]string{"", "x"}).Draw(w.T, "payload"))
	p.Tags = []string{"t"}
	if w.chance(5, "wild put") {
		p.Schedule, p.LimitKey, p.Tags = strings.Repeat("x", rapid.IntRange(0, 5000).Draw(w.T, "schedule")), w.word("limit key"), []string{w.word("tag")}
	}
	return p
}

// step does one operation, and looks at what it did.
func (w *wild) step() {
	before := dump(w.w.task)
	old, deadBefore := w.w.task, len(w.w.dead)
	m := w.w.moment()
	var c store.Change
	var err error
	switch rapid.IntRange(0, 9).Draw(w.T, "operation") {
	case 0:
		w.w.now += store.Instant(rapid.IntRange(-5, 20).Draw(w.T, "seconds")) * 1e6
		w.w.mono += store.Instant(rapid.IntRange(0, 20).Draw(w.T, "seconds")) * 1e6
		return
	case 1:
		p := w.put()
		var r store.PutResult
		c, r = p.Apply(old, m)
		err = r.Err
		for i := range p.Payload {
			p.Payload[i] = '!' // it is the caller's again
		}
		p.Tags[0] = "!"
	case 2:
		var r store.CancelResult
		c, r = (&store.Cancel{Key: theKey, Stop: w.chance(50, "stop"), Reason: w.word("reason")}).Apply(old, m)
		err = r.Err
	case 3, 4, 5:
		c, err = w.claim(old, m)
	case 6, 7:
		c, err = w.settle(old, m)
	default:
		c, err = w.edit(old, m)
	}
	if err != nil && (c.Write || len(c.Events) > 0 || c.Dead != nil || c.Redrive != nil) {
		w.Fatalf("%v, and yet a change: %+v", err, c)
	}
	if d := cmp.Diff(before, dump(old)); d != "" {
		w.Fatalf("the task that was handed in is another (-before +after):\n%s", d)
	}
	if !c.Write {
		return
	}
	w.w.take(c)
	w.look(old, &c, deadBefore)
}

func (w *wild) claim(old *store.Task, m *store.Moment) (store.Change, error) {
	id, _ := w.run()
	x := store.Claim{
		RunID: id, As: w.occurrence("as"), Next: w.occurrence("next"), Missed: rapid.Int64Range(-1, 2).Draw(w.T, "missed"), Lease: w.duration("lease"),
		Overlap: w.chance(50, "overlap"), Owner: w.word("owner"),
	}
	if w.chance(10, "deadline") {
		x.NotAfter = w.instant("not after")
	}
	c, r := x.Apply(old, m)
	if r.Err != nil {
		return c, r.Err
	}
	run := c.Task.Run(r.RunID.Generation, r.RunID.For)
	switch {
	case run == nil || run.State != store.Running || run.Fence != r.Fence || run.StartedAt != w.w.now:
		w.Fatalf("claimed %v with fence %d: the run is %+v", r.RunID, r.Fence, run)
	case r.Fence <= w.fences:
		w.Fatalf("fence %d after %d", r.Fence, w.fences)
	case run.Due > w.w.now:
		w.Fatalf("claimed at %v, due at %v", w.w.now, run.Due)
	case old.Paused():
		w.Fatalf("claimed although it is paused")
	case old.Running() > 0 && !x.Overlap:
		w.Fatalf("claimed although it runs")
	case w.over[r.RunID] > 0:
		w.Fatalf("claimed %v, which has ended", r.RunID)
	}
	w.fences = r.Fence
	return c, nil
}

func (w *wild) settle(old *store.Task, m *store.Moment) (store.Change, error) {
	id, fence := w.run()
	if w.chance(20, "renew") {
		c, r := (&store.Renewal{RunID: id, Fence: fence, Lease: w.duration("lease")}).Apply(old, m)
		return c, r.Err
	}
	x := store.Settlement{
		RunID: id, Fence: fence, Verb: store.Verb(rapid.IntRange(int(store.VerbClaim), int(store.VerbMove)).Draw(w.T, "verb")),
		State: store.State(rapid.IntRange(int(store.Running), int(store.Expired)).Draw(w.T, "state")),
		When:  w.when("when"), Next: w.when("next"), End: w.chance(10, "end"), Reason: w.word("reason"),
	}
	c, r := x.Apply(old, m)
	if r.Err == nil {
		if run := old.Run(id.Generation, id.For); run == nil || run.Fence != fence || run.State != store.Running {
			w.Fatalf("settled with fence %d: %s", fence, show(old))
		}
	}
	return c, r.Err
}

func (w *wild) edit(old *store.Task, m *store.Moment) (store.Change, error) {
	id, fence := w.run()
	x := store.Edit{
		Verb: store.Verb(rapid.IntRange(int(store.VerbRelease), int(store.VerbAlign)+1).Draw(w.T, "verb")), Key: theKey, When: w.when("when"),
		Generation: id.Generation, For: id.For, Fence: fence, State: store.State(rapid.IntRange(0, 8).Draw(w.T, "state")),
		Missed: rapid.Int64Range(-1, 2).Draw(w.T, "missed"), Next: w.when("next"), Reason: w.word("reason"),
	}
	if w.chance(20, "through") {
		x.Through = w.instant("through")
	}
	if x.Verb == store.VerbRedrive && len(w.w.dead) > 0 && w.chance(80, "known") {
		d := rapid.SampledFrom(w.w.dead).Draw(w.T, "dead")
		x.Generation, x.For = d.Runs[0].Generation, d.Runs[0].For
	}
	c, r := x.Apply(old, m)
	if r.Err == nil && x.Verb == store.VerbRedrive {
		delete(w.over, *c.Redrive)
	}
	return c, r.Err
}

// look holds a change to what is so of every one.
func (w *wild) look(old *store.Task, c *store.Change, deadBefore int) {
	for i := range c.Events {
		e := &c.Events[i]
		if !store.Legal(e.From, e.To, e.Verb) {
			w.Fatalf("%v to %v by %v is no legal move", e.From, e.To, e.Verb)
		}
		if e.Key != theKey || e.Kind == "" || e.Generation == 0 || e.At != w.w.now {
			w.Fatalf("an entry lacks something: %s of %q, generation %d, at %v", showEvents(c.Events[i:i+1]), e.Kind, e.Generation, e.At)
		}
	}
	if c.Dead != nil {
		w.dead(c.Dead, deadBefore)
	}
	w.accounts(old, c)
	t := c.Task
	if t == nil {
		return
	}
	if t.Next.None() && len(t.Runs) == 0 {
		w.Fatalf("a task of nothing: %s", show(t))
	}
	if t.Ended && (!t.Next.None() || t.Running() != len(t.Runs)) {
		w.Fatalf("a task that has ended: %s", show(t))
	}
	if old == nil || t.Generation != old.Generation {
		if t.Generation <= w.gens {
			w.Fatalf("generation %d after %d", t.Generation, w.gens)
		}
		w.gens = t.Generation
	}
	if string(t.Payload) == "!" || slices.Contains(t.Tags, "!") {
		w.Fatalf("the task has kept the caller's bytes")
	}
	w.place(t)
}

func (w *wild) dead(d *store.Task, before int) {
	if len(d.Runs) != 1 || d.Runs[0].State != store.Dead || !d.Next.None() || d.Runs[0].Lease != 0 {
		w.Fatalf("dead: %s", show(d))
	}
	if len(w.w.dead) != before+1 {
		w.Fatalf("%d dead runs and then %d", before, len(w.w.dead))
	}
	for _, o := range w.w.dead[:before] {
		if o.Runs[0].ID(o.Key) == d.Runs[0].ID(d.Key) {
			w.Fatalf("%v has died twice", d.Runs[0].ID(d.Key))
		}
	}
}

// place compares the task's position with what it is said to be.
func (w *wild) place(t *store.Task) {
	at := store.Never
	ids := map[store.RunID]bool{}
	for i := range t.Runs {
		r := &t.Runs[i]
		if r.State == store.Running || !t.Paused() {
			at = min(at, r.Due)
		}
		if ids[r.ID(t.Key)] {
			w.Fatalf("a run is there twice: %s", show(t))
		}
		ids[r.ID(t.Key)] = true
		if r.State != store.Pending && r.State != store.Running || r.Lost+r.Snoozed > r.Attempt || r.State == store.Running && (r.Attempt < 1 || r.Fence <= 0) {
			w.Fatalf("a run can't be so: %s", show(t))
		}
	}
	if !t.Paused() && !t.Next.None() {
		at = min(at, t.Next.Due)
	}
	if t.Position() != at {
		w.Fatalf("position %v, want %v: %s", t.Position(), at, show(t))
	}
}

// accounts holds a change to the history: whatever the task had and has no more, or has in another state, is told by an entry, but for
// what was claimed.
func (w *wild) accounts(old *store.Task, c *store.Change) {
	if old == nil {
		return
	}
	told := func(from, to store.State, generation int64, at store.Instant) bool {
		return slices.ContainsFunc(c.Events, func(e store.Event) bool {
			return e.From == from && (to == store.None || e.To == to) && e.Generation == generation && e.For == at
		})
	}
	for i := range old.Runs {
		r := &old.Runs[i]
		var now *store.Run
		if c.Task != nil {
			now = c.Task.Run(r.Generation, r.For)
		}
		switch {
		case now == nil && r.State == store.Pending && told(store.Pending, store.Pending, old.Generation, r.For): // it was moved
		case now == nil:
			w.over[r.ID(theKey)]++
			if !told(r.State, store.None, r.Generation, r.For) {
				w.Fatalf("%v is gone without an entry: %s, then %s, history %s", r.ID(theKey), show(old), show(c.Task), showEvents(c.Events))
			}
		case now.State != r.State && (r.State != store.Pending || now.State != store.Running) && !told(r.State, now.State, r.Generation, r.For):
			w.Fatalf("%v was %v and is %v without an entry", r.ID(theKey), r.State, now.State)
		case r.Final && !now.Final, r.Stop && !now.Stop:
			w.Fatalf("%v may be tried again: %s, then %s", r.ID(theKey), show(old), show(c.Task))
		}
	}
	if n := old.Next; !n.None() && (c.Task == nil || c.Task.Next.For != n.For) && !told(store.Pending, store.None, old.Generation, n.For) {
		if c.Task == nil || c.Task.Run(old.Generation, n.For) == nil && c.Task.Last < n.For {
			w.Fatalf("occurrence %v is gone without an entry: %s, then %s", n.For, show(old), show(c.Task))
		}
	}
}

// dump is all of a task, as bytes.
func dump(t *store.Task) string {
	return string(must(json.Marshal(t)))
}
