package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/wording"
	"github.com/dulyhq/duly/timer"
)

const logsLong = `Print what a task has printed when it last ran: its standard output on standard output, its standard error on standard error, as it is.
Of what a callback was answered a terminal is shown what it would obey, as \x1b: it comes from another machine.
--list lists the attempts of which something is kept; --run and --attempt choose one.

--follow goes on until that attempt has ended, and then with the next one, for as long as the task is to run again, or until
Ctrl-C. Of a task that has not run yet it waits for the first.`

const logsExample = `  duly logs backup
  duly logs -f backup
  duly logs --list backup`

type logsFlags struct {
	follow, list bool
	run          string
	attempt      int
	n            int
	output       string
}

func newLogs(s *session) *cobra.Command {
	f := logsFlags{n: 20}
	cmd := &cobra.Command{
		Use:                   "logs [flags] NAME",
		Short:                 "Print what a task has printed",
		Long:                  logsLong,
		Example:               logsExample,
		DisableFlagsInUseLine: true,
		Args:                  oneName,
		ValidArgsFunction:     s.completeNames(client.Query{}, 1),
		RunE:                  func(cmd *cobra.Command, args []string) error { return s.logs(cmd.Context(), args[0], &f) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on until it has ended, and with what comes next")
	flags.BoolVarP(&f.list, "list", "l", false, "list the attempts of which something is kept, the newest first")
	flags.VarP((*thousand)(&f.n), "number", "n", "list `N` attempts, 1 to 1000")
	flags.StringVar(&f.run, "run", "", "what the run with the identifier `ID` has printed, which --list shows")
	flags.Var((*ordinal)(&f.attempt), "attempt", "what the attempt `N` of the run has printed")
	outputFlag(cmd, &f.output)
	return cmd
}

func (s *session) logs(ctx context.Context, name string, f *logsFlags) error {
	if f.list && f.follow {
		return &usageError{what: "--list beside --follow", hint: "leave one of them out"}
	}
	ctx, stop := untilInterrupt(ctx)
	defer stop()
	c, err := s.connect()
	if err != nil {
		return err
	}
	l := &follower{s: s, c: c, p: s.printer(), name: name, f: f}
	switch {
	case f.list:
		return l.list(ctx)
	case f.follow && f.run == "" && f.attempt == 0:
		err = l.follow(ctx)
	default:
		err = l.one(ctx)
	}
	if f.follow && ctx.Err() != nil {
		return nil // that is how it is ended
	}
	return err
}

// A follower prints what the attempts of a task print.
type follower struct {
	s    *session
	c    *client.Client
	p    *printer
	name string
	f    *logsFlags

	looked  bool        // the attempts were looked at before
	last    api.Attempt // the newest of which something was printed
	whole   bool        // all of it was
	printed int64       // how many bytes were, so that it can be gone on with
}

func (l *follower) list(ctx context.Context) error {
	attempts, err := l.c.Attempts(ctx, l.name, l.f.n)
	if err != nil || len(attempts) == 0 {
		return l.nothing(ctx, err)
	}
	if l.f.output != "table" {
		for _, a := range attempts {
			if err := l.p.object(l.f.output, a); err != nil {
				return err
			}
		}
		return nil
	}
	rows := make([][]cell, len(attempts))
	for i := range attempts {
		rows[i] = append(attemptRow(l.p, &attempts[i]), cell{attempts[i].RunID, dim})
	}
	return l.p.table(append(slices.Clone(attemptHead), "RUN"), rows)
}

// one prints the attempt that is asked for: of the newest run, and its newest, unless it is said which.
func (l *follower) one(ctx context.Context) error {
	want := api.Attempt{RunID: l.f.run, Attempt: l.f.attempt}
	if want.RunID == "" {
		kept, err := l.c.Attempts(ctx, l.name, 1)
		if err != nil || len(kept) == 0 {
			return l.nothing(ctx, err)
		}
		want.RunID = kept[0].RunID
	}
	err := l.print(ctx, want)
	if errors.Is(err, duly.ErrNotFound) {
		return &failure{exitNotFound, err.Error(), "what is kept: duly logs --list " + wording.Quote(l.name)}
	}
	return err
}

// nothing says why nothing can be printed.
func (l *follower) nothing(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	t, err := l.c.Get(ctx, l.name)
	switch {
	case errors.Is(err, duly.ErrFinished):
		return &failure{exitNotFound, "nothing is kept of what " + l.name + " has printed", "what became of it: duly history " + wording.Quote(l.name)}
	case err != nil:
		return err
	case t.Command == nil && t.HTTP == nil:
		return &failure{exitNotFound, "what tasks of the kind " + t.Kind + " print is not kept here", ""}
	}
	what := l.name + " has not run yet"
	if !t.DueAt.IsZero() {
		what += "; it is due " + l.p.distance(t.DueAt)
	}
	return &failure{exitNotFound, what, "to wait for it: duly logs -f " + wording.Quote(l.name)}
}

// print prints what an attempt has printed, as far as that was not done before. With --follow it goes on until the attempt has ended.
func (l *follower) print(ctx context.Context, a api.Attempt) error {
	skip := l.printed
	for chunk, err := range l.c.Output(ctx, l.name, a.RunID, a.Attempt, l.f.follow) {
		if err != nil {
			return err
		}
		b := chunk.Base64
		if len(b) == 0 {
			b = []byte(chunk.Text)
		}
		if done := min(skip, int64(len(b))); done > 0 {
			skip -= done
			if b = b[done:]; len(b) == 0 {
				continue
			}
		}
		l.printed += int64(len(b))
		if err := l.gap(chunk.Omitted); err != nil {
			return err
		}
		if l.f.output != "table" {
			err = l.p.object(l.f.output, chunk)
		} else {
			err = l.s.write(chunk.Stream, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// gap says where something is missing.
func (l *follower) gap(omitted int64) error {
	if omitted == 0 || l.f.output != "table" {
		return nil
	}
	_, err := fmt.Fprintf(l.s.Stderr, "duly: %s not kept\n", counted(omitted, "byte is", "bytes are"))
	return err
}

// soonAgain is how long to wait where nothing tells when to look: for an attempt that was claimed and does not print yet, for a task
// that is late, for a daemon that is gone.
const soonAgain = 200 * time.Millisecond

// follow prints the newest attempt, and what comes after it.
func (l *follower) follow(ctx context.Context) error {
	if _, err := l.c.Get(ctx, l.name); err != nil && !errors.Is(err, duly.ErrFinished) {
		return err
	}
	engine := timer.New()
	defer func() { _, _ = engine.Close(context.WithoutCancel(ctx)) }() // its bell ends at once
	wake := newBell(engine)
	ctx, stop := context.WithCancel(ctx)
	ended := l.heed(ctx, wake)
	defer func() {
		stop()
		<-ended
	}()
	for {
		over, err := l.catchUp(ctx, wake)
		gone := (*client.UnreachableError)(nil)
		if errors.As(err, &gone) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil
			wake.ring(soonAgain)
		}
		if err != nil || over {
			return err
		}
		select {
		case <-wake.c:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// heed rings when the history tells something of the task.
func (l *follower) heed(ctx context.Context, wake *bell) (ended <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, err := range l.c.Events(ctx, client.FromNow, l.name) {
			if err != nil {
				return // follow asks the daemon itself, and hears why
			}
			wake.now()
		}
	}()
	return done
}

// catchUp prints what was not printed, and says whether nothing will come any more. Otherwise it has the bell ring when something is due.
func (l *follower) catchUp(ctx context.Context, wake *bell) (over bool, err error) {
	t, err := l.c.Get(ctx, l.name)
	ended := errors.Is(err, duly.ErrFinished) || errors.Is(err, duly.ErrNotFound)
	if err != nil && !ended {
		return false, err
	}
	if err := l.printNew(ctx); err != nil {
		return false, err
	}
	if ended || t.Ended && len(t.Runs) == 0 || t.State == "dead" && !t.Recurring {
		return true, nil
	}
	switch due := dueOf(&t); {
	case slices.ContainsFunc(t.Runs, func(r api.Run) bool { return r.State == "running" }):
		wake.ring(soonAgain) // it was claimed when it was asked for; that it prints, or has ended, is seen then
	case !t.PausedAt.IsZero() || due.IsZero():
	default:
		wake.ring(max(due.Sub(l.s.Now()), soonAgain))
	}
	return false, nil
}

// printNew prints the attempts that are newer than the last that was printed; at first the newest.
func (l *follower) printNew(ctx context.Context) error {
	const most = 100 // that can have ended between two looks
	kept, err := l.c.Attempts(ctx, l.name, most)
	if err != nil {
		return err
	}
	same := func(a api.Attempt) bool { return a.RunID == l.last.RunID && a.Attempt == l.last.Attempt }
	switch i := slices.IndexFunc(kept, same); {
	case !l.looked:
		kept = kept[:min(1, len(kept))]
	case i >= 0 && l.whole:
		kept = kept[:i]
	case i >= 0:
		kept = kept[:i+1]
	}
	l.looked = true
	for _, a := range slices.Backward(kept) {
		if !same(a) {
			if err := l.title(&a); err != nil {
				return err
			}
			l.printed = 0
		}
		l.last, l.whole = a, false
		if err := l.print(ctx, a); err != nil {
			return err
		}
		l.whole = true
	}
	return nil
}

// title tells attempts apart that are printed one behind the other, where both streams are a terminal.
func (l *follower) title(a *api.Attempt) error {
	_, out := terminal(l.s.Stdout)
	_, errs := terminal(l.s.Stderr)
	if !out || !errs || l.last.RunID == "" || l.f.output != "table" {
		return nil
	}
	l.p.now = l.s.Now()
	_, err := fmt.Fprintln(l.s.Stderr, l.p.paint(dim, "── "+l.p.instant(a.StartedAt)+", attempt "+strconv.Itoa(a.Attempt)))
	return err
}

// ordinal is the value of a flag that is a number from 1 on; 0 is none.
type ordinal int

func (n *ordinal) String() string { return strconv.Itoa(int(*n)) }

func (n *ordinal) Type() string { return "N" }

func (n *ordinal) Set(text string) error {
	v, err := strconv.Atoi(text)
	if err != nil || v < 1 {
		return errors.New("want a whole number from 1 on")
	}
	*n = ordinal(v)
	return nil
}
