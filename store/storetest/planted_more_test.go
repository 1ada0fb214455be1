package storetest

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
)

func settlePlants() []plant {
	return []plant{
		{"a stale fence is accepted", []string{"StaleFence", "RescueTakesALostLease", "SettleIsOnce"}, settles(func(x *store.Settlement, t *store.Task, m *store.Moment) (store.Change, store.SettleResult) {
			y := *x
			if t != nil {
				if r := t.Run(x.Generation, x.For); r != nil {
					y.Fence = r.Fence
				}
			}
			c, r := y.Apply(t, m)
			if r.Err != nil && t != nil {
				r = store.SettleResult{State: store.Done, Task: t}
			}
			return c, r
		})},
		{"an entry of the history is missing", []string{"HistoryTellsEveryMove", "RetryIsTheSameRun"}, settles(func(x *store.Settlement, t *store.Task, m *store.Moment) (store.Change, store.SettleResult) {
			c, r := x.Apply(t, m)
			if x.Verb == store.VerbRetry {
				c.Events = nil
			}
			return c, r
		})},
		{"a move is told as another", []string{"HistoryTellsEveryMove"}, settles(func(x *store.Settlement, t *store.Task, m *store.Moment) (store.Change, store.SettleResult) {
			c, r := x.Apply(t, m)
			for i := range c.Events {
				c.Events[i].From = store.Pending
			}
			return c, r
		})},
		{"a retry begins before its time", []string{"RetryByTheStoresClock"}, settles(func(x *store.Settlement, t *store.Task, m *store.Moment) (store.Change, store.SettleResult) {
			return x.Apply(t, shifted(m, -time.Second))
		})},
		{"dead runs are dropped", []string{"DeadIsKept", "RedriveRunsAgain"}, settles(func(x *store.Settlement, t *store.Task, m *store.Moment) (store.Change, store.SettleResult) {
			c, r := x.Apply(t, m)
			c.Dead = nil
			return c, r
		})},
		{"a settlement that is repeated succeeds", []string{"SettleIsOnce"}, settles(func(x *store.Settlement, t *store.Task, m *store.Moment) (store.Change, store.SettleResult) {
			c, r := x.Apply(t, m)
			if r.Err != nil {
				return store.Change{}, store.SettleResult{State: store.Done}
			}
			return c, r
		})},
		{"snoozing counts", []string{"SnoozeDoesNotCount"}, settles(func(x *store.Settlement, t *store.Task, m *store.Moment) (store.Change, store.SettleResult) {
			y := *x
			if x.Verb == store.VerbSnooze {
				y.Verb = store.VerbRetry
			}
			return y.Apply(t, m)
		})},
	}
}

func durablePlants(t *testing.T) []plant {
	t.Helper()
	gone := make(chan struct{})
	t.Cleanup(func() { close(gone) })
	return []plant{
		{
			"acknowledged before it was written",
			[]string{"PutIsKept", "DeathLosesNothing", "FirstStart", "DeathAgainAndAgain"},
			func(h *journalHome) { h.lazy = true },
		},
		{"acknowledged before it was synced", []string{"PowerCutLosesNothing", "PowerCutAfterFirstStart"}, func(h *journalHome) { h.bold = true }},
		{"numbers begin anew", []string{"GenerationsRise", "FencesRise"}, opened(func(j *journal) { j.seq = 0 })},
		{"leases outlast their process", []string{"LeasesAreOverAfterDeath", "LeasesAreOverAfterClose"}, opened(func(j *journal) {
			for _, t := range j.tasks {
				for i := range t.Runs {
					t.Runs[i].Lease = j.now().Mono.Add(time.Hour)
				}
			}
		})},
		{"dead runs are forgotten", []string{"DeathLosesNothing", "DeadIsKept"}, opened(func(j *journal) { clear(j.dead) })},
		{"the history is forgotten", []string{"DeathLosesNothing", "HistoryOutlivesTheTask", "OneOffRunsOnce"}, opened(func(j *journal) { j.events = nil })},
		{"pauses are forgotten", []string{"DeathLosesNothing", "PauseStopsClaims"}, opened(func(j *journal) {
			for _, t := range j.tasks {
				t.PausedAt = 0
			}
		})},
		{"a closed store answers", []string{"ClosedStore"}, wrapped(func(j *journal) store.Store { return &immortal{journal: j} })},
		{"a goroutine is left", []string{"NothingIsLeft"}, wrapped(func(j *journal) store.Store {
			go func() { <-gone }()
			return j
		})},
		{"a context that has ended is not looked at", []string{"EndedContext"}, wrapped(func(j *journal) store.Store { return &deaf{journal: j} })},
		{"what was written is called not written", []string{"ContextEndsDuringACall"}, wrapped(func(j *journal) store.Store { return &timid{journal: j} })},
	}
}

