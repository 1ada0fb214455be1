package duly

import (
	"container/heap"
	"context"
	"iter"
	"slices"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// A State is what a task or a run is in.
type State = store.State

// The states. A task that is listed is Pending or Running; what has ended is in the history, and dead runs are kept beside it.
const (
	Pending        = store.Pending
	Active         = store.Running
	Done           = store.Done
	Dead           = store.Dead
	StateCancelled = store.Cancelled
	Expired        = store.Expired
	Skipped        = store.Skipped
)

// A Task is what a name points to, as it was when it was read.
type Task struct {
	Namespace    string
	Name         string
	Kind         string
	Schedule     string // its text form
	Recurring    bool
	State        State
	Generation   int64
	AcceptedAt   time.Time
	ScheduledFor time.Time // the next nominal instant; zero if there is none, or never
	Due          time.Time // that and its jitter
	Starts       int64     // occurrences that were started
	PausedAt     time.Time // zero: it is not paused
	PausedWhy    string
	Ended        bool // cancelled, or stopped: only Runs are left of it
	Runs         []Run
	Payload      []byte // as it is stored; not to be changed
	Policy       string // how it is run, as JSON; "" is by default
	Key          string
	Tags         []string
	Priority     int
}

// A Run is an occurrence that was started and is not settled for good, or is dead.
type Run struct {
	ID           string
	Generation   int64
	ScheduledFor time.Time
	Due          time.Time // of the attempt that runs, or of the one to come
	State        State     // Pending: it waits for its next attempt; Active or Dead
	Attempt      int
	Snoozed      int
	Lost         int
	Fence        int64
	Missed       int64
	Owner        string
	BegunAt      time.Time // of the first attempt
	StartedAt    time.Time // of the last
	Stopping     bool      // it is asked to stop
	Extra        bool
	Reason       string // how the last attempt ended
}

func taskOf(t *store.Task) *Task {
	v := &Task{
		Namespace: t.Namespace, Name: t.Name, Kind: t.Kind, Schedule: t.Schedule, Recurring: t.Recurring, State: t.State(),
		Generation: t.Generation, AcceptedAt: t.AcceptedAt.Time(), ScheduledFor: t.Next.For.Time(), Due: t.Next.Due.Time(), Starts: t.Starts,
		PausedAt: t.PausedAt.Time(), PausedWhy: t.PausedWhy, Ended: t.Ended, Payload: t.Payload, Policy: string(t.Policy), Key: t.LimitKey,
		Tags: t.Tags, Priority: int(t.Priority),
	}
	for i := range t.Runs {
		r := &t.Runs[i]
		v.Runs = append(v.Runs, Run{
			ID: r.ID(t.Key).String(), Generation: r.Generation, ScheduledFor: r.For.Time(), Due: r.Due.Time(), State: r.State, Attempt: int(r.Attempt),
			Snoozed: int(r.Snoozed), Lost: int(r.Lost), Fence: r.Fence, Missed: r.Missed, Owner: r.Owner, BegunAt: r.BegunAt.Time(),
			StartedAt: r.StartedAt.Time(), Stopping: r.Stop, Extra: r.Extra, Reason: r.Reason,
		})
		if r.State == store.Dead {
			v.State = store.Dead
		}
	}
	return v
}

// Get returns a task. It is ErrFinished if there is none any more, ErrNotFound if the history does not know the name either.
func (s *Scheduler) Get(ctx context.Context, name string) (*Task, error) {
	t, err := s.look(ctx, "get", name, true)
	if err != nil {
		return nil, err
	}
	return taskOf(t), nil
}

// A Query selects tasks by what all its fields ask. The zero Query selects all of the scheduler's namespace.
type Query struct {
	AllNamespaces bool
	Names         []string
	Prefix        string // of the name
	Kind          string
	Tag           string
	State         State // Pending, Active or Dead; 0 is both of the first two
	Paused        bool  // only those that are
	DueFrom       time.Time
	DueUntil      time.Time
	Cursor        string // of ListPage: where the page before has ended
	Limit         int    // of ListPage: 0 is 100
}

func (s *Scheduler) query(q *Query) store.Query {
	return store.Query{
		Namespace: s.namespace, AllNamespaces: q.AllNamespaces, Prefix: q.Prefix, Kind: q.Kind, Tag: q.Tag, State: q.State, Paused: q.Paused,
		DueFrom: store.At(q.DueFrom), DueUntil: store.At(q.DueUntil), After: q.Cursor, Limit: q.Limit,
	}
}

// tasks yields what a query selects.
func (s *Scheduler) tasks(ctx context.Context, q Query) iter.Seq2[*store.Task, error] {
	return func(yield func(*store.Task, error) bool) {
		if len(q.Names) > 0 && q.State != store.Dead && !q.AllNamespaces {
			s.named(ctx, &q, yield)
			return
		}
		for sq := s.query(&q); ; {
			page, err := s.core.store.List(ctx, sq)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, t := range page.Tasks {
				if q.selected(t.Name) && !yield(t, nil) {
					return
				}
			}
			if page.Cursor == "" {
				return
			}
			sq.After = page.Cursor
		}
	}
}

// named yields the tasks of names.
func (s *Scheduler) named(ctx context.Context, q *Query, yield func(*store.Task, error) bool) {
	names := slices.Clone(q.Names)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		ts, err := s.core.store.Get(ctx, []store.Key{s.key(name)})
		if err != nil {
			yield(nil, err)
			return
		}
		if t := ts[0]; t != nil && q.matches(t) && !yield(t, nil) {
			return
		}
	}
}

