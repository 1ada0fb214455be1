package contract

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store/storetest"
)

var acceptCases = []Case{
	{
		"PutIsDurable", "A1", "what Put has accepted is gone after a crash",
		func(e *env) {
			e.putWith("a", "payload", once(10*time.Second), duly.Tags("x"), duly.Priority(7), duly.Key("k", 2))
			e.put("b", schedule.Every(10*time.Second))
			was := e.get("a")
			e.kill()
			is(e, "generation", e.get("a").Generation, was.Generation)
			is(e, "payload", string(e.get("a").Payload), "payload")
			is(e, "tag", e.get("a").Tags[0], "x")
			is(e, "priority", e.get("a").Priority, 7)
			is(e, "key", e.get("a").Key, "k")
			e.down(5 * time.Second)
			e.pass(15 * time.Second)
			e.wantRan("a", "10s for 10s")
			e.wantRan("b", "10s for 10s", "20s for 20s")
		},
	},
	{
		"FailedPutIsNotThere", "A1 J3", "Put says no and the task runs all the same, or says perhaps and nobody can find out",
		func(e *env) {
			e.work()
			e.store.Plant(storetest.Fault{Kind: storetest.Fail, Method: "Put"})
			if _, err := e.try("a", once(time.Second)); err == nil || errors.Is(err, duly.ErrUnknown) {
				e.Errorf("Put while the store fails: error %v, want one, and not that it is unknown", err)
			}
			e.gone("a", duly.ErrNotFound)
			e.store.Plant(storetest.Fault{Kind: storetest.Tear, Method: "Put"})
			_, err := e.try("b", once(time.Second))
			e.wantErr("Put while the store's answer is lost", err, duly.ErrUnknown)
			is(e, "the same again", e.put("b", once(time.Second)).Outcome, duly.Unchanged)
			e.pass(time.Second)
			e.wantRan("a")
			e.wantRan("b", "1s for 1s")
		},
	},
	{
		"DelayBecomesAnInstantOnce", "A3 H2", "a reminder in an hour comes an hour after each restart",
		func(e *env) {
			e.work()
			entry := e.put("a", schedule.After(time.Hour))
			is(e, "due", entry.Due.Sub(start), time.Hour)
			e.down(40 * time.Minute)
			e.pass(10 * time.Minute)
			e.wantRan("a")
			e.pass(10 * time.Minute)
			e.wantRan("a", "1h0m0s for 1h0m0s")
			e.put("stepped", schedule.After(time.Hour)) // at 2 h by the store's clock from now on
			e.step(30 * time.Minute)
			e.pass(30*time.Minute - time.Microsecond)
			e.wantRan("stepped")
			e.pass(time.Microsecond)
			e.wantRan("stepped", "2h0m0s for 2h0m0s")
		},
	},
	{
		"NoHorizon", "A4", "a date in a far year overflows, and fires now",
		func(e *env) {
			e.work()
			far := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
			for name, s := range map[string]schedule.Schedule{
				"after": schedule.After(math.MaxInt64), "at": schedule.At(far), "every": schedule.Every(math.MaxInt64),
				"pace": schedule.Pace(math.MaxInt64), "start": schedule.PaceFromStart(math.MaxInt64), "from": schedule.Every(time.Second).From(far),
				"jitter": schedule.At(far).Jitter(math.MaxInt64),
			} {
				e.put(name, s)
			}
			is(e, "due of at", e.get("at").Due, far)
			is(e, "due of from", e.get("from").Due, far)
			for range 3 {
				e.put("d", once(time.Second), duly.OnConflict(duly.Debounce(math.MaxInt64)))
			}
			e.put("within", once(time.Second), duly.StartWithin(math.MaxInt64), duly.Timeout(math.MaxInt64), duly.Window(math.MaxInt64))
			e.noHistory = true
			e.pass(time.Duration(e.many(5*365)) * 24 * time.Hour)
			e.wantRan("d", "1s for 1s")
			e.wantRan("within", "1s for 1s")
			is(e, "runs", len(e.rec.of("")), 2)
			for name := range map[string]int{"after": 0, "at": 0} {
				if w, err := e.d.WhyNot(e.ctx, name); err != nil || w.Code != duly.WhyNotDue && w.Code != duly.WhyNever {
					e.Errorf("WhyNot %s: %v, error %v", name, w, err)
				}
			}
		},
	},
	{
		"NothingLeftIsNever", "A4 A6", "a schedule that has no occurrence left is refused, or fires now",
		func(e *env) {
			e.work()
			for name, s := range map[string]schedule.Schedule{
				"until": schedule.Every(time.Hour).Until(at(time.Minute)), "over": schedule.Cron("0 0 1 1 *").Until(at(time.Hour)),
			} {
				entry := e.put(name, s)
				if !entry.Due.IsZero() {
					e.Errorf("%s is due at %v, want never", name, entry.Due)
				}
				e.wantWhy(name, duly.WhyNever)
			}
			e.pass(2 * time.Hour)
			is(e, "runs", len(e.rec.of("")), 0)
			is(e, "cancel", e.cancel("until"), duly.Cancelled)
		},
	},
	{
		"IdenticalPutIsNothing", "A5", "ten replicas that declare the same schedule at their start put it off again and again",
		func(e *env) {
			e.work()
			put := func() map[string]duly.Entry {
				all := map[string]duly.Entry{}
				all["every"] = e.put("every", schedule.Every(10*time.Second), duly.Tags("b", "a"), duly.Retry(duly.RetryPolicy{Attempts: 3}))
				all["cron"] = e.put("cron", schedule.Cron("0 3 * * *").In("Europe/Berlin"))
				all["at"] = e.put("at", once(25*time.Second))
				all["pace"] = e.put("pace", schedule.Pace(10*time.Second), duly.Overlap(duly.Skip))
				return all
			}
			first := put()
			for i := range 5 {
				e.pass(3 * time.Second)
				if i == 2 {
					e.kill()
				}
				for name, entry := range put() {
					is(e, name+" outcome", entry.Outcome, duly.Unchanged)
					is(e, name+" generation", entry.Generation, first[name].Generation)
				}
			}
			e.until(25 * time.Second)
			e.wantRan("every", "10s for 10s", "20s for 20s")
			e.wantRan("pace", "10s for 10s", "20s for 20s")
			e.wantRan("at", "25s for 25s")
			for range 3 { // it ran already
				entry := e.put("at", once(25*time.Second))
				is(e, "outcome", entry.Outcome, duly.AlreadyRan)
			}
			e.pass(time.Second)
			e.wantRan("at", "25s for 25s")
		},
	},
	{
		"ADifferenceIsANewGeneration", "A5 B1", "a changed schedule or payload is taken for the old one, and ignored",
		func(e *env) {
			e.work()
			every := schedule.Every(10 * time.Second)
			g := e.put("a", every).Generation
			for i, opts := range [][]duly.PutOption{
				{duly.Tags("x")},
				{duly.Priority(1)},
				{duly.Key("k", 1)},
				{duly.Retry(duly.RetryPolicy{Attempts: 3})},
				{duly.Overlap(duly.Allow)},
				{duly.CatchUp(duly.None)},
				{duly.Timeout(time.Second)},
				{duly.AtMostOnce()},
				{duly.OnError(duly.Stop)},
				{duly.Window(time.Hour)},
			} {
				entry := e.put("a", every, opts...)
				if entry.Outcome != duly.Replaced || entry.Generation <= g {
					e.Errorf("option %d: %v, generation %d after %d; want it replaced", i, entry.Outcome, entry.Generation, g)
				}
				g = entry.Generation
			}
			e.overlapping["a"] = true
			is(e, "another payload", e.putWith("a", "x", every).Outcome, duly.Replaced)
			is(e, "another period", e.putWith("a", "x", schedule.Every(11*time.Second)).Outcome, duly.Replaced)
			is(e, "after", e.put("b", schedule.After(time.Minute)).Outcome, duly.Created)
			is(e, "after, at the same instant", e.put("b", schedule.After(time.Minute)).Outcome, duly.Unchanged)
			e.pass(time.Second)
			is(e, "after, later", e.put("b", schedule.After(time.Minute)).Outcome, duly.Replaced)
		},
	},
	{
		"RunsAgainWhenForgotten", "A5 K2", "a name is blocked for ever because its history is remembered for ever",
		func(e *env) {
			e.noHistory = true
			e.work()
			e.put("a", once(time.Second))
			e.pass(2 * time.Second)
			is(e, "at once", e.put("a", once(time.Second)).Outcome, duly.AlreadyRan)
			e.pass(8 * 24 * time.Hour)
			is(e, "after a week", e.put("a", once(time.Second)).Outcome, duly.Created)
			e.pass(0)
			is(e, "runs", len(e.rec.of("a")), 2)
		},
	},
	{
		"ThePastIsNow", "A6", "what is due in the past waits for ever, or is refused",
		func(e *env) {
			e.work()
			e.put("zero", schedule.After(0))
			e.put("negative", schedule.After(-time.Hour))
			e.put("least", schedule.After(math.MinInt64))
			e.put("yesterday", once(-24*time.Hour))
			e.put("1969", schedule.At(time.Date(1969, 7, 20, 20, 17, 40, 0, time.UTC)))
			for _, name := range []string{"zero", "negative", "least", "yesterday", "1969"} {
				is(e, name, len(e.rec.of(name)), 1)
			}
			e.wantRan("yesterday", "0s for -24h0m0s")
		},
	},
	{
		"WhatIsWrongIsRefused", "A6", "a mistake is found when the task should have run",
		func(e *env) {
			e.work()
			s := schedule.After(time.Hour)
			every := schedule.Every(time.Hour)
			for _, c := range []struct {
				s     schedule.Schedule
				field string
				opts  []duly.PutOption
			}{
				{schedule.Schedule{}, "schedule", nil},
				{schedule.Every(0), "every", nil},
				{schedule.Every(-1), "every", nil},
				{schedule.Pace(0), "pace", nil},
				{schedule.PaceFromStart(-time.Second), "pace-from-start", nil},
				{every.Times(0), "times", nil},
				{every.Jitter(-1), "jitter", nil},
				{schedule.Cron("61 * * * *"), "minute", nil},
				{schedule.Cron("0 0 30 2 *"), "cron", nil},
				{schedule.Cron("0 0 * * *").In("Mars/Olympus"), "in", nil},
				{s, "timeout", opts(duly.Timeout(0))},
				{s, "start within", opts(duly.StartWithin(-1))},
				{s, "window", opts(duly.Window(0))},
				{s, "grace", opts(duly.Grace(-1))},
				{s, "attempts", opts(duly.Retry(duly.RetryPolicy{Attempts: -1}))},
				{s, "backoff", opts(duly.Retry(duly.RetryPolicy{Backoff: -1}))},
				{s, "max backoff", opts(duly.Retry(duly.RetryPolicy{Backoff: time.Hour, MaxBackoff: time.Minute}))},
				{s, "max elapsed", opts(duly.Retry(duly.RetryPolicy{MaxElapsed: -1}))},
				{s, "BufferAll's n", opts(duly.Overlap(duly.BufferAll(0)))},
				{s, "BufferAll's n", opts(duly.Overlap(duly.BufferAll(10_001)))},
				{s, "All's n", opts(duly.CatchUp(duly.All(-1)))},
				{s, "key", opts(duly.Key("", 1))},
				{s, "key's k", opts(duly.Key("k", 0))},
				{s, "priority", opts(duly.Priority(math.MaxInt))},
				{s, "generation", opts(duly.IfGeneration(0))},
				{s, "debounce", opts(duly.OnConflict(duly.Debounce(-1)))},
				{s, "on error", opts(duly.OnError(9))},
				{s, "option", opts(nil)},
				{s, "tag", opts(duly.Tags(""))},
				{every, "start within", opts(duly.StartWithin(time.Second))},
			} {
				_, err := e.try("a", c.s, c.opts...)
				e.wantInvalid(fmt.Sprintf("Put of %v with field %s", c.s, c.field), err, c.field)
			}
			e.gone("a", duly.ErrNotFound)
		},
	},
	{
		"WrongKindsAndOptions", "A6", "a kind that is set up wrongly takes tasks and never runs them",
		func(e *env) {
			for name, o := range map[string]duly.Options{
				"workers": {Workers: -1}, "lease": {Lease: time.Millisecond}, "drain timeout": {DrainTimeout: -1},
				"owner": {Owner: strings.Repeat("x", 256)}, "namespace": {Namespace: ".."}, "max history": {Retention: duly.Retention{MaxHistory: -1}},
			} {
				_, err := duly.New(o)
				e.wantInvalid("New", err, name)
			}
			_, err := duly.New(duly.Options{}, duly.Options{})
			e.wantInvalid("New", err, "options")
			nop := e.takes(0)
			for what, opt := range map[string]duly.KindOption{
				"limit": duly.Limit(0), "rate": duly.Rate(math.NaN(), 1), "burst": duly.Rate(1, 0), "codec": duly.WithCodec[string](words{}),
				"codec of nil": duly.WithCodec[[]byte](nil),
			} {
				field, _, _ := strings.Cut(what, " ")
				d := e.another(e.store, e.opts)
				k := duly.Handle(d, "k", nop, opt)
				_, err := k.Put(e.ctx, "a", nil, schedule.After(0))
				e.wantInvalid("Put of a kind with a wrong "+what, err, field)
				e.wantInvalid("Run", d.Run(e.ctx), field)
				e.wantErr("Close", d.Close(e.ctx), nil)
			}
			for name, kinds := range map[string][]string{"twice": {"k", "k"}, "empty": {""}, "dots": {".."}, "long": {strings.Repeat("k", 256)}} {
				d := e.another(e.store, e.opts)
				var err error
				for _, k := range kinds {
					_, err = duly.Handle(d, k, nop).Put(e.ctx, "a", nil, schedule.After(time.Hour), duly.AnyKind())
				}
				e.wantInvalid("Put of "+name, err, "kind")
				e.wantInvalid("Run of "+name, d.Run(e.ctx), "kind")
				e.wantErr("Close", d.Close(e.ctx), nil)
			}
			d := e.another(e.store, e.opts)
			_, err = duly.Handle[int](d, "k", nil).Put(e.ctx, "a", 1, schedule.After(0))
			e.wantInvalid("Put without a handler", err, "handler")
			e.wantErr("Close", d.Close(e.ctx), nil)
			e.cancel("a")
		},
	},
	{
		"MonotonicReadingsAreDropped", "A6 A5", "the same instant is another after a restart, because of what a clock has added to it",
		func(e *env) {
			e.work()
			now := time.Now().Add(1)
			is(e, "first", e.put("a", schedule.At(now.AddDate(50, 0, 0))).Outcome, duly.Created)
			is(e, "same instant", e.put("a", schedule.At(now.AddDate(50, 0, 0).Round(0).In(time.FixedZone("x", 3600)))).Outcome, duly.Unchanged)
		},
	},
}

