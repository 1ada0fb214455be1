package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/signal"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/timer"
	"github.com/dulyhq/duly/wait"
)

const (
	// gathered is how long changes are gathered before they are looked at: what a thousand runs a second change is drawn a few times.
	gathered = 100 * time.Millisecond
	// fewNames is up to how many tasks that have changed are asked for one by one; of more the whole list is read again.
	fewNames = 64
	// lingers is how long a task that has ended stays in the picture.
	lingers = 5 * time.Second
	// boardMost is how many tasks can be watched.
	boardMost = 10_000
	// sweep is how often the list is read again: putting a task leaves no entry in the history, and is no event.
	sweep = 2 * time.Second
	// afterLoss is how long to wait before a daemon that is gone is asked again.
	afterLoss = time.Second
)

// A board is what `duly ls --watch` shows: the tasks selected, as they are. It asks for a task again when the stream of events names
// it, and when it comes due, which is no event. Those that are new are found by a sweep. Only the goroutine of run touches it.
type board struct {
	s      *session
	c      *client.Client
	q      client.Query
	f      *lsFlags
	p      *printer
	v      *glance
	rows   map[taskName]*boardRow
	dirty  map[taskName]bool // those to ask for
	all    bool              // the list is to be read again
	lost   atomic.Bool       // the stream of events is broken
	engine *timer.Engine
	soon   *bell // changes have been gathered
	due    *bell // a task comes due
	tick   *bell // the distances in the picture have become old
	new    *bell // time for a sweep
}

type boardRow struct {
	task api.Task
	gone time.Time // when it was found to have ended; zero: it has not
}

// watch is `duly ls --watch`.
func (s *session) watch(ctx context.Context, q client.Query, f *lsFlags) error {
	if f.output == "json" {
		return &usageError{what: "-o json beside --watch has no end", hint: "-o jsonl prints a line for each task that changes"}
	}
	ctx, stop := untilInterrupt(ctx)
	defer stop()
	ctx, unheard := signal.NotifyContext(ctx, syscall.SIGTERM) // which must not leave a terminal on the other screen
	defer unheard()
	b := &board{s: s, q: q, f: f, p: s.printer(), rows: map[taskName]*boardRow{}, dirty: map[taskName]bool{}, engine: timer.New()}
	b.soon, b.due, b.tick, b.new = newBell(b.engine), newBell(b.engine), newBell(b.engine), newBell(b.engine)
	defer func() { _, _ = b.engine.Close(context.WithoutCancel(ctx)) }() // its bells end at once
	s.lost = func(error) { b.lost.Store(true) }
	var err error
	if b.c, err = s.connect(); err != nil {
		return err
	}
	if f.output != "table" || s.getenv("TERM") == "dumb" {
		b.p.terminal = false
	}
	if b.v, err = newGlance(ctx, b.c, b.p, f.everywhere); err == nil {
		err = b.run(ctx)
	}
	if ctx.Err() != nil {
		return nil // that is how it is ended
	}
	return err
}

// run shows the board until ctx ends or something fails.
func (b *board) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	events, failed := b.follow(ctx)
	defer func() {
		stop()
		for range events { // until the stream has ended
		}
	}()
	if err := b.load(ctx); err != nil {
		return err
	}
	if b.p.terminal {
		if err := b.p.write(enterScreen); err != nil {
			return err
		}
		defer func() { _ = b.p.write(leaveScreen + b.picture(0)) }() // the last picture stays where the command was typed
	}
	b.tick.ring(0)
	for {
		var err error
		select {
		case e, ok := <-events:
			if !ok {
				return <-failed
			}
			b.tell(&e)
		case <-b.soon.c:
			err = b.refresh(ctx)
		case <-b.due.c:
			b.comeDue(b.s.Now())
		case <-b.tick.c:
			err = b.draw()
		case <-b.new.c:
			b.all = true
			b.soon.ringOnce(0)
		}
		if err != nil {
			return err
		}
	}
}

// follow returns the entries of the history from now on, and what has ended them once they are closed.
func (b *board) follow(ctx context.Context) (<-chan api.Event, <-chan error) {
	events, failed := make(chan api.Event, 256), make(chan error, 1)
	after := b.v.newest
	go func() {
		defer close(events)
		err := b.stream(ctx, after, events)
		// The daemon was there a moment ago: where it is gone before the stream has begun, it is as if it went later.
		for unreachable(err) && wait.Sleep(ctx, afterLoss) == nil {
			b.lost.Store(true)
			err = b.stream(ctx, after, events)
		}
		failed <- err
	}()
	return events, failed
}

func unreachable(err error) bool {
	_, ok := errors.AsType[*client.UnreachableError](err)
	return ok
}

