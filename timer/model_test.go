package timer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/dulyhq/duly/schedule"
)

var afterHour = schedule.After(time.Hour)

// modelForever is the due time of what is never due.
const modelForever = time.Duration(math.MaxInt64)

// A model is what an engine must do: names in a map, and what is due found by looking at all. Times are since its start.
// Handlers return at once, but for that of a task which takes the only worker: what comes due then waits for it.
type model struct {
	e       *Engine
	workers int
	release chan struct{} // ends the run that takes the only worker; nil if there is none
	start   time.Time
	tasks   map[string]*modelTask
	timers  []*modelTimer
	handles []modelHandle
	made    int
	want    []string // fires since the last look
	lastGen map[string]uint64

	mu  sync.Mutex
	got []string
}

type modelTask struct {
	name   string
	fn     string
	opts   int // index into modelOptions
	sched  schedule.Schedule
	wall   bool
	due    time.Duration
	at     time.Time     // the nominal instant of a one-off
	period time.Duration // 0 for a one-off
	limit  int
	starts int
	paused bool
	first  time.Duration // the first Put of a burst; -1 is not known
	state  State         // StatePending, or how it ended
	err    error
	gen    uint64
}

type modelTimer struct {
	t       Timer
	fn      string
	due     time.Duration
	pending bool
}

// A modelHandle is a handle that a Put returned, and the task that it must stand for.
type modelHandle struct {
	t  Task
	of *modelTask
}

// Each differs from the others, so that none makes a Put identical to another's.
var modelOptions = [][]Option{nil, {Track()}, {Priority(1)}, {Tags("t")}}

func (m *model) now() time.Duration { return time.Since(m.start) }

// fires are noted alike by the model and by handlers.
func (m *model) line(fn string, at time.Duration) string { return fmt.Sprintf("%s at %v", fn, at) }

func (m *model) newFn() (string, func()) {
	m.made++
	fn := fmt.Sprintf("f%d", m.made)
	return fn, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.got = append(m.got, m.line(fn, m.now()))
	}
}

// pass lets the time pass to until, in the engine and in the model.
func (m *model) pass(until time.Duration) {
	now := m.now()
	time.Sleep(until - now)
	synctest.Wait()
	for {
		at := until + 1
		var task *modelTask
		var timer *modelTimer
		for _, t := range m.tasks {
			if m.release == nil && !t.paused && t.due < at {
				at, task = t.due, t
			}
		}
		for _, t := range m.timers {
			if t.pending && t.due < at {
				at, task, timer = t.due, nil, t
			}
		}
		at = max(at, now)
		switch {
		case timer != nil:
			timer.pending = false
			m.want = append(m.want, m.line(timer.fn, at))
		case task != nil:
			m.started(task, at)
			if task.state == StatePending {
				task.next(at)
			}
		default:
			return
		}
	}
}

// started notes a start of the task, after which it may have ended.
func (m *model) started(t *modelTask, at time.Duration) {
	m.want = append(m.want, m.line(t.fn, at))
	t.starts++
	if t.period == 0 || t.limit > 0 && t.starts == t.limit {
		m.ended(t, StateDone, nil)
	}
}

// next moves a recurring task on, as of now: the runs take no time, and what was missed is folded into one.
func (t *modelTask) next(now time.Duration) {
	if late := now - t.due; t.sched.Kind() == schedule.KindEvery {
		t.due += late - late%t.period + t.period
	} else {
		t.due = now + t.period
	}
}

func (m *model) ended(t *modelTask, s State, err error) {
	t.state, t.err = s, err
	if m.tasks[t.name] == t {
		delete(m.tasks, t.name)
	}
}

// set gives a task a schedule as of now.
func (t *modelTask) set(s schedule.Schedule, now time.Duration, start time.Time) {
	t.sched, t.period, t.limit, t.starts, t.wall = s, s.Period(), s.Limit(), 0, false
	d, after := s.PlainAfter()
	at, instant := s.PlainAt()
	switch {
	case after && d == modelForever:
		t.due, t.at = modelForever, start.Add(now).Add(d)
	case after:
		t.due, t.at = now+d, start.Add(now+d)
	case instant:
		t.due, t.at, t.wall = at.Sub(start), at, true
	default:
		t.due = now + t.period
	}
}

// identical is contract A5.
func (t *modelTask) identical(n *modelTask) bool {
	if t.opts != n.opts || (t.period == 0) != (n.period == 0) {
		return false
	}
	if t.period == 0 {
		return t.wall == n.wall && t.at.Equal(n.at)
	}
	return t.sched.Equal(n.sched)
}

