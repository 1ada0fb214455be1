package storetest

import (
	"strings"
	"time"

	"github.com/dulyhq/duly/store"
)

var alignCases = []Case{
	{"AlignSetsTheNext", "I1", "a task runs at the instant that the old rules of its zone gave", alignSetsTheNext},
	{"AlignOfWhatHasChanged", "I1 VerbAlign", "a schedule is set by somebody who has seen it as it was, or to what has run", alignOfWhatHasChanged},
	{"MovedIsKept", "I1 E5", "what somebody moved is set back to its schedule, or what was set by it is taken for moved", movedIsKept},
	{"FoldedThrough", "G3 Claim.Through", "what was folded into an older occurrence is taken for one to come", foldedThrough},
	{"NotesAreKept", "Noter", "what is to be done once for a store is done at each start, or never", notesAreKept},
}

func align(t *store.Task, to store.Instant) store.Edit {
	return store.Edit{Verb: store.VerbAlign, Key: t.Key, Generation: t.Generation, For: t.Next.For, When: at(to), Reason: "the rules have changed"}
}

func alignSetsTheNext(e *env) {
	t := e.put(every("a", at(e.later(time.Hour))))
	to := e.later(time.Minute)
	got := e.edited(align(t, to))
	is(e, "next", got.Next, occ(to))
	is(e, "generation", got.Generation, t.Generation)
	is(e, "moved", got.Moved, false)
	e.each(func(when string) {
		sameTask(e, "the answer and Get "+when, got, e.get("a"))
		e.wantNames("due "+when, e.due(to), "a")
	})
	sameTask(e, "aligned to where it is", e.edited(align(got, to)), got)
	e.wantMoves("a", "pending>pending align")
	e.until(to)
	e.wantErr("claim of what was next before", e.tryClaim(next(t, 0)).Err, store.ErrChanged, "")
	c := e.claim(next(got, e.later(time.Hour)))
	is(e, "the same declaration again", e.puts(every("a", at(e.later(2*time.Hour))))[0].Outcome, store.Unchanged)
	e.settle(ended(c, store.Done), store.Done)
}

func alignOfWhatHasChanged(e *env) {
	t := e.put(every("a", at(e.now())))
	first := t.Next.For
	e.settle(ended(e.claim(next(t, e.later(time.Hour))), store.Done), store.Done)
	e.wantErr("align of what has run", e.edit(align(t, e.later(time.Minute))).Err, store.ErrChanged, "")
	got := e.must("a")
	e.wantErr("align to what has run", e.edit(align(got, first)).Err, store.ErrInvalid, "when")
	sameTask(e, "the task after it", got, e.get("a"))
	x := align(got, e.later(30*time.Minute))
	x.Through = e.later(30 * time.Minute)
	e.wantErr("align to what is accounted for by it", e.edit(x).Err, store.ErrInvalid, "when")
	x.Through--
	is(e, "last", e.edited(x).Last, x.Through)
	got = e.must("a")
	e.edited(store.Edit{Verb: store.VerbPause, Key: t.Key})
	e.wantErr("align of another generation", e.edit(align(got, e.later(time.Minute))).Err, store.ErrChanged, "")
	one := e.put(once("b", at(e.later(time.Hour))))
	e.wantErr("align of a one-off", e.edit(align(one, e.later(time.Minute))).Err, store.ErrChanged, "")
	e.wantErr("align of nothing", e.edit(align(&store.Task{Key: key("c")}, 1)).Err, store.ErrNotFound, "")
}

func movedIsKept(e *env) {
	t := e.put(every("a", at(e.now())))
	is(e, "moved, as it was put", t.Moved, false)
	to := e.later(time.Minute)
	got := e.edited(store.Edit{Verb: store.VerbMove, Key: t.Key, When: at(to)})
	e.each(func(when string) { is(e, "moved, after a move "+when, e.must("a").Moved, true) })
	e.wantErr("align of what was moved", e.edit(align(got, e.later(time.Hour))).Err, store.ErrChanged, "")
	e.until(to)
	extra := e.edited(store.Edit{Verb: store.VerbRun, Key: t.Key}) // an attempt beside it does not change it
	c := e.claim(store.Claim{RunID: extra.Runs[0].ID(t.Key), Lease: lease})
	e.each(func(when string) { is(e, "moved, beside an extra run "+when, e.must("a").Moved, true) })
	x := next(e.must("a"), e.later(time.Hour))
	x.Overlap = true
	c2 := e.claim(x)
	is(e, "moved, after its claim", c2.Task.Moved, false)
	e.each(func(when string) { is(e, "moved, after its claim "+when, e.must("a").Moved, false) })
	if !e.o.Shared { // the leases have ended with the restart
		e.rescued(c)
		e.rescued(c2)
	}
	p := every("a", at(e.later(2*time.Hour)))
	p.Payload, p.OnConflict = []byte("other"), store.KeepTime
	is(e, "moved, kept by a Put", e.put(p).Moved, true)
	is(e, "moved, and then put", e.put(every("a", at(e.later(time.Hour)))).Moved, false)
}

// rescued takes a run that a crash left, and gives it up.
func (e *env) rescued(c store.ClaimResult) {
	e.Helper()
	e.edited(store.Edit{
		Verb: store.VerbRescue, Key: c.RunID.Key, Generation: c.RunID.Generation, For: c.RunID.For, Fence: c.Fence, State: store.Dead,
	})
}

func foldedThrough(e *env) {
	t := e.put(every("a", at(e.now())))
	e.advance(time.Hour)
	x := next(t, e.later(time.Minute))
	x.Missed, x.Through = 59, e.later(-time.Second)
	y := x
	y.Through = t.Next.For - 1
	e.wantErr("folded through what is before it", e.tryClaim(y).Err, store.ErrInvalid, "through")
	y = x
	y.Next = occ(x.Through)
	e.wantErr("next is among what was folded", e.tryClaim(y).Err, store.ErrInvalid, "next")
	c := e.claim(x)
	is(e, "run", c.RunID.For, t.Next.For)
	is(e, "last", c.Task.Last, x.Through)
	e.kill()
	is(e, "last after a crash", e.must("a").Last, x.Through)
}

func notesAreKept(e *env) {
	n, ok := e.s.(store.Noter)
	if !ok {
		e.Skip("the store keeps no notes, which is its right")
	}
	want := func(when, name, text string) {
		e.Helper()
		got, err := e.s.(store.Noter).Note(e.ctx, name) //nolint:forcetypeassert // it was one
		if err != nil || got != text {
			e.Errorf("%s: the note %q is %.40q, error %v; want %.40q", when, name, got, err, text)
		}
	}
	set := func(name, text string) {
		e.Helper()
		if err := e.s.(store.Noter).SetNote(e.ctx, name, text); err != nil { //nolint:forcetypeassert // it was one
			e.Errorf("SetNote %q: %v", name, err)
		}
	}
	long := strings.Repeat("x", store.MaxNote)
	want("at first", "a", "")
	set("a", "1")
	set("a", "2")
	set("long", long)
	set("gone", "1")
	set("gone", "")
	e.each(func(when string) {
		want(when, "a", "2")
		want(when, "long", long)
		want(when, "gone", "")
		want(when, "b", "")
	})
	e.wantErr("a name that can't be", n.SetNote(e.ctx, "", "1"), store.ErrInvalid, "name")
	e.wantErr("a text that is too long", n.SetNote(e.ctx, "a", long+"x"), store.ErrInvalid, "text")
}
