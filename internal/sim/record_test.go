package sim_test

import (
	"context"
	"sync"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// A recorder stands before the store and sees every write that takes place, in its order. What it sees is the truth that
// processes, handlers and producers are compared with; what it thinks of it is in judge_test.go.
type recorder struct {
	*memory.Store
	w *world

	mu       sync.Mutex // over each write and the note of it
	names    map[store.Key]*name
	attempts map[int64]*attempt // by fence
	runs     map[store.RunID]*runOf
	greatest int64            // generation or fence
	puts     map[int64]string // ids by generation
	lines    []*line
	call     call // the one that is being recorded
	parsed   map[string]schedule.Schedule
	fresh    bool // what ran at the last crash of an embedded store had not all been lost before
}

// A name is what is known of one.
type name struct {
	task   *store.Task   // as it is now, but for leases
	line   *line         // what was put last
	fence  int64         // the greatest
	freed  store.Instant // when it was moved or resumed last
	barred int64         // generations up to this were cancelled

	spans  []span        // when runs were under way, oldest first
	top    store.Instant // the greatest that the wall clock showed during the last of them
	minds  map[*process]mind
	series series
}

// A line is what one Put has declared, with all that becomes of it.
type line struct {
	id        string // in the payload
	key       store.Key
	recurring bool
	begun     bool
	skipped   bool
	over      string // why nothing has to begin
	moved     map[store.Instant]bool
	high      store.Instant // the greatest nominal instant that began or was passed by
}

// A runOf is what is known of a run.
type runOf struct {
	claims, lost, snoozed, released int
	redriven, moved                 bool
	ended                           store.State
}

// An attempt is one that was claimed.
type attempt struct {
	id         store.RunID
	fence      int64
	p          *process
	kind       string
	wish       *wish // of the task when it was claimed
	generation int64 // its
	claimed    int64 // boot time
	run        store.Run
	answered   bool // the process has heard of it
	begun      bool
	begunAt    int64 // boot time
	ended      bool
	endedAt    int64
	outcome    string        // what the handler returned
	waits      time.Duration // for how long it wants to wait
	permanent  bool
	settled    bool
	rescued    bool
	ctx        context.Context //nolint:containedctx // the handler's
}

// wishIsOf says that a task is still as it was when the attempt was claimed.
func (a *attempt) wishIsOf(t *store.Task) bool { return a.generation == t.Generation }

func newRecorder(w *world, s *memory.Store) *recorder {
	return &recorder{
		Store: s, w: w, names: map[store.Key]*name{}, attempts: map[int64]*attempt{}, runs: map[store.RunID]*runOf{}, puts: map[int64]string{},
		parsed: map[string]schedule.Schedule{},
	}
}

// wall is the wall clock as the store reads it.
func (r *recorder) wall() store.Instant { return store.Instant(r.w.clk.Now().Wall / 1000) }

// scheduleOf is a task's schedule.
func (r *recorder) scheduleOf(t *store.Task) schedule.Schedule {
	s, ok := r.parsed[t.Schedule]
	if !ok {
		var err error
		if s, err = schedule.Parse(t.Schedule); err != nil {
			r.w.bad("%v: schedule %q: %v", t.Key, t.Schedule, err)
		}
		r.parsed[t.Schedule] = s
	}
	return s
}

// A call is what is known of whoever makes a call to the store.
type call struct {
	p    *process
	seen []store.Instant      // what the wall clock may have shown when it was decided upon
	told *store.CancelOutcome // of a cancel: where the answer is noted
}

type (
	callKey struct{}
	toldKey struct{}
)

func (r *recorder) nameOf(k store.Key) *name {
	n := r.names[k]
	if n == nil {
		n = &name{}
		r.names[k] = n
	}
	return n
}

func (r *recorder) runOf(id store.RunID) *runOf {
	x := r.runs[id]
	if x == nil {
		x = &runOf{}
		r.runs[id] = x
	}
	return x
}

// record makes a write and has it noted, row by row. Each note sees the task before and returns it as it is then; ok is false if
// nothing was written.
func record[Row, Result any](
	ctx context.Context, r *recorder, rows []Row, do func(context.Context, []Row) ([]Result, error),
	key func(*Row) store.Key, note func(n *name, row *Row, res *Result) (now *store.Task, ok bool),
) ([]Result, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.call, _ = ctx.Value(callKey{}).(call)
	res, err := do(ctx, rows)
	if err != nil {
		return res, err
	}
	for i := range rows {
		n := r.nameOf(key(&rows[i]))
		if t, ok := note(n, &rows[i], &res[i]); ok {
			r.span(n, t, any(rows))
			n.task = t
			if t != nil {
				r.greatest = max(r.greatest, t.Generation)
				for j := range t.Runs {
					r.greatest = max(r.greatest, t.Runs[j].Generation, t.Runs[j].Fence)
				}
			}
		}
	}
	return res, nil
}

func (r *recorder) Put(ctx context.Context, rows []store.Put) ([]store.PutResult, error) {
	return record(ctx, r, rows, r.Store.Put, func(p *store.Put) store.Key { return p.Key }, r.put)
}

func (r *recorder) Cancel(ctx context.Context, rows []store.Cancel) ([]store.CancelResult, error) {
	return record(ctx, r, rows, r.Store.Cancel, func(p *store.Cancel) store.Key { return p.Key }, r.cancel)
}

func (r *recorder) Edit(ctx context.Context, rows []store.Edit) ([]store.EditResult, error) {
	return record(ctx, r, rows, r.Store.Edit, func(p *store.Edit) store.Key { return p.Key }, r.edit)
}

func (r *recorder) Claim(ctx context.Context, rows []store.Claim) ([]store.ClaimResult, error) {
	return record(ctx, r, rows, r.Store.Claim, func(p *store.Claim) store.Key { return p.Key }, r.claim)
}

func (r *recorder) Settle(ctx context.Context, rows []store.Settlement) ([]store.SettleResult, error) {
	return record(ctx, r, rows, r.Store.Settle, func(p *store.Settlement) store.Key { return p.Key }, r.settle)
}

// claimAnswered notes that a process has heard of its claims.
func (r *recorder) claimAnswered(res []store.ClaimResult) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range res {
		if a := r.attempts[res[i].Fence]; res[i].Err == nil && a != nil {
			a.answered = true
			if n := r.nameOf(a.id.Key); n.series.fence == a.fence { // and knows which are to run one by one
				n.series.sure = n.series.by != nil
			}
		}
	}
}