func (m *model) drawSchedule(t *rapid.T) schedule.Schedule {
	d := rapid.OneOf(
		rapid.SampledFrom([]time.Duration{0, 1, time.Millisecond, 65536, time.Second, 2 * time.Second}),
		rapid.Custom(func(t *rapid.T) time.Duration { return rapid.Custom(drawDelay).Draw(t, "delay") }),
	).Draw(t, "d")
	switch rapid.IntRange(0, 7).Draw(t, "schedule") {
	case 0:
		return schedule.After(modelForever)
	case 1, 2:
		return schedule.At(m.start.Add(m.now() + d))
	case 3:
		return schedule.At(m.start.Add(m.now() - d))
	case 4:
		s := rapid.SampledFrom([]schedule.Schedule{
			schedule.Every(time.Second), schedule.Every(7 * time.Second), schedule.Pace(3 * time.Second), schedule.PaceFromStart(5 * time.Second),
		}).Draw(t, "recurring")
		if n := rapid.IntRange(0, 4).Draw(t, "times"); n > 0 {
			s = s.Times(n)
		}
		return s
	default:
		return schedule.After(d)
	}
}

func drawDelay(t *rapid.T) time.Duration {
	return time.Duration(rapid.Int64Range(0, 1<<rapid.IntRange(10, 36).Draw(t, "bits")).Draw(t, "ns"))
}

var modelNames = rapid.SampledFrom([]string{"a0", "a1", "a2", "b0", "b1", "b2", "c"})

// put is Put with any conflict policy.
func (m *model) put(t *rapid.T) {
	now := m.now()
	name := modelNames.Draw(t, "name")
	s := m.drawSchedule(t)
	opts := rapid.IntRange(0, len(modelOptions)-1).Draw(t, "options")
	fn, f := m.newFn()
	n := &modelTask{name: name, fn: fn, opts: opts, first: now, state: StatePending}
	n.set(s, now, m.start)
	how := rapid.SampledFrom([]string{
		"", "Replace", "Keep", "Fail", "KeepTime", "EarliestDue", "Debounce", "IfAbsent", "IfPending", "IfGeneration",
	}).Draw(t, "conflict")
	all := slices.Clone(modelOptions[opts])
	wait := time.Duration(0)
	old := m.tasks[name]
	switch how {
	case "Replace":
		all = append(all, OnConflict(Replace))
	case "Keep":
		all = append(all, OnConflict(Keep))
	case "Fail":
		all = append(all, OnConflict(Fail))
	case "KeepTime":
		all = append(all, OnConflict(KeepTime))
	case "EarliestDue":
		all = append(all, OnConflict(EarliestDue))
	case "Debounce":
		if wait = 1 + drawDelay(t); n.period > 0 {
			t.Skip("a recurring task is not debounced")
		}
		all = append(all, OnConflict(Debounce(wait)))
		wait = (wait + 63) / 64 * 64 // as documented
	case "IfAbsent":
		all = append(all, IfAbsent())
	case "IfPending":
		all = append(all, IfPending())
	case "IfGeneration":
		gen := uint64(1)
		if old != nil && rapid.Bool().Draw(t, "the right one") {
			gen = old.gen
		}
		all = append(all, IfGeneration(gen))
		if old != nil && gen != old.gen {
			how = "IfWrong"
		}
	}
	if old != nil {
		n.paused = old.paused
	}
	task, err := m.e.Put(name, s, Plain(f), all...)
	want := error(nil)
	var of *modelTask
	switch {
	case old == nil && strings.HasPrefix(how, "If") && how != "IfAbsent", how == "IfWrong":
		want = ErrCondition
	case old != nil && (how == "IfAbsent" || how == "Fail"):
		want = ErrExists
	case old != nil && old.identical(n):
		old.fn, of = n.fn, old
	case old != nil && how == "Keep":
		of = old
	case old != nil && (how == "KeepTime" || how == "EarliestDue" && old.due <= n.due):
		old.fn, old.opts, of = n.fn, n.opts, old
		m.changed(old)
	default:
		of = m.replace(old, n, how == "Debounce", wait)
	}
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		t.Fatalf("Put %s %s %s: error is %v, want %v", name, s, how, err, want)
	}
	if of == n && task.rec == nil {
		n.first = -1 // a plain task's is not kept
	}
	if err == nil {
		m.handles = append(m.handles, modelHandle{task, of})
	}
}

