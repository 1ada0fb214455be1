package sim_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dulyhq/duly/store"
)

// A handle is a process's way to the store: what lies on it can be slow, and lose calls and answers. When the process is dead it
// leads nowhere.
type handle struct {
	p    *process
	w    *world
	next store.Store // a liar if need be, Faulty, and behind it the recorder
}

var (
	_ store.Store  = (*handle)(nil)
	_ store.Hinter = (*handle)(nil)
)

// A mishap is what becomes of one call.
type mishap struct {
	kind          string // slow, fail, tear, late, hang; "" is nothing
	before, after time.Duration
}

// mishap draws what becomes of a call: by its method, when it is made, and how many of the method were made at that instant.
func (w *world) mishap(method string) mishap {
	now := w.now()
	w.mu.Lock()
	if w.callsAt != now {
		clear(w.calls)
		w.callsAt = now
	}
	w.calls[method]++
	n, r := w.calls[method], w.rates
	if w.isHealed {
		w.mu.Unlock()
		return mishap{}
	}
	r.slow, r.fail, r.tear, r.late, r.hang = r.slow+w.stormy.slow, r.fail+w.stormy.fail, r.tear+w.stormy.tear, r.late+w.stormy.late, r.hang+w.stormy.hang
	w.mu.Unlock()
	d := newDice(w.seed, "call", method, now, int64(n))
	x := d.Float64() * 100
	m := mishap{before: d.span(time.Millisecond, pick(d, 100*time.Millisecond, 2*w.lease)), after: d.span(0, pick(d, 50*time.Millisecond, w.lease))}
	for _, c := range [...]struct {
		kind string
		rate float64
	}{{"slow", r.slow}, {"fail", r.fail}, {"tear", r.tear}, {"late", r.late}, {"hang", r.hang}} {
		if x < c.rate {
			m.kind = c.kind
			break
		}
		x -= c.rate
	}
	if m.kind == "" || method == "Clock" && m.kind != "fail" {
		return mishap{}
	}
	w.struck(m.kind, m.before+m.after)
	w.log("%s of %s, %v and %v", m.kind, method, m.before, m.after)
	return m
}

func broken(method string) error {
	return &store.Error{Op: method, Err: fmt.Errorf("%w: as drawn", store.ErrBroken)}
}

func unknown(method string) error {
	return &store.Error{Op: method, Err: fmt.Errorf("%w: as drawn", store.ErrUnknown)}
}

// through makes a call, or lets it go wrong.
func through[T any](ctx context.Context, h *handle, method string, writes bool, do func(context.Context) (T, error)) (none T, _ error) {
	h.p.hold()
	m := h.w.mishap(method)
	given := func() error { // the caller stopped waiting
		if writes {
			return store.Unknown(method, ctx)
		}
		return &store.Error{Op: method, Err: context.Cause(ctx)}
	}
	switch m.kind {
	case "fail":
		h.w.sleep(m.before/10, ctx.Done(), h.p.dead)
		return none, broken(method)
	case "slow", "late":
		h.w.sleep(m.before, ctx.Done(), h.p.dead, h.w.healed)
	case "hang":
		h.w.sleep(m.before+m.after, ctx.Done(), h.p.dead, h.w.healed)
		if ctx.Err() != nil {
			return none, given()
		}
		if !writes {
			return none, broken(method)
		}
		return none, unknown(method)
	}
	h.p.hold()
	if h.p.isDead() {
		return none, &store.Error{Op: method, Err: store.ErrClosed}
	}
	if ctx.Err() != nil {
		return none, given()
	}
	if m.kind == "late" && writes { // what was handed in takes effect when nobody waits any more
		h.w.in(m.after, func() {
			if h.w.shared || !h.p.isDead() { // with the process of an embedded store what it has under way dies
				_, _ = do(context.WithoutCancel(ctx))
			}
		})
		return none, unknown(method)
	}
	res, err := do(ctx)
	if err == nil && m.kind == "slow" {
		h.w.sleep(m.after, ctx.Done(), h.p.dead, h.w.healed)
		if ctx.Err() != nil {
			return none, given()
		}
	}
	h.p.hold()
	switch {
	case h.p.isDead():
		return none, &store.Error{Op: method, Err: store.ErrClosed}
	case err == nil && m.kind == "tear" && writes:
		return none, unknown(method)
	}
	return res, err
}

// decided returns ctx with when it was decided to make a call: now, or if the loop of a scheduler makes it at the instant when one
// before it was answered, as it does with all that one look has found, perhaps before that one. The loop calls after when it is answered.
func (h *handle) decided(ctx context.Context, loop, first bool) (_ context.Context, after func()) {
	p, now := h.p, h.w.clk.Now()
	seen := []store.Instant{store.Instant(now.Wall / 1000)}
	if loop {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !first && p.lookedAt == now.Boot {
			for _, at := range p.looked {
				if !slices.Contains(seen, at) {
					seen = append(seen, at)
				}
			}
		}
		p.looked = seen
	}
	told, _ := ctx.Value(toldKey{}).(*store.CancelOutcome)
	return context.WithValue(ctx, callKey{}, call{p: p, seen: seen, told: told}), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.lookedAt = h.w.now()
	}
}