// matches says whether a task is selected, but for its name space and name.
func (q *Query) matches(t *store.Task) bool {
	pos := t.Position()
	return len(t.Name) >= len(q.Prefix) && t.Name[:len(q.Prefix)] == q.Prefix && (q.Kind == "" || t.Kind == q.Kind) &&
		(q.Tag == "" || slices.Contains(t.Tags, q.Tag)) && (q.State == 0 || t.State() == q.State) && (!q.Paused || t.Paused()) &&
		(q.DueFrom.IsZero() || pos >= store.At(q.DueFrom)) && (q.DueUntil.IsZero() || pos <= store.At(q.DueUntil))
}

// List yields the tasks selected, in the order of their names; with State Dead the dead runs, each as a task with that run alone. What
// is written meanwhile may be seen or not.
func (s *Scheduler) List(ctx context.Context, q Query) iter.Seq2[*Task, error] {
	return func(yield func(*Task, error) bool) {
		for t, err := range s.tasks(ctx, q) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(taskOf(t), nil) {
				return
			}
		}
	}
}

// ListPage returns a page of what List yields, and the Cursor of the next one, "" if there is none. A page may be shorter than the
// limit, and empty, although there is more.
func (s *Scheduler) ListPage(ctx context.Context, q Query) (tasks []*Task, cursor string, err error) {
	page, err := s.core.store.List(ctx, s.query(&q))
	if err != nil {
		return nil, "", err
	}
	for _, t := range page.Tasks {
		if q.selected(t.Name) {
			tasks = append(tasks, taskOf(t))
		}
	}
	return tasks, page.Cursor, nil
}

// An Event is an entry of the history: a move of an occurrence, or of a task. Putting and starting have none of their own, because
// whatever comes after them says when they were.
type Event struct {
	Seq          int64 // rises
	At           time.Time
	Namespace    string
	Name         string
	Kind         string
	Generation   int64
	ScheduledFor time.Time
	Due          time.Time
	Verb         string // what moved it: settle, retry, cancel, ...
	From, To     State
	Attempt      int
	Fence        int64
	AcceptedAt   time.Time
	StartedAt    time.Time
	Missed       int64
	Owner        string
	Reason       string
}