// replace puts a task in the place of another, or of none.
func (m *model) replace(old, n *modelTask, debounced bool, wait time.Duration) *modelTask {
	if debounced {
		if old != nil && old.first >= 0 {
			n.first = old.first
		}
		if last := n.first + wait; n.due > last {
			n.due, n.at = last, m.start.Add(last)
		}
	}
	if old != nil {
		m.ended(old, StateCancelled, ErrReplaced)
	}
	m.tasks[n.name] = n
	return n
}

// changed expects another generation of the task.
func (m *model) changed(t *modelTask) { t.gen = 0 }

func (m *model) move(t *rapid.T) {
	s := m.drawSchedule(t)
	name := modelNames.Draw(t, "name")
	task, want := m.tasks[name], ErrUnknown
	do := func() error { return m.e.Move(name, s) }
	if len(m.handles) > 0 && rapid.Bool().Draw(t, "by handle") {
		h := rapid.SampledFrom(m.handles).Draw(t, "handle")
		task, want = h.of, ErrFinished
		if task.state != StatePending {
			task = nil
		}
		do = func() error { return h.t.Move(s) }
	}
	err := do()
	if task == nil {
		if !errors.Is(err, want) {
			t.Fatalf("Move: error is %v, want %v", err, want)
		}
		return
	}
	if err != nil {
		t.Fatalf("Move %s: %v", task.name, err)
	}
	task.set(s, m.now(), m.start)
	m.changed(task)
}

func (m *model) cancel(t *rapid.T) {
	name := modelNames.Draw(t, "name")
	task, want := m.tasks[name], Unknown
	do := func() CancelResult { return m.e.Cancel(name) }
	if len(m.handles) > 0 && rapid.Bool().Draw(t, "by handle") {
		h := rapid.SampledFrom(m.handles).Draw(t, "handle")
		task, want = h.of, Finished
		if task.state != StatePending {
			task = nil
		}
		do = h.t.Cancel
	}
	if task != nil {
		want = Cancelled
		m.ended(task, StateCancelled, ErrCancelled)
	}
	if got := do(); got != want {
		t.Fatalf("Cancel is %v, want %v", got, want)
	}
}

// selected draws a selector and returns whom it must select, ordered by name.
func (m *model) selected(t *rapid.T) (Selector, []*modelTask, error) {
	name := modelNames.Draw(t, "name")
	selectors := []Selector{Named(name), Named(name), Prefix("a"), Tagged("t"), Tagged("u"), {}}
	if m.release == nil { // these would select what runs
		selectors = append(selectors, Prefix(""), AllTasks())
	}
	s := rapid.SampledFrom(selectors).Draw(t, "selector")
	var all []*modelTask
	for _, task := range m.tasks {
		switch s {
		case Named(name):
			if task.name != name {
				continue
			}
		case Prefix("a"):
			if task.name[0] != 'a' {
				continue
			}
		case Tagged("t"):
			if task.opts != 3 {
				continue
			}
		case Tagged("u"), Selector{}:
			continue
		}
		all = append(all, task)
	}
	slices.SortFunc(all, func(a, b *modelTask) int { return cmp.Compare(a.name, b.name) })
	if s == Named(name) && len(all) == 0 {
		return s, nil, ErrUnknown
	}
	return s, all, nil
}

func (m *model) counted(t *rapid.T, what string, s Selector, n int, err error, want int, wantErr error) {
	if n != want || !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) {
		t.Fatalf("%s %v is %d, %v, want %d, %v", what, s, n, err, want, wantErr)
	}
}

func (m *model) pause(t *rapid.T) {
	s, all, wantErr := m.selected(t)
	n, err := m.e.Pause(s, "because")
	want := countIf(all, func(task *modelTask) bool { return !task.paused })
	for _, task := range all {
		task.paused = true
	}
	m.counted(t, "Pause", s, n, err, want, wantErr)
}

func (m *model) resume(t *rapid.T) {
	s, all, wantErr := m.selected(t)
	now := m.now()
	n, err := m.e.Resume(s)
	want := countIf(all, func(task *modelTask) bool { return task.paused })
	for _, task := range all {
		if task.paused && task.period > 0 && task.due <= now {
			task.next(now) // contract G5
		}
		task.paused = false
	}
	m.counted(t, "Resume", s, n, err, want, wantErr)
}

