package store_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/store"
)

// A move is a story whose last operation is what is tested: its answer, what it writes into the history, and the task after it.
type move struct {
	name, story               string
	answer, events, want, die string // die: the dead runs
}

const (
	runs    = "put at=0s; claim"
	beats   = "put recurring at=0s; claim next=10s"
	paces   = "put recurring at=0s; claim"
	retries = runs + "; now 1s; retry in=5s"
)

var moves = []move{
	{name: "put", story: "put at=10s", answer: "created", want: "g1 next 10s"},
	{name: "put over one that waits", story: "put at=10s; put at=20s", answer: "replaced", events: "put: pending>cancelled 10s", want: "g2 next 20s"},
	{
		name: "put over one that waits for a retry", story: retries + "; put at=20s",
		answer: "replaced", events: "put: pending>cancelled 0s", want: "g3 next 20s",
	},
	{name: "put over one that runs", story: runs + "; put at=20s", answer: "replaced", events: "put: running>running 0s", want: "g3 next 20s; running 0s #1 of g1 f2 final"},
	{
		name: "put over one that runs and waits", story: "put recurring at=0s; claim next=1s; now 1s; put recurring at=20s payload=x",
		answer: "replaced", events: "put: pending>cancelled 1s, put: running>running 0s", want: "g3 next 20s; running 0s #1 of g1 f2 final",
	},
	{name: "put over one that was cancelled and runs", story: runs + "; cancel; put at=20s", answer: "created", want: "g3 next 20s; running 0s #1 of g1 f2 final"},
	{name: "put keeps a pause", story: "put at=10s; pause; put at=20s", answer: "replaced", events: "put: pending>cancelled 10s", want: "g3 paused next 20s"},

	{name: "cancel", story: "put at=10s; cancel", answer: "cancelled", events: "cancel: pending>cancelled 10s", want: "none"},
	{name: "cancel while it waits for a retry", story: retries + "; cancel", answer: "cancelled", events: "cancel: pending>cancelled 0s", want: "none"},
	{name: "cancel while it runs", story: runs + "; cancel", answer: "running", events: "cancel: running>running 0s", want: "g1 ended last 0s; running 0s #1 f2 final"},
	{name: "cancel again", story: runs + "; cancel; cancel", answer: "running", want: "g1 ended last 0s; running 0s #1 f2 final"},
	{name: "cancel and stop", story: runs + "; cancel stop", answer: "running", events: "cancel: running>running 0s", want: "g1 ended last 0s; running 0s #1 f2 final stop"},
	{
		name: "cancel and then stop", story: runs + "; cancel; cancel stop",
		answer: "running", events: "cancel: running>running 0s", want: "g1 ended last 0s; running 0s #1 f2 final stop",
	},
	{
		name: "cancel a schedule that runs", story: beats + "; cancel",
		answer: "cancelled", events: "cancel: pending>cancelled 10s, cancel: running>running 0s", want: "g1 ended last 0s; running 0s #1 f2 final",
	},
	{name: "cancel a fixed delay that runs", story: paces + "; cancel", answer: "cancelled", events: "cancel: running>running 0s", want: "g1 ended last 0s; running 0s #1 f2 final"},
	{name: "cancel nothing", story: "cancel", answer: "unknown", want: "none"},
	{name: "cancel what has ended", story: runs + "; settle done; cancel", answer: "finished", want: "none"},

	{name: "claim", story: "put at=0s; claim", want: "g1 last 0s; running 0s #1 f2"},
	{name: "claim of a schedule", story: "put recurring at=0s; claim next=10s", want: "g1 next 10s last 0s; running 0s #1 f2"},
	{
		name: "claim folded", story: "put recurring at=0s; now 25s; claim as=20s missed=2 next=30s",
		events: "claim: pending>skipped 0s missed 2", want: "g1 next 30s last 20s; running 20s #1 f2 missed 2",
	},
	{name: "claim a retry", story: retries + "; now 6s; claim", want: "g1 last 0s; running 0s #2 f3"},
	{name: "claim too early", story: "put at=10s; now 9.999999s; claim", answer: "not due yet", want: "g1 next 10s"},
	{name: "claim a retry too early", story: retries + "; now 5s; claim", answer: "not due yet", want: "g1 last 0s; pending 0s #1 due 6s"},
	{name: "claim what runs", story: runs + "; claim retry run=0", answer: "the task is not what it was", want: "g1 last 0s; running 0s #1 f2"},
	{name: "claim beside a run", story: beats + "; now 10s; claim next=20s", answer: "an attempt of this name runs", want: "g1 next 10s last 0s; running 0s #1 f2"},
	{
		name: "claim over a run", story: beats + "; now 10s; claim next=20s overlap",
		want: "g1 next 20s last 10s; running 0s #1 f2; running 10s #1 f3",
	},
	{name: "claim of another generation", story: "put at=0s; claim gen+=1", answer: "the task is not what it was", want: "g1 next 0s"},
	{name: "claim of nothing", story: "claim", answer: "the task is not what it was", want: "none"},
	{name: "claim paused", story: "put at=0s; pause; claim", answer: "the task is paused", want: "g2 paused next 0s"},
	{name: "claim too late", story: "put at=0s; now 10s; claim notafter=9s", answer: "the start deadline has passed", want: "g1 next 0s"},
	{name: "claim a one-off with a next", story: "put at=0s; claim next=1s", answer: `claim "ns/a": next is 2031-01-01T00:00:01Z, want none for a one-off`, want: "g1 next 0s"},

	{
		name: "claim folded, before the jitter of the first is over", story: "put recurring at=0s jitter=5s; now 2s; claim as=1s missed=1",
		answer: "not due yet", want: "g1 next 0s due 5s",
	},
	{
		name: "claim after a move back", story: "put recurring at=10s; now 10s; claim next=20s; settle done; move at=5s; claim next=20s",
		want: "g3 next 20s last 10s; running 5s #1 f4",
	},

	{name: "renew", story: runs + "; renew", want: "g1 last 0s; running 0s #1 f2"},
	{name: "renew what is asked to stop", story: runs + "; stop; renew", answer: "stop", want: "g1 last 0s; running 0s #1 f2 stop"},
	{name: "renew with another fence", story: runs + "; renew fence+=1", answer: store.ErrFenced.Error(), want: "g1 last 0s; running 0s #1 f2"},

	{name: "done", story: runs + "; settle done", answer: "done", events: "settle: running>done 0s", want: "none"},
	{name: "done after a cancel", story: runs + "; cancel; settle done", answer: "done", events: "settle: running>done 0s", want: "none"},
	{name: "done after a put", story: runs + "; put at=9s; settle done", answer: "done", events: "settle: running>done 0s", want: "g3 next 9s"},
	{name: "dead", story: runs + "; settle dead", answer: "dead", events: "settle: running>dead 0s", want: "none", die: "g1 last 0s; dead 0s #1"},
	{name: "dead after a cancel", story: runs + "; cancel; settle dead", answer: "cancelled", events: "settle: running>cancelled 0s", want: "none"},
	{name: "asked to stop and did", story: runs + "; stop; settle cancelled", answer: "cancelled", events: "settle: running>cancelled 0s", want: "none"},
	{name: "settle twice", story: runs + "; settle done; settle done", answer: store.ErrFenced.Error(), want: "none"},
	{name: "settle with another fence", story: runs + "; settle done fence+=1", answer: store.ErrFenced.Error(), want: "g1 last 0s; running 0s #1 f2"},
	{name: "settle what waits for its retry", story: retries + "; settle done run=0", answer: store.ErrFenced.Error(), want: "g1 last 0s; pending 0s #1 due 6s"},
	{name: "settle a one-off with a next", story: runs + "; settle done nextin=9s", answer: "done", events: "settle: running>done 0s", want: "none"},
	{name: "settle a schedule with a next", story: beats + "; settle done nextin=3s", answer: "done", events: "settle: running>done 0s", want: "g1 next 10s last 0s"},
	{name: "settle a fixed delay", story: paces + "; now 3s; settle done nextin=10s", answer: "done", events: "settle: running>done 0s", want: "g1 next 13s last 0s"},
	{
		name: "settle a fixed delay with the clock set back", story: "put recurring at=10s; now 10s; claim; now wall=2s; settle done nextin=5s",
		answer: "done", events: "settle: running>done 10s", want: "g1 next 10.000001s due 7s last 10s",
	},
	{name: "end a schedule", story: beats + "; settle done end", answer: "done", events: "settle: running>done 0s, settle: pending>cancelled 10s", want: "none"},
	{name: "end what was replaced", story: beats + "; put recurring at=20s payload=x; settle done end", answer: "done", events: "settle: running>done 0s", want: "g3 next 20s"},
	{name: "a schedule outlives a death", story: beats + "; settle dead", answer: "dead", events: "settle: running>dead 0s", want: "g1 next 10s last 0s", die: "g1 last 0s; dead 0s #1"},

	{name: "retry", story: runs + "; now 1s; retry in=5s", answer: "pending", events: "retry: running>pending 0s", want: "g1 last 0s; pending 0s #1 due 6s"},
	{name: "snooze", story: runs + "; snooze in=5s", answer: "pending", events: "snooze: running>pending 0s", want: "g1 last 0s; pending 0s #1 due 5s snoozed 1"},
	{name: "release", story: runs + "; release in=0s", answer: "pending", events: "release: running>pending 0s", want: "g1 last 0s; pending 0s #1 snoozed 1"},
	{
		name: "retry of a fixed delay", story: paces + "; retry in=5s nextin=9s",
		answer: "pending", events: "retry: running>pending 0s", want: "g1 last 0s; pending 0s #1 due 5s",
	},
	{name: "retry after a cancel", story: runs + "; cancel; retry in=5s", answer: "cancelled", events: "settle: running>cancelled 0s", want: "none"},
	{name: "retry after a put", story: runs + "; put at=9s; snooze in=5s", answer: "cancelled", events: "settle: running>cancelled 0s", want: "g3 next 9s"},
	{name: "retry after a stop", story: runs + "; stop; retry in=5s", answer: "cancelled", events: "settle: running>cancelled 0s", want: "none"},

	{name: "move", story: "put at=10s; move at=5s schedule=x", events: "move: pending>pending 10s", want: "g2 next 5s"},
	{name: "move to where it is", story: "put at=10s; move at=10s", want: "g1 next 10s"},
	{name: "move a retry", story: retries + "; move at=20s", events: "move: pending>pending 0s", want: "g3 next 20s last 0s"},
	{name: "move what runs", story: runs + "; move at=5s", answer: `move "ns/a": the task has started`, want: "g1 last 0s; running 0s #1 f2"},
	{name: "move a schedule that runs", story: beats + "; move at=5s", events: "move: pending>pending 10s", want: "g3 next 5s moved last 0s; running 0s #1 of g1 f2"},
	{name: "move a fixed delay that runs", story: paces + "; move at=5s", answer: `move "ns/a": the task has started`, want: "g1 last 0s; running 0s #1 f2"},
	{
		name: "move a fixed delay that waits for its retry", story: paces + "; retry in=5s; move at=9s",
		answer: `move "ns/a": the task has started`, want: "g1 last 0s; pending 0s #1 due 5s",
	},
	{name: "move what has ended", story: runs + "; settle done; move at=5s", answer: `move "ns/a": the task has ended`, want: "none"},
	{name: "move what was cancelled and runs", story: runs + "; cancel; move at=5s", answer: `move "ns/a": the task has ended`, want: "g1 ended last 0s; running 0s #1 f2 final"},
	{name: "move nothing", story: "move at=5s", answer: `move "ns/a": no task of this name`, want: "none"},
	{
		name: "move beside a redriven run", story: runs + "; settle dead; put at=9s; redrive in=5s; move at=8s",
		events: "move: pending>pending 9s", want: "g5 next 8s; pending 0s #0 of g1 due 5s",
	},

	{name: "move with a payload", story: "put at=10s; move at=5s payload=x", events: "move: pending>pending 10s", want: "g2 next 5s"},
	{name: "move to where it is with a payload", story: "put at=10s; move at=10s payload=x", events: "move: pending>pending 10s", want: "g2 next 10s"},
	{name: "another payload", story: "put at=10s; move payload=x", events: "move: pending>pending 10s", want: "g2 next 10s"},
	{name: "the same payload", story: "put at=10s payload=x; move payload=x", want: "g1 next 10s"},
	{name: "another payload of a retry", story: retries + "; move payload=x", events: "move: pending>pending 0s", want: "g3 last 0s; pending 0s #1 of g1 due 6s"},
	{name: "another payload of what runs", story: runs + "; move payload=x", answer: `move "ns/a": the task has started`, want: "g1 last 0s; running 0s #1 f2"},
	{
		name: "another payload of a fixed delay that runs", story: paces + "; move payload=x",
		events: "move: pending>pending -", want: "g3 last 0s; running 0s #1 of g1 f2",
	},
	{name: "another payload of what has ended", story: runs + "; settle done; move payload=x", answer: `move "ns/a": the task has ended`, want: "none"},
	{name: "run a one-off with what is a move's", story: "put at=10s; now 3s; run payload=x", events: "move: pending>pending 10s", want: "g2 next 3s"},

	{name: "align", story: "put recurring at=10s; align at=9s", events: "align: pending>pending 10s", want: "g1 next 9s"},
	{name: "align to later", story: beats + "; align at=11s jitter=1s", events: "align: pending>pending 10s", want: "g1 next 11s due 12s last 0s; running 0s #1 f2"},
	{name: "align to where it is", story: "put recurring at=10s; align at=10s", want: "g1 next 10s"},
	{name: "align what is paused", story: "put recurring at=10s; pause; align at=9s", events: "align: pending>pending 10s", want: "g2 paused next 9s"},
	{
		name: "align to what has run", story: beats + "; align at=0s", answer: `align "ns/a": when is 2031-01-01T00:00:00Z, want an occurrence after 2031-01-01T00:00:00Z`,
		want: "g1 next 10s last 0s; running 0s #1 f2",
	},
	{
		name: "align, and what has run", story: beats + "; align at=12s through=2s",
		events: "align: pending>pending 10s", want: "g1 next 12s last 2s; running 0s #1 f2",
	},
	{name: "align what was moved", story: "put recurring at=10s; move at=5s; align at=9s", answer: `align "ns/a": the task is not what it was`, want: "g2 next 5s moved"},
	{name: "align what was moved and has run since", story: "put recurring at=10s; move at=0s; claim next=10s; settle done; align at=9s", events: "align: pending>pending 10s", want: "g2 next 9s last 0s"},
	{name: "align what kept its time", story: "put recurring at=10s; put recurring at=20s payload=x keeptime; align at=9s", answer: `align "ns/a": the task is not what it was`, want: "g2 next 10s moved"},
	{name: "align what was put as it stood", story: "put recurring at=10s; put recurring at=10s payload=x keeptime; align at=9s", events: "align: pending>pending 10s", want: "g2 next 9s"},
	{name: "align a one-off", story: "put at=10s; align at=9s", answer: `align "ns/a": the task is not what it was`, want: "g1 next 10s"},
	{name: "align a fixed delay that runs", story: paces + "; align at=9s", answer: `align "ns/a": the task is not what it was`, want: "g1 last 0s; running 0s #1 f2"},
	{name: "skip what was moved", story: "put recurring at=10s; move at=5s; skip skipped at=20s", events: "skip: pending>skipped 5s missed 1", want: "g2 next 20s last 5s"},
	{name: "bury what was moved", story: "put recurring at=10s; move at=5s; bury at=20s", events: "bury: pending>dead 5s", want: "g2 next 20s last 5s", die: "g2 last 5s; dead 5s #0"},
	{name: "resume what was moved", story: "put recurring at=10s; move at=5s; pause; resume at=20s missed=1", events: "resume: pending>pending 5s, resume: pending>skipped 5s missed 1", want: "g4 next 20s last 5s"},
	{name: "cancel what was moved and runs", story: beats + "; move at=5s; cancel", answer: "cancelled", events: "cancel: pending>cancelled 5s, cancel: running>running 0s", want: "g3 ended last 0s; running 0s #1 of g1 f2 final"},
	{name: "end what was moved", story: beats + "; move at=5s; settle done end", answer: "done", events: "settle: running>done 0s, settle: pending>cancelled 5s", want: "none"},
	{
		name: "claim folded into the oldest", story: "put recurring at=0s; now 25s; claim missed=2 through=20s next=30s",
		events: "claim: pending>skipped 0s missed 2", want: "g1 next 30s last 20s; running 0s #1 f2 missed 2",
	},

	{name: "pause", story: "put at=10s; pause", events: "pause: pending>pending 10s", want: "g2 paused next 10s"},
	{name: "pause twice", story: "put at=10s; pause; pause", want: "g2 paused next 10s"},
	{name: "resume", story: "put at=10s; pause; resume", events: "resume: pending>pending 10s", want: "g3 next 10s"},
	{
		name: "resume later", story: "put recurring at=10s; pause; now 25s; resume at=30s missed=2 through=20s",
		events: "resume: pending>pending 10s, resume: pending>skipped 10s missed 2", want: "g3 next 30s last 20s",
	},
	{
		name: "resume with what was passed by", story: "put recurring at=10s; pause; now 25s; resume at=20s missed=2 through=20s",
		answer: `resume "ns/a": when is 2031-01-01T00:00:20Z, want an occurrence after 2031-01-01T00:00:20Z`, want: "g2 paused next 10s",
	},
	{name: "resume what runs", story: runs + "; pause; resume at=30s", events: "resume: pending>pending -", want: "g4 last 0s; running 0s #1 of g1 f2"},

	{name: "run", story: "put recurring at=10s; run", events: "run: none>pending 0s", want: "g1 next 10s; pending 0s #0 of g2 extra"},
	{name: "run twice", story: "put recurring at=10s; run; run", events: "run: none>pending 0s", want: "g1 next 10s; pending 0s #0 of g2 extra; pending 0s #0 of g3 extra"},
	{name: "run at the instant of the next", story: "put recurring at=10s; run at=10s", events: "run: none>pending 10s", want: "g1 next 10s; pending 10s #0 of g2 extra"},
	{name: "run a one-off", story: "put at=10s; now 3s; run", events: "move: pending>pending 10s", want: "g2 next 3s"},

	{name: "skip", story: "put recurring at=0s; skip skipped at=10s", events: "skip: pending>skipped 0s missed 1", want: "g1 next 10s last 0s"},
	{name: "skip several", story: "put recurring at=0s; skip skipped at=30s missed=2 through=20s", events: "skip: pending>skipped 0s missed 2", want: "g1 next 30s last 20s"},
	{name: "skip the last", story: "put recurring at=0s; skip skipped", events: "skip: pending>skipped 0s missed 1", want: "none"},
	{name: "expire", story: "put at=0s; now 9s; skip expired", events: "skip: pending>expired 0s missed 1", want: "none"},
	{name: "skip what runs", story: runs + "; skip skipped", answer: `skip "ns/a": the task is not what it was`, want: "g1 last 0s; running 0s #1 f2"},
	{
		name: "skip to before", story: "put recurring at=9s; skip skipped at=8s",
		answer: `skip "ns/a": when is 2031-01-01T00:00:08Z, want an occurrence after 2031-01-01T00:00:09Z`, want: "g1 next 9s",
	},

	{name: "rescue", story: runs + "; now 10s; rescue pending in=5s", events: "rescue: running>pending 0s", want: "g1 last 0s; pending 0s #1 due 15s lost 1"},
	{name: "rescue to dead", story: runs + "; now 10s; rescue dead", events: "rescue: running>dead 0s", want: "none", die: "g1 last 0s; dead 0s #1 lost 1"},
	{name: "rescue after a cancel", story: runs + "; cancel; now 10s; rescue pending", events: "rescue: running>cancelled 0s", want: "none"},
	{name: "rescue after a stop", story: runs + "; stop; now 10s; rescue dead", events: "rescue: running>cancelled 0s", want: "none"},
	{name: "rescue what waits for its retry", story: retries + "; rescue pending run=0", answer: `rescue "ns/a": ` + store.ErrFenced.Error(), want: "g1 last 0s; pending 0s #1 due 6s"},
	{name: "rescue what is held", story: runs + "; now 9.999999s; rescue pending", answer: `rescue "ns/a": the task has started`, want: "g1 last 0s; running 0s #1 f2"},
	{name: "rescue what is held, with the wall clock set on", story: runs + "; now wall=1h; rescue pending", answer: `rescue "ns/a": the task has started`, want: "g1 last 0s; running 0s #1 f2"},
	{name: "rescue another lease", story: runs + "; now 10s; rescue pending fence+=1", answer: `rescue "ns/a": ` + store.ErrFenced.Error(), want: "g1 last 0s; running 0s #1 f2"},
	{name: "rescue a fixed delay to dead", story: paces + "; now 10s; rescue dead nextin=3s", events: "rescue: running>dead 0s", want: "g1 next 13s last 0s", die: "g1 last 0s; dead 0s #1 lost 1"},

	{name: "rescue a fixed delay after a cancel", story: paces + "; cancel; now 10s; rescue dead nextin=3s", events: "rescue: running>cancelled 0s", want: "none"},

	{name: "bury", story: retries + "; bury", events: "bury: pending>dead 0s", want: "none", die: "g1 last 0s; dead 0s #1 due 6s"},
	{name: "bury the next", story: "put recurring at=10s; bury at=20s", events: "bury: pending>dead 10s", want: "g1 next 20s last 10s", die: "g1 last 10s; dead 10s #0"},
	{
		name: "bury the next for the same", story: "put recurring at=10s; bury at=10s",
		answer: `bury "ns/a": when is 2031-01-01T00:00:10Z, want an occurrence after 2031-01-01T00:00:10Z`, want: "g1 next 10s",
	},
	{name: "bury what runs", story: runs + "; bury run=0", answer: `bury "ns/a": the task has started`, want: "g1 last 0s; running 0s #1 f2"},
	{name: "bury a fixed delay's retry", story: paces + "; retry in=5s; bury nextin=9s", events: "bury: pending>dead 0s", want: "g1 next 9s last 0s", die: "g1 last 0s; dead 0s #1 due 5s"},

	{name: "stop", story: runs + "; stop", events: "stop: running>running 0s", want: "g1 last 0s; running 0s #1 f2 stop"},
	{name: "stop twice", story: runs + "; stop; stop", want: "g1 last 0s; running 0s #1 f2 stop"},
	{name: "stop what waits", story: retries + "; stop", events: "stop: pending>cancelled 0s", want: "none"},
	{name: "stop nothing", story: "put at=10s; stop", answer: `stop "ns/a": the task is not what it was`, want: "g1 next 10s"},
	{name: "stop a fixed delay's run", story: paces + "; stop; settle cancelled nextin=5s", answer: "cancelled", events: "settle: running>cancelled 0s", want: "g1 next 5s last 0s"},
	{name: "stop a schedule's retry", story: beats + "; retry in=5s; stop nextin=3s", events: "stop: pending>cancelled 0s", want: "g1 next 10s last 0s"},
	{name: "stop a fixed delay's retry", story: paces + "; retry in=5s; stop nextin=9s", events: "stop: pending>cancelled 0s", want: "g1 next 9s last 0s"},

	{name: "redrive", story: runs + "; settle dead; redrive in=5s", events: "redrive: dead>pending 0s", want: "g3 last 0s; pending 0s #0 of g1 due 5s"},
	{name: "redrive beside a schedule", story: beats + "; settle dead; redrive", events: "redrive: dead>pending 0s", want: "g1 next 10s last 0s; pending 0s #0 extra"},
	{name: "redrive over another task", story: runs + "; settle dead; put at=9s payload=x; redrive", answer: `redrive "ns/a": a task of this name exists`, want: "g3 next 9s", die: "g1 last 0s; dead 0s #1"},
	{name: "redrive twice", story: runs + "; settle dead; redrive; redrive", answer: `redrive "ns/a": no task of this name`, want: "g3 last 0s; pending 0s #0 of g1"},
	{
		name:   "redrive beside an attempt of a task that was cancelled",
		story:  runs + "; settle dead; put at=0s payload=x; claim; cancel; redrive",
		events: "redrive: dead>pending 0s", want: "g6 last 0s; running 0s #1 of g3 f4 final; pending 0s #0 of g1",
	},
	{name: "move a redriven one-off", story: runs + "; settle dead; redrive in=5s; move at=9s", events: "move: pending>pending 0s", want: "g4 next 9s last 0s"},
	{name: "cancel a redriven one-off", story: runs + "; settle dead; redrive in=5s; cancel", answer: "cancelled", events: "cancel: pending>cancelled 0s", want: "none"},
	{name: "put a redriven one-off", story: runs + "; settle dead; redrive in=5s; put at=0s", answer: "unchanged", want: "g3 last 0s; pending 0s #0 of g1 due 5s"},
	{
		name: "cancel what runs beside a redriven run", story: runs + "; settle dead; put at=0s; redrive; claim; cancel",
		answer: "running", events: "cancel: pending>cancelled 0s, cancel: running>running 0s", want: "g3 ended last 0s; running 0s #1 f5 final",
	},
	{
		name: "move what runs beside a redriven run", story: runs + "; settle dead; put at=0s; redrive; claim; move at=9s",
		answer: `move "ns/a": the task has started`, want: "g3 last 0s; pending 0s #0 of g1; running 0s #1 f5",
	},
	{
		name:   "redrive beside an attempt of a task that was paused and cancelled",
		story:  runs + "; settle dead; put at=0s payload=x; claim; pause; cancel; redrive",
		events: "redrive: dead>pending 0s", want: "g7 last 0s; running 0s #1 of g3 f4 final; pending 0s #0 of g1",
	},
	{name: "redrive what was paused", story: runs + "; pause; settle dead; redrive", events: "redrive: dead>pending 0s", want: "g4 last 0s; pending 0s #0 of g1"},
}

