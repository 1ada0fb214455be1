package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dulyhq/duly/store"
)

// A scriptVerb is what a line can begin with. Words with a colon take a value.
type scriptVerb struct {
	words       string
	least, most int  // names
	rows        bool // several rows may be one call
	do          func(x *script, verb string, rows []scriptRow, bad *error) ([]string, error)
}

const (
	editWords = "if-gen: why: "
	whenWords = "in: at: jitter: "
	runWords  = "gen: for: "
)

// scriptVerbs is filled by init-time assignment of a function, because the verbs look words up in it.
var scriptVerbs = makeScriptVerbs()

func makeScriptVerbs() map[string]scriptVerb {
	edit := func(words string) scriptVerb { return scriptVerb{editWords + words, 1, 1, true, (*script).edits} }
	again := scriptVerb{whenWords + "fence: why:", 1, 1, true, (*script).settle}
	return map[string]scriptVerb{
		"advance": {"", 1, 1, false, (*script).time},
		"clock":   {"", 1, 1, false, (*script).time},
		"kill":    {"", 0, 0, false, (*script).life},
		"restart": {"", 0, 0, false, (*script).life},
		"close":   {"", 0, 0, false, (*script).life},
		"put": {whenWords + "kind: payload: schedule: policy: limit: tags: priority: recurring accepted: keep fail keep-time earliest debounce " +
			"max-wait: if-gen: if-absent if-pending any-kind", 1, 1, true, (*script).put},
		"claim":   {runWords + "as: missed: next: lease: not-after: overlap first-start owner:", 1, 1, true, (*script).claim},
		"renew":   {"fence: lease:", 1, 1, true, (*script).renew},
		"settle":  {"done dead cancelled fence: next: again: end why:", 1, 1, true, (*script).settle},
		"retry":   again,
		"snooze":  again,
		"release": again,
		"cancel":  {editWords + "stop", 1, 1, true, (*script).cancel},
		"move":    edit(whenWords + "schedule:"),
		"pause":   edit(""),
		"resume":  edit("next: missed: through:"),
		"run":     edit(whenWords),
		"skip":    edit("for: expired through: missed: next:"),
		"rescue":  edit(whenWords + "dead fence: again:"),
		"bury":    edit(runWords + "next: again:"),
		"stop":    edit(runWords + "again:"),
		"redrive": edit(runWords + whenWords),
		"get":     {"", 1, 99, false, (*script).get},
		"list":    {"state: kind: tag: ns: all prefix: paused from: until: limit:", 0, 0, false, (*script).list},
		"due":     {"until: limit:", 0, 0, false, (*script).due},
		"history": {"newest since: limit:", 0, 1, false, (*script).history},
		"trim":    {"history: max: dead:", 0, 0, false, (*script).trim},
		"stats":   {"", 0, 0, false, (*script).stats},
	}
}

// time lets it pass, or steps the wall clock. The duration stands where others have a name.
func (x *script) time(verb string, rows []scriptRow, bad *error) ([]string, error) {
	d, err := parseDuration(rows[0].raw[0].text)
	if verb == "advance" && d < 0 {
		err = errors.New("time does not go back; clock -1h steps the wall clock")
	}
	switch {
	case err != nil:
		*bad = err
		return nil, err
	case verb == "clock":
		x.step(d)
	default:
		x.advance(d)
	}
	return nil, nil
}

func (x *script) life(verb string, _ []scriptRow, _ *error) ([]string, error) {
	switch verb {
	case "close":
		x.closed = true
		return nil, x.s.Close()
	case "kill":
		x.kill()
	default:
		x.reopen()
	}
	x.closed = false
	return nil, nil
}

func (x *script) put(_ string, rows []scriptRow, bad *error) (out []string, err error) {
	puts := make([]store.Put, len(rows))
	for i := range rows {
		r := &rows[i]
		p := &puts[i]
		p.Key = r.key()
		p.Spec = store.Spec{
			Kind: "task", Schedule: r.vals["schedule"], LimitKey: r.vals["limit"], Priority: int32(r.number("priority")),
			Recurring: r.has("recurring"),
		}
		if r.has("kind") {
			p.Kind = r.vals["kind"]
		}
		if r.has("payload") {
			p.Payload = []byte(r.vals["payload"])
		}
		if r.has("policy") {
			p.Policy = []byte(r.vals["policy"])
		}
		if r.has("tags") {
			p.Tags = strings.Split(r.vals["tags"], ",")
		}
		p.When, p.AcceptedAt, p.MaxWait = r.when(), r.instant("accepted"), r.duration("max-wait")
		p.OnConflict = store.Conflict(r.one("replace", "keep", "fail", "keep-time", "earliest", "debounce"))
		p.IfGeneration, p.IfAbsent, p.IfPending, p.AnyKind = r.gen("if-gen"), r.has("if-absent"), r.has("if-pending"), r.has("any-kind")
	}
	if *bad != nil {
		return nil, *bad
	}
	res, err := x.s.Put(x.ctx, puts)
	for i, r := range res {
		switch {
		case r.Err != nil:
			out = append(out, fmt.Sprintf("refused %s: %s", keyText(puts[i].Key), refusal(r.Err)))
		case r.Task == nil:
			out = append(out, fmt.Sprintf("%s %s", r.Outcome, keyText(puts[i].Key)))
		default:
			out = append(out, x.task(r.Outcome.String()+" ", r.Task)...)
		}
	}
	return out, err
}