func (m *model) runNow(t *rapid.T) {
	s, all, wantErr := m.selected(t)
	now := m.now()
	if m.release != nil && slices.ContainsFunc(all, func(task *modelTask) bool { return task.paused || task.period > 0 }) {
		t.Skip("a forced start that waits is left to other tests")
	}
	n, err := m.e.RunNow(s, "because")
	for _, task := range all {
		if m.release == nil {
			m.started(task, now)
		} else if task.due > now {
			task.due, task.at = now, m.start.Add(now)
		}
	}
	m.counted(t, "RunNow", s, n, err, len(all), wantErr)
}

// block takes the only worker.
func (m *model) block(t *rapid.T) {
	if m.workers != 1 || m.release != nil {
		t.Skip("there are other workers, or none")
	}
	release := make(chan struct{})
	if _, err := m.e.Put("blocker", schedule.After(0), Plain(func() { <-release })); err != nil {
		t.Fatal(err)
	}
	m.release = release
	m.pass(m.now() + 1)
}

func (m *model) unblock(t *rapid.T) {
	if m.release == nil {
		t.Skip("nothing is blocked")
	}
	close(m.release)
	m.release = nil
}

func (m *model) afterFunc(t *rapid.T) {
	d := rapid.SampledFrom([]time.Duration{-1, 0, 1, 65536, time.Second, modelForever, drawDelay(t)}).Draw(t, "d")
	fn, f := m.newFn()
	mt := &modelTimer{fn: fn, pending: true}
	mt.due = time.Duration(satAdd(int64(m.now()), int64(max(d, 0))))
	mt.t = m.e.AfterFunc(d, f)
	m.timers = append(m.timers, mt)
}

func (m *model) drawTimer(t *rapid.T) *modelTimer {
	if len(m.timers) == 0 {
		t.Skip("there is no timer")
	}
	return m.timers[rapid.IntRange(0, len(m.timers)-1).Draw(t, "timer")]
}

func (m *model) stop(t *rapid.T) {
	mt := m.drawTimer(t)
	if got := mt.t.Stop(); got != mt.pending {
		t.Fatalf("Stop of %s is %v, want %v", mt.fn, got, mt.pending)
	}
	mt.pending = false
}

func (m *model) reset(t *rapid.T) {
	mt := m.drawTimer(t)
	d := drawDelay(t)
	if got := mt.t.Reset(d); got != mt.pending {
		t.Fatalf("Reset of %s is %v, want %v", mt.fn, got, mt.pending)
	}
	mt.pending, mt.due = true, m.now()+d
}

// check compares the engine with the model, after the present instant's work.
func (m *model) check(t *rapid.T) {
	m.pass(m.now() + 1)
	m.mu.Lock()
	got := m.got
	m.got = nil
	m.mu.Unlock()
	slices.Sort(got)
	slices.Sort(m.want)
	if !slices.Equal(got, m.want) {
		t.Fatalf("at %v: ran %v, want %v", m.now(), got, m.want)
	}
	m.want = nil
	m.checkTasks(t)
	m.checkHandles(t)
	next, pending := modelForever, len(m.tasks)
	for _, task := range m.tasks {
		if !task.paused && task.due > m.now() {
			next = min(next, task.due)
		}
	}
	for _, mt := range m.timers {
		if mt.pending {
			pending++
			next = min(next, mt.due)
		}
	}
	at, ok := m.e.NextDue()
	if ok != (next != modelForever) || ok && !at.Equal(m.start.Add(next)) {
		t.Fatalf("NextDue is %v after the start, %v, want %v", at.Sub(m.start), ok, next)
	}
	running, check := 0, checkQuiet
	if m.release != nil {
		running, check = 1, checkEngine
	}
	if s := m.e.Stats(); s.Pending != pending || s.Running != running || s.Early != 0 {
		t.Fatalf("%d are pending, %d running, %d were early, want %d, %d, 0", s.Pending, s.Running, s.Early, pending, running)
	}
	if err := check(m.e); err != nil {
		t.Fatal(err)
	}
}

