package contract

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
)

var pauseCases = []Case{
	{
		"PauseAndResume", "G5", "what fell while a task was paused runs all at once when it is resumed, or pauses end by themselves",
		func(e *env) {
			e.put("plain", schedule.Every(10*time.Second))
			e.put("missed", schedule.Every(10*time.Second), duly.ResumeMissed())
			e.put("all", schedule.Every(10*time.Second), duly.ResumeMissed(), duly.CatchUp(duly.All(9)))
			e.put("once", once(20*time.Second))
			e.put("pace", schedule.Pace(10*time.Second))
			e.work()
			e.pass(12 * time.Second)
			n, err := e.d.Pause(e.ctx, duly.Query{}, "for a rest")
			is(e, "paused", n, 5)
			e.wantErr("Pause", err, nil)
			n, _ = e.d.Pause(e.ctx, duly.Query{}, "again")
			is(e, "paused again", n, 0)
			e.pass(10 * time.Second)
			if w := e.wantWhy("plain", duly.WhyPaused); !strings.Contains(w.Text, "for a rest") {
				e.Errorf("WhyNot: %q, want the reason", w.Text)
			}
			is(e, "reason", e.get("once").PausedWhy, "for a rest")
			e.down(25 * time.Second) // it outlasts the process
			e.pass(10 * time.Second) // 57 s
			n, err = e.d.Resume(e.ctx, duly.Query{})
			is(e, "resumed", n, 5)
			e.wantErr("Resume", err, nil)
			e.pass(4 * time.Second)
			e.wantRan("plain", "10s for 10s", "1m0s for 1m0s")
			e.wantRan("missed", "10s for 10s", "57s for 50s missed 3", "1m0s for 1m0s")
			e.wantRan("all", "10s for 10s", "57s for 20s", "57s for 30s", "57s for 40s", "57s for 50s", "1m0s for 1m0s")
			e.wantRan("once", "57s for 20s")
			e.wantRan("pace", "10s for 10s", "57s for 20s")
		},
	},
	{
		"PauseBySelector", "G5", "pausing one customer's tasks pauses another's",
		func(e *env) {
			e.handle("other", func(context.Context, *duly.Attempt[[]byte]) error { return nil })
			e.work()
			e.put("a-1", once(10*time.Second), duly.Tags("x", "y"))
			e.put("a-2", once(10*time.Second), duly.Tags("y"))
			e.put("b-1", once(10*time.Second))
			_, err := e.kinds["other"].Put(e.ctx, "c", nil, once(10*time.Second))
			e.wantErr("Put", err, nil)
			_, err = e.kinds[kind].In("elsewhere").Put(e.ctx, "a-1", nil, once(10*time.Second))
			e.wantErr("Put", err, nil)
			for _, c := range []struct {
				q    duly.Query
				n    int
				what string
			}{
				{duly.Query{Names: []string{"a-1", "nobody"}}, 1, "name"},
				{duly.Query{Prefix: "a-"}, 2, "prefix"},
				{duly.Query{Tag: "x"}, 1, "tag"},
				{duly.Query{Kind: "other"}, 1, "kind"},
				{duly.Query{Prefix: "a-", Tag: "x", Kind: "other"}, 0, "all of them"},
				{duly.Query{}, 4, "name space"},
				{duly.Query{AllNamespaces: true}, 5, "everything"},
			} {
				n, err := e.d.Pause(e.ctx, c.q, "why")
				is(e, "paused by "+c.what, n, c.n)
				e.wantErr("Pause", err, nil)
				n, err = e.d.Resume(e.ctx, c.q)
				is(e, "resumed by "+c.what, n, c.n)
				e.wantErr("Resume", err, nil)
			}
			e.pass(10 * time.Second)
			is(e, "runs", len(e.rec.of("")), 5)
		},
	},
	{
		"PausedDuringARun", "G5 B2", "pausing stops what runs, or loses what it came to",
		func(e *env) {
			e.mail(e.takes(25 * time.Second))
			e.put("a", schedule.Every(10*time.Second))
			e.put("fails", schedule.Every(10*time.Second).From(at(10*time.Second)), duly.Timeout(15*time.Second), duly.Retry(duly.RetryPolicy{Attempts: 2, Backoff: time.Millisecond}))
			e.work()
			e.pass(15 * time.Second)
			n, _ := e.d.Pause(e.ctx, duly.Query{}, "why")
			is(e, "paused", n, 2)
			e.pass(45 * time.Second)
			e.wantRan("a", "10s for 10s")
			e.wantRan("fails", "10s for 10s") // its retry is paused as well
			e.wantMoves("a", "pending>pending pause", "running>done settle")
			n, _ = e.d.Resume(e.ctx, duly.Query{})
			is(e, "resumed", n, 2)
			e.pass(0)
			is(e, "attempts at fails", len(e.rec.of("fails")), 2)
			e.pass(10 * time.Second)
			e.wantRan("a", "10s for 10s", "1m10s for 1m10s")
		},
	},
	{
		"ResumeWhenNothingWasMissed", "G5", "pausing and resuming between two occurrences drops or repeats one",
		func(e *env) {
			e.put("a", schedule.Every(10*time.Second))
			e.put("never", schedule.After(math.MaxInt64))
			e.work()
			e.pass(12 * time.Second)
			for range 3 {
				_, err := e.d.Pause(e.ctx, duly.Query{}, "")
				e.wantErr("Pause", err, nil)
				_, err = e.d.Resume(e.ctx, duly.Query{})
				e.wantErr("Resume", err, nil)
			}
			e.pass(10 * time.Second)
			e.wantRan("a", "10s for 10s", "20s for 20s")
			e.wantRan("never")
		},
	},
	{
		"CancelMoveAndPutWhilePaused", "G5 E1 E5 B1", "a paused task cannot be got rid of, or moving it resumes it",
		func(e *env) {
			e.work()
			for _, name := range []string{"cancelled", "moved", "put"} {
				e.put(name, once(10*time.Second))
			}
			_, err := e.d.Pause(e.ctx, duly.Query{}, "why")
			e.wantErr("Pause", err, nil)
			is(e, "cancel", e.cancel("cancelled"), duly.Cancelled)
			_, err = e.d.Move(e.ctx, "moved", once(5*time.Second))
			e.wantErr("Move", err, nil)
			e.pass(20 * time.Second)
			is(e, "runs", len(e.rec.of("")), 0)
			e.wantWhy("moved", duly.WhyPaused)
			_, err = e.d.Resume(e.ctx, duly.Query{})
			e.wantErr("Resume", err, nil)
			e.pass(0)
			e.wantRan("moved", "20s for 5s")
			e.wantRan("put", "20s for 10s")
			e.wantRan("cancelled")
		},
	},
}
