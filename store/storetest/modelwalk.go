package storetest

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/dulyhq/duly/store"
)

func (m *modelWalk) puts() {
	rows := some(m, func() store.Put {
		p := store.Put{
			Key: m.key(), When: m.when(), OnConflict: draw(m, "conflict", store.Replace, store.Replace, store.Keep, store.Fail, store.KeepTime, store.Earliest, store.Debounce),
			MaxWait: draw(m, "max wait", 0, 10*time.Second, 2*time.Minute), IfAbsent: m.seldom("absent", 8), IfPending: m.seldom("if pending", 8),
			AnyKind: m.seldom("any kind", 8),
			Spec: store.Spec{
				Kind: draw(m, "kind", "mail", "mail", "mail", "fax"), Payload: []byte(draw(m, "payload", "", "x")),
				Recurring: draw(m, "recurring", true, false),
			},
		}
		if m.seldom("if generation", 8) {
			p.IfGeneration = m.id().Generation
		}
		if p.Recurring {
			p.Schedule = "every"
		}
		if len(m.put) > 0 && m.seldom("as before", 4) {
			p = m.put[max(0, len(m.put)-1-rapid.IntRange(0, 5).Draw(m.rt, "put"))]
		}
		m.put = append(m.put, p)
		return p
	})
	for i, r := range m.env.puts(slices.Clone(rows)...) {
		m.judge(rows[i], m.plain.put(&rows[i], &r))
	}
}

func (m *modelWalk) cancels() {
	rows := some(m, func() store.Cancel {
		x := store.Cancel{Key: m.key(), Stop: m.seldom("stop", 3)}
		if m.seldom("if generation", 8) {
			x.IfGeneration = m.id().Generation
		}
		return x
	})
	res, err := m.s.Cancel(m.ctx, slices.Clone(rows))
	answered(m.env, "Cancel", len(rows), len(res), err)
	for i := range res {
		m.judge(rows[i], m.plain.cancel(&rows[i], &res[i]))
	}
}

// period is that of all schedules.
const period = 10 * time.Minute

func (m *modelWalk) claims() {
	rows := some(m, func() store.Claim {
		c := store.Claim{
			RunID: m.id(), Lease: draw(m, "lease", time.Second, time.Minute, time.Hour), Overlap: m.seldom("overlap", 4),
			FirstStart: m.seldom("first start", 4),
		}
		if m.seldom("deadline", 10) {
			c.NotAfter = m.plain.now.Add(draw(m, "deadline", -time.Second, 0, time.Second))
		}
		last := c.For
		if m.seldom("fold", 4) {
			last = c.For.Add(draw(m, "as", 0, 2*period))
			c.As, c.Missed = occ(last), 2
			if m.seldom("through", 3) {
				last = last.Add(period)
				c.Through = last
			}
		}
		if t := m.plain.tasks[c.Key]; t != nil && t.spec.Recurring && !m.seldom("last", 4) {
			c.Next = store.Occurrence{For: last.Add(period), Due: last.Add(period + draw(m, "jitter", 0, time.Second))}
		}
		return c
	})
	res, err := m.s.Claim(m.ctx, slices.Clone(rows))
	answered(m.env, "Claim", len(rows), len(res), err)
	for i := range res {
		m.judge(rows[i], m.plain.claim(&rows[i], &res[i]))
		if res[i].Err == nil {
			m.leases = append(m.leases, scriptLease{res[i].RunID, res[i].Fence})
		}
	}
}

func (m *modelWalk) renews() {
	rows := some(m, func() store.Renewal {
		l := m.lease()
		return store.Renewal{RunID: l.id, Fence: l.fence, Lease: draw(m, "renewal", time.Second, time.Hour)}
	})
	res, err := m.s.Renew(m.ctx, slices.Clone(rows))
	answered(m.env, "Renew", len(rows), len(res), err)
	for i := range res {
		m.judge(rows[i], m.plain.renew(&rows[i], &res[i]))
	}
}

func (m *modelWalk) settles() {
	rows := some(m, func() store.Settlement {
		l := m.lease()
		x := store.Settlement{RunID: l.id, Fence: l.fence, Verb: store.VerbSettle, End: m.seldom("end", 10)}
		switch draw(m, "outcome", "done", "done", "dead", "cancelled", "retry", "snooze", "release") {
		case "done":
			x.State = store.Done
		case "dead":
			x.State = store.Dead
		case "cancelled":
			x.State = store.Cancelled
		case "retry":
			x.Verb, x.When = store.VerbRetry, m.when()
		case "snooze":
			x.Verb, x.When = store.VerbSnooze, m.when()
		case "release":
			x.Verb, x.When = store.VerbRelease, m.when()
		}
		if draw(m, "pace", true, false) {
			x.Next = store.In(period, 0)
		}
		return x
	})
	res, err := m.s.Settle(m.ctx, slices.Clone(rows))
	answered(m.env, "Settle", len(rows), len(res), err)
	for i := range res {
		m.judge(rows[i], m.plain.settle(&rows[i], &res[i]))
	}
}