func (x *script) cancel(_ string, rows []scriptRow, bad *error) (out []string, err error) {
	cancels := make([]store.Cancel, len(rows))
	for i := range rows {
		r := &rows[i]
		cancels[i] = store.Cancel{Key: r.key(), IfGeneration: r.gen("if-gen"), Stop: r.has("stop"), Reason: r.vals["why"]}
	}
	if *bad != nil {
		return nil, *bad
	}
	res, err := x.s.Cancel(x.ctx, cancels)
	for i, r := range res {
		switch {
		case r.Err != nil:
			out = append(out, fmt.Sprintf("refused %s: %s", keyText(cancels[i].Key), refusal(r.Err)))
		case r.Task == nil:
			out = append(out, fmt.Sprintf("%s %s", r.Outcome, keyText(cancels[i].Key)))
		default:
			out = append(out, x.task(r.Outcome.String()+" ", r.Task)...)
		}
	}
	return out, err
}

// look returns a task as it is now, nil if there is none.
func (x *script) look(k store.Key) *store.Task {
	ts, err := x.s.Get(x.ctx, []store.Key{k})
	if err != nil || len(ts) != 1 {
		return nil
	}
	if ts[0] != nil {
		x.seen[k] = ts[0]
	}
	return ts[0]
}

// target returns the run that a row names; what it leaves out is what pick finds in the task as it is, or as it was last.
func (x *script) target(r *scriptRow, pick func(t *store.Task) (store.RunID, bool)) store.RunID {
	id := store.RunID{Key: r.key(), Generation: 1, For: store.At(scriptStart)}
	if t := x.look(r.key()); t != nil || x.seen[r.key()] != nil {
		if t == nil {
			t = x.seen[r.key()]
		}
		if found, ok := pick(t); ok {
			id = found
		}
	}
	if r.has("gen") {
		id.Generation = r.gen("gen")
	}
	if r.has("for") {
		id.For = r.instant("for")
	}
	return id
}

// claimable is the run that waits and is due first, or the next occurrence if that is due earlier or no run waits, or one that runs.
func claimable(t *store.Task) (id store.RunID, ok bool) {
	at := store.Never
	if !t.Next.None() {
		id, at, ok = store.RunID{Key: t.Key, Generation: t.Generation, For: t.Next.For}, t.Next.Due, true
	}
	for i := range t.Runs {
		if r := &t.Runs[i]; r.State == store.Pending && (!ok || r.Due < at) {
			id, at, ok = r.ID(t.Key), r.Due, true
		}
	}
	if !ok && len(t.Runs) > 0 {
		return t.Runs[0].ID(t.Key), true
	}
	return id, ok
}

func running(t *store.Task) (id store.RunID, ok bool) {
	for i := range t.Runs {
		if r := &t.Runs[i]; r.State == store.Running {
			return r.ID(t.Key), true
		}
	}
	return claimable(t)
}

func (x *script) claim(_ string, rows []scriptRow, bad *error) (out []string, err error) {
	claims := make([]store.Claim, len(rows))
	for i := range rows {
		r := &rows[i]
		c := store.Claim{
			RunID: x.target(r, claimable), As: r.occurrence("as"), Missed: r.number("missed"), Next: r.occurrence("next"),
			Lease: 30 * time.Second, NotAfter: r.instant("not-after"), Overlap: r.has("overlap"), FirstStart: r.has("first-start"),
			Owner: r.vals["owner"],
		}
		if r.has("lease") {
			c.Lease = r.duration("lease")
		}
		claims[i] = c
	}
	if *bad != nil {
		return nil, *bad
	}
	res, err := x.s.Claim(x.ctx, claims)
	for i, r := range res {
		if r.Err != nil {
			out = append(out, fmt.Sprintf("refused %s: %s", keyText(claims[i].Key), refusal(r.Err)))
			continue
		}
		x.seen[r.RunID.Key] = r.Task
		x.leases[r.RunID.Key] = append(x.leases[r.RunID.Key], scriptLease{r.RunID, r.Fence})
		out = append(out, x.claimed(r))
	}
	return out, err
}

