package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
)

var raceCases = []Case{
	{"CancelAgainstClaim", "E1", "a task that was reported as cancelled runs", cancelAgainstClaim},
	{"ClaimAgainstClaim", "D1", "two workers run one occurrence", claimAgainstClaim},
	{"PutAgainstPut", "A5", "replicas that declare the same at the same moment replace each other", putAgainstPut},
	{"PutAgainstCancel", "A5", "what has run runs again because another of its name was cancelled at the same moment", putAgainstCancel},
	{"PutAgainstClaim", "B1", "a replacement and the attempt it came too late for both count", putAgainstClaim},
	{"RescueAgainstSettle", "D3", "a run that succeeded is tried again", rescueAgainstSettle},
	{"CompareAndSwap", "B4", "a change that was made meanwhile is overwritten", compareAndSwap},
	{"ManyWorkers", "D1", "with many workers some task runs twice or never", manyWorkers},
	{"ReadersSeeWholeTasks", "Store: what is written", "a reader sees half of a change", readersSeeWholeTasks},
}

// together runs n goroutines at nearly the same moment, in any order, and returns when all have ended.
func together(n int, run func(g int)) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for g := range n {
		wg.Go(func() {
			<-begin
			for range rand.IntN(3 * n) { // the scheduler has habits of its own
				runtime.Gosched()
			}
			run(g)
		})
	}
	close(begin)
	wg.Wait()
}

// joined returns all lists as one.
func joined[T any](lists [][]T) (all []T) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// rounds is how often a race is run.
func rounds() int {
	if testing.Short() {
		return 10
	}
	return 40
}

func cancelAgainstClaim(e *env) {
	for i := range rounds() {
		t := e.put(once(fmt.Sprintf("t%d", i), at(e.now())))
		var cancels [3]store.CancelResult
		var claims [3]store.ClaimResult
		var errs [6]error
		together(6, func(g int) {
			if g < 3 {
				res, err := e.s.Cancel(e.ctx, []store.Cancel{{Key: t.Key}})
				if errs[g] = err; err == nil {
					cancels[g] = res[0]
				}
				return
			}
			res, err := e.s.Claim(e.ctx, []store.Claim{next(t, 0)})
			if errs[g] = err; err == nil {
				claims[g-3] = res[0]
			}
		})
		if err := errors.Join(errs[:]...); err != nil {
			e.Fatal(err)
		}
		var cancelled, claimed int
		for g := range 3 {
			if cancels[g].Outcome == store.CancelCancelled {
				cancelled++
			}
			if claims[g].Err == nil {
				claimed++
				e.settle(ended(claims[g], store.Done), store.Done)
			}
		}
		if cancelled+claimed != 1 {
			e.Fatalf("round %d: %d cancels and %d claims won; want exactly one of all", i, cancelled, claimed)
		}
	}
}

func claimAgainstClaim(e *env) {
	for i := range rounds() {
		t := e.put(every(fmt.Sprintf("t%d", i), at(e.now())))
		res := make([]store.ClaimResult, 6)
		together(len(res), func(g int) {
			x := next(t, e.clkInstant()+store.Instant(g)+1)
			x.Overlap = g%2 == 0
			r, err := e.s.Claim(e.ctx, []store.Claim{x})
			if err != nil {
				e.Errorf("Claim: %v", err)
				return
			}
			res[g] = r[0]
		})
		won := 0
		for _, r := range res {
			switch {
			case r.Err == nil && r.Task != nil:
				won++
				e.settle(ended(r, store.Done), store.Done)
			case !errors.Is(r.Err, store.ErrChanged) && !errors.Is(r.Err, store.ErrBusy):
				e.Errorf("a claim that lost: %v; want ErrChanged or ErrBusy", r.Err)
			}
		}
		if won != 1 {
			e.Fatalf("round %d: %d claims of one occurrence won; want exactly one", i, won)
		}
	}
}

