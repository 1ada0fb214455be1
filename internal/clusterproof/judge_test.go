package clusterproof_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/verdict"
	"github.com/dulyhq/duly/store"
)

// A window is when something was broken: what was under way in it may run once more.
type window struct {
	from, to int64
	node     string // whose attempts it concerns; "" is all
	froze    bool   // the process stood still: what it begins just afterwards may have been taken from it meanwhile
}

// slack is how long what was asked of the store, or is asked of it now, may be under way: outcomes are written in batches, on a machine that
// has other things to do.
const slack = int64(2 * time.Second / time.Microsecond)

func (w *window) concerns(r *verdict.Record) bool { return w.node == "" || w.node == r.Node }

// explained says whether a fault of the log is what a window explains: of two attempts at a run one was under way in it; or an attempt began
// where a process had stood still between its claim and its handler, which nobody can keep it from, and the store takes nothing from it.
func (f *fleet) explained(v *verdict.Verdict) bool {
	var last *verdict.Record
	under := false
	for i := range v.Evidence {
		r := &v.Evidence[i]
		if r.Op != verdict.Begin {
			continue
		}
		last = r
		until := int64(math.MaxInt64)
		for j := range v.Evidence {
			if e := &v.Evidence[j]; e.Op == verdict.End && e.Serial == r.Serial && e.Incarnation == r.Incarnation {
				until = e.At
			}
		}
		for j := range f.windows {
			w := &f.windows[j]
			under = under || w.concerns(r) && r.At <= w.to+slack && until >= w.from-slack
		}
	}
	if last == nil {
		return false
	}
	thawed := slices.ContainsFunc(f.windows, func(w window) bool {
		return w.froze && w.concerns(last) && last.At >= w.from && last.At <= w.to+slack
	})
	switch v.Kind {
	case verdict.Overlapping:
		return under
	case verdict.Doubled:
		return under && !strings.Contains(v.Why, "settled") || thawed
	case verdict.FenceOrder, verdict.AfterCancel, verdict.AfterMove:
		return thawed
	default:
		return false
	}
}

// excuse is the last word on a fault of the log, and counts what it lets pass.
func (f *fleet) excuse(v verdict.Verdict) bool {
	switch {
	case f.explained(&v):
		switch v.Kind {
		case verdict.Doubled:
			f.row.doubled++
		case verdict.Overlapping:
			f.row.overlapped++
		default:
			f.row.thawed++
		}
	case f.forgets != nil && slices.ContainsFunc(v.Evidence, func(r verdict.Record) bool {
		answer := r.Op == verdict.Put || r.Op == verdict.Moved || r.Op == verdict.Cancelled || r.Op == verdict.End
		return answer && f.forgets(r.At)
	}) && (v.Kind == verdict.Missed || v.Kind == verdict.AfterCancel || v.Kind == verdict.AfterMove || v.Kind == verdict.Doubled):
		f.row.forgotten++
	default:
		return false
	}
	return true
}

// judge holds all that was noted to what was promised, and to what is left in the store. What was due before end must have begun.
func (f *fleet) judge(end int64) []verdict.Record {
	f.t.Helper()
	records, events := f.records(), f.history()
	for i := range events {
		if e := &events[i]; e.To == duly.Done {
			records = append(records, verdict.Record{
				Op: verdict.Settled, At: e.At.UnixMicro(), Incarnation: verdict.Incarnation{Node: "history", Boot: 1},
				Run: verdict.Run{Name: e.Name, Generation: e.Generation, ScheduledFor: e.ScheduledFor.UnixMicro()},
			})
		}
	}
	f.row.add(records)
	there := map[string]*duly.Task{}
	for t, err := range f.s.List(f.t.Context(), duly.Query{}) {
		if err != nil {
			f.t.Fatal(err)
		}
		there[t.Name] = t
	}
	vs := verdict.Check(records, verdict.Options{End: end, Once: true, Excuse: f.excuse})
	f.row.early = len(vs.Of(verdict.Early))
	stale := stale(records, events)
	missing := f.lost(records, there)
	f.row.stale, f.row.lost = len(stale), len(missing)+len(vs.Of(verdict.Missed))
	if len(vs) > 0 {
		f.t.Errorf("%d faults, the first of them:\n%v", len(vs), vs[:min(len(vs), 10)])
	}
	for _, faults := range [4][]string{missing, stale, afterEnd(records, f.forgets), f.dead()} {
		if len(faults) > 0 {
			f.t.Errorf("%d faults, the first of them:\n%s", len(faults), strings.Join(faults[:min(len(faults), 10)], "\n"))
		}
	}
	for i := range f.deaths {
		f.takeover(records, &f.deaths[i])
	}
	if f.measures != nil {
		f.measures(records)
	}
	f.row.name = f.t.Name()
	f.row.took = time.Since(f.began)
	f.t.Log(f.row.String())
	results.add(&f.row)
	return records
}

// dead finds runs that will not be tried again: nothing here deserves that.
func (f *fleet) dead() (faults []string) {
	for t, err := range f.s.List(f.t.Context(), duly.Query{State: duly.Dead}) {
		if err != nil {
			return append(faults, err.Error())
		}
		faults = append(faults, fmt.Sprintf("dead: %+v", *t))
	}
	return faults
}

