package duly

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// What the planner decides, as tables of text: a schedule, a policy as it is kept with a task, and what is given, against the step that
// comes of it. Instants are as far from one at which the task was accepted. What is given are words between commas:
//
//	now 57s                    by the store's clock, and on the monotonic one unless mono is given
//	next 10s due 12s           the next occurrence, due at its nominal instant unless it says so
//	run 10s running lease 40s  a run, waiting unless it says so: of generation 1, due and begun at its nominal instant, by this process
//	shut                       a run that was lost runs, of whatever task
//
// of which a run may be by another one (by other), lost 2 times, under way here (here), or here with its lease lost (lapsed).
var planStart = store.At(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))

// instantOf reads an instant of a table.
func instantOf(t *testing.T, s string) store.Instant {
	t.Helper()
	switch s {
	case "-":
		return 0
	case "never":
		return store.Never
	case "over":
		return store.Over
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return planStart.Add(d)
}

// instantText is an instant in a table.
func instantText(i store.Instant) string {
	switch i {
	case 0:
		return "-"
	case store.Never:
		return "never"
	case store.Over:
		return "over"
	}
	return i.Sub(planStart).String()
}

func occurrenceText(o store.Occurrence) string {
	if o.Due == o.For {
		return instantText(o.For)
	}
	return instantText(o.For) + " due " + instantText(o.Due)
}

func whenText(w store.When, now store.Instant) string {
	d, jitter, relative := w.Relative()
	switch {
	case w.None():
		return ""
	case relative && jitter > 0:
		return fmt.Sprintf("in %v jitter %v", d, jitter)
	case relative:
		return fmt.Sprintf("in %v", d)
	}
	return occurrenceText(w.Resolve(now))
}

// A planRow is a line of a table.
type planRow struct{ what, schedule, policy, given, want string }

// plannerOf reads what is given.
func plannerOf(t *testing.T, row planRow) *planner {
	t.Helper()
	task := &store.Task{Key: store.Key{Name: "a"}, Spec: store.Spec{Kind: "k", Schedule: row.schedule}, Generation: 1, AcceptedAt: planStart}
	x := &planner{t: task, p: &policy{}, m: &memo{}, mine: map[attemptID]*attempt{}, unsure: unsure{}, lease: 30 * time.Second, owner: "me"}
	if row.schedule != "" {
		s, err := schedule.Parse(row.schedule)
		if err != nil {
			t.Fatal(err)
		}
		x.s, task.Recurring = s, true
	}
	if row.policy != "" {
		if err := json.Unmarshal([]byte("{"+row.policy+"}"), x.p); err != nil {
			t.Fatal(err)
		}
	}
	for item := range strings.SplitSeq(row.given, ", ") {
		words := strings.Fields(item)
		what, words := words[0], words[1:]
		of := func(word string) (store.Instant, bool) {
			i := slices.Index(words, word)
			if i < 0 {
				return 0, false
			}
			return instantOf(t, words[i+1]), true
		}
		number := func(word string) (n int64) {
			if i := slices.Index(words, word); i >= 0 {
				if _, err := fmt.Sscan(words[i+1], &n); err != nil {
					t.Fatal(err)
				}
			}
			return n
		}
		at := func() store.Instant { return instantOf(t, words[0]) }
		switch what {
		case "now":
			x.now, x.mono = at(), at()
		case "mono":
			x.mono = at()
		case "accepted":
			task.AcceptedAt = at()
		case "next":
			task.Next = store.Occurrence{For: at(), Due: at()}
			if due, ok := of("due"); ok {
				task.Next.Due = due
			}
		case "last":
			task.Last = at()
		case "starts":
			if _, err := fmt.Sscan(words[0], &task.Starts); err != nil {
				t.Fatal(err)
			}
		case "paused":
			task.PausedAt = x.now
		case "ended":
			task.Ended = true
		case "unhandled":
			x.giveUp = true
		case "shut":
			x.shut = true
		case "grace":
			x.grace = at().Sub(planStart)
		case "run":
			r := store.Run{Generation: 1, For: at(), Due: at(), BegunAt: at(), State: store.Pending, Owner: "me", Fence: 7}
			if slices.Contains(words, "old") {
				r.Generation = 0
			}
			if due, ok := of("due"); ok {
				r.Due = due
			}
			if begun, ok := of("begun"); ok {
				r.BegunAt = begun
			}
			if lease, ok := of("lease"); ok {
				r.State, r.Lease = store.Running, lease
			}
			if i := slices.Index(words, "by"); i >= 0 {
				r.Owner = words[i+1]
			}
			r.Lost = int32(number("lost"))
			r.Stop, r.Extra = slices.Contains(words, "stop"), slices.Contains(words, "extra")
			id := attemptID{r.ID(task.Key), r.Fence}
			if lapsed := slices.Contains(words, "lapsed"); lapsed || slices.Contains(words, "here") {
				x.mine[id] = &attempt{lost: lapsed}
			}
			if slices.Contains(words, "unsure") {
				x.unsure[id.RunID] = 0
			}
			task.Runs = append(task.Runs, r)
		case "memo":
			for word, to := range map[string]*store.Instant{
				"since": &x.m.since, "busy": &x.m.busy, "first": &x.m.first, "caught": &x.m.caught, "buried": &x.m.buried, "over": &x.m.over,
			} {
				if at, ok := of(word); ok {
					*to = at
				}
			}
			if slices.Contains(words, "first") && !slices.Contains(words, "stale") {
				x.m.found = 1
			}
		case "crash":
			has := func(word string) bool { return slices.Contains(words, word) }
			x.crash = crash{surveyed: has("surveyed"), fresh: has("fresh"), divided: has("divided"), wide: has("wide")}
		default:
			t.Fatalf("%q is not known", what)
		}
	}
	return x
}

// stepText is a step as tables have it. What holds for every claim, edit and settlement is checked on the way.
func stepText(t *testing.T, x *planner, st *step) string {
	t.Helper()
	var b strings.Builder
	add := func(format string, args ...any) {
		if b.Len() > 0 {
			b.WriteString(" ")
		}
		fmt.Fprintf(&b, format, args...)
	}
	opt := func(word string, w store.When) {
		if s := whenText(w, x.now); s != "" {
			add("%s %s", word, s)
		}
	}
	instant := func(word string, at store.Instant) {
		if at != 0 {
			add("%s %s", word, instantText(at))
		}
	}
	flag := func(is bool, word string) {
		if is {
			add("%s", word)
		}
	}
	of := func(key store.Key, generation int64) {
		if key != x.t.Key {
			t.Errorf("the step is for %v", key)
		}
		flag(generation != 1, fmt.Sprintf("of generation %d", generation))
	}
	switch st.kind {
	case stepIdle:
		add("idle")
	case stepWait:
		add("wait %s", instantText(st.at))
	case stepClaim:
		c := &st.claim
		if c.Owner != "me" || c.Lease != 30*time.Second {
			t.Errorf("the claim is by %q for %v", c.Owner, c.Lease)
		}
		if st.run != nil && st.run.ID(x.t.Key) != c.RunID {
			t.Errorf("the claim of %v has the run %v", c.RunID, st.run.ID(x.t.Key))
		}
		add("claim %s", instantText(c.For))
		of(c.Key, c.Generation)
		flag(st.run != nil, "again")
		if !c.As.None() {
			add("as %s", occurrenceText(c.As))
		}
		if c.Missed != 0 {
			add("missed %d", c.Missed)
		}
		instant("through", c.Through)
		if !c.Next.None() {
			add("next %s", occurrenceText(c.Next))
		}
		instant("by", c.NotAfter)
		flag(c.Overlap, "overlap")
		flag(c.FirstStart, "first start")
	case stepEdit:
		e := &st.edit
		add("%s %s", e.Verb, instantText(e.For))
		of(e.Key, e.Generation)
		flag(e.State != 0, e.State.String())
		if e.Fence != 0 {
			add("fence %d", e.Fence)
		}
		if e.Missed != 0 {
			add("missed %d", e.Missed)
		}
		instant("through", e.Through)
		opt("when", e.When)
		opt("next", e.Next)
		flag(e.End, "end")
		flag(st.stop, "ours too")
		add("%q", e.Reason)
	case stepBack:
		s := &st.back
		add("%s %s", s.Verb, instantText(s.For))
		of(s.Key, s.Generation)
		if s.Fence != 0 {
			add("fence %d", s.Fence)
		}
		opt("when", s.When)
		opt("next", s.Next)
		add("%q", s.Reason)
	}
	if st.kind != stepWait && st.kind != stepIdle && st.at != store.Never {
		instant("or at", st.at)
	}
	if st.lease != store.Never {
		add("lease %s", instantText(st.lease))
	}
	if st.first != 0 || st.caught != 0 {
		add("one by one %s to %s", instantText(st.first), instantText(st.caught))
	}
	if x.m.buried != 0 || x.m.over != 0 {
		add("buried %s over %s", instantText(x.m.buried), instantText(x.m.over))
	}
	return b.String()
}

func testPlans(t *testing.T, rows []planRow) {
	t.Helper()
	for _, row := range rows {
		x := plannerOf(t, row)
		st := x.plan()
		if got := stepText(t, x, &st); got != row.want {
			t.Errorf("%s\n\t%s {%s}\n\tgiven %s\n\tgot  %s\n\twant %s", row.what, row.schedule, row.policy, row.given, got, row.want)
		}
	}
}

// TestPlan_Late: which of the occurrences that were missed runs, what becomes of the others, and what comes next. Each bound is held on
// both sides.
//
// contract: G3
func TestPlan_Late(t *testing.T) {
	testPlans(t, []planRow{
		{"in time", "every 10s", ``, "next 10s, now 10s", "claim 10s next 20s"},
		{"not yet", "every 10s", ``, "next 10s, now 9.999999s", "wait 10s"},
		{"one is late", "every 10s", ``, "next 10s, now 19.999999s", "claim 10s next 20s"},
		{"two are due", "every 10s", ``, "next 10s, now 20s", "claim 10s as 20s missed 1 next 30s"},
		{"the latest", "every 10s", ``, "next 10s, now 57s", "claim 10s as 50s missed 4 next 1m0s"},
		{"the latest, late as far as the window goes", "every 10s until 2030-01-01T00:01:00Z", ``, "next 10s, now 2m0s", "claim 10s as 1m0s missed 5"},
		{"and further", "every 10s until 2030-01-01T00:01:00Z", ``, "next 10s, now 2m0.000001s", `skip 10s skipped missed 6 through 1m0s "missed"`},
		{"a window of its own", "every 10s", `"window": "7s"`, "next 10s, now 57s", "claim 10s as 50s missed 4 next 1m0s"},
		{"that is too small", "every 10s", `"window": "6.999999999s"`, "next 10s, now 57s", `skip 10s skipped missed 5 through 50s when 1m0s "missed"`},
		{"a period where that is longer", "every 10m", ``, "next 10m, now 19m59.999999s", "claim 10m0s next 20m0s"},
		{"to the nanosecond", "every 10m0.000000999s until 2030-01-01T00:15:00Z", ``, "next 10m0.000001s, now 20m0.000002s", `skip 10m0.000001s skipped missed 1 through 10m0.000001s "missed"`},
		{"also where there is no other to tell it by", "every 10m until 2030-01-01T00:15:00Z", ``, "next 10m, now 20m", "claim 10m0s"},
		{"and no longer", "every 10m until 2030-01-01T00:15:00Z", ``, "next 10m, now 20m0.000001s", `skip 10m0s skipped missed 1 through 10m0s "missed"`},
		{"a window of a nanosecond", "every 10s", `"window": "1ns"`, "next 10s, now 10.000001s", `skip 10s skipped missed 1 through 10s when 20s "missed"`},
		{"a day at most", "every 48h", ``, "next 48h, now 72h", "claim 48h0m0s next 96h0m0s"},
		{"and no longer", "every 48h", ``, "next 48h, now 72h0.000001s", `skip 48h0m0s skipped missed 1 through 48h0m0s when 96h0m0s "missed"`},
		{"the oldest", "every 10s", `"catch_up": "earliest"`, "next 10s, now 57s", "claim 10s missed 4 through 50s next 1m0s"},
		{"the oldest within the default window", "every 10s", `"catch_up": "earliest"`, "next 10s, now 1m10s", "claim 10s missed 6 through 1m10s next 1m20s"},
		{"but for one", "every 10s", `"catch_up": "earliest"`, "next 10s, now 1m10.000001s", `skip 10s skipped missed 1 through 10s when 20s "missed"`},
		{"the oldest in a window", "every 10s", `"catch_up": "earliest", "window": "27s"`, "next 10s, now 57s", `skip 10s skipped missed 2 through 20s when 30s "missed"`},
		{"one less", "every 10s", `"catch_up": "earliest", "window": "26.999999999s"`, "next 10s, now 57s", `skip 10s skipped missed 3 through 30s when 40s "missed"`},
		{"all", "every 10s", `"catch_up": "all:9"`, "next 10s, now 57s", "claim 10s next 20s one by one 10s to 50s"},
		{"as many as there are", "every 10s", `"catch_up": "all:5"`, "next 10s, now 57s", "claim 10s next 20s one by one 10s to 50s"},
		{"one more than it takes", "every 10s", `"catch_up": "all:4"`, "next 10s, now 57s", "claim 10s as 20s missed 1 next 30s one by one 20s to 50s"},
		{"the newest alone", "every 10s", `"catch_up": "all:1"`, "next 10s, now 57s", "claim 10s as 50s missed 4 next 1m0s one by one 50s to 50s"},
		{"all in a window", "every 10s", `"catch_up": "all:9", "window": "25s"`, "next 10s, now 57s", `skip 10s skipped missed 3 through 30s when 40s "missed"`},
		{"all, and there is one", "every 10s", `"catch_up": "all:9"`, "next 10s, now 13s", "claim 10s next 20s"},
		{"none", "every 10s", `"catch_up": "none"`, "next 10s, now 57s", `skip 10s skipped missed 4 through 40s when 50s "missed"`},
		{"none, and there is one in time", "every 10s", `"catch_up": "none"`, "next 10s, now 19s", "claim 10s next 20s"},
		{"none, by a grace", "every 10s", `"catch_up": "none", "grace": "7s"`, "next 10s, now 57s", `skip 10s skipped missed 4 through 40s when 50s "missed"`},
		{"that is too small", "every 10s", `"catch_up": "none", "grace": "6.999999999s"`, "next 10s, now 57s", `skip 10s skipped missed 5 through 50s when 1m0s "missed"`},
		{"a grace of a nanosecond", "every 10s", `"catch_up": "none", "grace": "1ns"`, "next 10s, now 10.000001s", `skip 10s skipped missed 1 through 10s when 20s "missed"`},
		{"the default grace is a minute at most", "every 10m", `"catch_up": "none"`, "next 10m, now 11m", "claim 10m0s next 20m0s"},
		{"and no longer", "every 10m", `"catch_up": "none"`, "next 10m, now 11m0.000001s", `skip 10m0s skipped missed 1 through 10m0s when 20m0s "missed"`},
		{"the default grace is a period where that is shorter", "every 10s until 2030-01-01T00:00:25Z", `"catch_up": "none"`, "next 20s, now 30s", "claim 20s"},
		{"and no longer", "every 10s until 2030-01-01T00:00:25Z", `"catch_up": "none"`, "next 20s, now 30.000001s", `skip 20s skipped missed 1 through 20s "missed"`},
		{"to the nanosecond", "every 10.000000999s until 2030-01-01T00:00:15Z", `"catch_up": "none"`, "next 10.000001s, now 20.000002s", `skip 10.000001s skipped missed 1 through 10.000001s "missed"`},
		{"a grace longer than a period", "every 10s", `"catch_up": "none", "grace": "1h"`, "next 10s, now 57s", `skip 10s skipped missed 4 through 40s when 50s "missed"`},
		{"all, and enough with this", "every 10s times 3", `"catch_up": "all:9"`, "next 10s, now 57s, starts 2", "claim 10s one by one 10s to 50s"},
		{"the only one", "every 10s times 1", ``, "next 10s, now 57s", "claim 10s as 50s missed 4"},
		{"the last of so many", "every 10s times 3", ``, "next 10s, now 57s, starts 2", "claim 10s as 50s missed 4"},
		{"the last but one", "every 10s times 3", ``, "next 10s, now 57s, starts 1", "claim 10s as 50s missed 4 next 1m0s"},
		{"the last there is", "every 10s until 2030-01-01T00:00:30Z", ``, "next 10s, now 57s", "claim 10s as 30s missed 2"},
		{"what was moved back is late by when it is due", "every 10s", `"window": "5s"`, "next 10s due 2s, now 8s", `skip 10s skipped missed 1 through 10s when 20s "missed"`},
		{"what was moved to between two", "every 10s", ``, "next 13s, last 10s, now 13s", "claim 13s next 20s"},
		{"and is late", "every 10s", ``, "next 13s, last 10s, now 47s", "claim 13s as 40s missed 3 next 50s"},
		{"and the oldest", "every 10s", `"catch_up": "earliest"`, "next 13s, last 10s, now 47s", "claim 13s missed 3 through 40s next 50s"},
		{"and the oldest, beyond a window that holds the one before it", "every 10s", `"catch_up": "earliest", "window": "40s"`, "next 13s, last 10s, now 57s", `skip 13s skipped missed 1 through 10s when 20s "missed"`},
		{"and one of all", "every 10s", `"catch_up": "all:9", "window": "34s"`, "next 13s, last 10s, now 47s", "claim 13s next 20s one by one 13s to 40s"},
		{"and one of all, as many as it takes", "every 10s", `"catch_up": "all:4"`, "next 13s, last 10s, now 47s", "claim 13s next 20s one by one 13s to 40s"},
		{"and one of all that is too late", "every 10s", `"catch_up": "all:9", "window": "33.999999s"`, "next 13s, last 10s, now 47s", `skip 13s skipped missed 1 through 10s when 20s "missed"`},
		{"what was moved to before the last one", "every 10s", ``, "next 5s, last 30s, now 5s", "claim 5s next 40s"},
		{"and is late", "every 10s", ``, "next 5s, last 30s, now 57s", "claim 5s as 50s missed 2 next 1m0s"},
		{"and the oldest", "every 10s", `"catch_up": "earliest"`, "next 5s, last 30s, now 57s", "claim 5s missed 2 through 50s next 1m0s"},
		{"and is older than the window, which begins before the last one", "every 10s", `"catch_up": "earliest", "window": "40s"`, "next 5s, last 50s, now 1m10s", "claim 5s missed 2 through 1m10s next 1m20s"},
		{"and the window begins with the last one", "every 10s", `"catch_up": "earliest", "window": "40s"`, "next 5s, last 30s, now 1m10s", "claim 5s missed 4 through 1m10s next 1m20s"},
		{"and the window begins after it", "every 10s", `"catch_up": "earliest", "window": "40s"`, "next 5s, last 20s, now 1m10s", `skip 5s skipped missed 1 through 20s when 30s "missed"`},
		{"and one of all", "every 10s", `"catch_up": "all:9", "window": "40s"`, "next 5s, last 50s, now 1m10s", "claim 5s next 1m0s one by one 5s to 1m10s"},
		{"and too late, with the others", "every 10s", `"window": "1s"`, "next 5s, last 30s, now 57s", `skip 5s skipped missed 3 through 50s when 1m0s "missed"`},
		{"jitter", "every 10s jitter 5s", ``, "next 10s due 12.551473s, now 57s", "claim 10s as 50s due 52.551473s missed 4 next 1m0s due 1m2.551473s"},
		{"jitter to the nanosecond: not yet", "every 10s jitter 5.000000809s", ``, "next 40s due 42.551474s, now 52.551473s", "claim 40s next 50s due 52.551474s"},
		{"nor the newest of several", "every 10s jitter 5.000000809s", ``, "next 30s due 32.551474s, now 52.551473s", "claim 30s as 40s due 42.551474s missed 1 next 50s due 52.551474s"},
		{"and now", "every 10s jitter 5.000000809s", ``, "next 40s due 42.551474s, now 52.551474s", "claim 40s as 50s due 52.551474s missed 1 next 1m0s due 1m2.551474s"},
		{"jitter, and late by when it is due", "every 10s jitter 5.000000809s", `"window": "1.448526999s"`, "next 10s due 12.551474s, now 54s", "claim 10s as 50s due 52.551474s missed 4 next 1m0s due 1m2.551474s"},
		{"by a nanosecond", "every 10s jitter 5.000000809s", `"window": "1.448526998s"`, "next 10s due 12.551474s, now 54s", `skip 10s skipped missed 5 through 50s when 1m0s due 1m2.551474s "missed"`},
		{"jitter and the oldest in a window", "every 10s jitter 5.000000809s", `"catch_up": "earliest", "window": "21.448526999s"`, "next 10s due 12.551474s, now 54s", `skip 10s skipped missed 2 through 20s when 30s due 32.551474s "missed"`},
		{"but for a nanosecond", "every 10s jitter 5.000000809s", `"catch_up": "earliest", "window": "21.448526998s"`, "next 10s due 12.551474s, now 54s", `skip 10s skipped missed 3 through 30s when 40s due 42.551474s "missed"`},
		{"jitter and all in a window", "every 10s jitter 5s", `"catch_up": "all:9", "window": "25s"`, "next 10s due 12.551473s, now 57s", `skip 10s skipped missed 2 through 20s when 30s due 32.551473s "missed"`},
		{"jitter and too late", "every 10s jitter 5s", `"window": "1s"`, "next 10s due 12.551473s, now 57s", `skip 10s skipped missed 5 through 50s when 1m0s due 1m2.551473s "missed"`},
		{"a calendar's window is as far as its occurrences are apart now", "cron 0 0,1,13 * * *", ``, "next 13h, now 24h", "claim 13h0m0s as 24h0m0s missed 1 next 25h0m0s"},
		{"and too late", "cron 0 0,1,13 * * * until 2030-01-01T01:00:00Z", ``, "next 0s, now 2h0.000001s", `skip 0s skipped missed 2 through 1h0m0s "missed"`},
		{"a day of a month", "cron 0 0 1 * *", ``, "accepted -24h, next 0s, now 24h", "claim 0s next 744h0m0s"},
		{"and no longer", "cron 0 0 1 * *", ``, "accepted -24h, next 0s, now 24h0.000001s", `skip 0s skipped missed 1 through 0s when 744h0m0s "missed"`},
		{"the last of a calendar", "cron 0 */2 * * * until 2030-01-01T04:00:00Z", ``, "next 4h, now 6h", "claim 4h0m0s"},
		{"and too late by its distance from the one before", "cron 0 */2 * * * until 2030-01-01T04:00:00Z", ``, "next 4h, now 6h0.000001s", `skip 4h0m0s skipped missed 1 through 4h0m0s "missed"`},
		{"to the nanosecond", "cron 0 */2 * * * until 2030-01-01T04:00:00Z jitter 5.000000805s", ``, "next 2h due 2h2.551473s, now 6h2.551473s", `skip 2h0m0s skipped missed 2 through 4h0m0s "missed"`},
		{"a calendar's grace", "cron * * * * *", `"catch_up": "none"`, "next 1m, now 2m", `skip 1m0s skipped missed 1 through 1m0s when 2m0s "missed"`},
		{"all of them one by one, from the first on", "every 10s", `"catch_up": "all:9"`, "next 10s, now 1m57s, memo first 10s caught 50s", "claim 10s next 20s one by one 10s to 50s"},
		{"from the second on", "every 10s", `"catch_up": "all:9"`, "next 20s, last 10s, now 1m57s, memo first 10s caught 50s", "claim 20s next 30s one by one 10s to 50s"},
		{"and to the last", "every 10s", `"catch_up": "all:9"`, "next 50s, last 40s, now 1m57s, memo first 10s caught 50s", "claim 50s next 1m0s one by one 10s to 50s"},
		{"what comes after is caught up for itself", "every 10s", `"catch_up": "all:9"`, "next 1m, last 50s, now 1m57s, memo first 10s caught 50s", "claim 1m0s next 1m10s one by one 1m0s to 1m50s"},
		{"what is before the first is to be folded into it yet", "every 10s", `"catch_up": "all:2"`, "next 10s, now 57s, memo first 40s caught 50s", "claim 10s as 40s missed 3 next 50s one by one 40s to 50s"},
		{"another generation's are not these", "every 10s", `"catch_up": "all:2"`, "next 10s, now 57s, memo first 10s caught 50s stale", "claim 10s as 40s missed 3 next 50s one by one 40s to 50s"},
	})
}

// TestPlan_Overlap: what comes due while a run of the same name is under way, while it waits for a retry, and when it has ended.
//
// contract: G2 F2
func TestPlan_Overlap(t *testing.T) {
	testPlans(t, []planRow{
		{"nothing is looked at until it ends", "every 10s", ``, "next 20s, now 12s, run 10s lease 40s here", "idle"},
		{"also when the next is due", "every 10s", ``, "next 20s, now 20s, run 10s lease 40s here", "idle"},
		{"a lease that was lost here is somebody's", "every 10s", ``, "next 20s, now 20s, run 10s lease 40s lapsed", "idle lease 40s"},
		{"another's lease", "every 10s", ``, "next 20s, now 20s, run 10s lease 40s by other", "idle lease 40s"},
		{"the first of two leases", "every 10s", `"overlap": "allow"`, "next 30s, now 20s, run 10s lease 40s by other, run 20s lease 35s by other", "wait 30s lease 35s"},
		{"one of two is ours", "every 10s", `"overlap": "allow"`, "next 30s, now 20s, run 10s lease 40s here, run 20s lease 45s by other", "wait 30s lease 45s"},
		{"allowed: not yet", "every 10s", `"overlap": "allow"`, "next 20s, now 12s, run 10s lease 40s here", "wait 20s"},
		{"allowed: beside it", "every 10s", `"overlap": "allow"`, "next 20s, now 20s, run 10s lease 40s here", "claim 20s next 30s overlap"},
		{"allowed: a retry beside it", "every 10s", `"overlap": "allow"`, "next 30s, now 25s, run 10s due 24s, run 20s lease 50s here", "claim 10s again overlap"},
		{"a retry waits for what runs", "every 10s", ``, "next 30s, now 25s, run 10s due 24s, run 20s lease 50s here", "idle"},
		{"a retry's time", "every 10s", ``, "next 20s, now 11s, run 10s due 15s", "wait 15s"},
		{"and the next one's, where they may overlap", "every 10s", `"overlap": "allow"`, "next 20s, now 11s, run 10s due 25s", "wait 20s"},
		{"the retry goes before the next", "every 10s", ``, "next 20s, now 25s, run 10s due 25s", "claim 10s again"},
		{"the older of two retries goes first", "every 10s", `"overlap": "allow"`, "next 30s, now 29s, run 20s due 21s, run 10s due 25s", "claim 10s again overlap"},
		{"in either order", "every 10s", `"overlap": "allow"`, "next 30s, now 29s, run 10s due 25s, run 20s due 21s", "claim 10s again overlap"},
		{"of two for the same instant the first", "every 10s", `"overlap": "allow"`, "next 30s, now 29s, run 10s due 25s old, run 10s due 21s", "claim 10s of generation 0 again overlap"},
		{"the earlier of two retries to come", "every 10s", `"overlap": "allow"`, "next 50s, now 29s, run 10s due 45s, run 20s due 35s", "wait 35s"},
		{"skipped during a wait for a retry", "every 10s", ``, "next 20s, now 20s, run 10s due 25s", `skip 20s skipped missed 1 through 20s when 30s "overlap" or at 25s`},
		{"all that are due", "every 10s", ``, "next 20s, now 47s, run 10s due 1m", `skip 20s skipped missed 3 through 40s when 50s "overlap" or at 1m0s`},
		{"but not those that are older than the run", "every 10s", ``, "next 20s, now 47s, run 10s due 1m begun 20.000001s", "wait 1m0s"},
		{"those from when it began", "every 10s", ``, "next 20s, now 47s, run 10s due 1m begun 20s", `skip 20s skipped missed 3 through 40s when 50s "overlap" or at 1m0s`},
		{"nor those that run one by one", "every 10s", `"catch_up": "all:9"`, "next 20s, now 47s, run 10s due 1m, memo first 10s caught 40s", "wait 1m0s"},
		{"those after them", "every 10s", `"catch_up": "all:9"`, "next 20s, now 47s, run 10s due 1m, memo first 5s caught 19s", `skip 20s skipped missed 3 through 40s when 50s "overlap" or at 1m0s`},
		{"nor while another attempt runs", "every 10s", ``, "next 30s, now 30s, run 10s due 1m, run 20s lease 50s here", "wait 1m0s"},
		{"a fixed delay's wait", "pace 10s", ``, "next 20s, now 20s, run 10s due 25s", "wait 25s"},
		{"nor one from start to start", "pace-from-start 10s", ``, "next 20s, now 20s, run 10s due 25s", "wait 25s"},
		{"a one-off that was put anew waits", "", ``, "next 20s, now 20s, run 10s due 25s old", "wait 25s"},
		{"buffered while it waits", "every 10s", `"overlap": "buffer"`, "next 20s, now 20s, run 10s due 25s", "wait 25s"},
		{"the next takes over: not yet", "every 10s", `"overlap": "cancel"`, "next 20s, now 12s, run 10s lease 40s here", "wait 20s"},
		{"the next takes over", "every 10s", `"overlap": "cancel"`, "next 20s, now 20s, run 10s lease 40s here", `stop 10s ours too "the next occurrence takes over"`},
		{"also from what waits", "every 10s", `"overlap": "cancel"`, "next 20s, now 20s, run 10s due 25s", `stop 10s ours too "the next occurrence takes over" or at 25s`},
		{"who is asked waits", "every 10s", `"overlap": "cancel"`, "next 20s, now 20s, run 10s lease 40s here stop", "idle"},
		{"and the others are asked", "every 10s", `"overlap": "cancel"`, "next 30s, now 30s, run 10s lease 40s here stop, run 15s lease 40s here old, run 20s lease 40s here", `stop 15s of generation 0 ours too "the next occurrence takes over"`},
		{"nothing is asked for what has ended", "every 10s", `"overlap": "cancel"`, "next 20s, now 20s, ended, run 10s lease 40s here", "idle"},
		{"the end of a run that was asked to stop", "every 10s", `"overlap": "cancel"`, "next 20s, last 10s, now 25s, memo since 10s busy 24s", "claim 20s next 30s"},
		{"skipped after it", "every 10s", ``, "next 20s, last 10s, now 45s, memo since 10s busy 45s", `skip 20s skipped missed 3 through 40s when 50s "overlap"`},
		{"only what came due during it", "every 10s", ``, "next 20s, last 10s, now 45s, memo since 10s busy 35s", `skip 20s skipped missed 2 through 30s when 40s "overlap"`},
		{"from when it began", "every 10s", ``, "next 20s, last 10s, now 45s, memo since 20s busy 35s", `skip 20s skipped missed 2 through 30s when 40s "overlap"`},
		{"and not what was late before", "every 10s", ``, "next 20s, last 10s, now 45s, memo since 20.000001s busy 35s", "claim 20s as 40s missed 2 next 50s"},
		{"to when it ended", "every 10s", ``, "next 20s, last 10s, now 45s, memo since 10s busy 20s", `skip 20s skipped missed 1 through 20s when 30s "overlap"`},
		{"and not after", "every 10s", ``, "next 20s, last 10s, now 45s, memo since 10s busy 19.999999s", "claim 20s as 40s missed 2 next 50s"},
		{"the newest of what is buffered", "every 10s", `"overlap": "buffer"`, "next 20s, last 10s, now 45s, memo since 10s busy 45s", "claim 20s as 40s missed 2 next 50s"},
		{"and nothing after the run", "every 10s", `"overlap": "buffer"`, "next 20s, last 10s, now 55s, memo since 10s busy 45s", "claim 20s as 40s missed 2 next 50s"},
		{"one is buffered", "every 10s", `"overlap": "buffer"`, "next 20s, last 10s, now 25s, memo since 10s busy 25s", "claim 20s next 30s"},
		{"all of what is buffered", "every 10s", `"overlap": "buffer-many:3"`, "next 20s, last 10s, now 45s, memo since 10s busy 45s", "claim 20s next 30s one by one 20s to 40s"},
		{"but for what there is no room for", "every 10s", `"overlap": "buffer-many:2"`, "next 20s, last 10s, now 45s, memo since 10s busy 45s", `skip 20s skipped missed 1 through 20s when 30s "the buffer is full"`},
		{"one by one", "every 10s", `"overlap": "buffer-many:3"`, "next 30s, last 20s, now 55s, memo since 10s busy 55s first 20s caught 40s", "claim 30s next 40s one by one 20s to 40s"},
		{"allowed, what was late is caught up", "every 10s", `"overlap": "allow"`, "next 20s, last 10s, now 45s, memo since 10s busy 25s", "claim 20s as 40s missed 2 next 50s overlap"},
		{"a fixed delay knows of no overlap", "pace 10s", ``, "next 20s, last 10s, now 45s, memo since 10s busy 45s", "claim 20s"},
	})
}

// TestPlan_FixedDelay: what counts from the runs themselves.
//
// contract: G1
func TestPlan_FixedDelay(t *testing.T) {
	testPlans(t, []planRow{
		{"what comes after is not known", "pace 10s", ``, "next 10s, now 57s", "claim 10s"},
		{"from the start", "pace-from-start 10s", ``, "next 10s, now 57s", "claim 10s next 1m7s"},
		{"the only one from the start", "pace-from-start 10s times 1", ``, "next 10s, now 57s", "claim 10s"},
		{"the last from the start", "pace-from-start 10s times 3", ``, "next 10s, now 57s, starts 2", "claim 10s"},
		{"the last but one", "pace-from-start 10s times 3", ``, "next 10s, now 57s, starts 1", "claim 10s next 1m7s"},
		{"a run that is lost has the next one come", "pace 10s", ``, "now 57s, run 10s lease 57s", `rescue 10s pending fence 7 when in 0s next in 10s "lost"`},
		{"with its jitter", "pace 10s jitter 5s", ``, "now 57s, run 10s lease 57s", `rescue 10s pending fence 7 when in 0s next in 10s jitter 2.551472588s "lost"`},
		{"unless there is one", "pace 10s", ``, "next 1m, now 57s, run 10s lease 57s", `rescue 10s pending fence 7 when in 0s "lost"`},
		{"or it is beside the schedule", "pace 10s", ``, "now 57s, run 10s lease 57s extra", `rescue 10s pending fence 7 when in 0s "lost"`},
		{"or there were enough", "pace 10s times 3", ``, "now 57s, starts 3, run 10s lease 57s", `rescue 10s pending fence 7 when in 0s "lost"`},
		{"or it was the only one", "pace 10s times 1", ``, "now 57s, starts 1, run 10s lease 57s", `rescue 10s pending fence 7 when in 0s "lost"`},
		{"and not before", "pace 10s times 3", ``, "now 57s, starts 2, run 10s lease 57s", `rescue 10s pending fence 7 when in 0s next in 10s "lost"`},
		{"or the end has come", "pace 10s until 2030-01-01T00:01:00Z", ``, "now 57s, run 10s lease 57s", `rescue 10s pending fence 7 when in 0s "lost"`},
		{"and not before", "pace 10s until 2030-01-01T00:01:07.000001Z", ``, "now 57s, run 10s lease 57s", `rescue 10s pending fence 7 when in 0s next in 10s "lost"`},
		{"the first instant is still to come", "pace 10s from 2030-01-01T01:00:00Z", ``, "now 57s, run 10s lease 57s", `rescue 10s pending fence 7 when in 0s next 1h0m0s "lost"`},
		{"from the start has it already", "pace-from-start 10s", ``, "now 57s, run 10s lease 57s", `rescue 10s pending fence 7 when in 0s "lost"`},
	})
}

// TestPlan_Lost: runs whose process is gone are tried again, and dead when that has happened too often; where another may be to blame that is
// not seen yet, it is waited for.
//
// contract: D5 C4
func TestPlan_Lost(t *testing.T) {
	testPlans(t, []planRow{
		{"the lease is over", "", ``, "now 40s, run 10s lease 40s", `rescue 10s pending fence 7 when in 0s "lost"`},
		{"and not before", "", ``, "now 40s, run 10s lease 40.000001s", "idle lease 40.000001s"},
		{"by the monotonic clock", "", ``, "now 2h, mono 39s, run 10s lease 40s", "idle lease 40s"},
		{"here it runs on, whatever the lease says", "", ``, "now 50s, run 10s lease 40s here", "idle"},
		{"but not where it was lost", "", ``, "now 50s, run 10s lease 40s lapsed", `rescue 10s pending fence 7 when in 0s "lost"`},
		{"of another generation", "", ``, "next 1m, now 50s, run 10s lease 40s old", `rescue 10s of generation 0 pending fence 7 when in 0s "lost"`},
		{"paused all the same", "", ``, "now 50s, paused, run 10s lease 40s", `rescue 10s pending fence 7 when in 0s "lost"`},
		{"lost for the second time", "", ``, "now 50s, run 10s lease 40s lost 1", `rescue 10s pending fence 7 when in 0s "lost"`},
		{"for the third", "", ``, "now 50s, run 10s lease 40s lost 2", `rescue 10s dead fence 7 when in 0s "lost"`},
		{"at most once", "", `"at_most_once": true`, "now 50s, run 10s lease 40s", `rescue 10s dead fence 7 when in 0s "lost"`},
		{"it ends the schedule where that was asked for", "every 10s", `"stop_on_error": true`, "next 20s, now 50s, run 10s lease 40s lost 2", `rescue 10s dead fence 7 when in 0s end "lost"`},
		{"another is to blame, perhaps", "", ``, "now 50s, run 10s lease over lost 2, crash fresh", `rescue 10s pending fence 7 when in 0s "lost"`},
		{"not where the lease ended by itself", "", ``, "now 50s, run 10s lease 40s lost 2, crash fresh", `rescue 10s dead fence 7 when in 0s "lost"`},
		{"not for ever", "", ``, "now 50s, run 10s lease over lost 8, crash fresh", `rescue 10s pending fence 7 when in 0s "lost"`},
		{"the tenth", "", ``, "now 50s, run 10s lease over lost 9, crash fresh", `rescue 10s dead fence 7 when in 0s "lost"`},
		{"it is not known yet", "", ``, "now 50s, mono 40s, run 10s lease over lost 2", "idle lease 40.1s"},
		{"of an earlier loss it need not be known", "", ``, "now 50s, run 10s lease over lost 1", `rescue 10s pending fence 7 when in 0s "lost"`},
		{"nor at most once", "", `"at_most_once": true`, "now 50s, run 10s lease over lost 2", `rescue 10s dead fence 7 when in 0s "lost"`},
		{"all was seen", "", ``, "now 50s, run 10s lease over lost 2, crash surveyed", `rescue 10s dead fence 7 when in 0s "lost"`},
		{"all of ours alone", "", ``, "now 50s, run 10s lease over lost 2, crash surveyed divided", "idle lease 50.1s"},
		{"all of all", "", ``, "now 50s, run 10s lease over lost 2, crash divided wide", `rescue 10s dead fence 7 when in 0s "lost"`},
		{"where shards are divided a process of another name may have ended", "", ``, "now 50s, run 10s lease 40s by other lost 2, crash divided", "idle lease 50.1s"},
		{"just now", "", ``, "now 40s, run 10s lease 40s by other lost 2, crash divided", "idle lease 40.1s"},
		{"and another be to blame", "", ``, "now 50s, run 10s lease 40s by other lost 2, crash divided fresh", `rescue 10s pending fence 7 when in 0s "lost"`},
		{"where they are not it has not", "", ``, "now 50s, run 10s lease 40s by other lost 2", `rescue 10s dead fence 7 when in 0s "lost"`},
		{"nor has this one", "", ``, "now 50s, run 10s lease 40s lost 2, crash divided", `rescue 10s dead fence 7 when in 0s "lost"`},
		{"one of two is doubted, the other is not lost", "", `"overlap": "allow"`, "now 50s, run 10s lease over lost 2, run 20s lease 50.05s by other", "idle lease 50.05s"},
		{"one of two is doubted, the other is lost", "", `"overlap": "allow"`, "now 50s, run 10s lease over lost 2, run 20s lease 50s", `rescue 20s pending fence 7 when in 0s "lost" lease 50.1s`},
		{"the answer to the claim was lost", "", ``, "now 20s, run 10s lease 40s unsure", `release 10s fence 7 when in 0s "the answer to the claim was lost"`},
		{"to the claim of another", "", ``, "now 20s, run 10s lease 40s by other unsure", "idle lease 40s"},
		{"an attempt of ours had it, and lost it", "", ``, "now 50s, run 10s lease 40s lapsed unsure", `rescue 10s pending fence 7 when in 0s "lost"`},
		{"of a fixed delay", "pace 10s", ``, "now 20s, run 10s lease 40s unsure", `release 10s fence 7 when in 0s next in 10s "the answer to the claim was lost"`},
	})
}

// TestPlan_Suspects: where a run that was lost runs, others that were wait, the earliest in front, and whatever else there is of their
// schedule goes before them if its runs may overlap.
func TestPlan_Suspects(t *testing.T) {
	testPlans(t, []planRow{
		{"the earliest", "every 10s", `"overlap": "allow"`, "next 40s, now 35s, shut, run 10s lost 1, run 20s lost 1", "claim 10s again overlap or at 40s"},
		{"in whichever order", "every 10s", `"overlap": "allow"`, "next 40s, now 35s, shut, run 20s lost 1, run 10s lost 1", "claim 10s again overlap or at 40s"},
		{"what is due goes first", "every 10s", `"overlap": "allow"`, "next 30s, now 35s, shut, run 20s lost 1, run 10s lost 1", "claim 30s next 40s overlap"},
		{"and what has failed", "every 10s", `"overlap": "allow"`, "next 40s, now 35s, shut, run 10s lost 1, run 20s", "claim 20s again overlap"},
		{"in whichever order, too", "every 10s", `"overlap": "allow"`, "next 40s, now 35s, shut, run 20s, run 10s lost 1", "claim 20s again overlap"},
		{"nothing is to come", "every 10s", `"overlap": "allow"`, "now 35s, shut, run 10s lost 1", "claim 10s again overlap"},
		{"it has ended", "every 10s", `"overlap": "allow"`, "now 35s, ended, shut, run 10s lost 1", "claim 10s again overlap"},
		{"nobody handles it", "every 10s", `"overlap": "allow"`, "next 30s, now 336h0m11s, unhandled, shut, run 10s lost 1", `bury 10s "nobody has handled the kind k for 14 days" or at 30s`},
		{"without overlap all wait", "every 10s", ``, "next 30s, now 35s, shut, run 10s lost 1", "claim 10s again"},
		{"where none runs it goes before what is due", "every 10s", `"overlap": "allow"`, "next 30s, now 35s, run 10s lost 1", "claim 10s again overlap"},
	})
}

// TestPlan_Once: what is no recurring task, or is not to begin.
//
// contract: C1 G4 E4 G5
func TestPlan_Once(t *testing.T) {
	testPlans(t, []planRow{
		{"due", "", ``, "next 10s, now 10s", "claim 10s"},
		{"not due", "", ``, "next 10s, now 9.999999s", "wait 10s"},
		{"late is better than never", "", ``, "next 10s, now 8760h", "claim 10s"},
		{"nothing is left", "", ``, "now 10s", "idle"},
		{"at most once", "", `"at_most_once": true`, "next 10s, now 10s", "claim 10s first start"},
		{"at most once, again", "", `"at_most_once": true`, "now 10s, run 10s", "claim 10s again first start"},
		{"a start deadline", "", `"start_within": "5s"`, "next 10s due 11s, now 16s", "claim 10s by 16s"},
		{"of a nanosecond", "", `"start_within": "1ns"`, "next 10s, now 10.000002s", `skip 10s expired "not started within 1ns"`},
		{"that is over", "", `"start_within": "5s"`, "next 10s due 11s, now 16.000001s", `skip 10s expired "not started within 5s"`},
		{"does not concern a retry", "", `"start_within": "5s"`, "now 16.000001s, run 10s", "claim 10s again"},
		{"nor what recurs", "every 10s", `"start_within": "5s"`, "next 10s, now 16.000001s", "claim 10s next 20s"},
		{"paused", "", ``, "now 10s, next 10s, paused", "idle"},
		{"paused, and a retry", "", ``, "now 10s, paused, run 10s", "idle"},
		{"paused, and a retry to come", "", ``, "now 10s, paused, run 10s due 15s", "idle"},
		{"not where its zone has it now", "cron 0 9 * * * in Europe/Berlin", ``, "next 9h, now 9h", `align 9h0m0s when 8h0m0s "the rules of its zone have changed"`},
		{"and not due", "cron 0 9 * * * in Europe/Berlin", ``, "next 9h, now 8h", "wait 9h0m0s"},
		{"and a run is under way", "cron 0 9 * * * in Europe/Berlin", ``, "next 9h, now 9h, run -15h lease 10h here", `align 9h0m0s when 8h0m0s "the rules of its zone have changed"`},
		{"where it has it", "cron 0 9 * * * in Europe/Berlin", ``, "next 8h, now 8h", "claim 8h0m0s next 32h0m0s"},
		{"ended", "every 10s", ``, "next 10s, now 10s, ended", "idle"},
		{"ended, and a run of before", "every 10s", ``, "next 10s, now 10s, ended, run 5s", "claim 5s again"},
	})
}

// TestPlan_Unhandled: what nobody handles is dead after 14 days, and what a grid had meanwhile is skipped with it.
//
// contract: C5
func TestPlan_Unhandled(t *testing.T) {
	testPlans(t, []planRow{
		{"not due", "", ``, "next 10s, now 9.999999s, unhandled", "wait 10s"},
		{"due", "", ``, "next 10s, now 10s, unhandled", "wait 336h0m10s"},
		{"for nearly 14 days", "", ``, "next 10s, now 336h9.999999s, unhandled", "wait 336h0m10s"},
		{"for 14 days", "", ``, "next 10s, now 336h10s, unhandled", `bury 10s "nobody has handled the kind k for 14 days" buried 10s over 336h0m10s`},
		{"put late", "", ``, "accepted 1h, next 10s, now 336h10s, unhandled", "wait 337h0m0s"},
		{"looked at for less than that", "", ``, "next 10s, now 336h10s, unhandled, grace 7m", "wait 336h7m10s"},
		{"no start deadline counts", "", `"start_within": "5s"`, "next 10s, now 1h, unhandled", "wait 336h0m10s"},
		{"a retry", "", ``, "now 20s, run 10s due 15s, unhandled", "wait 336h0m15s"},
		{"a retry for 14 days", "", ``, "now 336h15s, run 10s due 15s, unhandled", `bury 10s "nobody has handled the kind k for 14 days"`},
		{"of another generation", "", ``, "now 336h15s, next 336h20s, run 10s due 15s old, unhandled", `bury 10s of generation 0 "nobody has handled the kind k for 14 days"`},
		{"a grid's", "every 10s", ``, "next 10s, now 336h15s, unhandled", `bury 10s when 20s "nobody has handled the kind k for 14 days" buried 10s over 336h0m15s`},
		{"the last of a grid", "every 10s until 2030-01-01T00:00:20Z", ``, "next 10s, now 336h15s, unhandled", `bury 10s when 20s "nobody has handled the kind k for 14 days" buried 10s over 336h0m15s`},
		{"a grid's, and all that came meanwhile", "every 10s", ``, "next 20s, last 10s, now 336h15s, unhandled, memo buried 10s over 336h12s", `skip 20s skipped missed 120960 through 336h0m10s when 336h0m20s "nobody handles the kind k" buried 10s over 336h0m12s`},
		{"to when it was dead", "every 10s", ``, "next 20s, last 10s, now 336h15s, unhandled, memo buried 10s over 20s", `skip 20s skipped missed 1 through 20s when 30s "nobody handles the kind k" buried 10s over 20s`},
		{"and not after that", "every 10s", ``, "next 20s, last 10s, now 336h15s, unhandled, memo buried 10s over 19.999999s", "wait 336h0m20s buried 10s over 19.999999s"},
		{"not what was buried itself", "every 10s", ``, "next 10s, now 336h15s, unhandled, memo buried 10s over 336h12s", `bury 10s when 20s "nobody has handled the kind k for 14 days" buried 10s over 336h0m15s`},
		{"a fixed delay's counts from now", "pace 10s", ``, "next 10s, now 336h15s, unhandled", `bury 10s when 336h0m25s "nobody has handled the kind k for 14 days" buried 10s over 336h0m15s`},
		{"and nothing came meanwhile", "pace 10s", ``, "next 20s, last 10s, now 336h15s, unhandled, memo buried 10s over 336h12s", "wait 336h0m20s buried 10s over 336h0m12s"},
		{"from start to start, too", "pace-from-start 10s", ``, "next 10s, now 336h15s, unhandled", `bury 10s when 336h0m25s "nobody has handled the kind k for 14 days" buried 10s over 336h0m15s`},
		{"what was moved to before the last one", "every 10s", ``, "next 5s, last 30s, now 336h15s, unhandled", `bury 5s when 40s "nobody has handled the kind k for 14 days" buried 5s over 336h0m15s`},
		{"a run beside a fixed delay", "pace 10s", ``, "now 336h15s, run 10s due 15s extra, unhandled", `bury 10s "nobody has handled the kind k for 14 days"`},
		{"where its zone has it now is for those to record who handle it", "cron 0 9 * * * in Europe/Berlin", ``, "next 9h, now 9h, unhandled", "wait 345h0m0s"},
		{"a run of a fixed delay", "pace 10s", ``, "now 336h15s, run 10s due 15s, unhandled", `bury 10s next in 10s "nobody has handled the kind k for 14 days"`},
		{"it ends the schedule where that was asked for", "every 10s", `"stop_on_error": true`, "next 10s, now 336h15s, unhandled", `bury 10s when 20s end "nobody has handled the kind k for 14 days" buried 10s over 336h0m15s`},
		{"overlap is not looked at", "every 10s", `"overlap": "cancel"`, "next 20s, now 25s, run 10s lease 40s by other, unhandled", "idle lease 40s"},
		{"nor is it skipped", "every 10s", ``, "next 20s, now 25s, run 10s due 50s, unhandled", "wait 50s"},
		{"a run of a grid, and the next", "every 10s", ``, "next 20s, now 336h15s, run 10s due 15s, unhandled", `bury 10s "nobody has handled the kind k for 14 days"`},
		{"a run of the next one's instant", "every 10s", ``, "next 10s, now 336h15s, run 10s due 15s old, unhandled", `bury 10s of generation 0 "nobody has handled the kind k for 14 days"`},
	})
}

// TestMemo_Ran: how long something ran without a gap is remembered, because what came due during that has overlapped.
func TestMemo_Ran(t *testing.T) {
	next := func(due string) store.Occurrence {
		at := instantOf(t, due)
		return store.Occurrence{For: at - 1, Due: at}
	}
	for _, tt := range []struct {
		what        string
		since, busy string // what is remembered
		from, to    string // of the run that ends
		next        store.Occurrence
		want        string
	}{
		{"the first", "-", "-", "20s", "25s", next("30s"), "20s 25s"},
		{"the first, and nothing is next", "-", "-", "20s", "25s", store.Occurrence{}, "20s 25s"},
		{"after a gap", "10s", "15s", "20s", "25s", next("30s"), "20s 25s"},
		{"at once", "10s", "15s", "15s", "25s", next("30s"), "10s 25s"},
		{"a microsecond later", "10s", "15s", "15.000001s", "25s", next("30s"), "15.000001s 25s"},
		{"and nothing is next", "10s", "15s", "15.000001s", "25s", store.Occurrence{}, "15.000001s 25s"},
		{"and the next has overlapped with the one before", "10s", "15s", "15.000001s", "25s", next("15s"), "10s 25s"},
		{"or come after it", "10s", "15s", "15.000001s", "25s", next("15.000001s"), "15.000001s 25s"},
		{"or just when it began", "10s", "15s", "15.000001s", "25s", next("10s"), "10s 25s"},
		{"or before", "10s", "15s", "15.000001s", "25s", next("9.999999s"), "15.000001s 25s"},
		{"beside the one before", "10s", "15s", "12s", "25s", next("30s"), "10s 25s"},
		{"to the end of the one before", "10s", "15s", "12s", "15s", next("30s"), "10s 15s"},
		{"the clock was set back", "10s", "15s", "12s", "14.999999s", next("30s"), "12s 14.999999s"},
	} {
		m := memo{since: instantOf(t, tt.since), busy: instantOf(t, tt.busy)}
		m.ran(instantOf(t, tt.from), instantOf(t, tt.to), tt.next)
		if got := instantText(m.since) + " " + instantText(m.busy); got != tt.want {
			t.Errorf("%s: since and busy %s, want %s", tt.what, got, tt.want)
		}
	}
}
