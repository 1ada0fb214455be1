package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

// historyBudget is for how long Histories looks.
const historyBudget = 2 * time.Second

// Histories lets several clients put, cancel, claim, renew, settle, rescue and get a few names at once, lets the process die in the
// middle, and then asks whether what they saw could have been seen one after the other: whether every name is linearizable. A
// history that is not is written down, as text and as a page for a browser, in the test's artifacts: keep them with go test
// -artifacts.
func Histories(t *testing.T, o Options) {
	t.Helper()
	if reason := o.Skip["Histories"]; reason != "" {
		t.Skip("left out: " + reason)
	}
	rounds, err := checkHistories(t, &o, historyBudget)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d histories", rounds)
}

// checkHistories looks at one history after the other and returns how many there were. The seed of a round is its number, but how
// the clients meet is not decided by it.
func checkHistories(t *testing.T, o *Options, budget time.Duration) (rounds int, err error) {
	t.Helper()
	for begun := time.Now(); rounds == 0 || time.Since(begun) < budget; rounds++ { // the real time: how long to look
		err := historyRound(t, o, uint64(rounds))
		if err != nil {
			return rounds, fmt.Errorf("round %d: %w", rounds, err)
		}
	}
	return rounds, nil
}

const (
	historyClients = 5
	historyCalls   = 8 // of each client, in each half
)