// stream hands on what comes until that ends, and returns by what.
func (b *board) stream(ctx context.Context, after int64, events chan<- api.Event) error {
	for e, err := range b.c.Events(ctx, after, "") {
		if err != nil {
			return err
		}
		select {
		case events <- e:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return context.Cause(ctx)
}

// tell has the board know of an entry of the history.
func (b *board) tell(e *api.Event) {
	if b.lost.Swap(false) {
		b.all = true // what has left no entry meanwhile is not in the stream
	}
	if !b.f.everywhere && e.Namespace != b.s.or(b.s.namespace, "DULY_NAMESPACE") || !strings.HasPrefix(e.Name, b.q.Prefix) {
		return
	}
	b.v.tell(e)
	b.ask(taskName{e.Namespace, e.Name})
}

// ask has a task asked for soon.
func (b *board) ask(name taskName) {
	b.dirty[name] = true
	b.soon.ringOnce(gathered)
}

// comeDue asks for the tasks that have come due.
func (b *board) comeDue(now time.Time) {
	for name, r := range b.rows {
		if r.gone.IsZero() && !r.task.DueAt.IsZero() && !r.task.DueAt.After(now) {
			b.ask(name)
		}
	}
}

// load reads the list.
func (b *board) load(ctx context.Context) error {
	began := b.s.Now()
	seen := map[taskName]bool{}
	var tasks []api.Task
	for t, err := range b.c.List(ctx, b.q) {
		if err != nil {
			return err
		}
		name := taskName{t.Namespace, t.Name}
		if seen[name] {
			continue // another dead run of it
		}
		if seen[name] = true; len(seen) > boardMost {
			return &usageError{what: fmt.Sprintf("more than %d tasks can't be watched", boardMost), hint: "give a prefix, or --due-within D"}
		}
		tasks = append(tasks, t)
	}
	for i := range tasks {
		if err := b.set(taskName{tasks[i].Namespace, tasks[i].Name}, &tasks[i]); err != nil {
			return err
		}
	}
	for name := range b.rows {
		if !seen[name] {
			b.dirty[name] = true // it has ended, or is not selected any more
		}
	}
	b.all = false
	took := b.s.Now().Sub(began)
	b.soon.pause = max(gathered, 4*took) // a long list is read a fifth of the time at most
	b.new.ring(max(sweep, 20*took))
	b.nextDue()
	return nil
}

// refresh asks for what has changed, and shows it.
func (b *board) refresh(ctx context.Context) error {
	err := b.reread(ctx)
	_, wrong := errors.AsType[*usageError](err)
	if refused, ok := errors.AsType[*api.Error](err); ok && !errors.Is(refused, api.ErrUnavailable) {
		wrong = true
	}
	if err != nil && (ctx.Err() != nil || wrong) {
		return err
	}
	if err != nil { // the stream of events may not have noticed yet, or an answer that was under way has come after it had
		b.lost.Store(true)
		b.all = true
		b.soon.ring(afterLoss)
	}
	b.nextDue()
	return b.draw()
}

func (b *board) reread(ctx context.Context) error {
	dead := b.f.state == "dead"
	if b.all || dead || len(b.dirty) > fewNames {
		clear(b.dirty)
		if err := b.load(ctx); err != nil {
			return err
		}
		b.lost.Store(false)
	}
	for name := range b.dirty {
		err := b.reread1(ctx, name, dead)
		if err != nil {
			return err
		}
		delete(b.dirty, name)
	}
	return nil
}

func (b *board) reread1(ctx context.Context, name taskName, dead bool) error {
	if dead { // it is not among those any more
		delete(b.rows, name)
		return nil
	}
	t, err := b.c.In(name.namespace).Get(ctx, name.name)
	switch {
	case errors.Is(err, duly.ErrFinished), errors.Is(err, duly.ErrNotFound):
		return b.ended(name)
	case err != nil:
		return err
	case b.selects(&t):
		return b.set(name, &t)
	}
	delete(b.rows, name)
	return nil
}

// selects says whether a task is one that is asked for, but for its namespace and the beginning of its name.
func (b *board) selects(t *api.Task) bool {
	q := &b.q
	return (q.Kind == "" || t.Kind == q.Kind) && (q.Tag == "" || slices.Contains(t.Tags, q.Tag)) && (q.State == "" || t.State == q.State) &&
		(!q.Paused || !t.PausedAt.IsZero()) && (q.DueUntil.IsZero() || !dueOf(t).After(q.DueUntil))
}

// set has a task on the board as it is now. Where the board is no picture, a change is a line.
func (b *board) set(name taskName, t *api.Task) error {
	old := b.rows[name]
	if old != nil && reflect.DeepEqual(old.task, *t) {
		return nil
	}
	b.rows[name] = &boardRow{task: *t}
	return b.line(t)
}

// ended has a task on the board as one that has ended, for a while.
func (b *board) ended(name taskName) error {
	r := b.rows[name]
	if r == nil || !r.gone.IsZero() {
		return nil
	}
	r.gone = b.s.Now()
	r.task.DueAt = dueOf(&r.task)
	r.task.Ended, r.task.Runs, r.task.State = true, []api.Run{}, "ended"
	if e, ok := b.v.last[name]; ok {
		r.task.State = e.To
	}
	if !b.p.terminal {
		delete(b.rows, name)
	}
	return b.line(&r.task)
}

// nextDue sets the bell for the next task that comes due.
func (b *board) nextDue() {
	now := b.s.Now()
	var next time.Time
	for _, r := range b.rows {
		if due := r.task.DueAt; r.gone.IsZero() && due.After(now) && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	if !next.IsZero() {
		b.due.ring(next.Sub(now))
	}
}

// line prints a task that has changed, where the board is no picture.
func (b *board) line(t *api.Task) error {
	if b.p.terminal {
		return nil
	}
	if b.f.output == "jsonl" {
		return b.p.object("jsonl", t)
	}
	b.p.now = b.s.Now()
	return b.p.table(b.v.head(), [][]cell{b.v.row(t)})
}

const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // the other screen, without a cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	homeScreen  = "\x1b[H"
	restOfLine  = "\x1b[K"
	restOfAll   = "\x1b[J"
)

// draw shows the picture, and has it drawn again when its distances are old.
func (b *board) draw() error {
	if !b.p.terminal {
		return nil
	}
	b.tick.ring(time.Second)
	height := 0
	if fd, ok := terminal(b.s.Stdout); ok {
		if w, h, err := term.GetSize(fd); err == nil {
			b.p.width, height = w, h
		}
	}
	text := strings.TrimSuffix(b.picture(height), "\n")
	return b.p.write(homeScreen + strings.ReplaceAll(text, "\n", restOfLine+"\n") + restOfAll)
}

// picture is the board as lines, at most height of them; 0 is all.
func (b *board) picture(height int) string {
	b.p.now = b.s.Now()
	maps.DeleteFunc(b.rows, func(_ taskName, r *boardRow) bool { return !r.gone.IsZero() && b.p.now.Sub(r.gone) > lingers })
	list := slices.SortedFunc(maps.Values(b.rows), soonest)
	var text strings.Builder
	p := *b.p
	p.w = &text
	v := *b.v
	v.p = &p
	state := counted(int64(len(list)), "task", "tasks")
	if b.lost.Load() {
		state = p.paint(yellow, "the daemon does not answer; trying again")
	}
	_ = p.write(p.paint(dim, p.now.In(p.local).Format("15:04:05")) + "  " + state + "\n\n") // a string takes all
	shown := list
	if height > 0 && len(list) > height-4 {
		shown = list[:max(height-4, 0)]
	}
	rows := make([][]cell, len(shown))
	for i, r := range shown {
		rows[i] = v.row(&r.task)
	}
	_ = p.table(v.head(), rows) // a string takes all
	if n := len(list) - len(shown); n > 0 {
		_ = p.write(p.paint(dim, fmt.Sprintf("and %d more", n)) + "\n") // a string takes all
	}
	return text.String()
}

// soonest orders the board: what runs, then by when it is due, what will not run last.
func soonest(a, b *boardRow) int {
	rank := func(r *boardRow) int {
		switch {
		case !r.gone.IsZero(), r.task.State == "running": // what has ended stays where it ran
			return 0
		case dueOf(&r.task).IsZero():
			return 2
		}
		return 1
	}
	if d := rank(a) - rank(b); d != 0 {
		return d
	}
	if d := dueOf(&a.task).Compare(dueOf(&b.task)); d != 0 {
		return d
	}
	return strings.Compare(a.task.Namespace+"\x00"+a.task.Name, b.task.Namespace+"\x00"+b.task.Name)
}

// A bell rings after a time, at its channel.
type bell struct {
	c      chan struct{}
	engine *timer.Engine
	t      timer.Timer
	set    atomic.Bool
	pause  time.Duration // ringOnce waits as long at least
}

func newBell(e *timer.Engine) *bell { return &bell{c: make(chan struct{}, 1), engine: e} }

// ring has it ring after d, and not when it was to ring before.
func (b *bell) ring(d time.Duration) {
	b.t.Stop()
	b.set.Store(true)
	b.t = b.engine.AfterFunc(d, func() {
		b.set.Store(false)
		b.now()
	})
}

// now has it ring at once, beside when it is to ring. It may be called by any goroutine.
func (b *bell) now() {
	select {
	case b.c <- struct{}{}:
	default: // it has rung, and nobody has heard it yet
	}
}

// ringOnce has it ring after d, unless it is to ring already.
func (b *bell) ringOnce(d time.Duration) {
	if !b.set.Load() {
		b.ring(max(d, b.pause))
	}
}
