package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
)

// The endurance run, from outside its processes.

// restart is what is not counted as lateness in the table: tasks due from so long before the kill until so long after it.
var restart = struct{ before, after time.Duration }{time.Second, 10 * time.Second}

const (
	pendingTasks  = 10_000_000
	quickPending  = 20_000
	enduranceGoal = 20 * time.Millisecond // of the 99.9th percentile
	fillLeast     = 50_000                // tasks a second, for which time is left
)

// An hour is what an endurance run gave.
type hour struct {
	n, rate       int
	filled        time.Duration
	from, until   time.Time // of the instants that are looked at
	killed        time.Time
	opened        time.Time // when the store was open again
	put           int64
	left          int
	spans         []span
	total         delays
	again         delays    // those due around the restart
	first         time.Time // that began after the kill
	caught        time.Time // when the last one that is later than the goal began around the restart
	twice, astray int       // that began more than once, around the restart and elsewhere
	lost, early   int
	done          int64 // tasks that began
}

// A span is a minute of it.
type span struct {
	from           time.Duration
	late           delays
	resident, disk int64 // at its end
}

// delays are how late the tasks of a set began.
type delays struct {
	n                   int
	p50, p99, p999, max time.Duration
}

func delaysOf(late []time.Duration) delays {
	slices.Sort(late)
	return delays{
		n: len(late), p50: figures.Quantile(late, 0.5), p99: figures.Quantile(late, 0.99), p999: figures.Quantile(late, 0.999),
		max: figures.Quantile(late, 1),
	}
}

// endureAll fills a directory, runs it under load, kills the process in the middle, and looks at what the journal says.
func (b *bench) endureAll(ctx context.Context, out runs.Progress) (*hour, error) {
	h := &hour{n: pendingTasks, rate: b.o.rate}
	switch {
	case b.o.quick:
		h.n = quickPending
	case b.o.n > 0:
		h.n = b.o.n
	}
	dir := filepath.Join(b.root, "endurance")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	const margin = 5 * time.Second
	began := time.Now()
	base := began.Add(time.Duration(h.n)*time.Second/fillLeast + margin)
	spec := endureSpec{N: h.n, Rate: h.rate, Base: base.UnixNano(), Journal: filepath.Join(b.root, "journal"), Fill: true}
	out.Printf("endurance: fill %s", figures.Size(h.n))
	if _, err := b.part(ctx, dir, spec, nil); err != nil {
		return nil, err
	}
	h.filled = time.Since(began)
	out.Printf(" in %.0f s", h.filled.Seconds())
	if h.from = base; time.Now().Add(margin).After(base) { // what is overdue by now is not looked at
		h.from = time.Now().Add(margin * 2)
	}
	pause(ctx, time.Until(base.Add(-margin)))
	h.until = h.from.Add(b.o.endure)
	spec.Fill, spec.Until = false, h.until.UnixNano()
	out.Printf(", run %v\n", b.o.endure)
	if err := b.twoParts(ctx, dir, spec, h, out); err != nil {
		return nil, err
	}
	return h, h.look(spec.Journal, &spec)
}

// pause waits, or until the context ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// twoParts runs a process until the middle, kills it, and has another go on to the end.
func (b *bench) twoParts(ctx context.Context, dir string, spec endureSpec, h *hour, out runs.Progress) error {
	watched, stop := context.WithCancel(ctx)
	pids := make(chan int, 2)
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		h.watch(watched, b.o.endure, dir, pids, out)
	}()
	defer func() {
		stop()
		<-seen
	}()
	middle := h.from.Add(b.o.endure/2 + minute(b.o.endure)/2)
	killed := make(chan time.Time, 1)
	_, err := b.part(ctx, dir, spec, func(cmd *exec.Cmd, _ endureReply) {
		pids <- cmd.Process.Pid
		go func() {
			pause(ctx, time.Until(middle))
			killed <- time.Now()
			_ = cmd.Process.Kill() // SIGKILL; that it ended so is checked below
		}()
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case h.killed = <-killed:
	default:
		return fmt.Errorf("the first part ended before it was killed: %w", err)
	}
	if errors.Is(err, errEnded) || err == nil {
		return fmt.Errorf("the first part ended by itself: %w", err)
	}
	last, err := b.part(ctx, dir, spec, func(cmd *exec.Cmd, r endureReply) {
		h.opened = r.Open
		pids <- cmd.Process.Pid
	})
	h.put, h.left = last.Put, last.Left
	return err
}

// errEnded says that a process ended by itself.
var errEnded = errors.New("ended")

