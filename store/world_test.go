package store_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
)

// epoch is where the time of these tests begins: 0s.
const epoch store.Instant = 1_924_992_000_000_000

// A world is one name, and the clock and the past of a store that keeps it. Its operations are words, such as "put at=10s recurring".
type world struct {
	t         testing.TB
	task      *store.Task
	now, mono store.Instant
	seq       int64
	events    []store.Event
	dead      []*store.Task
	broken    error // what asking about the past answers
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return &world{t: t, now: epoch}
}

var theKey = store.Key{Namespace: "ns", Name: "a"}

func (w *world) moment() *store.Moment {
	return &store.Moment{Now: w.now, Mono: w.mono, Past: w, Seq: func() int64 { w.seq++; return w.seq }}
}

func (w *world) Ran(k store.Key, id store.Identity, since store.Instant) (bool, error) {
	return slices.ContainsFunc(w.events, func(e store.Event) bool {
		return e.Key == k && e.To == store.Done && e.Identity == id && e.At >= since
	}), w.broken
}

func (w *world) Finished(k store.Key) (bool, error) {
	return slices.ContainsFunc(w.events, func(e store.Event) bool { return e.Key == k }), w.broken
}

func (w *world) Dead(id store.RunID) (*store.Task, error) {
	for _, d := range w.dead {
		if d.Runs[0].ID(d.Key) == id {
			return d, w.broken
		}
	}
	return nil, w.broken
}

// take makes a change so.
func (w *world) take(c store.Change) {
	if !c.Write {
		return
	}
	if c.Redrive != nil {
		w.dead = slices.DeleteFunc(w.dead, func(d *store.Task) bool { return d.Runs[0].ID(d.Key) == *c.Redrive })
	}
	if c.Dead != nil {
		w.dead = append(w.dead, c.Dead)
	}
	w.task = c.Task
	w.events = append(w.events, c.Events...)
}

// words are an operation's arguments.
type words struct {
	t testing.TB
	m map[string]string
}

func (a words) has(key string) bool { _, ok := a.m[key]; return ok }

func (a words) duration(key string) time.Duration {
	a.t.Helper()
	d, err := time.ParseDuration(a.m[key])
	if err != nil {
		a.t.Fatalf("argument %s=%q: %v", key, a.m[key], err)
	}
	return d
}

func (a words) instant(key string) store.Instant {
	a.t.Helper()
	switch a.m[key] {
	case "":
		return 0
	case "never":
		return store.Never
	}
	return epoch + store.Instant(a.duration(key)/time.Microsecond)
}

func (a words) number(key string) int64 {
	a.t.Helper()
	if !a.has(key) {
		return 0
	}
	n, err := strconv.ParseInt(a.m[key], 10, 64)
	if err != nil {
		a.t.Fatalf("argument %s=%q: %v", key, a.m[key], err)
	}
	return n
}

// when takes an instant from at, or a delay from in.
func (a words) when(at, in string) store.When {
	a.t.Helper()
	switch {
	case a.has(at):
		o := store.Occurrence{For: a.instant(at)}
		if a.has("jitter") {
			o.Due = o.For.Add(a.duration("jitter"))
		}
		return store.On(o)
	case a.has(in):
		return store.In(a.duration(in), 0)
	}
	return store.When{}
}

func (a words) occurrence(key string) store.Occurrence {
	a.t.Helper()
	at := a.instant(key)
	return store.Occurrence{For: at, Due: at}
}

