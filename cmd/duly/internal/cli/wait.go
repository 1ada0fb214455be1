package cli

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/target"
	"github.com/dulyhq/duly/wait"
)

// A waiting is the wait of --wait: it passes on what a task prints while it runs, says how late it began and how it ended, and gives its
// status. What of a recurring task runs first is waited for.
type waiting struct {
	s     *session
	c     *client.Client
	name  string
	fence int64 // of the newest attempt that was shown, or that was there before
	blind bool  // the daemon keeps no output
	cut   bool  // not all of an output was shown, because the connection broke
	// ended returns the entry of the history with which the task has ended.
	ended func(context.Context) (api.Event, error)
}

// before remembers which attempts of the name are none of what is going to run.
func (w *waiting) before(ctx context.Context) {
	if w.name == "" {
		return
	}
	if attempts, err := w.c.Attempts(ctx, w.name, 1); err == nil && len(attempts) > 0 {
		w.fence = attempts[0].Fence
	}
	if task, err := w.c.Get(ctx, w.name); err == nil {
		for _, r := range task.Runs {
			w.fence = max(w.fence, r.Fence)
		}
	}
}

// awaitPut waits for the end of what was put.
func (w *waiting) awaitPut(ctx context.Context, entry *api.Entry) error {
	w.name = entry.Name
	if entry.Outcome == "already_ran" {
		return w.s.stderr().linef("%s has run already", w.name)
	}
	w.ended = func(ctx context.Context) (api.Event, error) { return w.c.Await(ctx, w.name, entry.Generation) }
	return w.await(ctx, entry.DueAt)
}

// awaitRun runs a task now and waits for the end of that run, which is the first of an attempt that was not there before: no answer tells
// of which generation it is.
func (w *waiting) awaitRun(ctx context.Context) error {
	w.before(ctx)
	old := w.fence
	newest, err := w.c.History(ctx, client.HistoryQuery{Newest: true, Limit: 1})
	if err != nil {
		return err
	}
	after := int64(0)
	if len(newest) > 0 {
		after = newest[0].Seq
	}
	if err := w.c.RunNow(ctx, w.name); err != nil {
		return err
	}
	w.ended = func(ctx context.Context) (api.Event, error) {
		for e, err := range w.c.Events(ctx, after, w.name) {
			gone := e.Verb == "cancel" && e.To == "cancelled"
			if err != nil || gone || e.Fence > old && e.To != "pending" && e.To != "running" {
				return e, err
			}
		}
		return api.Event{}, duly.ErrClosed
	}
	return w.await(ctx, time.Time{})
}

// await waits until what is due has ended.
func (w *waiting) await(ctx context.Context, due time.Time) error {
	ctx, stop := untilInterrupt(ctx)
	defer stop()
	note := w.s.stderr()
	if note.terminal && due.Sub(note.now) > time.Second {
		if err := note.linef("%s runs %s, at %s; Ctrl-C only ends the wait", w.name, note.distance(due), note.instant(due)); err != nil {
			return err
		}
	}
	event, err := w.end(ctx, due)
	if ctx.Err() != nil {
		return &failure{exitInterrupted, w.name + " goes on without being waited for", "to cancel it: " + w.s.again("cancel", w.name)}
	}
	if err != nil {
		return err
	}
	return w.conclude(ctx, &event)
}

// end returns the entry of the history with which the task has ended, and shows meanwhile what it prints.
func (w *waiting) end(ctx context.Context, due time.Time) (event api.Event, err error) {
	shown, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		event, err = w.endedAtLast(ctx)
	}()
	if until := due.Sub(w.s.Now()); until > 0 {
		_ = wait.Sleep(shown, until) // ends early if the task does
	}
	printed := w.show(ctx, shown)
	<-done
	if err == nil {
		err = printed
	}
	if err == nil {
		err = w.attempts(ctx)
	}
	return event, err
}

// endedAtLast is ended, also where the daemon is started anew just when it is asked: it was there when the task was put.
func (w *waiting) endedAtLast(ctx context.Context) (api.Event, error) {
	for {
		event, err := w.ended(ctx)
		if _, gone := errors.AsType[*client.UnreachableError](err); !gone && !errors.Is(err, api.ErrUnavailable) {
			return event, err
		}
		if w.s.lost != nil {
			w.s.lost(err)
		}
		if werr := wait.Sleep(ctx, lookLast); werr != nil {
			return event, err
		}
	}
}