func eventOf(e *store.Event) Event {
	return Event{
		Seq: e.Seq, At: e.At.Time(), Namespace: e.Namespace, Name: e.Name, Kind: e.Kind, Generation: e.Generation, ScheduledFor: e.For.Time(),
		Due: e.Due.Time(), Verb: e.Verb.String(), From: e.From, To: e.To, Attempt: int(e.Attempt), Fence: e.Fence, AcceptedAt: e.AcceptedAt.Time(),
		StartedAt: e.StartedAt.Time(), Missed: e.Missed, Owner: e.Owner, Reason: e.Reason,
	}
}

// A HistoryQuery asks for entries of the history.
type HistoryQuery struct {
	Name   string // "" is all tasks of all namespaces
	After  int64  // only entries of a greater Seq
	Before int64  // only entries of a lesser Seq; 0 is no bound
	Newest bool   // the newest first
	Since  time.Time
	Limit  int // 0 is 100
}

// History returns what became of tasks, the oldest first unless asked otherwise.
func (s *Scheduler) History(ctx context.Context, q HistoryQuery) ([]Event, error) {
	sq := store.HistoryQuery{After: q.After, Before: q.Before, Newest: q.Newest, Since: store.At(q.Since), Limit: q.Limit}
	if q.Name != "" {
		sq.Key = s.key(q.Name)
	}
	evs, err := s.core.store.History(ctx, sq)
	if err != nil {
		return nil, err
	}
	all := make([]Event, len(evs))
	for i := range evs {
		all[i] = eventOf(&evs[i])
	}
	return all, nil
}

// eventsPage is how many entries Events reads at a time. One who takes them slowly has so many in memory.
const eventsPage = 100

// Events yields the entries of the history after one, by its Seq, as they are written, until ctx ends, whose cause is the last thing
// it yields. To resume after a break, ask for those after the last that was seen; 0 begins at the oldest that is kept. It hears at
// once of what this scheduler writes; of another's writes when they make something due, with the next of its own, or, where the store is
// one that processes share (store.Owner), within a second.
func (s *Scheduler) Events(ctx context.Context, after int64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		_, divided := s.core.store.(store.Owner)
		var hints <-chan store.Hint
		if h, ok := s.core.store.(store.Hinter); ok {
			var stop func()
			hints, stop = h.Hints()
			defer stop()
		}
		for {
			next := s.core.news.next()
			evs, err := s.core.store.History(ctx, store.HistoryQuery{After: after, Limit: eventsPage})
			if err != nil {
				yield(Event{}, err)
				return
			}
			for i := range evs {
				if after = evs[i].Seq; !yield(eventOf(&evs[i]), nil) {
					return
				}
			}
			if len(evs) > 0 {
				continue
			}
			look := &alarm{} // at what others have written
			if divided {
				if a := newAlarm(s.core.eng, time.Second); !a.closed {
					look = a
				}
			}
			select {
			case <-next:
			case <-look.rung:
			case <-hints: // of a store that was closed, too: that is what is told next
			case <-ctx.Done():
				look.stop()
				yield(Event{}, context.Cause(ctx))
				return
			}
			look.stop()
		}
	}
}

// A Fire is an attempt that Simulate foresees.
type Fire struct {
	Namespace    string
	Name         string
	Kind         string
	ScheduledFor time.Time
	Due          time.Time
}

// Simulate yields what will start from one instant up to, but not with, another, over the whole store, in the order in which it is
// due, if nothing is put, moved or cancelled meanwhile, every run succeeds and takes no time. It starts nothing. It keeps the recurring
// tasks in memory that are due in that time, and reads the others page by page.
func (s *Scheduler) Simulate(ctx context.Context, from, to time.Time) iter.Seq2[Fire, error] {
	return func(yield func(Fire, error) bool) {
		x := &simulation{s: s, from: store.At(from), to: store.At(to)}
		for f, ok := x.next(ctx); ok; f, ok = x.next(ctx) {
			if !yield(f, nil) {
				return
			}
		}
		if x.err != nil {
			yield(Fire{}, x.err)
		}
	}
}