func readPlants() []plant {
	return []plant{
		{"due is in the order of keys", []string{"DueIsInOrder", "ManyAreDue"}, dues(func(j *journal, q store.DueQuery, p *store.DuePage) {
			if len(p.Tasks) == 0 || p.More {
				p.Tasks, p.More = p.Tasks[:min(1, len(p.Tasks))], false
			}
			slices.SortFunc(p.Tasks, func(a, b *store.Task) int { return a.Compare(b.Key) })
		})},
		{"due goes past its end", []string{"DueEndsAtUntil"}, wrapped(func(j *journal) store.Store {
			return &reader{journal: j, ask: func(q *store.DueQuery) {
				if q.Until < store.Never-1 {
					q.Until++
				}
			}}
		})},
		{"due does not tell what is next", []string{"DueTellsWhatIsNext"}, dues(func(_ *journal, _ store.DueQuery, p *store.DuePage) { p.Next = store.Never })},
		{"the last of a page is missed", []string{"DuePages", "ManyAreDue"}, dues(func(_ *journal, _ store.DueQuery, p *store.DuePage) {
			if p.More && len(p.Tasks) > 1 {
				p.Tasks = p.Tasks[:len(p.Tasks)-1]
			}
		})},
		{"nobody looks at the shards", []string{"DueByShard"}, wrapped(func(j *journal) store.Store {
			return &reader{journal: j, ask: func(q *store.DueQuery) { q.Shards = nil }}
		})},
		{"nobody looks at the kinds", []string{"DueByKind"}, wrapped(func(j *journal) store.Store {
			return &reader{journal: j, ask: func(q *store.DueQuery) { q.Kinds = nil }}
		})},
		{"a kind has more shards, and never fewer", []string{"DueByKind"}, wrapped(func(j *journal) store.Store {
			return &reader{journal: j, ask: func(q *store.DueQuery) {
				if len(q.Kinds) > 0 {
					q.Shards = nil
				}
			}}
		})},
		{"what runs is not due", []string{"RunningStaysWhereItWas", "LeasesAreOverAfterDeath"}, dues(func(_ *journal, _ store.DueQuery, p *store.DuePage) {
			p.Tasks = slices.DeleteFunc(slices.Clone(p.Tasks), func(t *store.Task) bool { return t.Running() > 0 })
		})},
		{"a prefix ends at the first byte above it", []string{"ListByPrefix"}, lists(func(q store.Query, p *store.Page) {
			if q.Prefix == "\U0010ffff" {
				p.Tasks = slices.DeleteFunc(p.Tasks, func(t *store.Task) bool { return t.Name > q.Prefix })
			}
		})},
		{"namespaces that begin alike are one", []string{"ListByNamespace"}, lists(func(q store.Query, p *store.Page) {
			if q.Namespace == "n" {
				p.Tasks = append(p.Tasks, &store.Task{Key: key("n2/a")})
			}
		})},
		{"the first of a page is shown again", []string{"ListPages"}, lists(func(q store.Query, p *store.Page) {
			if q.After != "" && len(p.Tasks) > 0 {
				p.Tasks = slices.Insert(p.Tasks, 0, p.Tasks[0])
			}
		})},
		{"a page is as long as it may be, however large", []string{"ListPagesOfBytes"}, wrapped(func(j *journal) store.Store { return &greedy{journal: j} })},
		{"a tag is found within another", []string{"ListByFields"}, wrapped(func(j *journal) store.Store { return &loose{journal: j} })},
		{"the counters drift", []string{"PutIsKept", "PauseStopsClaims"}, wrapped(func(j *journal) store.Store { return &drifting{journal: j} })},
		{"trimming takes all", []string{"TrimByAge", "TrimNothing", "OneOffRunsAgainWhenForgotten"}, wrapped(func(j *journal) store.Store { return &forgetful{journal: j} })},
		{"answers of Get are in the order of keys", []string{"GetInOrder"}, wrapped(func(j *journal) store.Store { return &sorting{journal: j} })},
	}
}

func dues(spoil func(j *journal, q store.DueQuery, p *store.DuePage)) func(h *journalHome) {
	return wrapped(func(j *journal) store.Store { return &reader{journal: j, due: spoil} })
}

func lists(spoil func(q store.Query, p *store.Page)) func(h *journalHome) {
	return wrapped(func(j *journal) store.Store { return &reader{journal: j, list: spoil} })
}

