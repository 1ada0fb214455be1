package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/store"
)

var rowCases = []Case{
	{"RowsAreAnsweredInPlace", "Store", "one bad row costs all others, or an answer is taken for another's", rowsAreAnsweredInPlace},
	{"PutsInOneBatch", "Store", "rows of one key take effect in another order than that of the batch", putsInOneBatch},
	{"EmptyBatches", "Store", "a call with nothing in it fails, or ends the process", emptyBatches},
	{"NonsenseIsAnswered", "Store", "an input ends the process", nonsenseIsAnswered},
}

var lifeCases = []Case{
	{"ClosedStore", "Store.Close", "a call on a closed store hangs, panics or seems to succeed", closedStore},
	{"CloseAnswersCallsUnderWay", "Store.Close", "a call hangs for ever, or is acknowledged and lost", closeAnswersCallsUnderWay},
	{"NothingIsLeft", "K1", "each store that is opened and closed leaks goroutines", nothingIsLeft},
	{"EndedContext", "Store", "a request that was given up is carried out all the same", endedContext},
	{"ContextEndsDuringACall", "Store", "a write that took place is reported as one that did not", contextEndsDuringACall},
	{"HintsTellOfWhatIsDue", "Hinter", "an engine sleeps past a task that another process put", hintsTellOfWhatIsDue},
	{"HintsEnd", "Hinter", "whoever waits for hints waits for ever", hintsEnd},
}

func rowsAreAnsweredInPlace(e *env) {
	puts := []store.Put{once("a", at(e.now())), {}, once("b", at(e.now())), once("\n", at(e.now())), once("c", store.When{}), once("d", at(e.now()))}
	res := e.puts(puts...)
	var tasks []*store.Task
	for i, good := range []bool{true, false, true, false, false, true} {
		if good != (res[i].Err == nil) || good != (res[i].Task != nil) || good && res[i].Task.Key != puts[i].Key {
			e.Fatalf("Put, row %d: %s, error %v", i, show(res[i].Task), res[i].Err)
		}
		if good {
			tasks = append(tasks, res[i].Task)
		} else {
			e.wantErr("Put", res[i].Err, store.ErrInvalid, "")
		}
	}
	e.wantNames("all", e.due(store.Never), "a", "b", "d")

	claims := []store.Claim{next(tasks[0], 0), {}, next(tasks[1], 0), next(tasks[0], 0), next(tasks[2], 0)}
	claims[2].Lease = 0
	got, err := e.s.Claim(e.ctx, claims)
	answered(e, "Claim", len(claims), len(got), err)
	for i, want := range []error{nil, store.ErrInvalid, store.ErrInvalid, store.ErrChanged, nil} {
		if !errors.Is(got[i].Err, want) || want == nil && got[i].RunID.Key != claims[i].Key {
			e.Errorf("Claim, row %d: %s, error %v; want %v", i, got[i].RunID, got[i].Err, want)
		}
	}
	renewed, err := e.s.Renew(e.ctx, []store.Renewal{{}, {RunID: got[0].RunID, Fence: got[0].Fence, Lease: lease}, {RunID: got[0].RunID, Fence: 1, Lease: lease}})
	answered(e, "Renew", 3, len(renewed), err)
	for i, want := range []error{store.ErrInvalid, nil, store.ErrFenced} {
		e.wantErr(fmt.Sprintf("Renew, row %d", i), renewed[i].Err, want, "")
	}
	bad := ended(got[4], store.Running)
	settled, err := e.s.Settle(e.ctx, []store.Settlement{bad, ended(got[0], store.Done), {}, ended(got[4], store.Done)})
	answered(e, "Settle", 4, len(settled), err)
	for i, want := range []error{store.ErrInvalid, nil, store.ErrInvalid, nil} {
		e.wantErr(fmt.Sprintf("Settle, row %d", i), settled[i].Err, want, "")
	}
	cancelled, err := e.s.Cancel(e.ctx, []store.Cancel{{}, {Key: key("b")}, {Key: key("b"), IfGeneration: 99}})
	answered(e, "Cancel", 3, len(cancelled), err)
	for i, want := range []error{store.ErrInvalid, nil, store.ErrCondition} {
		e.wantErr(fmt.Sprintf("Cancel, row %d", i), cancelled[i].Err, want, "")
	}
	e.wantNames("what is left", e.due(store.Never))
}

