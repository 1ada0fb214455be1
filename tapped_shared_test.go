package duly_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// A tapped store is one in memory whose calls are noted, with the time since the beginning, and may be held up, broken and refused.
type tapped struct {
	*memory.Store

	begun time.Time
	far   bool // it says that it is not in this process
	mute  bool // it tells nobody of what is written: what it tells of before it answers the write is read once more

	mu      sync.Mutex
	calls   []string
	logged  []string
	taps    map[string]func(call func() error) error
	hangs   map[string]bool  // methods whose calls last until their context ends
	refused map[string]error // rows, as "Claim name"
	ahead   time.Duration    // of its clock, as it tells it
	ears    int              // how many listen
	listens int              // how many ever did
}

// on has calls of a method go through f from now on; nil is that they are made as they are.
func (s *tapped) on(method string, f func(call func() error) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taps[method] = f
}

// fail fails calls of a method; nil is no more.
func (s *tapped) fail(err error, methods ...string) {
	for _, method := range methods {
		if err == nil {
			s.on(method, nil)
			continue
		}
		s.on(method, func(func() error) error { return err })
	}
}

// refuse answers rows of a method about a name with an error; nil is no more.
func (s *tapped) refuse(method, name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[method+" "+name] = err
}

// hang lets calls of a method last until their context ends.
func (s *tapped) hang(method string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangs[method] = true
}

func (s *tapped) since() time.Duration { return time.Since(s.begun) }

// Write implements io.Writer, for what is logged.
func (s *tapped) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logged = append(s.logged, s.since().String()+" "+string(bytes.TrimSpace(p)))
	return len(p), nil
}

// of returns the calls of some methods, and when they began; no method is any.
func (s *tapped) of(methods ...string) (some []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if words := strings.Fields(c); len(methods) == 0 || slices.Contains(methods, words[1]) {
			some = append(some, c)
		}
	}
	return some
}

// forget forgets what was called and logged until now.
func (s *tapped) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls, s.logged = nil, nil
}

// same fails the test unless two lists are the same, and shows what it got as it would be written.
func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	if slices.Equal(want, got) {
		return
	}
	var list strings.Builder
	for i, x := range got {
		mark := " "
		if i >= len(want) || want[i] != x {
			mark = "!"
		}
		fmt.Fprintf(&list, "%s %#q,\n", mark, x)
	}
	t.Errorf("%s: got\n%swant %d, %#q", what, list.String(), len(want), want)
}

func (s *tapped) wantLogged(t *testing.T, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	same(t, "logged", want, s.logged)
}

// wantCalls fails the test unless these were the calls of some methods, in order.
func (s *tapped) wantCalls(t *testing.T, methods string, want ...string) {
	t.Helper()
	same(t, methods, want, s.of(strings.Fields(methods)...))
}

func (s *tapped) call(ctx context.Context, method string, names []string, do func() error) error {
	s.mu.Lock()
	s.calls = append(s.calls, strings.Join(append([]string{s.since().String(), method}, names...), " "))
	f, hangs := s.taps[method], s.hangs[method]
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if f == nil {
		return do()
	}
	return f(do)
}

