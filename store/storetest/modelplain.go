package storetest

import (
	"cmp"
	"errors"
	"slices"

	"github.com/dulyhq/duly/store"
)

// plain says what a store must answer, by the words of the contract and as plainly as can be: a map of tasks, looked through from
// end to end. It shares no rule with the transitions of package store, and takes from answers only what a store may choose: the
// numbers, and the nominal instant of an extra run.
type plain struct {
	now, mono store.Instant
	tasks     map[store.Key]*plainTask // nil is none
	dead      map[store.RunID]*plainTask
	newest    map[store.Key]int64  // the greatest generation of a name
	fence     map[store.Key]int64  // the greatest fence of a name
	known     map[store.Key]bool   // the history knows the name
	ran       map[plainOnce]bool   // one-offs that are done; false: it may be forgotten, or not be noticed
	used      map[store.RunID]bool // runs that there were
	forgot    bool                 // some of the history may be forgotten
	high      store.Instant        // the greatest now since the store was opened
}

// plainOnce is what makes a one-off the same as another.
type plainOnce struct {
	key           store.Key
	kind, payload string
	at            store.Instant
}

type plainTask struct {
	spec            store.Spec
	generation      int64
	accepted, first store.Instant
	next            store.Occurrence
	moved           bool
	last            store.Instant
	starts          int64
	paused          store.Instant
	ended           bool
	runs            []*plainRun
}

type plainRun struct {
	store.Run
	leaseEnd store.Instant // on the clock of the machine; 0: the holder is gone
}

func newPlain() *plain {
	return &plain{
		tasks: map[store.Key]*plainTask{}, dead: map[store.RunID]*plainTask{}, newest: map[store.Key]int64{},
		fence: map[store.Key]int64{}, known: map[store.Key]bool{}, ran: map[plainOnce]bool{}, used: map[store.RunID]bool{},
	}
}

// task shows a plain task as a store would.
func (t *plainTask) task(k store.Key) *store.Task {
	if t == nil {
		return nil
	}
	n := &store.Task{
		Key: k, Spec: t.spec, Generation: t.generation, AcceptedAt: t.accepted, Next: t.next, Moved: t.moved && !t.next.None(), Last: t.last, Starts: t.starts,
		PausedAt: t.paused, Ended: t.ended,
	}
	for _, r := range t.runs {
		n.Runs = append(n.Runs, r.Run)
	}
	return sorted(n)
}

// live returns the task that has the name; one of which only attempts are left has it no more.
func (p *plain) live(k store.Key) *plainTask {
	if t := p.tasks[k]; t != nil && !t.ended {
		return t
	}
	return nil
}

func (t *plainTask) run(id store.RunID) *plainRun {
	for _, r := range t.runs {
		if r.Generation == id.Generation && r.For == id.For {
			return r
		}
	}
	return nil
}

func (t *plainTask) running() (n int) {
	for _, r := range t.runs {
		if r.State == store.Running {
			n++
		}
	}
	return n
}

// waits returns the occurrence that has not begun, or waits for its retry. A one-off that runs does not wait, whatever else there is.
func (t *plainTask) waits() (o store.Occurrence, ok bool) {
	if !t.next.None() {
		return t.next, true
	}
	for _, r := range slices.Backward(t.runs) {
		switch {
		case r.Extra || r.Final:
		case r.State == store.Pending:
			o, ok = store.Occurrence{For: r.For, Due: r.Due}, true
		case !t.spec.Recurring:
			return store.Occurrence{}, false
		}
	}
	return o, ok
}

// without returns the runs but for those that are to go.
func (t *plainTask) without(gone func(*plainRun) bool) {
	t.runs = slices.DeleteFunc(slices.Clone(t.runs), gone)
}

// settle puts the task into the map, or takes it out when nothing is left of it.
func (p *plain) keep(k store.Key, t *plainTask) {
	if t.next.None() && len(t.runs) == 0 {
		delete(p.tasks, k)
		return
	}
	p.tasks[k] = t
}

// generation takes a new one, which must be greater than all before it.
func (p *plain) generation(k store.Key, n int64) error {
	if n <= p.newest[k] {
		return wrong("generation %d does not rise: there was %d", n, p.newest[k])
	}
	p.newest[k] = n
	return nil
}

// use notes that there is a run of an id, which names it alone, for ever.
func (p *plain) use(id store.RunID) error {
	if p.used[id] {
		return wrong("there was a run %s before", id)
	}
	p.used[id] = true
	return nil
}