// stale finds outcomes of attempts that the store took although another attempt of the name had begun, and those of attempts that had not
// ended, which are somebody else's outcomes.
func stale(records []verdict.Record, events []duly.Event) (faults []string) {
	type attempt struct {
		name  string
		fence int64
	}
	begun, ended := map[string][]*verdict.Record{}, map[attempt]*verdict.Record{}
	for i := range records {
		switch r := &records[i]; r.Op {
		case verdict.Begin:
			begun[r.Name] = append(begun[r.Name], r)
		case verdict.End:
			ended[attempt{r.Name, r.Fence}] = r
		default:
		}
	}
	for i := range events {
		e := &events[i]
		if e.Verb != store.VerbSettle.String() && e.Verb != store.VerbRetry.String() && e.Verb != store.VerbSnooze.String() {
			continue
		}
		for _, r := range begun[e.Name] {
			if r.Fence > e.Fence && r.At < e.At.UnixMicro() {
				faults = append(faults, fmt.Sprintf("%s: an outcome after the next attempt had begun: %+v; %v", e.Name, *e, r))
			}
		}
		r, began := ended[attempt{e.Name, e.Fence}], slices.ContainsFunc(begun[e.Name], func(r *verdict.Record) bool { return r.Fence == e.Fence })
		if !began && e.To != duly.Done && e.To != duly.Dead {
			continue // whoever has claimed it has given it back, because he was not told in time that it was his
		}
		if r == nil || r.At > e.At.UnixMicro() {
			faults = append(faults, fmt.Sprintf("%s: the outcome of an attempt that had not ended: %+v; %v", e.Name, *e, r))
		}
	}
	return faults
}

// A last is what is known last of a name.
type last struct {
	accepted  *verdict.Record // nil if it was cancelled since, or all but cancelled: whoever had claimed it may never have begun
	gen       int64
	at, doubt int // places in the log
}

// lastKnown returns it for all names.
func lastKnown(records []verdict.Record) map[string]*last {
	type asking struct {
		verdict.Incarnation
		name string
	}
	names, asked := map[string]*last{}, map[asking][]int{}
	for i := range records {
		r := &records[i]
		if r.Op != verdict.Asked && r.Op != verdict.Answered && r.Op != verdict.Put && r.Op != verdict.Moved && r.Op != verdict.Cancelled && r.Op != verdict.TooLate {
			continue
		}
		n := names[r.Name]
		if n == nil {
			n = &last{}
			names[r.Name] = n
		}
		who := asking{r.Incarnation, r.Name}
		switch r.Op {
		case verdict.Asked:
			asked[who] = append(asked[who], i)
			continue
		case verdict.Put:
			n.accepted, n.gen, n.at = r, r.Generation, i
		case verdict.Moved:
			n.accepted, n.gen, n.at = r, r.Next, i
		case verdict.Cancelled, verdict.TooLate:
			n.accepted, n.at = nil, i
		default:
		}
		if open := asked[who]; len(open) > 0 {
			asked[who] = open[:len(open)-1]
		}
	}
	for who, open := range asked {
		for _, i := range open {
			names[who.name].doubt = max(names[who.name].doubt, i)
		}
	}
	return names
}

// lost compares what is in the store with what was acknowledged, as far as that is not in doubt: a task that has not begun must be there,
// at its instant, and a recurring one must be there whatever ran.
func (f *fleet) lost(records []verdict.Record, there map[string]*duly.Task) (faults []string) {
	begun := map[string]int64{}
	for i := range records {
		if r := &records[i]; r.Op == verdict.Begin {
			begun[r.Name] = max(begun[r.Name], r.Generation)
		}
	}
	for name, n := range lastKnown(records) {
		if n.accepted == nil || n.doubt > n.at || !n.accepted.Recurring && begun[name] >= n.gen {
			continue
		}
		t, fault := there[name], ""
		switch {
		case t == nil || t.Ended:
			fault = fmt.Sprintf("%s: it is gone; accepted: %v", name, n.accepted)
		case t.Generation != n.gen:
			fault = fmt.Sprintf("%s: it is of generation %d; accepted: %v", name, t.Generation, n.accepted)
		case !t.Recurring && t.Due.UnixMicro() != n.accepted.Due:
			fault = fmt.Sprintf("%s: it is due at %v; accepted: %v", name, t.Due, n.accepted)
		}
		switch {
		case fault == "":
		case f.forgets != nil && f.forgets(n.accepted.At):
			f.row.forgotten++
		default:
			faults = append(faults, fault)
		}
	}
	slices.Sort(faults)
	return faults
}

// afterEnd finds attempts of a recurring task that were due, and began, after its schedule had been cancelled.
func afterEnd(records []verdict.Record, forgets func(at int64) bool) (faults []string) {
	type generation struct {
		name string
		gen  int64
	}
	ended := map[generation]*verdict.Record{}
	for i := range records {
		if r := &records[i]; r.Op == verdict.Cancelled && (forgets == nil || !forgets(r.At)) {
			ended[generation{r.Name, r.Generation}] = r
		}
	}
	for i := range records {
		r := &records[i]
		if c := ended[generation{r.Name, r.Generation}]; c != nil && r.Op == verdict.Begin && r.Due > c.At {
			faults = append(faults, fmt.Sprintf("%v\n\tbegan after %v", r, c))
		}
	}
	return faults
}

// takeover notes how long after a node stopped the first attempt began, in another node, of a task in shards that were its own. It is held
// only to what no machine is too busy for.
func (f *fleet) takeover(records []verdict.Record, d *death) {
	f.t.Helper()
	first := int64(math.MaxInt64)
	for i := range records {
		r := &records[i]
		if r.Op != verdict.Begin || r.Node == d.node || r.At < d.from {
			continue
		}
		if k := (store.Key{Name: r.Name}); d.set.Has(k.Shard()) {
			first = min(first, r.At)
		}
	}
	took := time.Duration(first-d.from) * time.Microsecond
	if first == math.MaxInt64 || took > patience/3 {
		f.t.Errorf("nobody has begun in time what was in the shards of %s (%v)", d.node, took)
		return
	}
	f.row.takeovers = append(f.row.takeovers, took)
}
