package pebble_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
)

// long says whether tests run at their full length.
func long() bool { return os.Getenv("DULY_TEST_LONG") != "" }

// crashes returns how many there are in the ordinary test, in that of CI (make crash), and in the long one.
func crashes(ordinary, ci, whole int) int {
	switch {
	case long():
		return whole
	case os.Getenv("DULY_TEST_CRASHES") != "":
		return ci
	}
	return ordinary
}

// An op is one row, as it is asked for: enough to hand it to a store, and to work out what it does. It can be sent through a pipe.
type op struct {
	Kind  string
	Key   store.Key
	N     int64 // no other op has this number: instants and payloads come from it
	Size  int   // of the payload
	Rec   bool  // recurring
	ID    store.RunID
	Fence int64
}

// epoch is long past, so that everything is due.
const epoch store.Instant = 1_577_836_800_000_000

func (o *op) occ() store.Occurrence {
	return store.Occurrence{For: epoch + store.Instant(o.N), Due: epoch + store.Instant(o.N)}
}
func (o *op) when() store.When { return store.On(o.occ()) }

func (o *op) put() store.Put {
	payload := bytes.Repeat([]byte{byte(o.N), byte(o.N >> 8), byte(o.N >> 16)}, o.Size/3+1)
	return store.Put{Key: o.Key, When: o.when(), AcceptedAt: 1, Spec: store.Spec{Kind: "k", Payload: payload, Recurring: o.Rec, Tags: []string{"x"}}}
}

func (o *op) claim() store.Claim {
	c := store.Claim{RunID: o.ID, Lease: time.Hour, Owner: "me"}
	if o.Rec {
		c.Next = o.occ()
	}
	return c
}

func (o *op) settlement() store.Settlement {
	x := store.Settlement{RunID: o.ID, Fence: o.Fence, Verb: store.VerbSettle, State: store.Done, Reason: "so"}
	switch o.Kind {
	case "dead":
		x.State = store.Dead
	case "retry":
		x.Verb, x.State, x.When = store.VerbRetry, store.None, o.when()
	}
	return x
}

var edits = map[string]store.Verb{
	"move": store.VerbMove, "pause": store.VerbPause, "resume": store.VerbResume, "run": store.VerbRun, "redrive": store.VerbRedrive, "stop": store.VerbStop,
}

func (o *op) edit() store.Edit {
	x := store.Edit{Verb: edits[o.Kind], Key: o.Key, Reason: "so", Generation: o.ID.Generation, For: o.ID.For}
	if o.Kind == "move" || o.Kind == "run" || o.Kind == "redrive" {
		x.When = o.when()
	}
	return x
}

// apply works out what the op does to a task. Numbers are taken from seq.
func (o *op) apply(t *store.Task, m *store.Moment) (chg store.Change, err error) {
	switch o.Kind {
	case "put":
		p := o.put()
		var r store.PutResult
		chg, r = p.Apply(t, m)
		return chg, r.Err
	case "cancel":
		x := store.Cancel{Key: o.Key, Reason: "so"}
		var r store.CancelResult
		chg, r = x.Apply(t, m)
		return chg, r.Err
	case "claim":
		x := o.claim()
		var r store.ClaimResult
		chg, r = x.Apply(t, m)
		return chg, r.Err
	case "done", "dead", "retry":
		x := o.settlement()
		var r store.SettleResult
		chg, r = x.Apply(t, m)
		return chg, r.Err
	}
	x := o.edit()
	var r store.EditResult
	chg, r = x.Apply(t, m)
	return chg, r.Err
}

// do hands the op to a store. Row is the row's own error.
func (o *op) do(ctx context.Context, s store.Store) (t *store.Task, row, err error) {
	switch o.Kind {
	case "put":
		res, err := s.Put(ctx, []store.Put{o.put()})
		if err != nil {
			return nil, nil, err
		}
		return res[0].Task, res[0].Err, nil
	case "cancel":
		res, err := s.Cancel(ctx, []store.Cancel{{Key: o.Key, Reason: "so"}})
		if err != nil {
			return nil, nil, err
		}
		return res[0].Task, res[0].Err, nil
	case "claim":
		res, err := s.Claim(ctx, []store.Claim{o.claim()})
		if err != nil {
			return nil, nil, err
		}
		return res[0].Task, res[0].Err, nil
	case "done", "dead", "retry":
		res, err := s.Settle(ctx, []store.Settlement{o.settlement()})
		if err != nil {
			return nil, nil, err
		}
		return res[0].Task, res[0].Err, nil
	}
	res, err := s.Edit(ctx, []store.Edit{o.edit()})
	if err != nil {
		return nil, nil, err
	}
	return res[0].Task, res[0].Err, nil
}

// A record is all that is known of one name: what was acknowledged, and the op that was handed in and not answered.
type record struct {
	task    *store.Task
	dead    map[store.RunID]*store.Task
	moves   []string
	pending *op
	high    int64 // the greatest number that was acknowledged
}