func putAgainstPut(e *env) {
	for i := range rounds() {
		res := make([]store.PutResult, 8)
		name := fmt.Sprintf("t%d", i)
		together(len(res), func(g int) {
			r, err := e.s.Put(e.ctx, []store.Put{every(name, store.In(time.Hour, 0))})
			if err != nil {
				e.Errorf("Put: %v", err)
				return
			}
			res[g] = r[0]
		})
		created := 0
		for _, r := range res {
			if r.Outcome == store.Created {
				created++
			} else if r.Outcome != store.Unchanged {
				e.Errorf("round %d: outcome %v, want created or unchanged", i, r.Outcome)
			}
			if r.Task == nil || r.Task.Generation != res[0].Task.Generation {
				e.Fatalf("round %d: %s and %s; want one generation", i, show(r.Task), show(res[0].Task))
			}
		}
		is(e, "created", created, 1)
		e.wantMoves(name)
	}
}

func putAgainstCancel(e *env) {
	const n = 8
	ran := make([]store.Put, n)
	for i := range ran {
		ran[i] = once(fmt.Sprintf("t%d", i), at(e.now()))
		e.settle(ended(e.claim(next(e.put(ran[i]), 0)), store.Done), store.Done)
	}
	for i := range rounds() {
		for _, p := range ran {
			p.Payload = []byte(strconv.Itoa(i))
			is(e, "outcome of another", e.puts(p)[0].Outcome, store.Created)
		}
		cancelled := make([]store.CancelOutcome, n)
		put := make([]store.PutOutcome, n)
		together(2*n, func(g int) {
			p := ran[g/2]
			if g%2 == 0 {
				r, err := e.s.Cancel(e.ctx, []store.Cancel{{Key: p.Key}})
				if err != nil {
					e.Errorf("Cancel: %v", err)
					return
				}
				cancelled[g/2] = r[0].Outcome
				return
			}
			r, err := e.s.Put(e.ctx, []store.Put{p})
			if err != nil {
				e.Errorf("Put: %v", err)
				return
			}
			put[g/2] = r[0].Outcome
		})
		for j := range ran {
			is(e, "outcome of the cancel", cancelled[j], store.CancelCancelled)
			if put[j] != store.AlreadyRan && put[j] != store.Replaced { // as it comes after the cancel, or before
				e.Fatalf("round %d: the put of what has run is %v; want already ran, or replaced", i, put[j])
			}
		}
	}
}

func putAgainstClaim(e *env) {
	for i := range rounds() {
		old := e.put(once("a", at(e.now())))
		p := once("a", at(e.now()))
		p.Payload = []byte(strconv.Itoa(i))
		var put store.PutResult
		var claim store.ClaimResult
		together(2, func(g int) {
			if g == 0 {
				if r, err := e.s.Put(e.ctx, []store.Put{p}); err == nil {
					put = r[0]
				}
				return
			}
			if r, err := e.s.Claim(e.ctx, []store.Claim{next(old, 0)}); err == nil {
				claim = r[0]
			}
		})
		is(e, "outcome", put.Outcome, store.Replaced)
		if claim.Err == nil {
			is(e, "attempts of the old one", put.Task.Running(), 1)
			e.settle(again2(claim), store.Cancelled)
		} else {
			e.wantErr("the claim that lost", claim.Err, store.ErrChanged, "")
			is(e, "attempts of the old one", put.Task.Running(), 0)
		}
		e.settle(ended(e.claim(next(put.Task, 0)), store.Done), store.Done)
	}
}

func rescueAgainstSettle(e *env) {
	for i := range rounds() {
		c := e.claim(next(e.put(once(fmt.Sprintf("t%d", i), at(e.now()))), 0))
		e.advance(lease)
		var settled [2]error
		var rescued [2]error
		together(4, func(g int) {
			if g < 2 {
				r, err := e.s.Settle(e.ctx, []store.Settlement{ended(c, store.Done)})
				if settled[g] = err; err == nil {
					settled[g] = r[0].Err
				}
				return
			}
			r, err := e.s.Edit(e.ctx, []store.Edit{rescue(c, store.Pending)})
			if rescued[g-2] = err; err == nil {
				rescued[g-2] = r[0].Err
			}
		})
		won := 0
		for _, err := range append(settled[:], rescued[:]...) {
			if err == nil {
				won++
			}
		}
		if won != 1 {
			e.Fatalf("round %d: settled %v, rescued %v; want exactly one of all to win", i, settled, rescued)
		}
	}
}