func (m *model) checkTasks(t *rapid.T) {
	seen := map[string]bool{}
	for info := range m.e.Tasks(AllTasks()) {
		if info.Name == "blocker" && m.release != nil && info.State == StateRunning {
			continue
		}
		task := m.tasks[info.Name]
		if task == nil || seen[info.Name] {
			t.Fatalf("Tasks lists %q, %v; want it once if at all", info.Name, info.State)
		}
		seen[info.Name] = true
		due := m.start.Add(task.due)
		if task.due == modelForever {
			due = task.at
		}
		if info.State != StatePending || !info.Due.Equal(due) || info.Paused != task.paused {
			t.Fatalf("at %v %q is %+v, want it due at %v, paused: %v", m.now(), info.Name, info, task.due, task.paused)
		}
		switch last := m.lastGen[info.Name]; {
		case task.gen == 0 && info.Generation <= last:
			t.Fatalf("the generation of %q is %d, want it above %d", info.Name, info.Generation, last)
		case task.gen != 0 && info.Generation != task.gen:
			t.Fatalf("the generation of %q is %d, want %d, as nothing changed", info.Name, info.Generation, task.gen)
		}
		task.gen, m.lastGen[info.Name] = info.Generation, info.Generation
	}
	for name := range m.tasks {
		if _, found := m.e.Find(name); !found || !seen[name] {
			t.Fatalf("%q is missing: listed %v, found %v", name, seen[name], found)
		}
	}
	if _, found := m.e.Find("absent"); found {
		t.Fatal("a name that was never put is found")
	}
}

// checkHandles asks some of the handles what became of their tasks.
func (m *model) checkHandles(t *rapid.T) {
	for _, h := range m.handles[max(0, len(m.handles)-20):] {
		state, err := h.of.state, h.of.err
		if h.t.rec == nil && state != StatePending {
			state, err = StateFinished, nil
		}
		if got := h.t.State(); got != state {
			t.Fatalf("the handle of %s, of %s, says %v, want %v", h.of.fn, h.of.name, got, state)
		}
		if got := h.t.Err(); !errors.Is(got, err) || (got == nil) != (err == nil) {
			t.Fatalf("the handle of %s, of %s, says %v, want %v", h.of.fn, h.of.name, got, err)
		}
		select {
		case <-h.t.Done():
			if state == StatePending {
				t.Fatalf("the handle of %s, of %s, is done", h.of.fn, h.of.name)
			}
		default:
			if state != StatePending {
				t.Fatalf("the handle of %s, of %s, is not done", h.of.fn, h.of.name)
			}
		}
	}
}

// end closes the engine, which must give back what the model holds.
func (m *model) end(t *rapid.T) {
	if m.release != nil {
		m.unblock(t)
		m.check(t)
	}
	left, err := m.e.Close(context.Background())
	if err != nil {
		t.Fatalf("Close: %v", err)
	}
	n := 0
	for info := range left.NotRun() {
		if n++; m.tasks[info.Name] == nil {
			t.Fatalf("Close gives back %q, which was not there", info.Name)
		}
	}
	timers := countIf(m.timers, func(mt *modelTimer) bool { return mt.pending })
	if n != len(m.tasks) || left.Timers() != timers {
		t.Fatalf("Close gives back %d tasks and %d timers, want %d and %d", n, left.Timers(), len(m.tasks), timers)
	}
}

// modelSeed is every model's, so that a failure shrinks with its names in the same shards.
var modelSeed = maphash.MakeSeed()

func engineProperty(t *rapid.T) {
	opts := Options{Workers: rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "workers")}
	m := &model{e: New(opts), workers: opts.Workers, start: time.Now(), tasks: map[string]*modelTask{}, lastGen: map[string]uint64{}}
	m.e.seed = modelSeed
	ended := false
	t.Cleanup(func() {
		if !ended {
			if m.release != nil {
				close(m.release)
			}
			_, _ = m.e.Close(context.Background())
		}
	})
	t.Repeat(map[string]func(*rapid.T){
		"":          m.check,
		"put":       m.put,
		"put again": m.put,
		"move":      m.move,
		"cancel":    m.cancel,
		"pause":     m.pause,
		"resume":    m.resume,
		"run now":   m.runNow,
		"block":     m.block,
		"unblock":   m.unblock,
		"after":     m.afterFunc,
		"stop":      m.stop,
		"reset":     m.reset,
		"wait":      func(t *rapid.T) { m.pass(m.now() + drawDelay(t)) },
		"wait long": func(t *rapid.T) { m.pass(m.now() + drawDelay(t)) },
		"wait for the next": func(t *rapid.T) {
			if at, ok := m.e.NextDue(); ok {
				m.pass(max(m.now(), at.Sub(m.start)-time.Duration(rapid.IntRange(0, 2).Draw(t, "before"))))
			}
		},
	})
	m.end(t)
	ended = true
}

// Random operations on names and timers against a map: after each of them the names, their number, their due times and
// states, and the next deadline agree, and everything that ran did so at its due time to the nanosecond.
func TestModel_HeapAndNameTableAgree(t *testing.T) {
	checkRapid(t, modelCases, 500, func(t *rapid.T) { rapid.SyncTest(t, engineProperty) })
}