func historyRound(t *testing.T, o *Options, seed uint64) error {
	t.Helper()
	tb := &historyTB{TB: t}
	defer tb.end()
	clk := clock.NewManual(start)
	h := &historyRecord{o: o, keys: modelKeys[:2]}
	e := &env{TB: t, ctx: t.Context(), o: o, clk: clk, home: o.New(tb, clk)}
	e.open()
	h.half(t, e.s, seed)
	e.kill()
	h.old = len(h.leases) // whoever held these is gone
	h.half(t, e.s, seed+1<<32)
	if err := h.check(t); err != nil {
		return err
	}
	if err := h.await(e); err != nil {
		return err
	}
	Invariants(t, e.s)
	if err := e.s.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// historyTB lets the homes of a round go before the test ends.
type historyTB struct {
	testing.TB
	cleanup []func()
}

func (t *historyTB) Cleanup(f func()) { t.cleanup = append(t.cleanup, f) }

func (t *historyTB) end() {
	for _, f := range slices.Backward(t.cleanup) {
		f()
	}
}

// TempDir is gone after one round: the test's own would keep the files of all.
func (t *historyTB) TempDir() string {
	dir, err := os.MkdirTemp("", "history")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// A historyRecord notes what clients do and see.
type historyRecord struct {
	o    *Options
	keys []store.Key
	tick atomic.Int64

	mu     sync.Mutex
	ops    []porcupine.Operation
	leases []scriptLease
	seen   map[store.Key][]*store.Task
	old    int // how many of leases are from before the process died
}

// half lets the clients work until each has made its calls.
func (h *historyRecord) half(t *testing.T, s store.Store, seed uint64) {
	t.Helper()
	var all sync.WaitGroup
	for id := range historyClients {
		all.Go(func() {
			c := &historyClient{h: h, s: s, id: id, rand: rand.New(rand.NewPCG(seed, uint64(id)))}
			for range historyCalls {
				if err := c.call(t.Context()); err != nil {
					t.Errorf("client %d: %v", id, err)
				}
			}
		})
	}
	all.Wait()
}

// await waits for what may still be written of the calls whose clients have given up: another write of the same task is after it.
func (h *historyRecord) await(e *env) error {
	for _, k := range h.keys {
		put := store.Put{Key: k, Spec: store.Spec{Kind: kind}, When: store.In(0, 0)}
		if r, err := first(e.s.Put(e.ctx, []store.Put{put})); err != nil || r.Err != nil {
			return fmt.Errorf("put %v: %w", k, cmp.Or(err, r.Err))
		}
	}
	return nil
}

// check asks whether the history is one that a store could have answered.
func (h *historyRecord) check(t *testing.T) error {
	t.Helper()
	model := historyModel.ToModel()
	res, info := porcupine.CheckOperationsVerbose(model, h.ops, 20*time.Second)
	if res == porcupine.Ok {
		return nil
	}
	var b strings.Builder
	for _, op := range h.ops {
		fmt.Fprintf(&b, "%4d-%4d client %d: %s\n", op.Call, op.Return, op.ClientId, describeHistory(op.Input, op.Output))
	}
	text := filepath.Join(t.ArtifactDir(), "history.txt")
	if err := os.WriteFile(text, []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	page := filepath.Join(t.ArtifactDir(), "history.html")
	if err := porcupine.VisualizePath(model, info, page); err != nil {
		return fmt.Errorf("draw history: %w", err)
	}
	return fmt.Errorf("the history is not linearizable (%s); it is in %s and %s:\n%s", res, text, page, b.String())
}

// A historyClient makes calls, one after the other.
type historyClient struct {
	h    *historyRecord
	s    store.Store
	id   int
	rand *rand.Rand
}

// call makes one call and notes it. The error is one that no store may answer with.
func (c *historyClient) call(ctx context.Context) error {
	in := c.draw()
	if in.impatient {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		if c.rand.IntN(2) == 0 {
			cancel() // before the call
		}
		go cancel() // while it is awaited, or later
		defer cancel()
	}
	if c.rand.IntN(2) == 0 {
		runtime.Gosched() // or one client after the other would be done before the next has begun
	}
	called := c.h.tick.Add(1)
	out, err := c.do(ctx, in)
	returned := c.h.tick.Add(1)
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	switch {
	case errors.Is(err, store.ErrUnknown):
		out.unknown = true
		returned = 1 << 62 // it may still be written
	case err != nil && in.impatient && errors.Is(err, context.Canceled):
		return nil // nothing was written
	case err != nil:
		return fmt.Errorf("%+v: %w", in, err)
	}
	c.h.ops = append(c.h.ops, porcupine.Operation{ClientId: c.id, Input: in, Call: called, Output: out, Return: returned})
	return nil
}

// draw decides what to do next: with a task or a lease that some client has seen, so that they meet.
func (c *historyClient) draw() historyIn {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	in := historyIn{key: c.h.keys[c.rand.IntN(len(c.h.keys))]}
	in.verb = []string{"put", "put", "put if absent", "cancel", "claim", "claim", "claim", "claim", "settle", "settle", "retry", "renew", "rescue", "get", "get"}[c.rand.IntN(15)]
	in.payload = c.rand.IntN(1 << 30)
	in.impatient = (in.verb == "cancel" || in.verb == "settle") && c.rand.IntN(3) == 0
	switch in.verb {
	case "claim":
		seen := c.h.seen[in.key]
		if len(seen) == 0 {
			in.verb = "get"
			break
		}
		t := seen[max(0, len(seen)-1-c.rand.IntN(2))]
		id, _ := claimable(t)
		in.generation, in.at = id.Generation, id.For
	case "settle", "retry", "renew", "rescue":
		n := len(c.h.leases)
		if n == 0 {
			in.verb, in.impatient = "put", false
			break
		}
		i := max(0, n-1-c.rand.IntN(4))
		l := c.h.leases[i]
		in.key, in.generation, in.at, in.fence, in.old = l.id.Key, l.id.Generation, l.id.For, l.fence, i < c.h.old && !c.h.o.Shared
	}
	return in
}

// saw keeps tasks for others to claim, and a lease for others to use.
func (c *historyClient) saw(t *store.Task, l *scriptLease) {
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	if c.h.seen == nil {
		c.h.seen = map[store.Key][]*store.Task{}
	}
	if t != nil {
		c.h.seen[t.Key] = append(c.h.seen[t.Key], t)
	}
	if l != nil {
		c.h.leases = append(c.h.leases, *l)
	}
}

// first returns the only row of an answer.
func first[T any](rows []T, err error) (row T, _ error) {
	if err == nil && len(rows) != 1 {
		err = fmt.Errorf("%d answers to one row", len(rows))
	}
	if err != nil {
		return row, err
	}
	return rows[0], nil
}

// do makes the call.
func (c *historyClient) do(ctx context.Context, in historyIn) (out historyOut, err error) {
	id := store.RunID{Key: in.key, Generation: in.generation, For: in.at}
	switch in.verb {
	case "put", "put if absent":
		p := store.Put{Key: in.key, When: store.In(0, 0), IfAbsent: in.verb != "put", Spec: store.Spec{Kind: kind, Payload: fmt.Append(nil, in.payload)}}
		r, err := first(c.s.Put(ctx, []store.Put{p}))
		if err != nil {
			return out, err
		}
		c.saw(r.Task, nil)
		return historyOut{err: r.Err, said: r.Outcome.String(), task: historySnapshot(r.Task)}, nil
	case "cancel":
		r, err := first(c.s.Cancel(ctx, []store.Cancel{{Key: in.key, Stop: in.payload%2 == 0}}))
		return historyOut{err: r.Err, said: r.Outcome.String(), task: historySnapshot(r.Task)}, err
	case "claim":
		r, err := first(c.s.Claim(ctx, []store.Claim{{RunID: id, Lease: time.Hour}}))
		if err == nil && r.Err == nil {
			c.saw(r.Task, &scriptLease{r.RunID, r.Fence})
		}
		return historyOut{err: r.Err, task: historySnapshot(r.Task)}, err
	case "renew":
		r, err := first(c.s.Renew(ctx, []store.Renewal{{RunID: id, Fence: in.fence, Lease: time.Hour}}))
		return historyOut{err: r.Err, stop: r.Stop}, err
	case "settle", "retry":
		x := store.Settlement{RunID: id, Fence: in.fence, Verb: store.VerbSettle, State: store.Done}
		if in.verb == "retry" {
			x.Verb, x.State, x.When = store.VerbRetry, store.None, store.In(0, 0)
		}
		r, err := first(c.s.Settle(ctx, []store.Settlement{x}))
		return historyOut{err: r.Err, said: r.State.String(), task: historySnapshot(r.Task)}, err
	case "rescue":
		r, err := first(c.s.Edit(ctx, []store.Edit{{
			Verb: store.VerbRescue, Key: in.key, Generation: id.Generation, For: id.For, Fence: in.fence, State: store.Pending,
		}}))
		return historyOut{err: r.Err, task: historySnapshot(r.Task)}, err
	default:
		t, err := first(c.s.Get(ctx, []store.Key{in.key}))
		c.saw(t, nil)
		return historyOut{task: historySnapshot(t)}, err
	}
}