func (r *record) clone() *record {
	n := *r
	n.dead, n.moves = maps.Clone(r.dead), slices.Clone(r.moves)
	return &n
}

// unasked returns the record without the op that was not answered.
func (r *record) unasked() *record {
	n := r.clone()
	n.pending = nil
	return n
}

// past lets ops look into the record.
type past struct{ r *record }

// Ran implements store.Past. No two puts declare the same.
func (p past) Ran(store.Key, store.Identity, store.Instant) (bool, error) { return false, nil }

func (p past) Finished(store.Key) (bool, error) { return len(p.r.moves) > 0, nil }

func (p past) Dead(id store.RunID) (*store.Task, error) { return p.r.dead[id], nil }

// top is the greatest number in a task.
func top(t *store.Task) (n int64) {
	if t == nil {
		return 0
	}
	n = t.Generation
	for i := range t.Runs {
		n = max(n, t.Runs[i].Fence, t.Runs[i].Generation)
	}
	return n
}

// after returns the record once an op has been written, where seen is the task that came of it.
func (r *record) after(o *op, seen *store.Task) (*record, error) {
	n := r.clone()
	n.pending = nil
	number, used := top(seen), false
	m := &store.Moment{Now: store.Never - 1, Seq: func() int64 { used = true; return number }, Past: past{r}}
	chg, err := o.apply(r.task, m)
	if err != nil {
		return nil, err
	}
	if used && number <= r.high {
		return nil, fmt.Errorf("%s was given the number %d, which is not above %d", o.Kind, number, r.high)
	}
	if !chg.Write {
		return n, nil
	}
	n.task = chg.Task
	for i := range chg.Events {
		n.moves = append(n.moves, move(&chg.Events[i]))
	}
	if chg.Dead != nil {
		n.dead[chg.Dead.Runs[0].ID(o.Key)] = chg.Dead
	}
	if chg.Redrive != nil {
		delete(n.dead, *chg.Redrive)
	}
	n.high = max(n.high, top(n.task))
	return n, nil
}

func move(e *store.Event) string {
	return fmt.Sprintf("%v>%v by %v of %d@%d attempt %d fence %d", e.From, e.To, e.Verb, e.Generation, e.For, e.Attempt, e.Fence)
}

// bare returns a task without what depends on when it was: instants of the clock, and leases.
func bare(t *store.Task) *store.Task {
	if t == nil {
		return nil
	}
	n := *t
	n.Runs = slices.Clone(t.Runs)
	n.AcceptedAt, n.FirstAt = 0, 0
	if n.PausedAt != 0 {
		n.PausedAt = 1
	}
	for i := range n.Runs {
		r := &n.Runs[i]
		r.BegunAt, r.StartedAt, r.Lease = 0, 0, 0
	}
	if len(n.Runs) == 0 {
		n.Runs = nil
	}
	return &n
}

func show(t *store.Task) string {
	if t == nil {
		return "nothing"
	}
	n := bare(t)
	return fmt.Sprintf("generation %d next %d last %d starts %d payload %d paused %v ended %v runs %+v", n.Generation, n.Next.For, n.Last, n.Starts, len(n.Payload), n.Paused(), n.Ended, n.Runs)
}

// differs says how what is in the store differs from the record, "" for not at all.
func (r *record) differs(seen *state) string {
	a, b := bare(r.task), bare(seen.task)
	switch {
	case !reflect.DeepEqual(a, b):
		return "is " + show(seen.task) + "\n  want " + show(r.task)
	case !slices.Equal(r.moves, seen.moves):
		return "has the history\n    " + strings.Join(seen.moves, "\n    ") + "\n  want\n    " + strings.Join(r.moves, "\n    ")
	case len(r.dead) != len(seen.dead):
		return fmt.Sprintf("has %d dead runs, want %d", len(seen.dead), len(r.dead))
	}
	for id, t := range r.dead {
		if !reflect.DeepEqual(bare(t), bare(seen.dead[id])) {
			return fmt.Sprintf("has the dead run %s as %s, want %s", id, show(seen.dead[id]), show(t))
		}
	}
	return ""
}

// answer notes the answer of an op: the task that came of it, and the row's own error.
func (r *record) answer(o *op, t *store.Task, row error) (*record, error) {
	n, err := r.after(o, t)
	switch {
	case (row == nil) != (err == nil):
		return nil, fmt.Errorf("%s %s: answered %w, want %w; it was %s", o.Kind, o.Key, orNil(row), orNil(err), show(r.task))
	case err != nil:
		n = r.unasked()
	case !reflect.DeepEqual(bare(n.task), bare(t)):
		return nil, fmt.Errorf("%s %s: answered %s, want %s", o.Kind, o.Key, show(t), show(n.task))
	}
	return n, nil
}

var errNone = errors.New("no error")

// orNil gives no error a name, for messages.
func orNil(err error) error {
	if err == nil {
		return errNone
	}
	return err
}