// tellLoss has it said once, if the daemon is gone while something is waited for.
func (s *session) tellLoss() {
	var once sync.Once
	s.lost = func(error) {
		once.Do(func() {
			_ = s.stderr().linef("the daemon does not answer now; the wait goes on") // the wait matters more
		})
	}
}

// How often it is looked whether an attempt has begun: that it has is not in the history before it has ended.
const (
	lookFirst = 20 * time.Millisecond
	lookLast  = time.Second
)

// show passes on what attempts print, as they do, until waits ends.
func (w *waiting) show(ctx, waits context.Context) error {
	for pause := lookFirst; ; pause = min(2*pause, lookLast) {
		fence := w.fence
		if err := w.attempts(ctx); err != nil || w.blind {
			return err
		}
		if w.fence != fence {
			pause = lookFirst
		}
		if wait.Sleep(waits, pause) != nil {
			return nil //nolint:nilerr // the task has ended, or whoever waits has
		}
	}
}

// attempts passes on what those attempts print that were not shown yet, the oldest first, each until it has ended. The error is that of
// writing it.
func (w *waiting) attempts(ctx context.Context) error {
	if w.blind {
		return nil
	}
	list, err := w.c.Attempts(ctx, w.name, 10)
	if err != nil {
		w.blind = errors.Is(err, api.ErrNoOutput)
		return nil // whoever waits for the end notices it too, if it lasts
	}
	for i := len(list) - 1; i >= 0; i-- {
		a := &list[i]
		if a.Fence <= w.fence {
			continue
		}
		w.fence = a.Fence
		for chunk, err := range w.c.Output(ctx, w.name, a.RunID, a.Attempt, true) {
			if err != nil {
				w.cut = true
				break
			}
			if err := w.s.pass(&chunk); err != nil {
				return err
			}
		}
	}
	return nil
}

// pass passes on what an attempt has printed.
func (s *session) pass(c *api.Chunk) error {
	b := c.Base64
	if b == nil {
		b = []byte(c.Text)
	}
	return s.write(c.Stream, b)
}

// write passes on what an attempt has printed to which of the two streams: what a command has as it is, with whatever a terminal obeys. What
// a receiver has answered comes from another machine, and no terminal obeys that.
func (s *session) write(stream string, b []byte) error {
	to := s.Stdout
	if stream == target.Stderr {
		to = s.Stderr
	}
	if _, yes := terminal(to); yes && stream == target.Body {
		b = []byte(cleanLines(string(b)))
	}
	_, err := to.Write(b)
	return err
}

// conclude says how it ended, and returns that as a status.
func (w *waiting) conclude(ctx context.Context, e *api.Event) error {
	status, how := exitFailed, e.To
	if e.To == "done" {
		status = exitOK
	}
	if e.Reason != "" && e.Reason != e.To {
		how += " (" + e.Reason + ")"
	}
	if e.Lateness != nil {
		how += ", " + lateness(time.Duration(*e.Lateness)) + " late"
	}
	attempts, err := w.c.Attempts(ctx, w.name, 1)
	if err == nil && len(attempts) > 0 && attempts[0].Fence == e.Fence {
		a := &attempts[0]
		if !a.EndedAt.IsZero() {
			how += ", took " + lateness(a.EndedAt.Sub(a.StartedAt))
		}
		if status != exitOK {
			status = statusOf(a)
		}
	}
	if w.cut {
		how += "; not all of what it printed was seen here: " + w.s.again("logs", w.name)
	}
	if err := w.s.stderr().linef("%s: %s", w.name, how); err != nil {
		return err
	}
	if status == exitOK {
		return nil
	}
	return &failure{status: status}
}

// statusOf is the status of an attempt that has failed, as a shell has it: its own, or that of the signal that has ended it.
func statusOf(a *api.Attempt) int {
	if a.ExitCode != nil && *a.ExitCode > 0 {
		return *a.ExitCode
	}
	const ofSignal, most = 128, 64
	for n := syscall.Signal(1); n < most && a.Signal != ""; n++ {
		if n.String() == a.Signal {
			return ofSignal + int(n)
		}
	}
	return exitFailed
}