func putsInOneBatch(e *env) {
	p := once("a", at(e.now()))
	q, r := p, p
	q.Payload = []byte("q")
	r.OnConflict = store.Keep
	res := e.puts(p, q, q, r, p)
	for i, want := range []store.PutOutcome{store.Created, store.Replaced, store.Unchanged, store.Kept, store.Replaced} {
		is(e, fmt.Sprintf("outcome of row %d", i), res[i].Outcome, want)
	}
	for i := 1; i < len(res); i++ {
		if g, was := res[i].Task.Generation, res[i-1].Task.Generation; g < was || (res[i].Outcome == store.Replaced) != (g > was) {
			e.Errorf("generation of row %d: %d after %d", i, g, was)
		}
	}
	e.each(func(when string) { sameTask(e, "the last row and Get "+when, res[4].Task, e.get("a")) })
	e.wantMoves("a", "pending>cancelled put", "pending>cancelled put")
}

// calls makes a call of each method, with nothing in it that could be refused, and returns their errors by name.
func calls(ctx context.Context, s store.Store) map[string]error {
	all := map[string]error{}
	_, all["Clock"] = s.Clock(ctx)
	_, all["Put"] = s.Put(ctx, []store.Put{once("from-calls", at(1))})
	_, all["Cancel"] = s.Cancel(ctx, []store.Cancel{{Key: key("a")}})
	_, all["Edit"] = s.Edit(ctx, []store.Edit{{Verb: store.VerbPause, Key: key("a")}})
	_, all["Due"] = s.Due(ctx, store.DueQuery{Until: 1})
	_, all["Claim"] = s.Claim(ctx, []store.Claim{{RunID: store.RunID{Key: key("a"), Generation: 1, For: 1}, Lease: lease}})
	_, all["Renew"] = s.Renew(ctx, []store.Renewal{{RunID: store.RunID{Key: key("a"), Generation: 1, For: 1}, Lease: lease}})
	_, all["Settle"] = s.Settle(ctx, []store.Settlement{{RunID: store.RunID{Key: key("a")}, Verb: store.VerbSettle, State: store.Done}})
	_, all["Get"] = s.Get(ctx, []store.Key{key("a")})
	_, all["List"] = s.List(ctx, store.Query{})
	_, all["History"] = s.History(ctx, store.HistoryQuery{})
	_, all["Trim"] = s.Trim(ctx, store.Retention{HistoryFrom: store.Never, DeadFrom: store.Never})
	_, all["Stats"] = s.Stats(ctx)
	return all
}

func emptyBatches(e *env) {
	for what, call := range map[string]func() (int, error){
		"Put":    func() (int, error) { r, err := e.s.Put(e.ctx, nil); return len(r), err },
		"Cancel": func() (int, error) { r, err := e.s.Cancel(e.ctx, nil); return len(r), err },
		"Edit":   func() (int, error) { r, err := e.s.Edit(e.ctx, []store.Edit{}); return len(r), err },
		"Claim":  func() (int, error) { r, err := e.s.Claim(e.ctx, nil); return len(r), err },
		"Renew":  func() (int, error) { r, err := e.s.Renew(e.ctx, nil); return len(r), err },
		"Settle": func() (int, error) { r, err := e.s.Settle(e.ctx, nil); return len(r), err },
		"Get":    func() (int, error) { r, err := e.s.Get(e.ctx, nil); return len(r), err },
	} {
		if n, err := call(); n != 0 || err != nil {
			e.Errorf("%s of no rows: %d answers, error %v; want neither", what, n, err)
		}
	}
}