// held returns the lease that a row names, or the last one.
func (x *script) held(r *scriptRow) scriptLease {
	all := x.leases[r.key()]
	fence := r.labelled("fence", x.fences)
	for _, l := range slices.Backward(all) {
		if fence == 0 || fence == l.fence {
			return l
		}
	}
	r.fail("fence", fmt.Errorf("no lease of %s has been taken", r.key()))
	return scriptLease{}
}

func (x *script) renew(_ string, rows []scriptRow, bad *error) (out []string, err error) {
	renewals := make([]store.Renewal, len(rows))
	for i := range rows {
		l := x.held(&rows[i])
		renewals[i] = store.Renewal{RunID: l.id, Fence: l.fence, Lease: 30 * time.Second}
		if rows[i].has("lease") {
			renewals[i].Lease = rows[i].duration("lease")
		}
	}
	if *bad != nil {
		return nil, *bad
	}
	res, err := x.s.Renew(x.ctx, renewals)
	for i, r := range res {
		switch {
		case r.Err != nil:
			out = append(out, fmt.Sprintf("refused %s: %s", keyText(renewals[i].Key), refusal(r.Err)))
		case r.Stop:
			out = append(out, fmt.Sprintf("renewed %s, asked to stop", keyText(renewals[i].Key)))
		default:
			out = append(out, "renewed "+keyText(renewals[i].Key))
		}
	}
	return out, err
}

var settleVerbs = map[string]store.Verb{
	"settle": store.VerbSettle, "retry": store.VerbRetry, "snooze": store.VerbSnooze, "release": store.VerbRelease,
}

func (x *script) settle(verb string, rows []scriptRow, bad *error) (out []string, err error) {
	settlements := make([]store.Settlement, len(rows))
	for i := range rows {
		r := &rows[i]
		l := x.held(r)
		s := store.Settlement{RunID: l.id, Fence: l.fence, Verb: settleVerbs[verb], When: r.when(), Next: r.on("next"), End: r.has("end"), Reason: r.vals["why"]}
		if verb == "settle" {
			s.State = []store.State{store.None, store.Done, store.Dead, store.Cancelled}[r.one("", "done", "dead", "cancelled")]
		}
		if r.has("again") {
			s.Next = store.In(r.duration("again"), 0)
		}
		settlements[i] = s
	}
	if *bad != nil {
		return nil, *bad
	}
	res, err := x.s.Settle(x.ctx, settlements)
	for i, r := range res {
		switch {
		case r.Err != nil:
			out = append(out, fmt.Sprintf("refused %s: %s", keyText(settlements[i].Key), refusal(r.Err)))
		default:
			out = append(out, x.left(r.State.String()+" ", settlements[i].Key, r.Task)...)
		}
	}
	return out, err
}

func (x *script) edits(verb string, rows []scriptRow, bad *error) (out []string, err error) {
	edits := make([]store.Edit, len(rows))
	for i := range rows {
		edits[i] = x.edit1(verb, &rows[i])
	}
	if *bad != nil {
		return nil, *bad
	}
	res, err := x.s.Edit(x.ctx, edits)
	for i, r := range res {
		if r.Err != nil {
			out = append(out, fmt.Sprintf("refused %s: %s", keyText(edits[i].Key), refusal(r.Err)))
			continue
		}
		out = append(out, x.left("", edits[i].Key, r.Task)...)
	}
	return out, err
}

// edit1 reads one row of an edit.
func (x *script) edit1(verb string, r *scriptRow) store.Edit {
	e := store.Edit{
		Key: r.key(), IfGeneration: r.gen("if-gen"), When: r.when(), Schedule: r.vals["schedule"], Reason: r.vals["why"],
		Missed: r.number("missed"), Through: r.instant("through"),
	}
	for v := store.VerbMove; v <= store.VerbAlign; v++ {
		if v.String() == verb {
			e.Verb = v
		}
	}
	if r.has("next") {
		e.When = r.on("next")
	}
	if r.has("again") {
		e.Next = store.In(r.duration("again"), 0)
	}
	id := store.RunID{Key: r.key()}
	switch e.Verb {
	case store.VerbSkip, store.VerbBury, store.VerbAlign:
		id = x.target(r, claimable)
		e.State = store.Skipped
		if r.has("expired") {
			e.State = store.Expired
		}
	case store.VerbRescue:
		l := x.held(r)
		id, e.Fence, e.State = l.id, l.fence, store.Pending
		if r.has("dead") {
			e.State = store.Dead
		}
	case store.VerbStop:
		id = x.target(r, running)
	case store.VerbRedrive:
		id = x.target(r, func(*store.Task) (store.RunID, bool) { return x.lastDead(r.key()) })
	default:
	}
	e.Generation, e.For = id.Generation, id.For
	return e
}