func (m *modelWalk) edits() {
	rows := some(m, m.drawEdit)
	res, err := m.s.Edit(m.ctx, slices.Clone(rows))
	answered(m.env, "Edit", len(rows), len(res), err)
	for i := range res {
		m.judge(rows[i], m.plain.edit(&rows[i], &res[i]))
	}
}

func (m *modelWalk) drawEdit() store.Edit {
	x := store.Edit{Verb: store.Verb(rapid.IntRange(int(store.VerbMove), int(store.VerbAlign)).Draw(m.rt, "verb"))}
	id := m.id()
	x.Key, x.Generation, x.For = id.Key, id.Generation, id.For
	if m.seldom("if generation", 8) {
		x.IfGeneration = m.id().Generation
	}
	if draw(m, "pace", true, false) {
		x.Next = store.In(period, 0)
	}
	switch x.Verb {
	case store.VerbMove, store.VerbRun:
		x.When = m.when()
		if m.seldom("payload", 3) {
			x.Payload = []byte(draw(m, "other payload", "x", "y"))
			if x.Verb == store.VerbMove && draw(m, "payload alone", true, false) {
				x.When = store.When{}
			}
		}
	case store.VerbResume:
		t := m.plain.tasks[x.Key]
		if t != nil && t.spec.Recurring && !t.next.None() && m.seldom("skip what fell into the pause", 2) {
			x.When, x.Missed = store.On(occ(t.next.For.Add(period))), 1
		}
	case store.VerbSkip:
		x.State = draw(m, "state", store.Skipped, store.Expired)
		x.Through = x.For
		if m.seldom("more", 3) {
			x.Through, x.Missed = x.For.Add(period), 1
		}
		if draw(m, "then", true, false) {
			x.When = store.On(occ(x.Through.Add(period)))
		}
	case store.VerbAlign:
		if m.seldom("through", 3) {
			x.Through = x.For.Add(draw(m, "accounted for", -period, -time.Minute, time.Minute))
		}
		x.When = store.On(occ(x.For.Add(draw(m, "align", -time.Hour, -time.Second, 0, time.Hour))))
	case store.VerbStop:
		if l := m.lease(); draw(m, "an attempt", true, false) {
			x.Key, x.Generation, x.For = l.id.Key, l.id.Generation, l.id.For
		}
	case store.VerbRescue:
		l := m.lease()
		x.Key, x.Generation, x.For, x.Fence = l.id.Key, l.id.Generation, l.id.For, l.fence
		x.State = draw(m, "state", store.Pending, store.Pending, store.Dead)
		if x.State == store.Pending {
			x.When = m.when()
		}
	case store.VerbBury:
		if t := m.plain.tasks[x.Key]; t != nil && t.spec.Recurring && draw(m, "then", true, false) {
			x.When = store.On(occ(x.For.Add(period)))
		}
	case store.VerbRedrive:
		if ids := m.plain.deadIDs(); len(ids) > 0 {
			d := draw(m, "dead", ids...)
			x.Key, x.Generation, x.For = d.Key, d.Generation, d.For
		}
		x.When = m.when()
	default:
	}
	return x
}

func (m *modelWalk) times() {
	if m.seldom("step", 3) {
		by := draw(m, "by", -time.Hour, -time.Minute, time.Minute, time.Hour)
		m.back = m.back || by < 0
		m.env.step(by)
		return
	}
	if at := m.plain.soonest(); at != store.Never && draw(m, "to what is next", true, false) {
		m.advance(at.Sub(m.plain.now) - draw(m, "early", 0, time.Microsecond))
		return
	}
	m.advance(draw(m, "pass", time.Millisecond, time.Second, time.Minute, period, time.Hour))
}

func (m *modelWalk) restarts() {
	if draw(m, "kill", true, false) {
		m.kill()
	} else {
		m.reopen()
	}
	m.plain.high = 0
	if !m.o.Shared {
		m.plain.leasesEnd()
	}
}

func (m *modelWalk) trims() {
	r := store.Retention{}
	if !m.back && draw(m, "history", true, false) {
		r.HistoryFrom = m.plain.now.Add(-draw(m, "history kept", 0, time.Minute, time.Hour))
	}
	if m.seldom("most", 3) {
		r.MaxHistory = 5
	}
	if _, err := m.s.Trim(m.ctx, r); err != nil {
		m.Fatalf("Trim %+v: %v", r, err)
	}
	if r != (store.Retention{}) {
		m.plain.forget()
	}
}
