package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
)

const listener = "select coalesce(min(pid), 0)::text from pg_stat_activity where application_name = 'duly listen' and datname = current_database()"

// heard waits for a hint.
func heard(t *testing.T, hints <-chan store.Hint) store.Hint {
	t.Helper()
	select {
	case h, ok := <-hints:
		if !ok {
			t.Fatal("the hints have ended")
		}
		return h
	case <-time.After(patience):
		t.Fatal("waited in vain for a hint")
	}
	return store.Hint{}
}

// What others notify is heard; what this store itself has sent is known already, and what is no hint is passed by.
func TestHints(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	p := c.open("p", c.url)
	hints, stop := p.s.Hints()
	c.becomes("p listens", func() bool { return p.s.Health().Listening })
	if got, want := heard(t, hints), (store.Hint{At: store.Over, Shards: postgres.Every()}); got != want {
		t.Errorf("the first hint is %v, want %v: until then nothing was heard", got, want)
	}
	tell := func(text string) { c.ask("select pg_notify($1, $2)::text", p.s.Channel(), text) }
	want := store.Hint{At: 7, Shards: store.Shards{1, 2, 3, 1 << 63}}
	tell("nothing that anybody knows")
	tell(postgres.FormatHint(p.s.Sender(), store.Hint{At: 1, Shards: postgres.Every()}))
	tell(postgres.FormatHint(p.s.Sender()+1, want))
	if got := heard(t, hints); got != want {
		t.Errorf("hint is %v, want %v", got, want)
	}
	stop()
	if _, ok := <-hints; ok {
		t.Error("after stop there is a hint, want the end")
	}
	again, stop := p.s.Hints()
	defer stop()
	tell(postgres.FormatHint(0, want))
	if got := heard(t, again); got != want {
		t.Errorf("hint is %v, want %v", got, want)
	}
	if err := p.s.Close(); err != nil {
		t.Error(err)
	}
	if _, ok := <-again; ok {
		t.Error("after Close there is a hint, want the end")
	}
	if late, _ := p.s.Hints(); late == nil {
		t.Error("a closed store has no channel")
	} else if _, ok := <-late; ok {
		t.Error("a closed store has a hint")
	}
}

// A listener that was lost may have missed anything: when another listens everything has to be looked at.
func TestHints_Lost(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	p := c.open("p", c.url)
	hints, stop := p.s.Hints()
	defer stop()
	c.becomes("p listens", func() bool { return p.s.Health().Listening })
	heard(t, hints)
	old := c.ask(listener)
	c.ask("select pg_terminate_backend($1::int)::text", old)
	if got, want := heard(t, hints), (store.Hint{At: store.Over, Shards: postgres.Every()}); got != want {
		t.Errorf("hint is %v, want %v", got, want)
	}
	if pid := c.ask(listener); pid == "0" || pid == old {
		t.Errorf("session %s listens, want another than %s", pid, old)
	}
	if log := p.log.String(); strings.Count(log, "no connection") != 1 || strings.Count(log, "listening again") != 1 {
		t.Errorf("the log does not say once that it was lost and once that it is back:\n%s", log)
	}
}

// A connection that is dead without having been closed is noticed by asking, and one that is merely silent stays.
func TestHints_Silent(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	q := c.open("q", c.url)
	quiet, end := q.s.Hints()
	defer end()
	c.becomes("q listens", func() bool { return q.s.Health().Listening })
	heard(t, quiet)
	well := c.ask(listener)
	way := newWire(t, c.url)
	p := c.open("p", way.url)
	hints, stop := p.s.Hints()
	defer stop()
	c.becomes("p listens", func() bool { return p.s.Health().Listening })
	heard(t, hints)
	way.hush(false)
	tell := func(at store.Instant) {
		c.ask("select pg_notify($1, $2)::text", p.s.Channel(), postgres.FormatHint(0, store.Hint{At: at, Shards: postgres.Every()}))
	}
	tell(7)
	if got := heard(t, hints); got.At != store.Over {
		t.Errorf("p's hint is %v, want one to look at everything", got)
	}
	if got := heard(t, quiet); got.At != 7 {
		t.Errorf("q's hint is %v, want the one that was sent", got)
	}
	c.becomes("p listens again", func() bool { return p.s.Health().Listening })
	tell(8)
	if got := heard(t, quiet); got.At != 8 {
		t.Errorf("q's hint is %v, want the one that was sent", got)
	}
	if got := c.ask("select count(*)::text from pg_stat_activity where pid = " + well); got != "1" {
		t.Error("q's session has ended, want it to listen as long as it is well")
	}
}