func nonsenseIsAnswered(e *env) {
	e.put(once("a", at(e.now())))
	least, most := store.Over, store.Never
	for _, i := range []store.Instant{least, least + 1, -1, 0, 1, most - 1, most} {
		id := store.RunID{Key: key("a"), Generation: int64(i), For: i}
		e.tryClaim(store.Claim{RunID: id, Lease: time.Hour, NotAfter: i, Missed: int64(i)})
		e.renew(store.Renewal{RunID: id, Fence: int64(i), Lease: 1})
		e.trySettle(store.Settlement{RunID: id, Fence: int64(i), Verb: store.VerbSettle, State: store.Dead})
		for verb := range store.VerbAlign + 2 {
			e.edit(store.Edit{
				Verb: verb, Key: key("b"), For: i, Generation: int64(i), Fence: int64(i), Through: i, Missed: int64(i), When: at(i), State: store.Dead,
			})
		}
		for _, limit := range []int{1, math.MaxInt} {
			if _, err := e.s.Due(e.ctx, store.DueQuery{Until: i, After: store.Cursor{At: i, Key: key("\xff")}, Limit: limit}); err != nil {
				e.Errorf("Due until %v, limit %d: %v", i, limit, err)
			}
			if _, err := e.s.List(e.ctx, store.Query{DueFrom: i, DueUntil: i, Limit: limit}); err != nil {
				e.Errorf("List from %v, limit %d: %v", i, limit, err)
			}
			if _, err := e.s.History(e.ctx, store.HistoryQuery{Since: i, After: int64(i), Limit: limit}); err != nil {
				e.Errorf("History since %v, limit %d: %v", i, limit, err)
			}
		}
	}
	if t := e.must("a"); t.Running() != 0 {
		e.Errorf("after nonsense: %s", show(t))
	}
}

func closedStore(e *env) {
	s := e.s
	e.s = nil
	for i := range 3 {
		if err := s.Close(); err != nil {
			e.Errorf("Close %d: %v", i+1, err)
		}
	}
	for name, err := range calls(e.ctx, s) {
		e.wantErr(name+" of a closed store", err, store.ErrClosed, "")
	}
	if h, ok := s.(store.Hinter); ok {
		hints, stop := h.Hints()
		closes(e, "the store was closed", hints)
		stop()
	}
}

func closeAnswersCallsUnderWay(e *env) {
	const n = 8
	var kept [n]atomic.Int64 // the last name that was acknowledged
	done := make(chan struct{})
	go func() {
		defer close(done)
		together(n, func(g int) {
			for i := int64(1); ; i++ {
				_, err := e.s.Put(e.ctx, []store.Put{once(fmt.Sprintf("g%d-%d", g, i), at(e.clkInstant()))})
				if err != nil {
					if !errors.Is(err, store.ErrClosed) {
						e.Errorf("Put while the store closes: %v, want ErrClosed", err)
					}
					return
				}
				kept[g].Store(i)
			}
		})
	}()
	eventually(e, "calls to be under way", func() bool {
		for g := range n {
			if kept[g].Load() < 3 {
				return false
			}
		}
		return true
	})
	if err := e.s.Close(); err != nil {
		e.Errorf("Close while calls are under way: %v", err)
	}
	<-done
	e.open()
	if e.o.Forgets {
		return
	}
	for g := range n {
		for i := int64(1); i <= kept[g].Load(); i++ {
			e.must(fmt.Sprintf("g%d-%d", g, i))
		}
	}
}

func nothingIsLeft(e *env) {
	if err := e.s.Close(); err != nil {
		e.Fatalf("Close: %v", err)
	}
	e.s = nil
	runtime.GC()
	before := runtime.NumGoroutine()
	for i := range 5 {
		e.open()
		e.put(once("a", at(e.later(time.Hour))))
		if h, ok := e.s.(store.Hinter); ok {
			h.Hints() // that nobody stops
		}
		if i%2 == 0 {
			e.home.Kill()
			e.open()
		}
		if err := e.s.Close(); err != nil {
			e.Fatalf("Close: %v", err)
		}
		e.s = nil
	}
	eventually(e, fmt.Sprintf("goroutines to end, there were %d before", before), func() bool { return runtime.NumGoroutine() <= before })
}

func endedContext(e *env) {
	t := e.put(every("a", at(e.now())))
	e.cancel(store.Cancel{Key: e.put(once("old", at(1))).Key})
	before, events := e.must("a"), allEvents(e, e.s)
	why := errors.New("the caller went home")
	ctx, end := context.WithCancelCause(e.ctx)
	end(why)
	for name, err := range calls(ctx, e.s) {
		if !errors.Is(err, why) || errors.Is(err, store.ErrUnknown) {
			e.Errorf("%s in a context that has ended: %v; want its cause, %v, and nothing written", name, err, why)
		}
	}
	if _, err := e.s.Claim(ctx, []store.Claim{next(t, 0)}); !errors.Is(err, why) {
		e.Errorf("Claim in a context that has ended: %v", err)
	}
	sameTask(e, "before and after", before, e.get("a"))
	is(e, "tasks", len(e.list(store.Query{})), 1)
	is(e, "entries of the history", len(allEvents(e, e.s)), len(events))
}