// answer compares an answer's task with the map's.
func (p *plain) answer(k store.Key, got *store.Task) error {
	want := p.tasks[k].task(k)
	if g := sorted(got); show(g) != show(want) {
		return wrong("the answer holds\n%s\nwant\n%s", show(g), show(want))
	}
	return nil
}

// refused holds a refusal to those that are right, of which the store may tell any.
func refused(err error, right ...error) error {
	for _, r := range right {
		if errors.Is(err, r) {
			return nil
		}
	}
	return wrong("error %v, want one of %v", err, right)
}

// deadIDs returns the dead runs in the order of their ids.
func (p *plain) deadIDs() []store.RunID {
	ids := make([]store.RunID, 0, len(p.dead))
	for id := range p.dead {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, store.RunID.Compare)
	return ids
}

// leasesEnd: the process that held them is gone.
func (p *plain) leasesEnd() {
	for _, t := range p.tasks {
		for _, r := range t.runs {
			r.leaseEnd = 0
		}
	}
}

// forget: some of the history may be gone.
func (p *plain) forget() {
	p.forgot = true
	for o := range p.ran {
		p.ran[o] = false
	}
}

func (p *plain) once(k store.Key, s *store.Spec, at store.Instant) plainOnce {
	return plainOnce{k, s.Kind, string(s.Payload), at}
}

// die keeps a run that is dead.
func (p *plain) die(k store.Key, t *plainTask, r *plainRun) {
	d := *t
	dead := *r
	dead.State = store.Dead
	d.next, d.runs = store.Occurrence{}, []*plainRun{&dead}
	p.dead[r.ID(k)] = &d
}

// condition says whether a condition on the generation does not hold.
func (p *plain) condition(k store.Key, generation int64) bool {
	t := p.live(k)
	return generation != 0 && (t == nil || t.generation != generation)
}

func (p *plain) put(x *store.Put, r *store.PutResult) error {
	t := p.live(x.Key)
	var right []error
	if x.IfAbsent && t != nil || x.IfPending && (t == nil || t.running() > 0) || p.condition(x.Key, x.IfGeneration) {
		right = append(right, store.ErrCondition)
	}
	if t != nil && t.spec.Kind != x.Kind && !x.AnyKind {
		right = append(right, store.ErrKindMismatch)
	}
	if t != nil && x.OnConflict == store.Fail {
		right = append(right, store.ErrExists)
	}
	if len(right) > 0 || r.Err != nil {
		return refused(r.Err, right...)
	}
	next, first := p.instant(x, t)
	switch {
	case t != nil && x.OnConflict == store.Keep:
		return p.outcome(x.Key, r, store.Kept)
	case t != nil && t.declares(x, next.For):
		return p.outcome(x.Key, r, store.Unchanged)
	}
	_, _, relative := x.When.Relative()
	if ran, known := p.ran[p.once(x.Key, &x.Spec, next.For)]; known && t == nil && !x.Recurring && !relative && (r.Outcome == store.AlreadyRan || ran && next.For <= p.high) {
		if r.Outcome != store.AlreadyRan || r.Task != nil {
			return wrong("outcome %v, want already ran and no task", r.Outcome)
		}
		return nil
	}
	n := &plainTask{spec: x.Spec, accepted: p.now, first: first, next: next, moved: x.Recurring && next != x.When.Resolve(p.now)}
	if old := p.tasks[x.Key]; old != nil {
		n.runs = old.runs
		p.known[x.Key] = p.known[x.Key] || !old.next.None() || len(old.runs) > 0
	}
	n.without(func(r *plainRun) bool { return r.State == store.Pending })
	for _, r := range n.runs {
		r.Final = true
	}
	want := store.Created
	if t != nil {
		want, n.paused = store.Replaced, t.paused
	}
	if r.Task != nil {
		n.generation = r.Task.Generation
	}
	p.keep(x.Key, n)
	if err := p.generation(x.Key, n.generation); err != nil {
		return err
	}
	return p.outcome(x.Key, r, want)
}

func (p *plain) outcome(k store.Key, r *store.PutResult, want store.PutOutcome) error {
	if r.Outcome != want {
		return wrong("outcome %v, want %v", r.Outcome, want)
	}
	return p.answer(k, r.Task)
}