// A simulation merges tasks by position with the later occurrences of those that recur.
type simulation struct {
	s        *Scheduler
	from, to store.Instant
	page     []*store.Task
	after    store.Cursor
	over     bool // no more pages
	later    futures
	err      error
}

// A future is an occurrence of a task to come.
type future struct {
	t    *store.Task
	occ  store.Occurrence
	left int64 // starts that are left; less than 0 is no limit
	rule schedule.Rule
	pace bool // what comes next follows from the run
}

type futures []future

func (f *futures) Len() int           { return len(*f) }
func (f *futures) Less(i, j int) bool { return (*f)[i].occ.Due < (*f)[j].occ.Due }
func (f *futures) Swap(i, j int)      { (*f)[i], (*f)[j] = (*f)[j], (*f)[i] }
func (f *futures) Push(x any)         { *f = append(*f, x.(future)) }

func (f *futures) Pop() any {
	old := *f
	x := old[len(old)-1]
	*f = old[:len(old)-1]
	return x
}

// next returns the next fire.
func (x *simulation) next(ctx context.Context) (Fire, bool) {
	for {
		if len(x.page) == 0 && !x.over {
			if x.err = x.read(ctx); x.err != nil {
				return Fire{}, false
			}
		}
		if len(x.page) > 0 && (len(x.later) == 0 || x.page[0].Position() <= x.later[0].occ.Due) {
			t := x.page[0]
			x.page = x.page[1:]
			x.add(t)
			continue
		}
		if len(x.later) == 0 {
			return Fire{}, false
		}
		f := x.later[0]
		x.step()
		return Fire{Namespace: f.t.Namespace, Name: f.t.Name, Kind: f.t.Kind, ScheduledFor: f.occ.For.Time(), Due: f.occ.Due.Time()}, true
	}
}

func (x *simulation) read(ctx context.Context) error {
	page, err := x.s.core.store.Due(ctx, store.DueQuery{After: x.after, Until: x.to - 1})
	if err != nil {
		return err
	}
	x.page, x.after, x.over = page.Tasks, page.Cursor, !page.More
	return nil
}

// add puts what is to come of a task among the futures.
func (x *simulation) add(t *store.Task) {
	for i := range t.Runs {
		if r := &t.Runs[i]; r.State == store.Pending && !t.Paused() && r.Due < x.to {
			heap.Push(&x.later, future{t: t, occ: store.Occurrence{For: r.For, Due: max(r.Due, x.from)}})
		}
	}
	if t.Next.None() || t.Paused() {
		return
	}
	f := future{t: t, occ: t.Next, left: -1}
	if t.Recurring {
		sc, err := x.s.core.schedules.of(t.Schedule)
		if err != nil {
			return
		}
		f.rule = sc.Bind(t.String(), t.AcceptedAt.Time())
		f.pace = sc.Kind() == schedule.KindPace || sc.Kind() == schedule.KindPaceFromStart
		if n := sc.Limit(); n > 0 {
			f.left = max(int64(n)-t.Starts, 0)
		}
		if p := f.rule.Prev(x.from.Add(-f.rule.Offset()).Time().Add(1)); store.At(p) > max(f.occ.For, t.Last) {
			f.occ = occurrence(f.rule, p) // what is missed is folded
		}
	}
	f.occ.Due = max(f.occ.Due, x.from)
	if f.occ.Due < x.to {
		heap.Push(&x.later, f)
	}
}

// step takes the first future away, or moves it on to what comes after it.
func (x *simulation) step() {
	f := &x.later[0]
	n := store.Occurrence{}
	if f.left > 0 {
		f.left--
	}
	if f.left != 0 && f.rule != (schedule.Rule{}) { // what fires once, and a retry, have none
		last := max(f.occ.For, f.t.Last)
		if f.pace { // the run is when it is due, and not before from
			last = max(last, f.occ.Due)
		}
		n = occurrence(f.rule, f.rule.Next(last.Time()))
	}
	if n.None() || n.Due >= x.to {
		heap.Pop(&x.later)
		return
	}
	f.occ = n
	heap.Fix(&x.later, 0)
}