// A reader spoils what is asked or answered.
type reader struct {
	*journal
	ask  func(q *store.DueQuery)
	due  func(j *journal, q store.DueQuery, p *store.DuePage)
	list func(q store.Query, p *store.Page)
}

func (s *reader) Due(ctx context.Context, q store.DueQuery) (store.DuePage, error) {
	if s.ask != nil {
		s.ask(&q)
	}
	p, err := s.journal.Due(ctx, q)
	if s.due != nil && err == nil {
		s.due(s.journal, q, &p)
	}
	return p, err
}

func (s *reader) List(ctx context.Context, q store.Query) (store.Page, error) {
	p, err := s.journal.List(ctx, q)
	if s.list != nil && err == nil {
		s.list(q, &p)
	}
	return p, err
}

// strict fails a call for one row.
type strict struct{ *journal }

func (s *strict) Put(ctx context.Context, rows []store.Put) ([]store.PutResult, error) {
	for i := range rows {
		if err := rows[i].Check(); err != nil {
			return nil, err
		}
	}
	return s.journal.Put(ctx, rows)
}

// reversed takes rows from the last to the first.
type reversed struct{ *journal }

func (s *reversed) Put(ctx context.Context, rows []store.Put) ([]store.PutResult, error) {
	rows = slices.Clone(rows)
	slices.Reverse(rows)
	res, err := s.journal.Put(ctx, rows)
	slices.Reverse(res)
	return res, err
}

// hasty reads, and writes what it has read before.
type hasty struct{ *journal }

func (s *hasty) Cancel(ctx context.Context, rows []store.Cancel) ([]store.CancelResult, error) {
	ts, err := s.Get(ctx, []store.Key{rows[0].Key})
	if err != nil {
		return nil, err
	}
	for range 200 {
		runtime.Gosched()
	}
	return write(ctx, s.journal, "cancel", rows, func(x *store.Cancel) store.Key { return x.Key },
		func(x *store.Cancel, _ *store.Task, m *store.Moment) (store.Change, store.CancelResult) {
			return x.Apply(ts[0], m)
		})
}

// immortal goes on after Close.
type immortal struct{ *journal }

func (s *immortal) Close() error { return nil }

// deaf does not hear that its caller has gone.
type deaf struct{ *journal }

func (s *deaf) Put(ctx context.Context, rows []store.Put) ([]store.PutResult, error) {
	return s.journal.Put(context.WithoutCancel(ctx), rows)
}

// timid says that nothing was written when its caller goes.
type timid struct{ *journal }

func (s *timid) Put(ctx context.Context, rows []store.Put) ([]store.PutResult, error) {
	if err := s.enter(ctx, "put"); err != nil {
		return nil, err
	}
	s.mu.Unlock()
	res, err := s.journal.Put(context.WithoutCancel(ctx), rows)
	for range 50 {
		runtime.Gosched()
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return res, err
}

// loose finds tags by a part of them.
type loose struct{ *journal }

func (s *loose) List(ctx context.Context, q store.Query) (store.Page, error) {
	tag := q.Tag
	q.Tag = ""
	p, err := s.journal.List(ctx, q)
	p.Tasks = slices.DeleteFunc(p.Tasks, func(t *store.Task) bool { return !strings.Contains(strings.Join(t.Tags, ""), tag) })
	return p, err
}

// greedy fills its pages.
type greedy struct{ *journal }

func (s *greedy) List(ctx context.Context, q store.Query) (p store.Page, err error) {
	limit := q.Limit
	for err == nil {
		var more store.Page
		more, err = s.journal.List(ctx, q)
		p.Tasks, p.Cursor = append(p.Tasks, more.Tasks...), more.Cursor
		if q.Limit, q.After = limit-len(p.Tasks), more.Cursor; q.Limit <= 0 || q.After == "" {
			break
		}
	}
	return p, err
}

// drifting counts one task too many.
type drifting struct{ *journal }

func (s *drifting) Stats(ctx context.Context) (store.Stats, error) {
	st, err := s.journal.Stats(ctx)
	st.Tasks++
	return st, err
}

// forgetful trims whatever it is asked to.
type forgetful struct{ *journal }

func (s *forgetful) Trim(ctx context.Context, _ store.Retention) (int64, error) {
	return s.journal.Trim(ctx, store.Retention{HistoryFrom: store.Never})
}

// sorting answers in its own order.
type sorting struct{ *journal }

func (s *sorting) Get(ctx context.Context, keys []store.Key) ([]*store.Task, error) {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, store.Key.Compare)
	return s.journal.Get(ctx, keys)
}
