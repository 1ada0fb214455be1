package sim_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

func (w *world) wishBy(payload string) *wish {
	id, _, _ := strings.Cut(payload, " ")
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.wishes[id]; x != nil {
		return x
	}
	return &wish{}
}

func (w *world) wishOf(t *store.Task) *wish { return w.wishBy(string(t.Payload)) }

// held says whether a task may have to wait for others.
func (w *world) held(t *store.Task) bool {
	return t.LimitKey != "" || t.Kind != "plain" || w.workers > 0
}

func (d dice) name(w *world) string { return fmt.Sprintf("n%d", d.IntN(w.names)) }

// alive returns a process that works, or nil.
func (w *world) alive(d dice) *process { return w.some(d, false) }

// some returns a process that is not gone, or nil; idle may be one that only puts.
func (w *world) some(d dice, idle bool) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	var some []*process
	for _, p := range w.procs {
		if !p.gone() && (idle || !p.idle) {
			some = append(some, p)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return pick(d, some...)
}

// producers plans what they do.
func (w *world) producers() {
	for i := range w.ops {
		d := newDice(w.seed, "op", int64(i))
		w.awake(d.upTo(w.busy), func() { w.produce(d, w.op) })
	}
}

// produce has something done by somebody.
func (w *world) produce(d dice, do func(context.Context, dice, *process)) {
	p := w.some(d, true)
	if p == nil {
		return
	}
	ctx, cancel := context.WithCancel(w.ctx)
	if d.one(10) && !w.healthy() {
		w.in(d.span(0, 2*time.Second), cancel)
	}
	w.mu.Lock()
	w.busyOps++
	w.mu.Unlock()
	go func() {
		do(ctx, d, p)
		cancel()
		w.mu.Lock()
		w.busyOps--
		w.mu.Unlock()
	}()
}

// putAs puts a task that is drawn.
func (w *world) putAs(p *process, d dice, name string) { w.put(w.ctx, p, d, name) }

func (w *world) put(ctx context.Context, p *process, d dice, name string) {
	x := d.wish(w.wall())
	id := fmt.Sprintf("%s-%x", name, d.Uint32())
	payload := id + " " + strings.Repeat("x", pick(d, 0, 0, 0, 2000))
	w.mu.Lock()
	w.wishes[id] = x
	w.mu.Unlock()
	w.log("%s puts %s as %s, kind %s: %v, %s", p.owner, name, id, x.kind, x.s, x.text)
	e, err := p.kinds[x.kind].Put(ctx, name, []byte(payload), x.s, x.opts...)
	w.log("%s: put of %s is answered %v, generation %d, %v", p.owner, id, e.Outcome, e.Generation, err)
	if err != nil {
		w.expected("put", err)
		return
	}
	w.rec.mu.Lock()
	defer w.rec.mu.Unlock()
	if got := w.rec.puts[e.Generation]; (e.Outcome == duly.Created || e.Outcome == duly.Replaced) && got != id {
		w.bad("put of %s is acknowledged with generation %d, which is of %q", id, e.Generation, got)
	}
}

// expected holds an error to those that a producer may see.
func (w *world) expected(op string, err error) {
	for _, x := range []error{
		store.ErrExists, store.ErrKindMismatch, store.ErrCondition, store.ErrNotFound, store.ErrRunning, store.ErrFinished,
		store.ErrUnknown, store.ErrBroken, store.ErrClosed, duly.ErrClosed, context.Canceled,
	} {
		if errors.Is(err, x) {
			return
		}
	}
	w.bad("%s: %v", op, err)
}

// op does one thing that producers do.
func (w *world) op(ctx context.Context, d dice, p *process) {
	name := d.name(w)
	q := pick(d, duly.Query{Names: []string{name}}, duly.Query{Names: []string{name}}, duly.Query{Tag: "t"}, duly.Query{Prefix: "n1"})
	var what string
	var answer any
	var err error
	switch x := d.IntN(100); {
	case x < 45:
		w.put(ctx, p, d, name)
		return
	case x < 54:
		what = "cancel"
		answer, err = w.cancel(ctx, name, p.s.Cancel)
	case x < 58:
		what = "cancel running"
		answer, err = w.cancel(ctx, name, p.s.CancelRunning)
	case x < 66:
		what = "move"
		to := schedule.After(d.span(0, time.Minute))
		if d.one(2) {
			to = schedule.At(w.wall().Add(d.span(0, time.Minute) - 10*time.Second))
		}
		answer, err = p.s.Move(ctx, name, to)
	case x < 72:
		what = "pause"
		answer, err = p.s.Pause(ctx, q, "as drawn")
	case x < 80:
		what = "resume"
		answer, err = p.s.Resume(ctx, q)
	case x < 86:
		what = "run now"
		err = p.s.RunNow(ctx, name)
	case x < 90:
		what = "redrive"
		answer, err = p.s.Redrive(ctx, pick(d, q, duly.Query{}))
	case x < 92:
		what = "backfill"
		answer, err = p.s.Backfill(ctx, name, w.wall().Add(-20*time.Second), w.wall())
		if errors.Is(err, duly.ErrInvalid) {
			err = nil
		}
	case x < 94:
		what = "await"
		c, cancel := context.WithCancel(ctx)
		w.in(10*time.Second, cancel)
		err = p.s.Await(c, name)
	case x < 97:
		what = "why not"
		var why duly.Why
		why, err = p.s.WhyNot(ctx, name)
		answer = why.Text
	default:
		what = "look around"
		err = w.look(ctx, p, name)
	}
	w.log("%s: %s %s: %v %v", p.owner, what, name, answer, err)
	if err != nil {
		w.expected(what, err)
	}
}

// cancel cancels, and compares the answer with what took place.
func (w *world) cancel(ctx context.Context, name string, do func(context.Context, string) (duly.Outcome, error)) (duly.Outcome, error) {
	told := duly.Outcome(255)
	got, err := do(context.WithValue(ctx, toldKey{}, &told), name)
	w.rec.mu.Lock()
	defer w.rec.mu.Unlock()
	if err == nil && got != told {
		w.bad("cancel of %s is answered %v, and it was %v", name, got, told)
	}
	return got, err
}

// look reads what can be read.
func (w *world) look(ctx context.Context, p *process, name string) error {
	n := 0
	for _, err := range p.s.Simulate(ctx, w.wall(), w.wall().Add(time.Minute)) {
		if err != nil {
			return err
		}
		if n++; n > 1000 {
			break
		}
	}
	for _, err := range p.s.List(ctx, duly.Query{}) {
		if err != nil {
			return err
		}
	}
	if _, err := p.s.History(ctx, duly.HistoryQuery{Name: name}); err != nil {
		return err
	}
	if _, err := p.s.Stats(ctx); err != nil {
		return err
	}
	_, err := p.s.Get(ctx, name)
	return err
}