// settle finds out which of the two states that are possible the store is in. It returns the record of it, or says why it is neither.
func (r *record) settle(seen *state) (*record, string) {
	plain := r.unasked()
	why := plain.differs(seen)
	if why == "" || r.pending == nil {
		return plain, why
	}
	n, err := r.after(r.pending, seen.task)
	if err != nil {
		return nil, why + "\n  and " + r.pending.Kind + " is " + err.Error()
	}
	if also := n.differs(seen); also != "" {
		return nil, why + "\n  and, after " + r.pending.Kind + ", " + also
	}
	return n, ""
}

// A state is what a store says of one name.
type state struct {
	task  *store.Task
	dead  map[store.RunID]*store.Task
	moves []string
}

// look reads what a store says of names.
func look(ctx context.Context, s store.Store, keys []store.Key) (map[store.Key]*state, error) {
	tasks, err := s.Get(ctx, keys)
	if err != nil {
		return nil, err
	}
	all := map[store.Key]*state{}
	for i, k := range keys {
		all[k] = &state{task: tasks[i], dead: map[store.RunID]*store.Task{}}
	}
	for q := (store.Query{AllNamespaces: true, State: store.Dead, Limit: 1000}); ; {
		p, err := s.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, t := range p.Tasks {
			if st := all[t.Key]; st != nil {
				st.dead[t.Runs[0].ID(t.Key)] = t
			}
		}
		if q.After = p.Cursor; q.After == "" {
			break
		}
	}
	for q := (store.HistoryQuery{Limit: 1000}); ; {
		events, err := s.History(ctx, q)
		if err != nil || len(events) == 0 {
			return all, err
		}
		for i := range events {
			if st := all[events[i].Key]; st != nil {
				st.moves = append(st.moves, move(&events[i]))
			}
		}
		q.After = events[len(events)-1].Seq
	}
}

// A ledger is the records of all names.
type ledger map[store.Key]*record

func newLedger(keys ...store.Key) ledger {
	l := ledger{}
	for _, k := range keys {
		l[k] = &record{dead: map[store.RunID]*store.Task{}}
	}
	return l
}

func (l ledger) keys() (keys []store.Key) {
	for k := range l {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, store.Key.Compare)
	return keys
}

func (l ledger) clone() ledger {
	n := ledger{}
	for k, r := range l {
		n[k] = r.clone()
	}
	return n
}

// check holds a store to the ledger, which afterwards says what the store does.
func (l ledger) check(t testing.TB, what string, s store.Store) {
	t.Helper()
	seen, err := look(t.Context(), s, l.keys())
	if err != nil {
		t.Fatalf("%s: look into the store: %v", what, err)
	}
	for _, k := range l.keys() {
		r, why := l[k].settle(seen[k])
		if why != "" {
			t.Fatalf("%s: %s %s", what, k, why)
		}
		l[k] = r
	}
}

// choose picks an op that makes sense for a name.
func (r *record) choose(rng *rand.Rand, k store.Key, n int64) *op {
	o := &op{Key: k, N: n, Size: 20, Rec: rng.IntN(3) == 0}
	switch rng.IntN(20) {
	case 0:
		o.Size = 3000
	case 1:
		o.Size = 20_000
	}
	t := r.task
	if t == nil || t.Ended && t.Running() == 0 {
		o.Kind = "put"
		if ids := sorted(r.dead); len(ids) > 0 && rng.IntN(2) == 0 {
			o.Kind, o.ID = "redrive", ids[rng.IntN(len(ids))]
		}
		return o
	}
	o.Kind = [...]string{"put", "cancel", "move", "pause", "run"}[rng.IntN(5)]
	i := slices.IndexFunc(t.Runs, func(r store.Run) bool { return r.State == store.Running })
	switch {
	case i >= 0 && rng.IntN(8) > 0:
		o.Kind = [...]string{"done", "done", "done", "retry", "retry", "dead", "stop"}[rng.IntN(7)]
		o.ID, o.Fence = t.Runs[i].ID(k), t.Runs[i].Fence
	case t.Ended:
		o.Kind = "put"
	case t.Paused():
		o.Kind = "resume"
	case i < 0 && rng.IntN(4) > 0:
		o.Kind, o.Rec = "claim", t.Recurring
		o.ID = store.RunID{Key: k, Generation: t.Generation, For: t.Next.For}
		if len(t.Runs) > 0 {
			o.ID = t.Runs[0].ID(k)
		} else if t.Next.None() {
			o.Kind = "cancel"
		}
	case o.Kind == "run" && len(t.Runs) > 3:
		o.Kind = "cancel"
	case i >= 0 && (o.Kind == "move" || o.Kind == "run"):
		o.Kind = "cancel"
	case o.Kind == "move" && t.Recurring && t.Next.None():
		o.Kind = "cancel"
	}
	return o
}

func sorted(m map[store.RunID]*store.Task) (ids []store.RunID) {
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b store.RunID) int { return cmp.Or(a.Compare(b), 0) })
	return ids
}

// typed says whether an error is one that storage may cause.
func typed(err error) bool {
	for _, want := range []error{store.ErrBroken, store.ErrNoSpace, store.ErrReadOnly, store.ErrUnknown} {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}