// part runs one process to its end. started is called when it is at work.
func (b *bench) part(ctx context.Context, dir string, spec endureSpec, started func(*exec.Cmd, endureReply)) (last endureReply, err error) {
	cmd, err := runs.Command(ctx, childVariable, childSpec{Where: dir, Endure: &spec})
	if err != nil {
		return last, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return last, fmt.Errorf("start child: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return last, fmt.Errorf("start child: %w", err)
	}
	for replies := json.NewDecoder(out); ; {
		var r endureReply
		if err = replies.Decode(&r); err != nil {
			break
		}
		if last = r; started != nil {
			started(cmd, r)
			started = nil
		}
	}
	waited := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case errors.As(waited, &exit) && exit.Exited():
		return last, fmt.Errorf("child: %w: %w", errEnded, waited)
	case waited != nil:
		return last, fmt.Errorf("child: %w", waited)
	case !errors.Is(err, io.EOF):
		return last, fmt.Errorf("read reply: %w", err)
	}
	return last, nil
}

// minute is a minute of an hour, and of a shorter run as many parts as there can be.
func minute(length time.Duration) time.Duration {
	const parts, least = 60, 5 * time.Second
	return max(length/parts, least)
}

// watch notes at the end of each minute, of an hour, what the process weighs.
func (h *hour) watch(ctx context.Context, length time.Duration, dir string, pids <-chan int, out runs.Progress) {
	every, pid := minute(length), 0
	for at := every; at <= length; at += every {
		for wait := true; wait; {
			select {
			case pid = <-pids:
			case <-time.After(time.Until(h.from.Add(at))):
				wait = false
			case <-ctx.Done():
				return
			}
		}
		s := span{from: at - every}
		s.resident, _, _ = figures.Resident(pid)
		s.disk, _ = figures.TreeBytes(os.DirFS(dir)) // files that go meanwhile are not counted
		h.spans = append(h.spans, s)
		out.Printf("endurance: %v, resident %.0f MiB, disk %.0f MiB\n", at, mib(s.resident), mib(s.disk))
	}
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// look reads the journal.
func (h *hour) look(path string, spec *endureSpec) error {
	j, err := openJournal(path)
	if err != nil {
		return fmt.Errorf("open the journal: %w", err)
	}
	defer func() { err = errors.Join(err, j.close()) }()
	var all, again []time.Duration
	spans := make([][]time.Duration, len(h.spans))
	end := spec.count(h.until)
	err = j.all(h.put, func(i int64, b began, ok bool) {
		if ok {
			h.done++
		}
		due := spec.due(i)
		if !ok && i < end {
			h.lost++
		}
		if !ok || due.Before(h.from) || i >= end {
			return
		}
		near := due.After(h.killed.Add(-restart.before)) && due.Before(h.killed.Add(restart.after))
		h.count(due, b, near)
		if near {
			again = append(again, b.late)
			return
		}
		all = append(all, b.late)
		if at := h.spanOf(due); at >= 0 {
			spans[at] = append(spans[at], b.late)
		}
	})
	h.total, h.again = delaysOf(all), delaysOf(again)
	for i := range spans {
		h.spans[i].late = delaysOf(spans[i])
	}
	return err
}

// count notes what must not be, and what the restart did.
func (h *hour) count(due time.Time, b began, near bool) {
	at := due.Add(b.late)
	switch {
	case b.late < 0:
		h.early++
	case b.times > 1 && near:
		h.twice++
	case b.times > 1:
		h.astray++
	}
	if at.After(h.killed) && (h.first.IsZero() || at.Before(h.first)) {
		h.first = at
	}
	if near && b.late > enduranceGoal && at.After(h.caught) {
		h.caught = at
	}
}

// spanOf gives the place of the span that an instant is in, -1 if there is none.
func (h *hour) spanOf(due time.Time) int {
	d := due.Sub(h.from)
	for i, s := range slices.Backward(h.spans) {
		if d >= s.from {
			return i
		}
	}
	return -1
}

// problems lists what must not happen.
func (h *hour) problems() (out []string) {
	for _, x := range []struct {
		n    int
		what string
	}{
		{h.lost, "tasks were due and never began"},
		{h.early, "tasks began early"},
		{h.astray, "tasks began more than once, and not around the restart"},
	} {
		if x.n > 0 {
			out = append(out, fmt.Sprintf("endurance: %d %s", x.n, x.what))
		}
	}
	if want := h.put - h.done; int64(h.left) != want {
		out = append(out, fmt.Sprintf("endurance: %d tasks are left in the store, want %d", h.left, want))
	}
	return out
}