// instant is when a Put's task is due, and when its burst began.
func (p *plain) instant(x *store.Put, t *plainTask) (next store.Occurrence, first store.Instant) {
	next = x.When.Resolve(p.now)
	var old store.Occurrence
	waits := false
	if t != nil {
		old, waits = t.waits()
	}
	switch {
	case x.OnConflict == store.KeepTime && waits, x.OnConflict == store.Earliest && waits && old.Due < next.Due:
		next = old
	case x.OnConflict == store.Debounce:
		first = p.now
		if waits && t.first != 0 {
			first = t.first
		}
		if latest := first.Add(x.MaxWait); x.MaxWait > 0 && latest < next.Due {
			next.Due = latest
			next.For = min(next.For, latest)
		}
	}
	return next, first
}

// declares says whether a task is what a Put declares: an identical one that waits or runs.
func (t *plainTask) declares(x *store.Put, at store.Instant) bool {
	if !t.spec.Equal(&x.Spec) {
		return false
	}
	if !t.next.None() {
		return x.Recurring || t.next.For == at
	}
	for _, r := range t.runs {
		if !r.Final && !r.Extra && (x.Recurring || r.For == at && !r.Stop) {
			return true
		}
	}
	return false
}

func (p *plain) cancel(x *store.Cancel, r *store.CancelResult) error {
	if p.condition(x.Key, x.IfGeneration) {
		return refused(r.Err, store.ErrCondition)
	}
	if r.Err != nil {
		return r.Err
	}
	t := p.tasks[x.Key]
	if t == nil {
		switch {
		case r.Outcome == store.CancelUnknown && (!p.known[x.Key] || p.forgot), r.Outcome == store.CancelFinished && p.known[x.Key]:
			return nil
		}
		return wrong("outcome %v, of a name that is free; the history knows it: %t", r.Outcome, p.known[x.Key])
	}
	_, waits := t.waits()
	p.known[x.Key] = true
	want := store.CancelRunning
	if waits || t.spec.Recurring && !t.ended || t.running() == 0 {
		want = store.CancelCancelled
	}
	t.next, t.ended = store.Occurrence{}, true
	t.without(func(r *plainRun) bool { return r.State == store.Pending })
	for _, r := range t.runs {
		r.Final = true
		r.Stop = r.Stop || x.Stop
	}
	p.keep(x.Key, t)
	if r.Outcome != want {
		return wrong("outcome %v, want %v", r.Outcome, want)
	}
	return p.answer(x.Key, r.Task)
}

func (p *plain) claim(x *store.Claim, r *store.ClaimResult) error {
	t := p.tasks[x.Key]
	if t == nil {
		return refused(r.Err, store.ErrChanged)
	}
	run := t.run(x.RunID)
	begins := run == nil // an occurrence becomes a run
	due, as := t.next.Due, t.next
	switch {
	case begins && (t.ended || t.generation != x.Generation || t.next.None() || t.next.For != x.For):
		return refused(r.Err, store.ErrChanged)
	case begins && !x.As.None():
		if as = x.As; t.run(store.RunID{Generation: t.generation, For: as.For}) != nil {
			return refused(r.Err, store.ErrChanged)
		}
		due = max(due, as.Due)
	case !begins && run.State == store.Running:
		return refused(r.Err, store.ErrChanged)
	case !begins:
		due = run.Due
	}
	if begins && !t.spec.Recurring && !x.Next.None() {
		return refused(r.Err, store.ErrInvalid)
	}
	var right []error
	if t.paused != 0 {
		right = append(right, store.ErrPaused)
	}
	if due > p.now {
		right = append(right, store.ErrNotDue)
	}
	if t.running() > 0 && !x.Overlap {
		right = append(right, store.ErrBusy)
	}
	if x.NotAfter != 0 && p.now > x.NotAfter {
		right = append(right, store.ErrTooLate)
	}
	if len(right) > 0 || r.Err != nil {
		return refused(r.Err, right...)
	}
	if begins {
		if err := p.use(store.RunID{Key: x.Key, Generation: t.generation, For: as.For}); err != nil {
			return err
		}
		run = &plainRun{Run: store.Run{Generation: t.generation, For: as.For, Due: as.Due, Missed: x.Missed}}
		t.runs = append(t.runs, run)
		t.next, t.moved, t.last, t.starts = x.Next, false, max(t.last, as.For, x.Through), t.starts+1
		p.known[x.Key] = p.known[x.Key] || x.Missed > 0
	}
	return p.begin(x, r, run)
}