// do does what the words say, and returns what the answer says beside the task: an outcome, a state, an error.
func (w *world) do(line string) string {
	w.t.Helper()
	f := strings.Fields(line)
	a := words{w.t, map[string]string{}}
	for _, x := range f[1:] {
		k, v, _ := strings.Cut(x, "=")
		a.m[k] = v
	}
	switch f[0] {
	case "now": // both clocks; "now wall=" moves one
		if a.has("wall") {
			w.now = a.instant("wall")
			return ""
		}
		at := epoch + store.Instant(must(time.ParseDuration(f[1]))/time.Microsecond)
		w.mono += at - w.now
		w.now = at
		return ""
	case "put":
		return w.put(a)
	case "cancel":
		x := store.Cancel{Key: theKey, Stop: a.has("stop"), IfGeneration: a.number("ifgen"), Reason: a.m["why"]}
		c, r := x.Apply(w.task, w.moment())
		w.take(c)
		return said(r.Err, r.Outcome)
	case "claim":
		return w.claim(a)
	case "renew":
		r := w.run(a, store.Running)
		x := store.Renewal{RunID: r.ID(theKey), Fence: r.Fence + a.number("fence+"), Lease: 10 * time.Second}
		c, res := x.Apply(w.task, w.moment())
		w.take(c)
		if res.Stop {
			return "stop"
		}
		return said(res.Err, nil)
	case "settle", "retry", "snooze", "release":
		return w.settle(f[0], a)
	}
	return w.edit(f[0], a)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// said is how an answer reads.
func said(err error, outcome fmt.Stringer) string {
	switch {
	case err != nil:
		return strings.TrimPrefix(err.Error(), "store: ")
	case outcome != nil:
		return outcome.String()
	}
	return ""
}

func (w *world) put(a words) string {
	w.t.Helper()
	p := store.Put{
		Key: theKey, Spec: store.Spec{Kind: "k", Recurring: a.has("recurring"), Payload: []byte(a.m["payload"])}, When: a.when("at", "in"),
		IfAbsent: a.has("ifabsent"), IfPending: a.has("ifpending"), IfGeneration: a.number("ifgen"), AnyKind: a.has("anykind"),
	}
	if a.has("kind") {
		p.Kind = a.m["kind"]
	}
	if a.has("maxwait") {
		p.MaxWait = a.duration("maxwait")
	}
	for c, name := range []string{"replace", "keep", "fail", "keeptime", "earliest", "debounce"} {
		if a.has(name) {
			p.OnConflict = store.Conflict(c)
		}
	}
	c, r := p.Apply(w.task, w.moment())
	w.take(c)
	return said(r.Err, r.Outcome)
}

// run returns a run of the task in a state: the first, or that of the index run=.
func (w *world) run(a words, in store.State) *store.Run {
	w.t.Helper()
	if w.task == nil {
		return &store.Run{}
	}
	if a.has("run") {
		return &w.task.Runs[a.number("run")]
	}
	for i := range w.task.Runs {
		if w.task.Runs[i].State == in {
			return &w.task.Runs[i]
		}
	}
	return &store.Run{}
}

// claim takes the next occurrence, or the first run that waits if there is none or the word retry says so.
func (w *world) claim(a words) string {
	w.t.Helper()
	x := store.Claim{
		RunID: store.RunID{Key: theKey}, As: a.occurrence("as"), Next: a.occurrence("next"), Missed: a.number("missed"), Through: a.instant("through"),
		Lease: 10 * time.Second, NotAfter: a.instant("notafter"), Overlap: a.has("overlap"), Owner: "me",
	}
	if w.task != nil {
		x.Generation, x.For = w.task.Generation, w.task.Next.For
		if w.task.Next.None() || a.has("retry") {
			r := w.run(a, store.Pending)
			x.Generation, x.For = r.Generation, r.For
		}
	}
	x.Generation += a.number("gen+")
	c, r := x.Apply(w.task, w.moment())
	w.take(c)
	return said(r.Err, nil)
}

func (w *world) settle(verb string, a words) string {
	w.t.Helper()
	r := w.run(a, store.Running)
	x := store.Settlement{
		RunID: r.ID(theKey), Fence: r.Fence + a.number("fence+"), Verb: verbs[verb], When: a.when("at", "in"), Next: a.when("next", "nextin"),
		End: a.has("end"), Reason: a.m["why"],
	}
	for _, s := range []store.State{store.Done, store.Dead, store.Cancelled} {
		if a.has(s.String()) {
			x.State = s
		}
	}
	c, res := x.Apply(w.task, w.moment())
	w.take(c)
	return said(res.Err, res.State)
}

var verbs = func() map[string]store.Verb {
	m := map[string]store.Verb{}
	for v := store.VerbPut; v <= store.VerbAlign; v++ {
		m[v.String()] = v
	}
	return m
}()

func (w *world) edit(verb string, a words) string {
	w.t.Helper()
	if verbs[verb] < store.VerbMove {
		w.t.Fatalf("no verb %q", verb)
	}
	x := store.Edit{
		Key: theKey, Verb: verbs[verb], When: a.when("at", "in"), Next: a.when("next", "nextin"), Missed: a.number("missed"), Through: a.instant("through"),
		IfGeneration: a.number("ifgen"), Reason: a.m["why"], Schedule: a.m["schedule"],
	}
	if a.has("payload") {
		x.Payload = []byte(a.m["payload"])
	}
	for s := store.Pending; s <= store.Skipped; s++ {
		if a.has(s.String()) {
			x.State = s
		}
	}
	var r *store.Run
	switch x.Verb {
	case store.VerbRescue, store.VerbStop:
		if r = w.run(a, store.Running); r.Generation == 0 {
			r = w.run(a, store.Pending)
		}
	case store.VerbBury:
		r = w.run(a, store.Pending)
	case store.VerbRedrive:
		r = &store.Run{}
		if len(w.dead) > 0 {
			r = &w.dead[len(w.dead)-1].Runs[0]
		}
	default:
		r = &store.Run{}
	}
	x.Generation, x.For, x.Fence = r.Generation, r.For, r.Fence+a.number("fence+")
	if r.Generation == 0 && w.task != nil && x.Verb != store.VerbRescue && x.Verb != store.VerbStop {
		x.Generation, x.For = w.task.Generation, w.task.Next.For
	}
	c, res := x.Apply(w.task, w.moment())
	w.take(c)
	return said(res.Err, nil)
}

// since is an instant as the tests write it.
func since(i store.Instant) string {
	switch i {
	case 0, store.Never, store.Over:
		return i.String()
	}
	return i.Sub(epoch).String()
}

// show is the task in a line: "none", or "g1 next 10s; running #1 f2 due 10s".
func show(t *store.Task) string {
	if t == nil {
		return "none"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "g%d", t.Generation)
	if t.Ended {
		b.WriteString(" ended")
	}
	if t.Paused() {
		b.WriteString(" paused")
	}
	if !t.Next.None() {
		b.WriteString(" next " + since(t.Next.For))
		if t.Next.Due != t.Next.For {
			b.WriteString(" due " + since(t.Next.Due))
		}
	}
	if t.Moved {
		b.WriteString(" moved")
	}
	if t.Last != 0 {
		b.WriteString(" last " + since(t.Last))
	}
	for i := range t.Runs {
		b.WriteString("; " + showRun(t, &t.Runs[i]))
	}
	return b.String()
}

func showRun(t *store.Task, r *store.Run) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s #%d", r.State, since(r.For), r.Attempt)
	if r.Generation != t.Generation {
		fmt.Fprintf(&b, " of g%d", r.Generation)
	}
	if r.State == store.Running {
		fmt.Fprintf(&b, " f%d", r.Fence)
	} else if r.Due != r.For {
		b.WriteString(" due " + since(r.Due))
	}
	for _, n := range []struct {
		name string
		n    int64
	}{{"snoozed", int64(r.Snoozed)}, {"lost", int64(r.Lost)}, {"missed", r.Missed}} {
		if n.n > 0 {
			fmt.Fprintf(&b, " %s %d", n.name, n.n)
		}
	}
	for _, f := range []struct {
		name string
		on   bool
	}{{"final", r.Final}, {"stop", r.Stop}, {"extra", r.Extra}} {
		if f.on {
			b.WriteString(" " + f.name)
		}
	}
	return b.String()
}

// showEvents is what the history got, in a line.
func showEvents(all []store.Event) string {
	s := make([]string, len(all))
	for i := range all {
		e := &all[i]
		s[i] = fmt.Sprintf("%v: %v>%v %s", e.Verb, e.From, e.To, since(e.For))
		if e.Missed > 0 {
			s[i] += fmt.Sprintf(" missed %d", e.Missed)
		}
	}
	return strings.Join(s, ", ")
}