func contextEndsDuringACall(e *env) {
	type answer struct {
		name string
		err  error
	}
	why := errors.New("the caller went home")
	answers := make([][]answer, 8)
	together(len(answers), func(g int) {
		for i := range 40 {
			ctx, end := context.WithCancelCause(e.ctx)
			name := fmt.Sprintf("g%d-%d", g, i)
			started := make(chan struct{})
			over := make(chan struct{})
			go func() {
				defer close(over)
				<-started
				for range i % 8 {
					runtime.Gosched()
				}
				end(why)
			}()
			close(started)
			_, err := e.s.Put(ctx, []store.Put{once(name, at(1))})
			<-over
			answers[g] = append(answers[g], answer{name, err})
		}
	})
	e.kill() // whatever was under way has ended
	for _, a := range joined(answers) {
		there := e.get(a.name) != nil
		switch {
		case a.err == nil && !there:
			e.Errorf("%s was acknowledged and is not there", a.name)
		case a.err != nil && !errors.Is(a.err, why):
			e.Errorf("%s: error %v, want the context's cause in it", a.name, a.err)
		case a.err != nil && !errors.Is(a.err, store.ErrUnknown) && there:
			e.Errorf("%s: error %v, which says that nothing was written, and it is there", a.name, a.err)
		}
	}
}

func hintsTellOfWhatIsDue(e *env) {
	h, ok := e.s.(store.Hinter)
	if !ok {
		e.Skip("the store gives no hints")
	}
	first, stop := h.Hints()
	defer stop()
	second, stop2 := h.Hints()
	defer stop2()
	told := func(what string, name string, due store.Instant) {
		e.Helper()
		k := key(name)
		for i, hints := range []<-chan store.Hint{first, second} {
			eventually(e, fmt.Sprintf("hint %d of %s", i+1, what), func() bool {
				select {
				case got, open := <-hints:
					return open && got.At <= due && got.Shards.Has(k.Shard())
				default:
					return false
				}
			})
		}
	}
	due := e.later(time.Hour)
	e.put(once("a", at(due)))
	told("a put", "a", due)
	for i := range 50 { // nobody takes the hints meanwhile
		e.put(once(fmt.Sprintf("b%d", i), at(due.Add(time.Duration(25-i)*time.Second))))
	}
	told("the earliest of many", "b49", due.Add(-24*time.Second))
	e.edited(store.Edit{Verb: store.VerbMove, Key: key("a"), When: at(e.now())})
	told("a move", "a", e.now())
	c := e.claim(next(e.must("a"), 0))
	e.settle(again2(c), store.Pending)
	told("a retry", "a", e.later(time.Second))
	u := e.put(every("u", at(e.now())))
	told("another put", "u", e.now())
	e.edited(store.Edit{Verb: store.VerbPause, Key: u.Key})
	e.edited(store.Edit{Verb: store.VerbResume, Key: u.Key})
	told("a resume", "u", e.now())
	c = e.claim(next(e.must("u"), 0))
	x := ended(c, store.Dead)
	x.Next = store.In(time.Minute, 0)
	e.settle(x, store.Dead)
	told("a fixed delay's next occurrence", "u", e.later(time.Minute))
	e.edited(redrive(c.RunID))
	told("a redrive", "u", e.now())
}

// closes waits until a channel of hints is closed.
func closes(e *env, after string, hints <-chan store.Hint) {
	e.Helper()
	eventually(e, "the channel of hints to be closed after "+after, func() bool {
		select {
		case _, open := <-hints:
			return !open
		default:
			return false
		}
	})
}

func hintsEnd(e *env) {
	h, ok := e.s.(store.Hinter)
	if !ok {
		e.Skip("the store gives no hints")
	}
	stopped, stop := h.Hints()
	left, stopLeft := h.Hints()
	stop()
	closes(e, "stop", stopped)
	stop() // may be called again
	e.put(once("a", at(e.now())))
	if err := e.s.Close(); err != nil {
		e.Fatalf("Close: %v", err)
	}
	e.s = nil
	closes(e, "Close", left)
	stopLeft()
}