func (p *plain) begin(x *store.Claim, r *store.ClaimResult, run *plainRun) error {
	run.State, run.Fence, run.leaseEnd = store.Running, r.Fence, p.mono.Add(x.Lease)
	run.Attempt++
	if r.Fence <= p.fence[x.Key] {
		return wrong("fence %d does not rise: there was %d", r.Fence, p.fence[x.Key])
	}
	p.fence[x.Key] = r.Fence
	if r.RunID != run.ID(x.Key) {
		return wrong("the answer's run is %s, want %s", r.RunID, run.ID(x.Key))
	}
	if r.At != p.now {
		return wrong("claimed at %v, want %v", r.At, p.now)
	}
	return p.answer(x.Key, r.Task)
}

// follow sets the next occurrence of a fixed delay, which is nominally after all before it.
func (p *plain) follow(t *plainTask, next store.When) {
	if !t.spec.Recurring || !t.next.None() || next.None() {
		return
	}
	t.next, t.moved = next.Resolve(p.now), false
	t.next.For = max(t.next.For, t.last+1)
}

// held returns the task and the run of an attempt that still has its fence.
func (p *plain) held(id store.RunID, fence int64) (*plainTask, *plainRun) {
	t := p.tasks[id.Key]
	if t == nil {
		return nil, nil
	}
	if r := t.run(id); r != nil && r.State == store.Running && r.Fence == fence {
		return t, r
	}
	return nil, nil
}

func (p *plain) renew(x *store.Renewal, r *store.RenewResult) error {
	_, run := p.held(x.RunID, x.Fence)
	if run == nil || r.Err != nil {
		return refused(r.Err, store.ErrFenced)
	}
	run.leaseEnd = p.mono.Add(x.Lease)
	if r.Stop != run.Stop {
		return wrong("asked to stop: %t, want %t", r.Stop, run.Stop)
	}
	return nil
}

func (p *plain) settle(x *store.Settlement, r *store.SettleResult) error {
	t, run := p.held(x.RunID, x.Fence)
	if t == nil || r.Err != nil {
		return refused(r.Err, store.ErrFenced)
	}
	p.known[x.Key] = true
	state := store.Pending
	switch {
	case x.Verb == store.VerbSettle && x.State == store.Done:
		state = store.Done
		if !t.spec.Recurring && (!run.Final || run.Generation == t.generation) {
			p.ran[p.once(x.Key, &t.spec, run.For)] = true
		}
	case run.Final || run.Stop:
		state = store.Cancelled
	case x.Verb == store.VerbSettle:
		state = x.State
	}
	if state == store.Dead {
		p.die(x.Key, t, run)
	}
	if state == store.Pending {
		run.State, run.Due = store.Pending, x.When.Resolve(p.now).Due
		if x.Verb != store.VerbRetry {
			run.Snoozed++
		}
	} else {
		t.without(func(o *plainRun) bool { return o == run })
	}
	switch {
	case run.Final || t.ended:
	case x.End:
		t.next = store.Occurrence{}
	case state != store.Pending:
		p.follow(t, x.Next)
	}
	p.keep(x.Key, t)
	if r.State != state || r.At != p.now {
		return wrong("state %v at %v, want %v at %v", r.State, r.At, state, p.now)
	}
	return p.answer(x.Key, r.Task)
}

// position is where a task stands among what is due: at the earliest instant at which something has to happen to it. An attempt that
// runs may have to be rescued, paused or not.
func (t *plainTask) position() store.Instant {
	at := store.Never
	if t.paused == 0 && !t.next.None() {
		at = t.next.Due
	}
	for _, r := range t.runs {
		if t.paused == 0 || r.State == store.Running {
			at = min(at, r.Due)
		}
	}
	return at
}

// due returns what stands up to an instant, in order, and the first position after it.
func (p *plain) due(until store.Instant) (keys []store.Key, next store.Instant) {
	next = store.Never
	for k, t := range p.tasks {
		if at := t.position(); at <= until {
			keys = append(keys, k)
		} else {
			next = min(next, at)
		}
	}
	slices.SortFunc(keys, func(a, b store.Key) int {
		return cmp.Or(cmp.Compare(p.tasks[a].position(), p.tasks[b].position()), a.Compare(b))
	})
	return keys, next
}

// soonest returns the first instant from now on at which something becomes due.
func (p *plain) soonest() store.Instant {
	_, next := p.due(p.now)
	return next
}
