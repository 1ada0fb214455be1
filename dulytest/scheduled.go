package dulytest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// Scheduled returns the tasks selected that are to run by themselves, the one that is due next first. What is paused, has ended, or runs
// for the last time is not.
func Scheduled(t testing.TB, s *duly.Scheduler, q duly.Query) []*duly.Task {
	t.Helper()
	all, err := scheduled(t.Context(), s, q)
	if err != nil {
		t.Fatalf("dulytest: list what is scheduled: %v", err)
	}
	return all
}

// RequireScheduled ends the test unless a task of this name is scheduled, and, if instants are given, is next to run at just these: those
// of its schedule, without jitter, or that of its retry. What it says then is why the task does not run, and what is scheduled in the
// name's namespace.
func RequireScheduled(t testing.TB, s *duly.Scheduler, name string, at ...time.Time) {
	t.Helper()
	ctx := t.Context()
	task, err := s.Get(ctx, name)
	if err != nil || due(task).IsZero() {
		t.Fatalf("dulytest: %s is not scheduled%s%s", strconv.Quote(name), why(ctx, s, name), listed(ctx, s))
		return
	}
	if len(at) == 0 {
		return
	}
	got, err := next(task, len(at))
	if err != nil {
		t.Fatalf("dulytest: work out when %s is to run: %v", strconv.Quote(name), err)
	}
	if !slices.EqualFunc(got, at, time.Time.Equal) {
		t.Fatalf("dulytest: %s is scheduled for %s, want %s%s%s",
			strconv.Quote(name), instants(got), instants(at), why(ctx, s, name), listed(ctx, s))
	}
}

// RequireNone ends the test if any of the tasks selected is scheduled, and says which.
func RequireNone(t testing.TB, s *duly.Scheduler, q duly.Query) {
	t.Helper()
	all, err := scheduled(t.Context(), s, q)
	if err != nil {
		t.Fatalf("dulytest: list what is scheduled: %v", err)
	}
	if len(all) > 0 {
		t.Fatalf("dulytest: %d tasks are scheduled, want none%s", len(all), lines(t.Context(), s, all))
	}
}

func scheduled(ctx context.Context, s *duly.Scheduler, q duly.Query) ([]*duly.Task, error) {
	var all []*duly.Task
	for t, err := range s.List(ctx, q) {
		if err != nil {
			return nil, err
		}
		if !due(t).IsZero() {
			all = append(all, t)
		}
	}
	slices.SortStableFunc(all, func(a, b *duly.Task) int { return due(a).Compare(due(b)) })
	return all, nil
}

// due is when the next attempt at a task is due; the zero time is never.
func due(t *duly.Task) time.Time {
	if !t.PausedAt.IsZero() {
		return time.Time{}
	}
	at := t.Due
	if t.Ended {
		at = time.Time{}
	}
	for i := range t.Runs {
		if r := &t.Runs[i]; r.State == duly.Pending && (at.IsZero() || r.Due.Before(at)) {
			at = r.Due
		}
	}
	return at
}

// next returns the next n instants of a task, or as many as are known: when retries are due, then the nominal instants of its schedule.
func next(t *duly.Task, n int) ([]time.Time, error) {
	var all []time.Time
	for i := range t.Runs {
		if r := &t.Runs[i]; r.State == duly.Pending {
			all = append(all, r.Due)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	if t.Ended || t.ScheduledFor.IsZero() {
		return all[:min(n, len(all))], nil
	}
	all = append(all, t.ScheduledFor)
	if t.Recurring && len(all) < n {
		s, err := schedule.Parse(t.Schedule)
		if err != nil {
			return nil, err
		}
		left := math.MaxInt
		if most := s.Limit(); most > 0 {
			left = most - int(t.Starts) - 1
		}
		rule := s.Bind(store.Key{Namespace: t.Namespace, Name: t.Name}.String(), t.AcceptedAt)
		for at := rule.Next(t.ScheduledFor); len(all) < n && left > 0 && !at.IsZero() && !counts(s); at = rule.Next(at) {
			all = append(all, at)
			left--
		}
	}
	return all[:min(n, len(all))], nil
}

// counts says whether a schedule counts from the runs, so that no more than the next occurrence is known.
func counts(s schedule.Schedule) bool {
	return s.Kind() == schedule.KindPace || s.Kind() == schedule.KindPaceFromStart
}

func why(ctx context.Context, s *duly.Scheduler, name string) string {
	w, err := s.WhyNot(ctx, name)
	if err != nil {
		return "; why is not known: " + err.Error()
	}
	return ": " + w.Text
}

func instants(ts []time.Time) string {
	texts := make([]string, len(ts))
	for i, t := range ts {
		texts[i] = t.UTC().Format(time.RFC3339Nano)
	}
	return strings.Join(texts, ", ")
}

// listed is what is scheduled, as lines that follow a sentence.
func listed(ctx context.Context, s *duly.Scheduler) string {
	all, err := scheduled(ctx, s, duly.Query{})
	switch {
	case err != nil:
		return "\nwhat is scheduled can't be listed: " + err.Error()
	case len(all) == 0:
		return "\nnothing is scheduled"
	}
	return "\nscheduled are:" + lines(ctx, s, all)
}

const linesMost = 20

// lines has a line for each task, the first ones at least.
func lines(ctx context.Context, s *duly.Scheduler, all []*duly.Task) string {
	var b strings.Builder
	for i, t := range all {
		if i == linesMost {
			fmt.Fprintf(&b, "\n\tand %d more", len(all)-i)
			break
		}
		fmt.Fprintf(&b, "\n\t%s %s, %s%s", t.Kind, strconv.Quote(t.Name), t.Schedule, why(ctx, s.In(t.Namespace), t.Name))
	}
	return b.String()
}