func compareAndSwap(e *env) {
	const n, each = 6, 8
	p := every("a", at(e.later(time.Hour)))
	p.Payload = []byte("0")
	e.put(p)
	var reading sync.WaitGroup
	reading.Add(n)
	together(n, func(int) {
		read := sync.OnceFunc(reading.Done)
		defer read()
		for range each {
			for {
				ts, err := e.s.Get(e.ctx, []store.Key{p.Key})
				if err != nil || ts[0] == nil {
					e.Errorf("Get: %v, error %v", ts, err)
					return
				}
				was, err := strconv.Atoi(string(ts[0].Payload))
				if err != nil {
					e.Errorf("payload: %v", err)
					return
				}
				read()
				reading.Wait() // all have read the same before the first of them writes
				runtime.Gosched()
				q := p
				q.Payload, q.IfGeneration = []byte(strconv.Itoa(was+1)), ts[0].Generation
				res, err := e.s.Put(e.ctx, []store.Put{q})
				if err != nil {
					e.Errorf("Put: %v", err)
					return
				}
				if res[0].Err == nil {
					break
				}
			}
		}
	})
	is(e, "the counter after all have counted", string(e.must("a").Payload), strconv.Itoa(n*each))
}

func manyWorkers(e *env) {
	const tasks, workers = 120, 6
	puts := make([]store.Put, tasks)
	for i := range puts {
		puts[i] = once(fmt.Sprintf("t%03d", i), at(e.now()))
	}
	e.puts(puts...)
	ran := make([][]string, workers)
	together(workers, func(g int) {
		for {
			p, err := e.s.Due(e.ctx, store.DueQuery{Until: e.clkInstant(), Limit: 10})
			if err != nil {
				e.Errorf("Due: %v", err)
				return
			}
			if len(p.Tasks) == 0 {
				return
			}
			for _, t := range p.Tasks {
				if t.Next.None() {
					continue // somebody else's
				}
				res, err := e.s.Claim(e.ctx, []store.Claim{next(t, 0)})
				if err != nil {
					e.Errorf("Claim: %v", err)
					return
				}
				if res[0].Err != nil {
					continue
				}
				ran[g] = append(ran[g], t.Name)
				if _, err := e.s.Settle(e.ctx, []store.Settlement{ended(res[0], store.Done)}); err != nil {
					e.Errorf("Settle: %v", err)
					return
				}
			}
		}
	})
	times := map[string]int{}
	for _, name := range joined(ran) {
		times[name]++
	}
	for _, p := range puts {
		if times[p.Name] != 1 {
			e.Errorf("%s ran %d times, want once", p.Name, times[p.Name])
		}
	}
}

func readersSeeWholeTasks(e *env) {
	version := func(i int) store.Put {
		p := every("a", at(e.clkInstant().Add(time.Duration(i)*time.Second)))
		p.Schedule, p.Payload, p.Tags, p.Priority = strconv.Itoa(i), []byte(strconv.Itoa(i)), []string{strconv.Itoa(i)}, int32(i)
		return p
	}
	e.put(version(0))
	var last [3]int64
	done := make(chan struct{})
	together(4, func(g int) {
		if g == 3 {
			defer close(done)
			for i := range 5 * rounds() {
				if _, err := e.s.Put(e.ctx, []store.Put{version(i)}); err != nil {
					e.Errorf("Put: %v", err)
				}
			}
			return
		}
		for {
			select {
			case <-done:
				return
			default:
			}
			ts, err := e.s.Get(e.ctx, []store.Key{key("a")})
			if err != nil || ts[0] == nil {
				e.Errorf("Get: %v, error %v", ts, err)
				return
			}
			t := ts[0]
			if s := t.Schedule; string(t.Payload) != s || t.Tags[0] != s || strconv.Itoa(int(t.Priority)) != s {
				e.Errorf("a reader saw parts of several writes: %s %q %q", show(t), t.Payload, t.Tags)
				return
			}
			if t.Generation < last[g] {
				e.Errorf("a reader saw generation %d after %d", t.Generation, last[g])
				return
			}
			last[g] = t.Generation
		}
	})
}