// rows makes a call about rows, but for those that are refused.
func rows[Row, Result any](ctx context.Context, s *tapped, method string, all []Row, key func(*Row) store.Key, do func([]Row) ([]Result, error), refuse func(error) Result) (res []Result, err error) {
	var names []string
	var made []Row
	answer := make([]Result, len(all))
	taken := map[int]int{}
	s.mu.Lock()
	for i := range all {
		name := key(&all[i]).Name
		names = append(names, name)
		if err := s.refused[method+" "+name]; err != nil {
			answer[i] = refuse(err)
			continue
		}
		taken[i] = len(made)
		made = append(made, all[i])
	}
	s.mu.Unlock()
	err = s.call(ctx, method, names, func() (err error) {
		res, err = do(made)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, j := range taken {
		answer[i] = res[j]
	}
	return answer, nil
}

func (s *tapped) Claim(ctx context.Context, xs []store.Claim) ([]store.ClaimResult, error) {
	return rows(ctx, s, "Claim", xs, func(x *store.Claim) store.Key { return x.Key },
		func(xs []store.Claim) ([]store.ClaimResult, error) { return s.Store.Claim(ctx, xs) },
		func(err error) store.ClaimResult { return store.ClaimResult{Err: err} })
}

func (s *tapped) Edit(ctx context.Context, xs []store.Edit) ([]store.EditResult, error) {
	return rows(ctx, s, "Edit", xs, func(x *store.Edit) store.Key { return x.Key },
		func(xs []store.Edit) ([]store.EditResult, error) { return s.Store.Edit(ctx, xs) },
		func(err error) store.EditResult { return store.EditResult{Err: err} })
}

func (s *tapped) Settle(ctx context.Context, xs []store.Settlement) ([]store.SettleResult, error) {
	return rows(ctx, s, "Settle", xs, func(x *store.Settlement) store.Key { return x.Key },
		func(xs []store.Settlement) ([]store.SettleResult, error) { return s.Store.Settle(ctx, xs) },
		func(err error) store.SettleResult { return store.SettleResult{Err: err} })
}

func (s *tapped) Renew(ctx context.Context, xs []store.Renewal) ([]store.RenewResult, error) {
	return rows(ctx, s, "Renew", xs, func(x *store.Renewal) store.Key { return x.Key },
		func(xs []store.Renewal) ([]store.RenewResult, error) { return s.Store.Renew(ctx, xs) },
		func(err error) store.RenewResult { return store.RenewResult{Err: err} })
}

func (s *tapped) Put(ctx context.Context, xs []store.Put) ([]store.PutResult, error) {
	return rows(ctx, s, "Put", xs, func(x *store.Put) store.Key { return x.Key },
		func(xs []store.Put) ([]store.PutResult, error) { return s.Store.Put(ctx, xs) },
		func(err error) store.PutResult { return store.PutResult{Err: err} })
}

func (s *tapped) Cancel(ctx context.Context, xs []store.Cancel) ([]store.CancelResult, error) {
	return rows(ctx, s, "Cancel", xs, func(x *store.Cancel) store.Key { return x.Key },
		func(xs []store.Cancel) ([]store.CancelResult, error) { return s.Store.Cancel(ctx, xs) },
		func(err error) store.CancelResult { return store.CancelResult{Err: err} })
}

func (s *tapped) Get(ctx context.Context, keys []store.Key) (ts []*store.Task, err error) {
	var names []string
	for _, k := range keys {
		names = append(names, k.Name)
	}
	slices.Sort(names)
	err = s.call(ctx, "Get", names, func() (err error) {
		ts, err = s.Store.Get(ctx, keys)
		return err
	})
	return ts, err
}

func (s *tapped) Due(ctx context.Context, q store.DueQuery) (page store.DuePage, err error) {
	method := "Due"
	if q.Until == store.Never {
		method = "Ever" // by whoever looks whether rules of zones have changed
	}
	err = s.call(ctx, method, nil, func() (err error) {
		page, err = s.Store.Due(ctx, q)
		return err
	})
	return page, err
}

func (s *tapped) Trim(ctx context.Context, r store.Retention) (n int64, err error) {
	from := func(at store.Instant) string {
		if at == 0 {
			return "-"
		}
		return at.Time().Sub(s.begun).String()
	}
	err = s.call(ctx, "Trim", []string{from(r.HistoryFrom), strconv.FormatInt(r.MaxHistory, 10), from(r.DeadFrom)}, func() (err error) {
		n, err = s.Store.Trim(ctx, r)
		return err
	})
	return n, err
}

func (s *tapped) Clock(ctx context.Context) (clk store.Clock, err error) {
	err = s.call(ctx, "Clock", nil, func() (err error) {
		clk, err = s.Store.Clock(ctx)
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	clk.Now = clk.Now.Add(s.ahead)
	if s.far {
		clk.Uncertainty = 1
	}
	return clk, err
}

func (s *tapped) Hints() (hints <-chan store.Hint, stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ears++
	s.listens++
	hints, end := s.Store.Hints()
	if s.mute {
		hints = make(chan store.Hint)
	}
	return hints, sync.OnceFunc(func() {
		end()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ears--
	})
}

// A rig is a scheduler at work on a tapped store.
type rig struct {
	*tapped

	d     *duly.Scheduler
	t     *testing.T
	ended chan error
	kind  *duly.Kind[string]
	ran   []string // attempts, and when they began
}

// tap runs a test in a bubble, with a scheduler that does not work yet, whose one kind is handled by h.
func tap(t *testing.T, opts duly.Options, h func(ctx context.Context, a *duly.Attempt[string]) error, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, ended: make(chan error, 1)}
		r.tapped = &tapped{
			Store: memory.New(memory.Options{}), begun: time.Now(), taps: map[string]func(call func() error) error{}, refused: map[string]error{}, hangs: map[string]bool{},
		}
		opts.Store, opts.Owner = r.tapped, "me"
		opts.Logger = slog.New(slog.NewTextHandler(r.tapped, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		var err error
		if r.d, err = duly.New(opts); err != nil {
			t.Fatal(err)
		}
		r.kind = duly.Handle(r.d, "k", func(ctx context.Context, a *duly.Attempt[string]) error {
			r.mu.Lock()
			r.ran = append(r.ran, fmt.Sprintf("%v %s #%d", r.since(), a.Name, a.Number))
			r.mu.Unlock()
			err := h(ctx, a)
			if err != nil {
				r.mu.Lock()
				r.ran = append(r.ran, fmt.Sprintf("%v %s #%d: %v", r.since(), a.Name, a.Number, err))
				r.mu.Unlock()
			}
			return err
		})
		f(t, r)
	})
}

// work lets the scheduler work.
func (r *rig) work() {
	go func() { r.ended <- r.d.Run(context.WithoutCancel(r.t.Context())) }()
	synctest.Wait()
}

// end closes the scheduler and the store, and wants both and Run to have no errors.
func (r *rig) end() {
	r.t.Helper()
	if err := errors.Join(r.d.Close(context.Background()), <-r.ended, r.Close()); err != nil {
		r.t.Error(err)
	}
}

// at goes on until so long after the beginning.
func (r *rig) at(d time.Duration) {
	r.t.Helper()
	if d < r.since() {
		r.t.Fatalf("it is %v already", r.since())
	}
	time.Sleep(d - r.since())
	synctest.Wait()
}

func (r *rig) put(name string, s schedule.Schedule, opts ...duly.PutOption) {
	r.t.Helper()
	if _, err := r.kind.Put(r.t.Context(), name, "", s, opts...); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

func (r *rig) wantRan(want ...string) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	same(r.t, "attempts", want, r.ran)
}

func (r *rig) stats() duly.Stats {
	r.t.Helper()
	st, err := r.d.Stats(r.t.Context())
	if err != nil {
		r.t.Error(err)
	}
	return st
}

// counts are what was counted of the kind, without how late it was.
func (r *rig) counts() duly.KindStats {
	r.t.Helper()
	k := r.stats().Kinds["k"]
	k.Wake, k.Slot, k.Claim, k.Total = duly.Histogram{}, duly.Histogram{}, duly.Histogram{}, duly.Histogram{}
	return k
}

// events are what has become of a name, each as "from>to verb reason".
func (r *rig) events(name string) (all []string) {
	r.t.Helper()
	es, err := r.History(r.t.Context(), store.HistoryQuery{Key: store.Key{Name: name}, Limit: 1000})
	if err != nil {
		r.t.Fatal(err)
	}
	for i := range es {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%v>%v %v %s", es[i].From, es[i].To, es[i].Verb, es[i].Reason)))
	}
	return all
}

// timeline is all that was called and logged and all attempts, by time, and of one instant by name: what happens at once is in no order.
func (r *rig) timeline() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all = slices.Concat(r.calls, r.logged, r.ran)
	at := func(s string) time.Duration {
		when, _, _ := strings.Cut(s, " ")
		d, err := time.ParseDuration(when)
		if err != nil {
			r.t.Fatal(err)
		}
		return d
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(at(a), at(b)), cmp.Compare(a, b)) })
	return all
}