// An attempt that runs keeps its task where it stands, and so does what comes due beside it: others are told of that nevertheless, by the place.
//
// contract: C6
func TestHints_BesideAnAttempt(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	p, q := c.open("p", c.url), c.open("q", c.url)
	hints, stop := p.s.Hints()
	defer stop()
	c.becomes("p listens", func() bool { return p.s.Health().Listening })
	heard(t, hints)
	put(t, q.s, due("first", "", time.Hour)) // numbers are raised
	now := time.Now()
	hear := func(what string, task *store.Task) {
		t.Helper()
		want := store.Hint{At: task.Position()}
		want.Shards.Add(task.Shard())
		if got := heard(t, hints); got != want {
			t.Errorf("%s: p hears %v, want %v", what, got, want)
		}
	}
	// silent says that of what q has done nothing was told: else it would be part of what is heard of another task.
	silent := func(after string) {
		t.Helper()
		hear("another task, after "+after, put(t, q.s, due("z"+after, "", time.Second)).Task)
	}
	occurrence := func(in time.Duration) store.Occurrence {
		at := store.At(now.Add(in))
		return store.Occurrence{For: at, Due: at}
	}
	replace := func(payload string, in time.Duration) *store.Task {
		t.Helper()
		x := due("a", payload, in)
		x.Schedule, x.Recurring = "every 1h", true
		return put(t, q.s, x).Task
	}
	edit := func(x store.Edit) *store.Task {
		t.Helper()
		x.Name = "a"
		res, err := q.s.Edit(t.Context(), []store.Edit{x})
		if err != nil || res[0].Err != nil {
			t.Fatalf("%v: %+v, error %v", x.Verb, res, err)
		}
		return get(t, q.s, "a")
	}
	task := replace("", -time.Hour)
	hear("a put", task)
	begin := store.Claim{
		RunID: store.RunID{Key: task.Key, Generation: task.Generation, For: task.Next.For}, Next: occurrence(4 * time.Hour), Lease: time.Hour, Owner: "me",
	}
	if res, err := q.s.Claim(t.Context(), []store.Claim{begin}); err != nil || res[0].Err != nil {
		t.Fatalf("Claim: %+v, error %v", res, err)
	}
	silent("a claim")
	hear("a move", edit(store.Edit{Verb: store.VerbMove, When: store.On(occurrence(30 * time.Minute))}))
	hear("a run beside the schedule", edit(store.Edit{Verb: store.VerbRun}))
	edit(store.Edit{Verb: store.VerbPause})
	silent("a pause")
	edit(store.Edit{Verb: store.VerbRun})
	silent("a run of what is paused")
	hear("a resume", edit(store.Edit{Verb: store.VerbResume}))
	hear("a task in its place", replace("other", 2*time.Hour))
	hear("another one, that is due earlier", replace("third", time.Hour))
	hear("another one, that is due later", replace("fourth", 3*time.Hour))
	if task = get(t, q.s, "a"); task.Running() != 1 {
		t.Errorf("there is %+v, want one attempt that runs", task)
	}
}

// contract: C6
//
// What nobody was told of is found by a rare look, told, and counted; what that has found before is not told again.
func TestSweep(t *testing.T) {
	t.Parallel()
	c := newCrowd(t)
	p := c.open("p", c.url)
	_, stop := p.s.Hints()
	p.own()
	c.until("all is p's", func() bool { return p.has() == 256 })
	c.becomes("p listens", func() bool { return p.s.Health().Listening })
	p.beats(3) // what is new was looked at again
	stop()
	look := p.s.Sweeper()
	sweep := func(wantFound int64) {
		t.Helper()
		if err := look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if h := p.s.Health(); h.Swept != wantFound {
			t.Errorf("%d are found late, want %d", h.Swept, wantFound)
		}
	}
	sweep(0)
	due := store.At(time.Now().Add(-time.Hour))
	put := func(name string, due store.Instant) {
		t.Helper()
		res, err := p.s.Put(t.Context(), []store.Put{{
			Key: store.Key{Name: name}, Spec: store.Spec{Kind: "k", Schedule: "once"}, When: store.On(store.Occurrence{For: due}),
		}})
		if err != nil || res[0].Err != nil {
			t.Fatal(err, res)
		}
	}
	put("a", due)
	put("b", due.Add(time.Minute))
	put("later", store.At(time.Now().Add(time.Hour)))
	hints, stop := p.s.Hints() // after the writes, which tell by themselves
	defer stop()
	sweep(2)
	if got, want := heard(t, hints), (store.Hint{At: due, Shards: postgres.Every()}); got != want {
		t.Errorf("hint is %v, want %v", got, want)
	}
	sweep(2)
	put("c", due.Add(time.Minute))
	sweep(3)
	if got := p.s.Health().Sweeps; got != 4 {
		t.Errorf("there were %d sweeps, want 4", got)
	}
	c.exec(`insert into duly.node (name, session, since, seen_at, lease_at, locked, offset_us, gone_at)
select name, 1, 0, at, 0, locked, 0, at from (select (extract(epoch from now()) * 1e6)::bigint as now) x
cross join lateral (values ('day', true, now - 25 * 3600000000), ('hours', true, now - 23 * 3600000000), ('pooler', false, now - 2 * 3600000000)) y(name, locked, at)`)
	p.beats(2)
	if n := len(p.s.Health().Nodes); n != 1 {
		t.Errorf("a heartbeat tells of %d nodes, want one: the others are long gone", n)
	}
	sweep(3)
	if got := c.ask(nodes); got != "hours gone, p lives" {
		t.Errorf("nodes are %q, want those forgotten that are dead for a day, or for an hour if they never had a lock", got)
	}
}