// lastDead returns the last dead run of a name.
func (x *script) lastDead(k store.Key) (id store.RunID, ok bool) {
	for _, d := range allListed(x.env, x.s, store.Query{Namespace: k.Namespace, Prefix: k.Name, State: store.Dead}) {
		if d.Key == k && len(d.Runs) == 1 {
			id, ok = d.Runs[0].ID(k), true
		}
	}
	return id, ok
}

func (x *script) get(_ string, rows []scriptRow, _ *error) (out []string, err error) {
	ts, err := x.s.Get(x.ctx, rows[0].keys)
	for i, t := range ts {
		if t == nil {
			out = append(out, "nothing named "+keyText(rows[0].keys[i]))
			continue
		}
		out = append(out, x.details(t)...)
	}
	return out, err
}

func (x *script) list(_ string, rows []scriptRow, bad *error) (out []string, err error) {
	r := &rows[0]
	q := store.Query{
		Namespace: r.vals["ns"], AllNamespaces: r.has("all"), Prefix: r.vals["prefix"], Kind: r.vals["kind"], Tag: r.vals["tag"],
		Paused: r.has("paused"), DueFrom: r.instant("from"), DueUntil: r.instant("until"), Limit: int(r.number("limit")),
	}
	if r.has("state") {
		if q.State, err = store.ParseState(r.vals["state"]); err != nil {
			r.fail("state", err)
		}
	}
	for *bad == nil {
		p, err := x.s.List(x.ctx, q)
		if err != nil {
			return nil, err
		}
		for _, t := range p.Tasks {
			out = append(out, x.task("", t)...)
		}
		if p.Cursor == "" {
			return slices.Concat(out, none(out)), nil
		}
		q.After = p.Cursor
	}
	return nil, *bad
}

func none(out []string) []string {
	if len(out) == 0 {
		return []string{"nothing"}
	}
	return nil
}

// due shows all pages, with a line between them.
func (x *script) due(_ string, rows []scriptRow, bad *error) (out []string, err error) {
	r := &rows[0]
	q := store.DueQuery{Until: x.now(), Limit: int(r.number("limit"))}
	if r.has("until") {
		q.Until = r.instant("until")
	}
	for *bad == nil {
		p, err := x.s.Due(x.ctx, q)
		if err != nil {
			return nil, err
		}
		for _, t := range p.Tasks {
			out = append(out, x.task(instantText(t.Position())+": ", t)...)
		}
		if !p.More {
			return append(out, "then "+instantText(p.Next)), nil
		}
		out = append(out, "more")
		q.After = p.Cursor
	}
	return nil, *bad
}

func (x *script) history(_ string, rows []scriptRow, bad *error) (out []string, err error) {
	r := &rows[0]
	q := store.HistoryQuery{Newest: r.has("newest"), Since: r.instant("since"), Limit: int(r.number("limit"))}
	if len(r.keys) > 0 {
		q.Key = r.key()
	} else {
		q.Newest = true
	}
	if *bad != nil {
		return nil, *bad
	}
	events, err := x.s.History(x.ctx, q)
	for i := range events {
		out = append(out, x.event(&events[i], len(r.keys) == 0))
	}
	if err == nil {
		out = slices.Concat(out, none(out))
	}
	return out, err
}

func (x *script) trim(_ string, rows []scriptRow, bad *error) (out []string, err error) {
	r := &rows[0]
	keep := store.Retention{HistoryFrom: r.instant("history"), MaxHistory: r.number("max"), DeadFrom: r.instant("dead")}
	if *bad != nil {
		return nil, *bad
	}
	n, err := x.s.Trim(x.ctx, keep)
	return []string{fmt.Sprintf("trimmed %d", n)}, err
}

func (x *script) stats(_ string, _ []scriptRow, _ *error) ([]string, error) {
	s := counted(x.env, x.s)
	return []string{fmt.Sprintf("%d tasks, %d paused, %d running, %d dead, %d in the history", s.Tasks, s.Paused, s.Running, s.Dead, s.History)}, nil
}