// looping says whether edits are made by the loop of a scheduler.
func looping(rows []store.Edit) bool {
	switch rows[0].Verb {
	case store.VerbSkip, store.VerbRescue, store.VerbBury, store.VerbStop:
		return true
	default:
		return false
	}
}

func (h *handle) Clock(ctx context.Context) (store.Clock, error) {
	return through(ctx, h, "Clock", false, h.next.Clock)
}

func (h *handle) Put(ctx context.Context, rows []store.Put) ([]store.PutResult, error) {
	ctx, _ = h.decided(ctx, false, false)
	return through(ctx, h, "Put", true, func(ctx context.Context) ([]store.PutResult, error) { return h.next.Put(ctx, rows) })
}

func (h *handle) Cancel(ctx context.Context, rows []store.Cancel) ([]store.CancelResult, error) {
	ctx, _ = h.decided(ctx, false, false)
	return through(ctx, h, "Cancel", true, func(ctx context.Context) ([]store.CancelResult, error) { return h.next.Cancel(ctx, rows) })
}

func (h *handle) Edit(ctx context.Context, rows []store.Edit) ([]store.EditResult, error) {
	loop := looping(rows)
	ctx, answered := h.decided(ctx, loop, false)
	if loop {
		defer answered()
	}
	return through(ctx, h, "Edit", true, func(ctx context.Context) ([]store.EditResult, error) { return h.next.Edit(ctx, rows) })
}

func (h *handle) Claim(ctx context.Context, rows []store.Claim) ([]store.ClaimResult, error) {
	ctx, answered := h.decided(ctx, true, !rows[0].FirstStart)
	defer answered()
	sent := h.p.sends(!rows[0].FirstStart)
	res, err := through(ctx, h, "Claim", true, func(ctx context.Context) ([]store.ClaimResult, error) { return h.next.Claim(ctx, rows) })
	if err == nil && time.Duration(h.w.now()-sent) < h.w.lease-h.w.lease/10 { // else nobody begins anything by it
		h.w.rec.claimAnswered(res)
	}
	return res, err
}

// sends returns when claims were sent, by boot time: now, or with those before them.
func (p *process) sends(first bool) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.w.now(); first || p.lookedAt != now {
		p.sentAt = now
	}
	return p.sentAt
}

func (h *handle) Renew(ctx context.Context, rows []store.Renewal) ([]store.RenewResult, error) {
	return through(ctx, h, "Renew", true, func(ctx context.Context) ([]store.RenewResult, error) { return h.next.Renew(ctx, rows) })
}

func (h *handle) Settle(ctx context.Context, rows []store.Settlement) ([]store.SettleResult, error) {
	ctx, _ = h.decided(ctx, false, false)
	res, err := through(ctx, h, "Settle", true, func(ctx context.Context) ([]store.SettleResult, error) { return h.next.Settle(ctx, rows) })
	h.p.settled(rows, res, err)
	return res, err
}

func (h *handle) Due(ctx context.Context, q store.DueQuery) (store.DuePage, error) {
	return through(ctx, h, "Due", false, func(ctx context.Context) (store.DuePage, error) { return h.next.Due(ctx, q) })
}

func (h *handle) Get(ctx context.Context, keys []store.Key) ([]*store.Task, error) {
	return through(ctx, h, "Get", false, func(ctx context.Context) ([]*store.Task, error) { return h.next.Get(ctx, keys) })
}

func (h *handle) List(ctx context.Context, q store.Query) (store.Page, error) {
	return through(ctx, h, "List", false, func(ctx context.Context) (store.Page, error) { return h.next.List(ctx, q) })
}

func (h *handle) History(ctx context.Context, q store.HistoryQuery) ([]store.Event, error) {
	return through(ctx, h, "History", false, func(ctx context.Context) ([]store.Event, error) { return h.next.History(ctx, q) })
}

func (h *handle) Trim(ctx context.Context, r store.Retention) (int64, error) {
	return through(ctx, h, "Trim", true, func(ctx context.Context) (int64, error) { return h.next.Trim(ctx, r) })
}

func (h *handle) Stats(ctx context.Context) (store.Stats, error) {
	return through(ctx, h, "Stats", false, h.next.Stats)
}

// Hints implements store.Hinter.
func (h *handle) Hints() (hints <-chan store.Hint, stop func()) { return h.next.(store.Hinter).Hints() }

// Close implements store.Store: the store is the world's.
func (h *handle) Close() error { return nil }