// silent are the arrows that leave no entry of their own; the tasks show them.
var silent = []store.Arrow{{From: store.None, To: store.Pending, Verb: store.VerbPut}, {From: store.Pending, To: store.Running, Verb: store.VerbClaim}}

// TestMoves holds every transition to what it answers, writes down and makes of the task, and all arrows to being reached by one.
func TestMoves(t *testing.T) {
	seen := map[store.Arrow]bool{silent[0]: true, silent[1]: true}
	for _, m := range moves {
		t.Run(m.name, func(t *testing.T) {
			w := newWorld(t)
			ops := strings.Split(m.story, "; ")
			for _, op := range ops[:len(ops)-1] {
				w.do(op)
			}
			before := len(w.events)
			answer := w.do(ops[len(ops)-1])
			var dead []string
			for _, d := range w.dead {
				dead = append(dead, show(d))
			}
			got := move{m.name, m.story, answer, showEvents(w.events[before:]), show(w.task), strings.Join(dead, ", ")}
			if d := cmp.Diff(m, got, cmp.AllowUnexported(move{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			for _, e := range w.events[before:] {
				seen[store.Arrow{From: e.From, To: e.To, Verb: e.Verb}] = true
			}
		})
	}
	for _, a := range store.Arrows() {
		if what := a.When; !seen[store.Arrow{From: a.From, To: a.To, Verb: a.Verb}] {
			t.Errorf("%v to %v by %v (%s): no story above reaches it", a.From, a.To, a.Verb, what)
		}
	}
}