// words is a codec of strings.
type words struct{}

func (words) Encode(v string) ([]byte, error) { return []byte(v), nil }
func (words) Decode(b []byte) (string, error) { return string(b), nil }

func opts(o ...duly.PutOption) []duly.PutOption { return o }

var nameCases = []Case{
	{
		"Names", "A7", "a name that cannot be shown, sent or found again is taken",
		func(e *env) {
			e.work()
			for _, name := range []string{"", ".", "..", "a\nb", "\x7f", "a\x00", "\xff", strings.Repeat("x", 256)} {
				_, err := e.try(name, schedule.After(time.Hour))
				e.wantErr(fmt.Sprintf("Put of %.10q", name), err, duly.ErrInvalid)
				_, err = e.d.Cancel(e.ctx, name)
				e.wantErr("Cancel", err, duly.ErrInvalid)
				_, err = e.d.Get(e.ctx, name)
				e.wantErr("Get", err, duly.ErrInvalid)
				_, err = e.d.Move(e.ctx, name, schedule.After(0))
				e.wantErr("Move", err, duly.ErrInvalid)
				e.wantErr("RunNow", e.d.RunNow(e.ctx, name), duly.ErrInvalid)
				_, err = e.d.WhyNot(e.ctx, name)
				e.wantErr("WhyNot", err, duly.ErrInvalid)
				if name != "" {
					_, err = e.kinds[kind].In(name).Put(e.ctx, "a", nil, schedule.After(0))
					e.wantErr("Put in a name space", err, duly.ErrInvalid)
				}
			}
			for _, name := range []string{"x", "a/b", "…", "日本語", "...", " ", "%2f", strings.Repeat("x", 255)} {
				e.put(name, schedule.After(time.Second))
			}
			e.pass(time.Second)
			is(e, "runs", len(e.rec.of("")), 8)
		},
	},
	{
		"NameSpacesAreApart", "A7", "two customers' tasks of one name are one",
		func(e *env) {
			e.work()
			k := e.kinds[kind]
			for i, ns := range []string{"", "a", "b"} {
				_, err := k.In(ns).Put(e.ctx, "n", []byte(ns), once(time.Duration(i+1)*time.Second))
				e.wantErr("Put", err, nil)
			}
			out, err := e.d.In("a").Cancel(e.ctx, "n")
			is(e, "cancel in a", out, duly.Cancelled)
			e.wantErr("Cancel", err, nil)
			_, err = e.d.In("a").Get(e.ctx, "n")
			e.wantErr("Get in a", err, duly.ErrFinished)
			_, err = e.d.In("c").Get(e.ctx, "n")
			e.wantErr("Get in c", err, duly.ErrNotFound)
			e.pass(5 * time.Second)
			e.wantRan("n", "1s for 1s", "3s for 3s")
			for i, s := range e.rec.of("n") {
				is(e, "name space", s.Namespace, []string{"", "b"}[i])
			}
		},
	},
	{
		"Kinds", "A7", "a task is run by a handler for another kind's payload",
		func(e *env) {
			e.handle("other", e.takes(0))
			e.work()
			e.put("a", once(time.Minute))
			other := e.kinds["other"]
			_, err := e.tryWith(other, "a", "", once(time.Second))
			e.wantErr("Put of another kind", err, duly.ErrKindMismatch)
			for _, c := range []duly.Conflict{duly.Keep, duly.Fail, duly.KeepTime, duly.Earliest, duly.Debounce(0)} {
				_, err := e.tryWith(other, "a", "", once(time.Second), duly.OnConflict(c))
				e.wantErr("Put of another kind", err, duly.ErrKindMismatch)
			}
			entry, err := e.tryWith(other, "a", "", once(time.Second), duly.AnyKind())
			e.wantErr("Put of any kind", err, nil)
			is(e, "outcome", entry.Outcome, duly.Replaced)
			e.pass(time.Second)
			is(e, "kind", e.rec.of("a")[0].Kind, "other")
			e.put("a", schedule.After(0)) // what has ended stands in nobody's way
			is(e, "runs", len(e.rec.of("a")), 2)
		},
	},
	{
		"PutMany", "A1 B1", "a batch is answered in another order, or one bad row takes the others with it",
		func(e *env) {
			e.work()
			e.put("taken", once(time.Hour))
			const n = 2_500
			entries, err := e.kinds[kind].PutMany(e.ctx, func(yield func(duly.Item[[]byte]) bool) {
				for i := range n {
					it := duly.Item[[]byte]{Name: fmt.Sprintf("t%04d", i), Schedule: once(time.Second)}
					switch i {
					case 7:
						it.Schedule = schedule.Every(0)
					case 1500:
						it.Name = "taken"
						it.Options = opts(duly.OnConflict(duly.Fail))
					case 1501:
						it.Name = "t0000"
						it.Schedule = once(2 * time.Second)
					}
					if !yield(it) {
						return
					}
				}
			})
			e.wantErr("PutMany", err, nil)
			is(e, "answers", len(entries), n)
			e.wantErr("the 7th", entries[7].Err, duly.ErrInvalid)
			e.wantErr("the one that is taken", entries[1500].Err, duly.ErrExists)
			is(e, "the one put twice", entries[1501].Outcome, duly.Replaced)
			is(e, "the last", entries[n-1].Name, "t2499")
			synctest.Wait()
			e.pass(2 * time.Second)
			is(e, "runs", len(e.rec.of("")), n-3)
			e.wantRan("t0000", "2s for 2s")
		},
	},
	{
		"NoTransactions", "A1", "a Put within a transaction is taken outside of it by a store that has none",
		func(e *env) {
			e.mail(func(ctx context.Context, a *duly.Attempt[[]byte]) error { return duly.Permanent(a.Complete(ctx, nil)) })
			_, err := e.kinds[kind].PutTx(e.ctx, nil, "a", nil, schedule.After(0))
			e.wantErr("PutTx", err, duly.ErrNoTx)
			e.gone("a", duly.ErrNotFound)
			e.work()
			e.put("b", schedule.After(0))
			e.wantErr("Complete", e.rec.of("b")[0].err, duly.ErrNoTx)
		},
	},
}
